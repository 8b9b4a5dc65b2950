"""What a structure is worth when its contracts expire: its best and worst ends, and where it breaks even. Exact.

Between two strikes the worth is a straight line, so its ends are at a strike, at a spot of zero, or beyond the highest
strike, where it goes on as it leaves that. All contracts of a structure must expire on one day.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

from msgspec import Struct

from gambler_ai.core.contracts import MULTIPLIER
from gambler_ai.core.structures import Leg, expiry_value

ZERO, ONE = Decimal(0), Decimal(1)


class Payoff(Struct, frozen=True):
    """Dollars a unit, None where nothing bounds it; a loss is above zero. ``breakevens`` are spots, in order."""

    max_profit: Decimal | None
    max_loss: Decimal | None
    breakevens: tuple[Decimal, ...]


class Range(Struct, frozen=True):
    """Spots from ``low`` to ``high``, None for no end."""

    low: Decimal
    high: Decimal | None


def payoff(legs: Sequence[Leg], entry: Decimal) -> Payoff:
    """Of one unit that was opened at the net price ``entry``."""
    ends = [expiry_value(legs, spot) for spot in _kinks(legs)]
    slope = _last_slope(legs)
    best = None if slope > 0 else (max(ends) - entry) * MULTIPLIER
    worst = None if slope < 0 else (entry - min(ends)) * MULTIPLIER
    return Payoff(best, worst, breakevens(legs, entry))


def breakevens(legs: Sequence[Leg], entry: Decimal) -> tuple[Decimal, ...]:
    """The spots at which it ends at what was paid for it; the two ends of a range in which it does."""
    kinks = _kinks(legs)
    found = {spot for spot in kinks if expiry_value(legs, spot) == entry}
    for low, high in pairwise(kinks):
        under, over = expiry_value(legs, low) - entry, expiry_value(legs, high) - entry
        if under * over < 0:
            found.add(low + (high - low) * under / (under - over))
    last, slope = expiry_value(legs, kinks[-1]) - entry, _last_slope(legs)
    if last * slope < 0:
        found.add(kinks[-1] - last / slope)
    return tuple(sorted(found))


def profitable(legs: Sequence[Leg], entry: Decimal) -> tuple[Range, ...]:
    """The spots between which it ends with a profit."""
    edges = [ZERO, *(spot for spot in breakevens(legs, entry) if spot > 0)]
    found = [Range(low, high) for low, high in pairwise(edges) if _is_profit(legs, entry, (low + high) / 2)]
    beyond = max(edges[-1], _kinks(legs)[-1]) + ONE
    if _is_profit(legs, entry, beyond):
        found.append(Range(edges[-1], None))
    return tuple(found)


def _is_profit(legs: Sequence[Leg], entry: Decimal, spot: Decimal) -> bool:
    return expiry_value(legs, spot) > entry


def _kinks(legs: Sequence[Leg]) -> list[Decimal]:
    """Zero, then the strikes, in order."""
    return [ZERO, *sorted({contract.strike for leg in legs if (contract := leg.contract) is not None})]


def _last_slope(legs: Sequence[Leg]) -> Decimal:
    """What a dollar more of the underlying brings above the highest strike."""
    highest = _kinks(legs)[-1]
    return expiry_value(legs, highest + ONE) - expiry_value(legs, highest)
