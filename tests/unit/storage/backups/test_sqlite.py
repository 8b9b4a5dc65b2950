"""An SQLite file copied under a writer, and put in another's place."""

from __future__ import annotations

import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gambler_ai.errors import SessionLeased, StorageError
from gambler_ai.storage.backups import sqlite
from tests.recovery.harness import ROOT


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "db", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=wal")
        db.execute("CREATE TABLE t (n INTEGER, x BLOB)")
        db.executemany("INSERT INTO t VALUES (?, zeroblob(4000))", [(n,) for n in range(9_000)])
        yield db


def rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT count(*) FROM t").fetchone()[0])


def test_a_writer_is_not_held_up_and_the_copy_is_of_one_moment(tmp_path: Path, writer: sqlite3.Connection):
    """It commits between two steps of the copy, each time; the copy neither waits nor begins anew."""
    seen: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        seen.append((done, total))
        writer.execute("INSERT INTO t VALUES (1, zeroblob(4000))")
        assert len(seen) < 100

    sqlite.copy_live(tmp_path / "db", tmp_path / "copy", progress)
    assert len(seen) > 5
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert rows(tmp_path / "copy") == 9_000
    assert rows(tmp_path / "db") == 9_000 + len(seen)
    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o600
    assert sqlite.complaints(tmp_path / "copy") == []
    assert not (tmp_path / "copy-wal").exists()


def test_what_is_damaged_or_refers_to_nothing_is_named(tmp_path: Path):
    path = tmp_path / "db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE TABLE a (id INTEGER PRIMARY KEY)")
        db.execute("CREATE TABLE b (a INTEGER REFERENCES a (id))")
        db.execute("INSERT INTO b VALUES (7)")
    assert sqlite.complaints(path) == ["row 1 of b refers to a row of a that is gone"]
    path.write_bytes(path.read_bytes()[:5000])
    assert sqlite.complaints(path)
    with pytest.raises(StorageError, match="no copy of"):
        sqlite.copy_live(tmp_path / "none", tmp_path / "copy")


def test_what_was_there_keeps_a_name_and_its_log(tmp_path: Path, writer: sqlite3.Connection):
    writer.close()
    new, path, kept = tmp_path / "new", tmp_path / "db", tmp_path / "kept"
    with closing(sqlite3.connect(new)) as db:
        db.execute("CREATE TABLE t (n)")
    path.with_name("db-wal").write_bytes(b"of somebody else's")
    assert sqlite.put_in_place(new, path, kept)
    assert (rows(path), rows(kept)) == (0, 9_000)
    assert not path.with_name("db-wal").exists()
    assert not sqlite.put_in_place(kept, tmp_path / "elsewhere", tmp_path / "nothing")


@pytest.mark.parametrize("point", ["restore.copied", "restore.before_rename", "restore.after_rename"])
def test_without_links_a_database_has_its_name_at_each_instant(tmp_path: Path, writer, point: str):
    writer.close()
    new, path, kept = tmp_path / "new", tmp_path / "db", tmp_path / "kept"
    with closing(sqlite3.connect(new)) as db:
        db.execute("CREATE TABLE t (n)")
    program = (
        "import os, sys; from pathlib import Path\n"
        "from gambler_ai import crashpoints; from gambler_ai.storage.backups import sqlite\n"
        "def no_links(*_): raise PermissionError(1, 'Operation not permitted')\n"
        "os.link = no_links\n"
        "crashpoints.arm(sys.argv[1])\n"
        "sqlite.put_in_place(*map(Path, sys.argv[2:]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, point, new, path, kept], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert rows(path) == (0 if point == "restore.after_rename" else 9_000)
    assert kept.exists() == (point != "restore.copied"), "what is not whole has another name"
    if kept.exists():
        assert rows(kept) == 9_000
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_database_is_fenced_in_the_transaction_that_looks_and_a_damaged_one_is_left(tmp_path: Path, writer):
    path, fence = tmp_path / "db", "DELETE FROM t WHERE n > 5"

    def refuse() -> None:
        with (
            closing(sqlite3.connect(path, timeout=0)) as other,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            other.execute("DELETE FROM t")
        raise SessionLeased("taken")

    with pytest.raises(SessionLeased, match="taken"):
        sqlite.fence(path, fence, refuse)
    assert rows(path) == 9_000
    sqlite.fence(path, fence, lambda: None)
    assert rows(path) == 6
    with pytest.raises(StorageError, match="no such table"):
        sqlite.fence(path, "DELETE FROM other", lambda: None)
    writer.close()
    path.write_bytes(path.read_bytes()[:5000])
    sqlite.fence(path, fence, lambda: None)


def test_a_log_that_cannot_be_folded_stays_where_it_is(tmp_path: Path, writer: sqlite3.Connection):
    """Renamed beside a file that is whole, a kill right then would leave it without what was last stored."""
    new, path, log = tmp_path / "new", tmp_path / "db", tmp_path / "db-wal"
    with closing(sqlite3.connect(new)) as db:
        db.execute("CREATE TABLE t (n)")
    writer.execute("BEGIN IMMEDIATE")
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("PRAGMA locking_mode=exclusive")
        writer.execute("ROLLBACK")
        writer.close()
        reader.execute("INSERT INTO t VALUES (1, x'00')")
        assert log.stat().st_size
        with pytest.raises(StorageError, match="cannot be folded into it"):
            sqlite.put_in_place(new, path, tmp_path / "kept")
        assert log.stat().st_size
    assert rows(path) == 9_001
    assert not (tmp_path / "kept").exists()


def test_a_log_that_somebody_still_reads_is_not_taken_from_its_file(tmp_path: Path, writer: sqlite3.Connection):
    """Renamed beside it, a kill right then would leave half a database."""
    new, path = tmp_path / "new", tmp_path / "db"
    with closing(sqlite3.connect(new)) as db:
        db.execute("CREATE TABLE t (n)")
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM t").fetchone() == (9_000,)
        writer.execute("INSERT INTO t VALUES (1, zeroblob(4000))")
        with pytest.raises(StorageError, match="is being read"):
            sqlite.put_in_place(new, path, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
    assert rows(path) == 9_001
