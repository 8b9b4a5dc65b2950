"""Momentum: a strong move over a few bars, on unusual volume, is followed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from msgspec import Meta

from gambler_ai.core.model import BarFrame, MarketView, Proposal, Side
from gambler_ai.strategies.base import Strategy


class Momentum(Strategy, frozen=True):
    """Long after a rise, short after a fall, of ``change_pct`` in ``lookback`` bars on high volume."""

    change_pct: Annotated[float, Meta(gt=0, le=100)] = 2.0
    lookback: Annotated[int, Meta(ge=1, le=500)] = 5
    volume_ratio: Annotated[float, Meta(ge=0, le=1000)] = 2.0
    volume_bars: Annotated[int, Meta(ge=1, le=500)] = 20

    @property
    def history(self) -> int:
        return max(self.lookback, self.volume_bars) + 1

    def propose(self, view: MarketView) -> Sequence[Proposal]:
        """One proposal for each symbol whose newest bar shows both the move and the volume."""
        frame = view.frame
        if len(frame) < self.history:
            return ()
        change, ratio = self._signals(frame)
        hits = (np.abs(change) >= self.change_pct) & (ratio >= self.volume_ratio)
        return [self._proposal(frame, int(i), change[i], ratio[i]) for i in np.flatnonzero(hits)]

    def _signals(self, frame: BarFrame) -> tuple[np.ndarray, np.ndarray]:
        """Change in percent and volume ratio per symbol; NaN (never a hit) where history is short."""
        close, volume = frame.close, frame.volume
        with np.errstate(invalid="ignore", divide="ignore"):
            change = (close[-1] / close[-1 - self.lookback] - 1.0) * 100.0
            ratio = volume[-1] / volume[-1 - self.volume_bars : -1].mean(axis=0)
        # Half a cent in a thousand dollars: 2.00 % as a person reads it, not as floats multiply.
        return np.round(change, 6), ratio

    def _proposal(self, frame: BarFrame, i: int, change: float, ratio: float) -> Proposal:
        return Proposal(
            symbol=frame.symbols[i],
            side=Side.BUY if change > 0 else Side.SELL,
            signal_at=frame.newest_at(i),
            reason=f"{change:+.2f} % in {self.lookback} bars, volume x{ratio:.1f}",
        )
