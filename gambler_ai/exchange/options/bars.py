"""Bars of contracts from their trades, as those of stocks are cut; no bar where nothing traded (BEHAVIOUR 6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import groupby
from typing import NamedTuple

from gambler_ai.exchange.instants import MINUTE, new_york, new_york_us
from gambler_ai.exchange.options.contracts import Contract
from gambler_ai.exchange.options.expiries import first_listed
from gambler_ai.exchange.options.market import OptionMarket, OptionTrade
from gambler_ai.exchange.prices.bars import Bar
from gambler_ai.exchange.prices.sessions import Session

_HOUR_MINUTES = 60


class Span(NamedTuple):
    """What is asked for, instants included, and what is known: nothing after ``now_us``."""

    start_us: int
    end_us: int
    now_us: int
    newest_first: bool


def sessions_of(options: OptionMarket, contract: Contract, span: Span, *, margin_days: int = 0) -> list[Session]:
    """Those that the contract could trade in, in the span's order."""
    days = options.underlyings.sessions.days
    first = new_york(max(span.start_us, 0)).date() - timedelta(days=margin_days)
    last = new_york(max(min(span.end_us, span.now_us), 0)).date() + timedelta(days=margin_days)
    first, last = max(first, first_listed(contract.expiry), days[0]), min(last, contract.expiry, days[-1])
    found = options.underlyings.sessions.between(first, last) if first <= last else []
    return found[::-1] if span.newest_first else found


def trades_between(options: OptionMarket, contract: Contract, span: Span) -> Iterator[OptionTrade]:
    """Trades inside the span, in its order."""
    until_us = min(span.end_us, span.now_us)
    for session in sessions_of(options, contract, span):
        found = [trade for trade in options.trades(contract, session, until_us) if trade.at_us >= span.start_us]
        yield from found[::-1] if span.newest_first else found


def bars_between(options: OptionMarket, contract: Contract, size: int, unit: str, span: Span) -> Iterator[Bar]:
    """Closed bars inside the span, in its order; ``unit`` is Min, Hour, Day, Week or Month."""
    for bar in _bars(options, contract, size, unit, span):
        if span.start_us <= bar.start_us <= span.end_us and bar.end_us <= span.now_us:
            yield bar


def _bars(options: OptionMarket, contract: Contract, size: int, unit: str, span: Span) -> Iterator[Bar]:
    if unit in ("Min", "Hour"):
        minutes = size * (_HOUR_MINUTES if unit == "Hour" else 1)
        for session in sessions_of(options, contract, span):
            found = list(_intraday(options, contract, session, minutes, span.now_us))
            yield from found[::-1] if span.newest_first else found
        return
    margin_days = 0 if unit == "Day" else 7 if unit == "Week" else 31 * size
    sessions = sessions_of(options, contract, span, margin_days=margin_days)
    for period, group in groupby(sessions, key=lambda session: _period(session.day, size, unit)):
        members = sorted(group)
        trades = [trade for session in members for trade in options.trades(contract, session, span.now_us)]
        if trades:
            yield _bar(new_york_us(period, 0, 0), members[-1].close_us, trades)


def _intraday(options: OptionMarket, contract: Contract, session: Session, minutes: int, now_us: int) -> Iterator[Bar]:
    trades = options.trades(contract, session, now_us)
    for number, group in groupby(trades, key=lambda trade: (trade.at_us - session.start_us) // (minutes * MINUTE)):
        start_us = session.start_us + number * minutes * MINUTE
        yield _bar(start_us, min(start_us + minutes * MINUTE, session.close_us), list(group))


def _period(day: date, size: int, unit: str) -> date:
    """The first day of the day, of the week or of the months."""
    if unit == "Day":
        return day
    if unit == "Week":
        return day - timedelta(days=day.weekday())
    return date(day.year, (day.month - 1) // size * size + 1, 1)


def _bar(start_us: int, end_us: int, trades: Sequence[OptionTrade]) -> Bar:
    prices = [trade.price for trade in trades]
    volume = sum(trade.size for trade in trades)
    value = sum(trade.price * trade.size for trade in trades)
    return Bar(start_us, end_us, prices[0], max(prices), min(prices), prices[-1], volume, len(trades), value // volume)


def day_start_us(us: int) -> int:
    """The midnight in New York that an instant's day began with."""
    return new_york_us(new_york(us).date(), 0, 0)
