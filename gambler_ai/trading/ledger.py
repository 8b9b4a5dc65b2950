"""One session's writes: every transaction of a running session is opened in this file."""

from __future__ import annotations

from datetime import datetime, timedelta

from gambler_ai import crashpoints
from gambler_ai.clock import Clock
from gambler_ai.core import events as ev
from gambler_ai.core.engine import Decisions
from gambler_ai.core.events import Fact, IntentPlanned, Request, ResendPlanned
from gambler_ai.core.orders import OrderIntent, Purpose
from gambler_ai.core.state import SessionState
from gambler_ai.storage import checkpoints, journal, limits, requests, sessions
from gambler_ai.storage.checkpoints import CheckpointInfo
from gambler_ai.storage.database import Database
from gambler_ai.storage.lease import Lease


class Ledger:
    """The journal, rows and checkpoints of one session, written under its lease."""

    def __init__(
        self, database: Database, lease: Lease, state: SessionState, *, head: str, created: int, wall: Clock
    ) -> None:
        """``head`` is the journal's last hash, ``created`` how many checkpoints the session ever had."""
        self._database = database
        self._lease = lease
        self._state = state
        self._head = head
        self._wall = wall
        self._whole: CheckpointInfo | None = None  # the newest whole checkpoint that we have written ourselves
        self.created = created
        self.pruned = 0

    @property
    def token(self) -> int:
        """The fencing token of this owner."""
        return self._lease.token

    def commit(self, decisions: Decisions, *, checkpoint: bool = False) -> CheckpointInfo | None:
        """Store facts and the rows they touched, durably. What they allow may be done afterwards.

        With ``checkpoint`` one of the state as it is after them goes into the same transaction, and is returned.

        Raises:
            SessionLeased: another runner has taken over; nothing was written.
            StorageError: it could not be written, or an order to be sent again is not the one that was stored;
                crash and resume.
            LimitBreached: an entry goes beyond the plan's limits; nothing was written.
        """
        if not decisions.facts and not checkpoint:
            return None
        facts, changes = decisions.facts, decisions.changes
        kinds = crash_kinds(facts)
        crashpoints.commit("before", kinds)
        if checkpoint:
            crashpoints.hit("checkpoint.before")
        created, wall = self.created + checkpoint, self._wall.now()
        with self._database.write() as db:
            self._lease.renew(db)
            again = [f.client_order_id for f in facts if isinstance(f, ResendPlanned)]
            journal.check_bodies(db, [self._state.intents[coid].intent for coid in again])
            self._head = journal.append(db, self._state, facts, changes, self._head, self._lease.token)
            crashpoints.commit("inside", kinds)
            limits.check(db, self._state, entries_of(facts))
            for request_id, answer in changes.answers.items():
                requests.answer(db, request_id, answer, wall)
            info = None
            if checkpoint:
                info = checkpoints.create(db, self._state, created, self._head, wall, self._whole)
                crashpoints.hit("checkpoint.inside" if info.is_whole else "checkpoint.brief")
            sessions.update(db, self._state, head=self._head, checkpoints=created, wall=wall)
        self.created = created
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
        with self._database.write() as db:
            self._lease.renew(db)
            count = checkpoints.prune(db, self._state.session_id, keep, before, self._whole)
            crashpoints.hit("prune.inside")
        crashpoints.hit("prune.after")
        self.pruned += count
        return count

    def requests(self) -> list[Request]:
        """What people have asked of this session and nobody has taken, oldest first."""
        with self._database.read() as db:
            return requests.waiting(db, self._state.session_id)

    def release(self) -> None:
        """Give the account back."""
        crashpoints.hit("release.before")
        with self._database.write() as db:
            self._lease.release(db)
            crashpoints.hit("release.inside")
        crashpoints.hit("release.after")
        self._lease.close()

    def drop(self) -> None:
        """Free the machine's lock without a word to the database."""
        self._lease.close()


def entries_of(facts: list[Fact]) -> list[OrderIntent]:
    """The entries that ``facts`` plan."""
    return [f.intent for f in facts if isinstance(f, IntentPlanned) and f.intent.purpose is Purpose.ENTRY]


#: Which of the named crash points the commit of a fact passes.
_KINDS: dict[type, str] = {
    ev.RunStarted: "start", ev.RunEnded: "end", ev.DayOpened: "day", ev.ResendPlanned: "resend",
    ev.CancelPlanned: "cancel", ev.OrderUpdated: "reply", ev.IntentUnknown: "unknown", ev.LookupMissed: "missed",
    ev.IntentVoided: "void", ev.IntentDisputed: "dispute", ev.FillReported: "fill", ev.Reconciled: "reconcile",
    ev.Adjusted: "adjust", ev.SplitApplied: "adjust", ev.ForeignSeen: "foreign", ev.Adopted: "adopt",
    ev.TradingHalted: "halt", ev.ExitRequested: "leave", ev.RequestTaken: "request", ev.Degraded: "outage",
}  # fmt: skip
_PURPOSES = {Purpose.ENTRY: "intent", Purpose.PROTECT: "protect", Purpose.EXIT: "exit", Purpose.REPLACE: "replace"}


def crash_kinds(facts: list[Fact]) -> list[str]:
    """Which of the named crash points a commit of ``facts`` passes."""
    kinds = (
        _PURPOSES[f.intent.purpose] if isinstance(f, ev.IntentPlanned) else _KINDS.get(type(f), "") for f in facts
    )  # fmt: skip
    return [kind for kind in dict.fromkeys(kinds) if kind]
