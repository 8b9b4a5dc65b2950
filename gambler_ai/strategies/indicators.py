"""Indicators of all symbols at once. Pure NumPy, for strategies: ours and your own.

An argument is an array (bars, symbols), oldest bar first, NaN above a symbol's first bar, as a `BarFrame` holds it. An
answer has the same shape: row i is what was known when bar i closed, NaN where a symbol's history is too short. No
symbol touches another.

Warm-up. A window of n bars answers from a symbol's n-th bar on, and forgets what lies before it. A smoothed average
(`ema`, `wilder`, and so `atr`, `rsi`) begins as the plain mean of its first n values, answers from there, and never
forgets that beginning altogether: what it answers depends on where the array begins. After `wilder_bars(n)` values
(`ema_bars(n)`) the beginning weighs no more than `FORGOTTEN`. `atr` and `rsi` look at the bar before as well, and so
want one more. A hole in a symbol's values leaves a smoothed average NaN from there on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from gambler_ai.core.model import NEW_YORK

#: What the beginning of a smoothed average may still weigh when it counts as forgotten.
FORGOTTEN = 1e-6
#: A deviation below this share of the mean is the rounding of floats: nothing moved.
STILL = 1e-9
#: Cells of the windows that are worked on at once: a bound on memory.
BLOCK = 1 << 20

Array = NDArray[np.float64]


class Bands(NamedTuple):
    """Bollinger bands."""

    lower: Array
    middle: Array
    upper: Array


# -- windows --------------------------------------------------------------------------------------


def sma(values: Array, period: int) -> Array:
    """Simple moving average: the mean of the newest ``period`` values."""
    return _rolling(values, period, _mean)


def deviation(values: Array, period: int) -> Array:
    """Standard deviation of the newest ``period`` values: of the population (divided by n), as Bollinger takes it."""
    return _rolling(values, period, _deviation)


def z_score(values: Array, period: int) -> Array:
    """How many deviations the newest of ``period`` values lies from their mean; NaN where nothing moved."""
    return _rolling(values, period, _z_score)


def bollinger(values: Array, period: int, width: float) -> Bands:
    """Mean and ``width`` deviations to both sides (J. Bollinger, Bollinger on Bollinger Bands, 2001; he: 20 and 2).

    A value is on or outside a band when its `z_score` is ``width`` or more, to that side.
    """
    middle, reach = sma(values, period), width * deviation(values, period)
    return Bands(middle - reach, middle, middle + reach)


def highest(values: Array, period: int) -> Array:
    """The largest of the newest ``period`` values: of highs, the upper edge of Donchian's channel."""
    return _rolling(values, period, _largest)


def lowest(values: Array, period: int) -> Array:
    """The smallest of the newest ``period`` values: of lows, the lower edge of Donchian's channel."""
    return _rolling(values, period, _smallest)


def volume_ratio(volume: Array, period: int) -> Array:
    """A bar's volume over the mean of the ``period`` bars before it; infinite after bars without any, NaN after and
    on one without."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return volume / _shifted(sma(volume, period))


# -- smoothed averages ----------------------------------------------------------------------------


def ema(values: Array, period: int) -> Array:
    """Exponential moving average: a new value weighs 2/(n+1), the average before it the rest; first an `sma`."""
    return _smoothed(values, period, 2.0 / (period + 1))


def wilder(values: Array, period: int) -> Array:
    """Wilder's average (New Concepts in Technical Trading Systems, 1978): a new value weighs 1/n; first an `sma`."""
    return _smoothed(values, period, 1.0 / period)


def true_range(high: Array, low: Array, close: Array) -> Array:
    """The greatest distance among high, low and the close before (Wilder, 1978); a first bar has none before: NaN.

    The close before the first bar of a day is the evening's: a gap over night is part of the range.
    """
    before = _shifted(close)
    return np.maximum(high, before) - np.minimum(low, before)


def atr(high: Array, low: Array, close: Array, period: int) -> Array:
    """Average true range: `wilder` of `true_range` (Wilder, 1978; he: 14). From a symbol's bar ``period`` + 1 on."""
    return wilder(true_range(high, low, close), period)


