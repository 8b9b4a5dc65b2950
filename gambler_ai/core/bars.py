"""Building bar frames: arrays of all symbols at once, the newest bar in the last row."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from gambler_ai.core.model import BarFrame

_PRICES = ("open", "high", "low", "close", "volume")


def from_columns(
    symbols: tuple[str, ...], interval: timedelta, columns: Mapping[str, NDArray[np.float64]], keep: int
) -> BarFrame:
    """A frame of at most ``keep`` bars from one array (bars, 6: time, open, high, low, close, volume) a symbol.

    Bars that are not sane (not finite, not above zero, high below low) are left out: a strategy never
    sees them (RECOVERY_PROTOCOL 2.3, feed). The frame's arrays are read-only.
    """
    return stacked(symbols, interval, {symbol: _sane(columns[symbol])[-keep:] for symbol in symbols})


def stacked(symbols: tuple[str, ...], interval: timedelta, clean: Mapping[str, NDArray[np.float64]]) -> BarFrame:
    """A frame of bars that are known to be sane, each time once, in order."""
    rows = max((len(c) for c in clean.values()), default=0)
    times = np.zeros((rows, len(symbols)), dtype=np.int64)
    values = np.full((len(_PRICES), rows, len(symbols)), np.nan)
    for i, symbol in enumerate(symbols):
        column = clean[symbol]
        if len(column):
            times[-len(column) :, i] = column[:, 0]
            values[:, -len(column) :, i] = column[:, 1:].T
    for array in (times, values):  # every strategy sees the same frame: none may write into it
        array.flags.writeable = False
    return BarFrame(symbols, interval, times, *values)


def as_told(symbols: tuple[str, ...], interval: timedelta, columns: Mapping[str, NDArray[np.float64]]) -> BarFrame:
    """A frame of everything a feed told, sane or not: one bar a time, the last telling of it."""
    return stacked(symbols, interval, {symbol: _once(columns[symbol]) for symbol in symbols})


def empty(symbols: tuple[str, ...], interval: timedelta) -> BarFrame:
    """A frame without bars."""
    return from_columns(symbols, interval, {s: np.empty((0, 6)) for s in symbols}, 1)


def column(frame: BarFrame, i: int) -> NDArray[np.float64]:
    """The bars of one symbol, oldest first: an array (bars, 6) as `from_columns` takes it."""
    there = frame.times[:, i] > 0
    stack = [frame.times[there, i].astype(np.float64)]
    stack += [getattr(frame, name)[there, i] for name in _PRICES]
    return np.stack(stack, axis=1)


def _sane(column: NDArray[np.float64]) -> NDArray[np.float64]:
    if not len(column):
        return column
    prices = column[:, 1:5]
    good = np.isfinite(column).all(axis=1) & (prices > 0).all(axis=1) & (column[:, 5] >= 0)
    return _once(column[good & (column[:, 2] >= column[:, 3])])


def _once(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each time once, in order. A feed may repeat a bar: the last telling of it counts."""
    if not len(column):
        return column
    _times, last = np.unique(column[::-1, 0], return_index=True)
    return column[::-1][last]
