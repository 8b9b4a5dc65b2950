"""Where prices come from: ticks, quotes and bars of any listed symbol at any instant, computed when asked
for.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import NamedTuple, TypeVar

import numpy as np

from gambler_ai.exchange.hashing import key
from gambler_ai.exchange.instants import MINUTE, SECOND
from gambler_ai.exchange.prices import bars, extended
from gambler_ai.exchange.prices.assets import USER
from gambler_ai.exchange.prices.bars import Bar, Columns, Minutes
from gambler_ai.exchange.prices.bridge import TICK_SECONDS, TICKS_A_MINUTE, Day, spread_day
from gambler_ai.exchange.prices.daily import CENT, DailyBars
from gambler_ai.exchange.prices.extended import Trades
from gambler_ai.exchange.prices.listing import Listing
from gambler_ai.exchange.prices.own import OwnMarket, trades_of
from gambler_ai.exchange.prices.sessions import Session

MAX_CACHED_DAYS = 512  # about 16 KB each: 8 MB
MAX_CACHED_TRADES = 128  # whole days of single trades, and of minutes; about 45 KB each: 12 MB
_THIN_CENTS = 5  # a quote outside regular hours is this many times as wide

V = TypeVar("V")


class Cache(OrderedDict[Hashable, V]):
    """What was computed last; the oldest goes first."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def get_or(self, place: Hashable, compute: Callable[[], V]) -> V:
        found = self.get(place)
        if found is not None:
            self.move_to_end(place)
            return found
        made = self[place] = compute()
        if len(self) > self.limit:
            self.popitem(last=False)
        return made

    def forget(self, series: str) -> None:
        """All places that begin with this series."""
        for place in [place for place in self if isinstance(place, tuple) and place[0] == series]:
            del self[place]


class Tick(NamedTuple):
    """The last trade and the quote around it; prices in ten-thousandths."""

    at_us: int
    last: int
    bid: int
    ask: int
    size: int
    regular: bool = True  # of regular hours; else pre-market or after-hours


