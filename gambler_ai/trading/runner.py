"""The loop: ask for what is due, take one input, commit what it came to, then act on it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from gambler_ai import crashpoints
from gambler_ai.core import events as ev
from gambler_ai.core.catchup import bars_passed, caught_up
from gambler_ai.core.components import Component
from gambler_ai.core.degraded import Condition, of_a_process
from gambler_ai.core.engine import Decisions, Engine
from gambler_ai.core.orders import IN_FLIGHT, Role, Status
from gambler_ai.core.reconcile import HALTING
from gambler_ai.core.risk import entering
from gambler_ai.core.state import Plan, SessionState
from gambler_ai.errors import BrokerError, BrokerUnreachable, GamblerError, RecoveryHalted
from gambler_ai.trading.agenda import LAST_PIECES, NEXT_PIECE, ROLL_UP, Agenda, passed_a_multiple
from gambler_ai.trading.door import Door
from gambler_ai.trading.executor import Cancel, Executor, Read, Request, Scan
from gambler_ai.trading.feed import Feed
from gambler_ai.trading.ledger import Ledger
from gambler_ai.trading.reporter import Reporter
from gambler_ai.trading.requesting import ANSWERS, reading, reading_of, scanning, sending
from gambler_ai.trading.wakeups import UNHEARD, Wakeups

#: Session time after which what components remember is stored, if no checkpoint or closed trade has done so.
REMEMBER = timedelta(minutes=5)
#: How far back the first reading of a run goes: as long as an order can rest (BEHAVIOUR 3, gtc), so that
#: one that another database left is seen.
ORDERS_LIVE = timedelta(days=90)
#: Session time between two readings of the broker, and between two comparisons with our books.
POLL, RECONCILE = timedelta(seconds=15), timedelta(seconds=60)
#: The same while the market is closed and nothing moves.
IDLE_POLL = timedelta(seconds=60)
#: Wall seconds between two looks at what people ask; session time between them at most.
LOOK_S = 2.0
LOOK_MAX = timedelta(seconds=60)
#: Session time that leaving with --on-exit cancel or flatten may take.
WIND_DOWN = timedelta(minutes=3)
#: Readings at a start until two in a row agree; more than that and the market is moving under us.
SETTLE_ROUNDS = 6
#: Session time at a speed of 1 that a start waits for a broker that limits requests, and between two tries.
LIMIT_PATIENCE, LIMIT_LOOK = timedelta(minutes=3), timedelta(seconds=5)
#: Wall seconds a first signal may take to settle what is in flight (RECOVERY_PROTOCOL 2.3, signals).
STOP_PATIENCE_S = 8.0
#: Wall seconds between two looks for the same order meanwhile.
LOOK_AGAIN_S = 1.0
#: Checkpoints between two prunes, which keep the file bounded during the session as well: an hour of them as a rule.
PRUNE_EVERY = 120


class Runner:
    """Runs one session until its time is up, somebody stops it, or the market closes."""

    def __init__(
        self, engine: Engine, ledger: Ledger, feed: Feed, executor: Executor, reporter: Reporter, door: Door,
        wakeups: Wakeups,
    ) -> None:  # fmt: skip
        self._engine = engine
        self._ledger = ledger
        self._feed = feed
        self._executor = executor
        self._reporter = reporter
        self._door = door
        self._wakeups = wakeups
        self._agenda: Agenda | None = None  # None until the loop has begun
        self._scans: Agenda | None = None
        self._asked: set[type] = set()
        self._again: set[type] = set()  # readings wanted while one was in flight
        self._checkpoint_due = False
        self._memory_due = True  # so that what a first run begins with is stored as well
        self._failure: ev.BrokerFailed | None = None
        self._brought: list[Decisions] = []  # what this run has come to so far, until it is told

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

    @property
    def memory(self) -> Mapping[str, Component]:
        """What remembers, by name, as of the state."""
        return self._ledger.memory.view

    def begin(self, *facts: ev.Fact) -> None:
        """Record the start of this run, settle what was in flight and agree with the broker.

        Raises:
            BrokerError: it could not be asked.
            RecoveryHalted: what it holds needs a person.
        """
        since, decided = self.state.last_at, dict(self.state.bars)
        self._executor.start()
        restart = [
            ev.IntentUnknown(self._feed.clock.now(), coid, "restarted before the answer was stored")
            for coid, record in self.state.intents.items()
            if record.status is Status.PLANNED
        ]
        over = [ev.Restored(self._feed.clock.now(), name) for name in of_a_process(self.state.degraded)]
        self._finish(self._engine.record(*facts, *over, *restart))
        crashpoints.hit("recovery.replayed")
        self._answer_the_door(_BEFORE_READING)  # the first reading may send again what a halt forbids
        self._settle()
        if self._answer_the_door():
            self._settle()
        if Condition.BOOKS in self.state.degraded:  # compared: from here on an order that nobody knows is a stranger's
            self._finish(self._engine.record(ev.Restored(self._feed.clock.now(), Condition.BOOKS)))
        crashpoints.hit("recovery.settled")
        if any(isinstance(fact, ev.RunStarted) and fact.resumed for fact in facts):
            self._tell_what_happened(since, decided)
        self._brought = []

    def trade(self) -> str:
        """Run until there is a reason to stop; returns it: "duration", "signal" or "market closed".

        With ``when_closed`` "wait" a closed market is waited for, and its time does not count.
        """
        self._engine.prepare()  # what is held has its stops by now
        self._wakeups.begin(self._feed.clock.now())
        self._reporter.started(self.state)
        left_s = self.state.remaining_s
        while True:
            end = self._feed.clock.now() + timedelta(seconds=left_s)
            reason = self._trade_while_open(end)
            if reason != MARKET_CLOSED or self.plan.when_closed == "exit":
                return reason
            now = self._feed.clock.now()
            left_s = (end - now).total_seconds()
            self._finish(self._engine.record(ev.RunPaused(now, left_s)))
            reason = self._wait_for_open()
            if reason:
                return reason
            now = self._feed.clock.now()
            self._finish(self._engine.record(ev.RunStarted(now, left_s, resumed=True, token=self.token)))

    def _trade_while_open(self, end: datetime) -> str:
        now = self._feed.clock.now()
        every = {
            "poll": POLL, "reconcile": RECONCILE, "look": self._look_every,
            "checkpoint": timedelta(seconds=self.plan.checkpoint_interval_s), "memory": REMEMBER,
            "roll up": ROLL_UP,
        }  # fmt: skip
        self._agenda = Agenda(self.state.started_at, every, now)
        self._scans = Agenda(self.state.started_at, {"scan": timedelta(seconds=self.plan.interval_s)}, now - _MOMENT)
        while not (reason := self._reason_to_stop(end)):
            if self._is_open and self._feed.clock.now() < end:  # else only what is in flight is waited for
                self._ask_for_what_is_due()
            until = min(self._agenda.next, self._scans.next, end)
            self._take(self._feed.next(until, busy=self._executor.busy))
        return reason

    def _wait_for_open(self) -> str:
        """Until the market opens ("") or a signal comes. Books are compared meanwhile, and people heard."""
        market = self._engine.market
        assert market is not None
        self._scans = None
        self._reporter.waiting(market, self.state)
        while not self.state.stopping and (event := self._feed.skip_to(market.next_open)) is not None:
            self._take(event)
        now = self._feed.clock.now()
        self._agenda = Agenda(self.state.started_at, {"reconcile": IDLE_POLL, "look": self._look_every}, now)
        self._agenda.by("reconcile", now)
        while not self.state.stopping:
            market = self._engine.market or market
            if market.is_open and not self._executor.busy:
                return ""
            if market.next_open > self._feed.clock.now():
                self._agenda.sooner("reconcile", market.next_open)
            self._ask_for_what_is_due()
            self._take(self._feed.next(self._agenda.next, busy=self._executor.busy))
        return SIGNAL

    def wind_down(self, reason: str) -> None:
        """What ``on_exit`` asks for, and exits that are under way; each for as long as `WIND_DOWN`.

        An exit that is left half done has lost its stop and not yet its shares. ``reason`` is why the run ends.
        """
        crashpoints.hit("wind_down.before")
        wanted, now = self.plan.on_exit, self._feed.clock.now()
        why = f"the session ends (--on-exit {wanted})"
        if wanted == "flatten":
            later = "" if self._is_open else ": the market is closed, so the next resume does it when it opens"
            self._finish(self._engine.leave_all(now, why + later))
        if wanted == "cancel" and self._is_open:
            self._finish(self._engine.step(ev.StopRequested(now, reason)))  # what was not answered is not sent again
            self._until(lambda: not entering(self.state), lambda at: self._engine.cancel_entries(at, why))
        self.finish_exits()
        crashpoints.hit("wind_down.after")

    def finish_exits(self) -> None:
        """See exits that were asked for through, for as long as `WIND_DOWN`; while the market is closed they wait."""
        if self._is_open:
            self._until(lambda: not self.state.exits, lambda _: Decisions())

    @property
    def _is_open(self) -> bool:
        return self._engine.market is not None and self._engine.market.is_open

    def _until(self, done: Callable[[], bool], decide: Callable[[datetime], Decisions] | None = None) -> None:
        """Read the broker and act on it, without prices and so without new entries; ``decide`` before each reading."""
        now = self._feed.clock.now()
        self._scans = None
        self._agenda = Agenda(now, {"reconcile": timedelta(seconds=5), "look": self._look_every}, now)
        while self._feed.clock.now() < now + WIND_DOWN and (self._executor.busy or (self._is_open and not done())):
            if decide is not None:
                self._finish(decide(self._feed.clock.now()))
            self._ask_for_what_is_due()
            self._take(self._feed.next(self._agenda.next, busy=self._executor.busy))

    def end(self, status: str, reason: str) -> None:
        """Settle what is in flight, write the last checkpoint, and give the account back."""
        self._wakeups.end()
        self._reporter.stopping(reason)
        if self._answer_the_door():  # what was asked in the last moment is done like all before it
            self.finish_exits()
        why = "the session ends, and a part of it would have no stop that works"
        self._finish(self._engine.cancel_limit_entries(self._feed.clock.now(), why))
        self._settle_for(STOP_PATIENCE_S)
        crashpoints.hit("stop.before_checkpoint")
        if status in ("finished", "completed"):
            status = "finished" if self.state.positions or self._anything_open() else "completed"
        self._checkpoint_due = True
        self._finish(self._engine.record(ev.RunEnded(self._feed.clock.now(), status, reason)))
        self._ledger.prune(self.plan.keep_checkpoints)
        self._ledger.roll_up(self.plan.history_limit, LAST_PIECES)
        self._executor.stop(0.0)
        self._ledger.release()
        self._reporter.ended(self.state, created=self._ledger.created, pruned=self._ledger.pruned)

    def abandon(self) -> None:
        """Let go without settling, after an error: what is stored is what a resume starts from."""
        self._wakeups.end()
        self._executor.stop(0.0)
        with suppress(GamblerError):  # the kernel frees the lock in any case
            self._ledger.release()

    # -- one input --------------------------------------------------------------------------------

    def _take(self, event: ev.Input) -> None:
        self._ledger.keep_lease()
        if isinstance(event, ANSWERS):
            self._executor.answered()
            self._read_again(reading_of(event))
        if isinstance(event, ev.BrokerFailed) and event.name == ev.BROKER:
            self._failure = event
        if isinstance(event, ev.BrokerReported):
            self._feed.follow(event.report.market.at)
        if isinstance(event, ev.Woken | ev.StreamChanged):
            self._wake(event)
        scans = self.state.iteration
        decisions = self._engine.step(event)
        self._checkpoint_due |= passed_a_multiple(self.plan.autosave_iterations, scans, self.state.iteration)
        self._finish(decisions)
        silent = ""
        if isinstance(event, ev.BrokerReported):
            silent = self._wakeups.was_read(decisions, event.report)
        elif isinstance(event, ev.BarsClosed):
            silent = self._wakeups.was_scanned(decisions)
        if silent:
            self._finish(self._engine.step(ev.StreamSilent(self._feed.clock.now(), silent, UNHEARD)))
        self._reporter.ticked(self.state, self._feed.clock.now())

    def _wake(self, event: ev.Woken | ev.StreamChanged) -> None:
        """A stream says that something happened, or begins to listen: look now, whatever it was."""
        crashpoints.hit("stream.woken")
        self._wakeups.hear(event)
        if isinstance(event, ev.StreamChanged):
            self._reporter.stream(event)
        for kind, wanted in ((Read, self._wakeups.wants_read(event)), (Scan, self._wakeups.wants_scan(event))):
            if wanted and kind in self._asked:
                self._again.add(kind)
            elif wanted:
                self._hurry(kind)

    def _read_again(self, kind: type | None) -> None:
        """A reading has ended; if another was wanted meanwhile, it is due now."""
        if kind is not None:
            self._asked.discard(kind)
            if kind in self._again:
                self._again.discard(kind)
                self._hurry(kind)

    def _hurry(self, kind: type) -> None:
        now = self._feed.clock.now()
        if kind is Scan and self._scans is not None:
            self._scans.by("scan", now)
        elif kind is Read and self._agenda is not None:
            self._agenda.by("poll", now)

    def _finish(self, decisions: Decisions) -> None:
        """Commit, with the checkpoint that is due; act, tell: in that order and no other."""
        saved = self._ledger.commit(decisions, checkpoint=self._checkpoint_due, remember=self._memory_due)
        self._checkpoint_due = self._memory_due = False
        passed = self._ledger.take_passed_outage()
        for fact in decisions.facts:
            request = self._request(fact)
            if request is not None:
                self._executor.ask(request)
        self._reporter.took(decisions, self.state)
        if saved is not None:
            self._reporter.checkpointed(saved)
            if saved.number % PRUNE_EVERY == 0:
                self._ledger.prune(self.plan.keep_checkpoints)
        if self._agenda is None:
            self._brought.append(decisions)
        halting = [d for d in decisions.discrepancies if d.kind in HALTING]
        if halting:
            raise RecoveryHalted(
                f"{halting[0].symbol}: {halting[0].kind} ({halting[0].order_id}): {halting[0].cause}",
                hint="stop the other program, or give this one an account of its own",
            )
        if passed:
            now = self._feed.clock.now()
            self._finish(
                self._engine.record(ev.Degraded(now, Condition.DATABASE, passed), ev.Restored(now, Condition.DATABASE))
            )
        memory = self._ledger.memory
        told, moved = memory.take_told(), memory.take_moved()
        if told or moved:
            self._finish(self._engine.record(*told, *moved))
        if decisions.look_again and self._agenda is not None:
            self._agenda.sooner("reconcile", self._feed.clock.now() + timedelta(seconds=1))

    def _request(self, fact: ev.Fact) -> Request | None:
        """What a committed fact allows to be sent."""
        if isinstance(fact, ev.IntentPlanned):
            return sending(fact.intent)
        if isinstance(fact, ev.ResendPlanned):
            return sending(self.state.intents[fact.client_order_id].intent)
        if isinstance(fact, ev.CancelPlanned):
            return Cancel(fact.order_id)
        return None

    # -- what is due ------------------------------------------------------------------------------

    @property
    def _look_every(self) -> timedelta:
        """`LOOK_S` of wall time as session time; not so often that a market that is moved would crawl."""
        rate = self._feed.rate
        return min(timedelta(seconds=LOOK_S * max(1.0, rate)), LOOK_MAX) if rate else LOOK_MAX

    def _ask_for_what_is_due(self) -> None:
        assert self._agenda is not None
        now = self._feed.clock.now()
        if self._agenda.take("look", now):
            self._answer_the_door()
        reconcile = self._agenda.take("reconcile", now)
        if self._agenda.take("poll", now) or reconcile:
            self._ask_read(reconcile)
        if self._scans is not None and self._scans.take("scan", now):
            self._ask_scan()
        self._memory_due |= self._agenda.take("memory", now)
        if self._agenda.take("roll up", now) and self._ledger.roll_up(self.plan.history_limit):
            self._agenda.by("roll up", now + NEXT_PIECE)
        if self._agenda.take("checkpoint", now):
            self._checkpoint_due = True  # the commit of the next answer takes it along
        if (self._checkpoint_due or self._memory_due) and not self._executor.busy:
            self._finish(Decisions())

    def _answer_the_door(self, kinds: Collection[str] = ()) -> bool:
        """Take what people ask, of these ``kinds`` if any are named; True when somebody asked for something."""
        found = self._door.look()
        if kinds:  # not past one that has to wait: the order in which they were asked is what was meant
            waits = (i for i, e in enumerate(found) if isinstance(e, ev.Requested) and e.request.kind not in kinds)
            found = found[: next(waits, len(found))]
        for event in found:
            self._take(event)
        return any(isinstance(event, ev.Requested) for event in found)

    def _ask_read(self, reconcile: bool) -> None:
        if Read in self._asked:  # a slow broker: the one in flight will do, but a comparison is not lost
            if reconcile and self._agenda is not None:
                self._agenda.by("reconcile", self._feed.clock.now() + POLL)
            return
        self._asked.add(Read)
        at_least = self._feed.clock.now() - ORDERS_LIVE if self._agenda is None else None  # the loop has not begun
        self._executor.ask(reading(self.state, reconcile, at_least, self._engine.read_to))

    def _ask_scan(self) -> None:
        if Scan not in self._asked:
            self._asked.add(Scan)
            self._executor.ask(scanning(self._engine, self._feed.clock.now()))

    def _reason_to_stop(self, end: datetime) -> str:
        if self.state.stopping:
            return SIGNAL
        if self._executor.busy:
            return ""
        if self._feed.clock.now() >= end:
            return DURATION
        return "" if self._engine.market is None or self._is_open else MARKET_CLOSED

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
        """One reading, taken to its end. True when something was sent or another look is wanted.

        A limit on requests is waited out: what is held may be bare, and the stop for it still to be sent.
        """
        before, scale = self.state.seq, max(1.0, self._feed.rate)
        give_up = self._feed.clock.now() + LIMIT_PATIENCE * scale
        while (failure := self._failure_of_reading()) is not None:
            now = self._feed.clock.now()
            if failure.condition != Condition.RATE or self.state.stopping or now >= give_up:
                raise _unreachable(failure)
            self._take(self._feed.next(now + LIMIT_LOOK * scale, busy=self._executor.busy))
        return self.state.seq != before or self._executor.busy

    def _failure_of_reading(self) -> ev.BrokerFailed | None:
        self._failure = None
        self._ask_read(reconcile=True)
        while Read in self._asked:
            self._take(self._feed.next(self._feed.clock.now(), busy=True))
        return self._failure

    def _tell_what_happened(self, since: datetime, decided: dict[str, datetime]) -> None:
        facts = [fact for decisions in self._brought for fact in decisions.facts]
        closed = [trade for decisions in self._brought for trade in decisions.changes.closed]
        report = caught_up(since, self._feed.clock.now(), self.state, facts, closed, self._bars_passed(decided))
        self._finish(self._engine.record(ev.Recovered(report.until, since, report.bars, report.more)))
        self._reporter.caught_up(report)

    def _bars_passed(self, decided: dict[str, datetime]) -> tuple[int, bool] | None:
        """How many bars nobody decided on. They are only counted here: the first scan is the loop's."""
        self._ask_scan()
        while Scan in self._asked:
            event = self._feed.next(self._feed.clock.now(), busy=True)
            if isinstance(event, ev.BarsClosed):
                self._executor.answered()
                self._asked.discard(Scan)
                return bars_passed(event.frame, decided)
            self._take(event)
        return None

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
            if event is None or (isinstance(event, ev.BrokerFailed) and event.name == ev.BROKER):
                return
            self._take(event)

    def _in_flight(self) -> bool:
        """Whether something may still come of what we sent: an order, or a part of an entry that is being canceled."""
        ending = (o for o in self.state.orders.values() if o.role is Role.ENTRY and o.cancel_requested_at is not None)
        return any(not o.is_settled for o in ending) or any(r.status in IN_FLIGHT for r in self.state.intents.values())

    def _anything_open(self) -> bool:
        return any(record.settled_at is None for record in self.state.intents.values())


#: What is taken before the broker was read; the rest needs to know what it holds.
_BEFORE_READING = frozenset({ev.HALT, ev.RESUME_TRADING, ev.RECALL})
#: Why a run ends.
DURATION, SIGNAL, MARKET_CLOSED = "duration", "signal", "market closed"
#: So that a scan is due at once when a run begins on the grid.
_MOMENT = timedelta(microseconds=1)


def _unreachable(failure: ev.BrokerFailed) -> BrokerError:
    return BrokerUnreachable(failure.reason, hint="nothing was lost: try again, or --resume")
