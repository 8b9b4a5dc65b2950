"""What happens as objects for programs: the one place where a fact, or a moment of a session's life, becomes one.

docs/json-lines.md says what each kind holds. Decimals are strings, instants RFC 3339 in UTC; a kind or a name, once
released, keeps its meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import msgspec

from gambler_ai import __version__
from gambler_ai.app.notices import BooksAccepted, NothingToAccept, Notice, StrategyChanged
from gambler_ai.app.venue import Venue
from gambler_ai.cli.structure_rows import structure_rows
from gambler_ai.core import degraded
from gambler_ai.core import events as ev
from gambler_ai.core.catchup import CatchUp
from gambler_ai.core.corporate import effect
from gambler_ai.core.model import ClosedTrade
from gambler_ai.core.protection import protections
from gambler_ai.core.state import Plan, SessionState
from gambler_ai.errors import GamblerError
from gambler_ai.storage.checkpoints import CheckpointInfo
from gambler_ai.storage.sessions import SessionInfo
from gambler_ai.trading.recovery import Restored
from gambler_ai.trading.reporter import DatabaseBack, DatabaseLost

#: ``kind`` says what it is; `RecordWatcher` adds the session and the runner's token.
Record = dict[str, Any]


def of_fact(fact: ev.Fact, state: SessionState | None = None) -> Record | None:
    """A fact that matters to a program; None for the others. ``state`` knows the symbol of an order's id."""
    kind = _KINDS.get(type(fact))
    if kind is None:
        return None
    name, fields = kind
    return {"kind": name, "at": _plain(fact.at), **fields(fact, state)}


def of_closed(trade: ClosedTrade) -> Record:
    """A round trip."""
    return {"kind": "closed", "at": _plain(trade.exit_at), **_plain(trade), "held_s": trade.duration.total_seconds()}


def opening(venue: Venue, database: str, plan: Plan) -> Record:
    return {
        "kind": "opening", "at": _plain(venue.clock.now()), "version": __version__, "broker": venue.kind,
        "trading_url": venue.trading_url, "database": database, "speed": venue.speed, "symbols": plan.symbols,
    }  # fmt: skip


def created(state: SessionState) -> Record:
    return {"kind": "created", "at": _plain(state.started_at), "account": state.account_id, "plan": _plain(state.plan)}


def resumed(info: SessionInfo, restored: Restored) -> Record:
    state, checkpoint = restored.state, restored.checkpoint
    return {
        "kind": "resumed", "at": _plain(state.last_at), "account": state.account_id, "plan": _plain(state.plan),
        "started_at": _plain(info.started_at), "checkpoint": checkpoint and _checkpoint(checkpoint),
        "broken_checkpoints": restored.broken, "replayed": restored.replayed, "positions": _positions(state),
        "structures": _structures(state), "iteration": state.iteration,
        "closed_trades": state.closed_trades, "remaining_s": state.remaining_s or state.plan.duration_s,
    }  # fmt: skip


def notice(found: Notice) -> Record:
    """What a person should know before a session goes on."""
    if isinstance(found, StrategyChanged):
        return {
            "kind": "strategy_changed", "strategy": found.plan.strategy, "sha256": found.plan.strategy_sha256
        }  # fmt: skip
    if isinstance(found, BooksAccepted):
        return {
            "kind": "broker_state_accepted", "reason": found.why, "kept_as": found.kept, "orders": found.orders,
            "fills": found.fills, "foreign": {symbol: str(qty) for symbol, qty in sorted(found.foreign.items())},
        }  # fmt: skip
    if isinstance(found, NothingToAccept):
        return {"kind": "nothing_to_accept"}
    if isinstance(found, DatabaseLost):
        return {"kind": "database", "up": False, "reason": found.reason, "hint": found.hint}
    if isinstance(found, DatabaseBack):
        return {"kind": "database", "up": True, "away_s": round(found.away_s, 3)}
    return {
        "kind": "other_account", "account": found.account_id, "other_session": found.session.id,
        "other_account": found.session.account_id,
    }  # fmt: skip


def planned(found: Collection[ev.Discrepancy], facts: Collection[ev.Fact]) -> Record:
    """What a reconciliation would come to; nothing was changed."""
    would = [record for fact in facts if (record := of_fact(fact)) is not None]
    return {"kind": "planned", "differences": _plain(list(found)), "would": would}


def caught_up(report: CatchUp) -> Record:
    return {"kind": "caught_up", "at": _plain(report.until), "down_s": report.down.total_seconds(), **_plain(report)}


def started(state: SessionState) -> Record:
    return {
        "kind": "started", "at": _plain(state.last_at), "remaining_s": state.remaining_s,
        "positions": _positions(state), "structures": _structures(state), "foreign": _plain(state.foreign),
    }  # fmt: skip


