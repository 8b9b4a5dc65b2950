"""Putting one session together: plan, strategy, engine, ledger, runner; and letting it run."""

from __future__ import annotations

import os
import signal
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from msgspec import structs, to_builtins

from gambler_ai.app.universe import refuse_learners
from gambler_ai.app.venue import Venue
from gambler_ai.clock import Clock, SystemClock
from gambler_ai.config import Settings
from gambler_ai.core import events as ev
from gambler_ai.core.components import Component
from gambler_ai.core.engine import Engine
from gambler_ai.core.learning import LearningRules
from gambler_ai.core.model import Instrument
from gambler_ai.core.ports import Adviser, Strategy, Streams
from gambler_ai.core.risk import RiskLimits
from gambler_ai.core.risk_memory import RiskMemory
from gambler_ai.core.risk_rules import RiskRules
from gambler_ai.core.state import OPTIONS, SHARES, Plan, SessionState
from gambler_ai.core.timeframe import timeframe_s
from gambler_ai.errors import ConfigError
from gambler_ai.storage import journal, limits
from gambler_ai.storage.database import Database
from gambler_ai.storage.lease import Lease
from gambler_ai.strategies import Strategy as Remembers
from gambler_ai.strategies import parameters
from gambler_ai.trading.door import Door
from gambler_ai.trading.executor import Executor
from gambler_ai.trading.ledger import Ledger
from gambler_ai.trading.memory import Memory
from gambler_ai.trading.outage import Outage
from gambler_ai.trading.recall import recall
from gambler_ai.trading.reporter import Reporter
from gambler_ai.trading.runner import Runner
from gambler_ai.trading.wakeups import NoStreams, Wakeups

#: Wall seconds within which two signals are one.
SAME_SIGNAL_S = 0.1
#: What a second signal ends with.
INTERRUPTED = 130


def plan_of(settings: Settings, universe: str = "") -> Plan:
    """The plan of a fresh session; its strategy as it is named, not yet loaded.

    ``universe`` is what it trades, where that is known from elsewhere than the settings.
    """
    trades = universe or settings.universe or SHARES
    return Plan(
        symbols=settings.traded, universe=trades, duration_s=settings.duration * 60, interval_s=settings.interval,
        checkpoint_interval_s=settings.checkpoint_interval, timeframe_s=timeframe_s(settings.timeframe),
        strategy=settings.strategy, stop_loss_pct=settings.stop_loss_pct,
        take_profit_pct=settings.take_profit_pct, position_size=settings.position_size,
        keep_checkpoints=settings.keep_checkpoints, speed=settings.speed, feed=settings.feed,
        on_exit=settings.on_exit, when_closed=settings.when_closed, max_positions=settings.max_positions,
        max_order_value=settings.max_order_value, max_orders_per_day=settings.max_orders_per_day,
        max_orders_per_minute=settings.max_orders_per_minute, max_daily_loss=settings.max_daily_loss,
        limit_pct=settings.limit_pct, risk=rules_of(settings.risk), history_limit=settings.history_limit,
        capital_per_trade=settings.capital_per_trade if trades == OPTIONS else None,
        max_per_strategy=settings.max_per_strategy, max_per_sector=settings.max_per_sector,
        autosave_iterations=settings.autosave_iterations,
        learning=LearningRules(settings.learners, settings.use_learner, settings.min_confidence, settings.confidence),
    )  # fmt: skip


def rules_of(given: Mapping[str, Any]) -> RiskRules:
    """The rules of risk that settings give by name.

    Raises:
        ConfigError: a rule is unknown or not allowed.
    """
    rules = parameters.make(RiskRules, given)
    return structs.replace(rules, sectors={symbol.upper(): name for symbol, name in rules.sectors.items()})


def check_learning(rules: LearningRules, strategy: str, universe: str = SHARES) -> None:
    """Refuse learners that are not known, or rules for them that cannot work together.

    In an options session a least confidence needs no learner: a structure has a probability of profit of its own.

    Raises:
        ConfigError: the first such.
    """
    if universe == OPTIONS:
        refuse_learners(rules)
    elif rules != LearningRules():
        from gambler_ai import learners

        learners.check(rules, strategy)


def parameters_of(plan: Plan) -> dict[str, Any]:
    """The strategy's parameters, as they are shown and stored."""
    return {
        "strategy": plan.strategy, "stop_loss_pct": str(plan.stop_loss_pct),
        "take_profit_pct": str(plan.take_profit_pct), "position_size": str(plan.position_size),
        "timeframe_s": plan.timeframe_s, "parameters": dict(plan.strategy_parameters),
        "risk": to_builtins(plan.risk),
    }  # fmt: skip


