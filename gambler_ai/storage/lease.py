"""One runner an account: a lock that dies with its owner, and a row with a token.

The lock (`locks.py`) tells at once whether an owner lives. The token fences: each write transaction
begins by renewing the row under its own token, and an owner that has been replaced finds no row and
stops (RECOVERY_PROTOCOL 2.2). On Postgres that UPDATE also makes two writers wait for each other.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Collection
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gambler_ai import crashpoints
from gambler_ai.clock import Clock
from gambler_ai.errors import SessionLeased
from gambler_ai.storage import statements
from gambler_ai.storage.database import Database
from gambler_ai.storage.locks import Lock, lock_of
from gambler_ai.storage.tables import lease as table

#: Wall time an owner may be silent where no lock can tell; longer than our longest blocking call.
LEASE_TTL = timedelta(seconds=60)


_RENEW = statements.update(table, ["until"], {"account_id": "account", "token": "own"})


class Lease:
    """The right to trade one account and to write its sessions, for as long as this process lives."""

    def __init__(self, account_id: str, token: int, lock: Lock, clock: Clock) -> None:
        self.account_id = account_id
        self.token = token
        self._lock = lock
        self._clock = clock

    def renew(self, db: Connection) -> None:
        """Say that we are still here, and learn whether we still own it; first thing in a transaction.

        Raises:
            SessionLeased: another runner has taken the account over.
        """
        if not self._lock.keep():
            raise SessionLeased(
                f"this runner lost its lock, and account {self.account_id} is now held by"
                f" {self._lock.owner() or 'another runner'}"
            )
        until = self._clock.now() + LEASE_TTL
        if _RENEW.run(db, {"until": until, "account": self.account_id, "own": self.token}) != 1:
            owner = db.execute(sa.select(table.c.owner).where(table.c.account_id == self.account_id)).scalar()
            raise SessionLeased(f"this runner was replaced: the account is now held by {owner or 'nobody'}")
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
    """Take the account, with a token one above the last.

    Raises:
        SessionLeased: somebody alive holds it; the message names them.
    """
    crashpoints.hit("lease.before")
    lock = lock_of(database, account_id)
    if not lock.take(owner, clock):
        raise SessionLeased(
            f"account {account_id} is traded by {lock.owner() or 'another runner'}",
            hint="stop that one first, or wait until it ends",
        )
    crashpoints.hit("lease.locked")
    try:
        with database.write() as db:
            token = _take_row(db, account_id, session_id, owner, clock, alone=lock.decides)
    except BaseException:
        lock.close()
        raise
    crashpoints.hit("lease.after")
    return Lease(account_id, token, lock, clock)


def is_held(database: Database, account_id: str) -> bool:
    """Whether somebody alive holds the account now."""
    lock = lock_of(database, account_id)
    if lock.decides:
        return lock.is_taken()
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
    """Write the row with a token one above the last, in one statement: two that come at once get two tokens."""
    if not alone:
        row = db.execute(sa.select(table).where(table.c.account_id == account_id)).one_or_none()
        if row is not None and not row.released and row.until > _database_now(db):
            raise SessionLeased(f"account {account_id} is traded by {row.owner}", hint="stop that one first")
    now = clock.now()
    values = {
        "session_id": session_id, "owner": owner, "acquired_at": now, "until": now + LEASE_TTL, "released": False,
    }  # fmt: skip
    query = (
        statements.insert_of(db.dialect.name)(table)
        .values(account_id=account_id, token=1, **values)
        .on_conflict_do_update(index_elements=[table.c.account_id], set_={"token": table.c.token + 1, **values})
    )
    return int(db.execute(query.returning(table.c.token)).scalar_one())


def _database_now(db: Connection) -> object:
    """The database's own clock: two machines may disagree about theirs."""
    return db.execute(sa.select(sa.func.now(type_=table.c.until.type))).scalar()
