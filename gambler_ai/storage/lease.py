"""One runner an account: a lock that dies with its owner, and a row with a token.

The lock (`locks.py`) tells at once whether an owner lives: one whose lock is free is dead, and is replaced at once.
One that lives and says nothing for `LEASE_TTL` (stopped, swapped out, on a machine that sleeps) is replaced as well.
The token fences: each write transaction begins by renewing the row under its own token, and an owner that has been
replaced finds no row and stops (RECOVERY_PROTOCOL 2.2); `fencing.py` has the database refuse it too. On Postgres that
UPDATE also makes two writers wait for each other.

How long an owner has been silent is judged by the server's clock on Postgres. A file's owners are on one machine: there
it is that machine's clock since boot, so that setting its wall clock frees nothing.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gambler_ai import crashpoints
from gambler_ai.clock import Clock, SystemClock
from gambler_ai.errors import DatabaseOutage, SessionLeased
from gambler_ai.storage import statements
from gambler_ai.storage.database import Database
from gambler_ai.storage.locks import Lock, lock_of
from gambler_ai.storage.statements import Statement
from gambler_ai.storage.tables import lease as table

#: How long an owner may be silent until another may take over; longer than our longest blocking call.
LEASE_TTL = timedelta(seconds=60)
#: Wall seconds after which an owner that has nothing to write renews all the same.
RENEW_EVERY_S = 15.0
#: Wall seconds that a request which changes something may take at most, from the last look at the lease to its end.
SEND_MAX_S = 15.0

#: A token beyond this was not reached by anybody who takes an account a thousand times a second.
TOKEN_MAX = 10**12

#: What owners of one machine's file compare their time by.
_MACHINE = SystemClock()
#: The database's own clock, now and as far ahead as a lease lasts; on SQLite as `tables.Utc` writes an instant.
_TTL_S = int(LEASE_TTL.total_seconds())
_NOW = {"sqlite": "strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now')", "postgresql": "clock_timestamp()"}
_UNTIL = {
    "sqlite": f"strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now', '+{_TTL_S} seconds')",
    "postgresql": f"clock_timestamp() + interval '{_TTL_S} seconds'",
}


def _clock_of(texts: dict[str, str], dialect: str) -> Any:
    return sa.literal_column(texts[dialect], table.c.until.type)


_RENEW = Statement(
    lambda dialect: (
        table.update()
        .where(*statements.equal(table, {"account_id": "account", "token": "own"}))
        .values(until=_clock_of(_UNTIL, dialect))
    ),
    ["until_s"],
)
#: How often a lock is asked for that nobody has.
_TAKE_AGAIN = 5


class Lease:
    """The right to trade one account and to write its sessions, for as long as this process lives.

    Two threads use it: the one that writes, and the broker's right before it sends.
    """

    def __init__(self, account_id: str, token: int, lock: Lock, clock: Clock, renewed_s: float) -> None:
        """``renewed_s`` is when the row was written, by the clock's ``monotonic``."""
        self.account_id = account_id
        self.token = token
        self._lock = lock
        self._clock = clock
        self._renewed_s = renewed_s
        self._one_at_a_time = threading.Lock()

    @property
    def age_s(self) -> float:
        """Wall seconds since the last renewal that is known to be stored."""
        return self._clock.monotonic() - self._renewed_s

    def is_sure(self) -> bool:
        """Whether nobody can have taken over, and nobody can for as long as a request takes. Asks the database nothing.

        The one that sends looks at this right before it does; what says no is settled by `writing`.
        """
        with self._one_at_a_time:
            return self.age_s < LEASE_TTL.total_seconds() - SEND_MAX_S and self._lock.is_ours()

    @contextmanager
    def writing(self, database: Database) -> Iterator[Connection]:
        """A transaction of the owner's: the lease is renewed first, and what is written stands or falls with that.

        Raises:
            SessionLeased: another runner has taken the account over; nothing was written.
            DatabaseOutage: it is not known whether it was written.
        """
        with self._one_at_a_time:
            began_s = self._clock.monotonic()
            try:
                with database.write() as db:
                    self.renew(db)
                    yield db
            except SessionLeased as error:
                if error.hint:  # it names the owner already
                    raise
                raise _replaced(_owner_of(database, self.account_id)) from error
            self._renewed_s = began_s

    def renew(self, db: Connection) -> None:
        """Say that we are still here, and learn whether we still own it; first thing in a transaction.

        Raises:
            SessionLeased: another runner has taken the account over.
        """
        if not self._lock.keep():
            raise _replaced(self._lock.owner() or "another runner")
        until_s = self._clock.monotonic() + _TTL_S
        if _RENEW.run(db, {"until_s": until_s, "account": self.account_id, "own": self.token}) != 1:
            owner = db.execute(sa.select(table.c.owner).where(table.c.account_id == self.account_id)).scalar()
            raise _replaced(owner or "nobody")
        crashpoints.hit("lease.renewed")

    def release(self, db: Connection) -> None:
        """Give the account back."""
        db.execute(
            table.update()
            .where(table.c.account_id == self.account_id, table.c.token == self.token)
            .values(released=True)
        )

    def close(self) -> None:
        """Free the lock; after the transaction that released the row."""
        self._lock.close()


