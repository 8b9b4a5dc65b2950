"""One runner an account: a lock of the kernel's on this machine, and a row with a token everywhere.

The lock (`flock`, freed by the kernel on any death) tells at once whether an owner on this machine
lives. The token fences: each write transaction begins by renewing the row under its own token, and an
owner that has been replaced finds no row and stops (RECOVERY_PROTOCOL 2.2).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
from collections.abc import Collection
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gambler_ai.clock import Clock
from gambler_ai.errors import SessionLeased
from gambler_ai.storage.database import Database, upsert
from gambler_ai.storage.tables import lease as table

#: Wall time an owner on another machine may be silent; longer than our longest blocking call.
LEASE_TTL = timedelta(seconds=60)


#: Tries to take the machine's lock, and wall seconds between them.
TAKE_TRIES = 10
TAKE_PAUSE_S = 0.05


class Lease:
    """The right to trade one account and to write its sessions, for as long as this process lives."""

    def __init__(self, account_id: str, token: int, lock: _HostLock, clock: Clock) -> None:
        self.account_id = account_id
        self.token = token
        self._lock = lock
        self._clock = clock

    def renew(self, db: Connection) -> None:
        """Say that we are still here, and learn whether we still own it; first thing in a transaction.

        Raises:
            SessionLeased: another runner has taken the account over.
        """
        row = db.execute(
            table.update()
            .where(table.c.account_id == self.account_id, table.c.token == self.token)
            .values(until=self._clock.now() + LEASE_TTL)
        )
        if row.rowcount != 1:
            owner = db.execute(sa.select(table.c.owner).where(table.c.account_id == self.account_id)).scalar()
            raise SessionLeased(f"this runner was replaced: the account is now held by {owner or 'nobody'}")

    def release(self, db: Connection) -> None:
        """Give the account back."""
        db.execute(
            table.update()
            .where(table.c.account_id == self.account_id, table.c.token == self.token)
            .values(released=True)
        )

    def close(self) -> None:
        """Free the machine's lock; after the transaction that released the row."""
        self._lock.close()


def signature(wall: datetime, what: str = "") -> str:
    """How this process signs a lease: what it is, where it runs, since when."""
    return f"{what}pid {os.getpid()} on {socket.gethostname()} since {wall:%F %T} UTC"


def acquire(database: Database, account_id: str, session_id: str, owner: str, clock: Clock) -> Lease:
    """Take the account, with a token one above the last.

    Raises:
        SessionLeased: somebody alive holds it; the message names them.
    """
    lock = _HostLock(database.path, account_id)
    tries = 1
    while not (taken := lock.take()) and tries < TAKE_TRIES:  # somebody who only looks holds it for a moment
        clock.sleep(TAKE_PAUSE_S)
        tries += 1
    if not taken:
        raise SessionLeased(
            f"account {account_id} is traded by {lock.owner() or 'another runner'}",
            hint="stop that one first, or wait until it ends",
        )
    try:
        lock.sign(owner)
        with database.write() as db:
            token = _take_row(db, account_id, session_id, owner, clock, alone=lock.decides)
    except BaseException:
        lock.close()
        raise
    return Lease(account_id, token, lock, clock)


def is_held(database: Database, account_id: str) -> bool:
    """Whether somebody alive holds the account now."""
    lock = _HostLock(database.path, account_id)
    if lock.decides:
        taken = lock.take(fcntl.LOCK_SH)  # two that only look do not take each other for an owner
        lock.close()
        return not taken
    with database.read() as db:
        row = db.execute(sa.select(table).where(table.c.account_id == account_id)).one_or_none()
        return row is not None and not row.released and row.until > _database_now(db)


def running(database: Database, session_ids: Collection[str]) -> list[str]:
    """Which of these sessions somebody alive runs now."""
    with database.read() as db:
        where = (table.c.session_id.in_(session_ids), table.c.released.is_(False))
        rows = db.execute(sa.select(table.c.account_id, table.c.session_id).where(*where)).all()
    return [row.session_id for row in rows if is_held(database, row.account_id)]


def _take_row(db: Connection, account_id: str, session_id: str, owner: str, clock: Clock, *, alone: bool) -> int:
    row = db.execute(sa.select(table).where(table.c.account_id == account_id)).one_or_none()
    if row is not None and not alone and not row.released and row.until > _database_now(db):
        raise SessionLeased(f"account {account_id} is traded by {row.owner}", hint="stop that one first")
    token = row.token + 1 if row is not None else 1
    now = clock.now()
    upsert(db, table, [{
        "account_id": account_id, "token": token, "session_id": session_id, "owner": owner,
        "acquired_at": now, "until": now + LEASE_TTL, "released": False,
    }])  # fmt: skip
    return int(token)


def _database_now(db: Connection) -> object:
    """The database's own clock: two machines may disagree about theirs."""
    return db.execute(sa.select(sa.func.now(type_=table.c.until.type))).scalar()


class _HostLock:
    """`flock` on a file beside the SQLite database; without such a file it locks nothing."""

    def __init__(self, path: Path | None, account_id: str) -> None:
        name = hashlib.sha256(account_id.encode()).hexdigest()[:12]
        self._path = path.with_name(f"{path.name}.{name}.lock") if path else None
        self._descriptor: int | None = None

    @property
    def decides(self) -> bool:
        """Whether holding the lock proves that no other owner lives (a file is local to one machine)."""
        return self._path is not None

    def take(self, how: int = fcntl.LOCK_EX) -> bool:
        """True when it is ours now."""
        if self._path is None:
            return True
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def sign(self, owner: str) -> None:
        """Write who holds it into the file: the row that says so as well comes a moment later."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, owner.encode(), 0)

    def owner(self) -> str:
        """Who signed it last."""
        return self._path.read_text("utf-8", "replace") if self._path is not None else ""

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
