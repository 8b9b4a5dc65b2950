"""Locks that die with their owner: the kernel's on a file beside SQLite, the server's on a connection to Postgres.

Either one tells at once whether an owner lives. Process ids are shown and never trusted: containers share them.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import hashlib
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from gambler_ai.clock import Clock
from gambler_ai.errors import SessionLeased, StorageError
from gambler_ai.storage.explain import explained
from gambler_ai.storage.postgres import has_word

if TYPE_CHECKING:
    from gambler_ai.storage.database import Database


#: Tries to take a file's lock, and wall seconds between them.
TAKE_TRIES = 10
TAKE_PAUSE_S = 0.05
#: More than any name of an owner.
_OWNER_BYTES = 4_096


class Lock(Protocol):
    """One account's lock. ``decides``: whether holding it proves that no other owner lives."""

    @property
    def decides(self) -> bool: ...

    def take(self, owner: str, clock: Clock) -> bool:
        """True when it is ours now, under the name ``owner``. It waits for half a second.

        Raises:
            StorageError: on this way to the database it would hold nothing.
        """
        ...

    def seize(self, owner: str) -> bool:
        """Take it from an owner that is silent; true when it is ours now.

        Only inside a transaction that holds the lease's row, after a look at how long that owner has been silent.
        """
        ...

    def is_ours(self) -> bool:
        """Whether nobody has taken it from us, as far as can be told without a question."""
        ...

    def keep(self) -> bool:
        """Whether it is still ours; one that was lost without anybody's doing is taken again."""
        ...

    def is_taken(self) -> bool:
        """Whether somebody has it now. Writes nothing."""
        ...

    def owner(self) -> str:
        """Who has it, as far as can be told."""
        ...

    def close(self) -> None: ...


def lock_of(database: Database, account_id: str) -> Lock:
    """The lock of ``account_id`` that goes with this kind of database."""
    if database.engine.dialect.name == "postgresql":
        return ServerLock(database, account_id)
    return HostLock(database.path, account_id)