def signature(wall: datetime, what: str = "") -> str:
    """How this process signs a lease: what it is, where it runs, since when."""
    return f"{what}pid {os.getpid()} on {socket.gethostname()} since {wall:%F %T} UTC"


def acquire(database: Database, account_id: str, session_id: str, owner: str, clock: Clock) -> Lease:
    """Take the account, with a token one above the last: at once from an owner that is dead, later from a silent one.

    Raises:
        SessionLeased: somebody alive holds it; the message names them.
    """
    crashpoints.hit("lease.before")
    lock = lock_of(database, account_id)
    holder = take(lock, owner, clock)
    is_free = holder is None
    if holder is not None and not _is_silent(database, account_id, clock):
        raise _taken(account_id, holder)
    crashpoints.hit("lease.locked")
    try:
        began_s = clock.monotonic()
        with database.write() as db:
            if not (is_free and lock.decides):
                _refuse_alive(db, database, account_id, clock)
            if not (lock.keep() if is_free else _is_anybodys(db, account_id) and lock.seize(owner)):
                raise _taken(account_id, lock.owner())
            token = _take_row(db, account_id, session_id, owner, clock.now(), began_s)
    except DatabaseOutage as error:
        lock.close()
        if is_free or not error.is_lock:
            raise
        raise _stuck(account_id, lock.owner()) from error
    except BaseException:
        lock.close()
        raise
    crashpoints.hit("lease.after")
    return Lease(account_id, token, lock, clock, began_s)


def take(lock: Lock, owner: str, clock: Clock) -> str | None:
    """Take a lock; who has it instead, None when it is ours.

    While nobody has it, it is asked for again: an owner that died let go of it in the moment we had waited enough.
    """
    for _ in range(_TAKE_AGAIN):
        if lock.take(owner, clock):
            return None
        if holder := lock.owner():
            return holder
    return ""


def is_held(database: Database, account_id: str, clock: Clock = _MACHINE) -> bool:
    """Whether somebody alive holds the account now, and has said so lately."""
    lock = lock_of(database, account_id)
    if lock.decides:
        return lock.is_taken() and not _is_silent(database, account_id, clock)
    with database.read() as db:
        row = _row_of(db, account_id)
        return row is not None and not row.released and not _is_over(db, row, database, clock)


def is_locked(database: Database, account_id: str) -> bool:
    """Whether a process has the account, be it silent; whatever the schema of the database is."""
    lock = lock_of(database, account_id)
    return lock.decides and lock.is_taken()


def running(database: Database, session_ids: Collection[str], clock: Clock = _MACHINE) -> list[str]:
    """Which of these sessions somebody alive runs now."""
    with database.read() as db:
        where = (table.c.session_id.in_(session_ids), table.c.released.is_(False))
        rows = db.execute(sa.select(table.c.account_id, table.c.session_id).where(*where)).all()
    return [row.session_id for row in rows if is_held(database, row.account_id, clock)]


