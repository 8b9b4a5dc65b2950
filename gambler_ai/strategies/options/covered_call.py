"""Shares, and a call sold on them: the premium now, for what the shares may gain above its strike."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, ClassVar

from msgspec import Meta

from gambler_ai.core.contracts import MULTIPLIER, Right
from gambler_ai.core.structures import Leg
from gambler_ai.strategies.options.base import ByDelta
from gambler_ai.strategies.options.chain import Expiry
from gambler_ai.strategies.options.exits import Levels, levels, share_of
from gambler_ai.strategies.options.payoff import Payoff
from gambler_ai.strategies.options.straddle import LossShare


class CoveredCall(ByDelta, frozen=True, kw_only=True):
    """Buys 100 shares a unit and sells a call on them, by delta or distance.

    Target and stop: ``profit_share`` of the most that it can bring, and a loss of ``loss_share`` of what was paid. To
    be assigned early is to be sold at the strike, which is what it is for: no ``time_value`` ends it unless given.
    """

    name: ClassVar[str] = "covered_call"
    options_level: ClassVar[int] = 1
    loss_share: LossShare | None = 0.10
    time_value: Annotated[float, Meta(ge=0, le=100)] | None = None

    def legs(self, expiry: Expiry, spot: Decimal) -> Sequence[Leg]:
        strike = self.strike(expiry, Right.CALL, spot)
        if strike is None:
            return ()
        return Leg(expiry.underlying, MULTIPLIER), Leg(expiry.symbol(Right.CALL, strike), -1)

    def levels(self, entry: Decimal, ends: Payoff) -> Levels:
        most = Decimal(0) if ends.max_profit is None else ends.max_profit / MULTIPLIER
        return levels(entry, ends, gain=share_of(most, self.profit_share), loss=share_of(entry, self.loss_share))
