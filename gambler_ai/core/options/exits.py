"""When a structure is to be closed: its own rules, looked at on each scan and, without prices, on each reading."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal

from gambler_ai.core.events import ExitRequested
from gambler_ai.core.model import NEW_YORK
from gambler_ai.core.options.books import held
from gambler_ai.core.options.planning import why_left
from gambler_ai.core.state import SessionState
from gambler_ai.core.structures import OptionQuote, Structure, net_price


def due(
    state: SessionState, at: datetime, quotes: Mapping[str, OptionQuote], spots: Mapping[str, Decimal]
) -> list[ExitRequested]:
    """The structures that a rule takes out at these prices; those of time need none of them."""
    return _asked(state, at, lambda s: by_time(s, at) or by_price(s, quotes, spots))


def overdue(state: SessionState, at: datetime) -> list[ExitRequested]:
    """Those that time takes out, or an exercise: for a reading that has no prices."""
    return _asked(state, at, lambda s: by_time(s, at))


def _asked(state: SessionState, at: datetime, rule: Callable[[Structure], str]) -> list[ExitRequested]:
    return [
        ExitRequested(at, structure_id, why)
        for structure_id, structure in state.structures.items()
        if structure.filled and held(state, structure_id) and not why_left(state, structure)
        and (why := rule(structure))
    ]  # fmt: skip


def by_time(structure: Structure, at: datetime) -> str:
    """Why a structure has to be closed whatever it is worth, "" if it may stay."""
    if structure.settled:
        return "a contract of it was exercised or assigned, or has expired"
    today = at.astimezone(NEW_YORK).date()
    left, rules = (structure.first_expiry - today).days, structure.exits
    if rules.days_left is not None and left <= rules.days_left:
        return f"{left} days to its expiry, closed at {rules.days_left}"
    days = (today - structure.opened_at.astimezone(NEW_YORK).date()).days
    if rules.max_days is not None and days >= rules.max_days:
        return f"open for {days} days, closed after {rules.max_days}"
    return ""


def by_price(structure: Structure, quotes: Mapping[str, OptionQuote], spots: Mapping[str, Decimal]) -> str:
    """Why a structure has to be closed at these prices, "" if it may stay or a price of it is not known."""
    mids = {symbol: quote.mid for symbol, quote in quotes.items()}
    value = net_price(structure.legs, {**spots, **mids})
    stop, target = structure.stop_price, structure.target_price
    if value is not None and stop is not None and value <= stop:
        return f"stop: worth {value:f}, stop at {stop:f}"
    if value is not None and target is not None and value >= target:
        return f"target: worth {value:f}, target at {target:f}"
    return _may_be_assigned(structure, mids, spots)


def _may_be_assigned(structure: Structure, mids: Mapping[str, Decimal | None], spots: Mapping[str, Decimal]) -> str:
    least, spot = structure.exits.time_value, spots.get(structure.underlying)
    if least is None or spot is None:
        return ""
    for leg in structure.legs:
        contract, mid = leg.contract, mids.get(leg.symbol)
        if contract is None or mid is None or leg.ratio > 0 or not contract.intrinsic(spot):
            continue
        time_value = mid - contract.intrinsic(spot)
        if time_value <= least:
            return f"the short {contract.name} is in the money with {max(time_value, Decimal(0)):f} of time value"
    return ""
