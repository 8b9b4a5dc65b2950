"""Two contracts of one right and one expiry at two strikes: a direction, with both ends bounded."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta

from gambler_ai.core.contracts import Right
from gambler_ai.core.structures import Leg
from gambler_ai.strategies.options.base import Winged
from gambler_ai.strategies.options.chain import Expiry
from gambler_ai.strategies.options.exits import Levels, levels, share_of
from gambler_ai.strategies.options.payoff import Payoff
from gambler_ai.strategies.options.straddle import LossShare, bought

LossMultiple = Annotated[float, Meta(gt=0, le=100)]
Direction = Literal["bull_put", "bear_call", "bull_call", "bear_put"]
#: Which right, and whether the near strike is sold (1 is bought).
_MADE_OF: dict[str, tuple[Right, int]] = {
    "bull_put": (Right.PUT, -1),
    "bear_call": (Right.CALL, -1),
    "bull_call": (Right.CALL, 1),
    "bear_put": (Right.PUT, 1),
}


class Vertical(Winged, frozen=True, kw_only=True):
    """A spread of two strikes: ``bull_put`` and ``bear_call`` for a credit, ``bull_call`` and ``bear_put`` for a debit.

    The near strike is by delta or distance, the other one lies further out. The near one is sold for a credit and
    bought for a debit. Target and stop: of a credit ``profit_share`` of it and a loss of ``loss_multiple`` times it; of
    a debit ``profit_share`` and ``loss_share`` of it.
    """

    direction: Direction = "bull_put"
    loss_multiple: LossMultiple | None = 2.0
    loss_share: LossShare | None = 0.5

    @property
    def is_credit(self) -> bool:
        """Whether it is paid for being opened."""
        return _MADE_OF[self.direction][1] < 0

    def legs(self, expiry: Expiry, spot: Decimal) -> Sequence[Leg]:
        right, sign = _MADE_OF[self.direction]
        near = self.strike(expiry, right, spot)
        far = None if near is None else self.wing(expiry, right, near)
        if near is None or far is None:
            return ()
        return Leg(expiry.symbol(right, near), sign), Leg(expiry.symbol(right, far), -sign)

    def levels(self, entry: Decimal, ends: Payoff) -> Levels:
        if self.is_credit:
            return sold(entry, ends, self.profit_share, self.loss_multiple)
        return bought(entry, ends, self.profit_share, self.loss_share)


def sold(entry: Decimal, ends: Payoff, profit_share: float | None, loss_multiple: LossMultiple | None) -> Levels:
    """Of what brought a credit: a share of it as gain, a multiple of it as loss."""
    return levels(entry, ends, gain=share_of(-entry, profit_share), loss=share_of(-entry, loss_multiple))
