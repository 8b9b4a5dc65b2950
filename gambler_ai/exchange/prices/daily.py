"""Daily bars: the real ones that the package ships, and seeded paths for symbols that have none."""

from __future__ import annotations

import gzip
from bisect import bisect_left
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gambler_ai.exchange.hashing import key, normals, uniforms
from gambler_ai.exchange.numbers import SCALE

DATA_FILE = Path(__file__).with_name("data") / "stocks.csv.gz"
CENT = 100


class DailyBars:
    """One symbol's days, oldest first; ``ohlcv`` has a row a day, prices in ten-thousandths."""

    def __init__(self, days: list[date], ohlcv: npt.NDArray[np.int64]) -> None:
        self.days = days
        self.ohlcv = ohlcv
        self.index_of = {day: index for index, day in enumerate(days)}

    def on(self, days: Sequence[date]) -> DailyBars:
        """Those of these days that there are."""
        rows = [self.index_of[day] for day in days if day in self.index_of]
        return DailyBars([self.days[row] for row in rows], self.ohlcv[rows])


@cache
def _text_by_symbol() -> dict[str, list[str]]:
    lines: dict[str, list[str]] = {}
    for line in gzip.decompress(DATA_FILE.read_bytes()).decode().splitlines()[1:]:
        symbol, rest = line.split(",", 1)
        lines.setdefault(symbol, []).append(rest)
    return lines


@cache
def real_bars(series: str) -> DailyBars:
    """The shipped bars of a series. Raises KeyError."""
    days: list[date] = []
    rows: list[tuple[int, ...]] = []
    for line in _text_by_symbol()[series]:
        day, open_, high, low, close, volume, _ = line.split(",")
        days.append(date.fromisoformat(day))
        prices = (round(float(text) * SCALE) for text in (open_, high, low, close))
        rows.append((*prices, int(volume)))
    return DailyBars(days, np.array(rows, dtype=np.int64))


def market_days() -> list[date]:
    """Every session from the first shipped day to the last: AAPL traded on all of them."""
    return real_bars("AAPL").days


def synthetic_bars(seed: int, symbol: str, days: Sequence[date], *, start: float, daily: float) -> DailyBars:
    """A seeded walk with open gaps, ranges and volumes; ``daily`` is the standard deviation of a day's
    move.
    """
    count = len(days)
    base = key(seed, "daily", symbol)
    noise = normals(base, (3, count))
    spread = uniforms(base + 1, (2, count))
    # A weak pull to the start keeps thirteen years of it between a dollar and the sky.
    level, path = 0.0, np.empty(count)
    for index in range(count):
        level += daily * noise[0, index] - 0.001 * level
        path[index] = level
    close = start * np.exp(path)
    before = np.concatenate(([start], close[:-1]))
    open_ = before * np.exp(0.3 * daily * noise[1])
    high = np.maximum(open_, close) * (1 + daily * (0.1 + 0.8 * spread[0]))
    low = np.minimum(open_, close) * (1 - daily * (0.1 + 0.8 * spread[1]))
    prices = (np.maximum(np.rint(np.stack([open_, high, low, close]) * 100), 1) * CENT).astype(np.int64)
    volume = np.rint(2e7 * np.exp(0.35 * noise[2]) * (0.6 + (high - low) / (2 * daily * before))).astype(np.int64)
    return DailyBars(list(days), np.column_stack([prices.T, volume]))


def split_bars(bars: DailyBars, day: date, ratio: Decimal) -> DailyBars:
    """The same bars, ``ratio`` times as many shares from ``day`` on, in whole cents."""
    ohlcv = bars.ohlcv.copy()
    first = bisect_left(bars.days, day)
    ohlcv[first:, :4] = np.maximum(np.rint(ohlcv[first:, :4] / (float(ratio) * CENT)), 1) * CENT
    ohlcv[first:, 4] = np.rint(ohlcv[first:, 4] * float(ratio))
    return DailyBars(bars.days, ohlcv)
