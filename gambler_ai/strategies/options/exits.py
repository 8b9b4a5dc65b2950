"""Where a structure is left: net prices of its stop and its target, from the natural price at which it is entered.

They are reckoned from the natural price and compared with the middle of the spread later on, so the spread counts as a
loss from the start. A level that the worth at expiry cannot pass is None: a stop there would be a word and no stop.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from gambler_ai.core.contracts import MULTIPLIER
from gambler_ai.strategies.options.payoff import Payoff

_CENT = Decimal("0.01")


class Levels(Struct, frozen=True):
    """Net prices, whole cents; None is never."""

    stop: Decimal | None
    target: Decimal | None

    def hold(self, value: Decimal) -> bool:
        """Whether a structure of this value stays open."""
        return (self.stop is None or value > self.stop) and (self.target is None or value < self.target)


def levels(entry: Decimal, payoff: Payoff, *, gain: Decimal | None, loss: Decimal | None) -> Levels:
    """A gain and a loss in dollars a share from ``entry``; None for none."""
    best = None if payoff.max_profit is None else payoff.max_profit / MULTIPLIER
    worst = None if payoff.max_loss is None else payoff.max_loss / MULTIPLIER
    stop = None if loss is None or (worst is not None and loss >= worst) else _apart(entry, -loss)
    target = None if gain is None or (best is not None and gain >= best) else _apart(entry, gain)
    return Levels(stop, target)


def _apart(entry: Decimal, move: Decimal) -> Decimal:
    """So far from ``entry``, in whole cents: one at least, where the part of a few cents rounds to none."""
    level = (entry + move).quantize(_CENT)
    return level if level != entry else entry + _CENT.copy_sign(move)


def share_of(amount: Decimal, share: float | None) -> Decimal | None:
    """Of a parameter, None for none."""
    return None if share is None else amount * Decimal(str(share))
