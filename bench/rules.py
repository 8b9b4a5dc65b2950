"""The rules of the built-in strategies as they would be written for one symbol at a time: lists, pandas, TA-Lib.

Each takes a `Symbol` and gives "buy", "sell", "exit" or None, as the strategy does with the parameters in `STRATEGIES`.
What costs more is worked out only where the rest of the rule holds, as the strategies do it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gambler_ai.strategies.base import Strategy
from gambler_ai.strategies.breakout import Breakout
from gambler_ai.strategies.mean_reversion import MeanReversion
from gambler_ai.strategies.momentum import Momentum

MOMENTUM, BREAKOUT = Momentum(), Breakout()
REVERSION = MeanReversion(rsi_max=30.0, volume_ratio=1.5, max_bars=12)
STRATEGIES: dict[str, Strategy] = {"momentum": MOMENTUM, "mean reversion": REVERSION, "breakout": BREAKOUT}


class Symbol(Struct, frozen=True):
    """One symbol's bars three times over, what is held of it, and for how many bars.

    ``today``: how many of the bars are of the newest day.
    """

    name: str
    lists: dict[str, list[float]]
    arrays: dict[str, NDArray[np.float64]]
    table: Any  # a pandas.DataFrame
    held: int
    age: int
    today: int


Rule = Callable[[Symbol], str | None]


# -- momentum -------------------------------------------------------------------------------------


def _moved(change: float, ratio: float) -> str | None:
    if abs(change) < MOMENTUM.change_pct or ratio < MOMENTUM.volume_ratio:
        return None
    return "buy" if change > 0 else "sell"


def momentum_lists(of: Symbol) -> str | None:
    """Five bars and their volume."""
    close, volume = of.lists["close"], of.lists["volume"]
    change = round((close[-1] / close[-6] - 1) * 100, 6)
    return _moved(change, volume[-1] / (sum(volume[-21:-1]) / 20))


def momentum_pandas(of: Symbol) -> str | None:
    """The same on columns."""
    change = of.table["close"].pct_change(5).iloc[-1] * 100
    return _moved(round(change, 6), of.table["volume"].iloc[-1] / of.table["volume"].rolling(20).mean().iloc[-2])


def momentum_talib(of: Symbol) -> str | None:
    """The same through TA-Lib."""
    import talib

    volume = of.arrays["volume"]
    change = talib.ROC(of.arrays["close"], 5)[-1]
    return _moved(round(change, 6), volume[-1] / talib.SMA(volume, 20)[-2])


# -- mean reversion -------------------------------------------------------------------------------


def _reverted(of: Symbol, z: float) -> str | None:
    return "exit" if z * of.held >= -REVERSION.exit_z or of.age >= REVERSION.max_bars else None


def _stretched(z: float, rsi: float) -> str | None:
    if (rsi if z < 0 else 100 - rsi) > REVERSION.rsi_max:
        return None
    return "buy" if z < 0 else "sell"


def reversion_lists(of: Symbol) -> str | None:
    """Deviations, then volume, then the bar before, then Wilder's index value by value."""
    close, volume = of.lists["close"], of.lists["volume"]
    z = _z(close[-20:])
    if of.held:
        return _reverted(of, z)
    if abs(z) < 2 or volume[-1] / (sum(volume[-21:-1]) / 20) < 1.5 or abs(_z(close[-21:-1])) >= 2:
        return None
    return _stretched(z, _rsi(close, 14))


def reversion_pandas(of: Symbol) -> str | None:
    """The same on columns; an exponential mean of 1/14 is Wilder's once the beginning is forgotten."""
    close, volume = of.table["close"], of.table["volume"]
    window = close.rolling(20)
    z = (close - window.mean()) / window.std(ddof=0)
    if of.held:
        return _reverted(of, z.iloc[-1])
    if abs(z.iloc[-1]) < 2 or volume.iloc[-1] / volume.rolling(20).mean().iloc[-2] < 1.5 or abs(z.iloc[-2]) >= 2:
        return None
    change = close.diff()
    up = change.clip(lower=0).ewm(alpha=1 / 14, adjust=False).mean().iloc[-1]
    down = (-change).clip(lower=0).ewm(alpha=1 / 14, adjust=False).mean().iloc[-1]
    return _stretched(z.iloc[-1], 100 * up / (up + down))


