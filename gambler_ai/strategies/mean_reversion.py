"""Mean reversion: a price far from its own average is expected to come back to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from gambler_ai.core.model import BarFrame, MarketView, Proposal, Side
from gambler_ai.strategies import indicators
from gambler_ai.strategies.base import Strategy

Columns = NDArray[np.intp]


class MeanReversion(Strategy, frozen=True):
    """Long far below the average of ``lookback`` bars, short far above it, out again at the average.

    Far is ``entry_z`` standard deviations: on or outside Bollinger's bands of that width. At the average is within
    ``exit_z`` of it or past it. Three more conditions are asked for only when they are set:

    - ``rsi_max`` below 100: a long only at an RSI of at most that, a short only at 100 less it or more.
    - ``volume_ratio`` above 0: the bar's volume is at least so many times the mean of the ``lookback`` bars before.
    - ``max_bars`` above 0: out when so many bars have closed since the entry, wherever the price is. And in only on
      a bar that comes from within the bands, so that what was left for its time is not bought again at once.

    They are off unless set, so that a session stored before they existed goes on as it began.
    """

    name: ClassVar[str] = "mean_reversion"

    lookback: Annotated[int, Meta(ge=5, le=500)] = 20
    entry_z: Annotated[float, Meta(gt=0, le=10)] = 2.0
    exit_z: Annotated[float, Meta(ge=0, le=10)] = 0.0
    rsi_max: Annotated[float, Meta(ge=0, le=100)] = 100.0
    rsi_period: Annotated[int, Meta(ge=2, le=200)] = 14
    volume_ratio: Annotated[float, Meta(ge=0, le=1000)] = 0.0
    max_bars: Annotated[int, Meta(ge=0, le=1000)] = 0

    def __post_init__(self) -> None:
        if self.exit_z >= self.entry_z:
            raise ValueError("exit_z must be below entry_z")

    @property
    def history(self) -> int:
        return max(self._entry_bars, self.max_bars)

    def propose(self, view: MarketView) -> Sequence[Proposal]:
        """An entry where a price is far out and nothing is held; an exit where what is held came back, or is old."""
        frame = view.frame
        if not len(frame):
            return ()
        z = indicators.z_score(frame.close[-self.lookback :], self.lookback)[-1]
        sign, age = _held(view)
        back = (sign != 0) & (z * sign >= -self.exit_z)
        late = (sign != 0) & (self.max_bars > 0) & (age >= self.max_bars)
        found = {int(i): self._entry(frame, i, z[i]) for i in self._entries(frame, z, sign == 0)}
        for i in np.flatnonzero(back | late):
            why = f"back at the mean ({z[i]:+.1f})" if back[i] else f"not back after {age[i]} bars"
            found[int(i)] = _exit(frame, int(i), sign[i], why)
        return [found[i] for i in sorted(found)]

    @property
    def _entry_bars(self) -> int:
        """Bars without which nothing is entered."""
        one_before = self.volume_ratio > 0 or self.max_bars > 0
        return max(self.lookback + one_before, self._rsi_bars if self.rsi_max < 100 else 0)

    @property
    def _rsi_bars(self) -> int:
        return indicators.wilder_bars(self.rsi_period) + 1

    def _entries(self, frame: BarFrame, z: NDArray[np.float64], free: NDArray[np.bool_]) -> Columns:
        """Columns to enter. What costs more is worked out for those only that are far out."""
        far = free & (np.abs(z) >= self.entry_z) & indicators.has_bars(frame.times, self._entry_bars)
        hits = np.flatnonzero(far)
        for asked, holds in (
            (self.volume_ratio > 0, self._is_loud),
            (self.max_bars > 0, self._was_within),
            (self.rsi_max < 100, self._is_stretched),
        ):
            if asked and len(hits):
                hits = hits[holds(frame, hits, z)]
        return hits

    def _is_loud(self, frame: BarFrame, hits: Columns, z: NDArray[np.float64]) -> NDArray[np.bool_]:
        volume = frame.volume[-self.lookback - 1 :, hits]
        return np.asarray(indicators.volume_ratio(volume, self.lookback)[-1] >= self.volume_ratio)

    def _was_within(self, frame: BarFrame, hits: Columns, z: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether the bar before was within the bands; one after bars that did not move was."""
        before = indicators.z_score(frame.close[-self.lookback - 1 : -1, hits], self.lookback)[-1]
        return np.asarray(~(np.abs(before) >= self.entry_z))

    def _is_stretched(self, frame: BarFrame, hits: Columns, z: NDArray[np.float64]) -> NDArray[np.bool_]:
        rsi = indicators.rsi(frame.close[-self._rsi_bars :].take(hits, axis=1), self.rsi_period)[-1]
        return np.asarray(np.where(z[hits] < 0, rsi, 100.0 - rsi) <= self.rsi_max)

    def _entry(self, frame: BarFrame, i: int, z: float) -> Proposal:
        return Proposal(
            symbol=frame.symbols[i],
            side=Side.SELL if z > 0 else Side.BUY,
            signal_at=frame.newest_at(i),
            reason=f"{z:+.1f} deviations from the mean of {self.lookback} bars",
        )


def _exit(frame: BarFrame, i: int, sign: np.int64, why: str) -> Proposal:
    side = Side.SELL if sign > 0 else Side.BUY
    return Proposal(frame.symbols[i], side, frame.newest_at(i), why, exit=True)


def _held(view: MarketView) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each column: 1 long, -1 short, 0 nothing; and the bars closed since the entry, as far as they are seen."""
    frame = view.frame
    sign, age = np.zeros((2, len(frame.symbols)), dtype=np.int64)
    for i, symbol in enumerate(frame.symbols) if view.held else ():
        if symbol in view.held:
            qty = view.held[symbol]
            sign[i] = (qty > 0) - (qty < 0)
            closes = frame.times[:, i] + frame.interval.total_seconds()
            age[i] = (closes > view.entered.get(symbol, view.at).timestamp()).sum()
    return sign, age