def rsi(close: Array, period: int) -> Array:
    """Relative strength index, 0 to 100 (Wilder, 1978; he: 14): the rises' share of all that `wilder` averages.

    100 * up / (up + down) is his 100 - 100 / (1 + up / down). From bar ``period`` + 1 on; NaN where nothing moved.
    """
    change = close - _shifted(close)
    both = wilder(np.maximum(np.hstack([change, -change]), 0.0), period)
    up, down = np.hsplit(both, 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return 100.0 * (up / (up + down))


def ema_bars(period: int) -> int:
    """Values after which the beginning of an `ema` is `FORGOTTEN`."""
    return _bars(period, 2.0 / (period + 1))


def wilder_bars(period: int) -> int:
    """Values after which the beginning of a `wilder` average is `FORGOTTEN`: 201 for 14."""
    return _bars(period, 1.0 / period)


# -- bars -----------------------------------------------------------------------------------------


def has_bars(times: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    """Which symbols have ``count`` bars; ``times`` as in a `BarFrame`, 0 where there is none."""
    return times[-count] > 0 if 0 < count <= len(times) else np.zeros(times.shape[1], dtype=np.bool_)


def session_starts(times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Row of each symbol's first bar of the newest day in New York; the number of rows where it has none that day.

    The newest day is that of the newest bar of all. No session of American stocks, early or late, spans a midnight
    there.
    """
    newest = datetime.fromtimestamp(int(times.max(initial=0)), NEW_YORK)
    midnight = newest.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    return np.asarray((times < midnight).sum(axis=0))


# -- how ------------------------------------------------------------------------------------------


def _rolling(values: Array, period: int, reduce: Callable[[Array], Array]) -> Array:
    """``reduce`` of each window (rows, symbols, period), in blocks."""
    found = np.full(values.shape, np.nan)
    if len(values) < period:
        return found
    windows = sliding_window_view(values, period, axis=0)
    rows = max(1, BLOCK // max(1, values.shape[1] * period))
    for first in range(0, len(windows), rows):
        part = windows[first : first + rows]
        found[period - 1 + first : period - 1 + first + len(part)] = reduce(part)
    return found


def _mean(windows: Array) -> Array:
    return np.asarray(windows.mean(axis=-1))


def _deviation(windows: Array) -> Array:
    return np.asarray(windows.std(axis=-1))


def _largest(windows: Array) -> Array:
    return np.asarray(windows.max(axis=-1))


def _smallest(windows: Array) -> Array:
    return np.asarray(windows.min(axis=-1))


def _z_score(windows: Array) -> Array:
    mean, spread = windows.mean(axis=-1), windows.std(axis=-1)
    with np.errstate(invalid="ignore"):
        spread = np.where(spread > STILL * np.abs(mean), spread, np.nan)
    return np.asarray((windows[..., -1] - mean) / spread)


def _shifted(values: Array) -> Array:
    """The value of the bar before."""
    found = np.empty_like(values)
    found[:1], found[1:] = np.nan, values[:-1]
    return found


def _smoothed(values: Array, period: int, weight: float) -> Array:
    rows = np.arange(len(values))[:, np.newaxis]
    first = np.logical_and.accumulate(np.isnan(values), axis=0).sum(axis=0)
    begins = first + period - 1
    seed = np.where((rows >= first) & (rows <= begins), values, 0.0).sum(axis=0) / period
    steps = np.where(rows > begins, weight * values, np.where(rows == begins, seed, 0.0))
    return np.where(rows >= begins, _decayed(steps, 1.0 - weight), np.nan)


def _decayed(steps: Array, decay: float) -> Array:
    """The sum of all steps so far, each times ``decay`` to the power of its age: twice as far back in each round."""
    reach = 1
    while reach < len(steps):
        steps[reach:] += decay * steps[:-reach]
        decay, reach = decay * decay, 2 * reach
    return steps


def _bars(period: int, weight: float) -> int:
    if weight >= 1.0:
        return period
    return period + math.ceil(math.log(FORGOTTEN) / math.log1p(-weight))
