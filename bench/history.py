"""A session with a long past: what 100,000 round trips leave behind, put into the file in bulk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import msgspec

from bench import books
from gambler_ai.core import events as ev
from gambler_ai.storage import checkpoints, journal, sessions
from gambler_ai.storage.database import Database
from gambler_ai.trading.recovery import restore

POSITIONS = 3
TRADES = 100_000
CHECKPOINTS = 1_000
JOURNAL_ROWS = 1_000_000
SAID = f"{TRADES:,} closed trades, {CHECKPOINTS:,} checkpoints, {JOURNAL_ROWS:,} journal rows"


def database(folder: Path) -> Path:
    """The file of a session with this past; built on first use, the same for all rows of a run."""
    path = folder / "history.sqlite3"
    if not path.exists():
        part = folder / "part.sqlite3"
        books.create(books.sqlite_url(part), POSITIONS, broker="alpaca")
        _grow(part)
        for name in ("", "-wal"):
            if (left := part.with_name(part.name + name)).exists():
                left.rename(path.with_name(path.name + name))
    return path


def _grow(path: Path) -> None:
    """Rows in bulk, then the newest checkpoint the way the program writes it."""
    mine = Database(books.sqlite_url(path))
    with mine.read() as read:
        info = sessions.find(read, books.SESSION)
    state = restore(mine, info).state
    mine.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.execute("PRAGMA journal_mode=off")
        db.execute("PRAGMA synchronous=off")
        db.execute("PRAGMA cache_size=-200000")
        db.execute("BEGIN")
        head = _journal(db, info.seq, info.journal_hash)
        _round_trips(db)
        _old_checkpoints(db)
        db.execute("COMMIT")
        db.execute("PRAGMA journal_mode=wal")
    state.seq, state.closed_trades = info.seq + JOURNAL_ROWS, TRADES
    with mine.write() as write:
        wall = datetime.fromisoformat("2026-01-02T00:00:00+00:00")
        checkpoints.create(write, state, CHECKPOINTS, head, wall, token=1)
        sessions.update(write, state, head=head, checkpoints=CHECKPOINTS, wall=wall)
    mine.close()


def _journal(db: sqlite3.Connection, seq: int, head: str) -> str:
    """Readings of the broker, chained as the program chains them."""
    symbols = [books.name_of(number) for number in range(POSITIONS)]
    fact = ev.Marked(books.AT, dict.fromkeys(symbols, books.PRICE), dict.fromkeys(symbols, books.AT))
    payload = msgspec.json.Encoder(order="deterministic", decimal_format="string").encode(fact).decode()
    at = books.AT.isoformat(timespec="microseconds")

    def rows() -> Iterator[tuple[str, int, str, str, str, str, int]]:
        nonlocal head
        for number in range(seq + 1, seq + JOURNAL_ROWS + 1):
            head = journal.chained(head, number, payload)
            yield books.SESSION, number, at, "Marked", payload, head, 1

    db.executemany(
        "INSERT INTO journal (session_id, seq, at, kind, payload, hash, token) VALUES (?,?,?,?,?,?,?)", rows()
    )
    return head


def _round_trips(db: sqlite3.Connection) -> None:
    """Closed trades, each with its intent, its order and its fill, copied from the ones of the first position."""
    first = {
        table: db.execute(f"SELECT * FROM {table} ORDER BY rowid LIMIT 1") for table in ("intents", "orders", "fills")
    }
    for table, found in first.items():
        names = [column[0] for column in found.description]
        pattern = dict(zip(names, found.fetchone(), strict=True))
        marks = ",".join("?" * len(names))
        db.executemany(f"INSERT INTO {table} VALUES ({marks})", _copies(pattern))
    at = books.AT.isoformat(timespec="microseconds")
    trade = ("position", "S00000", "long", "100", "100.25", at, "101.25", at, "100.00", "target", "momentum", "0.01")
    rows = ((books.SESSION, number, *trade) for number in range(1, TRADES + 1))
    db.executemany(f"INSERT INTO closed_trades VALUES ({','.join('?' * 14)})", rows)


def _copies(pattern: dict[str, object]) -> Iterator[tuple[object, ...]]:
    """The row so many times, its keys made new; filled intents, which block nothing."""
    keys = {"client_order_id", "order_id", "activity_id", "decision_id", "intent_id"} & pattern.keys()
    for number in range(TRADES):
        changed = dict.fromkeys(keys, f"old-{number:06d}") | ({"status": "filled"} if "status" in pattern else {})
        yield tuple((pattern | changed).values())


def _old_checkpoints(db: sqlite3.Connection) -> None:
    """The first checkpoint again and again; each of them verifies."""
    found = db.execute("SELECT * FROM checkpoints WHERE number = 1")
    names = [column[0] for column in found.description]
    pattern = dict(zip(names, found.fetchone(), strict=True))
    rows = (tuple((pattern | {"number": number}).values()) for number in range(2, CHECKPOINTS))
    db.executemany(f"INSERT INTO checkpoints VALUES ({','.join('?' * len(names))})", rows)
