"""Mean reversion: a price far from its own average is expected to come back to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from gambler_ai.core.model import BarFrame, MarketView, Proposal, Side
from gambler_ai.strategies.base import Strategy


class MeanReversion(Strategy, frozen=True):
    """Long far below the average of ``lookback`` bars, short far above it, out again at the average.

    Far is ``entry_z`` standard deviations, at the average is within ``exit_z`` of it or past it.
    """

    name: ClassVar[str] = "mean_reversion"

    lookback: Annotated[int, Meta(ge=5, le=500)] = 20
    entry_z: Annotated[float, Meta(gt=0, le=10)] = 2.0
    exit_z: Annotated[float, Meta(ge=0, le=10)] = 0.0

    def __post_init__(self) -> None:
        if self.exit_z >= self.entry_z:
            raise ValueError("exit_z must be below entry_z")

    @property
    def history(self) -> int:
        return self.lookback

    def propose(self, view: MarketView) -> Sequence[Proposal]:
        """An entry where a price is far out and nothing is held; an exit where what is held has come back."""
        frame = view.frame
        if len(frame) < self.lookback:
            return ()
        z = self._z_scores(frame)
        sign = np.asarray([np.sign(float(view.held.get(symbol, 0))) for symbol in frame.symbols])
        entries = (sign == 0) & (np.abs(z) >= self.entry_z)
        exits = (sign != 0) & (z * sign >= -self.exit_z)
        return [self._proposal(frame, int(i), z[i], leaves=bool(exits[i])) for i in np.flatnonzero(entries | exits)]

    def _z_scores(self, frame: BarFrame) -> np.ndarray:
        """Deviations from the average per symbol; NaN (never a hit) where history is short or nothing moved."""
        close = frame.close[-self.lookback :]
        mean, spread = close.mean(axis=0), close.std(axis=0)
        with np.errstate(invalid="ignore"):
            spread = np.where(spread > 1e-9 * mean, spread, np.nan)
        return np.asarray((close[-1] - mean) / spread)

    def _proposal(self, frame: BarFrame, i: int, z: float, *, leaves: bool) -> Proposal:
        where = f"{z:+.1f} deviations from the mean of {self.lookback} bars"
        return Proposal(
            symbol=frame.symbols[i],
            side=Side.SELL if z > 0 else Side.BUY,
            signal_at=frame.newest_at(i),
            reason=f"back at the mean ({z:+.1f})" if leaves else where,
            exit=leaves,
        )
