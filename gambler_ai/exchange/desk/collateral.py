"""What short contracts tie up: the most that the contracts of an underlying can lose together at expiry.

Contracts of one expiry are taken together, calls and puts: at each strike and at zero, what they would be worth; the
worst of it is the requirement (the "universal spread" rule of Alpaca's options level 3). A call that no long call
covers needs a hundred shares; without them it is uncovered, which no level allows. Long contracts cover short ones that
expire no later. Simplified: of an expiry that has short contracts of its own, none is left over to cover earlier ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from gambler_ai.exchange.numbers import ZERO
from gambler_ai.exchange.options.contracts import CALL, MULTIPLIER, Contract, parse_symbol

Quantities = Mapping[Contract, Decimal]  # signed: short ones are negative


class Cover(NamedTuple):
    """What the contracts of one underlying need: dollars, and shares."""

    amount: Decimal
    shares: Decimal


def cover_of(quantities: Quantities) -> Cover:
    """Of one underlying's contracts. The shares are taken for the calls with the lowest strikes."""
    amount, shares = ZERO, ZERO
    carried: dict[Contract, Decimal] = {}
    for expiry in sorted({contract.expiry for contract in quantities}, reverse=True):
        group = {contract: qty for contract, qty in quantities.items() if contract.expiry == expiry and qty}
        if not any(qty < 0 for qty in group.values()):
            carried |= group
            continue
        group |= carried
        carried = {}
        uncovered = max(-sum((qty for contract, qty in group.items() if contract.kind == CALL), ZERO), ZERO)
        shares += uncovered * MULTIPLIER
        amount += _worst(_with_shares(group, uncovered))
    return Cover(amount, shares)


def _with_shares(group: dict[Contract, Decimal], lots: Decimal) -> dict[Contract, Decimal]:
    """What is left of the group when so many of its short calls are covered by shares."""
    left = dict(group)
    for contract in sorted((c for c in group if c.kind == CALL and group[c] < 0), key=lambda c: c.strike):
        taken = min(-left[contract], lots)
        left[contract] += taken
        lots -= taken
    return left


def _worst(group: Quantities) -> Decimal:
    prices = {ZERO, *(contract.strike for contract in group)}
    worth = (sum((qty * contract.intrinsic(price) for contract, qty in group.items()), ZERO) for price in prices)
    return max(-min(worth), ZERO) * MULTIPLIER


def by_underlying(holdings: Iterable[tuple[str, Decimal]]) -> dict[str, dict[Contract, Decimal]]:
    """Symbols with signed quantities -> the contracts of each underlying; stocks are left out."""
    found: dict[str, dict[Contract, Decimal]] = {}
    for symbol, qty in holdings:
        contract = parse_symbol(symbol)
        if contract is not None:
            group = found.setdefault(contract.underlying, {})
            group[contract] = group.get(contract, ZERO) + qty
    return found


def requirement(holdings: Iterable[tuple[str, Decimal]], shares_of: Callable[[str], Decimal]) -> Decimal:
    """What all contracts of an account tie up. An uncovered call, which only a later loss of shares or of the long leg
    leaves behind, counts as the cash that would buy the shares at its strike.
    """
    total = ZERO
    for underlying, group in by_underlying(holdings).items():
        cover = cover_of(group)
        missing = max(cover.shares - max(shares_of(underlying), ZERO), ZERO)
        highest = max((contract.strike for contract in group), default=ZERO)
        total += cover.amount + missing * highest
    return total
