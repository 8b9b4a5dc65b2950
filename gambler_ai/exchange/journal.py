"""The exchange's memory: one SQLite file that outlives the runner's crash. A commit holds what changed, no
more.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from gambler_ai.exchange.annals import Activity, Annals, Done, Watchlist
from gambler_ai.exchange.desk.accounts import Account, Position
from gambler_ai.exchange.desk.book import Book
from gambler_ai.exchange.desk.orders import Fill, Order
from gambler_ai.exchange.refusal import ExchangeFileError, ExchangeInUse

SCHEMA_VERSION = "3"
#: 1 had no deeds and no activities, 2 no settings and no watchlists. One becomes ours at its first commit.
OLDER_VERSIONS = ("1", "2")
_FIRST_SEEN = "faults:"  # meta rows: when a standing plan of faults was first seen
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS orders (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,"
    " client_order_id TEXT NOT NULL UNIQUE, status TEXT NOT NULL, body BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS fills (seq INTEGER PRIMARY KEY, order_id TEXT NOT NULL, body BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS positions (symbol TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID",
    # Every order POST that ever arrived, answered or not: what a test audits a runner with.
    "CREATE TABLE IF NOT EXISTS log (seq INTEGER PRIMARY KEY, at TEXT NOT NULL, client_order_id TEXT,"
    " symbol TEXT, status INTEGER NOT NULL, outcome TEXT NOT NULL, order_id TEXT)",
    "CREATE TABLE IF NOT EXISTS deeds (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, body BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS activities (seq INTEGER PRIMARY KEY, body BLOB NOT NULL)",
    # In the order of their making: an upsert keeps the row id.
    "CREATE TABLE IF NOT EXISTS watchlists (id TEXT NOT NULL UNIQUE, body BLOB NOT NULL)",
)
#: What a file of ours is made of.
TABLES = frozenset(statement.removeprefix("CREATE TABLE IF NOT EXISTS ").split(maxsplit=1)[0] for statement in _SCHEMA)
_PRAGMAS = {"journal_mode": "WAL", "synchronous": "FULL", "fullfsync": "1", "busy_timeout": "5000"}
#: SQLite takes a file of a few bytes for a new one, and writes over what a torn one was.
SQLITE_BYTES_MIN = 512
LOG_COLUMNS = ("seq", "at", "client_order_id", "symbol", "status", "outcome", "order_id")


def _lock(path: Path) -> BinaryIO:
    """One server a file: the kernel frees the lock when a process dies, however it dies."""
    handle = os.fdopen(_opened(Path(f"{path}.lock")), "r+b")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        hint = "stop the other runner or `exchange serve`, or give this one another file"
        raise ExchangeInUse(f"another process serves the exchange file {path}", hint=hint) from None
    return handle


def _opened(path: Path) -> int:
    """A file of ours, and not what a link or a pipe of that name leads to."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        what = "is a symbolic link" if error.errno == errno.ELOOP else f"cannot be opened: {error.strerror}"
        raise ExchangeFileError(f"{path} {what}") from None


