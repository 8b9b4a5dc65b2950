"""What was rolled up, unpacked again by another hand than the one that packed it (`storage.segments`)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Any

#: Where a value was taken out of a text.
HOLE = "\x7f"


def rolled_up(segment: Any) -> list[tuple[int, int, str, str]]:
    """The facts in the JSON of a segment: number, token, beginning of the hash, payload.

    Raises:
        ValueError, TypeError, LookupError: it is not one.
    """
    if isinstance(segment, list):
        return [(seq, token, mark, payload) for seq, token, mark, payload in segment]
    payloads = dict(pair for shape, rows, columns in segment["tables"] for pair in _texts(shape, rows, columns))
    seqs, tokens = list(accumulate(segment["seq"])), list(accumulate(segment["token"]))
    size = len(segment["mark"]) // len(seqs)
    return [
        (seq, tokens[number], segment["mark"][number * size : (number + 1) * size], payloads[number])
        for number, seq in enumerate(seqs)
    ]


def _texts(shape: str, rows: list[int], columns: list[Any]) -> Iterator[tuple[int, str]]:
    for place, number in enumerate(accumulate(rows)):
        first, *parts = shape.split(HOLE)
        yield number, first + "".join(_value(columns, n, place) + part for n, part in enumerate(parts))


def _value(columns: list[Any], number: int, place: int) -> str:
    column = columns[number]
    if isinstance(column, int):
        return _value(columns, column, place)
    if isinstance(column, str):
        return column
    way, *rest = column
    if way == "s":
        return str(rest[place])
    how, *steps = rest
    total = sum(steps[: place + 1])
    if way == "t":
        at = datetime(1970, 1, 1, tzinfo=UTC) + (
            timedelta(seconds=total) if how == "s" else timedelta(microseconds=total)
        )
        return at.isoformat().replace("+00:00", "Z")
    return _decimal(total, how, place)


def _decimal(total: int, how: Any, place: int) -> str:
    """``how`` many places there are: of all, of each, or below zero at most."""
    most = max(how) if isinstance(how, list) else abs(how)
    text = f"{Decimal(total).scaleb(-most):f}"
    if isinstance(how, list):
        text = text[: len(text) - (most - how[place])]
    elif how < 0:
        text = text.rstrip("0")
    return text.rstrip(".")
