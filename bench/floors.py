"""The floors: the least that a durable write can cost on this disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.timing import Step


@contextmanager
def tiny_commit(path: Path) -> Iterator[Step]:
    """One small row overwritten and committed through raw sqlite3: WAL, synchronous=FULL."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        for pragma in ("journal_mode=wal", "synchronous=full", "fullfsync=1"):
            db.execute(f"PRAGMA {pragma}")
        db.execute("CREATE TABLE tiny (id INTEGER PRIMARY KEY, value TEXT)")
        db.execute("INSERT INTO tiny VALUES (1, '')")
        count = 0

        def commit() -> None:
            nonlocal count
            count += 1
            db.execute("BEGIN IMMEDIATE")
            db.execute("UPDATE tiny SET value = ? WHERE id = 1", (f"value {count}",))
            db.execute("COMMIT")

        yield commit
    finally:
        db.close()
