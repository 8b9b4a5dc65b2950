"""What becomes of an answer on its way out: activities and market data that say something else. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gambler_ai.exchange.hashing import chance
from gambler_ai.exchange.instants import SECOND, parse_rfc3339, rfc3339

Row = dict[str, Any]
_PRICE_FIELDS = ("o", "h", "l", "c", "vw", "p", "ap", "bp")
_BARS, _BAR = "bars", "bar"
#: What a price can become.
PRICES: dict[str, Callable[[float], object]] = {
    "nan": lambda _: float("nan"),
    "infinity": lambda _: float("inf"),
    "huge": lambda _: 1e300,
    "null": lambda _: None,
    "text": lambda _: "n/a",
    "string": str,
    "negative": lambda price: -price,
    "zero": lambda _: 0,
    "x10": lambda price: round(price * 10, 4),
    "x0.1": lambda price: round(price / 10, 4),
}


def spoiled(kind: str, body: bytes, *, seconds: float, price: str, seed: int, now_us: int) -> bytes:
    """The body of an answer as a fault of the group SPOILED leaves it; what is not its kind of JSON stays."""
    try:
        found = json.loads(body)
    except ValueError:
        return body
    if kind.startswith("activity"):
        found = _activities(kind, found, seconds, seed, now_us)
    elif isinstance(found, dict) and kind == "bad_price":
        for row in _newest(found):
            spoil_price(row, price)
    elif isinstance(found, dict):
        _bars(kind, found, seconds, seed)
    return json.dumps(found).encode()  # which writes NaN and Infinity as such


def spoil_price(row: Row, price: str) -> None:
    """Change the prices of a bar, a trade or a quote in place."""
    for name in _PRICE_FIELDS:
        if isinstance(row.get(name), int | float):
            row[name] = PRICES[price](row[name])


def _activities(kind: str, rows: Any, seconds: float, seed: int, now_us: int) -> Any:
    if not isinstance(rows, list):
        return rows
    if kind == "activity_twice":
        return [row for row in rows for _ in range(2)]
    if kind == "activity_disorder":
        return sorted(rows, key=lambda row: chance(seed, "disorder", row.get("id")))
    return [row for row in rows if not _is_younger(row.get("transaction_time"), seconds, now_us)]


def _is_younger(text: Any, seconds: float, now_us: int) -> bool:
    return isinstance(text, str) and parse_rfc3339(text) > now_us - seconds * SECOND


def _series(body: Row) -> Iterator[tuple[Row, Any]]:
    """Each list of bars, as the object that holds it and its key there."""
    bars = body.get(_BARS)
    if isinstance(bars, list):
        yield body, _BARS
    elif isinstance(bars, dict):
        yield from ((bars, symbol) for symbol, rows in bars.items() if isinstance(rows, list))


def _newest(body: Row) -> Iterable[Row]:
    """The newest row of each symbol."""
    for holder, key in _series(body):
        if holder[key]:
            yield max(holder[key], key=lambda row: str(row.get("t")))
    for name in (_BARS, "trades", "quotes"):
        rows = body.get(name)
        yield from (row for row in rows.values() if isinstance(row, dict)) if isinstance(rows, dict) else ()
    yield from (body[name] for name in (_BAR, "trade", "quote") if isinstance(body.get(name), dict))


def _bars(kind: str, body: Row, seconds: float, seed: int) -> None:
    for holder, key in _series(body):
        rows = holder[key]
        if kind == "bars_twice":
            holder[key] = [row for row in rows for _ in range(2)]
        elif kind == "bars_gap":
            holder[key] = [row for row in rows if chance(seed, "gap", key, row.get("t")) < 0.5]
        elif rows:
            newest = max(rows, key=lambda row: str(row.get("t")))
            more = newest | {"t": _later(newest["t"], seconds)}
            holder[key] = [*rows, more] if rows[-1] is newest else [more, *rows]
    if kind == "bars_future":
        latest = [body[_BAR]] if isinstance(body.get(_BAR), dict) else []
        bars = body.get(_BARS)
        latest += [row for row in bars.values() if isinstance(row, dict)] if isinstance(bars, dict) else []
        for row in latest:
            row["t"] = _later(row["t"], seconds)


def _later(text: str, seconds: float) -> str:
    return rfc3339(parse_rfc3339(text) + round(seconds * SECOND))


def spoil_stream(rows: list[Row], price: str) -> list[Row]:
    """The same rows of a stream with bad prices; instants may be datetimes here."""
    changed = [dict(row) for row in rows]
    for row in changed:
        spoil_price(row, price)
    return changed
