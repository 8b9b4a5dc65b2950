"""Pages over several symbols: by symbol, then by time; the limit counts all of them together (BEHAVIOUR 6)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gambler_ai.exchange.prices.bridge import Ints

Place = tuple[str, int]  # a symbol, and the instant of the last row that was told of it


class Chunk(NamedTuple):
    """Neighbouring rows of one symbol, in the order of the request: their instants, and how to make some of them."""

    at_us: Ints
    rows: Callable[[slice], Sequence[Any]]


def limit_of(params: Mapping[str, str], default: int, most: int, invalid: Callable[[str], Exception]) -> int:
    """How many rows are asked for; ``invalid`` makes the refusal that this part of the API has."""
    try:
        limit = int(params.get("limit") or default)
    except ValueError:
        raise invalid(f"invalid limit: {params.get('limit'):.40}") from None
    if limit > most:
        raise invalid(f"invalid limit: larger than the allowed maximum of {most}")
    if limit < 1:
        raise invalid("invalid limit: must be positive")
    return limit


def read_token(text: str | None) -> Place | None:
    """Raises ValueError for what is no token of ours."""
    if not text:
        return None
    symbol, us = base64.urlsafe_b64decode(text.encode()).decode().split("|")
    return symbol, int(us)


def write_token(place: Place) -> str:
    return base64.urlsafe_b64encode(f"{place[0]}|{place[1]}".encode()).decode()


def page(
    symbols: Sequence[str], after: Place | None, limit: int, chunks: Callable[[str, int | None], Iterable[Chunk]]
) -> tuple[dict[str, list[Any]], str | None]:
    """Rows by symbol, and the token of the next page. ``chunks`` takes a symbol and the instant to go on behind; it is
    asked for no more of them than the page needs.
    """
    found: dict[str, list[Any]] = {}
    left, last = limit, ("", 0)
    for symbol in symbols:
        if after is not None and symbol < after[0]:
            continue
        resume = after[1] if after is not None and symbol == after[0] else None
        for chunk in chunks(symbol, resume):
            count = min(left, chunk.at_us.size)
            if count:
                found.setdefault(symbol, []).extend(chunk.rows(slice(0, count)))
                last = symbol, int(chunk.at_us[count - 1])
                left -= count
            if count < chunk.at_us.size:
                return found, write_token(last)
    return found, None