class HostLock:
    """`flock` on a file beside the SQLite database; without such a file it locks nothing."""

    def __init__(self, path: Path | None, account_id: str) -> None:
        name = hashlib.sha256(account_id.encode()).hexdigest()[:12]
        self._path = path.with_name(f"{path.name}.{name}.lock") if path else None
        self._descriptor: int | None = None

    @property
    def decides(self) -> bool:
        return self._path is not None

    def take(self, owner: str, clock: Clock) -> bool:
        if self._path is None:
            return True
        tries = 1
        while not self._flock():  # somebody who only looks holds it for a moment
            if tries == TAKE_TRIES:
                return False
            clock.sleep(TAKE_PAUSE_S)
            tries += 1
        assert self._descriptor is not None
        # The row that names the owner comes a moment later: until then the file does.
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, owner.encode(), 0)
        return True

    def seize(self, owner: str) -> bool:
        """By a file of the same name: the silent owner keeps its lock on one that has no name any more."""
        assert self._path is not None
        new = self._path.with_name(f"{self._path.name}.new")
        new.unlink(missing_ok=True)  # of a kill; we are alone in here
        descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.pwrite(descriptor, owner.encode(), 0)
        new.rename(self._path)
        self._descriptor = descriptor
        return True

    def is_ours(self) -> bool:
        return self._path is None or (self._descriptor is not None and _is_named(self._descriptor, self._path))

    def keep(self) -> bool:
        if self.is_ours():
            return True
        assert self._path is not None
        if self._descriptor is None or self._path.exists():
            return False  # the file there is another's
        before = self._descriptor
        if not self._flock():
            return False
        assert self._descriptor is not None
        os.pwrite(self._descriptor, os.pread(before, _OWNER_BYTES, 0), 0)
        os.close(before)
        return True

    def is_taken(self) -> bool:
        assert self._path is not None
        return _is_locked(self._path)

    def owner(self) -> str:
        return _owner_in(self._path) if self._path is not None else ""

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _flock(self) -> bool:
        assert self._path is not None
        descriptor = _opened(self._path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        if not _is_named(descriptor, self._path):  # it was replaced in between
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True


def _opened(path: Path, flags: int) -> int:
    """The lock itself and not what a link of that name points to: it is emptied and written.

    Raises:
        FileNotFoundError: it is not there.
        StorageError: it cannot be opened.
    """
    try:
        return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except FileNotFoundError:
        raise
    except OSError as error:
        what = "is a symbolic link" if error.errno == errno.ELOOP else f"cannot be opened: {error.strerror}"
        raise StorageError(f"lock {path} {what}", hint="see who put it there, and take it away") from error


def owners_beside(database: Path) -> list[str]:
    """Which others hold an account of the SQLite file ``database`` now, whichever account it is."""
    found = [path for path in database.parent.glob(f"{glob.escape(database.name)}.*.lock") if _is_locked(path)]
    ourselves = f"pid {os.getpid()} "
    return sorted(owner for owner in map(_owner_in, found) if owner and ourselves not in owner)


@contextmanager
def locked_file(path: Path, what: str) -> Iterator[None]:
    """Hold the lock that whoever serves a file of ours has on ``path``.

    Raises:
        SessionLeased: somebody has it.
    """
    descriptor = _opened(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise SessionLeased(f"{what} is in use by another process", hint="stop that one first") from None
    try:
        yield
    finally:
        os.close(descriptor)


def _is_named(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        there = path.stat()
    except OSError:
        return False
    here = os.fstat(descriptor)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _is_locked(path: Path) -> bool:
    try:
        descriptor = _opened(path, os.O_RDONLY)
    except FileNotFoundError:  # nobody ever had it
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _owner_in(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


#: What is locked, out of all that a database's programs may lock by number.
_NAMESPACE = "gambler_ai account "
#: `application_name` holds 63 bytes.
_NAME_BYTES = 63
#: The server's code for a lock that was not to be had in time.
LOCK_TIMEOUT = "55P03"

_SETTINGS = sa.text("SELECT set_config('application_name', :name, false), set_config('lock_timeout', '500ms', false)")
_PID = sa.text("SELECT pg_backend_pid()")
#: True as long as the lock with the two halves of that number is held by that process of the server.
_PROOF = """EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND classid::bigint = {high:d} AND objid::bigint = {low:d} AND pid = {pid:d})"""
_HOLDER = sa.text("""
SELECT activity.application_name, activity.pid FROM pg_locks AS locks JOIN pg_stat_activity AS activity USING (pid)
WHERE locks.locktype = 'advisory' AND locks.granted AND locks.objsubid = 1 AND activity.datname = current_database()
  AND locks.database = activity.datid AND locks.classid::bigint = :high AND locks.objid::bigint = :low
""")


class ServerLock:
    """A session's advisory lock on a connection of its own, which the server frees when that connection ends.

    Who has it is the connection's `application_name`, set before the lock is taken. The connection is idle all its
    life, so anything to read on it means that it has ended: to see that costs no round trip.
    """

    decides = True

    def __init__(self, database: Database, account_id: str) -> None:
        digest = hashlib.sha256(f"{_NAMESPACE}{account_id}".encode()).digest()[:8]
        self._key = int.from_bytes(digest, signed=True)
        self._half_keys = {"high": int.from_bytes(digest[:4]), "low": int.from_bytes(digest[4:])}
        self._database = database
        self._connection: Connection | None = None
        self._owner = ""

    def take(self, owner: str, clock: Clock) -> bool:
        self._owner = owner
        return self._take()

    def seize(self, owner: str) -> bool:
        """By ending the connection that holds it, which its owner notices before it writes or sends."""
        self._owner = owner
        for _name, pid in self._holders():
            with self._database.read() as db:
                db.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        return self._take()

    def is_ours(self) -> bool:
        return self._connection is not None and self._is_alive(self._connection)

    def keep(self) -> bool:
        if self.is_ours():
            return True
        self._let_go()
        return bool(self._owner) and self._take()  # without a name it was given back, or never taken

    def _take(self) -> bool:
        """Wait for it: the server's end of an owner's connection that was lost needs a moment to let go."""
        with explained(self._database.name):
            db = self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            db.detach()
            try:
                name = self._owner.encode()[:_NAME_BYTES].decode("utf-8", "ignore")
                db.execute(_SETTINGS, {"name": name})
                self._refuse_pooler(db)
                db.execute(sa.text("SELECT pg_advisory_lock(:key)"), {"key": self._key})
            except OperationalError as error:
                db.close()
                if getattr(error.orig, "sqlstate", "") != LOCK_TIMEOUT:
                    raise
                return False
            except BaseException:
                db.close()
                raise
        self._connection = db
        return True

    def _refuse_pooler(self, db: Connection) -> None:
        """Two connections are two of the server's, and stay the same ones, unless a pooler deals them out.

        Raises:
            StorageError: they are dealt out anew for each transaction, and a lock with them.
        """
        before = db.execute(_PID).scalar()
        with self._database.engine.begin() as other:
            is_shared = other.execute(_PID).scalar() == before or db.execute(_PID).scalar() != before
        if is_shared:
            raise StorageError(
                f"{self._database.name} is reached through a pooler that shares connections between transactions:"
                " the lock on the account would hold nothing",
                hint="name the server itself in the URL, or set the pooler to session mode",
            )

    def proof(self) -> str:
        """An SQL condition for another connection's transaction: this lock is ours, still."""
        assert self._connection is not None
        with explained(self._database.name):
            return _PROOF.format(**self._half_keys, pid=self._connection.execute(_PID).scalar())

    def is_taken(self) -> bool:
        return bool(self._holders())

    def owner(self) -> str:
        return next((name for name, _pid in self._holders()), "")

    def close(self) -> None:
        self._owner = ""
        self._let_go()

    def _let_go(self) -> None:
        if self._connection is not None:
            with suppress(SQLAlchemyError), closing(self._connection) as db:
                # Said, and not left to the server: it notices the end of a connection a moment late.
                db.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": self._key})
            self._connection = None

    def _holders(self) -> list[tuple[str, int]]:
        """Who has it, and the server's process for them: one or none."""
        with self._database.read() as db:
            return [(str(row[0]), int(row[1])) for row in db.execute(_HOLDER, self._half_keys)]

    @staticmethod
    def _is_alive(db: Connection) -> bool:
        try:
            raw: Any = db.connection.dbapi_connection
            if raw.closed:
                return False
            if has_word(raw):
                db.execute(sa.text("SELECT 1"))  # it may be a mere notice
        except SQLAlchemyError:
            return False
        return not db.invalidated
