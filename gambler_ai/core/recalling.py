"""Orders of ours that restored books do not know: the decision behind each, found again by its id.

A backup is older than the last order. An id is a function of account, session and decision, so whoever knows the first
two and tries the decisions that could have been made learns whether an order is this session's; nobody else's fits.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from gambler_ai.core import events as ev
from gambler_ai.core.contracts import MULTIPLIER, underlying_of
from gambler_ai.core.degraded import Condition
from gambler_ai.core.missing import watched_until
from gambler_ai.core.model import NEW_YORK, ZERO
from gambler_ai.core.orders import (
    ID_PREFIX,
    MLEG,
    OrderIntent,
    OrderReport,
    Purpose,
    Status,
    bracket_body,
    client_order_id,
    entry_decision_id,
    market_body,
    oco_body,
    position_decision_id,
    replace_body,
    stop_body,
    wire_body,
)
from gambler_ai.core.reconcile import Kind
from gambler_ai.core.state import OPTIONS, SessionState
from gambler_ai.core.structures import ExitRules, Leg, Structure

#: An entry is of a bar that closed at most so many bars before it was sent, those included that a signal is good for.
BARS_BACK = 8
#: Bars begin on whole minutes.
STEP = timedelta(minutes=1)
#: Orders that are looked for behind one position.
ORDINALS_MAX = 300
REASON = "not in the backup"
#: What becomes of a structure whose stop, target and exit rules only the lost books knew: nothing would guard it.
NO_RULES = "not in the backup, so its stop, target and exit rules are not known"


def is_on(state: SessionState) -> bool:
    """Whether the books were restored and have not been compared with the broker since."""
    return Condition.BOOKS in state.degraded


def recall(state: SessionState, at: datetime, order: OrderReport, report: ev.BrokerReport) -> Iterator[ev.Fact]:
    """The facts that take ``order`` back into the books, if a decision of this session has its id; none if not.

    Each has to be applied before the next is drawn. Fills from before the order have to be booked already.
    """
    if order.client_order_id in state.intents or not order.client_order_id.startswith(ID_PREFIX):
        return
    intent = _entry(state, order) or _of_position(state, order)
    if intent is None:
        return
    yield from _never_sent(state, at, intent, report)
    yield ev.IntentRecalled(at, intent)
    action = "taken back into the books"
    if intent.structure is not None and (
        order.filled_qty or any(leg.filled_qty for leg in order.legs) or not order.is_done
    ):
        action += "; closed at market, since what was to guard it is not known"
        yield ev.ExitRequested(at, intent.structure_id, NO_RULES)
    yield ev.Reconciled(at, (ev.Discrepancy(
        kind=Kind.NOT_IN_BACKUP, symbol=order.symbol, ours="none", broker=f"{intent.purpose} {order.side} "
        f"{order.qty:f} {order.status}", cause="sent after the backup was taken; its id is of this session",
        action=action, order_id=order.client_order_id,
    ),))  # fmt: skip


def _never_sent(state: SessionState, at: datetime, later: OrderIntent, report: ev.BrokerReport) -> Iterator[ev.Fact]:
    """One at a time is in flight in a symbol: where a later one was sent, one that nobody finds came to nothing."""
    for coid, record in list(state.intents.items()):
        earlier = record.intent.symbol == later.symbol and record.intent.decided_at < later.decided_at
        if earlier and record.status is Status.UNKNOWN and report.lookups.get(coid, record) is None:
            text = f"the broker does not know it, and {later.client_order_id} was sent after it"
            yield ev.IntentVoided(at, coid, text, watched_until(report.market))


def _entry(state: SessionState, order: OrderReport) -> OrderIntent | None:
    strategy = state.plan.filed_under
    bar = timedelta(seconds=state.plan.timeframe_s)
    newest = order.submitted_at.replace(second=0, microsecond=0)
    for back in range(BARS_BACK * max(1, bar // STEP) + 1):
        decision = entry_decision_id(strategy, order.symbol, order.side, newest - back * STEP)
        if order.client_order_id == client_order_id(state.account_id, state.session_id, decision):
            return _made(state, order, decision, Purpose.ENTRY, strategy, order.client_order_id)
    return None


def _of_position(state: SessionState, order: OrderReport) -> OrderIntent | None:
    for position_id, strategy in _positions(state, order.symbol).items():
        for purpose in (Purpose.PROTECT, Purpose.EXIT, Purpose.REPLACE, Purpose.LEG):
            for ordinal in range(ORDINALS_MAX):
                decision = position_decision_id(purpose, position_id, ordinal)
                if order.client_order_id == client_order_id(state.account_id, state.session_id, decision):
                    return _made(state, order, decision, purpose, strategy, position_id)
    return None


def _positions(state: SessionState, symbol: str) -> dict[str, str]:
    """Every position there may have been in ``symbol``, with its strategy; structures on it among them."""
    found = {
        r.intent.position_id: r.intent.strategy for r in state.intents.values() if r.intent.symbol == symbol
    }  # fmt: skip
    of = underlying_of(symbol)
    found |= {
        r.intent.structure_id: r.intent.strategy for r in state.intents.values()
        if r.intent.structure_id and underlying_of(r.intent.symbol) == of
    } | {s.structure_id: s.strategy for s in state.structures.values() if s.underlying == of}  # fmt: skip
    held = state.positions.get(symbol)
    return found if held is None else found | {held.position_id: held.strategy}


def _made(
    state: SessionState, order: OrderReport, decision: str, purpose: Purpose, strategy: str, position_id: str
) -> OrderIntent:
    """The intent, with a body that says what the order is. It is never sent: the broker has the order."""
    stop, target = _levels(order)
    qty = order.qty + sum((leg.filled_qty for leg in order.legs if order.order_class == "oco"), ZERO)
    is_entry = purpose is Purpose.ENTRY
    structure = _structure(order, strategy) if is_entry and state.plan.universe == OPTIONS else None
    return OrderIntent(
        client_order_id=order.client_order_id, decision_id=decision, attempt=0, purpose=purpose, strategy=strategy,
        symbol=order.symbol, side=order.side, qty=qty, ref_price=order.limit_price or ZERO, stop_price=stop,
        target_price=target, position_id=position_id, reason=REASON, decided_at=order.submitted_at, valid_until=None,
        body=_body(order, purpose, qty, stop, target),
        market_day=order.submitted_at.astimezone(NEW_YORK).date().isoformat() if is_entry else "",
        replaces=(order.replaces or "") if purpose is Purpose.REPLACE else "",
        structure_id=position_id if structure is not None or _is_structure(state, position_id) else "",
        structure=structure,
    )  # fmt: skip


def _is_structure(state: SessionState, position_id: str) -> bool:
    intents = (record.intent.structure_id for record in state.intents.values())
    return position_id in state.structures or position_id in intents


def _structure(order: OrderReport, strategy: str) -> Structure:
    """What an order tells of the structure that it opened; what was to guard it no order tells.

    The shares of a covered call are bought by themselves: its call is unknown then, and so is no part of it.
    """
    if order.order_class == MLEG:
        units, legs = order.qty, tuple(Leg(leg.symbol, _ratio(leg, order.qty)) for leg in order.legs)
    else:
        units, legs = order.qty // MULTIPLIER, (Leg(order.symbol, MULTIPLIER * order.side.sign),)
    return Structure(
        structure_id=order.client_order_id, strategy=strategy, underlying=underlying_of(order.symbol), sector="",
        legs=legs, units=int(units), entry_price=order.limit_price or order.filled_avg_price or ZERO, stop_price=None,
        target_price=None, exits=ExitRules(), max_loss=None, max_profit=None, confidence=None, greeks={},
        opened_at=order.submitted_at, reason=REASON,
    )  # fmt: skip


def _ratio(leg: OrderReport, units: Decimal) -> int:
    return int(leg.qty / units) * leg.side.sign


def _levels(order: OrderReport) -> tuple[Decimal | None, Decimal | None]:
    """Stop and target that it has, or that its legs had when they were made."""
    parts = [order, *(leg for leg in order.legs if leg.replaces is None)]
    stop = next((part.stop_price for part in parts if part.stop_price is not None), None)
    own = parts if order.order_class == "oco" else parts[1:]
    return stop, next((part.limit_price for part in own if part.limit_price is not None), None)


def _body(order: OrderReport, purpose: Purpose, qty: Decimal, stop: Decimal | None, target: Decimal | None) -> str:
    coid, symbol, side = order.client_order_id, order.symbol, order.side
    if order.order_class == MLEG:
        return wire_body({
            "qty": f"{qty:f}", "type": order.type, "time_in_force": order.time_in_force, "order_class": MLEG,
            "limit_price": None if order.limit_price is None else f"{order.limit_price:f}", "client_order_id": coid,
            "legs": [
                {"symbol": leg.symbol, "side": leg.side.value, "ratio_qty": str(abs(_ratio(leg, qty)))}
                for leg in order.legs
            ],
        })  # fmt: skip
    if purpose is Purpose.REPLACE:
        name, price = ("limit_price", order.limit_price) if order.type == "limit" else ("stop_price", order.stop_price)
        return replace_body(coid, name, price or ZERO)
    if stop is not None and target is not None:
        if purpose is Purpose.ENTRY:
            return bracket_body(coid, symbol, side, qty, target, stop, order.limit_price)
        return oco_body(coid, symbol, side, qty, target, stop)
    if order.type == "stop" and stop is not None:
        return stop_body(coid, symbol, side, qty, stop)
    if order.type == "market":
        return market_body(coid, symbol, side, qty)
    return wire_body({
        "symbol": symbol, "qty": f"{qty:f}", "side": side.value, "type": order.type,
        "limit_price": None if order.limit_price is None else f"{order.limit_price:f}", "client_order_id": coid,
    })  # fmt: skip
