"""What a structure is worth in the books: its legs, its money, and the one trade that it ends as.

The parts of `evolution.apply` that know structures; they evolve and decide nothing.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from msgspec.structs import replace

from gambler_ai.core import risk_record
from gambler_ai.core.contracts import MULTIPLIER, multiplier_of
from gambler_ai.core.events import IntentRecalled, StructureEnded
from gambler_ai.core.model import ZERO, ClosedTrade, Fill, Position
from gambler_ai.core.orders import MLEG, Order, OrderIntent, Purpose, Role
from gambler_ai.core.portfolio import places
from gambler_ai.core.state import Changes, SessionState
from gambler_ai.core.structures import Structure, beyond_even


def held(state: SessionState, structure_id: str) -> dict[str, Decimal]:
    """Symbol -> signed quantity of what is held for a structure."""
    return {s: p.qty for s, p in state.positions.items() if p.structure_id == structure_id}


def planned(state: SessionState, intent: OrderIntent, at: datetime, changes: Changes) -> None:
    """An order of a structure was decided: the entry brings it, each further one takes the next ordinal."""
    structure = state.structures.get(intent.structure_id)
    if intent.purpose is Purpose.ENTRY:
        structure = intent.structure
    elif structure is not None:
        structure = replace(structure, decisions=structure.decisions + 1, decided_at=at)
    _put(state, changes, structure)


def recalled(state: SessionState, fact: IntentRecalled, changes: Changes) -> None:
    """The same of an order that restored books did not know: its decision is not made once more."""
    intent = fact.intent
    structure = state.structures.get(intent.structure_id)
    if intent.purpose is Purpose.ENTRY:
        structure = structure or intent.structure
    elif structure is not None:
        decisions = max(structure.decisions, _ordinal(intent) + 1)
        structure = replace(structure, decisions=decisions, decided_at=intent.decided_at)
    _put(state, changes, structure)


def _ordinal(intent: OrderIntent) -> int:
    return int(intent.decision_id.rpartition("|")[2])


def count_units(state: SessionState, changes: Changes, parent_id: str | None) -> None:
    """What is booked of a parent, which has no fills of its own: the units that all of its legs have.

    Once it and its legs are done and their fills booked nothing more can come: then it is what the broker counts,
    even if the legs are not even.
    """
    parent = state.orders.get(parent_id or "")
    if parent is None or parent.order_class != MLEG:
        return
    legs = [o for o in state.orders_of(state.intents[parent.intent_id]) if o.parent_id == parent.order_id]
    if not legs or not all(leg.qty > 0 for leg in legs):  # a broker's word may be anything
        return
    booked = min(leg.booked_qty * parent.qty // leg.qty for leg in legs)
    if parent.status.is_final and all(leg.is_settled for leg in legs):
        booked = parent.filled_qty
    if booked != parent.booked_qty:
        state.orders[parent.order_id] = changes.orders[parent.order_id] = replace(parent, booked_qty=booked)


def opening(state: SessionState, structure_id: str, fill: Fill) -> Position:
    """The position that a fill of a leg starts."""
    structure = state.structures[structure_id]
    return Position(
        symbol=fill.symbol, qty=ZERO, avg_entry_price=fill.price, entry_at=fill.at, position_id=structure_id,
        strategy=structure.strategy, stop_price=structure.stop_price, target_price=structure.target_price,
        reason=structure.reason, entry_equity=state.account.equity or None, structure_id=structure_id,
        greeks=structure.greeks.get(fill.symbol),
    )  # fmt: skip


def revive(state: SessionState, structure_id: str) -> bool:
    """Whether a structure is known; one that had ended and gets a fill all the same begins anew.

    Its money does, and not its ordinals: the ids of the orders that closed it are taken.
    """
    record = state.intents.get(structure_id)
    if structure_id not in state.structures and record is not None and record.intent.structure is not None:
        before = (r.intent for r in state.intents.values() if r.intent.structure_id == structure_id)
        ordinals = [_ordinal(intent) for intent in before if intent.purpose is not Purpose.ENTRY]
        state.structures[structure_id] = replace(record.intent.structure, decisions=max(ordinals, default=-1) + 1)
    return structure_id in state.structures


def moved(
    state: SessionState, changes: Changes, structure_id: str, at: datetime, symbol: str, qty: Decimal,
    price: Decimal, *, entry: bool = False, settled: bool = False, priced: bool = True,
) -> None:  # fmt: skip
    """So much (signed) came to a structure, or left it, at ``price``: its money, and whether it is still even."""
    structure = state.structures.get(structure_id)
    if structure is None:
        return
    cash = -qty * price * multiplier_of(symbol)
    structure = replace(
        structure, cash=structure.cash + cash, filled=True, settled=structure.settled or settled,
        opened_at=structure.opened_at if structure.filled else at,
        entry_cash=structure.entry_cash + (cash if entry else ZERO), unpriced=structure.unpriced or not priced,
    )  # fmt: skip
    uneven = bool(beyond_even(structure, held(state, structure_id)))
    since = (structure.uneven_since or at) if uneven else None
    _put(state, changes, replace(structure, uneven_since=since))


def resize(state: SessionState, changes: Changes, structure_id: str) -> None:
    """A structure whose entry has ended before it was whole has as many units as were filled."""
    structure, record = state.structures.get(structure_id), state.intents.get(structure_id)
    if structure is None or record is None or not structure.filled:
        return
    entries = [o for o in state.orders_of(record) if o.parent_id is None and o.role is Role.ENTRY]
    if not entries or not all(order.is_settled for order in entries):
        return
    units = sum(_units(structure, order) for order in entries)
    if 0 < units < structure.units:
        _put(state, changes, replace(structure, units=units))


def _units(structure: Structure, order: Order) -> int:
    one = next((abs(leg.ratio) for leg in structure.legs if leg.symbol == order.symbol), 1)
    return int(order.booked_qty // (1 if order.order_class == MLEG else one))


def ended(state: SessionState, fact: StructureEnded, changes: Changes) -> None:
    """Nothing of it is left: one closed trade, if any of it was ever held. Prices of its contracts are let go."""
    structure = changes.ended[fact.structure_id] = state.structures.pop(fact.structure_id)
    changes.structures.add(fact.structure_id)
    for leg in structure.legs:
        if leg.contract is not None and leg.symbol not in state.positions:
            state.marks.pop(leg.symbol, None)
    if not structure.filled:
        return
    closed = closed_trade(structure, fact.at, fact.reason)
    state.closed_trades += 1
    state.unpriced_closes += closed.pnl is None
    changes.closed.append(closed)
    state.risk = risk_record.closed(state.risk, closed, closed.exit_at)


def closed_trade(structure: Structure, at: datetime, reason: str) -> ClosedTrade:
    """A structure that is closed, as a round trip: net prices, units, and all the money that it brought."""
    whole = Decimal(structure.units * MULTIPLIER)
    known = not structure.unpriced
    return ClosedTrade(
        position_id=structure.structure_id, symbol=structure.underlying, side="long" if structure.is_debit else "short",
        qty=Decimal(structure.units), entry_price=places(-structure.entry_cash / whole), entry_at=structure.opened_at,
        exit_price=places((structure.cash - structure.entry_cash) / whole) if known else None, exit_at=at,
        pnl=structure.cash if known else None, reason=reason, strategy=structure.strategy, multiplier=MULTIPLIER,
    )  # fmt: skip


def _put(state: SessionState, changes: Changes, structure: Structure | None) -> None:
    if structure is not None:
        state.structures[structure.structure_id] = structure
        changes.structures.add(structure.structure_id)
