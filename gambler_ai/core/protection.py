"""Is each position protected at the broker, and what to do where it is not (RECOVERY_PROTOCOL C9, C10)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from enum import StrEnum

from gambler_ai.core import model
from gambler_ai.core.contracts import parse, underlying_of
from gambler_ai.core.events import ALL, CancelPlanned, IntentPlanned
from gambler_ai.core.model import ZERO, Position, is_sane_price
from gambler_ai.core.orders import (
    IN_FLIGHT,
    Order,
    OrderIntent,
    Purpose,
    Role,
    Status,
    client_order_id,
    contract_body,
    market_body,
    oco_body,
    position_decision_id,
    stop_body,
)
from gambler_ai.core.state import SessionState

#: Why a position is left at market when its stop comes too late.
CROSSED = "stop crossed while bare"
#: The same of a contract of no structure: nothing can guard it, since Alpaca takes no bracket for options.
STRAY = "a contract that belongs to no structure"
#: How a leg of a structure stands: Alpaca has no bracket for options.
BY_RULES = "only while the session runs, by the exit rules of its structure; no order rests for it"
#: Session time an entry may stay partly filled: its stop wakes only when it is whole.
ENTRY_DEADLINE = timedelta(seconds=60)
#: Session time a cancel may be pending before the shares it holds count as bare (BEHAVIOUR 10.10).
PENDING_CANCEL_PATIENCE = timedelta(seconds=60)
#: Session time between two decisions for one position, so that a refusal is not answered with a storm.
REARM_PAUSE = timedelta(seconds=30)


class Protection(StrEnum):
    """PROTECTED by an order at the broker, GUARDED only while we run, or NAKED."""

    PROTECTED = "PROTECTED"
    GUARDED = "GUARDED"
    NAKED = "NAKED"


def protection(state: SessionState, position: Position) -> tuple[Protection, str]:
    """How ``position`` stands, and why."""
    return _judge(_Case(state, position, _by_symbol(state).get(position.symbol, [])))


def protections(state: SessionState) -> list[tuple[Position, Protection, str]]:
    """How each position stands, and why."""
    return [(case.position, *_judge(case)) for case in _cases(state)]


def plan(
    state: SessionState, at: datetime, market_open: bool, theirs: Mapping[str, Decimal] | None = None
) -> list[CancelPlanned | IntentPlanned]:
    """What has to be sent so that each position is protected again; nothing where it is.

    ``theirs`` is what the broker holds: a position it does not show whole gets no order until that is explained,
    for an order against shares that are gone opens a position the other way.
    """
    alone = [c for c in _cases(state) if not c.position.structure_id]  # a structure has exit rules, and no stop
    cases = [c for c in alone if theirs is None or is_there(c.position, theirs)]
    return [
        *_orphans(state, at),
        *_unwanted_entries(state, at),
        *_overdue_entries(state, at, market_open),
        *(step for case in cases for step in _plan_one(case, at, market_open)),
    ]


def is_there(position: Position, theirs: Mapping[str, Decimal]) -> bool:
    """Whether the broker holds at least this position, on its side."""
    qty = theirs.get(position.symbol, ZERO)
    return (qty > 0) == (position.qty > 0) and abs(qty) >= abs(position.qty)


@dataclass(frozen=True)
class _Case:
    """A position and our orders in its symbol that are not done."""

    state: SessionState
    position: Position
    orders: list[Order]


def _by_symbol(state: SessionState) -> dict[str, list[Order]]:
    found: dict[str, list[Order]] = {}
    for order in state.orders.values():
        if not order.is_settled:
            found.setdefault(order.symbol, []).append(order)
    return found


def _cases(state: SessionState) -> list[_Case]:
    orders = _by_symbol(state) if state.positions else {}
    return [_Case(state, position, orders.get(symbol, [])) for symbol, position in state.positions.items()]


def _judge(case: _Case) -> tuple[Protection, str]:
    if case.position.structure_id:
        return Protection.GUARDED, BY_RULES
    held = abs(case.position.qty)
    covered = _stop_qty(case)
    if covered >= held:
        return Protection.PROTECTED, "stop at the broker"
    if _entry_live(case) is not None:
        return Protection.GUARDED, "entry partly filled; its stop wakes when it is whole"
    if _exit_on_its_way(case, case.state.last_at):
        return Protection.GUARDED, "an order for it is on its way"
    return Protection.NAKED, f"a stop covers {covered:f} of {held:f}"


def why_left(state: SessionState, symbol: str) -> str:
    """Why a position in ``symbol`` is to be closed, "" if it is to be kept."""
    return state.exits.get(symbol) or state.exits.get(ALL, "")


def _plan_one(case: _Case, at: datetime, market_open: bool) -> list[CancelPlanned | IntentPlanned]:
    position = case.position
    if market_open and why_left(case.state, position.symbol):  # a closed market takes no exit: protection stays
        return _leave(case, at)
    if _stop_qty(case) == abs(position.qty):
        return []
    entry = _entry_live(case)
    if entry is not None:
        overdue = at - (entry.partial_since or entry.submitted_at) >= ENTRY_DEADLINE
        if overdue and may_ask(entry, at):
            return [CancelPlanned(at, entry.order_id, "entry still partly filled at its deadline")]
        return []
    if _exit_on_its_way(case, at):
        return []
    if resting := _resting(case):
        stale = any(o.stale for o in resting)
        return _cancels(resting, at, "priced before the split" if stale else "covers another quantity than is held")
    if not market_open and any(o.status is Status.PENDING_CANCEL for o in case.orders):
        return []  # it ends at the open and holds the shares until then, so that anything new is refused
    # An exit that a closed market did not take has left it bare for the night: that waits for nothing.
    pauses = _too_soon(case.state, position, at) and not why_left(case.state, position.symbol)
    return [] if pauses else _rearm(case.state, position, at, market_open)


def _leave(case: _Case, at: datetime) -> list[CancelPlanned | IntentPlanned]:
    """Out at market: first whatever holds the shares has to go."""
    why = why_left(case.state, case.position.symbol)
    if (entry := _entry_live(case)) is not None:
        return _cancels([entry], at, why)
    decided_at = case.position.decided_at
    # Before the protection goes, not between that and the exit: the pause must find the position covered.
    if _exit_on_its_way(case, at) or (decided_at is not None and at - decided_at < REARM_PAUSE):
        return []
    resting = _resting(case)
    return _cancels(resting, at, why) if resting else [_exit_intent(case.state, case.position, at, why)]


def _resting(case: _Case) -> list[Order]:
    return [o for o in _live_exits(case) if not _parent_live(case.state, o)]


def _cancels(orders: list[Order], at: datetime, why: str) -> list[CancelPlanned | IntentPlanned]:
    return [CancelPlanned(at, o.order_id, why) for o in orders if may_ask(o, at)]


def _unwanted_entries(state: SessionState, at: datetime) -> list[CancelPlanned]:
    """Entries that rest although everything is to be closed."""
    return entry_cancels(state, at, state.exits[ALL]) if ALL in state.exits else []


def _overdue_entries(state: SessionState, at: datetime, market_open: bool) -> list[CancelPlanned]:
    """Entries of which nothing is filled when their signal has expired, or when the market has closed over them."""
    found = []
    for order in state.orders.values():
        if order.is_live and order.role is Role.ENTRY and not order.filled_qty and not _is_disputed(state, order):
            until = state.intents[order.intent_id].intent.valid_until
            if order.parent_id is not None:
                continue  # a leg goes with its parent
            late = until is not None and at > until
            if (late or not market_open) and order.status is not Status.PENDING_CANCEL and may_ask(order, at):
                why = "its signal has expired" if late else "the market has closed over it"
                found.append(CancelPlanned(at, order.order_id, f"entry not filled: {why}"))
    return found


def limit_entry_cancels(state: SessionState, at: datetime, why: str) -> list[CancelPlanned]:
    """The same as `entry_cancels`, of those that wait for a price."""
    return [c for c in entry_cancels(state, at, why) if state.orders[c.order_id].limit_price is not None]


def entry_cancels(state: SessionState, at: datetime, why: str) -> list[CancelPlanned]:
    """Asking for a cancel of each entry that rests."""
    return [
        CancelPlanned(at, o.order_id, why) for o in state.orders.values()
        if o.is_live and o.role is Role.ENTRY and o.parent_id is None
        and o.status is not Status.PENDING_CANCEL and may_ask(o, at)
    ]  # fmt: skip


def left(state: SessionState) -> list[str]:
    """Symbols (or `ALL`) that were to be left and are: nothing held, nothing resting, nothing on its way."""
    open_ = still_open(state) if state.exits else set()
    return [symbol for symbol in state.exits if not (open_ if symbol == ALL else symbol in open_)]


def still_open(state: SessionState) -> set[str]:
    """Symbols in which something is held, rests or is on its way; underlyings and ids of such structures as well."""
    open_ = set(state.positions) | state.filling() | {o.symbol for o in state.orders.values() if o.is_live}
    # A disputed one is a person's to settle, and may take for ever.
    waits = [r.intent for r in state.intents.values() if not r.status.is_final and r.status is not Status.DISPUTED]
    open_ |= {intent.symbol for intent in waits}
    ids = {p.structure_id for p in state.positions.values()} | {intent.structure_id for intent in waits}
    ids |= {state.intents[o.intent_id].intent.structure_id for o in state.orders.values() if not o.is_settled}
    return {underlying_of(symbol) for symbol in open_} | open_ | ids - {""}


def _too_soon(state: SessionState, position: Position, at: datetime) -> bool:
    return position.decided_at is not None and at - position.decided_at < _pause(state, position)


def _pause(state: SessionState, position: Position) -> timedelta:
    """The time before the next decision: each further refusal of late doubles it, for a broker that says no."""
    refused = sum(
        r.status is Status.REJECTED and r.intent.position_id == position.position_id
        and r.intent.purpose in (Purpose.PROTECT, Purpose.EXIT) for r in state.intents.values()
    )  # fmt: skip
    return REARM_PAUSE * int(2 ** min(max(refused - 1, 0), 5))


def may_ask(order: Order, at: datetime) -> bool:
    """A cancel that came to nothing, or was never sent, is asked for again after a pause."""
    return order.cancel_requested_at is None or at - order.cancel_requested_at >= REARM_PAUSE


def _orphans(state: SessionState, at: datetime) -> list[CancelPlanned]:
    """Exits that rest although nothing is held: one that filled would open a position the other way."""
    filling = state.filling()
    return [
        CancelPlanned(at, o.order_id, "nothing is left for it to protect")
        for o in state.orders.values()
        if o.is_live and o.role is not Role.ENTRY and o.status is not Status.PENDING_CANCEL
        and o.symbol not in state.positions and o.symbol not in filling
        and not _parent_live(state, o) and may_ask(o, at) and not state.intents[o.intent_id].intent.structure_id
    ]  # fmt: skip


def _rearm(
    state: SessionState, position: Position, at: datetime, market_open: bool
) -> list[CancelPlanned | IntentPlanned]:
    qty = abs(position.qty)
    stop, target = stop_and_target(state, position)
    mark = state.marks.get(position.symbol)
    crossed = mark is not None and is_sane_price(mark) and (
        mark <= stop if position.qty > 0 else mark >= stop
    )  # fmt: skip
    symbol, side = position.symbol, position.exit_side
    if parse(symbol) is not None:
        return [_exit_intent(state, position, at, STRAY)] if market_open else []
    if crossed:
        return [_exit_intent(state, position, at, CROSSED)]
    if qty == qty.to_integral_value(rounding=ROUND_DOWN):

        def oco(coid: str) -> str:
            return oco_body(coid, symbol, side, qty, target, stop)

        return [_planned(state, position, at, Purpose.PROTECT, "re-armed", oco)]
    if not market_open:  # a fraction takes a plain day stop only, so it is re-armed every day
        return []

    def day_stop(coid: str) -> str:
        return stop_body(coid, symbol, side, qty, stop)

    return [_planned(state, position, at, Purpose.PROTECT, "re-armed for the day", day_stop)]


def _exit_intent(state: SessionState, position: Position, at: datetime, why: str) -> IntentPlanned:
    def body(coid: str) -> str:
        symbol, side, qty = position.symbol, position.exit_side, abs(position.qty)
        if parse(symbol) is not None:
            return contract_body(coid, symbol, side, qty, opening=False)
        return market_body(coid, symbol, side, qty)

    return _planned(state, position, at, Purpose.EXIT, why, body)


def _planned(
    state: SessionState, position: Position, at: datetime, purpose: Purpose, why: str, body: Callable[[str], str]
) -> IntentPlanned:
    """An order for a position, under the id of the decision; ``body`` makes its bytes from that."""
    stop, target = stop_and_target(state, position)
    decision = position_decision_id(purpose, position.position_id, position.decisions)
    coid = client_order_id(state.account_id, state.session_id, decision)
    return IntentPlanned(at, OrderIntent(
        client_order_id=coid, decision_id=decision, attempt=0, purpose=purpose, strategy=position.strategy,
        symbol=position.symbol, side=position.exit_side, qty=abs(position.qty),
        ref_price=state.marks.get(position.symbol) or position.avg_entry_price,
        stop_price=stop, target_price=target, position_id=position.position_id, reason=why, decided_at=at,
        valid_until=None, body=body(coid),
    ))  # fmt: skip


def stop_and_target(state: SessionState, position: Position) -> tuple[Decimal, Decimal]:
    """The position's own stop and target; the plan's percentages of its price where it has none."""
    sign = 1 if position.qty > 0 else -1
    plan = state.plan
    stop, target = model.stop_and_target(position.avg_entry_price, sign, plan.stop_loss_pct, plan.take_profit_pct)
    return position.stop_price or stop, position.target_price or target


def _stop_qty(case: _Case) -> Decimal:
    """Shares that a stop at the broker would take out."""
    stops = (
        o for o in _live_exits(case)
        if o.role is Role.STOP and is_awake(case.state, o) and not o.stale and not _waits_for_its_place(case.state, o)
    )  # fmt: skip
    return sum((o.qty - o.filled_qty for o in stops), ZERO)


def _live_exits(case: _Case) -> list[Order]:
    """Orders resting on the exit side; those the broker no longer knows do not count."""
    return [
        o for o in case.orders
        if o.is_live and o.side is case.position.exit_side and o.role is not Role.ENTRY
        and o.status is not Status.PENDING_CANCEL and not _is_disputed(case.state, o)
    ]  # fmt: skip


def _is_disputed(state: SessionState, order: Order) -> bool:
    return state.intents[order.intent_id].status is Status.DISPUTED


def _waits_for_its_place(state: SessionState, order: Order) -> bool:
    """It is to replace one that still rests, and may yet be refused: the two are one (BEHAVIOUR 3, replace)."""
    before = state.orders.get(order.replaces or "")
    return before is not None and before.is_live


def is_awake(state: SessionState, leg: Order) -> bool:
    """Legs of a bracket sleep until the entry is completely filled (BEHAVIOUR 3, bracket)."""
    parent = state.orders.get(leg.parent_id) if leg.parent_id else None
    return parent is None or parent.role is not Role.ENTRY or parent.status is Status.FILLED


def _parent_live(state: SessionState, order: Order) -> bool:
    parent = state.orders.get(order.parent_id or "")
    return parent is not None and parent.is_live


def _entry_live(case: _Case) -> Order | None:
    live = (o for o in case.orders if o.is_live and o.role is Role.ENTRY and not _is_disputed(case.state, o))
    return next(live, None)


def _exit_on_its_way(case: _Case, at: datetime) -> bool:
    """A protective or closing order is in flight, an exit is working, a cancel is pending, a fill unbooked."""
    in_flight = any(
        r.status in IN_FLIGHT and r.intent.purpose is not Purpose.ENTRY
        for r in case.state.open_intents(case.position.symbol)
    )
    unbooked = any(o.booked_qty != o.filled_qty for o in case.orders)
    return in_flight or unbooked or any(_is_moving(case.state, o, at) for o in case.orders)


def _is_moving(state: SessionState, order: Order, at: datetime) -> bool:
    if not order.is_live or _is_disputed(state, order):
        return False
    if order.status is Status.PENDING_CANCEL:
        return at - (order.cancel_requested_at or order.updated_at) < PENDING_CANCEL_PATIENCE
    return order.role is Role.EXIT
