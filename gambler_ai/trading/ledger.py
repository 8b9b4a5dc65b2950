"""One session's writes: every transaction of a running session is opened in this file."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

from gambler_ai import crashpoints
from gambler_ai.clock import Clock
from gambler_ai.core import events as ev
from gambler_ai.core.engine import Decisions
from gambler_ai.core.events import Fact, IntentPlanned, Request, ResendPlanned
from gambler_ai.core.orders import OrderIntent, Purpose
from gambler_ai.core.state import SessionState
from gambler_ai.errors import DatabaseOutage, StorageError
from gambler_ai.storage import archive, checkpoints, components, journal, limits, requests, sessions
from gambler_ai.storage.checkpoints import CheckpointInfo
from gambler_ai.storage.database import Database
from gambler_ai.storage.lease import RENEW_EVERY_S, Lease
from gambler_ai.trading.memory import Due, Memory
from gambler_ai.trading.outage import Outage

T = TypeVar("T")


class Ledger:
    """The journal, rows and checkpoints of one session, written under its lease."""

    def __init__(
        self, database: Database, lease: Lease, state: SessionState, *, head: str, created: int, wall: Clock,
        outage: Outage | None = None, memory: Memory | None = None,
    ) -> None:  # fmt: skip
        """``head`` is the journal's last hash, ``created`` how many checkpoints the session ever had.

        Without ``outage`` a database that is away ends whatever is under way. ``memory`` is as of the state.
        """
        self._database = database
        self._lease = lease
        self._state = state
        self._place = Place(state.seq, head, created)
        self._wall = wall
        self._outage = outage
        self.memory = memory if memory is not None else Memory()
        self._whole: CheckpointInfo | None = None  # the newest whole checkpoint that we have written ourselves
        self._hot: archive.Hot | None = None  # rows of the journal, counted when it was last rolled up
        self.pruned = 0

    @property
    def token(self) -> int:
        """The fencing token of this owner."""
        return self._lease.token

    @property
    def created(self) -> int:
        """How many checkpoints the session ever had."""
        return self._place.checkpoints

    def commit(
        self, decisions: Decisions, *, checkpoint: bool = False, remember: bool = False
    ) -> CheckpointInfo | None:  # fmt: skip
        """Store facts and the rows they touched, durably. What they allow may be done afterwards.

        With ``checkpoint`` one of the state as it is after them goes into the same transaction, and is returned. So
        does what components remember: with a checkpoint, with a trade that was closed, and with ``remember``.

        Raises:
            SessionLeased: another runner has taken over; nothing was written.
            TryAgainLater: the database was away for too long.
            StorageError: it could not be written, or an order to be sent again is not the one that was stored;
                crash and resume.
            LimitBreached: an entry goes beyond the plan's limits; nothing was written.
        """
        self.memory.take(decisions.facts)
        due: list[Due] = []
        if checkpoint or remember or decisions.changes.closed:
            due = self.memory.due(self._place.seq + len(decisions.facts), self._state.last_at)
        if not decisions.facts and not checkpoint and not due:
            return None
        kinds = crash_kinds(decisions.facts)
        crashpoints.commit("before", kinds)
        if checkpoint:
            crashpoints.hit("checkpoint.before")
        write = _Write(self._database, self._lease, self._state, decisions, self._place, self._wall.now())
        info = self._ride(lambda: write.store(kinds, self.memory, due, checkpoint=checkpoint, whole=self._whole))
        self._place = write.after
        self.memory.written(due)
        if info is not None and info.is_whole:
            self._whole = info
        crashpoints.commit("after", kinds)
        if checkpoint:
            crashpoints.hit("checkpoint.after")
        return info

    def checkpoint(self) -> CheckpointInfo:
        """Write a checkpoint of the state as it is."""
        info = self.commit(Decisions(), checkpoint=True)
        assert info is not None
        return info

    def prune(self, keep: int, older_than: timedelta | None = None) -> int:
        """Delete all but the newest ``keep`` checkpoints, in one transaction. Returns how many went."""
        crashpoints.hit("prune.before")
        before: datetime | None = self._wall.now() - older_than if older_than is not None else None

        def delete() -> int:
            with self._lease.writing(self._database) as db:
                count = checkpoints.prune(db, self._state.session_id, keep, before, self._whole)
                components.prune(db, self._state.session_id)
                crashpoints.hit("prune.inside")
            return count

        count = self._ride(delete)
        crashpoints.hit("prune.after")
        self.pruned += count
        return count

    def roll_up(self, limit: int, pieces: int = 1) -> bool:
        """Compress history beyond ``limit`` rows of a kind, a piece a transaction. True while there may be more.

        Each transaction is a short one: a tick that comes meanwhile waits for one piece.
        """
        for _ in range(pieces):
            crashpoints.hit("rollup.before")
            if not self._ride(lambda: self._roll_up(limit)):
                return False
            crashpoints.hit("rollup.after")
        return True

    def _roll_up(self, limit: int) -> int:
        hot, self._hot = self._hot, None  # of a commit that fails nobody knows what there is
        with self._lease.writing(self._database) as db:
            moved = archive.roll_up(db, self._state.session_id, limit, self._lease.token, hot)
            if moved.rows:
                crashpoints.hit("rollup.inside")
        self._hot = moved.hot
        return moved.rows

    def requests(self) -> list[Request]:
        """What people have asked of this session and nobody has taken, oldest first."""

        def look() -> list[Request]:
            with self._database.read() as db:
                return requests.waiting(db, self._state.session_id)

        return self._ride(look)

    def keep_lease(self) -> None:
        """Renew the lease if nothing was written for a while: a quiet market is not a dead owner.

        Raises:
            SessionLeased: another runner has taken over.
            TryAgainLater: the database was away for too long.
        """
        if self._lease.age_s >= RENEW_EVERY_S:
            self._ride(self._renew)

    def before_send(self) -> None:
        """On the broker's thread, right before a request that changes something: may it still leave?

        Raises:
            SessionLeased: another runner has taken over.
            StorageError: that cannot be told, since the database is away.
        """
        if self._outage is not None and self._outage.is_on:
            raise DatabaseOutage("the database is away")
        if not self._lease.is_sure():
            self._renew()

    def take_passed_outage(self) -> str:
        """Why the database was away, if it was since the last call; "" if it was not."""
        return self._outage.take_passed() if self._outage is not None else ""

    def release(self) -> None:
        """Give the account back. While the database is away the lock is freed, and says enough."""
        crashpoints.hit("release.before")
        if self._outage is None or not self._outage.is_on:
            with suppress(DatabaseOutage), self._database.write() as db:
                self._lease.release(db)
                crashpoints.hit("release.inside")
        crashpoints.hit("release.after")
        self._lease.close()

    def drop(self) -> None:
        """Free the machine's lock without a word to the database."""
        self._lease.close()

    def _renew(self) -> None:
        with self._lease.writing(self._database):
            pass  # renewing is all

    def _ride(self, act: Callable[[], T]) -> T:
        return act() if self._outage is None else self._outage.ride(act)


