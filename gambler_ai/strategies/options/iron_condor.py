"""Short volatility with wings: a call and a put are sold, and one further out of each is bought."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import ClassVar

from gambler_ai.core.contracts import Right
from gambler_ai.core.structures import Leg
from gambler_ai.strategies.options.base import Delta, Winged
from gambler_ai.strategies.options.chain import Expiry
from gambler_ai.strategies.options.exits import Levels
from gambler_ai.strategies.options.payoff import Payoff
from gambler_ai.strategies.options.vertical import LossMultiple, sold


class IronCondor(Winged, frozen=True, kw_only=True):
    """Sells a call and a put out of the money, by delta or distance, and buys the wings of both.

    Target and stop: ``profit_share`` of the credit, and a loss of ``loss_multiple`` times the credit.
    """

    name: ClassVar[str] = "iron_condor"
    delta: Delta = 0.25
    loss_multiple: LossMultiple | None = 2.0

    def legs(self, expiry: Expiry, spot: Decimal) -> Sequence[Leg]:
        sides: list[Leg] = []
        shorts: dict[Right, Decimal] = {}
        for right in (Right.PUT, Right.CALL):
            near = self.strike(expiry, right, spot)
            far = None if near is None else self.wing(expiry, right, near)
            if near is None or far is None:
                return ()
            shorts[right] = near
            sides += [Leg(expiry.symbol(right, far), 1), Leg(expiry.symbol(right, near), -1)]
        return sides if shorts[Right.PUT] < shorts[Right.CALL] else ()

    def levels(self, entry: Decimal, ends: Payoff) -> Levels:
        return sold(entry, ends, self.profit_share, self.loss_multiple)
