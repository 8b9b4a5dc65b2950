"""The one function that changes a session's state.

`apply` evolves and decides nothing, so replaying the journal cannot trade. It answers with `Changes`:
what it touched, for the shell to write; the cost of a write follows the change, not what is held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core import portfolio, risk_record
from gambler_ai.core.learning import LearningRules
from gambler_ai.core.model import CENT, ZERO, Position, stop_and_target
from gambler_ai.core.orders import (
    IntentRecord,
    Order,
    OrderReport,
    Purpose,
    Role,
    Status,
    moved,
    observed,
    role_of,
)
from gambler_ai.core.risk_rules import RiskRules
from gambler_ai.core.state import SETTLED_KEPT, Changes, Plan, SessionState


def apply(state: SessionState, fact: ev.Fact) -> Changes:
    """Evolve ``state`` by one fact.

    Raises:
        IllegalTransition: the fact is a move of ours that the order table does not have.
    """
    changes = Changes()
    _APPLY[type(fact)](state, fact, changes)
    state.last_at = max(state.last_at, fact.at)
    return changes


def evolve(state: SessionState, facts: Iterable[ev.Fact]) -> Changes:
    """`apply` for several facts, oldest first."""
    changes = Changes()
    for fact in facts:
        changes.merge(apply(state, fact))
    return changes


#: Parts of a plan that are changed rule by rule: `risk.size_pct`, its value as JSON.
_RULES: dict[str, type[Any]] = {"risk": RiskRules, "learning": LearningRules}


def _run_started(state: SessionState, fact: ev.RunStarted, _: Changes) -> None:
    state.status, state.end_reason, state.stopping = "running", "", ""
    state.run_started_at, state.run_budget_s = fact.at, fact.budget_s
    state.last_at = max(state.last_at, fact.at)


def _run_paused(state: SessionState, fact: ev.RunPaused, _: Changes) -> None:
    state.run_started_at, state.run_budget_s = None, fact.left_s


def _run_ended(state: SessionState, fact: ev.RunEnded, _: Changes) -> None:
    state.status, state.end_reason = fact.status, fact.reason


def _plan_changed(state: SessionState, fact: ev.PlanChanged, _: Changes) -> None:
    kinds = {f.name: f.type for f in msgspec.structs.fields(Plan)}
    values = {
        name: None if after == "None" else msgspec.convert(after, kinds[name], strict=False)
        for name, (_before, after) in fact.changes.items() if name.partition(".")[0] not in _RULES
    }  # fmt: skip
    for part, kind in _RULES.items():
        if moved := [(name, after) for name, (_, after) in fact.changes.items() if name.startswith(f"{part}.")]:
            rules = {name.partition(".")[2]: msgspec.json.decode(after) for name, after in moved}
            before = msgspec.to_builtins(getattr(state.plan, part))
            values[part] = msgspec.convert(before | rules, kind, strict=False)
    state.plan = replace(state.plan, **values)


def _parameters_set(state: SessionState, fact: ev.ParametersSet, _: Changes) -> None:
    state.parameters = dict(fact.parameters)


def _intent_planned(state: SessionState, fact: ev.IntentPlanned, changes: Changes) -> None:
    intent = fact.intent
    _put_intent(state, changes, IntentRecord(intent=intent, sent_at=fact.at))
    state.day_entries += intent.purpose is Purpose.ENTRY
    position = state.positions.get(intent.symbol)
    if intent.purpose is not Purpose.ENTRY and position is not None:
        # Another price for what rests leaves it protected: no pause follows.
        decided_at = position.decided_at if intent.purpose is Purpose.REPLACE else fact.at
        state.positions[intent.symbol] = replace(position, decisions=position.decisions + 1, decided_at=decided_at)
        changes.symbols.add(intent.symbol)


def _intent_recalled(state: SessionState, fact: ev.IntentRecalled, changes: Changes) -> None:
    """As if it had been planned: what it counts for is counted, and its decision is not made once more."""
    intent = fact.intent
    record = IntentRecord(intent=intent, status=Status.UNKNOWN, sent_at=intent.decided_at, exists=True)
    _put_intent(state, changes, record)
    name = intent.decision_id.rpartition("|")[2]
    position = state.positions.get(intent.symbol)
    if intent.purpose is Purpose.ENTRY:
        state.day_entries += intent.market_day == state.day
        signal_at = datetime.fromisoformat(name)
        state.bars[intent.symbol] = max(signal_at, state.bars.get(intent.symbol, signal_at))
    elif position is not None and position.position_id == intent.position_id:
        decisions = max(position.decisions, int(name) + 1)
        state.positions[intent.symbol] = replace(position, decisions=decisions, decided_at=intent.decided_at)
        changes.symbols.add(intent.symbol)


def _resend_planned(state: SessionState, fact: ev.ResendPlanned, changes: Changes) -> None:
    record = state.intents[fact.client_order_id]
    again = record.resends + 1
    _put_intent(state, changes, replace(record, sent_at=fact.at, misses=0, first_miss_at=None, resends=again))


def _intent_unknown(state: SessionState, fact: ev.IntentUnknown, changes: Changes) -> None:
    record = state.intents[fact.client_order_id]
    status = moved(record.status, Status.UNKNOWN)
    exists = record.exists or fact.exists
    _put_intent(state, changes, replace(record, status=status, note=fact.reason, refused=fact.refused, exists=exists))


def _lookup_missed(state: SessionState, fact: ev.LookupMissed, changes: Changes) -> None:
    record = state.intents[fact.client_order_id]
    first = record.first_miss_at or fact.at
    _put_intent(state, changes, replace(record, misses=record.misses + 1, first_miss_at=first))


def _intent_refused(state: SessionState, fact: ev.IntentRefused, changes: Changes) -> None:
    record = state.intents[fact.client_order_id]
    after = replace(record, status=moved(record.status, Status.REJECTED), note=fact.reason)
    _put_intent(state, changes, after)
    _note_settled(state, fact.client_order_id, fact.at)


def _intent_voided(state: SessionState, fact: ev.IntentVoided, changes: Changes) -> None:
    record = state.intents[fact.client_order_id]
    status = moved(record.status, Status.VOID)
    after = replace(record, status=status, note=fact.reason, watch_until=fact.watch_until)
    _put_intent(state, changes, after)


def _intent_disputed(state: SessionState, fact: ev.IntentDisputed, changes: Changes) -> None:
    record = state.intents[fact.client_order_id]
    # What the broker holds, or no longer holds, is an observation: it may follow any status.
    _put_intent(state, changes, replace(record, status=Status.DISPUTED, note=fact.reason, settled_at=None))


def _order_updated(state: SessionState, fact: ev.OrderUpdated, changes: Changes) -> None:
    report = fact.report
    owner = state.owner_of(report)
    assert owner is not None  # the engine asks first
    record = state.intents[owner]
    known = state.orders.get(report.order_id)
    if known is not None and report.updated_at < known.updated_at:
        return  # an earlier moment, told late
    if report.client_order_id == owner:
        status, _odd = observed(record.status, report.status, newer=known is not None and known.is_before(report))
        record = replace(record, status=status, misses=0, first_miss_at=None, watch_until=None)
        _put_intent(state, changes, record)
    before = known or state.orders.get(report.replaces or record.intent.replaces)
    role = before.role if before is not None else role_of(record.intent.purpose, report)
    _put_order(state, changes, fact.at, report, owner, role, before.parent_id if before is not None else None)
    for leg in report.legs:
        role = Role.TARGET if leg.type == "limit" else Role.STOP
        _put_order(state, changes, fact.at, leg, state.owner_of(leg) or owner, role, report.order_id)
    _take_levels(state, changes, report.symbol)
    _note_settled(state, owner, fact.at)


def _take_levels(state: SessionState, changes: Changes, symbol: str) -> None:
    """Stop and target of a position are those that rest: an order that took another's place brings its own price.

    One that has its place back, since the other was refused, brings its own again.
    """
    position = state.positions.get(symbol)
    refused = {o.replaces for o in state.orders.values() if o.replaces and o.status is Status.REJECTED}
    for order in state.live_orders(symbol) if position is not None else ():
        before = order if order.order_id in refused else state.orders.get(order.replaces or "")
        if before is None or (before.is_live and before is not order) or order.stale:
            continue
        if order.qty not in (before.qty, before.qty - before.filled_qty):
            continue  # another quantity is the broker's doing, at a split
        assert position is not None
        if order.role is Role.STOP and order.stop_price is not None:
            position = replace(position, stop_price=order.stop_price)
        if order.role is Role.TARGET and order.limit_price is not None:
            position = replace(position, target_price=order.limit_price)
    if position is not None and position != state.positions[symbol]:
        state.positions[symbol] = position
        changes.symbols.add(symbol)


def _is_stale(state: SessionState, report: OrderReport, role: Role, before: Order | None) -> bool:
    """Whether an order has the price of before a split; one that took such a one's place may have been adjusted."""
    if before is not None:
        return before.stale
    was, position = state.orders.get(report.replaces or ""), state.positions.get(report.symbol)
    if was is None or not was.stale:
        return False
    stop = role is Role.STOP
    price = report.stop_price if stop else report.limit_price
    level = (position.stop_price if stop else position.target_price) if position is not None else None
    return price is None or level is None or abs(price - level) > CENT


