"""What a user can ask for: start, resume, reconcile. Each takes settings and ends in a report or an error."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from gambler_ai import crashpoints
from gambler_ai.app.asking import ANSWER_PATIENCE_S, NEED_BROKER, Asked, meant, wait_for_answer, whoami
from gambler_ai.app.assembly import (
    build_engine,
    build_runner,
    instruments_of,
    parameters_of,
    plan_of,
    signals,
)
from gambler_ai.app.home import make_private
from gambler_ai.app.notices import Notice, OtherAccount, StrategyChanged
from gambler_ai.app.strategies import Onlooker, chosen, stored_strategy
from gambler_ai.app.venue import ALPACA, EMBEDDED, Venue, open_alpaca, open_embedded
from gambler_ai.clock import SystemClock
from gambler_ai.config import Settings, check_together
from gambler_ai.core import events as ev
from gambler_ai.core.engine import Decisions
from gambler_ai.core.state import Plan, SessionState, evolve
from gambler_ai.errors import ConfigError, RecoveryHalted, SessionLeased, TryAgainLater
from gambler_ai.storage import journal, lease, requests, sessions
from gambler_ai.storage.database import Database
from gambler_ai.storage.lease import Lease
from gambler_ai.storage.sessions import SessionInfo
from gambler_ai.strategies import Strategy
from gambler_ai.trading.executor import Read, read_broker
from gambler_ai.trading.ledger import Ledger
from gambler_ai.trading.recovery import Restored, restore
from gambler_ai.trading.reporter import Reporter
from gambler_ai.trading.runner import DURATION, MARKET_CLOSED, Runner, expected

#: Settings that a resume may change: flag -> field of the plan. Every other difference is refused.
OPERATIONAL = {
    "duration": "duration_s", "interval": "interval_s", "checkpoint_interval": "checkpoint_interval_s",
    "speed": "speed", "keep_checkpoints": "keep_checkpoints", "on_exit": "on_exit", "when_closed": "when_closed",
    "max_positions": "max_positions", "max_order_value": "max_order_value",
    "max_orders_per_day": "max_orders_per_day", "max_daily_loss": "max_daily_loss",
}  # fmt: skip
#: The status of a session that ended before its time: killed (it still says running) or stopped.
UNFINISHED = frozenset({"created", "running", "stopped"})


class Watcher(Reporter, Protocol):
    """A reporter that is also told how a session came to be."""

    def opening(self, venue: Venue, database: str, plan: Plan) -> None: ...

    def created(self, state: SessionState) -> None: ...

    def resumed(self, info: SessionInfo, restored: Restored) -> None: ...

    def noted(self, notice: Notice) -> None:
        """Something that a person should know before the session goes on."""
        ...

    def planned(self, found: Collection[ev.Discrepancy], facts: Collection[ev.Fact]) -> None:
        """What a reconciliation would come to: the differences it found, and everything it would write and send."""
        ...


class App:
    """One invocation: its settings, its database, and somebody who watches."""

    def __init__(
        self,
        settings: Settings,
        given: dict[str, Any],
        watcher: Watcher,
        confirm: Callable[[SessionInfo], bool] | None,
    ) -> None:
        """``given`` is what the command line itself said; ``confirm`` asks whether to resume, None if nobody can.

        Raises:
            ConfigError, StorageError.
        """
        os.umask(0o077)
        self._arm(settings.crash_at)
        self._settings = settings
        self._given = given
        self._watcher = watcher
        self._confirm = confirm
        self._wall = SystemClock()
        make_private(settings.state_dir)
        self.database = Database(settings.database)
        self.upgraded = self.database.prepare()  # what was done to its schema, in one line

    @staticmethod
    def _arm(crash_at: str) -> None:
        try:
            if crash_at:
                crashpoints.arm(crash_at)
        except ValueError as error:
            raise ConfigError(f"GAMBLER_CRASH_AT: {error}") from None

    @property
    def kind(self) -> str:
        """The broker of a fresh session."""
        if self._settings.broker == "auto":
            return ALPACA if self._settings.has_keys else EMBEDDED
        return self._settings.broker

    # -- a fresh session --------------------------------------------------------------------------

    def start(self, *, new: bool, go_on: bool = False) -> None:
        """Run a fresh session; or resume the interrupted one, if the user says so or ``go_on`` does for them.

        Raises:
            RecoveryHalted: there is an interrupted session and nobody to ask.
            TryAgainLater: the market is closed.
            ConfigError: settings that cannot work together.
        """
        check_together(self._settings)
        plan, strategy = chosen(self._settings)
        session_id = sessions.new_id(self._wall.now())
        venue = open_alpaca(self._settings) if self.kind == ALPACA else None
        interrupted = None if new else self._interrupted(venue)
        if interrupted is not None and (go_on or self._agreed(interrupted)):
            self.resume(interrupted.id)
            return
        if venue is None:
            venue = open_embedded(self._settings, session_id, fresh=True)
        try:
            self._watcher.opening(venue, self.database.name, plan)
            runner = self._create(venue, session_id, plan, strategy)
        except BaseException:
            venue.discard()
            raise
        started = ev.RunStarted(venue.clock.now(), plan.duration_s, resumed=False, token=runner.token)
        try:
            self._run(venue, runner, started, ev.ParametersSet(venue.clock.now(), parameters_of(plan)))
        finally:
            venue.on_close()

    def _create(self, venue: Venue, session_id: str, plan: Plan, strategy: Strategy) -> Runner:
        account_id = venue.broker.account_id()
        instruments = instruments_of(venue, plan)
        market = venue.broker.market()
        if not market.is_open and plan.when_closed == "exit":
            raise _closed(market)
        held = lease.acquire(self.database, account_id, session_id, lease.signature(self._wall.now()), self._wall)
        try:
            now = venue.clock.now()
            state = SessionState(session_id=session_id, account_id=account_id, plan=plan, started_at=now, last_at=now)
            with self.database.write() as db:
                held.renew(db)
                sessions.insert(
                    db, state, broker=venue.kind, trading_url=venue.trading_url, genesis=journal.GENESIS,
                    wall=self._wall.now(),
                )  # fmt: skip
            self._watcher.created(state)
            engine = build_engine(self.database, state, instruments, strategy)
        except BaseException:
            held.close()
            raise
        return build_runner(
            self.database, held, venue, engine, head=journal.GENESIS, created=0, reporter=self._watcher,
            halt_file=self._settings.halt_file,
        )  # fmt: skip

    def _interrupted(self, venue: Venue | None) -> SessionInfo | None:
        """The newest session of this account that ended before its time; one of another account is only mentioned."""
        where = venue.trading_url if venue is not None else None
        account_id = venue.broker.account_id() if venue is not None else None
        with self.database.read() as db:
            info = sessions.newest_open(db, self.kind, where, account_id)
            newest = sessions.newest_open(db, self.kind, where)
        if account_id is not None and newest is not None and newest.account_id != account_id:
            self._watcher.noted(OtherAccount(newest, account_id))
        if info is None or info.status not in UNFINISHED or lease.is_held(self.database, info.account_id):
            return None
        return info

    def _agreed(self, info: SessionInfo) -> bool:
        if self._confirm is None:
            raise RecoveryHalted(
                f"session {info.id} was interrupted ({info.end_reason or 'killed'}); a fresh one beside it could"
                " double its positions",
                hint="go on with it: --resume; or start anew all the same: --new",
            )
        return self._confirm(info)

    # -- an earlier session -----------------------------------------------------------------------

    def resume(self, session_id: str | None) -> None:
        """Go on with the session named, or with the newest that is not completed.

        Raises:
            SessionNotFound: there is none.
            ConfigError: a flag would change what it trades.
        """
        info = self._find(session_id)
        _refuse_closed(info)
        self._refuse_conflicts(info)
        loaded = stored_strategy(info, self._given)
        with self._reopened(info, loaded.strategy) as (venue, runner):
            if loaded.sha256 != runner.plan.strategy_sha256:
                self._watcher.noted(StrategyChanged(runner.plan))
            self._run(venue, runner, *self._resumption(venue, runner.state, runner.token, loaded.sha256))

    @contextmanager
    def _reopened(self, info: SessionInfo, strategy: Strategy) -> Iterator[tuple[Venue, Runner]]:
        """A stored session on its broker with its lease; both are given back in the end."""
        held, restored, venue = self._take_over(info)
        try:
            self._watcher.opening(venue, self.database.name, restored.state.plan)
            self._watcher.resumed(info, restored)
            instruments = instruments_of(venue, restored.state.plan)
            runner = build_runner(
                self.database, held, venue, build_engine(self.database, restored.state, instruments, strategy),
                head=restored.head, created=info.checkpoints, reporter=self._watcher,
                halt_file=self._settings.halt_file,
            )  # fmt: skip
            yield venue, runner
        finally:
            venue.on_close()
            held.close()

    def _resumption(self, venue: Venue, state: SessionState, token: int, sha256: str) -> list[ev.Fact]:
        """The facts a resume begins with. A market that we move stood still; its night is skipped."""
        budget_s = state.remaining_s
        if venue.skip_to is not None and state.run_started_at is not None:
            # It may have moved once more than the last stored fact tells: that time was run.
            budget_s = max(0.0, budget_s - (venue.clock.now() - state.last_at).total_seconds())
        if venue.skip_to is not None:
            market = venue.broker.market()
            if not market.is_open:
                venue.skip_to(market.next_open)
        changes = self._changes(state.plan)
        if sha256 != state.plan.strategy_sha256:
            changes["strategy_sha256"] = (state.plan.strategy_sha256, sha256)
        if "duration_s" in changes or not budget_s:
            budget_s = float(changes.get("duration_s", ("", str(state.plan.duration_s)))[1])
        now = venue.clock.now()
        facts: list[ev.Fact] = [ev.PlanChanged(now, changes)] if changes else []
        return [*facts, ev.RunStarted(now, budget_s, resumed=True, token=token)]

    def _find(self, session_id: str | None) -> SessionInfo:
        with self.database.read() as db:
            info = sessions.find(db, session_id) if session_id is not None else sessions.newest_open(db)
            if info is None:
                raise sessions.nothing_to_resume(db)
        return info

    def _take_over(self, info: SessionInfo) -> tuple[Lease, Restored, Venue]:
        held = lease.acquire(self.database, info.account_id, info.id, lease.signature(self._wall.now()), self._wall)
        crashpoints.hit("recovery.leased")
        try:
            with self.database.read() as db:
                info = sessions.find(db, info.id)  # as the last owner left it
            restored = restore(self.database, info)
            return held, restored, self._reopen(info, restored.state)
        except BaseException:
            held.close()
            raise

    def _reopen(self, info: SessionInfo, state: SessionState) -> Venue:
        """The broker the session is bound to, at an instant not before the session's last."""
        if info.broker == EMBEDDED:
            venue = open_embedded(self._paced(state), info.id, fresh=False)
        else:
            venue = open_alpaca(self._paced(state))
        try:
            if venue.trading_url != info.trading_url:
                raise ConfigError(
                    f"session {info.id} trades at {info.trading_url}, not at {venue.trading_url}",
                    hint=f"set ALPACA_TRADING_URL={info.trading_url}",
                )
            account_id = venue.broker.account_id()
            if account_id != info.account_id:
                raise RecoveryHalted(
                    f"session {info.id} belongs to account {info.account_id}, these keys to {account_id}",
                    hint="a paper account that was reset is a new one, and nothing of the old one can be reached;"
                    f" then: gambler-ai sessions close {info.id}, and start afresh",
                )
            if venue.skip_to is not None and state.last_at > venue.clock.now():
                venue.skip_to(state.last_at)
        except BaseException:
            venue.on_close()
            raise
        return venue

    def _paced(self, state: SessionState) -> Settings:
        """The settings with the session's own speed and feed, unless the command line gives another speed."""
        values: dict[str, Any] = {"feed": state.plan.feed}
        if "speed" not in self._given:
            values["speed"] = state.plan.speed
        return self._settings.model_copy(update=values)

    def _refuse_conflicts(self, info: SessionInfo) -> None:
        asked, stored = plan_of(self._settings), info.plan
        for flag, value in self._given.items():
            field = "timeframe_s" if flag == "timeframe" else flag
            if flag in OPERATIONAL or flag == "strategy" or not hasattr(stored, field):
                continue
            if getattr(asked, field) != getattr(stored, field):
                raise ConfigError(
                    f"--{flag.replace('_', '-')} {value} differs from what session {info.id} trades"
                    f" ({_shown(getattr(stored, field))})",
                    hint="leave the flag out to resume, or start another session with --new",
                )

    def _changes(self, stored: Plan) -> dict[str, tuple[str, str]]:
        asked = plan_of(self._settings)
        pairs = {
            field: (getattr(stored, field), getattr(asked, field))
            for flag, field in OPERATIONAL.items()
            if flag in self._given
        }
        return {field: (str(a), str(b)) for field, (a, b) in pairs.items() if a != b}

    # -- running ----------------------------------------------------------------------------------

    def _run(self, venue: Venue, runner: Runner, *facts: ev.Fact) -> None:
        with self._minded(venue, runner):
            runner.begin(*facts)
            reason = runner.trade()
            runner.wind_down(reason)
            runner.end("finished" if reason == DURATION else "stopped", runner.state.stopping or reason)
        if reason == MARKET_CLOSED:
            assert runner.market is not None
            raise _closed(runner.market)

    @contextmanager
    def _minded(self, venue: Venue, runner: Runner) -> Iterator[None]:
        """Signals reach the runner; an error lets go of the session as it is stored."""
        try:
            with signals(venue):
                yield
        except BaseException:
            runner.abandon()
            raise

    # -- what people ask of a session -------------------------------------------------------------

    def ask(self, session_id: str | None, kind: str, argument: str, reason: str) -> Asked:
        """Ask something of a session: its runner takes it; without one, what needs the broker is done here and now.

        Without an id that is the session that runs now, else the newest that is not completed.

        Raises:
            SessionNotFound: there is none.
            ConfigError: several run, or it is closed.
            BrokerError: nobody runs it and the broker cannot be asked; the request waits for the next start.
        """
        info = meant(self.database, session_id)
        _refuse_closed(info)
        with self.database.write() as db:
            request_id = requests.add(db, info, kind, argument, reason, whoami(), self._wall.now())
        if not lease.is_held(self.database, info.account_id) and kind in NEED_BROKER:
            with suppress(SessionLeased):  # somebody was faster, and takes this request with theirs
                self._carry_out(info)
        patience_s = ANSWER_PATIENCE_S if lease.is_held(self.database, info.account_id) else 0.0
        return Asked(info.id, wait_for_answer(self.database, request_id, self._wall, patience_s))

    def _carry_out(self, info: SessionInfo) -> None:
        """Run the session for as long as it takes to do what is asked of it."""
        status = "stopped" if info.status in UNFINISHED else info.status
        with self._reopened(info, Onlooker()) as (venue, runner):
            started = ev.RunStarted(venue.clock.now(), runner.state.remaining_s, resumed=True, token=runner.token)
            with self._minded(venue, runner):
                runner.begin(started)
                runner.finish_exits()
                runner.end(status, "as asked")

    def close(self, session_id: str, reason: str) -> SessionInfo:
        """Be done with a session that will not be resumed, without asking its broker anything.

        Raises:
            SessionNotFound: there is none.
            SessionLeased: it runs.
        """
        info = self._find(session_id)
        held = lease.acquire(self.database, info.account_id, info.id, lease.signature(self._wall.now()), self._wall)
        try:
            restored = restore(self.database, info)
            state, why = restored.state, reason or "closed by a person"
            ledger = Ledger(self.database, held, state, head=restored.head, created=info.checkpoints, wall=self._wall)
            facts = _closing(state, why)
            ledger.commit(Decisions(facts=facts, changes=evolve(state, facts)))
            ledger.release()
        finally:
            held.close()
        return info

    # -- reconcile only ---------------------------------------------------------------------------

    def reconcile(self, session_id: str | None, *, dry_run: bool) -> bool:
        """Compare a session with its broker, heal our books and its protection, and stop. True if they agreed.

        With ``dry_run`` nothing is written and nothing sent: what would be is shown.
        """
        with self.database.read() as db:
            known = session_id is not None or sessions.newest_open(db) is not None
        if not known and self.kind == ALPACA:
            return self._compare_without_session()
        info = meant(self.database, session_id)
        if dry_run:
            return self._compare(info)
        _refuse_closed(info)
        status = "stopped" if info.status in UNFINISHED else info.status
        with self._reopened(info, Onlooker()) as (venue, runner):
            budget_s = runner.state.remaining_s
            started = ev.RunStarted(venue.clock.now(), budget_s, resumed=True, token=runner.token)
            with self._minded(venue, runner):
                runner.begin(started)
                runner.end(status, "reconciled")
        return True

    def _compare(self, info: SessionInfo) -> bool:
        if info.broker == EMBEDDED and lease.is_held(self.database, info.account_id):
            raise SessionLeased(
                f"session {info.id} runs now, and its exchange with it; it compares itself every minute",
                hint="see what it found: gambler-ai sessions show " + info.id,
            )
        restored = restore(self.database, info)
        venue = self._reopen(info, restored.state)
        try:
            self._watcher.opening(venue, self.database.name, restored.state.plan)
            self._watcher.resumed(info, restored)
            return self._show_difference(venue, restored.state)
        finally:
            venue.on_close()

    def _compare_without_session(self) -> bool:
        venue = open_alpaca(self._settings)
        now = venue.clock.now()
        plan = plan_of(self._settings)
        account_id = venue.broker.account_id()
        self._watcher.opening(venue, self.database.name, plan)
        empty = SessionState(session_id="none", account_id=account_id, plan=plan, started_at=now, last_at=now)
        return self._show_difference(venue, empty)

    def _show_difference(self, venue: Venue, state: SessionState) -> bool:
        """Two readings on a state nobody keeps: what both show is what a reconciliation would act on."""
        engine = build_engine(self.database, state, {}, Onlooker())
        decisions = Decisions()
        facts: list[ev.Fact] = []
        for _ in range(2):
            request = Read(state.orders_since(), state.fills_since(), tuple(expected(state)), reconcile=True)
            report = read_broker(venue.broker, request)
            decisions = engine.step(ev.BrokerReported(venue.clock.now(), report, reconcile=True))
            facts += decisions.facts
        self._watcher.planned(decisions.discrepancies, facts)
        return not decisions.discrepancies


def _refuse_closed(info: SessionInfo) -> None:
    if info.status == sessions.CLOSED:
        raise ConfigError(f"session {info.id} was closed ({info.end_reason})", hint="start another one")


def _closing(state: SessionState, why: str) -> list[ev.Fact]:
    """The end of a session for good: what it had under way keeps no symbol from the next one."""
    under_way = [coid for coid, record in state.intents.items() if not record.status.is_final]
    gone = [ev.IntentResolved(state.last_at, coid, ev.GONE, "its session was closed") for coid in under_way]
    return [*gone, ev.RunEnded(state.last_at, sessions.CLOSED, why)]


def _closed(market: ev.MarketReport) -> TryAgainLater:
    return TryAgainLater(
        f"the market is closed; it opens {market.next_open:%a %F %R} UTC", hint="start or --resume then"
    )


def _shown(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)
