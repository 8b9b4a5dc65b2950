"""Many like texts as columns: what they share is kept once, what differs as differences. Every byte comes back.

Made for facts in JSON, which say the same of another minute. A text is its shape, which is the text with its values
taken out, and the values. Texts of one shape are a table, and each column of it is written the shortest way that gives
the same characters again:

- ``7``: as column 7 of this table
- ``"text"``: the same in all rows
- ``["n", places, first, difference, ...]``: decimals, counted in units of the last place; ``places`` is one number
  (below zero: as few as each needs, at most so many), or one a row
- ``["t", unit, first, difference, ...]``: instants in UTC, in seconds or microseconds
- ``["s", text, ...]``: anything else
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise, repeat
from typing import Any

from msgspec import Struct

#: Stands in a shape where a value was. A text with it outside its values is not packed.
HOLE = "\x7f"
#: A string, with the colon if it is a key; or a number.
_VALUES = re.compile(r'"((?:[^"\\]|\\.)*)"(:?)|(-?\d[-+.\deE]*)')
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,25})(?:\.[0-9]{1,12})?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND, _MICROSECOND = timedelta(seconds=1), timedelta(microseconds=1)


class Table(Struct, array_like=True):
    """Texts of one shape: which of all they are (the first, then differences), and their columns."""

    shape: str
    rows: list[int]
    columns: list[Any]


def pack(texts: Sequence[str]) -> list[Table]:
    """The texts, as tables.

    Raises:
        ValueError: they cannot be written so that all of them come back.
    """
    found: dict[str, tuple[list[int], list[list[str]]]] = {}
    for number, text in enumerate(texts):
        shape, values = _parted(text)
        rows, table = found.setdefault(shape, ([], []))
        rows.append(number)
        table.append(values)
    tables = [
        Table(shape, differences(rows), _columns(list(zip(*table, strict=True))))
        for shape, (rows, table) in found.items()
    ]  # fmt: skip
    if unpack(tables) != list(texts):
        raise ValueError("these texts do not come back as they were")
    return tables


def unpack(tables: Sequence[Table]) -> list[str]:
    """The texts of `pack`, in their order.

    Raises:
        ValueError: these are no such tables.
    """
    try:
        found = dict(pair for table in tables for pair in _texts(table))
        return [found[number] for number in range(len(found))]
    except (TypeError, KeyError, IndexError, OverflowError, AttributeError) as error:
        raise ValueError(f"no packed texts: {error}") from error


def differences(numbers: Sequence[int]) -> list[int]:
    """The first of them, then how far each is from the one before."""
    return [*numbers[:1], *(after - before for before, after in pairwise(numbers))]


def _parted(text: str) -> tuple[str, list[str]]:
    values: list[str] = []

    def out(found: re.Match[str]) -> str:
        if found[2]:
            return found[0]
        values.append(found[1] if found[3] is None else found[3])
        return f'"{HOLE}"' if found[3] is None else HOLE

    return _VALUES.sub(out, text), values


def _texts(table: Table) -> Iterator[tuple[int, str]]:
    count, parts = len(table.rows), table.shape.split(HOLE)
    columns: list[Sequence[str]] = []
    for column in table.columns:
        columns.append(_values(column, columns, count))
    if len(parts) != len(columns) + 1:
        raise ValueError("a shape and its columns do not fit")
    pieces: list[Iterable[str]] = []
    fixed = parts[0]
    for written, column, part in zip(table.columns, columns, parts[1:], strict=True):
        if isinstance(written, str):  # the same in all rows, as what stands beside it
            fixed += written + part
        else:
            pieces += [repeat(fixed, count), column]
            fixed = part
    pieces.append(repeat(fixed, count))
    yield from zip(accumulate(table.rows), map("".join, zip(*pieces, strict=True)), strict=True)


# -- columns --------------------------------------------------------------------------------------


def _columns(table: list[tuple[str, ...]]) -> list[Any]:
    places: dict[tuple[str, ...], int] = {}
    found: list[Any] = []
    for number, values in enumerate(table):
        found.append(places[values] if values in places else _written(values))
        places.setdefault(values, number)
    return found


def _written(values: tuple[str, ...]) -> Any:
    if len(set(values)) == 1:
        return values[0]
    for way in (_decimals, _instants):
        if (column := way(values)) is not None:
            return column
    return ["s", *values]


def _decimals(values: tuple[str, ...]) -> Any:
    if not all(map(_DECIMAL.fullmatch, values)):
        return None
    places = [len(value) - value.find(".") - 1 if "." in value else 0 for value in values]
    most = max(places)
    units = [int(value.replace(".", "")) * 10 ** (most - p) for value, p in zip(values, places, strict=True)]
    for way in (most, -most, places):
        column = ["n", way, *differences(units)]
        if _read_decimals(column) == list(values):
            return column
    return None  # there is a "-0" among them


def _instants(values: tuple[str, ...]) -> Any:
    try:
        moments = [datetime.fromisoformat(value) - _EPOCH for value in values]
    except (ValueError, TypeError):
        return None
    unit = _MICROSECOND if any(moment.microseconds for moment in moments) else _SECOND
    column = ["t", "us" if unit is _MICROSECOND else "s", *differences([moment // unit for moment in moments])]
    return column if _read_instants(column) == list(values) else None  # another way to write it


def _values(column: Any, before: list[Sequence[str]], count: int) -> Sequence[str]:
    if isinstance(column, int):
        return before[column]
    if isinstance(column, str):
        return [column] * count
    return _READ[column[0]](column)


def _read_decimals(column: list[Any]) -> list[str]:
    units = list(accumulate(column[2:]))
    if isinstance(column[1], int):
        found = _decimals_of(units, abs(column[1]))
        return found if column[1] >= 0 else [text.rstrip("0").rstrip(".") for text in found]
    most = max(column[1])
    return [_decimal(unit // 10 ** (most - p), p) for unit, p in zip(units, column[1], strict=True)]


def _decimals_of(units: list[int], places: int) -> list[str]:
    if not places or min(units, default=0) < 10**places:
        return [_decimal(unit, places) for unit in units]
    return [f"{text[:-places]}.{text[-places:]}" for text in map(str, units)]  # as most are, and four times as fast


def _decimal(unit: int, places: int) -> str:
    if not places:
        return str(unit)
    text = f"{abs(unit):0{places + 1}d}"
    return f"{'-' if unit < 0 else ''}{text[:-places]}.{text[-places:]}"


def _read_instants(column: list[Any]) -> list[str]:
    unit = _MICROSECOND if column[1] == "us" else _SECOND
    begin = _EPOCH.replace(tzinfo=None)
    return [f"{(begin + unit * number).isoformat()}Z" for number in accumulate(column[2:])]


_READ: dict[str, Callable[[list[Any]], list[str]]] = {
    "n": _read_decimals, "t": _read_instants, "s": lambda column: column[1:],
}  # fmt: skip
