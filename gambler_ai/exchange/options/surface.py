"""What volatility a contract is quoted at. A model, not data: smooth, seeded, and blind to what is to come.

Level: the deviation of the daily closes known this morning, 20 days of it (S) and 250 of it (L), times 1.08, which is
about what options ask for above what happens, times a factor of 0.95 to 1.10 that the seed gives the underlying.
Term: variance falls from S squared to L squared with a time constant of a quarter of a year.
Smile: with x = ln(K / spot) / sqrt(T), T at least a week and x at most 1.5 either way, times 1 - 0.15 x + 0.25 x x.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from datetime import date
from typing import NamedTuple

import numpy as np

from gambler_ai.exchange.hashing import chance
from gambler_ai.exchange.prices.market import Market

SHORT_DAYS, LONG_DAYS, DAYS_A_YEAR = 20, 250, 252
PREMIUM, TERM_YEARS = 1.08, 0.25
SKEW, CURVATURE, FARTHEST = 0.15, 0.25, 1.5
WEEK_YEARS = 7 / 365
UNKNOWN, LOWEST, HIGHEST = 0.40, 0.05, 3.0  # of a symbol with less than five returns; bounds of everything
_RETURNS_LEAST = 5
MAX_CACHED = 4_096


class Level(NamedTuple):
    """Volatilities a year of an underlying, on a day."""

    short: float
    long: float

    def at_the_money(self, years: float) -> float:
        weight = math.exp(-years / TERM_YEARS)
        return math.sqrt(self.long**2 + (self.short**2 - self.long**2) * weight)


def smile(moneyness: float, years: float) -> float:
    """What the strike makes of the volatility at the money. ``moneyness`` is ln(strike / spot)."""
    x = moneyness / math.sqrt(max(years, WEEK_YEARS))
    x = min(max(x, -FARTHEST), FARTHEST)
    return 1.0 - SKEW * x + CURVATURE * x * x


class Surface:
    """Volatilities of one market, for one seed."""

    def __init__(self, market: Market, seed: int) -> None:
        self._market = market
        self._seed = seed
        self._levels: dict[tuple[str, date], Level] = {}

    def level(self, underlying: str, day: date) -> Level:
        """From the closes of the days before a trading day."""
        found = self._levels.get((underlying, day))
        if found is None:
            if len(self._levels) >= MAX_CACHED:
                self._levels.clear()
            found = self._levels[underlying, day] = self._computed(underlying, day)
        return found

    def _computed(self, underlying: str, today: date) -> Level:
        bars, series = self._market.daily(underlying), self._market.assets[underlying].series
        end = bisect_left(bars.days, today)
        first = max(end - LONG_DAYS - 1, 0)
        closes = np.log(bars.ohlcv[first:end, 3].astype(np.float64))
        moves = np.diff(closes)
        for day, ratio in self._market.splits(series):
            place = bisect_left(bars.days, day) - first - 1
            if 0 <= place < moves.size:
                moves[place] += math.log(float(ratio))
        if moves.size < _RETURNS_LEAST:
            return Level(UNKNOWN, UNKNOWN)
        year = math.sqrt(DAYS_A_YEAR) * PREMIUM * (0.95 + 0.15 * chance(self._seed, "volatility", series))
        deviations = float(np.std(moves[-SHORT_DAYS:])) * year, float(np.std(moves)) * year
        return Level(*(min(max(deviation, LOWEST), HIGHEST) for deviation in deviations))

    def volatility(self, underlying: str, day: date, *, spot: float, strike: float, years: float) -> float:
        """A year's, as a fraction, on a trading day."""
        found = self.level(underlying, day).at_the_money(years) * smile(math.log(strike / spot), years)
        return min(max(found, LOWEST), HIGHEST)
