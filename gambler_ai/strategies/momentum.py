"""Momentum: a strong move over a few bars, on unusual volume, is followed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np

from gambler_ai.core.model import BarFrame, MarketView, Proposal, Side


class Momentum:
    """Long after a rise, short after a fall, of ``change_pct`` in ``lookback`` bars on high volume."""

    name = "momentum"

    def __init__(
        self, *, stop_loss_pct: Decimal, take_profit_pct: Decimal, change_pct: float = 2.0,
        lookback: int = 5, volume_ratio: float = 2.0, volume_bars: int = 20,
    ) -> None:  # fmt: skip
        self.history = max(lookback, volume_bars) + 1
        self._stop_loss_pct = stop_loss_pct
        self._take_profit_pct = take_profit_pct
        self._change_pct = change_pct
        self._lookback = lookback
        self._volume_ratio = volume_ratio
        self._volume_bars = volume_bars

    def propose(self, view: MarketView) -> Sequence[Proposal]:
        """One proposal for each symbol whose newest bar shows both the move and the volume."""
        frame = view.frame
        if len(frame) < self.history:
            return ()
        change, ratio = self._signals(frame)
        hits = (np.abs(change) >= self._change_pct) & (ratio >= self._volume_ratio)
        return [self._proposal(frame, int(i), change[i], ratio[i]) for i in np.flatnonzero(hits)]

    def _signals(self, frame: BarFrame) -> tuple[np.ndarray, np.ndarray]:
        """Change in percent and volume ratio per symbol; NaN (never a hit) where history is short."""
        close, volume = frame.close, frame.volume
        with np.errstate(invalid="ignore", divide="ignore"):
            change = (close[-1] / close[-1 - self._lookback] - 1.0) * 100.0
            ratio = volume[-1] / volume[-1 - self._volume_bars : -1].mean(axis=0)
        # Half a cent in a thousand dollars: 2.00 % as a person reads it, not as floats multiply.
        return np.round(change, 6), ratio

    def _proposal(self, frame: BarFrame, i: int, change: float, ratio: float) -> Proposal:
        return Proposal(
            symbol=frame.symbols[i],
            side=Side.BUY if change > 0 else Side.SELL,
            signal_at=datetime.fromtimestamp(int(frame.times[-1, i]), UTC),
            reason=f"{change:+.2f} % in {self._lookback} bars, volume x{ratio:.1f}",
            stop_loss_pct=self._stop_loss_pct,
            take_profit_pct=self._take_profit_pct,
        )
