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

from gambler_ai.core import booking, risk_record
from gambler_ai.core import events as ev
from gambler_ai.core.contracts import underlying_of
from gambler_ai.core.learning import LearningRules
from gambler_ai.core.options import books
from gambler_ai.core.orders import (
    IntentRecord,
    Purpose,
    Status,
    moved,
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
    booking.put_intent(state, changes, IntentRecord(intent=intent, sent_at=fact.at))
    state.day_entries += intent.purpose is Purpose.ENTRY
    if intent.structure_id:
        books.planned(state, intent, fact.at, changes)
        return
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
    booking.put_intent(state, changes, record)
    if intent.structure_id:
        books.recalled(state, fact, changes)
    name = intent.decision_id.rpartition("|")[2]
    position = state.positions.get(intent.symbol)
    if intent.purpose is Purpose.ENTRY:
        state.day_entries += intent.market_day == state.day
        signal_at = datetime.fromisoformat(name)
        symbol = underlying_of(intent.symbol)
        state.bars[symbol] = max(signal_at, state.bars.get(symbol, signal_at))
    elif position is not None and position.position_id == intent.position_id and not intent.structure_id:
        decisions = max(position.decisions, int(name) + 1)
        state.positions[intent.symbol] = replace(position, decisions=decisions, decided_at=intent.decided_at)
        changes.symbols.add(intent.symbol)


def _resend_planned(state: SessionState, fact: ev.ResendPlanned, changes: Changes) -> None:
    record = state.intents[fact.client_order_id]
    again = record.resends + 1
    booking.put_intent(state, changes, replace(record, sent_at=fact.at, misses=0, first_miss_at=None, resends=again))


def _intent_unknown(state: SessionState, fact: ev.IntentUnknown, changes: Changes) -> None:
    record = state.intents[fact.client_order_id]
    status = moved(record.status, Status.UNKNOWN)
    exists = record.exists or fact.exists
    booking.put_intent(
        state, changes, replace(record, status=status, note=fact.reason, refused=fact.refused, exists=exists)
    )


def _lookup_missed(state: SessionState, fact: ev.LookupMissed, changes: Changes) -> None:
    record = state.intents[fact.client_order_id]
    first = record.first_miss_at or fact.at
    booking.put_intent(state, changes, replace(record, misses=record.misses + 1, first_miss_at=first))


def _intent_refused(state: SessionState, fact: ev.IntentRefused, changes: Changes) -> None:
    record = state.intents[fact.client_order_id]
    after = replace(record, status=moved(record.status, Status.REJECTED), note=fact.reason)
    booking.put_intent(state, changes, after)
    booking.note_settled(state, fact.client_order_id, fact.at)


def _intent_voided(state: SessionState, fact: ev.IntentVoided, changes: Changes) -> None:
    record = state.intents[fact.client_order_id]
    status = moved(record.status, Status.VOID)
    after = replace(record, status=status, note=fact.reason, watch_until=fact.watch_until)
    booking.put_intent(state, changes, after)


def _intent_disputed(state: SessionState, fact: ev.IntentDisputed, changes: Changes) -> None:
    record = state.intents[fact.client_order_id]
    # What the broker holds, or no longer holds, is an observation: it may follow any status.
    booking.put_intent(state, changes, replace(record, status=Status.DISPUTED, note=fact.reason, settled_at=None))


def _account_reported(state: SessionState, fact: ev.AccountReported, _: Changes) -> None:
    state.account = fact.account
    if state.initial_equity is None:
        state.initial_equity = fact.account.equity
    state.risk = risk_record.stated(state.risk, fact.at, fact.account.equity, state.pnl)


def _marked(state: SessionState, fact: ev.Marked, _: Changes) -> None:
    state.marks.update(fact.marks)
    state.bars.update(fact.bars)
    state.iteration = state.iteration if fact.iteration is None else fact.iteration
    state.risk = risk_record.marked(state.risk, state.pnl)
    for intent_id, record in list(state.intents.items()):
        if record.watch_until is not None and record.watch_until < fact.at:
            state.intents[intent_id] = replace(record, watch_until=None)
            booking.note_settled(state, intent_id, fact.at)
        elif record.settled_at is not None and fact.at - record.settled_at >= SETTLED_KEPT:
            booking.forget(state, record)


def _structure_ended(state: SessionState, fact: ev.StructureEnded, changes: Changes) -> None:
    books.ended(state, fact, changes)


def _cancel_planned(state: SessionState, fact: ev.CancelPlanned, changes: Changes) -> None:
    order = replace(state.orders[fact.order_id], cancel_requested_at=fact.at)
    state.orders[fact.order_id] = changes.orders[fact.order_id] = order


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
    booking.put_intent(state, changes, record)
    booking.note_settled(state, fact.client_order_id, fact.at)


def _request_taken(_state: SessionState, fact: ev.RequestTaken, changes: Changes) -> None:
    changes.answers[fact.request_id] = fact.answer


def _noted(_state: SessionState, _fact: ev.Fact, _changes: Changes) -> None:
    """Worth keeping, changes nothing: denials, what a reconciliation found, how a restart went."""


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
    ev.OrderUpdated: booking.order_updated,
    ev.FillReported: booking.fill_reported,
    ev.AccountReported: _account_reported,
    ev.Marked: _marked,
    ev.CancelPlanned: _cancel_planned,
    ev.Adjusted: booking.adjusted,
    ev.OptionSettled: booking.option_settled,
    ev.StructureEnded: _structure_ended,
    ev.ForeignSeen: _foreign_seen,
    ev.Degraded: _degraded,
    ev.Restored: _restored,
    ev.HaltRequested: _stop_requested,
    ev.StopRequested: _stop_requested,
    ev.TradingHalted: _trading_halted,
    ev.TradingResumed: _trading_resumed,
    ev.ExitRequested: _exit_requested,
    ev.ExitDone: _exit_done,
    ev.Adopted: booking.adopted,
    ev.IntentResolved: _intent_resolved,
    ev.DayOpened: _day_opened,
    ev.RequestTaken: _request_taken,
    ev.SplitApplied: booking.split,
    ev.ActionNoted: _action_noted,
    ev.RiskCarried: _risk_carried,
    ev.PauseKept: _pause_kept,
    ev.RiskReset: _risk_reset,
}