def _put_order(
    state: SessionState, changes: Changes, at: datetime, report: OrderReport, owner: str, role: Role,
    parent_id: str | None,
) -> None:  # fmt: skip
    before, intent = state.orders.get(report.order_id), state.intents[owner].intent
    if before is not None and report.updated_at < before.updated_at:
        return  # an earlier moment, told late
    meant = intent.replaces if report.client_order_id == owner else ""  # what we asked for, if the broker leaves it out
    was, newer = (before.status, before.is_before(report)) if before is not None else (Status.UNKNOWN, False)
    status, _odd = observed(was, report.status, newer=newer)
    partial = not status.is_final and ZERO < report.filled_qty < report.qty
    order = Order(
        order_id=report.order_id, client_order_id=report.client_order_id,
        intent_id=before.intent_id if before else owner, parent_id=parent_id, role=role, symbol=report.symbol,
        side=report.side, qty=report.qty,
        filled_qty=max(report.filled_qty, before.filled_qty if before else ZERO),
        filled_avg_price=report.filled_avg_price, type=report.type, order_class=report.order_class,
        limit_price=report.limit_price, stop_price=report.stop_price, status=status,
        broker_status=report.status, submitted_at=report.submitted_at, updated_at=report.updated_at,
        booked_qty=before.booked_qty if before else ZERO,
        partial_since=((before and before.partial_since) or at) if partial else None,
        cancel_requested_at=before.cancel_requested_at if before else None,
        replaces=report.replaces or (before.replaces if before else None) or meant or None,
        stale=_is_stale(state, report, role, before),
    )  # fmt: skip
    state.orders[order.order_id] = changes.orders[order.order_id] = order
    if before is None:
        record = state.intents[order.intent_id]
        _put_intent(state, changes, replace(record, order_ids=(*record.order_ids, order.order_id)))