def checkpoint(info: CheckpointInfo) -> Record:
    return {"kind": "checkpoint", "at": _plain(info.at), **_checkpoint(info)}


def stream(change: ev.StreamChanged) -> Record:
    return {
        "kind": "stream", "at": _plain(change.at), "stream": change.stream, "up": change.up, "reason": change.reason,
    }  # fmt: skip


def waiting(market: ev.MarketReport, state: SessionState) -> Record:
    return {
        "kind": "waiting", "at": _plain(state.last_at), "next_open": _plain(market.next_open),
        "remaining_s": state.remaining_s,
    }  # fmt: skip


def ended(state: SessionState, *, made: int, pruned: int) -> Record:
    """The totals. The last object of a session that was not killed, unless it is an `error`."""
    first, last = state.initial_equity, state.account.equity
    return {
        "kind": "ended", "at": _plain(state.last_at), "status": state.status, "reason": state.end_reason,
        "initial_equity": _plain(first), "equity": str(last), "pnl": None if first is None else str(last - first),
        "realized_pnl": str(state.realized_pnl), "closed_trades": state.closed_trades, "fills": state.fills,
        "positions": _positions(state), "structures": _structures(state), "checkpoints_created": made,
        "checkpoints_pruned": pruned,
    }  # fmt: skip


def error(kind: str, message: str, hint: str, code: int) -> Record:
    """The last object of a run that failed, before a session or in it; ``code`` is the process's exit code."""
    return {"kind": "error", "error": kind, "message": message, "hint": hint, "exit_code": code}


def of_error(failure: BaseException) -> Record:
    """The same, of an exception that ends the program."""
    if isinstance(failure, GamblerError):
        return error(type(failure).__name__, failure.message, failure.hint, failure.exit_code)
    if isinstance(failure, KeyboardInterrupt):
        return error("KeyboardInterrupt", "stopped", "what is stored is safe: --resume", 130)
    return error(type(failure).__name__, f"internal error: {failure}", "what is stored is safe: --resume", 1)


def ready(database: str) -> Record:
    """--init-db has made it."""
    return {"kind": "ready", "at": None, "database": database, "session": None, "token": None}


def stopping(reason: str) -> Record:
    return {"kind": "stopping", "reason": reason}


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value)


def _fields(fact: ev.Fact, _state: SessionState | None) -> Record:
    """Its own fields, without the journal's tag."""
    return {name: value for name, value in _plain(fact).items() if name not in ("type", "at")}


def _with_symbol(fact: Any, state: SessionState | None) -> Record:
    record = state.intents.get(getattr(fact, "client_order_id", "")) if state is not None else None
    order = state.orders.get(getattr(fact, "order_id", "")) if state is not None else None
    symbol = record.intent.symbol if record is not None else order.symbol if order is not None else None
    return {"symbol": symbol, **_fields(fact, state)}


def _intent(fact: ev.IntentPlanned | ev.IntentRecalled, _state: SessionState | None) -> Record:
    fields: Record = _plain(fact.intent)
    del fields["body"]  # its bytes: all that they say stands beside them
    return fields


def _order(fact: ev.OrderUpdated, _state: SessionState | None) -> Record:
    fields: Record = _plain(fact.report)
    return fields


def _fill(fact: ev.FillReported, state: SessionState | None) -> Record:
    order = state.orders.get(fact.fill.order_id) if state is not None else None
    return {**_plain(fact.fill), "client_order_id": order and order.intent_id}


def _account(fact: ev.AccountReported, _state: SessionState | None) -> Record:
    fields: Record = _plain(fact.account)
    return fields


def _asked(fact: ev.RequestTaken, _state: SessionState | None) -> Record:
    return {"request_id": fact.request_id, "request": fact.kind, "answer": fact.answer}


def _leave(fact: ev.ExitRequested, state: SessionState | None) -> Record:
    """A structure is left under the share that it is on."""
    structure = state.structures.get(fact.symbol) if state is not None else None
    if structure is None:
        return _fields(fact, state)
    return _fields(fact, state) | {"symbol": structure.underlying, "structure_id": fact.symbol}


def _structures(state: SessionState) -> list[Record]:
    return [
        {
            "structure_id": row.structure_id, "strategy": row.name, "underlying": row.underlying,
            "legs": _plain(state.structures[row.structure_id].legs), "units": row.units, "entry_price": str(row.entry),
            "value": _plain(row.value), "pnl": _plain(row.gain), "stop_price": _plain(row.stop),
            "target_price": _plain(row.target), "days_left": row.days_left, "status": row.status, "why": row.why,
        }
        for row in structure_rows(state, state.last_at)
    ]  # fmt: skip


