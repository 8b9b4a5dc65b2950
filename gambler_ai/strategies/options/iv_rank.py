"""Whether options are dear: where today's implied volatility lies among the past year's realised ones.

What other tools call IV rank compares implied volatility with its own year. Alpaca has no history of it, so the
year here is of the 20-day realised volatility of daily closes. Implied volatility stands above realised one most of the
time, so this rank is higher than theirs on the same day: a limit that is known from elsewhere means less here.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

#: Returns that one volatility is of, volatilities that the rank is among, and the closes that both need.
WINDOW, YEAR = 20, 252
CLOSES = YEAR + WINDOW
_LOWEST, _HIGHEST = 0.0, 100.0


def realised(closes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Volatilities a year: the deviation of each `WINDOW` log returns in a row; empty for fewer closes."""
    moves = np.diff(np.log(closes))
    if len(moves) < WINDOW:
        return np.empty(0)
    deviations: NDArray[np.float64] = np.std(sliding_window_view(moves, WINDOW), axis=1, ddof=1)
    return deviations * math.sqrt(YEAR)


def iv_rank(closes: NDArray[np.float64], volatility: float) -> float | None:
    """0 at or below the year's lowest, 100 at or above its highest; ``closes`` are of one symbol, oldest first.

    None with fewer than `CLOSES` of them, a hole among them, or a year in which nothing moved.
    """
    newest = closes[-CLOSES:]
    if len(newest) < CLOSES or not (np.isfinite(newest) & (newest > 0)).all():
        return None
    year = realised(newest)
    low, high = float(year.min()), float(year.max())
    if high <= low:
        return None
    return min(max((volatility - low) / (high - low) * 100, _LOWEST), _HIGHEST)
