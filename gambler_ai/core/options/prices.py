"""Which contracts a session needs prices of, and what those make of its marks."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from gambler_ai.core.contracts import parse
from gambler_ai.core.state import SessionState
from gambler_ai.core.structures import OptionQuote


def contracts(state: SessionState) -> tuple[str, ...]:
    """Contracts that are held, or belong to a structure that is open."""
    legs = {leg.symbol for structure in state.structures.values() for leg in structure.legs}
    return tuple(sorted(s for s in legs | state.positions.keys() if parse(s) is not None))


def without_structure(state: SessionState) -> tuple[str, ...]:
    """The session's underlyings in which a structure may still be opened."""
    taken = {structure.underlying for structure in state.structures.values()}
    return tuple(symbol for symbol in state.plan.symbols if symbol not in taken)


def marks(state: SessionState, quotes: Mapping[str, OptionQuote]) -> dict[str, Decimal]:
    """Mids of what `contracts` names; one that nobody quotes keeps its last mark."""
    found = {symbol: quotes[symbol].mid for symbol in contracts(state) if symbol in quotes}
    return {symbol: mid for symbol, mid in found.items() if mid is not None}
