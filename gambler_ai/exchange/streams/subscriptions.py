"""Who wants which market data, and what a move of the market says to them (BEHAVIOUR 8). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gambler_ai.exchange.instants import MINUTE, from_us
from gambler_ai.exchange.prices.bars import Bar
from gambler_ai.exchange.prices.market import Market
from gambler_ai.exchange.prices.sessions import Session
from gambler_ai.exchange.wire.market_data import bar_entity, quote_entity, trade_entity

# This market has no halts, bands or late corrections: updatedBars, statuses and lulds are confirmed and stay silent.
CHANNELS = ("trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds")
EVERYTHING = "*"
MAX_SYMBOL = 32  # characters of a name; unknown names are taken, they just have no data

Subscription = Mapping[str, frozenset[str]]  # by channel
NOTHING: Subscription = {channel: frozenset() for channel in CHANNELS}


class Wish(msgspec.Struct, rename="camel"):
    """A message of a client, of whatever action; what an action does not use is absent."""

    action: str = ""
    key: str | None = None
    secret: str | None = None
    trades: list[str] | None = None
    quotes: list[str] | None = None
    bars: list[str] | None = None
    updated_bars: list[str] | None = None
    daily_bars: list[str] | None = None
    statuses: list[str] | None = None
    lulds: list[str] | None = None

    def symbols(self) -> dict[str, frozenset[str]]:
        """By channel. Raises ValueError for what can be no symbol."""
        lists = (
            self.trades, self.quotes, self.bars, self.updated_bars, self.daily_bars, self.statuses, self.lulds,
        )  # fmt: skip
        found = {channel: frozenset(names or ()) for channel, names in zip(CHANNELS, lists, strict=True)}
        if any(len(name) > MAX_SYMBOL for names in found.values() for name in names):
            raise ValueError("that is no symbol")
        return found


def widened(current: Subscription, wish: Wish) -> Subscription:
    """Raises ValueError."""
    more = wish.symbols()
    return {channel: current[channel] | more[channel] for channel in CHANNELS}


def narrowed(current: Subscription, wish: Wish) -> Subscription:
    """Raises ValueError."""
    less = wish.symbols()
    return {channel: current[channel] - less[channel] for channel in CHANNELS}


def count(subscription: Subscription) -> int:
    """Different symbols, over all channels."""
    return len(frozenset().union(*subscription.values()) - {EVERYTHING})


def confirmation(subscription: Subscription) -> dict[str, Any]:
    """The whole list; whoever has trades gets their corrections too."""
    lists: dict[str, Any] = {channel: sorted(names) for channel, names in subscription.items()}
    return {"T": "subscription", **lists, "corrections": lists["trades"], "cancelErrors": lists["trades"]}


def rows_of_move(market: Market, subscription: Subscription, begin_us: int, end_us: int) -> list[dict[str, Any]]:
    """What the subscribers hear of the market's move from one instant (excluded) to another (included).

    However far it moved: each minute bar that closed meanwhile, but only those of the newest session, and of
    trades, quotes and the day's bar only the last. So a market that is advanced by an hour in one call says
    sixty bars, one trade and one quote a symbol, and one that is advanced by a year says one day's bars.
    ``t`` is an aware datetime: each codec writes it in its own way.
    """
    index = market.sessions.last_index_opened_by(end_us)
    if index is None:
        return []
    session, rows = market.sessions.session(index), list[dict[str, Any]]()
    if begin_us < session.close_us and begin_us // MINUTE < end_us // MINUTE:
        rows += _bar_rows(market, subscription, session, begin_us, end_us)
    for_trades, for_quotes = _listed(market, subscription["trades"]), _listed(market, subscription["quotes"])
    for symbol in sorted(for_trades | for_quotes):
        tick = market.tick(symbol, end_us)
        if tick is None or tick.at_us <= begin_us:
            continue
        at = {"S": symbol, "t": from_us(tick.at_us)}
        if symbol in for_trades:
            rows.append({"T": "t"} | trade_entity(tick) | at)
        if symbol in for_quotes:
            rows.append({"T": "q"} | quote_entity(tick) | at)
    return rows


def _listed(market: Market, names: frozenset[str]) -> frozenset[str]:
    return frozenset(market.assets) if EVERYTHING in names else names & market.assets.keys()


def _bar_rows(
    market: Market, subscription: Subscription, session: Session, begin_us: int, end_us: int
) -> list[dict[str, Any]]:
    """Bars by the instant of their close, then the days so far."""
    for_minutes, for_days = _listed(market, subscription["bars"]), _listed(market, subscription["dailyBars"])
    minutes: list[tuple[int, str, Bar]] = []
    days: list[dict[str, Any]] = []
    for symbol in sorted(for_minutes | for_days):
        closed = [bar for bar in market.minute_bars(symbol, session) if bar.end_us <= end_us]
        fresh = [bar for bar in closed if bar.end_us > begin_us]
        if fresh and symbol in for_days:
            days.append(_row("d", symbol, _day_so_far(session, closed)))
        if symbol in for_minutes:
            minutes += [(bar.end_us, symbol, bar) for bar in fresh]
    return [_row("b", symbol, bar) for _, symbol, bar in sorted(minutes)] + days


def _row(kind: str, symbol: str, bar: Bar) -> dict[str, Any]:
    return {"T": kind, "S": symbol} | bar_entity(bar) | {"t": from_us(bar.start_us)}


def _day_so_far(session: Session, bars: Sequence[Bar]) -> Bar:
    volume = sum(bar.volume for bar in bars)
    value = sum(bar.vwap * bar.volume for bar in bars)
    return Bar(
        session.start_us, bars[-1].end_us, bars[0].open, max(bar.high for bar in bars), min(bar.low for bar in bars),
        bars[-1].close, volume, sum(bar.trades for bar in bars), value // volume if volume else bars[-1].close,
    )  # fmt: skip
