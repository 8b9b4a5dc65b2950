"""A driver's connection that fails as it is told to."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from gambler_ai.simulation.disk import MESSAGES, Disk, DiskFault
from gambler_ai.simulation.endings import Crash


def _factory(disk: Disk) -> Any:
    """As `sqlite3.connect` takes it: it need be no class, whatever its type says."""
    return disk.connect


def count_after(disk: Disk, path: Path) -> tuple[int, str]:
    """Rows that are there after one was written with this disk, and what its commit said."""
    said, factory = "", _factory(disk)
    with closing(sqlite3.connect(path, factory=factory, isolation_level=None)) as db:
        db.execute("CREATE TABLE IF NOT EXISTS t (x)")
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO t VALUES (1)")
        try:
            db.commit()
        except sqlite3.OperationalError as error:
            said = str(error)
            with suppress(sqlite3.OperationalError):
                db.rollback()
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT count(*) FROM t").fetchone()[0]), said


@pytest.mark.parametrize(("kind", "rows"), [("locked", 0), ("full", 0), ("io", 0), ("durable", 1)])
def test_a_commit_fails_before_or_after_it_is_durable(kind: str, rows: int, tmp_path: Path) -> None:
    notes: list[str] = []
    disk = Disk(DiskFault(kind, 1, 1), notes.append, lambda: 0.0)
    assert count_after(disk, tmp_path / "db") == (rows, MESSAGES[kind][0])
    assert count_after(disk, tmp_path / "db") == (rows + 1, "")
    assert (disk.injected, len(notes)) == (1, 1)


def test_a_dead_process_neither_reads_nor_commits(tmp_path: Path) -> None:
    disk = Disk(None, lambda _text: None, lambda: 0.0)
    with closing(sqlite3.connect(tmp_path / "db", factory=_factory(disk), isolation_level=None)) as db:
        db.execute("CREATE TABLE t (x)")
        db.execute("BEGIN IMMEDIATE")
        disk.dead = True
        acts: tuple[Callable[[], object], ...] = (db.commit, db.cursor)
        for act in acts:
            with pytest.raises(Crash):
                act()


def test_a_database_that_is_away_comes_back_after_its_time(tmp_path: Path) -> None:
    now_s = [0.0]
    disk = Disk(DiskFault("away", 1, away_s=5.0), lambda _text: None, lambda: now_s[0])
    assert count_after(disk, tmp_path / "db") == (0, MESSAGES["away"][0])
    now_s[0] = 4.9
    with pytest.raises(sqlite3.OperationalError) as caught:
        sqlite3.connect(tmp_path / "db", factory=_factory(disk))
    assert caught.value.sqlite_errorcode == sqlite3.SQLITE_CANTOPEN
    now_s[0] = 5.0
    assert count_after(disk, tmp_path / "db") == (1, "")
