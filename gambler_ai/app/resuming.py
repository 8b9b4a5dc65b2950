"""What a resume begins with, and which flags it takes."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec
from msgspec import structs

from gambler_ai.app.assembly import check_learning, plan_of, rules_of
from gambler_ai.app.desk import Desk
from gambler_ai.app.universe import refuse_given, refuse_sizing
from gambler_ai.app.venue import Venue
from gambler_ai.core import events as ev
from gambler_ai.core.learning import LearningRules
from gambler_ai.core.risk_record import pause_end
from gambler_ai.core.state import Plan, SessionState
from gambler_ai.errors import ConfigError
from gambler_ai.storage import sessions
from gambler_ai.storage.sessions import SessionInfo
from gambler_ai.strategies import parameters
from gambler_ai.trading.recovery import Restored

#: Settings that a resume may change: flag -> field of the plan. Every other difference is refused.
OPERATIONAL = {
    "duration": "duration_s", "interval": "interval_s", "checkpoint_interval": "checkpoint_interval_s",
    "speed": "speed", "keep_checkpoints": "keep_checkpoints", "history_limit": "history_limit", "on_exit": "on_exit",
    "when_closed": "when_closed",
    "max_positions": "max_positions", "max_order_value": "max_order_value",
    "max_orders_per_day": "max_orders_per_day", "max_daily_loss": "max_daily_loss",
    "max_orders_per_minute": "max_orders_per_minute", "capital_per_trade": "capital_per_trade",
    "max_per_strategy": "max_per_strategy", "max_per_sector": "max_per_sector",
    "autosave_iterations": "autosave_iterations",
}  # fmt: skip


#: The same of what learners may do: flag -> rule.
LEARNING = {
    "learners": "learners",
    "use_learner": "use",
    "min_confidence": "min_confidence",
    "confidence": "confidence",
}


#: Flags that have another name in the plan.
_FIELDS = {"timeframe": "timeframe_s", "underlyings": "symbols"}


def refuse_conflicts(desk: Desk, info: SessionInfo) -> None:
    """Refuse flags that would change what a session trades.

    Raises:
        ConfigError: it names each of them, and in brackets what the session has.
    """
    asked, stored = plan_of(desk.settings), info.plan
    refuse_given(desk.given, stored.universe)
    anew = "leave the flag out to resume, or start another session with --new"
    broker = desk.given.get("broker", "auto")
    if broker not in ("auto", info.broker):
        raise ConfigError(f"--broker {broker} differs from where session {info.id} trades ({info.broker})", hint=anew)
    differ = []
    for flag, value in desk.given.items():
        field = _FIELDS.get(flag, flag)
        if flag in OPERATIONAL or flag in ("strategy", "risk") or not hasattr(stored, field):
            continue
        if getattr(asked, field) != getattr(stored, field):
            differ.append((f"--{flag.replace('_', '-')} {value}", f" ({_shown(getattr(stored, field))})"))
    if differ:
        (flag, has), *more = differ
        raise ConfigError(
            f"{flag} differs from what session {info.id} trades{has}" + "".join(f"; {flag}{has}" for flag, has in more),
            hint=anew,
        )


def refuse_closed(info: SessionInfo) -> None:
    """Refuse a session that a person was done with.

    Raises:
        ConfigError.
    """
    if info.status == sessions.CLOSED:
        raise ConfigError(f"session {info.id} was closed ({info.end_reason})", hint="start another one")


def status_after(info: SessionInfo) -> str:
    """What a session is again when somebody has only looked after it."""
    return "stopped" if info.status in sessions.UNFINISHED else info.status


def changes_of(desk: Desk, stored: Plan) -> dict[str, tuple[str, str]]:
    """What the command line changes of a stored plan: field -> (before, after)."""
    asked = plan_of(desk.settings, stored.universe)
    pairs = {
        field: (getattr(stored, field), getattr(asked, field))
        for flag, field in OPERATIONAL.items()
        if flag in desk.given
    }
    changed = {field: (str(a), str(b)) for field, (a, b) in pairs.items() if a != b}
    return changed | _rule_changes(desk, stored) | _learning_changes(desk, stored)


def learning_of(desk: Desk, plan: Plan) -> LearningRules:
    """What learners may do from here on: what is stored, flag by flag as asked, checked as a whole.

    Raises:
        ConfigError: what is asked for does not go with what is stored, or what a learner needs is gone.
    """
    asked = plan_of(desk.settings).learning
    named = [field for flag, field in LEARNING.items() if flag in desk.given]
    rules = structs.replace(plan.learning, **{field: getattr(asked, field) for field in named})
    check_learning(rules, plan.strategy_name, plan.universe)
    return rules


def _learning_changes(desk: Desk, plan: Plan) -> dict[str, tuple[str, str]]:
    """The same for what learners may do."""
    before, after = msgspec.to_builtins(plan.learning), msgspec.to_builtins(learning_of(desk, plan))
    return {f"learning.{f}": (_json(before[f]), _json(after[f])) for f in after if before[f] != after[f]}


def _rule_changes(desk: Desk, stored: Plan) -> dict[str, tuple[str, str]]:
    """The same for rules of risk: only those that were named, on top of what is stored."""
    before = parameters.plain(stored.risk)
    rules = rules_of(before | desk.given.get("risk", {}))
    refuse_sizing(rules, stored.universe)
    after = parameters.plain(rules)
    moved = [name for name in after if getattr(rules, name) != getattr(stored.risk, name)]
    return {f"risk.{name}": (_json(before[name]), _json(after[name])) for name in moved}


def _is_wider(state: SessionState, changes: dict[str, tuple[str, str]]) -> bool:
    """Whether the drawdown that halted a session is within what is allowed from here on."""
    most = msgspec.json.decode(changes["risk.max_drawdown_pct"][1])
    return most is None or Decimal(most) > max(state.risk.worst_pct, state.plan.risk.max_drawdown_pct or 0)


def _pause_kept(state: SessionState, now: datetime, changes: dict[str, tuple[str, str]]) -> list[ev.Fact]:
    """A pause that runs is served as it began: another rule is for the losses to come, or makes it longer."""
    until = pause_end(state.risk, state.plan.risk)
    is_other = not changes.keys().isdisjoint(("risk.max_loss_streak", "risk.loss_pause_min"))
    return [ev.PauseKept(now, until)] if is_other and until is not None and now < until else []


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def came_from(venue: Venue, restored: Restored) -> ev.StateRestored:
    """The fact that says what a restart began from."""
    number = None if restored.checkpoint is None else restored.checkpoint.number
    return ev.StateRestored(venue.clock.now(), number, restored.replayed, restored.broken)


def resumption(desk: Desk, venue: Venue, restored: Restored, token: int, sha256: str) -> list[ev.Fact]:
    """The facts a resume begins with. A market that we move stood still; its night is skipped."""
    state = restored.state
    budget_s = state.remaining_s
    if venue.skip_to is not None and state.run_started_at is not None:
        # It may have moved once more than the last stored fact tells: that time was run.
        budget_s = max(0.0, budget_s - (venue.clock.now() - state.last_at).total_seconds())
    if venue.skip_to is not None:
        market = venue.broker.market()
        if not market.is_open:
            venue.skip_to(market.next_open)
    changes = changes_of(desk, state.plan)
    if sha256 != state.plan.strategy_sha256:
        changes["strategy_sha256"] = (state.plan.strategy_sha256, sha256)
    if "duration_s" in changes or not budget_s:
        budget_s = float(changes.get("duration_s", ("", str(state.plan.duration_s)))[1])
    now = venue.clock.now()
    facts: list[ev.Fact] = [came_from(venue, restored)]
    if changes:
        facts += [ev.PlanChanged(now, changes), *_pause_kept(state, now, changes)]
    if "max_daily_loss" in changes and ev.DAILY_LOSS in state.halts:  # judged anew by the first reading
        facts.append(ev.TradingResumed(now, ev.DAILY_LOSS, "the limit was changed"))
    if "risk.max_drawdown_pct" in changes and ev.DRAWDOWN in state.halts and _is_wider(state, changes):
        facts.append(ev.TradingResumed(now, ev.DRAWDOWN, "the limit was changed"))
    return [*facts, ev.RunStarted(now, budget_s, resumed=True, token=token)]


def _shown(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)
