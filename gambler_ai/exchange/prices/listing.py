"""What is listed, on which days it traded, and its daily bars."""

from __future__ import annotations

from bisect import bisect_left
from datetime import date
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from gambler_ai.exchange.instants import new_york
from gambler_ai.exchange.prices.assets import ASSETS, REAL, SPLITS, USER, Asset
from gambler_ai.exchange.prices.bars import SHARES_A_TRADE, Bar, Columns
from gambler_ai.exchange.prices.daily import DailyBars, market_days, real_bars, split_bars, synthetic_bars
from gambler_ai.exchange.prices.own import OwnMarket
from gambler_ai.exchange.prices.sessions import REGULAR_MINUTES, Session, Sessions


class Listing:
    """Symbols and their days. What happens inside a day is the ``Market``'s."""

    def __init__(self, seed: int, own: OwnMarket | None = None) -> None:
        """With bars of the user's own the market has their days and no others; what they do not have is as without
        them: shipped where a shipped day is one of theirs, else not listed; synthetic symbols on all of their days.
        """
        self.seed = seed
        self.own = own
        if own is None:
            self.sessions = Sessions(market_days())
        else:
            early = {session.day.isoformat() for session in own.sessions if session.minutes < REGULAR_MINUTES}
            self.sessions = Sessions([session.day for session in own.sessions], early)
        self.assets = _assets(own, self.sessions)
        shipped = {asset.series for asset in self.assets.values() if asset.label == REAL}
        days = set(self.sessions.days)
        #: (series, first day at the new price) -> new shares for one old: splits that the prices have in them.
        self.known_splits = {
            (name, day): ratio for (name, day), ratio in SPLITS.items() if name in shipped and day in days
        }
        self._by_id = {asset.id: asset for asset in self.assets.values()}
        self._daily: dict[str, DailyBars] = {}
        self._columns: dict[str, Columns] = {}
        self._splits: dict[str, list[tuple[date, Decimal]]] = {}

    @property
    def last_day(self) -> date:
        """After this day's close the market stays closed: the data end."""
        return self.sessions.days[-1]

    def find_asset(self, symbol_or_id: str) -> Asset | None:
        return self.assets.get(symbol_or_id.upper()) or self._by_id.get(symbol_or_id.lower())

    def label(self, symbol: str) -> str:
        """``real-daily``, ``synthetic`` or ``user``: where its daily prices come from. Pre-market and after-hours are
        synthetic. Raises KeyError for a symbol that is not listed.
        """
        return self.assets[symbol].label

    def labels(self) -> dict[str, str]:
        return {symbol: asset.label for symbol, asset in self.assets.items()}

    def listed(self, symbol: str, us: int) -> bool:
        """Does it trade now: it has had a price, and the data have not ended?"""
        days = self.daily(symbol).days
        index = self.sessions.first_index_closing_after(us)
        return index is not None and days[0] <= self.sessions.days[index] <= days[-1]

    def daily(self, symbol: str) -> DailyBars:
        asset: Asset = self.assets[symbol]
        found = self._daily.get(asset.series)
        if found is None:
            days = self.sessions.days
            if self.own is not None and asset.label == USER:
                found = self.own.symbols[asset.symbol].daily
            elif asset.label == REAL:
                found = real_bars(asset.series)
                found = found if self.own is None else found.on(days)
            else:
                found = synthetic_bars(self.seed, asset.series, days, start=asset.start, daily=asset.daily)
            for day, ratio in self._splits.get(asset.series, ()):
                found = split_bars(found, day, ratio)
            self._daily[asset.series] = found
        return found

    def split(self, series: str, day: date, ratio: Decimal) -> None:
        """From this day on its shares are others, and its prices with them."""
        self._splits.setdefault(series, []).append((day, ratio))
        self._daily.pop(series, None)
        self._columns.pop(series, None)

    def splits(self, series: str) -> list[tuple[date, Decimal]]:
        """First day in new shares, and new shares for one old: those of the prices and those of a plan."""
        real = [(day, Decimal(ratio)) for (name, day), ratio in self.known_splits.items() if name == series]
        return [*real, *self._splits.get(series, ())]

    def split_us(self, day: date) -> int:
        """The instant at which positions and orders become those of new shares: before the day's first trade."""
        return self.sessions.on(day).session_open_us - 1

    def last_close(self, symbol: str, us: int) -> int | None:
        """The close of the newest session that had closed when the New York day of ``us`` began."""
        index = self.sessions.last_index_opened_by(us)
        if index is not None and self.sessions.session(index).day == new_york(us).date():
            index -= 1
        daily = self.daily(symbol)
        while index is not None and index >= 0:
            row = daily.index_of.get(self.sessions.days[index])
            if row is not None:
                return self._adjusted(symbol, int(daily.ohlcv[row, 3]), self.sessions.days[index], us)
            if daily.days[0] > self.sessions.days[index]:
                return None
            index -= 1
        return None

    def _adjusted(self, symbol: str, close: int, day: date, us: int) -> int:
        """A day's close in the shares of an instant: what has been split between the two counts."""
        today = new_york(us).date()
        for on, ratio in self.splits(self.assets[symbol].series):
            if day < on <= today and us >= self.split_us(on):
                close = round(close / ratio)
        return close

    def daily_bar(self, symbol: str, session: Session) -> Bar | None:
        """The regular session, as Alpaca's daily bars are (pre-market and after-hours do not count)."""
        row = self.daily(symbol).index_of.get(session.day)
        return None if row is None else next(self.daily_columns(symbol).taken(slice(row, row + 1)).rows())

    def daily_before(self, symbol: str, day: date) -> Bar | None:
        """The bar of the newest day before this one."""
        row = bisect_left(self.daily(symbol).days, day)
        return next(self.daily_columns(symbol).taken(slice(row - 1, row)).rows()) if row else None

    def daily_columns(self, symbol: str) -> Columns:
        """All of its days. A bar starts at midnight in New York and is closed with the regular session."""
        series = self.assets[symbol].series
        found = self._columns.get(series)
        if found is None:
            daily = self.daily(symbol)
            sessions = [self.sessions.on(day) for day in daily.days]
            edges = np.array([(session.start_us, session.close_us) for session in sessions], dtype=np.int64).T
            open_, high, low, close, volume = daily.ohlcv.T
            vwap, trades = (open_ + high + low + close) // 4, np.maximum(volume // SHARES_A_TRADE, 1)
            found = self._columns[series] = Columns(edges[0], edges[1], open_, high, low, close, volume, trades, vwap)
        return found

    def share_factor(self, symbol: str, day: date, us: int) -> float:
        """How many shares of an instant one of a day has become."""
        factor = 1.0
        for on, ratio in self.splits(self.assets[symbol].series):
            if day < on and us >= self.split_us(on):
                factor *= float(ratio)
        return factor

    def share_factors(self, symbol: str, us: int) -> npt.NDArray[np.float64]:
        """The same for each of its days."""
        return np.array([self.share_factor(symbol, day, us) for day in self.daily(symbol).days])


def _assets(own: OwnMarket | None, sessions: Sessions) -> dict[str, Asset]:
    """What is listed, by symbol. The user's bars win over those of the same name."""
    if own is None:
        return dict(ASSETS)
    days = set(sessions.days)
    kept = {
        asset.symbol: asset
        for asset in ASSETS.values()
        if asset.label != REAL or not days.isdisjoint(real_bars(asset.series).days)
    }
    for symbol in own.symbols:
        known = ASSETS.get(symbol)
        name, exchange = (known.name, known.exchange) if known else (symbol, "NASDAQ")
        kept[symbol] = Asset(symbol, name, exchange, USER, f"user:{symbol}")
    return dict(sorted(kept.items()))