def _action(fact: ev.ActionNoted, _state: SessionState | None) -> Record:
    fields: Record = {**_plain(fact.action), "happened_at": _plain(fact.action.at), "effect": effect(fact.action)}
    del fields["at"]  # of the object: when it was noted
    return fields


def _memory(fact: ev.ComponentSetAside, _state: SessionState | None) -> Record:
    return {
        "component": fact.name, "reason": fact.reason, "used": fact.used, "from_session": fact.session_id,
        "number": fact.number,
    }  # fmt: skip


def _outcome(fact: ev.OutcomeKnown, _state: SessionState | None) -> Record:
    fields: Record = _plain(fact.outcome)
    return fields | {"won": fact.outcome.won}


def _carried(fact: ev.RiskCarried, _state: SessionState | None) -> Record:
    fields: Record = _plain(fact.record)
    return fields | {"session": fact.session_id}


def _condition(fact: ev.Degraded | ev.Restored, state: SessionState | None) -> Record:
    condition, subject = degraded.parts(fact.name)
    return _fields(fact, state) | {"condition": condition and condition.value, "subject": subject}


def _degraded(fact: ev.Degraded, state: SessionState | None) -> Record:
    return _condition(fact, state) | {
        "entries": degraded.entries(fact.name).value, "ends": degraded.ends(fact.name),
    }  # fmt: skip


def _checkpoint(info: CheckpointInfo) -> Record:
    return {"number": info.number, "seq": info.seq, "sha256": info.sha256, "bytes": info.length}


def _positions(state: SessionState) -> list[Record]:
    return [
        {
            "symbol": p.symbol, "qty": str(p.qty), "avg_entry_price": str(p.avg_entry_price),
            "stop_price": _plain(p.stop_price), "target_price": _plain(p.target_price),
            "mark": _plain(state.marks.get(p.symbol)), "protection": status.value, "why": why,
        }
        for p, status, why in protections(state)
    ]  # fmt: skip


#: Fact -> its kind, and what it holds.
_KINDS: dict[type, tuple[str, Callable[[Any, SessionState | None], Record]]] = {
    ev.IntentPlanned: ("intent", _intent),
    ev.IntentRecalled: ("recalled", _intent),
    ev.OrderUpdated: ("order", _order),
    ev.FillReported: ("fill", _fill),
    ev.AccountReported: ("account", _account),
    ev.Denied: ("denied", _fields),
    ev.Reconciled: ("differs", _fields),
    ev.ResendPlanned: ("resend", _with_symbol),
    ev.IntentUnknown: ("unknown", _with_symbol),
    ev.IntentRefused: ("rejected", _with_symbol),
    ev.IntentVoided: ("void", _with_symbol),
    ev.IntentDisputed: ("disputed", _with_symbol),
    ev.IntentResolved: ("resolved", _with_symbol),
    ev.CancelPlanned: ("cancel", _with_symbol),
    ev.Adjusted: ("adjusted", _fields),
    ev.Adopted: ("adopted", _fields),
    ev.ForeignSeen: ("foreign", _fields),
    ev.Degraded: ("degraded", _degraded),
    ev.Restored: ("restored", _condition),
    ev.TradingHalted: ("halted", _fields),
    ev.TradingResumed: ("trading_resumed", _fields),
    ev.ExitRequested: ("leave", _leave),
    ev.ExitDone: ("left", _fields),
    ev.RequestTaken: ("asked", _asked),
    ev.PlanChanged: ("plan", _fields),
    ev.RiskCarried: ("risk_carried", _carried),
    ev.PauseKept: ("pause_kept", _fields),
    ev.RiskReset: ("risk_reset", _fields),
    ev.DayOpened: ("day", _fields),
    ev.SplitApplied: ("split", _fields),
    ev.ActionNoted: ("company", _action),
    ev.OptionSettled: ("settled", _fields),
    ev.StructureEnded: ("structure_ended", _fields),
    ev.ComponentSetAside: ("memory", _memory),
    ev.OutcomeKnown: ("outcome", _outcome),
    ev.LearnerReset: ("learner_reset", _fields),
    ev.LibraryChanged: ("library_changed", _fields),
    ev.LearnerTaught: ("learner_taught", _fields),
}

#: Every kind there is.
KINDS = frozenset(name for name, _ in _KINDS.values()) | {
    "closed", "opening", "created", "resumed", "planned", "caught_up", "started", "checkpoint", "stream", "waiting",
    "other_account", "database", "broker_state_accepted", "nothing_to_accept",
    "strategy_changed", "stopping", "ended", "error", "ready",
}  # fmt: skip