class Place(NamedTuple):
    """How far a session is stored: its last journal row, that row's hash, and its checkpoints so far."""

    seq: int
    head: str
    checkpoints: int


class _Write:
    """One transaction of a session. A commit that failed may have happened: the next try looks first."""

    def __init__(
        self, database: Database, lease: Lease, state: SessionState, decisions: Decisions, before: Place, wall: datetime
    ) -> None:
        self._database = database
        self._lease = lease
        self._state = state
        self._decisions = decisions
        self._before = before
        self._wall = wall
        self._may_be_stored = False
        self._info: CheckpointInfo | None = None
        self.after = before

    def store(
        self, kinds: list[str], memory: Memory, due: list[Due], *, checkpoint: bool, whole: CheckpointInfo | None
    ) -> CheckpointInfo | None:  # fmt: skip
        """Write it, unless it is there. Returns the checkpoint that is in it.

        ``kinds`` are its crash points, ``due`` is what of ``memory`` goes into it.

        Raises:
            StorageError: the session is neither where it was nor where an earlier try would have brought it.
        """
        state, decisions, token = self._state, self._decisions, self._lease.token
        with self._lease.writing(self._database) as db:
            if self._may_be_stored and self._is_after(Place(*sessions.place(db, state.session_id))):
                return self._info
            state.seq = self._before.seq  # a try that failed has moved it
            again = [fact.client_order_id for fact in decisions.facts if isinstance(fact, ResendPlanned)]
            journal.check_bodies(db, [state.intents[coid].intent for coid in again])
            head = journal.append(db, state, decisions.facts, decisions.changes, self._before.head, token)
            crashpoints.commit("inside", kinds)
            limits.check(db, state, entries_of(decisions.facts))
            for request_id, answer in decisions.changes.answers.items():
                requests.answer(db, request_id, answer, self._wall)
            memory.write(db, due, state, self._wall, token)
            for aside in (fact for fact in decisions.facts if isinstance(fact, ev.ComponentSetAside) and fact.number):
                components.set_aside(db, aside.session_id, aside.name, aside.number, aside.reason)
            created = self._before.checkpoints + checkpoint
            if checkpoint:
                self._info = checkpoints.create(db, state, created, head, self._wall, whole, token=token)
                crashpoints.hit("checkpoint.inside" if self._info.is_whole else "checkpoint.brief")
            sessions.update(db, state, head=head, checkpoints=created, wall=self._wall)
            self.after, self._may_be_stored = Place(state.seq, head, created), True
        return self._info

    def _is_after(self, found: Place) -> bool:
        """Whether an earlier try was committed after all: what the database says of the session tells."""
        if found not in (self._before, self.after):
            raise StorageError(
                f"session {self._state.session_id} is stored up to row {found.seq}, and was written from row"
                f" {self._before.seq} to {self.after.seq}: this is another database than before the outage",
                hint="put the database back as it was, then --resume",
            )
        return found == self.after