def _fill_reported(state: SessionState, fact: ev.FillReported, changes: Changes) -> None:
    fill = fact.fill
    order = state.orders[fill.order_id]
    intent = state.intents[order.intent_id].intent
    # A person may have taken an order that is not the one we asked for: our stop and target are not its own.
    entry = order.role is Role.ENTRY and (order.symbol, order.side) == (intent.symbol, intent.side)
    opening = Position(
        symbol=fill.symbol, qty=ZERO, avg_entry_price=fill.price, entry_at=fill.at,
        position_id=intent.client_order_id, strategy=intent.strategy,
        stop_price=intent.stop_price if entry else None, target_price=intent.target_price if entry else None,
        reason=intent.reason, entry_equity=state.account.equity or None, signal=intent.signal if entry else None,
    )  # fmt: skip
    why = intent.reason if order.role is Role.EXIT else order.role.value
    _take(state, changes, fill.symbol, portfolio.book(state.positions.get(fill.symbol), fill, opening, why))
    booked = replace(order, booked_qty=order.booked_qty + fill.qty)
    state.orders[order.order_id] = changes.orders[order.order_id] = booked
    state.fill_ids.setdefault(order.order_id, []).append(fill.activity_id)
    state.last_fill_at = max(state.last_fill_at or fill.at, fill.at)
    state.fills += 1
    changes.fills.append(fill)
    _note_settled(state, order.intent_id, fact.at)


def _take(state: SessionState, changes: Changes, symbol: str, booking: portfolio.Booking) -> None:
    changes.symbols.add(symbol)
    before = state.positions.get(symbol)
    if booking.position is None:
        state.positions.pop(symbol, None)
    else:
        state.positions[symbol] = booking.position
    state.realized_pnl += booking.realized
    if booking.closed is not None:
        state.closed_trades += 1
        state.unpriced_closes += booking.closed.pnl is None
        changes.closed.append(booking.closed)
        if before is not None and before.signal is not None:
            changes.outcomes.append(portfolio.outcome(booking.closed, before.signal))
        state.risk = risk_record.closed(state.risk, booking.closed, booking.closed.exit_at)


def _account_reported(state: SessionState, fact: ev.AccountReported, _: Changes) -> None:
    state.account = fact.account
    if state.initial_equity is None:
        state.initial_equity = fact.account.equity
    state.risk = risk_record.stated(state.risk, fact.at, fact.account.equity, state.pnl)