def runners(database: Database, session_ids: Collection[str]) -> dict[str, str]:
    """Which of these sessions a process has, be it silent -> that process."""
    with database.read() as db:
        where = (table.c.session_id.in_(session_ids), table.c.released.is_(False))
        rows = db.execute(sa.select(table.c.account_id, table.c.session_id, table.c.owner).where(*where)).all()
    return {row.session_id: row.owner for row in rows if is_locked(database, row.account_id)}


@contextmanager
def kept_from_trading(
    database: Database, account_ids: Collection[str], owner: str, clock: Clock
) -> Iterator[Callable[[], None]]:
    """Nobody trades these accounts meanwhile; their rows are left as they are.

    Yields what raises, inside a transaction, if somebody who took us for a silent owner was quicker.

    Raises:
        SessionLeased: somebody has one of them.
    """

    def check() -> None:
        for account_id, lock in zip(sorted(account_ids), locks, strict=True):
            if not lock.is_ours():
                raise _taken(account_id, lock.owner())

    with ExitStack() as stack:
        locks = [stack.enter_context(closing(lock_of(database, account_id))) for account_id in sorted(account_ids)]
        for account_id, lock in zip(sorted(account_ids), locks, strict=True):
            if not lock.take(owner, clock):
                raise _taken(account_id, lock.owner())
        yield check


def _row_of(db: Connection, account_id: str, *, lock: bool = False) -> Any:
    query = sa.select(table).where(table.c.account_id == account_id)
    return db.execute(query.with_for_update() if lock else query).one_or_none()


def _is_silent(database: Database, account_id: str, clock: Clock) -> bool:
    """Whether the one who took the account last has let its time run out without giving it back."""
    with database.read() as db:
        row = _row_of(db, account_id)
        return row is not None and not row.released and _is_over(db, row, database, clock)


def _is_over(db: Connection, row: Any, database: Database, clock: Clock) -> bool:
    if database.path is not None and row.until_s is not None:
        return bool(clock.monotonic() >= row.until_s)
    return bool(db.execute(sa.select(_clock_of(_NOW, db.dialect.name))).scalar_one() >= row.until)


def _refuse_alive(db: Connection, database: Database, account_id: str, clock: Clock) -> None:
    """Once more, with the row locked: its owner may have spoken in between, or another may have been quicker."""
    row = _row_of(db, account_id, lock=True)
    if row is not None and not row.released and not _is_over(db, row, database, clock):
        raise _taken(account_id, row.owner)


def _is_anybodys(db: Connection, account_id: str) -> bool:
    """Whether the row still names the owner that was silent; given back, it says nothing of who has the lock."""
    row = _row_of(db, account_id)
    return row is not None and not row.released


def _take_row(db: Connection, account_id: str, session_id: str, owner: str, wall: datetime, now_s: float) -> int:
    """Write the row with a token one above the last, in one statement: two that come at once get two tokens."""
    dialect = db.dialect.name
    values = {
        "session_id": session_id, "owner": owner, "acquired_at": wall, "until": _clock_of(_UNTIL, dialect),
        "until_s": now_s + _TTL_S, "released": False,
    }  # fmt: skip
    query = (
        statements.insert_of(dialect)(table)
        .values(account_id=account_id, token=1, **values)
        .on_conflict_do_update(index_elements=[table.c.account_id], set_={"token": table.c.token + 1, **values})
    )
    return int(db.execute(query.returning(table.c.token)).scalar_one())


def _owner_of(database: Database, account_id: str) -> str:
    with database.read() as db:
        return db.execute(sa.select(table.c.owner).where(table.c.account_id == account_id)).scalar() or "nobody"


def _replaced(owner: str) -> SessionLeased:
    return SessionLeased(
        f"this runner was replaced: the account is now held by {owner}",
        hint="nothing was lost: that one goes on from what is stored; this one has written and sent nothing since",
    )


def _taken(account_id: str, owner: str) -> SessionLeased:
    hint = "stop that one first, or wait until it ends"
    return SessionLeased(f"account {account_id} is traded by {owner or 'another runner'}", hint=hint)


def _stuck(account_id: str, owner: str) -> SessionLeased:
    return SessionLeased(
        f"account {account_id} is held by a runner that is stuck inside a write: database is locked by {owner}",
        hint="let it go on (kill -CONT) or end it (kill -9); what it has stored is safe",
    )
