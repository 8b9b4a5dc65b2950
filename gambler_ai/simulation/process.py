"""One runner's process, from its start to its end or its death: the real program but for time, network and disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gambler_ai import crashpoints
from gambler_ai.app.assembly import build_runner, instruments_of, parameters_of, remembered
from gambler_ai.app.reopening import refuse_other_account
from gambler_ai.app.resuming import came_from
from gambler_ai.app.venue import ALPACA, EMBEDDED, Venue
from gambler_ai.broker.alpaca import AlpacaBroker
from gambler_ai.broker.market_data import AlpacaMarketData
from gambler_ai.core import events as ev
from gambler_ai.core.catchup import CatchUp
from gambler_ai.core.engine import Decisions
from gambler_ai.core.model import Instrument
from gambler_ai.core.state import Plan, SessionState
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.simulation.disk import Disk
from gambler_ai.simulation.feeds import SimulatedPacedFeed, SimulatedWallFeed, Turns
from gambler_ai.simulation.inline import InlineExecutor
from gambler_ai.simulation.universe import RunningClock, Universe, WallClock
from gambler_ai.simulation.wire import Line
from gambler_ai.storage import journal, lease, sessions
from gambler_ai.storage.checkpoints import CheckpointInfo
from gambler_ai.storage.database import Database
from gambler_ai.storage.lease import Lease
from gambler_ai.strategies import Strategy
from gambler_ai.trading.recovery import restore
from gambler_ai.trading.reporter import DatabaseBack, DatabaseLost
from gambler_ai.trading.runner import DURATION, Runner

OWNER = "simulated runner"


class Quiet:
    """A reporter that keeps what a restart told, and nothing else."""

    def __init__(self) -> None:
        self.told: CatchUp | None = None

    def started(self, state: SessionState) -> None: ...

    def took(self, decisions: Decisions, state: SessionState) -> None: ...

    def ticked(self, state: SessionState, at: Any) -> None: ...

    def checkpointed(self, info: CheckpointInfo) -> None: ...

    def caught_up(self, report: CatchUp) -> None:
        self.told = report

    def waiting(self, market: ev.MarketReport, state: SessionState) -> None: ...

    def stream(self, change: ev.StreamChanged) -> None: ...

    def noted(self, notice: DatabaseLost | DatabaseBack) -> None: ...

    def stopping(self, reason: str) -> None: ...

    def ended(self, state: SessionState, *, created: int, pruned: int) -> None: ...


class Process:
    """Everything in memory of one process. What outlives it is the database's file and the exchange."""

    def __init__(
        self, universe: Universe, exchange: Exchange, line: Line, disk: Disk, folder: Path,
        strategy: Strategy, delay_s: Callable[[], float],
    ) -> None:  # fmt: skip
        self.universe = universe
        self.wall = WallClock(universe)
        self.line, self.disk = line, disk
        self.runner: Runner | None = None
        self.is_to_stop = False
        self._folder = folder
        self._strategy = strategy
        self._reporter = Quiet()
        self._held: Lease | None = None
        self._turns = Turns(universe, delay_s)
        self.database = Database(f"sqlite:///{folder / 'gambler.sqlite3'}", factory=disk.connect)
        self._keys = exchange.key_id, exchange.secret_key

    @property
    def told(self) -> CatchUp | None:
        """What the person at its terminal was told of the restart; None if it did not come so far."""
        return self._reporter.told

    @property
    def state(self) -> SessionState | None:
        """The session as this process has it in memory."""
        return self.runner.state if self.runner is not None else None

    def start(self, session_id: str, plan: Plan) -> None:
        """A fresh session, to the end of its time.

        Raises:
            Crash, GamblerError.
        """
        self.database.prepare()
        venue = self._venue()
        account_id, instruments = venue.broker.account_id(), instruments_of(venue, plan)
        self._held = held = lease.acquire(self.database, account_id, session_id, OWNER, self.wall)
        now = venue.clock.now()
        state = SessionState(session_id=session_id, account_id=account_id, plan=plan, started_at=now, last_at=now)
        with self.database.write() as db:
            held.renew(db)
            sessions.insert(
                db, state, broker=venue.kind, trading_url=venue.trading_url, genesis=journal.GENESIS,
                wall=self.wall.now(),
            )  # fmt: skip
        runner = self._runner(venue, held, state, instruments, head=journal.GENESIS, created=0)
        self._run(
            runner, ev.RunStarted(now, plan.duration_s, resumed=False, token=runner.token),
            ev.ParametersSet(now, parameters_of(plan)),
        )  # fmt: skip

    def resume(self, session_id: str) -> None:
        """The session as it is stored, to the end of its time.

        Raises:
            Crash, GamblerError.
        """
        self._run(*self._reopened(session_id))

    def look_after(self, session_id: str) -> None:
        """Agree with the broker and stop, as `reconcile` does.

        Raises:
            Crash, GamblerError.
        """
        runner, *facts = self._reopened(session_id)
        runner.begin(*facts)
        runner.end("finished", "looked after")

    def _reopened(self, session_id: str) -> tuple[Runner, ev.Fact, ev.Fact]:
        """A runner of the stored session, and the facts it begins with."""
        self.database.prepare()
        with self.database.read() as db:
            info = sessions.find(db, session_id)
        self._held = held = lease.acquire(self.database, info.account_id, info.id, OWNER, self.wall)
        crashpoints.hit("recovery.leased")
        restored = restore(self.database, info)
        venue, state = self._venue(), restored.state
        refuse_other_account(venue, info)
        if venue.skip_to is not None:
            self._catch_up(venue, state)
        instruments = instruments_of(venue, state.plan)
        runner = self._runner(venue, held, state, instruments, head=restored.head, created=info.checkpoints)
        budget_s = state.remaining_s or state.plan.duration_s
        again = ev.RunStarted(venue.clock.now(), budget_s, resumed=True, token=runner.token)
        return runner, came_from(venue, restored), again

    @staticmethod
    def _catch_up(venue: Venue, state: SessionState) -> None:
        """A market that we move stood still; its night is skipped (`app.resuming`)."""
        assert venue.skip_to is not None
        if state.last_at > venue.clock.now():
            venue.skip_to(state.last_at)
        market = venue.broker.market()
        if not market.is_open:
            venue.skip_to(market.next_open)

    def ask_to_stop(self, why: str) -> None:
        """A signal."""
        self.is_to_stop = True
        if self.runner is not None:
            self._turns_feed.put(ev.StopRequested(self._turns_feed.clock.now(), why))

    def die(self) -> None:
        """As the kernel does at kill -9: files are closed, locks are free, nothing else is done."""
        self.line.dead = self.disk.dead = True
        self.close()

    def close(self) -> None:
        """Give back what the operating system would take."""
        if self._held is not None:
            self._held.close()
        self.database.close()
        self.line.close()

    def _venue(self) -> Venue:
        broker = AlpacaBroker(*self._keys, self.line.url, session=self.line)
        data = AlpacaMarketData(*self._keys, self.line.url, "iex", session=self.line)
        feed: SimulatedPacedFeed | SimulatedWallFeed
        if self.universe.rate:
            clock = RunningClock(self.universe, broker.market().at)
            feed = SimulatedWallFeed(clock, self._turns, self.universe.rate)
        else:
            feed = SimulatedPacedFeed(self.universe, self._turns)
        self._turns_feed = feed
        kind = ALPACA if self.universe.rate else EMBEDDED
        skip_to = feed.move_to if isinstance(feed, SimulatedPacedFeed) else None
        return Venue(kind, self.line.url, broker, data, feed, "simulation", speed=self.universe.rate, skip_to=skip_to)

    def _runner(
        self, venue: Venue, held: Lease, state: SessionState, instruments: dict[str, Instrument], *, head: str,
        created: int,
    ) -> Runner:  # fmt: skip
        def executor_of(*args: Any) -> InlineExecutor:
            executor = InlineExecutor(*args)
            self._turns.executor = executor
            return executor

        self.runner = build_runner(
            self.database, held, venue, state, instruments, self._strategy, head=head, created=created,
            reporter=self._reporter, halt_file=self._folder / "HALT", wall=self.wall, executor_of=executor_of,
            memory=remembered(self.database, state, self._strategy),
        )  # fmt: skip
        return self.runner

    @staticmethod
    def _run(runner: Runner, *facts: ev.Fact) -> None:
        try:
            runner.begin(*facts)
            reason = runner.trade()
            runner.wind_down(reason)
            runner.end("finished" if reason == DURATION else "stopped", runner.state.stopping or reason)
        except Exception:
            runner.abandon()
            raise
