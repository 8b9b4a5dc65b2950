"""What a user can ask for: start, resume, reconcile. Each takes settings and ends in a report or an error."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from gambler_ai import crashpoints
from gambler_ai.app import comparing
from gambler_ai.app.asking import NEED_BROKER, Asked, meant, wait_for_answer, whoami
from gambler_ai.app.assembly import build_runner, instruments_of, parameters_of, remembered, signals
from gambler_ai.app.desk import Desk, Watcher
from gambler_ai.app.home import arm, make_private
from gambler_ai.app.notices import OtherAccount, StrategyChanged
from gambler_ai.app.option_access import refuse_without_access
from gambler_ai.app.reopening import reopened
from gambler_ai.app.resuming import came_from, refuse_closed, refuse_conflicts, resumption, status_after
from gambler_ai.app.strategies import Onlooker, chosen, stored_strategy
from gambler_ai.app.venue import ALPACA, EMBEDDED, Venue, open_alpaca, open_embedded
from gambler_ai.clock import SystemClock
from gambler_ai.config import Settings, check_together
from gambler_ai.core import events as ev
from gambler_ai.core.engine import Decisions
from gambler_ai.core.evolution import evolve
from gambler_ai.core.learning import CHOOSER
from gambler_ai.core.state import OPTIONS, Plan, SessionState
from gambler_ai.errors import (
    ConfigError,
    DatabaseOutage,
    GamblerError,
    RecoveryHalted,
    SchemaMismatch,
    SessionLeased,
    StorageError,
    TryAgainLater,
)
from gambler_ai.storage import journal, lease, requests, sessions
from gambler_ai.storage.damage import keep_if_damaged
from gambler_ai.storage.database import Database
from gambler_ai.storage.sessions import SessionInfo
from gambler_ai.strategies import Strategy
from gambler_ai.trading.carrying import risk_carried
from gambler_ai.trading.ledger import Ledger
from gambler_ai.trading.recovery import restore
from gambler_ai.trading.runner import DURATION, MARKET_CLOSED, Runner


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
        arm(settings.crash_at)
        self._settings = settings
        self._watcher = watcher
        self._confirm = confirm
        self._wall = SystemClock()
        make_private(settings.state_dir)
        self.database = Database(settings.database)
        self.upgraded = self._prepared()  # what was done to its schema, in one line
        self._desk = Desk(settings, given, watcher, self.database, self._wall)

    def _prepared(self) -> str:
        try:
            return self.database.prepare()
        except (SchemaMismatch, DatabaseOutage):
            raise
        except StorageError as error:
            told = keep_if_damaged(self.database.path, self._wall.now())
            raise StorageError(error.message, hint=told or error.hint) from error

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
        plan, strategy = chosen(self._settings, self._desk.given)
        check_together(self._settings, plan.universe)
        session_id = sessions.new_id(self._wall.now())
        venue = open_alpaca(self._settings) if self.kind == ALPACA else None
        interrupted = None if new else self._interrupted(venue)
        if interrupted is not None and (go_on or self._agreed(interrupted)):
            self.resume(interrupted.id)
            return
        if venue is None:
            venue = open_embedded(self._settings, session_id, fresh=True)
        with signals(venue):
            self._begin(venue, session_id, plan, strategy)

    def _begin(self, venue: Venue, session_id: str, plan: Plan, strategy: Strategy) -> None:
        try:
            self._watcher.opening(venue, self.database.name, plan)
            runner = self._create(venue, session_id, plan, strategy)
        except BaseException:
            venue.discard()
            raise
        started = ev.RunStarted(venue.clock.now(), plan.duration_s, resumed=False, token=runner.token)
        try:
            carried = risk_carried(self.database, runner.state.account_id, session_id, venue.clock.now())
            told = self._taught(runner, venue.clock.now())
            parameters = ev.ParametersSet(venue.clock.now(), parameters_of(plan))
            self._run(venue, runner, started, *carried, parameters, *told)
        finally:
            venue.on_close()

    def _create(self, venue: Venue, session_id: str, plan: Plan, strategy: Strategy) -> Runner:
        account_id = venue.broker.account_id()
        instruments = instruments_of(venue, plan)
        market = venue.broker.market()
        if not market.is_open and plan.when_closed == "exit":
            raise _closed(market)
        if plan.universe == OPTIONS:
            refuse_without_access(venue.broker, plan, strategy, market.at)
        held = lease.acquire(self.database, account_id, session_id, lease.signature(self._wall.now()), self._wall)
        try:
            now = venue.clock.now()
            state = SessionState(session_id=session_id, account_id=account_id, plan=plan, started_at=now, last_at=now)
            memory = remembered(self.database, state, strategy)
            with held.writing(self.database) as db:
                sessions.insert(
                    db, state, broker=venue.kind, trading_url=venue.trading_url, genesis=journal.GENESIS,
                    wall=self._wall.now(),
                )  # fmt: skip
            crashpoints.hit("session.created")
            self._watcher.created(state)
            return build_runner(
                self.database, held, venue, state, instruments, strategy, head=journal.GENESIS, created=0,
                reporter=self._watcher, halt_file=self._settings.halt_file, memory=memory,
            )  # fmt: skip
        except BaseException:
            held.close()
            raise

    def _interrupted(self, venue: Venue | None) -> SessionInfo | None:
        """The newest session of this account that ended before its time; one of another account is only mentioned."""
        where = venue.trading_url if venue is not None else None
        account_id = venue.broker.account_id() if venue is not None else None
        with self.database.read() as db:
            found = sessions.unfinished(db, self.kind, where, account_id)
            newest = sessions.newest_open(db, self.kind, where)
        if account_id is not None and newest is not None and newest.account_id != account_id:
            self._watcher.noted(OtherAccount(newest, account_id))
        return next((info for info in found if not lease.is_held(self.database, info.account_id)), None)

    def _agreed(self, info: SessionInfo) -> bool:
        if self._confirm is None:
            raise RecoveryHalted(
                f"session {info.id} was interrupted ({info.end_reason or 'killed'}); a fresh one beside it could"
                " double its positions",
                hint="go on with it: --resume; or start anew all the same: --new",
            )
        return self._confirm(info)

    # -- an earlier session -----------------------------------------------------------------------

    def resume(self, session_id: str | None, *, accept: bool = False) -> None:
        """Go on with the session named, or with the newest that is not completed.

        ``accept``: where its journal does not verify, its books are taken from the broker.

        Raises:
            SessionNotFound: there is none.
            ConfigError: a flag would change what it trades.
        """
        info = self._find(session_id)
        refuse_closed(info)
        refuse_conflicts(self._desk, info)
        loaded = stored_strategy(info, self._desk.given)
        with reopened(self._desk, info, loaded.strategy, accept=accept) as (venue, runner, restored):
            if loaded.sha256 != runner.plan.strategy_sha256:
                self._watcher.noted(StrategyChanged(runner.plan))
            carried = risk_carried(self.database, info.account_id, info.id, venue.clock.now())
            facts = resumption(self._desk, venue, restored, runner.token, loaded.sha256)
            told = self._taught(runner, venue.clock.now())
            self._run(venue, runner, *facts, *carried, *told)

    def _find(self, session_id: str | None) -> SessionInfo:
        with self.database.read() as db:
            info = sessions.find(db, session_id) if session_id is not None else sessions.newest_open(db)
            if info is None:
                raise sessions.nothing_to_resume(db)
        return info

    def _taught(self, runner: Runner, at: datetime) -> list[ev.Fact]:
        """What learners that know nothing yet take up of an import. Without any, nothing is loaded for it."""
        if not {CHOOSER, *runner.plan.learning.learners} & runner.memory.keys():
            return []
        from gambler_ai.app.teaching import taught

        return taught(self.database, runner.state.account_id, runner.memory, at)

    # -- running ----------------------------------------------------------------------------------

    def _run(self, venue: Venue, runner: Runner, *facts: ev.Fact) -> None:
        with _minded(runner):
            runner.begin(*facts)
            reason = runner.trade()
            runner.wind_down(reason)
            runner.end("finished" if reason == DURATION else "stopped", runner.state.stopping or reason)
        if reason == MARKET_CLOSED:
            assert runner.market is not None
            raise _closed(runner.market)

    # -- what people ask of a session -------------------------------------------------------------

    def ask(self, session_id: str | None, kind: str, argument: str, reason: str) -> Asked:
        """Ask something of a session: its runner takes it; without one, what needs the broker is done here and now.

        Without an id that is the session that runs now, else the newest that is not completed.

        Raises:
            SessionNotFound: there is none.
            ConfigError: several run, or it is closed.
            BrokerError: nobody runs it and the broker cannot be asked; the request waits for the next start.
        """
        info = meant(self.database, session_id, certain=kind == ev.FLATTEN)
        refuse_closed(info)
        if kind == ev.RESOLVE:
            self._refuse_unknown_order(info, argument.partition(" ")[0])
        if kind == ev.LEARNER_RESET:
            from gambler_ai.app.learning_view import refuse_not_here

            refuse_not_here(info, argument)
        with self.database.write() as db:
            request_id = requests.add(db, info, kind, argument, reason, whoami(), self._wall.now())

        def is_run() -> bool:
            return lease.is_held(self.database, info.account_id)

        answer = wait_for_answer(self.database, request_id, self._wall, is_run)
        if not answer and kind in NEED_BROKER and not is_run():
            self._do_now(info)
            answer = wait_for_answer(self.database, request_id, self._wall, is_run)
        return Asked(info.id, answer)

    def _refuse_unknown_order(self, info: SessionInfo, client_order_id: str) -> None:
        with self.database.read() as db:
            if not journal.known_ids(db, {client_order_id}):
                raise ConfigError(
                    f"session {info.id} has no order {client_order_id[:64]!r}", hint="see: gambler-ai orders list --all"
                )

    def _do_now(self, info: SessionInfo) -> None:
        try:
            self._look_after(info, "as asked", Runner.finish_exits)
        except SessionLeased:
            return  # somebody was faster, and takes this request with theirs
        except GamblerError as error:
            error.hint = "it is written down, and done when the session is next resumed"
            raise

    def _look_after(self, info: SessionInfo, reason: str, then: Callable[[Runner], None] = lambda _: None) -> None:
        """Run a session for as long as it takes to agree with its broker, and to do what is asked of it."""
        with reopened(self._desk, info, Onlooker()) as (venue, runner, restored):
            left_s = runner.state.remaining_s
            with _minded(runner):
                started = ev.RunStarted(venue.clock.now(), left_s, resumed=True, token=runner.token)
                carried = risk_carried(self.database, info.account_id, info.id, started.at)
                runner.begin(came_from(venue, restored), started, *carried)
                then(runner)
                runner.end(status_after(info), reason)

    def close(self, session_id: str, reason: str) -> SessionInfo:
        """Be done with a session that will not be resumed, without asking its broker anything. Its row as it was.

        Raises:
            SessionNotFound: there is none.
            SessionLeased: it runs.
        """
        info = self._find(session_id)
        if info.status == sessions.CLOSED:
            return info
        held = lease.acquire(self.database, info.account_id, info.id, lease.signature(self._wall.now()), self._wall)
        try:
            info = self._find(info.id)  # as its last owner left it
            restored = restore(self.database, info)
            state, why = restored.state, reason or "closed by a person"
            ledger = Ledger(self.database, held, state, head=restored.head, created=info.checkpoints, wall=self._wall)
            carried = risk_carried(self.database, info.account_id, info.id, state.last_at)  # it is the last to write
            facts = [*carried, *_closing(state, why)]
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
            return comparing.compare_without_session(self._desk)
        info = meant(self.database, session_id)
        if dry_run:
            return comparing.compare(self._desk, info)
        refuse_closed(info)
        self._look_after(info, "reconciled")
        return True


@contextmanager
def _minded(runner: Runner) -> Iterator[None]:
    """An error lets go of the session as it is stored."""
    try:
        yield
    except BaseException:
        runner.abandon()
        raise


def _closing(state: SessionState, why: str) -> list[ev.Fact]:
    """The end of a session for good: what it had under way keeps no symbol from the next one."""
    under_way = [coid for coid, record in state.intents.items() if not record.status.is_final]
    gone = [ev.IntentResolved(state.last_at, coid, ev.GONE, "its session was closed") for coid in under_way]
    return [*gone, ev.RunEnded(state.last_at, sessions.CLOSED, why)]


def _closed(market: ev.MarketReport) -> TryAgainLater:
    return TryAgainLater(
        f"the market is closed; it opens {market.next_open:%a %F %R} UTC", hint="start or --resume then"
    )
