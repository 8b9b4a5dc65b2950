"""Looking at a database of either kind: what it is, whether it is whole, who holds what; nothing is written."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gambler_ai.clock import ManualClock
from gambler_ai.core import events as ev
from gambler_ai.core.evolution import evolve
from gambler_ai.errors import CheckpointCorrupt, StorageError
from gambler_ai.storage import inspect, journal, lease, sessions
from gambler_ai.storage import tables as t
from gambler_ai.storage.inspect import ReadOnly
from gambler_ai.storage.tables import SCHEMA_HEAD
from tests.databases import postgres_only, sqlite_only
from tests.unit.fakes import AT, SESSION


@pytest.fixture
def looking(database):
    """A second way to the same database."""
    opened = ReadOnly(database.url.render_as_string(hide_password=False))
    yield opened
    opened.close()


def test_it_says_what_it_is_and_whether_commits_are_safe(looking, backend):
    found = inspect.server(looking)
    assert found.name.startswith("SQLite 3." if backend == "sqlite" else "PostgreSQL ")
    unsafe = {name for name, (value, wanted) in found.settings.items() if value != wanted}
    # The tests' server is told not to wait for the disk: that is what has to be seen.
    assert unsafe == (set() if backend == "sqlite" else {"fsync", "full_page_writes"})
    assert len(found.settings) == 3
    assert inspect.damage(looking) == []
    assert looking.revision() == SCHEMA_HEAD


def test_a_chain_is_read_from_its_first_row_to_its_last(database, session, looking):
    facts: list[ev.Fact] = [ev.RunStarted(AT, 60.0, resumed=False, token=1), ev.Degraded(AT, "stream", "cut")]
    changes = evolve(session, facts)
    with database.write() as db:
        head = journal.append(db, session, facts, changes, journal.GENESIS, token=1)
        sessions.update(db, session, head=head, checkpoints=0, wall=AT)
    with looking.read() as db:
        inspect.check_chain(db, sessions.find(db, SESSION))
    with database.write() as db:
        db.execute(t.journal.delete().where(t.journal.c.seq == 2))
    with looking.read() as db, pytest.raises(CheckpointCorrupt, match="ends at row 1, its session at row 2"):
        inspect.check_chain(db, sessions.find(db, SESSION))


def test_the_holder_of_an_account_is_named(database, looking):
    held = lease.acquire(database, "acc-1", "s-1", "pid 42 on here", ManualClock(AT))
    with looking.read() as db:
        (holder,) = inspect.holders(db)
    assert (holder.account_id, holder.session_id, holder.owner, holder.since) == ("acc-1", "s-1", "pid 42 on here", AT)
    assert lease.is_held(looking, "acc-1")
    held.close()
    assert not lease.is_held(looking, "acc-1")


def test_nothing_can_be_written_through_it(looking):
    with pytest.raises(StorageError), looking.read() as db:
        db.execute(t.lease.delete())
    with pytest.raises(StorageError), looking.read() as db:
        db.execute(t.sessions.update().values(status="x"))


@sqlite_only
def test_a_database_that_is_not_there_is_not_made(tmp_path, backend):
    with pytest.raises(StorageError, match="there is no database"):
        ReadOnly(f"sqlite:///{tmp_path / 'a' / 'b.sqlite3'}")
    assert list(tmp_path.iterdir()) == []
    assert inspect.file_of(f"sqlite:///{tmp_path / 'x'}") == tmp_path / "x"


@sqlite_only
def test_a_write_that_was_cut_short_is_no_damage_and_is_not_rolled_back_by_a_look(tmp_path, backend):
    """A file whose log is not switched on yet: what the power left of its first pages, and the journal beside it."""
    path, cut = tmp_path / "whole.sqlite3", tmp_path / "cut.sqlite3"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE TABLE one (text)")
        db.execute("PRAGMA cache_size = 1")
        db.execute("BEGIN")
        db.executemany("INSERT INTO one VALUES (?)", [("x" * 500,)] * 100)
        shutil.copy(path, cut)
        shutil.copy(f"{path}-journal", f"{cut}-journal")
    left = [Path(file).read_bytes() for file in (cut, f"{cut}-journal")]
    with pytest.raises(StorageError, match="was cut short") as raised:
        ReadOnly(f"sqlite:///{cut}")
    assert "gambler-ai db upgrade" in raised.value.hint
    assert [Path(file).read_bytes() for file in (cut, f"{cut}-journal")] == left


@postgres_only
def test_a_server_is_no_file(migrated_url):
    assert inspect.file_of(migrated_url) is None
