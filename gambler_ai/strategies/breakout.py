"""Volatility breakout: a close beyond all that the last bars have seen, by more than noise, is followed."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from gambler_ai.core.model import BarFrame, MarketView, Proposal, Side
from gambler_ai.strategies import indicators
from gambler_ai.strategies.base import Strategy

#: A stop or a target nearer than two cents would lie at the price itself once it is rounded.
NEAREST = 0.02
#: How near and how far they may lie in percent of the price: what a proposal can say, and no price below zero.
PCT_MIN, PCT_MAX = 0.01, 99.0

Floats = NDArray[np.float64]


class Breakout(Strategy, frozen=True):
    """Long on a close above the highest high of ``channel`` bars, short on one below their lowest low, on high volume.

    The rule of the Turtles' first system (C. Faith, Way of the Turtle, 2007: channel 20, exit 10, stop 2 N) on closed
    bars of any length, with a margin for noise as volatility breakouts have it (T. Crabel, Day Trading with Short Term
    Price Patterns and Opening Range Breakout, 1990):

    - in: the close lies more than ``margin_atr`` average true ranges (``atr_period`` bars) beyond the channel of the
      ``channel`` bars before, on at least ``volume_ratio`` times the mean volume of as many bars.
    - stop and target: ``stop_atr`` and ``target_atr`` average true ranges from the close, held by the broker.
    - out before that: a close beyond the other edge of the ``exit_channel`` bars before.

    ``same_day``: entries only where the channel lies within the day, so that a gap over night is no breakout.
    """

    channel: Annotated[int, Meta(ge=2, le=500)] = 20
    exit_channel: Annotated[int, Meta(ge=1, le=500)] = 10
    margin_atr: Annotated[float, Meta(ge=0, le=10)] = 0.25
    volume_ratio: Annotated[float, Meta(ge=0, le=1000)] = 1.5
    atr_period: Annotated[int, Meta(ge=2, le=200)] = 14
    stop_atr: Annotated[float, Meta(gt=0, le=100)] = 2.0
    target_atr: Annotated[float, Meta(gt=0, le=100)] = 4.0
    same_day: bool = True

    @property
    def history(self) -> int:
        return max(self.channel + 1, self.exit_channel + 1, self._atr_bars)

    def propose(self, view: MarketView) -> Sequence[Proposal]:
        """An entry where nothing is held and the channel breaks; an exit where what is held breaks the other way."""
        frame = view.frame
        found = self._exits(view) | self._entries(view) if len(frame) else {}
        return [found[i] for i in sorted(found)]

    @property
    def _atr_bars(self) -> int:
        return indicators.wilder_bars(self.atr_period) + 1

    def _exits(self, view: MarketView) -> dict[int, Proposal]:
        """By column. They ask for no more bars than they look at."""
        frame, bars = view.frame, self.exit_channel
        found: dict[int, Proposal] = {}
        if not view.held:
            return found
        columns = [i for i, symbol in enumerate(frame.symbols) if symbol in view.held]
        for i, over, under in zip(columns, *_beyond(frame, bars, columns), strict=True):
            long = view.held[frame.symbols[i]] > 0
            if (under if long else over) > 0:
                side, edge = (Side.SELL, "below the low") if long else (Side.BUY, "above the high")
                found[i] = Proposal(frame.symbols[i], side, frame.newest_at(i), f"{edge} of {bars} bars", exit=True)
        return found

    def _entries(self, view: MarketView) -> dict[int, Proposal]:
        """By column. What costs more is worked out for those only that closed beyond their channel."""
        frame = view.frame
        over, under = _beyond(frame, self.channel)
        far = np.fmax(over, under)
        hits = self._candidates(view, far > 0)
        if not len(hits):
            return {}
        ratio = indicators.volume_ratio(frame.volume[-self.channel - 1 :, hits], self.channel)[-1]
        hits, ratio = hits[ratio >= self.volume_ratio], ratio[ratio >= self.volume_ratio]
        atr = self._atr(frame, hits)
        sound = (far[hits] > self.margin_atr * atr) & self._is_priced(atr, frame.close[-1, hits])
        return {
            int(i): self._entry(frame, int(i), up=bool(over[i] > 0), atr=atr[n], ratio=ratio[n])
            for n, i in enumerate(hits)
            if sound[n]
        }

    def _is_priced(self, atr: Floats, close: Floats) -> NDArray[np.bool_]:
        """Whether stop and target are prices apart from the close. One proposal that makes no sense denies all."""
        near, far = min(self.stop_atr, self.target_atr) * atr, max(self.stop_atr, self.target_atr) * atr
        return (near >= np.maximum(NEAREST, PCT_MIN / 100 * close)) & (far <= PCT_MAX / 100 * close)

    def _candidates(self, view: MarketView, beyond: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Columns with all the history that is asked for, and nothing held."""
        times = view.frame.times
        asked = beyond & indicators.has_bars(times, self.history)
        if self.same_day:
            asked &= indicators.session_starts(times[-self.channel - 1 :]) == 0
        free = [i for i in np.flatnonzero(asked) if view.frame.symbols[i] not in view.held]
        return np.asarray(free, dtype=np.intp)

    def _atr(self, frame: BarFrame, columns: NDArray[np.intp]) -> Floats:
        """Of the newest bar, from so many bars before that where they begin does not matter."""
        rows = slice(-self._atr_bars, None)
        high, low, close = (part[rows].take(columns, axis=1) for part in (frame.high, frame.low, frame.close))
        return np.asarray(indicators.atr(high, low, close, self.atr_period)[-1])

    def _entry(self, frame: BarFrame, i: int, *, up: bool, atr: float, ratio: float) -> Proposal:
        pct = atr / frame.close[-1, i] * 100
        edge = "above the high" if up else "below the low"
        return Proposal(
            symbol=frame.symbols[i],
            side=Side.BUY if up else Side.SELL,
            signal_at=frame.newest_at(i),
            reason=f"{edge} of {self.channel} bars, ATR {pct:.2f} %, volume x{ratio:.1f}",
            stop_loss_pct=Decimal(f"{self.stop_atr * pct:.4f}"),
            take_profit_pct=Decimal(f"{self.target_atr * pct:.4f}"),
        )


def _beyond(frame: BarFrame, bars: int, columns: Sequence[int] | slice = slice(None)) -> tuple[Floats, Floats]:
    """How far the newest close lies over the highest high and under the lowest low of the ``bars`` bars before it.

    Below zero inside; NaN where history is short.
    """
    before, close = slice(-bars - 1, -1), frame.close[-1, columns]
    if len(frame) <= bars:
        return np.full_like(close, np.nan), np.full_like(close, np.nan)
    over = close - indicators.highest(frame.high[before, columns], bars)[-1]
    under = indicators.lowest(frame.low[before, columns], bars)[-1] - close
    return over, under
