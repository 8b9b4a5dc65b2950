"""What a market is like by its closed bars: does it go somewhere or to and fro, and more restlessly than it used to?

Two numbers of the newest `BARS` bars of a symbol, and of nothing else:

- Trend or range: the efficiency ratio of `WINDOW` changes, the net move over the way gone, 0 to 1 (P. Kaufman, Smarter
  Trading, 1995). `TREND` and above is a trend. The ratio of a random walk of 20 steps is 0.22 in the mean, and reaches
  0.3 in somewhat more than a quarter of bars: a trend by this measure is a move that was straight, not one that lasts.
- Quiet or volatile: the deviation of `WINDOW` logarithmic changes over that of `LONG`, as L. Connors and L. Raschke
  compare two historical volatilities (Street Smarts, 1995; they: 6 and 100 days). Above 1 is volatile.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gambler_ai.core.model import BarFrame

#: Changes that both numbers look at, and those that the volatility is compared with.
WINDOW, LONG = 20, 60
#: Closed bars that are looked at.
BARS = LONG + 1
#: An efficiency ratio of a trend.
TREND = 0.3
#: Every regime: the index is 2 for a range, and 1 more for what is volatile.
REGIMES = ("trend, quiet", "trend, volatile", "range, quiet", "range, volatile")
#: Of a symbol with fewer bars.
UNKNOWN = "unknown"

Floats = NDArray[np.float64]


def regimes(frame: BarFrame) -> tuple[str, ...]:
    """The regime of each symbol of ``frame`` on its newest bar, in their order."""
    if len(frame) < BARS:
        return (UNKNOWN,) * len(frame.symbols)
    # A row a symbol, so that its sums are added up in one order however many others there are.
    close = np.ascontiguousarray(frame.close[-BARS:].T)
    known = np.asarray(np.isfinite(close).all(axis=1))
    index = 2 * (efficiency(close) < TREND) + (volatility(close) > 1.0)
    return tuple(REGIMES[place] if there else UNKNOWN for place, there in zip(index.tolist(), known, strict=True))


def efficiency(close: Floats) -> Floats:
    """Net move over the way gone in the newest `WINDOW` changes; ``close`` has the shape (symbols, bars). 0 where
    nothing moved."""
    newest = close[:, -WINDOW - 1 :]
    net, way = np.abs(newest[:, -1] - newest[:, 0]), np.abs(np.diff(newest, axis=1)).sum(axis=1)
    return np.asarray(np.divide(net, way, out=np.zeros_like(way), where=way > 0))


def volatility(close: Floats) -> Floats:
    """Deviation of the newest `WINDOW` logarithmic changes over that of all of ``close``; 1 where nothing moved."""
    changes = np.diff(np.log(close), axis=1)
    short, long = changes[:, -WINDOW:].std(axis=1), changes.std(axis=1)
    return np.asarray(np.divide(short, long, out=np.ones_like(long), where=long > 0))