def _no_database(descriptor: int) -> str:
    """Why SQLite must not have this file, "" when it may: a new one is empty."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        return "it is no file"
    if found.st_size and (found.st_size < SQLITE_BYTES_MIN or os.pread(descriptor, 16, 0) != b"SQLite format 3\0"):
        return "it is no SQLite database"
    return ""


class Journal:
    """Raises ExchangeInUse and ExchangeFileError when it cannot be opened."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._guard: BinaryIO | None = None
        if path is not None:
            if not path.parent.is_dir():
                raise ExchangeFileError(f"no directory {path.parent} for the exchange file")
            self._guard = _lock(path)
            # Made before SQLite sees it: -wal and -shm take their mode from it, and it holds the API secret.
            descriptor = _opened(path)
            wrong = _no_database(descriptor)
            if not wrong:
                os.fchmod(descriptor, 0o600)
            os.close(descriptor)
            if wrong:
                self.close_guard()
                raise ExchangeFileError(f"{path} is not a usable exchange file: {wrong}")
        # One lock in Exchange lets one thread in at a time, so the connection may change threads.
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        try:
            for name, value in _PRAGMAS.items():
                self._db.execute(f"PRAGMA {name}={value}")
            for statement in _SCHEMA:
                self._db.execute(statement)
            version = self.meta().get("schema", SCHEMA_VERSION)
        except sqlite3.DatabaseError as error:
            self.close()
            raise ExchangeFileError(f"{path} is not a usable exchange file: {error}") from error
        if version not in (SCHEMA_VERSION, *OLDER_VERSIONS):
            self.close()
            raise ExchangeFileError(f"{path} has schema {version!r:.40}, this program writes {SCHEMA_VERSION}")

    def close_guard(self) -> None:
        """Let another process have the file."""
        if self._guard is not None:
            self._guard.close()
            self._guard = None

    def meta(self) -> dict[str, str]:
        return dict(self._db.execute("SELECT name, value FROM meta"))

    def keep_secret(self, secret: str) -> None:
        """Write the secret of an account that came without one."""
        self._db.execute("UPDATE meta SET value=? WHERE name='secret_key'", (secret,))

    def load(self, book: Book) -> None:
        decode = msgspec.json.decode
        book.load(
            [decode(row[0], type=Order) for row in self._db.execute("SELECT body FROM orders ORDER BY seq")],
            [decode(row[0], type=Fill) for row in self._db.execute("SELECT body FROM fills ORDER BY seq")],
            [decode(row[0], type=Position) for row in self._db.execute("SELECT body FROM positions ORDER BY symbol")],
        )

    def load_annals(self, meta: Mapping[str, str]) -> Annals:
        decode = msgspec.json.decode
        return Annals(
            [decode(row[0], type=Done) for row in self._db.execute("SELECT body FROM deeds ORDER BY seq")],
            [decode(row[0], type=Activity) for row in self._db.execute("SELECT body FROM activities ORDER BY seq")],
            {name.removeprefix(_FIRST_SEEN): us for name, us in meta.items() if name.startswith(_FIRST_SEEN)},
            {row.id: row for row in self._load_watchlists()},
        )

    def _load_watchlists(self) -> list[Watchlist]:
        rows = self._db.execute("SELECT body FROM watchlists ORDER BY rowid")
        return [msgspec.json.decode(row[0], type=Watchlist) for row in rows]

    @staticmethod
    def load_account(text: str) -> Account:
        return msgspec.json.decode(text, type=Account)

    def commit(
        self, book: Book, meta: Mapping[str, str], log: Mapping[str, Any] | None = None, annals: Annals | None = None,
        *, anew: bool = False,
    ) -> None:  # fmt: skip
        """One durable transaction: the changed rows, the instant, and the log row of a POST.

        ``anew``: the book is another account's, and the old one's rows go.
        """
        encode = msgspec.json.encode
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            for table in ("orders", "fills", "positions") if anew else ():
                db.execute(f"DELETE FROM {table}")  # noqa: S608 - the names are those above
            db.executemany(
                "INSERT INTO orders VALUES (?,?,?,?,?) ON CONFLICT(seq)"
                " DO UPDATE SET status=excluded.status, body=excluded.body",
                [(o.seq, o.id, o.client_order_id, o.status, encode(o)) for o in book.changed_orders.values()],
            )
            db.executemany(
                "INSERT INTO fills VALUES (?,?,?)",
                [(fill.seq, fill.order_id, encode(fill)) for fill in book.fills[book.saved_fills :]],
            )
            for symbol in sorted(book.changed_positions):
                position = book.positions.get(symbol)
                if position is None:
                    db.execute("DELETE FROM positions WHERE symbol=?", (symbol,))
                else:
                    db.execute("INSERT OR REPLACE INTO positions VALUES (?,?)", (symbol, encode(position)))
            rows = {"schema": SCHEMA_VERSION} | dict(meta)
            if annals is not None:
                self._write_annals(annals)
                rows |= {_FIRST_SEEN + digest: us for digest, us in annals.first_seen.items()}
            if book.account_changed or "schema" in meta:
                rows["account"] = encode(book.account).decode()
            db.executemany("INSERT OR REPLACE INTO meta VALUES (?,?)", list(rows.items()))
            if log is not None:
                values = [log.get(column) for column in LOG_COLUMNS]
                db.execute("INSERT INTO log VALUES (?,?,?,?,?,?,?)", values)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        book.saved()
        if annals is not None:
            annals.saved()

    def _write_annals(self, annals: Annals) -> None:
        encode = msgspec.json.encode
        deeds, activities = annals.unsaved()
        self._db.executemany("INSERT INTO deeds VALUES (?,?,?)", [(d.seq, d.kind, encode(d)) for d in deeds])
        self._db.executemany("INSERT INTO activities VALUES (?,?)", [(a.seq, encode(a)) for a in activities])
        self._db.executemany(
            "INSERT INTO watchlists VALUES (?,?) ON CONFLICT(id) DO UPDATE SET body=excluded.body",
            [(row.id, encode(row)) for row in annals.changed_watchlists.values()],
        )

    def log(self) -> list[dict[str, Any]]:
        rows = self._db.execute("SELECT * FROM log ORDER BY seq")
        return [dict(zip(LOG_COLUMNS, row, strict=True)) for row in rows]

    def close(self) -> None:
        self._db.close()
        self.close_guard()
