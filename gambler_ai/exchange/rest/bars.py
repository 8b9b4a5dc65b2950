"""Market data queries: timeframes, paging over all symbols together, the latest of everything (BEHAVIOUR
6).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import groupby
from typing import Any, NamedTuple

from gambler_ai.exchange.instants import DAY, new_york, new_york_us, parse_rfc3339
from gambler_ai.exchange.prices.bars import Bar
from gambler_ai.exchange.prices.market import Market
from gambler_ai.exchange.prices.sessions import Session
from gambler_ai.exchange.refusal import Refusal
from gambler_ai.exchange.wire.market_data import bar_entity, quote_entity, trade_entity

DEFAULT_LIMIT, MAX_LIMIT = 1000, 10_000
_TIMEFRAME = re.compile(r"(\d{1,2})(Min|T|Hour|H|Day|D|Week|W|Month|M)")
_UNITS = {"T": "Min", "H": "Hour", "D": "Day", "W": "Week", "M": "Month"}
_ALLOWED = {
    "Min": range(1, 60),
    "Hour": range(1, 24),
    "Day": (1,),
    "Week": (1,),
    "Month": (1, 2, 3, 4, 6, 12),
}


class BarsQuery(NamedTuple):
    """A checked request for bars. ``after`` is where the page token says the last page ended."""

    symbols: list[str]
    size: int
    unit: str
    start_us: int
    end_us: int
    limit: int
    newest_first: bool
    after: tuple[str, int] | None


def _invalid(message: str) -> Refusal:
    return Refusal(400, 40010001, message)


def parse_symbols(text: str | None) -> list[str]:
    """Sorted and unique; unknown ones stay in, and simply have no data. Raises Refusal."""
    symbols = sorted({symbol.strip().upper() for symbol in (text or "").split(",") if symbol.strip()})
    if not symbols:
        raise _invalid("symbols is required")
    return symbols


def parse_timeframe(text: str | None) -> tuple[int, str]:
    """Raises Refusal: 60Min and the like do not exist."""
    match = _TIMEFRAME.fullmatch(text or "")
    if match is None:
        raise _invalid(f"invalid timeframe: {text}")
    size, unit = int(match[1]), _UNITS.get(match[2], match[2])
    if size not in _ALLOWED[unit]:
        raise _invalid(f"invalid timeframe: {text}")
    return size, unit


def _instant(params: Mapping[str, str], name: str, default: int) -> int:
    text = params.get(name)
    if not text:
        return default
    try:
        return parse_rfc3339(text)
    except (ValueError, OverflowError):
        raise _invalid(f"invalid {name}: {text}") from None


def parse_query(params: Mapping[str, str], symbols: list[str], now_us: int) -> BarsQuery:
    """Defaults as Alpaca has them: from the start of the current day, to now, 1000 bars, oldest first."""
    size, unit = parse_timeframe(params.get("timeframe"))
    midnight = new_york_us(new_york(now_us).date(), 0, 0)
    end_text = params.get("end") or ""
    end = _instant(params, "end", now_us) + (DAY - 1 if len(end_text) == 10 else 0)
    try:
        limit = int(params.get("limit") or DEFAULT_LIMIT)
    except ValueError:
        raise _invalid(f"invalid limit: {params.get('limit')}") from None
    if limit > MAX_LIMIT:
        raise _invalid("invalid limit: larger than the allowed maximum of 10000")
    if limit < 1:
        raise _invalid("invalid limit: must be positive")
    sort = params.get("sort") or "asc"
    if sort not in ("asc", "desc"):
        raise _invalid(f"invalid sort: {sort}")
    after = _parse_token(params.get("page_token"))
    return BarsQuery(symbols, size, unit, _instant(params, "start", midnight), end, limit, sort == "desc", after)


def _parse_token(text: str | None) -> tuple[str, int] | None:
    if not text:
        return None
    try:
        symbol, us = base64.urlsafe_b64decode(text.encode()).decode().split("|")
        return symbol, int(us)
    except (ValueError, binascii.Error):
        raise _invalid("invalid page_token") from None


def bars_page(market: Market, query: BarsQuery, now_us: int) -> tuple[dict[str, list[dict[str, Any]]], str | None]:
    """One page, by symbol and then time; the limit counts all symbols together. Only closed bars."""
    found: dict[str, list[dict[str, Any]]] = {}
    count, last = 0, ("", 0)
    for symbol in query.symbols:
        if symbol not in market.assets or (query.after and symbol < query.after[0]):
            continue
        resume = query.after[1] if query.after and symbol == query.after[0] else None
        for bar in _bars(market, symbol, query, min(query.end_us, now_us), now_us, resume):
            if count == query.limit:
                token = base64.urlsafe_b64encode(f"{last[0]}|{last[1]}".encode()).decode()
                return found, token
            found.setdefault(symbol, []).append(bar_entity(bar))
            count, last = count + 1, (symbol, bar.start_us)
    return found, None


def _bars(market: Market, symbol: str, query: BarsQuery, end_us: int, now_us: int, resume: int | None) -> Iterator[Bar]:
    """The symbol's bars inside the query, in its order, those at or before ``resume`` left out."""
    start_us = query.start_us
    if resume is not None:
        start_us, end_us = (start_us, resume - 1) if query.newest_first else (resume + 1, end_us)
    for chunk in _chunks(market, symbol, query, start_us, end_us):
        for bar in reversed(chunk) if query.newest_first else chunk:
            if start_us <= bar.start_us <= end_us and bar.end_us <= now_us:
                yield bar


