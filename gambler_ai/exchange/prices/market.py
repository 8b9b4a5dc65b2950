"""Where prices come from: ticks, quotes and bars of any listed symbol at any instant, computed when asked
for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from gambler_ai.exchange.hashing import key
from gambler_ai.exchange.instants import MINUTE, SECOND, new_york
from gambler_ai.exchange.prices.assets import ASSETS, REAL, SPLITS, Asset
from gambler_ai.exchange.prices.bridge import TICK_SECONDS, TICKS_A_MINUTE, Day, spread_day
from gambler_ai.exchange.prices.daily import CENT, DailyBars, market_days, real_bars, split_bars, synthetic_bars
from gambler_ai.exchange.prices.sessions import Session, Sessions

MAX_CACHED_DAYS = 512  # about 16 KB each: 8 MB
MAX_CACHED_BARS = 32  # days of bars of one size, about 60 KB each: 2 MB


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


class Tick(NamedTuple):
    """The last trade and the quote around it; prices in ten-thousandths."""

    at_us: int
    last: int
    bid: int
    ask: int
    size: int


def quote_around(last: int) -> tuple[int, int]:
    """Bid and ask: a cent, or one basis point where that is more, on each side, in whole cents."""
    half = max(CENT, last // 10_000 // CENT * CENT)
    bid = max((last - half) // CENT * CENT, CENT)
    return bid, -((-last - half) // CENT) * CENT


def tick_instant(session: Session, index: int) -> int:
    minute, part = divmod(index, TICKS_A_MINUTE)
    return session.open_us + minute * MINUTE + TICK_SECONDS[part] * SECOND


def ticks_until(session: Session, us: int) -> int:
    """How many ticks of the session have happened by ``us``, that instant included."""
    if us < session.open_us:
        return 0
    minute, rest = divmod(us - session.open_us, MINUTE)
    if minute >= session.minutes:
        return session.minutes * TICKS_A_MINUTE
    return minute * TICKS_A_MINUTE + sum(rest >= second * SECOND for second in TICK_SECONDS)


class Market:
    """Prices are a function of (seed, symbol, day): nothing is stored, a bounded cache keeps what was
    computed.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.sessions = Sessions(market_days())
        self._daily: dict[str, DailyBars] = {}
        self._days: OrderedDict[tuple[str, date], Day] = OrderedDict()
        self._splits: dict[str, list[tuple[date, Decimal]]] = {}
        self._bars: OrderedDict[tuple[str, date, int], tuple[Bar, ...]] = OrderedDict()

    @property
    def last_day(self) -> date:
        """After this day's close the market stays closed: the data end."""
        return self.sessions.days[-1]

    def label(self, symbol: str) -> str:
        """``real-daily`` or ``synthetic``. Raises KeyError for a symbol that is not listed."""
        return ASSETS[symbol].label

    def labels(self) -> dict[str, str]:
        return {symbol: asset.label for symbol, asset in ASSETS.items()}

    def daily(self, symbol: str) -> DailyBars:
        asset: Asset = ASSETS[symbol]
        found = self._daily.get(asset.series)
        if found is None:
            if asset.label == REAL:
                found = real_bars(asset.series)
            else:
                days = self.sessions.days
                found = synthetic_bars(self._seed, asset.series, days, start=asset.start, daily=asset.daily)
            for day, ratio in self._splits.get(asset.series, ()):
                found = split_bars(found, day, ratio)
            self._daily[asset.series] = found
        return found

    def split(self, series: str, day: date, ratio: Decimal) -> None:
        """From this day on its shares are others, and its prices with them."""
        self._splits.setdefault(series, []).append((day, ratio))
        self._daily.pop(series, None)
        for spread in [spread for spread in self._days if spread[0] == series]:
            del self._days[spread]
        for cut in [cut for cut in self._bars if cut[0] == series]:
            del self._bars[cut]

    def day(self, symbol: str, session: Session) -> Day | None:
        """The ticks of a session; None when the symbol did not trade that day."""
        place = (ASSETS[symbol].series, session.day)
        found = self._days.get(place)
        if found is not None:
            self._days.move_to_end(place)
            return found
        bars = self.daily(symbol)
        row = bars.index_of.get(session.day)
        if row is None:
            return None
        open_, high, low, close, volume = bars.ohlcv[row].tolist()
        seed = key(self._seed, "bridge", *place)
        found = self._days[place] = spread_day(seed, (open_, high, low, close), volume, session.minutes)
        if len(self._days) > MAX_CACHED_DAYS:
            self._days.popitem(last=False)
        return found

    def listed(self, symbol: str, us: int) -> bool:
        """Does it trade now: it has had a price, and the data have not ended?"""
        bars = self.daily(symbol)
        index = self.sessions.first_index_closing_after(us)
        return index is not None and bars.days[0] <= self.sessions.days[index] <= bars.days[-1]

    def tick(self, symbol: str, us: int) -> Tick | None:
        """The last trade at or before ``us``; None when there never was one."""
        index = self.sessions.last_index_opened_by(us)
        while index is not None and index >= 0:
            session = self.sessions.session(index)
            day = self.day(symbol, session)
            if day is not None:
                place = ticks_until(session, us) - 1
                last = int(day.prices[place])
                bid, ask = quote_around(last)
                size = max(1, int(day.volumes[place // TICKS_A_MINUTE]) // TICKS_A_MINUTE)
                return Tick(tick_instant(session, place), last, bid, ask, size)
            if self.daily(symbol).days[0] > session.day:
                return None
            index -= 1
        return None

    def last_close(self, symbol: str, us: int) -> int | None:
        """The close of the newest session that had closed when the New York day of ``us`` began."""
        index = self.sessions.last_index_opened_by(us)
        if index is not None and self.sessions.session(index).day == new_york(us).date():
            index -= 1
        bars = self.daily(symbol)
        while index is not None and index >= 0:
            row = bars.index_of.get(self.sessions.days[index])
            if row is not None:
                return self._adjusted(symbol, int(bars.ohlcv[row, 3]), self.sessions.days[index], us)
            if bars.days[0] > self.sessions.days[index]:
                return None
            index -= 1
        return None

    def all_splits(self, symbol: str) -> list[tuple[date, Decimal]]:
        """First day at the new price, and new shares for one old: those of the prices, then the planned ones."""
        series = ASSETS[symbol].series
        real = [(on, Decimal(ratio)) for (name, on), ratio in SPLITS.items() if name == series]
        return [*real, *self._splits.get(series, ())]

    def splits_by(self, symbol: str, us: int) -> list[tuple[date, Decimal]]:
        """Those that an instant has behind it, oldest first."""
        today, days = new_york(us).date(), self.sessions.days
        past = [split for split in self.all_splits(symbol) if split[0] <= today]
        return sorted(split for split in past if us >= self.sessions.session(bisect_left(days, split[0])).open_us - 1)

    def _adjusted(self, symbol: str, close: int, day: date, us: int) -> int:
        """A day's close in the shares of an instant: what has been split between the two counts."""
        for on, ratio in self.splits_by(symbol, us):
            if day < on:
                close = round(close / ratio)
        return close

    def minute_bars(self, symbol: str, session: Session, size: int = 1) -> Sequence[Bar]:
        """Bars of ``size`` minutes, on the marks of the clock in New York, cut to the session."""
        place = (ASSETS[symbol].series, session.day, size)
        found = self._bars.get(place)
        if found is None:
            day = self.day(symbol, session)
            found = self._bars[place] = tuple(_minute_bars(day, session, size)) if day is not None else ()
            if len(self._bars) > MAX_CACHED_BARS:
                self._bars.popitem(last=False)
        return found

    def daily_bar(self, symbol: str, session: Session) -> Bar | None:
        bars = self.daily(symbol)
        row = bars.index_of.get(session.day)
        if row is None:
            return None
        open_, high, low, close, volume = bars.ohlcv[row].tolist()
        vwap = (open_ + high + low + close) // 4
        return Bar(session.start_us, session.close_us, open_, high, low, close, volume, max(1, volume // 150), vwap)


def _minute_bars(day: Day, session: Session, size: int) -> list[Bar]:
    prices = day.prices.reshape(-1, TICKS_A_MINUTE)
    lead = (session.open_us - session.start_us) // MINUTE % size
    edges = [0, *range(size - lead, session.minutes, size)]
    starts = np.array(edges)
    highs = np.maximum.reduceat(prices.max(axis=1), starts).tolist()
    lows = np.minimum.reduceat(prices.min(axis=1), starts).tolist()
    volumes = np.add.reduceat(day.volumes, starts).tolist()
    value = np.add.reduceat(prices.mean(axis=1) * day.volumes, starts).tolist()
    bars: list[Bar] = []
    for place, first in enumerate(edges):
        last = edges[place + 1] if place + 1 < len(edges) else session.minutes
        open_, close, volume = int(prices[first, 0]), int(prices[last - 1, -1]), volumes[place]
        vwap = round(value[place] / volume) if volume else close
        begin = session.open_us + (first - (lead if place == 0 else 0)) * MINUTE
        end = session.open_us + last * MINUTE
        trades = max((last - first) * TICKS_A_MINUTE, volume // 150)
        bars.append(Bar(begin, end, open_, highs[place], lows[place], close, volume, trades, vwap))
    return bars
