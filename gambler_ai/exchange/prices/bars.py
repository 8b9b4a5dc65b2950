"""Bars: one as a row, many as columns. Pure arithmetic over whole ten-thousandths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from gambler_ai.exchange.instants import MINUTE
from gambler_ai.exchange.prices.bridge import TICKS_A_MINUTE, Day, Floats, Ints
from gambler_ai.exchange.prices.daily import CENT
from gambler_ai.exchange.prices.extended import Trades
from gambler_ai.exchange.prices.sessions import Session

SHARES_A_TRADE = 150  # a minute's trades are more than the four that are made up; about so many shares each


class Bar(NamedTuple):
    """One bar; prices in ten-thousandths; ``vwap`` too. ``end_us`` is when it is closed."""

    start_us: int
    end_us: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    trades: int
    vwap: int


class Columns(NamedTuple):
    """Bars, oldest first: an array for each field of ``Bar``."""

    start_us: Ints
    end_us: Ints
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints
    trades: Ints
    vwap: Ints

    def rows(self) -> Iterator[Bar]:
        return map(Bar, *(column.tolist() for column in self))

    def taken(self, chosen: Ints | slice) -> Columns:
        """Those at some places."""
        return Columns(*(column[chosen] for column in self))

    def scaled(self, factor: Floats | float) -> Columns:
        """In other shares: ``factor`` of them for each one of before, one number or one a bar."""
        open_, high, low, close, vwap = (
            np.rint(column / factor).astype(np.int64)
            for column in (self.open, self.high, self.low, self.close, self.vwap)
        )
        volume = np.rint(self.volume * factor).astype(np.int64)
        return self._replace(open=open_, high=high, low=low, close=close, volume=volume, vwap=vwap)


def columns_of(bars: Sequence[Bar]) -> Columns:
    return Columns(*np.array(bars, dtype=np.int64).reshape(-1, len(Bar._fields)).T)


def joined(parts: Sequence[Columns]) -> Columns:
    """One after the other."""
    return Columns(*(np.concatenate(fields) for fields in zip(*parts, strict=True))) if parts else columns_of(())


def merged(bars: Columns, first: Ints) -> Columns:
    """One bar of all from each place of ``first`` to the next."""
    last = np.append(first[1:], bars.start_us.size) - 1
    volume, value = np.add.reduceat(bars.volume, first), np.add.reduceat(bars.vwap * bars.volume, first)
    close = bars.close[last]
    return Columns(
        bars.start_us[first], bars.end_us[last], bars.open[first], np.maximum.reduceat(bars.high, first),
        np.minimum.reduceat(bars.low, first), close, volume, np.add.reduceat(bars.trades, first),
        np.where(volume > 0, value // np.maximum(volume, 1), close),
    )  # fmt: skip


class Minutes(NamedTuple):
    """The minutes of one day that have trades, oldest first. ``value`` is what was paid, in ten-thousandths;
    ``prints`` counts trades, and ``crowd`` is the volume that many more, unseen ones would make.
    """

    start_us: Ints
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints
    value: Floats
    prints: Ints
    crowd: Ints

    def scaled(self, factor: float) -> Minutes:
        """In other shares, as ``Columns.scaled``; in whole cents, as prices after a split are."""
        prices = (self.open, self.high, self.low, self.close)
        open_, high, low, close = (np.maximum(np.rint(p / (factor * CENT)), 1).astype(np.int64) * CENT for p in prices)
        volume, crowd = (np.rint(column * factor).astype(np.int64) for column in (self.volume, self.crowd))
        return Minutes(self.start_us, open_, high, low, close, volume, self.value, self.prints, crowd)

    def between(self, begin_us: int, end_us: int) -> Minutes:
        """Those that start in a span, its end excluded."""
        span = slice(*np.searchsorted(self.start_us, (begin_us, end_us)).tolist())
        return Minutes._make(column[span] for column in self)


def regular_minutes(day: Day, session: Session) -> Minutes:
    """Every minute of the regular session, from its four ticks."""
    prices, volume = day.prices.reshape(-1, TICKS_A_MINUTE), day.volumes
    begin = session.open_us + np.arange(session.minutes, dtype=np.int64) * MINUTE
    prints = np.full(session.minutes, TICKS_A_MINUTE, dtype=np.int64)
    return Minutes(
        begin, prices[:, 0], prices.max(axis=1), prices.min(axis=1), prices[:, -1], volume,
        prices.mean(axis=1) * volume, prints, volume,
    )  # fmt: skip


def traded_minutes(trades: Trades) -> Minutes:
    """The minutes that these trades make."""
    minute = trades.at_us // MINUTE * MINUTE
    first = np.flatnonzero(np.append(True, minute[1:] != minute[:-1]))
    last = np.append(first[1:], minute.size) - 1
    volume = np.add.reduceat(trades.sizes, first)
    value = np.add.reduceat((trades.prices * trades.sizes).astype(np.float64), first)
    return Minutes(
        minute[first], trades.prices[first], np.maximum.reduceat(trades.prices, first),
        np.minimum.reduceat(trades.prices, first), trades.prices[last], volume, value, last - first + 1,
        np.zeros(first.size, dtype=np.int64),
    )  # fmt: skip


def joined_minutes(parts: Sequence[Minutes]) -> Minutes:
    """One after the other."""
    return Minutes._make(np.concatenate(columns) for columns in zip(*parts, strict=True))


def minute_rows(minutes: Minutes) -> list[Bar]:
    """A bar a minute; quicker than ``cut`` for a few."""
    found: list[Bar] = []
    rows = zip(*(column.tolist() for column in minutes), strict=True)
    for start, open_, high, low, close, volume, value, prints, crowd in rows:
        trades, vwap = max(prints, crowd // SHARES_A_TRADE), round(value / volume) if volume else close
        found.append(Bar(start, start + MINUTE, open_, high, low, close, volume, trades, vwap))
    return found


def cut(minutes: Minutes, size: int, midnight_us: int, closed_us: int) -> Columns:
    """Bars of ``size`` minutes on the marks of the clock, from midnight; the last is cut at ``closed_us``."""
    if not minutes.start_us.size:
        return columns_of(())
    width = size * MINUTE
    mark = (minutes.start_us - midnight_us) // width
    first = np.flatnonzero(np.append(True, mark[1:] != mark[:-1]))
    last = np.append(first[1:], mark.size) - 1
    begin, close = midnight_us + mark[first] * width, minutes.close[last]
    volume, value = np.add.reduceat(minutes.volume, first), np.add.reduceat(minutes.value, first)
    vwap = np.where(volume > 0, np.rint(value / np.maximum(volume, 1)), close).astype(np.int64)
    trades = np.maximum(np.add.reduceat(minutes.prints, first), np.add.reduceat(minutes.crowd, first) // SHARES_A_TRADE)
    return Columns(
        begin, np.minimum(begin + width, closed_us), minutes.open[first], np.maximum.reduceat(minutes.high, first),
        np.minimum.reduceat(minutes.low, first), close, volume, trades, vwap,
    )  # fmt: skip