def entries_of(facts: list[Fact]) -> list[OrderIntent]:
    """The entries that ``facts`` plan."""
    return [f.intent for f in facts if isinstance(f, IntentPlanned) and f.intent.purpose is Purpose.ENTRY]


#: Which of the named crash points the commit of a fact passes.
_KINDS: dict[type, str] = {
    ev.RunStarted: "start", ev.RunEnded: "end", ev.DayOpened: "day", ev.ResendPlanned: "resend",
    ev.CancelPlanned: "cancel", ev.OrderUpdated: "reply", ev.IntentUnknown: "unknown", ev.LookupMissed: "missed",
    ev.IntentVoided: "void", ev.IntentDisputed: "dispute", ev.FillReported: "fill", ev.Reconciled: "reconcile",
    ev.Adjusted: "adjust", ev.SplitApplied: "adjust", ev.ForeignSeen: "foreign", ev.Adopted: "adopt",
    ev.OptionSettled: "settled", ev.StructureEnded: "ended",
    ev.TradingHalted: "halt", ev.ExitRequested: "leave", ev.RequestTaken: "request", ev.Degraded: "outage",
}  # fmt: skip
_PURPOSES = {
    Purpose.ENTRY: "intent", Purpose.LEG: "leg", Purpose.PROTECT: "protect", Purpose.EXIT: "exit",
    Purpose.REPLACE: "replace",
}  # fmt: skip


def crash_kinds(facts: list[Fact]) -> list[str]:
    """Which of the named crash points a commit of ``facts`` passes."""
    kinds = (
        _PURPOSES[f.intent.purpose] if isinstance(f, ev.IntentPlanned) else _KINDS.get(type(f), "") for f in facts
    )  # fmt: skip
    return [kind for kind in dict.fromkeys(kinds) if kind]