def _marked(state: SessionState, fact: ev.Marked, _: Changes) -> None:
    state.marks.update(fact.marks)
    state.bars.update(fact.bars)
    state.risk = risk_record.marked(state.risk, state.pnl)
    for intent_id, record in list(state.intents.items()):
        if record.watch_until is not None and record.watch_until < fact.at:
            state.intents[intent_id] = replace(record, watch_until=None)
            _note_settled(state, intent_id, fact.at)
        elif record.settled_at is not None and fact.at - record.settled_at >= SETTLED_KEPT:
            _forget(state, record)


def _cancel_planned(state: SessionState, fact: ev.CancelPlanned, changes: Changes) -> None:
    order = replace(state.orders[fact.order_id], cancel_requested_at=fact.at)
    state.orders[fact.order_id] = changes.orders[fact.order_id] = order


def _adjusted(state: SessionState, fact: ev.Adjusted, changes: Changes) -> None:
    position = state.positions[fact.symbol]
    _take(state, changes, fact.symbol, portfolio.adjust(position, fact.qty, fact.price, fact.at, fact.cause))


def _split(state: SessionState, fact: ev.SplitApplied, changes: Changes) -> None:
    """The mark goes, since nobody can tell whether it is one of before or after."""
    position = state.positions[fact.symbol]
    state.positions[fact.symbol] = portfolio.split(position, fact.new, fact.old, fact.qty)
    changes.symbols.add(fact.symbol)
    state.marks.pop(fact.symbol, None)
    state.actions += fact.activity_ids
    for order in state.live_orders(fact.symbol):
        stale = replace(order, stale=True)
        state.orders[order.order_id] = changes.orders[order.order_id] = stale


def _action_noted(state: SessionState, fact: ev.ActionNoted, _: Changes) -> None:
    state.actions.append(fact.action.activity_id)


def _foreign_seen(state: SessionState, fact: ev.ForeignSeen, _: Changes) -> None:
    state.foreign = dict(fact.qty)


def _degraded(state: SessionState, fact: ev.Degraded, _: Changes) -> None:
    state.degraded[fact.name] = fact.reason


def _restored(state: SessionState, fact: ev.Restored, _: Changes) -> None:
    state.degraded.pop(fact.name, None)


def _stop_requested(state: SessionState, fact: ev.StopRequested | ev.HaltRequested, _: Changes) -> None:
    state.stopping = fact.reason


def _trading_halted(state: SessionState, fact: ev.TradingHalted, _: Changes) -> None:
    state.halts[fact.source] = fact.reason


def _trading_resumed(state: SessionState, fact: ev.TradingResumed, _: Changes) -> None:
    state.halts.pop(fact.source, None)


def _exit_requested(state: SessionState, fact: ev.ExitRequested, _: Changes) -> None:
    state.exits[fact.symbol] = fact.reason


def _exit_done(state: SessionState, fact: ev.ExitDone, _: Changes) -> None:
    state.exits.pop(fact.symbol, None)


def _day_opened(state: SessionState, fact: ev.DayOpened, _: Changes) -> None:
    state.day, state.day_entries = fact.day, 0
    state.risk = risk_record.opened(state.risk, fact.day)


def _risk_carried(state: SessionState, fact: ev.RiskCarried, _: Changes) -> None:
    state.risk = risk_record.carried(fact.record, fact.session_id)


def _pause_kept(state: SessionState, fact: ev.PauseKept, _: Changes) -> None:
    state.risk = risk_record.kept(state.risk, fact.until)


def _risk_reset(state: SessionState, fact: ev.RiskReset, _: Changes) -> None:
    state.risk = risk_record.reset(state.risk, fact.at)


def _adopted(state: SessionState, fact: ev.Adopted, changes: Changes) -> None:
    """It gets an id of its own making: no order of ours opened it. Beside ours it takes our stop and target."""
    plan, sign = state.plan, 1 if fact.qty > 0 else -1
    stop, target = stop_and_target(fact.price, sign, plan.stop_loss_pct, plan.take_profit_pct)
    opening = Position(
        symbol=fact.symbol, qty=ZERO, avg_entry_price=fact.price, entry_at=fact.at,
        position_id=f"adopted-{fact.symbol}-{fact.at:%Y%m%dT%H%M%S}", reason=fact.reason,
        strategy=plan.strategy_name or plan.strategy, stop_price=stop, target_price=target,
        entry_equity=state.account.equity or None,
    )  # fmt: skip
    held = state.positions.get(fact.symbol)
    state.positions[fact.symbol] = portfolio.adopt(held, opening, fact.qty, fact.price)
    state.foreign = {s: q for s, q in state.foreign.items() if s != fact.symbol}
    changes.symbols.add(fact.symbol)


