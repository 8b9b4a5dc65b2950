"""Looking at a database without changing it: what it is, whether it is whole, who holds what.

SQLite is opened read-only. With a write-ahead log beside it (a runner is at work, or was killed) the log is read too,
and SQLite needs the -shm file for that: it makes it again if somebody took it away. Without a log the file alone is
the whole database; it is read as immutable, since SQLite would otherwise leave an empty log and a -shm file behind.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from gambler_ai.errors import CheckpointCorrupt, StorageError
from gambler_ai.storage import archive, journal
from gambler_ai.storage import tables as t
from gambler_ai.storage.database import PRAGMAS, Database, on_begin, on_connect, parsed, sqlite_path
from gambler_ai.storage.sessions import SessionInfo

#: Where the header of an SQLite file names its journal, and what stands there for write-ahead logging.
_WAL_AT, _WAL = slice(18, 20), b"\x02\x02"
#: Complaints of an integrity check that are shown.
COMPLAINTS_MAX = 3


class ReadOnly(Database):
    """A database that is there, looked at.

    Raises:
        ConfigError: that is no database's URL.
        StorageError: it is not there, is a link, or was left in the middle of a write that only a writer rolls back.
    """

    @property
    def has_log(self) -> bool:
        """Whether a write-ahead log lies beside it."""
        return self.path is not None and _beside(self.path, "-wal").exists()

    @property
    def was_overtaken(self) -> bool:
        """Whether it was read as immutable, and somebody has begun to write: what was read may be wrong."""
        return self._immutable and self.has_log

    def _prepare(self, path: Path) -> None:
        if path.is_symlink():
            raise StorageError(f"{path} is a symbolic link", hint="name the file itself")
        if not path.is_file():
            raise StorageError(f"there is no database {path}")
        hot = _beside(path, "-journal")
        if hot.exists() and hot.stat().st_size:  # it lies there until the log is switched on, so in the first second
            raise StorageError(
                f"a write to {path} was cut short, and nothing reads it until that is rolled back",
                hint="gambler-ai db upgrade does that, and so does the next session",
            )

    @contextmanager
    def _untouched(self) -> Iterator[Engine]:
        yield self._reader  # as all of it is

    def _engine(self) -> Engine:
        path, self._immutable = self.path, False
        if path is None:
            return super()._engine()
        self._immutable = not self.has_log
        how = "mode=ro&immutable=1" if self._immutable else "mode=ro"
        name = f"file:{quote(str(path.absolute()))}?{how}"
        engine = sa.create_engine(self.url, hide_parameters=True, creator=lambda: sqlite3.connect(name, uri=True))
        event.listen(engine, "connect", on_connect)
        event.listen(engine, "begin", on_begin)
        return engine


class Server(Struct, frozen=True):
    """What runs the database, and the settings on which the safety of a commit rests: name -> (found, wanted)."""

    name: str
    settings: dict[str, tuple[str, str]]


class Holder(Struct, frozen=True):
    """Who took an account last, for which session, when (wall time)."""

    account_id: str
    session_id: str
    owner: str
    since: datetime
    released: bool


def file_of(url: str) -> Path | None:
    """Where a database is, if it is a file; nothing is opened.

    Raises:
        ConfigError: it has no database's URL.
    """
    return sqlite_path(parsed(url))


def name_of(url: str) -> str:
    """What a server calls the database.

    Raises:
        ConfigError: it has no database's URL.
    """
    return parsed(url).database or ""


def server(database: Database) -> Server:
    """The database's own word on what it is."""
    with database.read() as db:
        if database.path is not None:
            return _sqlite(db, database.path)
        if database.engine.dialect.name == "sqlite":
            return Server("SQLite in memory", {})
        version = str(db.execute(sa.text("SHOW server_version")).scalar())
        names = ("fsync", "synchronous_commit", "full_page_writes")
        found = {name: str(db.execute(sa.text(f"SHOW {name}")).scalar()) for name in names}
    return Server(f"PostgreSQL {version}", {name: (value, "on") for name, value in found.items()})


def _sqlite(db: Connection, path: Path) -> Server:
    with path.open("rb") as file:
        mode = "wal" if file.read(100)[_WAL_AT] == _WAL else "delete"  # immutable reading would say delete always
    found: dict[str, Any] = {n: db.execute(sa.text(f"PRAGMA {n}")).scalar() for n in PRAGMAS}
    found["journal_mode"] = mode
    settings = {n: (str(found[n]), str(PRAGMAS[n])) for n in ("journal_mode", "synchronous", "foreign_keys")}
    return Server(f"SQLite {sqlite3.sqlite_version}", settings)


def damage(database: Database) -> list[str]:
    """What SQLite's own quick check complains about; nothing for other databases, which check themselves."""
    if database.path is None:
        return []
    with database.read() as db:
        rows = db.execute(sa.text(f"PRAGMA quick_check({COMPLAINTS_MAX})")).scalars().all()
    return [] if list(rows) == ["ok"] else [str(row).replace("\n", " ") for row in rows]


def check_chain(db: Connection, info: SessionInfo) -> None:
    """Read the journal of a session from its first row to its last, and all that was rolled up of it.

    Raises:
        CheckpointCorrupt: a row does not verify, or the last one is not the one the session names.
    """
    archive.check(db, info.id)
    seq, head = 0, journal.GENESIS
    for _fact, row_hash in journal.read(db, info.id, seq, head):
        seq, head = seq + 1, row_hash
    if (seq, head) != (info.seq, info.journal_hash):
        raise CheckpointCorrupt(f"the journal of session {info.id} ends at row {seq}, its session at row {info.seq}")


def holders(db: Connection) -> list[Holder]:
    """Who took each account last, newest first."""
    rows = db.execute(sa.select(t.lease).order_by(t.lease.c.acquired_at.desc())).mappings()
    return [
        Holder(r["account_id"], r["session_id"], r["owner"], r["acquired_at"], bool(r["released"])) for r in rows
    ]  # fmt: skip


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