def quote_around(last: int, *, regular: bool = True) -> tuple[int, int]:
    """Bid and ask: a cent, or one basis point where that is more, on each side, in whole cents; five times as much
    outside regular hours.
    """
    half = max(CENT, last // 10_000 // CENT * CENT) * (1 if regular else _THIN_CENTS)
    bid = max((last - half) // CENT * CENT, CENT)
    return bid, -((-last - half) // CENT) * CENT


class Market(Listing):
    """Prices are a function of (seed, symbol, day): nothing is stored, bounded caches keep what was computed."""

    def __init__(self, seed: int, own: OwnMarket | None = None) -> None:
        super().__init__(seed, own)
        self._days: Cache[Day] = Cache(MAX_CACHED_DAYS)
        limit = max(MAX_CACHED_TRADES, 2 * len(self.assets))  # a stream of all symbols goes through them by turns
        self._trades: Cache[Trades] = Cache(limit)
        self._minutes: Cache[Minutes] = Cache(limit)

    def split(self, series: str, day: date, ratio: Decimal) -> None:
        super().split(series, day, ratio)
        for cache in (self._days, self._trades, self._minutes):
            cache.forget(series)

    def day(self, symbol: str, session: Session) -> Day | None:
        """The ticks of a regular session; None when the symbol did not trade that day."""
        series = self.assets[symbol].series
        daily = self.daily(symbol)
        row = daily.index_of.get(session.day)
        if row is None:
            return None

        def spread() -> Day:
            open_, high, low, close, volume = daily.ohlcv[row].tolist()
            seed = key(self.seed, "bridge", series, session.day)
            return spread_day(seed, (open_, high, low, close), volume, session.minutes)

        return self._days.get_or((series, session.day), spread)

    def trades(self, symbol: str, session: Session) -> Trades | None:
        """Every trade of a day, pre-market and after-hours too; None when the symbol did not trade that day."""
        told = self._told_minutes(symbol, session)
        if told is not None:
            return self._trades.get_or((self.assets[symbol].series, session.day), lambda: trades_of(told))
        day = self.day(symbol, session)
        if day is None:
            return None

        def whole() -> Trades:
            before, after = self._around(symbol, session)
            return extended.joined((before, regular_trades(day, session), after))

        return self._trades.get_or((self.assets[symbol].series, session.day), whole)

    def _told_minutes(self, symbol: str, session: Session) -> Minutes | None:
        """Those of the user's own minute bars, in the shares of the day. Nothing is made up beside them."""
        asset = self.assets[symbol]
        if self.own is None or asset.label != USER:
            return None
        minutes = self.own.symbols[symbol].minutes.get(session.day)
        factor = 1.0
        for on, ratio in self._splits.get(asset.series, ()):
            factor *= float(ratio) if session.day >= on else 1.0
        return minutes if minutes is None or factor == 1.0 else minutes.scaled(factor)

    def _around(self, symbol: str, session: Session) -> tuple[Trades, Trades]:
        """What is traded before the open and after the close."""
        daily, series = self.daily(symbol), self.assets[symbol].series
        row = daily.index_of[session.day]
        open_, high, low, close, volume = daily.ohlcv[row].tolist()
        bar = (open_, high, low, close)
        before = float(self._evening_before(symbol, row, open_))
        minutes = (session.open_us - session.session_open_us) // MINUTE
        seed = key(self.seed, "pre-market", series, session.day)
        return (
            extended.pre_market(seed, before, bar, volume, session.session_open_us, minutes),
            self._evening(series, daily, row, session),
        )

    def _evening(self, series: str, daily: DailyBars, row: int, session: Session) -> Trades:
        open_, high, low, close, volume = daily.ohlcv[row].tolist()
        seed = key(self.seed, "after-hours", series, session.day)
        minutes = (session.session_close_us - session.close_us) // MINUTE
        return extended.after_hours(seed, (open_, high, low, close), volume, session.close_us, minutes)

    def _evening_before(self, symbol: str, row: int, otherwise: int) -> int:
        """The last trade of the day before, in the shares of this day."""
        if row == 0:
            return otherwise
        daily, series = self.daily(symbol), self.assets[symbol].series
        eve, today = daily.days[row - 1], daily.days[row]
        session = self.sessions.on(eve)
        last = int(self._evening(series, daily, row - 1, session).prices[-1])
        for day, ratio in self.splits(series):
            if eve < day <= today:
                last = round(last / ratio)
        return last

    def tick(self, symbol: str, us: int) -> Tick | None:
        """The last trade at or before ``us``, of whatever hours; None when there never was one."""
        index = self.sessions.last_index_opened_by(us, extended=True)
        first = self.daily(symbol).days[0]
        while index is not None and index >= 0 and self.sessions.days[index] >= first:
            session = self.sessions.session(index)
            trades = self.trades(symbol, session)
            if trades is not None:
                place = int(np.searchsorted(trades.at_us, us, side="right")) - 1
                if place >= 0:
                    return _tick(session, *(int(column[place]) for column in trades))
            index -= 1
        return None

    def ticks(self, symbol: str, session: Session, after_us: int, until_us: int) -> Iterator[Tick]:
        """The trades of a day from one instant (excluded) to another (included), oldest first."""
        trades = self.trades(symbol, session)
        if trades is None:
            return
        span = slice(*np.searchsorted(trades.at_us, (after_us, until_us), side="right").tolist())
        for row in zip(*(column[span].tolist() for column in trades), strict=True):
            yield _tick(session, *row)

    def regular_ends(self, symbol: str, session: Session, until_us: int) -> list[Tick]:
        """The first trade of a day's regular hours and the last one up to an instant; one where they are the same."""
        trades = self.trades(symbol, session)
        if trades is None:
            return []
        until_us = min(session.close_us, until_us)
        begin, end = np.searchsorted(trades.at_us, (session.open_us - 1, until_us), side="right").tolist()
        rows = sorted({begin, end - 1}) if begin < end else []
        return [_tick(session, *(int(column[row]) for column in trades)) for row in rows]

    def minutes(self, symbol: str, session: Session) -> Minutes | None:
        """The minutes of a day, pre-market and after-hours too; None when the symbol did not trade that day."""
        told = self._told_minutes(symbol, session)
        if told is not None:
            return told
        day = self.day(symbol, session)
        if day is None:
            return None

        def whole() -> Minutes:
            before, after = map(bars.traded_minutes, self._around(symbol, session))
            return bars.joined_minutes((before, bars.regular_minutes(day, session), after))

        return self._minutes.get_or((self.assets[symbol].series, session.day), whole)

    def columns(self, symbol: str, session: Session, size: int = 1) -> Columns:
        """Bars of ``size`` minutes, on the marks of the clock in New York, of the whole day."""
        minutes = self.minutes(symbol, session)
        if minutes is None:
            return bars.columns_of(())
        return bars.cut(minutes, size, session.start_us, session.session_close_us)

    def minute_bars(self, symbol: str, session: Session, size: int = 1) -> Sequence[Bar]:
        """The same of the regular session alone, and cut to it."""
        minutes = self.minutes(symbol, session)
        if minutes is None:
            return ()
        regular = minutes.between(session.open_us, session.close_us)
        return tuple(bars.cut(regular, size, session.start_us, session.close_us).rows())

    def last_minute(self, symbol: str, us: int) -> Bar | None:
        """The newest minute that has closed, of whatever hours."""
        index, first = self.sessions.last_index_opened_by(us, extended=True), self.daily(symbol).days[0]
        while index is not None and index >= 0 and self.sessions.days[index] >= first:
            session = self.sessions.session(index)
            minutes = self.minutes(symbol, session)
            if minutes is not None:
                place = int(np.searchsorted(minutes.start_us, us - MINUTE, side="right"))
                if place:
                    return bars.minute_rows(Minutes._make(column[place - 1 : place] for column in minutes))[0]
            index -= 1
        return None

    def day_so_far(self, symbol: str, session: Session, us: int) -> Bar | None:
        """A day's bar of the regular minutes that have closed; None before the first."""
        minutes = self.minutes(symbol, session)
        regular = minutes.between(session.open_us, min(session.close_us, us - MINUTE + 1)) if minutes else None
        if regular is None or not regular.start_us.size:
            return None
        return next(bars.cut(regular, 24 * 60, session.start_us, us).rows())._replace(start_us=session.start_us)


_OFFSETS = np.array(TICK_SECONDS, dtype=np.int64) * SECOND


def regular_trades(day: Day, session: Session) -> Trades:
    """Four trades a minute, which share its volume."""
    begin = session.open_us + np.arange(session.minutes, dtype=np.int64) * MINUTE
    sizes = np.repeat(day.volumes // TICKS_A_MINUTE, TICKS_A_MINUTE)
    sizes[TICKS_A_MINUTE - 1 :: TICKS_A_MINUTE] += day.volumes % TICKS_A_MINUTE
    return Trades((begin[:, None] + _OFFSETS).ravel(), day.prices, np.maximum(sizes, 1))


def _tick(session: Session, at_us: int, last: int, size: int) -> Tick:
    regular = session.open_us <= at_us < session.close_us
    return Tick(at_us, last, *quote_around(last, regular=regular), size, regular)
