"""The loop: ask for what is due, take one input, commit what it came to, then act on it."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

from gambler_ai import crashpoints
from gambler_ai.core import events as ev
from gambler_ai.core.engine import Decisions, Engine
from gambler_ai.core.orders import IN_FLIGHT, Status
from gambler_ai.core.reconcile import HALTING
from gambler_ai.core.state import Plan, SessionState
from gambler_ai.errors import BrokerError, BrokerUnreachable, GamblerError, RecoveryHalted
from gambler_ai.trading.executor import Cancel, Executor, Read, Request, Scan, Submit
from gambler_ai.trading.feed import Feed
from gambler_ai.trading.ledger import Ledger
from gambler_ai.trading.reporter import Reporter

#: How far back the first reading of a run goes: as long as an order can rest (BEHAVIOUR 3, gtc), so that
#: one that another database left is seen.
ORDERS_LIVE = timedelta(days=90)
#: Session time between two readings of the broker, and between two comparisons with our books.
POLL = timedelta(seconds=15)
RECONCILE = timedelta(seconds=60)
#: Readings at a start until two in a row agree; more than that and the market is moving under us.
SETTLE_ROUNDS = 6
#: Wall seconds a first signal may take to settle what is in flight (RECOVERY_PROTOCOL 2.3, signals).
STOP_PATIENCE_S = 8.0
#: Wall seconds between two looks for the same order meanwhile.
LOOK_AGAIN_S = 1.0
#: A checkpoint adds one; pruning this often keeps the file bounded during the session as well.
PRUNE_EVERY = 10


class Runner:
    """Runs one session until its time is up, somebody stops it, or the market closes."""

    def __init__(
        self, engine: Engine, ledger: Ledger, feed: Feed, executor: Executor, reporter: Reporter,
        history: int,
    ) -> None:  # fmt: skip
        self._engine = engine
        self._ledger = ledger
        self._feed = feed
        self._executor = executor
        self._reporter = reporter
        self._history = history
        self._due: dict[str, datetime] = {}
        self._asked: set[type] = set()
        self._failure: ev.BrokerFailed | None = None

    @property
    def state(self) -> SessionState:
        """The session's state; only this runner's thread may look."""
        return self._engine.state

    @property
    def plan(self) -> Plan:
        """What the session was asked to do, as it stands."""
        return self.state.plan

    @property
    def market(self) -> ev.MarketReport | None:
        """The broker's clock as of the last reading."""
        return self._engine.market

    @property
    def token(self) -> int:
        """The fencing token this runner writes under."""
        return self._ledger.token

    def begin(self, *facts: ev.Fact) -> None:
        """Record the start of this run, settle what was in flight and agree with the broker.

        Raises:
            BrokerError: it could not be asked.
            RecoveryHalted: what it holds needs a person.
        """
        self._executor.start()
        restart = [
            ev.IntentUnknown(self._feed.clock.now(), coid, "restarted before the answer was stored")
            for coid, record in self.state.intents.items()
            if record.status is Status.PLANNED
        ]
        self._finish(self._engine.record(*facts, *restart))
        crashpoints.hit("recovery.replayed")
        self._settle()
        crashpoints.hit("recovery.settled")

    def trade(self) -> str:
        """Run until there is a reason to stop; returns it: "duration", "signal" or "market closed"."""
        self._reporter.started(self.state)
        now = self._feed.clock.now()
        self._due = {name: self._next_due(name, now) for name in ("poll", "reconcile", "checkpoint")}
        self._due["scan"] = self._next_due("scan", now - timedelta(microseconds=1))
        end = now + timedelta(seconds=self.state.remaining_s)
        while not (reason := self._reason_to_stop(end)):
            self._ask_for_what_is_due()
            self._take(self._feed.next(min(*self._due.values(), end), busy=self._executor.busy))
        return reason

    def end(self, status: str, reason: str) -> None:
        """Settle what is in flight, write the last checkpoint, and give the account back."""
        self._reporter.stopping(reason)
        self._settle_for(STOP_PATIENCE_S)
        crashpoints.hit("stop.before_checkpoint")
        if status == "finished" and not self.state.positions and not self._anything_open():
            status = "completed"
        self._finish(self._engine.record(ev.RunEnded(self._feed.clock.now(), status, reason)))
        self._checkpoint()
        self._ledger.prune(self.plan.keep_checkpoints)
        self._ledger.release()
        self._executor.stop(0.0)
        self._reporter.ended(self.state, created=self._ledger.created, pruned=self._ledger.pruned)

    def abandon(self) -> None:
        """Let go without settling, after an error: what is stored is what a resume starts from."""
        self._executor.stop(0.0)
        with suppress(GamblerError):  # the kernel frees the lock in any case
            self._ledger.release()

    # -- one input --------------------------------------------------------------------------------

    def _take(self, event: ev.Input) -> None:
        if isinstance(event, _ANSWERS):
            self._executor.answered()
            self._asked -= {_reading_of(event)}
        if isinstance(event, ev.BrokerFailed) and event.name == ev.BROKER:
            self._failure = event
        if isinstance(event, ev.BrokerReported):
            self._feed.follow(event.report.market.at)
        self._finish(self._engine.step(event))

    def _finish(self, decisions: Decisions) -> None:
        """Commit, act, tell: in that order and no other."""
        self._ledger.commit(decisions)
        for fact in decisions.facts:
            request = self._request(fact)
            if request is not None:
                self._executor.ask(request)
        self._reporter.took(decisions, self.state)
        halting = [d for d in decisions.discrepancies if d.kind in HALTING]
        if halting:
            raise RecoveryHalted(
                f"{halting[0].symbol}: {halting[0].kind} ({halting[0].order_id}): {halting[0].cause}",
                hint="stop the other program, or give this one an account of its own",
            )
        if decisions.look_again and self._due:
            self._due["reconcile"] = self._feed.clock.now() + timedelta(seconds=1)

    def _request(self, fact: ev.Fact) -> Request | None:
        """What a committed fact allows to be sent."""
        if isinstance(fact, ev.IntentPlanned):
            return Submit(fact.intent.client_order_id, fact.intent.body)
        if isinstance(fact, ev.ResendPlanned):
            return Submit(fact.client_order_id, self.state.intents[fact.client_order_id].intent.body)
        if isinstance(fact, ev.CancelPlanned):
            return Cancel(fact.order_id)
        return None

    # -- what is due ------------------------------------------------------------------------------

    def _every(self, name: str) -> timedelta:
        return {
            "poll": POLL,
            "reconcile": RECONCILE,
            "scan": timedelta(seconds=self.plan.interval_s),
            "checkpoint": timedelta(seconds=self.plan.checkpoint_interval_s),
        }[name]

    def _next_due(self, name: str, after: datetime) -> datetime:
        """The first instant after ``after`` on the session's own grid: a resume keeps the beat, and skips."""
        every, origin = self._every(name), self.state.started_at
        return origin + ((after - origin) // every + 1) * every

    def _ask_for_what_is_due(self) -> None:
        now = self._feed.clock.now()
        reconcile = self._is_due("reconcile", now)
        if self._is_due("poll", now) or reconcile:
            self._ask_read(reconcile)
        if self._is_due("scan", now):
            self._ask_scan()
        if self._is_due("checkpoint", now):
            self._checkpoint()
            if self._ledger.created % PRUNE_EVERY == 0:
                self._ledger.prune(self.plan.keep_checkpoints)

    def _is_due(self, name: str, now: datetime) -> bool:
        if now < self._due[name]:
            return False
        self._due[name] = self._next_due(name, now)
        return True

    def _ask_read(self, reconcile: bool) -> None:
        if Read in self._asked:  # a slow broker: the one in flight will do, but a comparison is not lost
            if reconcile:
                self._due["reconcile"] = self._feed.clock.now() + POLL
            return
        state = self.state
        self._asked.add(Read)
        since = state.orders_since()
        if not self._due:  # the loop has not begun
            since = min(since, self._feed.clock.now() - ORDERS_LIVE)
        self._executor.ask(Read(since, state.fills_since(), tuple(expected(state)), reconcile))

    def _ask_scan(self) -> None:
        if Scan not in self._asked:
            self._asked.add(Scan)
            interval = timedelta(seconds=self.plan.timeframe_s)
            self._executor.ask(Scan(self.plan.symbols, interval, self._history))

    def _checkpoint(self) -> None:
        self._reporter.checkpointed(self._ledger.checkpoint())

    def _reason_to_stop(self, end: datetime) -> str:
        if self._executor.busy:
            return "signal" if self.state.halted else ""
        if self.state.halted:
            return "signal"
        if self._engine.market is not None and not self._engine.market.is_open:
            return "market closed"
        return "duration" if self._feed.clock.now() >= end else ""

    # -- settling ---------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Read until two readings in a row say the same and what we sent because of them is answered."""
        for _ in range(SETTLE_ROUNDS):
            again = self._read_now()
            if not again and not self._executor.busy:
                return
            while self._executor.busy:
                self._take(self._feed.next(self._feed.clock.now(), busy=True))

    def _read_now(self) -> bool:
        """One reading, taken to its end. True when something was sent or another look is wanted."""
        before = self.state.seq
        self._failure = None
        self._ask_read(reconcile=True)
        while Read in self._asked:
            self._take(self._feed.next(self._feed.clock.now(), busy=True))
        if self._failure is not None:
            raise _unreachable(self._failure)
        return self.state.seq != before or self._executor.busy

    def _settle_for(self, patience_s: float) -> None:
        """Wait for answers and look up what is unknown, for at most ``patience_s`` wall seconds."""
        deadline_s = self._feed.clock.monotonic() + patience_s
        fresh = False
        while (left_s := deadline_s - self._feed.clock.monotonic()) > 0:
            if not self._executor.busy:
                if fresh and not self._in_flight():
                    return
                if fresh:  # a look-up that missed: not faster than the broker can change its mind
                    self._feed.clock.sleep(min(LOOK_AGAIN_S, left_s))
                self._ask_read(reconcile=True)
                fresh = True
            event = self._feed.poll(left_s)
            if event is None or isinstance(event, ev.BrokerFailed):
                return
            self._take(event)

    def _in_flight(self) -> bool:
        return any(r.status in IN_FLIGHT for r in self.state.intents.values())

    def _anything_open(self) -> bool:
        return any(record.settled_at is None for record in self.state.intents.values())


_ANSWERS = (
    ev.BarsClosed, ev.BrokerReported, ev.BrokerFailed, ev.SubmitAnswered, ev.SubmitRefused,
    ev.SubmitUnanswered, ev.CancelAnswered,
)  # fmt: skip


def _reading_of(answer: ev.Input) -> type | None:
    """Which kind of reading an answer ends, None for one that answers an order."""
    if isinstance(answer, ev.BrokerFailed):
        return Read if answer.name == ev.BROKER else Scan
    return {ev.BarsClosed: Scan, ev.BrokerReported: Read}.get(type(answer))


def expected(state: SessionState) -> list[str]:
    """Client order ids whose order has to be in a reading: unknown, or live as far as we know."""
    return [
        coid for coid, record in state.intents.items()
        if record.status is Status.UNKNOWN
        or any(not o.is_settled for o in state.orders_of(record))
    ]  # fmt: skip


def _unreachable(failure: ev.BrokerFailed) -> BrokerError:
    return BrokerUnreachable(failure.reason, hint="nothing was lost: try again, or --resume")
