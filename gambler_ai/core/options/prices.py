"""Which contracts a session needs prices of, and what those make of its marks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from gambler_ai.core.contracts import parse
from gambler_ai.core.model import new_york_day
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


def of_today(quotes: Mapping[str, OptionQuote], at: datetime) -> dict[str, OptionQuote]:
    """Those of the market day of ``at``: until a contract is quoted in the morning the broker states last evening's."""
    today = new_york_day(at)
    return {symbol: quote for symbol, quote in quotes.items() if new_york_day(quote.at) == today}


def unpriced(state: SessionState, quotes: Mapping[str, OptionQuote]) -> dict[str, tuple[str, ...]]:
    """Underlyings of structures that are held -> those of their contracts of which ``quotes`` has no price."""
    found = {}
    for structure in state.structures.values():
        legs = (leg.symbol for leg in structure.legs if leg.contract is not None)
        missing = tuple(s for s in legs if s not in quotes or quotes[s].mid is None)
        if structure.filled and missing:
            found[structure.underlying] = missing
    return found