def reversion_talib(of: Symbol) -> str | None:
    """The same through TA-Lib."""
    import talib

    close, volume = of.arrays["close"], of.arrays["volume"]
    mean, spread = talib.SMA(close, 20), talib.STDDEV(close, 20)
    z = (close[-1] - mean[-1]) / spread[-1]
    if of.held:
        return _reverted(of, z)
    if abs(z) < 2 or volume[-1] / talib.SMA(volume, 20)[-2] < 1.5 or abs((close[-2] - mean[-2]) / spread[-2]) >= 2:
        return None
    return _stretched(z, talib.RSI(close, 14)[-1])


def _z(window: list[float]) -> float:
    mean = sum(window) / len(window)
    return (window[-1] - mean) / math.sqrt(sum([(value - mean) ** 2 for value in window]) / len(window))


def _rsi(close: list[float], period: int) -> float:
    changes = [b - a for a, b in pairwise(close)]
    up = sum([c for c in changes[:period] if c > 0]) / period
    down = -sum([c for c in changes[:period] if c < 0]) / period
    for change in changes[period:]:
        up += (max(change, 0.0) - up) / period
        down += (max(-change, 0.0) - down) / period
    return 100 * up / (up + down)


# -- breakout -------------------------------------------------------------------------------------


def _broke(over: float, under: float, ratio: float, atr: float) -> str | None:
    if max(over, under) <= BREAKOUT.margin_atr * atr or ratio < BREAKOUT.volume_ratio:
        return None
    return "buy" if over > 0 else "sell"


def breakout_lists(of: Symbol) -> str | None:
    """The channel, then the true ranges value by value."""
    high, low, close, volume = (of.lists[name] for name in ("high", "low", "close", "volume"))
    if of.held:
        left = close[-1] < min(low[-11:-1]) if of.held > 0 else close[-1] > max(high[-11:-1])
        return "exit" if left else None
    over, under = close[-1] - max(high[-21:-1]), min(low[-21:-1]) - close[-1]
    if (over <= 0 and under <= 0) or of.today <= 20:
        return None
    return _broke(over, under, volume[-1] / (sum(volume[-21:-1]) / 20), _atr(high, low, close, 14))


def breakout_pandas(of: Symbol) -> str | None:
    """The same on columns."""
    high, low, close, volume = (of.table[name] for name in ("high", "low", "close", "volume"))
    last = close.iloc[-1]
    bars = 10 if of.held else 20
    over, under = last - high.rolling(bars).max().iloc[-2], low.rolling(bars).min().iloc[-2] - last
    if of.held:
        return "exit" if (under if of.held > 0 else over) > 0 else None
    if (over <= 0 and under <= 0) or of.today <= 20:
        return None
    before = close.shift()
    ranges = np.maximum(high, before) - np.minimum(low, before)
    atr = ranges.ewm(alpha=1 / 14, adjust=False).mean().iloc[-1]
    return _broke(over, under, volume.iloc[-1] / volume.rolling(20).mean().iloc[-2], atr)


def breakout_talib(of: Symbol) -> str | None:
    """The same through TA-Lib."""
    import talib

    high, low, close, volume = (of.arrays[name] for name in ("high", "low", "close", "volume"))
    bars = 10 if of.held else 20
    over, under = close[-1] - talib.MAX(high, bars)[-2], talib.MIN(low, bars)[-2] - close[-1]
    if of.held:
        return "exit" if (under if of.held > 0 else over) > 0 else None
    if (over <= 0 and under <= 0) or of.today <= 20:
        return None
    return _broke(over, under, volume[-1] / talib.SMA(volume, 20)[-2], talib.ATR(high, low, close, 14)[-1])


def _atr(high: list[float], low: list[float], close: list[float], period: int) -> float:
    ranges = [
        max(above, before) - min(below, before)
        for above, below, before in zip(high[1:], low[1:], close[:-1], strict=True)
    ]
    found = sum(ranges[:period]) / period
    for value in ranges[period:]:
        found += (value - found) / period
    return found


#: By strategy: in lists, in pandas, through TA-Lib.
PLAIN: dict[str, tuple[Rule, Rule, Rule]] = {
    "momentum": (momentum_lists, momentum_pandas, momentum_talib),
    "mean reversion": (reversion_lists, reversion_pandas, reversion_talib),
    "breakout": (breakout_lists, breakout_pandas, breakout_talib),
}
