"""The newest closed bars of a symbol as a sequence model takes them: float32, oldest first, little-endian bytes.

``along`` means in the direction of the entry, as in `features`. A function of the newest `BARS` bars alone.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from gambler_ai.core.model import BarFrame, Side

#: Bars in a window.
LENGTH = 32
#: Name -> what it is, of one bar. Their order is the order of the columns.
CHANNELS = {
    "along": "logarithm of the close over the close before it, along",
    "range": "high less low, over the close",
    "place": "place of the close between low and high, along, -1 to 1; 0 where they are one",
    "volume": "volume over the mean of 20 bars that end with it, as a logarithm",
}
SHAPE = (LENGTH, len(CHANNELS))
#: No number in a window is further from zero.
FAR = 5.0
#: Bars in a mean of volume.
_MEAN = 20
#: Closed bars that are looked at: the first mean of volume begins before the window.
BARS = LENGTH + _MEAN - 1
_STORED = np.dtype("<f4")


def window(frame: BarFrame, symbol: str, side: Side) -> bytes:
    """The window of an entry in ``symbol`` on its newest closed bar; "" where its history is too short."""
    if symbol not in frame.symbols or len(frame) < BARS:
        return b""
    column = frame.symbols.index(symbol)
    close, high, low, volume = (
        np.ascontiguousarray(values[-BARS:, column]) for values in (frame.close, frame.high, frame.low, frame.volume)
    )
    if not np.isfinite([close, high, low, volume]).all() or (close <= 0).any():
        return b""
    found = np.stack(_channels(close, high, low, volume, side.sign), axis=1)
    return np.clip(found, -FAR, FAR).astype(_STORED).tobytes()


def values(stored: bytes) -> NDArray[np.float32] | None:
    """The numbers of a window, in `SHAPE`; None if that is none."""
    if len(stored) != LENGTH * len(CHANNELS) * _STORED.itemsize:
        return None
    found = np.frombuffer(stored, _STORED).reshape(SHAPE)
    within = bool((np.abs(found) <= FAR).all())  # so is what is no number outside
    return found.astype(np.float32) if within else None


def _channels(
    close: NDArray[np.float64], high: NDArray[np.float64], low: NDArray[np.float64], volume: NDArray[np.float64],
    sign: int,
) -> list[NDArray[np.float64]]:  # fmt: skip
    changes = np.diff(np.log(close[-LENGTH - 1 :]))
    close, high, low = close[-LENGTH:], high[-LENGTH:], low[-LENGTH:]
    height = high - low
    place = np.divide(2 * close - high - low, height, out=np.zeros(LENGTH), where=height > 0)
    mean = sliding_window_view(volume, _MEAN).mean(axis=1)
    with np.errstate(divide="ignore"):  # a bar without a trade is as far below the mean as any
        ratio = np.log(np.divide(volume[-LENGTH:], mean, out=np.ones(LENGTH), where=mean > 0))
    return [sign * changes, height / close, sign * place, ratio]
