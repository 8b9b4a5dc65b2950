"""Profit of a structure over the price of its underlying: at the expiry, exactly, and now, by a model."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from msgspec import Struct

from gambler_ai.cli.payoff import pricing
from gambler_ai.cli.structure_rows import UNIT, StructureRow, structure_rows
from gambler_ai.core.state import SessionState
from gambler_ai.core.structures import Structure, expiry_value

#: Points of the curve of now; the one at the expiry has its corners.
POINTS = 121
Points = tuple[tuple[float, float], ...]


class Payoff(Struct, frozen=True):
    """Dollars of profit of all units, over dollars of the underlying's price.

    ``most`` and ``least`` are None where they have no bound; ``today`` where it cannot be known, ``why`` says why.
    """

    row: StructureRow
    structure: Structure
    at: datetime
    spot: Decimal | None
    expiry: Points
    today: Points | None
    why: str
    breakevens: tuple[Decimal, ...]
    most: Decimal | None
    least: Decimal | None
    probability: float | None


def payoff(state: SessionState, structure_id: str) -> Payoff:
    """The curves of one of the structures of ``state``, as of its last instant."""
    structure, at = state.structures[structure_id], state.last_at
    (row,) = (row for row in structure_rows(state, at) if row.structure_id == structure_id)
    spot = state.marks.get(structure.underlying)
    roots = breakevens(structure)
    most, least = bounds(structure)
    low, high = _range(structure, roots, spot)
    corners = sorted({low, high, *(k for k in _strikes(structure) if low < k < high), *roots})
    volatilities = _volatilities(state, structure, spot)
    today, why = _today(structure, at, low, high, volatilities)
    return Payoff(
        row=row, structure=structure, at=at, spot=spot,
        expiry=tuple((float(price), float(profit(structure, price))) for price in corners),
        today=today, why=why, breakevens=roots, most=most, least=least,
        probability=_probability(structure, at, spot, roots, volatilities),
    )  # fmt: skip


def profit(structure: Structure, spot: Decimal) -> Decimal:
    """Of all units, with everything held to the expiry and the underlying at ``spot`` then."""
    return _paid(structure) + expiry_value(structure.legs, spot) * UNIT * structure.units


def _paid(structure: Structure) -> Decimal:
    """What it has brought so far; before it is filled, what it is meant to."""
    return structure.cash if structure.filled else -structure.entry_price * UNIT * structure.units


def breakevens(structure: Structure) -> tuple[Decimal, ...]:
    """Prices of the underlying at which it ends without profit or loss: it is a line between any two strikes."""
    strikes = _strikes(structure)
    last = strikes[-1]
    slope = profit(structure, last + 1) - profit(structure, last)
    found = [price for price in strikes if profit(structure, price) == 0]
    for a, b in pairwise([Decimal(0), *strikes]):
        at_a, at_b = profit(structure, a), profit(structure, b)
        if at_a * at_b < 0:
            found.append(a + (b - a) * at_a / (at_a - at_b))
    if profit(structure, last) * slope < 0:
        found.append(last - profit(structure, last) / slope)
    return tuple(sorted(found))


def bounds(structure: Structure) -> tuple[Decimal | None, Decimal | None]:
    """The most it can win, and the least (the most it can lose, below zero) at the expiry."""
    strikes = _strikes(structure)
    values = [profit(structure, price) for price in (Decimal(0), *strikes)]
    slope = profit(structure, strikes[-1] + 1) - values[-1]
    return (None if slope > 0 else max(values)), (None if slope < 0 else min(values))


def _strikes(structure: Structure) -> list[Decimal]:
    return sorted({contract.strike for leg in structure.legs if (contract := leg.contract) is not None})


def _range(structure: Structure, roots: tuple[Decimal, ...], spot: Decimal | None) -> tuple[Decimal, Decimal]:
    """Prices that are shown: whatever matters, and some room."""
    known = [*_strikes(structure), *roots, *([spot] if spot is not None else [])]
    low, high = min(known), max(known)
    room = max((high - low) * Decimal("0.2"), (low + high) * Decimal("0.03"))
    return max(Decimal(0), low - room), high + room


def _volatilities(state: SessionState, structure: Structure, spot: Decimal | None) -> dict[str, float]:
    """Of each contract: what its mark stands for, else what was known when it was decided."""
    found = {}
    for leg in structure.legs:
        contract, mark = leg.contract, state.marks.get(leg.symbol)
        if contract is None:
            continue
        now = None
        if spot is not None and mark is not None:
            now = pricing.implied(contract, mark, spot, state.last_at)
        at_entry = structure.greeks[leg.symbol].iv if leg.symbol in structure.greeks else None
        if (volatility := now or at_entry) is not None:
            found[leg.symbol] = volatility
    return found


def _today(
    structure: Structure, at: datetime, low: Decimal, high: Decimal, volatilities: dict[str, float]
) -> tuple[Points | None, str]:
    if not pricing.is_installed():
        return None, "the curve of now needs vollib: pip install 'gambler-ai[options]'"
    paid, times = float(_paid(structure)), float(UNIT * structure.units)
    points = []
    for index in range(POINTS):
        spot = max(0.01, float(low) + float(high - low) * index / (POINTS - 1))
        value = pricing.net_value(structure.legs, spot, at, volatilities)
        if value is None:
            return None, "no curve of now: the volatility of a contract is not known"
        points.append((spot, paid + value * times))
    return tuple(points), ""


def _probability(
    structure: Structure, at: datetime, spot: Decimal | None, roots: tuple[Decimal, ...], known: dict[str, float]
) -> float | None:  # fmt: skip
    """That it ends with a profit if it is held to its first expiry, at the mean of its volatilities."""
    contracts = [contract for leg in structure.legs if (contract := leg.contract) is not None]
    if spot is None or spot <= 0 or len(known) < len(contracts):
        return None
    volatility = sum(known.values()) / len(known)
    left = min(pricing.years(contract, at) for contract in contracts)
    total, edges = 0.0, [Decimal(0), *roots, None]
    for a, b in pairwise(edges):
        assert a is not None
        middle = a + 1 if b is None else (a + b) / 2
        if profit(structure, middle) > 0:
            upper = 1.0 if b is None else pricing.below(float(b), float(spot), left, volatility)
            total += upper - pricing.below(float(a), float(spot), left, volatility)
    return total