def _intent_resolved(state: SessionState, fact: ev.IntentResolved, changes: Changes) -> None:
    """A person's word may follow any status; look-ups that missed before it count no more."""
    record = state.intents[fact.client_order_id]
    record = replace(
        record, note=f"{fact.verdict}: {fact.reason}", misses=0, first_miss_at=None, watch_until=None,
        resolved=fact.verdict != ev.GONE,
    )  # fmt: skip
    if fact.verdict == ev.GONE:
        record = replace(record, status=Status.VOID)
        for order in state.orders_of(record):
            if order.is_live:
                order = replace(order, status=Status.VOID, filled_qty=order.booked_qty)
                state.orders[order.order_id] = changes.orders[order.order_id] = order
    else:
        record = replace(record, status=Status.UNKNOWN, settled_at=None)
    _put_intent(state, changes, record)
    _note_settled(state, fact.client_order_id, fact.at)


def _request_taken(_state: SessionState, fact: ev.RequestTaken, changes: Changes) -> None:
    changes.answers[fact.request_id] = fact.answer


def _noted(_state: SessionState, _fact: ev.Fact, _changes: Changes) -> None:
    """Worth keeping, changes nothing: denials, what a reconciliation found, how a restart went."""


def _put_intent(state: SessionState, changes: Changes, record: IntentRecord) -> None:
    key = record.intent.client_order_id
    state.intents[key] = changes.intents[key] = record


def _note_settled(state: SessionState, intent_id: str, at: datetime) -> None:
    """Remember since when nothing more is expected of an intent and its orders, if that is so."""
    record = state.intents[intent_id]
    settled = (
        record.watch_until is None and record.status.is_final and all(o.is_settled for o in state.orders_of(record))
    )
    if settled != (record.settled_at is not None):
        state.intents[intent_id] = replace(record, settled_at=at if settled else None)


def _took_a_place_that_is_known(state: SessionState, record: IntentRecord) -> bool:
    """Whether a listing that still shows its order would take it for the unseen successor of one we have in mind."""
    places = (state.orders.get(order.replaces or "") for order in state.orders_of(record))
    return any(before is not None and before.intent_id != record.intent.client_order_id for before in places)


def _forget(state: SessionState, record: IntentRecord) -> None:
    """Drop an intent and its orders from memory, unless they have to wait for others; their rows stay."""
    if _took_a_place_that_is_known(state, record):
        return
    del state.intents[record.intent.client_order_id]
    for order_id in record.order_ids:
        del state.orders[order_id]
        state.fill_ids.pop(order_id, None)


#: Facts that are told, or teach a component; the session's state is as it was.
_NO_STATE = (
    ev.Denied, ev.Reconciled, ev.StateRestored, ev.Recovered, ev.ComponentSetAside, ev.OutcomeKnown, ev.LearnerReset,
    ev.LibraryChanged, ev.LearnerTaught,
)  # fmt: skip
_APPLY: dict[type, Callable[[SessionState, Any, Changes], None]] = {
    **dict.fromkeys(_NO_STATE, _noted),
    ev.RunStarted: _run_started,
    ev.RunEnded: _run_ended,
    ev.RunPaused: _run_paused,
    ev.PlanChanged: _plan_changed,
    ev.ParametersSet: _parameters_set,
    ev.IntentPlanned: _intent_planned,
    ev.ResendPlanned: _resend_planned,
    ev.IntentRecalled: _intent_recalled,
    ev.IntentUnknown: _intent_unknown,
    ev.LookupMissed: _lookup_missed,
    ev.IntentRefused: _intent_refused,
    ev.IntentVoided: _intent_voided,
    ev.IntentDisputed: _intent_disputed,
    ev.OrderUpdated: _order_updated,
    ev.FillReported: _fill_reported,
    ev.AccountReported: _account_reported,
    ev.Marked: _marked,
    ev.CancelPlanned: _cancel_planned,
    ev.Adjusted: _adjusted,
    ev.ForeignSeen: _foreign_seen,
    ev.Degraded: _degraded,
    ev.Restored: _restored,
    ev.HaltRequested: _stop_requested,
    ev.StopRequested: _stop_requested,
    ev.TradingHalted: _trading_halted,
    ev.TradingResumed: _trading_resumed,
    ev.ExitRequested: _exit_requested,
    ev.ExitDone: _exit_done,
    ev.Adopted: _adopted,
    ev.IntentResolved: _intent_resolved,
    ev.DayOpened: _day_opened,
    ev.RequestTaken: _request_taken,
    ev.SplitApplied: _split,
    ev.ActionNoted: _action_noted,
    ev.RiskCarried: _risk_carried,
    ev.PauseKept: _pause_kept,
    ev.RiskReset: _risk_reset,
}