def _chunks(market: Market, symbol: str, query: BarsQuery, start_us: int, end_us: int) -> Iterator[Sequence[Bar]]:
    """Lists of neighbouring bars, lazily: a page that is full asks for no more days."""
    days = market.daily(symbol).days
    if start_us > end_us:
        return
    first, last = new_york(max(start_us, 0)).date(), new_york(max(end_us, 0)).date()
    if query.unit in ("Week", "Month"):  # a period may have begun before its first wanted day, and end after
        first, last = first - timedelta(days=7), last + timedelta(days=366)
    sessions = market.sessions.between(max(first, days[0]), min(last, days[-1])) if first <= days[-1] else []
    if query.unit in ("Min", "Hour"):
        size = query.size * (60 if query.unit == "Hour" else 1)
        for session in reversed(sessions) if query.newest_first else sessions:
            yield market.minute_bars(symbol, session, size)
        return
    daily = [(session, bar) for session in sessions if (bar := market.daily_bar(symbol, session))]
    if query.unit == "Day":
        yield [bar for _, bar in daily]
        return
    yield [_merge(list(rows), period) for period, rows in groupby(daily, key=lambda row: _period(row[0], query))]


def _period(session: Session, query: BarsQuery) -> date:
    """The first day of the week or of the months that a session belongs to."""
    day = session.day
    if query.unit == "Week":
        return day - timedelta(days=day.weekday())
    return date(day.year, (day.month - 1) // query.size * query.size + 1, 1)


def _merge(rows: list[tuple[Session, Bar]], period: date) -> Bar:
    bars = [bar for _, bar in rows]
    volume = sum(bar.volume for bar in bars)
    value = sum(bar.vwap * bar.volume for bar in bars)
    return Bar(
        new_york_us(period, 0, 0), bars[-1].end_us, bars[0].open, max(bar.high for bar in bars),
        min(bar.low for bar in bars), bars[-1].close, volume, sum(bar.trades for bar in bars),
        value // volume if volume else bars[-1].close,
    )  # fmt: skip


def latest_bar(market: Market, symbol: str, now_us: int) -> Bar | None:
    """The newest closed minute."""
    index = market.sessions.last_index_opened_by(now_us)
    while index is not None and index >= 0 and market.daily(symbol).days[0] <= market.sessions.days[index]:
        closed = [bar for bar in market.minute_bars(symbol, market.sessions.session(index)) if bar.end_us <= now_us]
        if closed:
            return closed[-1]
        index -= 1
    return None


def latest(market: Market, kind: str, symbol: str, now_us: int) -> dict[str, Any] | None:
    """The latest ``bars``, ``quotes`` or ``trades`` entry of a symbol; None for one without data."""
    if symbol not in market.assets:
        return None
    if kind == "bars":
        bar = latest_bar(market, symbol, now_us)
        return bar_entity(bar) if bar else None
    tick = market.tick(symbol, now_us)
    if tick is None:
        return None
    return quote_entity(tick) if kind == "quotes" else trade_entity(tick)
