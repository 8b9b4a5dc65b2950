"""The newest of everything: trade, quote, minute, day (BEHAVIOUR 6, "latest" and "Snapshots")."""

from __future__ import annotations

from typing import Any

from gambler_ai.exchange.instants import new_york
from gambler_ai.exchange.prices.bars import Bar
from gambler_ai.exchange.prices.market import Market
from gambler_ai.exchange.wire.market_data import bar_entity, quote_entity, trade_entity

KINDS = {"bars": "bar", "quotes": "quote", "trades": "trade"}


def latest(market: Market, kind: str, symbol: str, now_us: int) -> dict[str, Any] | None:
    """The latest ``bars``, ``quotes`` or ``trades`` entry of a symbol; None for one without data."""
    if symbol not in market.assets:
        return None
    if kind == "bars":
        bar = market.last_minute(symbol, now_us)
        return bar_entity(bar) if bar else None
    tick = market.tick(symbol, now_us)
    if tick is None:
        return None
    return quote_entity(tick) if kind == "quotes" else trade_entity(tick)


def snapshot(market: Market, symbol: str, now_us: int) -> dict[str, Any] | None:
    """The parts that there are. Before the day's first regular minute has closed, ``dailyBar`` is the day before's."""
    tick = market.tick(symbol, now_us) if symbol in market.assets else None
    if tick is None:
        return None
    minute = market.last_minute(symbol, now_us)
    today, before = _days(market, symbol, now_us)
    found = {
        "latestTrade": trade_entity(tick),
        "latestQuote": quote_entity(tick),
        "minuteBar": bar_entity(minute) if minute else None,
        "dailyBar": bar_entity(today) if today else None,
        "prevDailyBar": bar_entity(before) if before else None,
    }
    return {name: part for name, part in found.items() if part is not None}


def _days(market: Market, symbol: str, now_us: int) -> tuple[Bar | None, Bar | None]:
    """The current day's bar, and the one before it."""
    index = market.sessions.last_index_opened_by(now_us)
    if index is None:
        return None, None
    session = market.sessions.session(index)
    before = market.daily_before(symbol, session.day)
    so_far = market.day_so_far(symbol, session, now_us)
    if so_far is not None:
        return so_far, before
    return before, market.daily_before(symbol, new_york(before.start_us).date()) if before else None