def instruments_of(venue: Venue, plan: Plan) -> dict[str, Instrument]:
    """What the broker says of the plan's symbols.

    Raises:
        ConfigError: it does not know one of them.
    """
    found = venue.broker.instruments(plan.symbols)
    unknown = [symbol for symbol, instrument in found.items() if instrument is None]
    if unknown:
        hint = "it lists: " + ", ".join(sorted(venue.labels)) if venue.labels else "see Alpaca's list of assets"
        raise ConfigError(f"the broker does not know {', '.join(unknown)}", hint=hint)
    return {symbol: instrument for symbol, instrument in found.items() if instrument is not None}


def remembered(
    database: Database, state: SessionState, strategy: Remembers, learning: LearningRules | None = None
) -> Memory:  # fmt: skip
    """What the session remembers beside its state: the strategy's components, the risk record once more, and what
    its learners know; ``learning`` is what its plan is about to say of them, where that is not what it says.

    Raises:
        SchemaMismatch, ConfigError: something stored cannot be read by this program; nothing was written.
    """
    rules = state.plan.learning if learning is None else learning
    memory = recall(database, state, [*strategy.components(), RiskMemory(state), *learners_of(rules)])
    memory.learners = rules.learners
    return memory


def learners_of(rules: LearningRules) -> list[Component]:
    """The learners that are named, as they are before they have learned. Without any, nothing of theirs is imported.

    Raises:
        ConfigError: one is not known.
    """
    if not rules.learners:
        return []
    from gambler_ai import learners

    return list(learners.make(rules.learners))


def _adviser(state: SessionState, memory: Memory) -> Adviser | None:
    if not memory.learners:
        return None
    from gambler_ai.learners.adviser import Panel

    return Panel(state, memory.view)


def build_engine(
    database: Database, state: SessionState, instruments: dict[str, Instrument], strategy: Strategy,
    ride: Callable[[Callable[[], set[str]]], set[str]] = lambda look: look(), memory: Memory | None = None,
) -> Engine:  # fmt: skip
    """The engine of a session, with what other sessions of the account have under way kept out of it.

    ``ride`` carries it over a database that is away while it looks something up; ``memory`` is shown to the strategy.
    """

    def known_ids(ids: set[str]) -> set[str]:
        def look() -> set[str]:
            with database.read() as db:
                return journal.known_ids(db, ids)

        return ride(look)

    with database.read() as db:
        taken = journal.taken_symbols(db, state.account_id, state.session_id)
        used = limits.elsewhere(db, state.account_id, state.session_id, state.last_at)
    risk = RiskLimits(
        bar_interval=timedelta(seconds=state.plan.timeframe_s), taken=taken, elsewhere=used.symbols,
        entries_elsewhere=used.entries, recent_elsewhere=used.recent, values_elsewhere=used.values,
    )  # fmt: skip
    memory = memory or Memory()
    return Engine(state, strategy, risk, instruments, known_ids, memory.view, _adviser(state, memory))


def build_runner(
    database: Database, held: Lease, venue: Venue, state: SessionState, instruments: dict[str, Instrument],
    strategy: Strategy, *, head: str, created: int, reporter: Reporter, halt_file: Path, wall: Clock | None = None,
    executor_of: Callable[..., Executor] = Executor, memory: Memory | None = None,
) -> Runner:  # fmt: skip
    """The runner of a session whose account is ours; ``memory`` as of its state.

    A simulation has a wall clock and an executor of its own.
    """
    memory = memory if memory is not None else Memory()
    machine = wall or SystemClock()
    plan, seed = state.plan, zlib.crc32(state.session_id.encode())
    outage = Outage(database, machine, venue.feed.stop_asked, reporter, seed)
    engine = build_engine(database, state, instruments, strategy, outage.ride, memory)
    ledger = Ledger(database, held, state, head=head, created=created, wall=machine, outage=outage, memory=memory)
    compared = machine if venue.keeps_wall_time else None
    executor = executor_of(venue.broker, venue.market_data, venue.feed, compared, ledger.before_send)
    door = Door(ledger, halt_file, venue.clock)
    streams: Streams = NoStreams()
    if venue.streams is not None:
        streams = venue.streams(plan.symbols, seed)
    wakeups = Wakeups(streams, timedelta(seconds=plan.timeframe_s))
    return Runner(engine, ledger, venue.feed, executor, reporter, door, wakeups)


@contextmanager
def signals(venue: Venue) -> Iterator[None]:
    """The first SIGINT or SIGTERM asks for a stop; the second ends the process where it stands.

    That is safe: whatever is committed is what a resume starts from, after a second signal as after kill -9.
    The same one twice at the same moment is one: `timeout` signals a process and then its group.
    """
    wall = SystemClock()
    first: tuple[int, float] | None = None

    def on_signal(number: int, _frame: object) -> None:
        nonlocal first
        if first is not None and number == first[0] and wall.monotonic() - first[1] < SAME_SIGNAL_S:
            return
        if first is not None:
            os.write(2, b"\nStopped at once. What is stored is safe: --resume goes on from there.\n")
            os._exit(INTERRUPTED)
        first = number, wall.monotonic()
        name = signal.Signals(number).name
        venue.feed.put(ev.StopRequested(venue.clock.now(), f"stopped by {name}"))

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
