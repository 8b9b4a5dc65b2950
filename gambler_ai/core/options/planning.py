"""What has to be sent for each structure now: its next leg, its way out, the mending of what is not even.

Each order is named by its structure and how many were decided for it before, so the same decision has the same id
after any crash, and none is drawn while another of the same structure is not settled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from gambler_ai.core.contracts import parse
from gambler_ai.core.events import (
    ALL,
    CancelPlanned,
    IntentPlanned,
    StructureEnded,
)
from gambler_ai.core.model import ZERO, Side
from gambler_ai.core.options.books import held
from gambler_ai.core.orders import (
    MLEG,
    IntentRecord,
    Order,
    OrderIntent,
    Purpose,
    Role,
    Status,
    client_order_id,
    contract_body,
    market_body,
    mleg_body,
    position_decision_id,
)
from gambler_ai.core.protection import ENTRY_DEADLINE, REARM_PAUSE, is_there, may_ask
from gambler_ai.core.state import SessionState
from gambler_ai.core.structures import Structure, beyond_even, even_units

#: Session time that a structure may be held out of its ratio with nothing on its way.
UNEVEN_PATIENCE = timedelta(seconds=60)
#: Session time from the first of the shares on in which the contract on them is still traded: it was chosen at the
#: prices of its proposal. After that the shares go again.
LEG_PATIENCE = timedelta(minutes=5)
#: Session time that an order for the whole may rest at market before its legs go one by one: a leg that nobody bids
#: for keeps all of them waiting.
WHOLE_PATIENCE = timedelta(seconds=60)

Step = CancelPlanned | IntentPlanned | StructureEnded


def why_left(state: SessionState, structure: Structure) -> str:
    """Why a structure is to be closed, "" if it is to be kept."""
    exits = state.exits
    return exits.get(structure.structure_id) or exits.get(structure.underlying) or exits.get(ALL, "")


def plan(state: SessionState, at: datetime, market_open: bool, theirs: Mapping[str, Decimal]) -> list[Step]:
    """What has to be sent, and which structures are over. ``theirs`` is what the broker holds, by symbol."""
    return [step for case in _cases(state, at) for step in _plan_one(case, market_open, theirs)]


@dataclass(frozen=True)
class _Case:
    """A structure, what is held for it, and its orders in mind."""

    state: SessionState
    structure: Structure
    at: datetime
    held: dict[str, Decimal]
    records: list[IntentRecord]
    orders: list[Order]

    @property
    def is_settled(self) -> bool:
        """Whether no order of it may still change anything; one that a person has to look at may."""
        return all(r.status.is_final for r in self.records) and all(o.is_settled for o in self.orders)

    @property
    def moves(self) -> bool:
        """Whether something of it is on its way. What a person has to look at is not waited for."""
        disputed = {r.intent.client_order_id for r in self.records if r.status is Status.DISPUTED}
        return any(not r.status.is_final for r in self.records if r.status is not Status.DISPUTED) or any(
            not o.is_settled for o in self.orders if o.intent_id not in disputed
        )


def _cases(state: SessionState, at: datetime) -> list[_Case]:
    records: dict[str, list[IntentRecord]] = {structure_id: [] for structure_id in state.structures}
    for record in state.intents.values() if records else ():
        if record.intent.structure_id in records:
            records[record.intent.structure_id].append(record)
    return [
        _Case(state, s, at, held(state, key), records[key], [o for r in records[key] for o in state.orders_of(r)])
        for key, s in state.structures.items()
    ]


def _plan_one(case: _Case, market_open: bool, theirs: Mapping[str, Decimal]) -> list[Step]:
    if not case.held and case.is_settled:
        return [StructureEnded(case.at, case.structure.structure_id, _why_over(case))]
    if cancels := [*_entries(case), *_stuck(case)]:
        return list(cancels)
    if case.moves or not case.held or not market_open or _too_soon(case):
        return []
    if not all(is_there(case.state.positions[symbol], theirs) for symbol in case.held):
        return []  # an order against what is gone would open it the other way
    if why := why_left(case.state, case.structure):
        return list(_whole(case, why) or _singles(case, case.held, why))
    if leg := _next_leg(case):
        return [leg]
    since = case.structure.uneven_since
    return _mend(case) if since is not None and case.at - since >= UNEVEN_PATIENCE else []


def _why_over(case: _Case) -> str:
    if not case.structure.filled:
        notes = [r.note for r in case.records if r.note]
        return f"never filled{': ' if notes else ''}{notes[-1] if notes else ''}"
    if why := why_left(case.state, case.structure):
        return why
    if case.structure.settled:
        return "expired, or exercised"
    exits = [r.intent for r in case.records if r.intent.purpose is Purpose.EXIT]
    return exits[-1].reason if exits else "closed at the broker"


def _entries(case: _Case) -> list[CancelPlanned]:
    """Entries that rest although it is to be closed, or that stay filled in part."""
    why, found = why_left(case.state, case.structure), []
    for order in _asked_for(case, Role.ENTRY):
        late = order.partial_since is not None and case.at - order.partial_since >= ENTRY_DEADLINE
        if why or late:
            found.append(CancelPlanned(case.at, order.order_id, why or "entry still partly filled at its deadline"))
    return found


def _stuck(case: _Case) -> list[CancelPlanned]:
    return [
        CancelPlanned(case.at, o.order_id, "not filled as a whole: its legs go one by one")
        for o in _asked_for(case, Role.EXIT)
        if o.order_class == MLEG and case.at - (o.partial_since or o.submitted_at) >= WHOLE_PATIENCE
    ]


def _asked_for(case: _Case, role: Role) -> list[Order]:
    """Orders that rest and whose cancel may be asked for (again); a leg goes with its parent."""
    return [
        o for o in case.orders
        if o.is_live and o.role is role and o.parent_id is None and o.status is not Status.PENDING_CANCEL
        and may_ask(o, case.at) and case.state.intents[o.intent_id].status is not Status.DISPUTED
    ]  # fmt: skip


def _too_soon(case: _Case) -> bool:
    """A pause after a decision that came to nothing; each refusal in a row doubles it."""
    decided_at = case.structure.decided_at
    later = [r for r in case.records if r.intent.purpose is not Purpose.ENTRY]
    if decided_at is None or not later or later[-1].status is Status.FILLED:
        return False
    refused = sum(r.status is Status.REJECTED for r in later)
    return case.at - decided_at < REARM_PAUSE * int(2 ** min(max(refused - 1, 0), 5))


def _next_leg(case: _Case) -> IntentPlanned | None:
    """The contract to be traded after the shares: each once, as soon as all before it is held whole, or never."""
    structure = case.structure
    if structure.uneven_since is None or case.at - structure.uneven_since > LEG_PATIENCE:
        return None
    contracts = [leg for leg in structure.legs if leg.contract is not None]
    shares = [leg for leg in structure.legs if leg.contract is None]
    number = structure.decisions
    if not shares or number >= len(contracts) or structure.settled or contracts[number].symbol in case.held:
        return None
    if any(case.held.get(leg.symbol) != leg.ratio * structure.units for leg in (*shares, *contracts[:number])):
        return None
    leg = contracts[number]
    side, qty = Side.BUY if leg.ratio > 0 else Side.SELL, Decimal(abs(leg.ratio) * structure.units)
    body = partial(contract_body, symbol=leg.symbol, side=side, qty=qty, opening=True)
    return _planned(case, Purpose.LEG, leg.symbol, side, qty, number, structure.reason, body)


def _whole(case: _Case, why: str) -> list[IntentPlanned]:
    """All contracts in one order, if they are held in their ratio and that order was not tried in vain."""
    structure, units = case.structure, even_units(case.structure, case.held)
    legs = [(leg.symbol, leg.ratio) for leg in structure.legs if leg.contract is not None]
    tried = any(
        r.intent.purpose is Purpose.EXIT and r.intent.symbol == structure.underlying and r.status is not Status.FILLED
        for r in case.records
    )
    if len(legs) < 2 or len(legs) < len(structure.legs) or beyond_even(structure, case.held) or tried:
        return []
    body = partial(mleg_body, legs=legs, qty=units, opening=False)
    number = structure.decisions
    return [_planned(case, Purpose.EXIT, structure.underlying, Side.SELL, Decimal(units), number, why, body)]


def _singles(case: _Case, what: Mapping[str, Decimal], why: str) -> list[IntentPlanned]:
    """Each by itself at market: what is short is bought back first, what is long goes when nothing is short."""
    shorts = {symbol: qty for symbol, qty in what.items() if qty < 0}
    found = []
    for number, (symbol, qty) in enumerate(sorted((shorts or what).items()), case.structure.decisions):
        side = Side.BUY if qty < 0 else Side.SELL
        if parse(symbol) is None:
            body = partial(market_body, symbol=symbol, side=side, qty=abs(qty))
        else:
            body = partial(contract_body, symbol=symbol, side=side, qty=abs(qty), opening=False)
        found.append(_planned(case, Purpose.EXIT, symbol, side, abs(qty), number, why, body))
    return found


def _mend(case: _Case) -> list[Step]:
    """What belongs to no whole unit is closed; `reconcile.uneven` tells it."""
    beyond = beyond_even(case.structure, case.held)
    what = ", ".join(f"{qty:f} {symbol}" for symbol, qty in sorted(beyond.items()))
    return list(_singles(case, beyond, f"uneven: {what}"))


def _planned(
    case: _Case, purpose: Purpose, symbol: str, side: Side, qty: Decimal, number: int, why: str,
    body: Callable[[str], str],
) -> IntentPlanned:  # fmt: skip
    state, structure = case.state, case.structure
    decision = position_decision_id(purpose, structure.structure_id, number)
    coid = client_order_id(state.account_id, state.session_id, decision)
    whole = symbol == structure.underlying and symbol not in case.held
    price = structure.at_risk if whole else state.marks.get(symbol, ZERO)
    return IntentPlanned(case.at, OrderIntent(
        client_order_id=coid, decision_id=decision, attempt=0, purpose=purpose, strategy=structure.strategy,
        symbol=symbol, side=side, qty=qty, ref_price=price, stop_price=structure.stop_price,
        target_price=structure.target_price, position_id=structure.structure_id, reason=why, decided_at=case.at,
        valid_until=case.at + ENTRY_DEADLINE if purpose is Purpose.LEG else None, body=body(coid),
        structure_id=structure.structure_id,
    ))  # fmt: skip
