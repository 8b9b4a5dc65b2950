"""Long volatility: a call and a put are bought, and a large move either way pays for both."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from gambler_ai.core.contracts import Right
from gambler_ai.core.structures import Leg
from gambler_ai.strategies.options.base import ByDelta, OptionsStrategy, Share
from gambler_ai.strategies.options.chain import Expiry
from gambler_ai.strategies.options.exits import Levels, levels, share_of
from gambler_ai.strategies.options.payoff import Payoff

LossShare = Annotated[float, Meta(gt=0, le=1)]


class Straddle(OptionsStrategy, frozen=True, kw_only=True):
    """Buys the call and the put at the money.

    Target and stop: ``profit_share`` and ``loss_share`` of what was paid, above and below it.
    """

    strikes_pct: Annotated[float, Meta(ge=1, le=200)] = 10.0
    loss_share: LossShare | None = 0.5

    def legs(self, expiry: Expiry, spot: Decimal) -> Sequence[Leg]:
        strike = expiry.at_the_money(spot)
        if strike is None:
            return ()
        return Leg(expiry.symbol(Right.CALL, strike), 1), Leg(expiry.symbol(Right.PUT, strike), 1)

    def levels(self, entry: Decimal, ends: Payoff) -> Levels:
        return bought(entry, ends, self.profit_share, self.loss_share)


class Strangle(ByDelta, frozen=True, kw_only=True):
    """Buys a call and a put out of the money, by delta or by distance.

    Target and stop: ``profit_share`` and ``loss_share`` of what was paid, above and below it.
    """

    loss_share: LossShare | None = 0.5

    def legs(self, expiry: Expiry, spot: Decimal) -> Sequence[Leg]:
        call, put = self.strike(expiry, Right.CALL, spot), self.strike(expiry, Right.PUT, spot)
        if call is None or put is None or put >= call:
            return ()
        return Leg(expiry.symbol(Right.CALL, call), 1), Leg(expiry.symbol(Right.PUT, put), 1)

    def levels(self, entry: Decimal, ends: Payoff) -> Levels:
        return bought(entry, ends, self.profit_share, self.loss_share)


def bought(entry: Decimal, ends: Payoff, profit_share: Share | None, loss_share: LossShare | None) -> Levels:
    """Of what was paid for: both shares are of the debit."""
    return levels(entry, ends, gain=share_of(entry, profit_share), loss=share_of(entry, loss_share))
