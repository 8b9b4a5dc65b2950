"""Bars of any timeframe (BEHAVIOUR 6)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from gambler_ai.exchange.instants import new_york, new_york_us
from gambler_ai.exchange.prices.bars import Columns, columns_of, merged
from gambler_ai.exchange.prices.market import Market
from gambler_ai.exchange.prices.sessions import Session
from gambler_ai.exchange.rest.asked import SILENT_FEEDS, Asked
from gambler_ai.exchange.rest.paging import Chunk, page
from gambler_ai.exchange.wire.market_data import bar_rows


class Timeframe(NamedTuple):
    """``adjusted``: in the shares of the present."""

    size: int
    unit: str
    adjusted: bool


def bars_page(market: Market, asked: Asked, timeframe: Timeframe) -> tuple[dict[str, list[Any]], str | None]:
    """One page. Only bars that have closed."""
    return page(asked.symbols, asked.after, asked.limit, partial(_chunks, market, asked, timeframe))


def _chunks(market: Market, asked: Asked, timeframe: Timeframe, symbol: str, resume: int | None) -> Iterator[Chunk]:
    """Lists of neighbouring bars, lazily: a page that is full asks for no more days."""
    if symbol not in market.assets or asked.feed in SILENT_FEEDS:
        return
    start_us, end_us = asked.start_us, asked.end_us
    if resume is not None:
        start_us, end_us = (start_us, resume - 1) if asked.newest_first else (resume + 1, end_us)
    if start_us > end_us:
        return
    for bars in _bars(market, symbol, timeframe, asked, (start_us, end_us)):
        wanted = (bars.start_us >= start_us) & (bars.start_us <= end_us) & (bars.end_us <= asked.now_us)
        found = bars.taken(np.flatnonzero(wanted)[:: -1 if asked.newest_first else 1])
        yield Chunk(found.start_us, partial(_rows, found))


def _rows(bars: Columns, span: slice) -> list[Any]:
    return bar_rows(bars.taken(span))


def _bars(market: Market, symbol: str, timeframe: Timeframe, asked: Asked, span: tuple[int, int]) -> Iterator[Columns]:
    """The symbol's bars around a span, in the order of the request."""
    if timeframe.unit not in ("Min", "Hour"):
        days = market.daily_columns(symbol)
        if timeframe.adjusted:
            days = days.scaled(market.share_factors(symbol, asked.now_us))
        yield days if timeframe.unit == "Day" else _periods(days, timeframe)
        return
    size = timeframe.size * (60 if timeframe.unit == "Hour" else 1)
    for session in sessions_of(market, symbol, span, newest_first=asked.newest_first):
        bars = market.columns(symbol, session, size)
        if timeframe.adjusted:
            bars = bars.scaled(market.share_factor(symbol, session.day, asked.now_us))
        yield bars


def sessions_of(market: Market, symbol: str, span: tuple[int, int], *, newest_first: bool) -> list[Session]:
    """The days of a symbol that a span of instants touches."""
    days = market.daily(symbol).days
    first, last = (new_york(max(us, 0)).date() for us in span)
    if first > days[-1] or last < days[0]:
        return []
    found = market.sessions.between(max(first, days[0]), min(last, days[-1]))
    return found[::-1] if newest_first else found


def _periods(days: Columns, timeframe: Timeframe) -> Columns:
    """Days to weeks or months. A period's bar starts at its first day, whether or not that one was traded."""
    if not days.start_us.size:
        return columns_of(())
    firsts = [_period(new_york(us).date(), timeframe) for us in days.start_us.tolist()]
    edges = np.array([first.toordinal() for first in firsts])
    places = np.flatnonzero(np.append(True, edges[1:] != edges[:-1]))
    starts = np.array([new_york_us(firsts[place], 0, 0) for place in places.tolist()])
    return merged(days, places)._replace(start_us=starts)


def _period(day: date, timeframe: Timeframe) -> date:
    """The first day of the week or of the months that a day belongs to."""
    if timeframe.unit == "Week":
        return day - timedelta(days=day.weekday())
    return date(day.year, (day.month - 1) // timeframe.size * timeframe.size + 1, 1)
