"""The doctor's rows on what is stored, each with its fault planted; and that looking changes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from gambler_ai.app.doctor import exit_code
from gambler_ai.clock import ManualClock
from gambler_ai.core import events as ev
from gambler_ai.core.evolution import evolve
from gambler_ai.core.state import SessionState
from gambler_ai.storage import checkpoints, journal, lease, sessions
from gambler_ai.storage import tables as t
from gambler_ai.storage.database import Database
from gambler_ai.storage.inspect import ReadOnly
from tests.unit.app.test_doctor import code, not_well
from tests.unit.fakes import AT, after, make_state


@pytest.fixture
def database(state) -> Iterator[Database]:
    opened = Database(f"sqlite:///{state / 'gambler.sqlite3'}")
    opened.prepare()
    yield opened
    opened.close()


def add(database: Database, session_id: str, hour: int = 0, **more: str) -> SessionState:
    """A session with two journal rows and a checkpoint between them."""
    values = {"broker": "embedded", "account_id": f"acc-{session_id}", "status": "running", "trading_url": "embedded"}
    values |= more
    session = make_state(session_id=session_id, account_id=values["account_id"])
    with database.write() as db:
        sessions.insert(
            db, session, broker=values["broker"], trading_url=values["trading_url"], genesis=journal.GENESIS,
            wall=after(hours=hour),
        )  # fmt: skip
    head = write(database, session, journal.GENESIS, ev.RunStarted(AT, 60.0, resumed=False, token=1))
    with database.write() as db:
        checkpoints.create(db, session, 1, head, AT)
    session.status = values["status"]
    write(database, session, head, ev.Marked(after(minutes=1), {}, {}), status=values["status"])
    return session


def write(database: Database, session: SessionState, head: str, fact: ev.Fact, status: str = "running") -> str:
    changes = evolve(session, [fact])
    with database.write() as db:
        head = journal.append(db, session, [fact], changes, head, token=1)
        session.status = status
        sessions.update(db, session, head=head, checkpoints=1, wall=AT)
    return head


def change(database: Database, table: sa.Table, session_id: str, **values: object) -> None:
    with database.write() as db:
        assert db.execute(table.update().where(table.c.session_id == session_id).values(**values)).rowcount


def with_file(state: Path, session_id: str) -> None:
    (state / "exchange").mkdir(exist_ok=True, mode=0o700)
    (state / "exchange" / f"{session_id}.sqlite3").touch(mode=0o600)


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file: its mode and what is in it."""
    return {str(p): (p.stat().st_mode, p.read_bytes()) for p in folder.rglob("*") if p.is_file()}


def test_a_session_that_was_killed_is_restored_in_thought_and_offered(look, state, database):
    add(database, "s-1")
    with_file(state, "s-1")
    database.close()
    rows = look()
    assert not_well(rows) == {"sessions": "warn"}
    assert rows["sessions"].found == "interrupted: s-1 (killed)"
    assert "--resume" in rows["sessions"].fix
    assert rows["checkpoint"].found.startswith("session s-1: #1 at 2008-10-07 14:00:00 UTC verifies, 1 journal rows")
    assert rows["journal"].found == "2 rows verify"
    assert rows["database"].found.endswith(f"schema {'0002'}")
    assert code(rows) == 0


@pytest.mark.parametrize("status", ["completed", "closed"])
def test_a_session_that_is_over_is_no_trouble(look, database, status):
    add(database, "s-1", status=status)
    rows = look()
    assert not_well(rows) == {}
    assert rows["checkpoint"].status == "skip"


def test_looking_at_a_closed_database_changes_no_file_and_makes_none(look, state, database):
    add(database, "s-1")
    with_file(state, "s-1")
    database.close()
    before = snapshot(state)
    assert sorted(Path(p).name for p in before) == ["gambler.sqlite3", "s-1.sqlite3"]
    look()
    assert snapshot(state) == before


def test_looking_while_a_session_runs_changes_no_file_and_keeps_nobody_waiting(look, state, database):
    add(database, "s-1")
    held = lease.acquire(database, "acc-s-1", "s-1", "pid 42 on here", ManualClock(AT))
    before = snapshot(state)
    with database.write() as db:  # a writer in the middle of its transaction
        db.execute(t.lease.update().values(owner="pid 43"))
        rows = look()
    assert set(snapshot(state)) == set(before)
    assert rows["lease"].found == "pid 42 on here, session s-1"
    assert rows["sessions"].found == "1, running: s-1"
    assert ", a log beside it" in rows["database"].found
    held.close()


def test_an_account_that_was_let_go_is_held_by_nobody(look, database):
    add(database, "s-1", status="completed")
    held = lease.acquire(database, "acc-s-1", "s-1", "pid 42 on here", ManualClock(AT))
    held.close()
    assert look()["lease"].found == "nobody holds an account"


def test_a_look_that_is_overtaken_by_a_writer_knows_it(state, database):
    add(database, "s-1", status="completed")
    database.close()
    name = f"sqlite:///{state / 'gambler.sqlite3'}"
    other = Database(name)
    reader = ReadOnly(name)
    before = reader.was_overtaken
    with other.write() as db:
        db.execute(t.lease.delete())
    assert (before, reader.was_overtaken) == (False, True)
    reader.close()
    other.close()


# -- damage ---------------------------------------------------------------------------------------


def test_a_damaged_database_ends_with_five_and_is_left_as_it_is(look, state, database):
    for number in range(20):
        add(database, f"s-{number}", status="completed")
    database.close()
    path = state / "gambler.sqlite3"
    text = bytearray(path.read_bytes())
    text[4096 * 3 : 4096 * 6] = b"\xaa" * (4096 * 3)
    path.write_bytes(text)
    rows = look()
    assert rows["integrity"].status == "fail" or rows["database"].status == "fail"
    assert code(rows) == 5
    assert path.read_bytes() == text


def test_a_file_that_is_no_database_ends_with_five(look, state):
    (state / "gambler.sqlite3").write_text("these are not rows\n" * 500)
    (state / "gambler.sqlite3").chmod(0o600)
    rows = look()
    assert not_well(rows) == {"database": "fail"}
    assert code(rows) == 5


def test_an_empty_file_is_a_database_that_will_be_made(look, state):
    (state / "gambler.sqlite3").touch(mode=0o600)
    rows = look()
    assert "the schema will be made" in rows["database"].found
    assert (state / "gambler.sqlite3").read_bytes() == b""


def test_a_database_behind_a_link_ends_with_an_error(look, state, database, tmp_path):
    database.close()
    (state / "gambler.sqlite3").rename(tmp_path / "real.sqlite3")
    (state / "gambler.sqlite3").symlink_to(tmp_path / "real.sqlite3")
    rows = look()
    assert (rows["files"].status, rows["database"].status) == ("fail", "fail")


@pytest.mark.parametrize(
    ("revision", "status", "fix"),
    [("0001", "warn", "the next start upgrades it"), ("9999", "fail", "a newer program made it")],
)
def test_another_schema_is_said_and_left_as_it_is(look, database, revision, status, fix):
    add(database, "s-1")
    with database.write() as db:
        db.execute(sa.text("UPDATE alembic_version SET version_num = :r"), {"r": revision})
    rows = look()
    assert not_well(rows) == {"database": status}
    assert rows["database"].fix.startswith(fix)
    assert code(rows) == (5 if status == "fail" else 0)
    assert database.revision() == revision
    assert rows["sessions"].status == "skip"


def test_a_database_of_somebody_elses_ends_with_five(look, database):
    with database.write() as db:
        db.execute(sa.text("DROP TABLE alembic_version"))
    assert (code(look()), look()["database"].status) == (5, "fail")


def test_a_journal_that_is_not_written_ahead_is_said(look, database):
    with database.engine.connect() as connection:
        raw = connection.connection.cursor()
        raw.execute("PRAGMA journal_mode=delete")
        raw.close()
    database.close()
    rows = look()
    assert not_well(rows) == {"durability": "warn"}
    assert rows["durability"].found == "journal_mode is delete, not wal"


def test_a_url_that_is_none_ends_with_two(look):
    rows = look(database_url="nonsense")
    assert not_well(rows) == {"database": "fail"}
    assert code(rows) == 2


def test_a_damaged_checkpoint_is_passed_over_and_said(look, state, database):
    add(database, "s-1", status="stopped")
    with_file(state, "s-1")
    change(database, t.checkpoints, "s-1", payload=b"spoiled")
    rows = look()
    assert not_well(rows) == {"sessions": "warn", "checkpoint": "warn"}
    assert "#1: its checksum does not match" in rows["checkpoint"].found
    assert code(rows) == 0


def test_a_changed_journal_row_ends_with_five(look, state, database):
    add(database, "s-1", status="stopped")
    with_file(state, "s-1")
    with database.write() as db:
        db.execute(t.journal.update().where(t.journal.c.seq == 2).values(payload="{}"))
    rows = look()
    assert not_well(rows) == {"sessions": "warn", "checkpoint": "fail"}
    assert code(rows) == 5


def test_a_row_before_the_checkpoint_counts_too(look, state, database):
    """A resume does not read it, and it is damage all the same."""
    add(database, "s-1", status="stopped")
    with_file(state, "s-1")
    with database.write() as db:
        db.execute(t.journal.update().where(t.journal.c.seq == 1).values(payload="{}"))
    rows = look()
    assert not_well(rows) == {"sessions": "warn", "journal": "fail"}
    assert code(rows) == 5


def test_a_journal_that_is_cut_short_ends_with_five(look, state, database):
    add(database, "s-1", status="stopped")
    with_file(state, "s-1")
    with database.write() as db:
        db.execute(t.journal.delete().where(t.journal.c.seq == 2))
    rows = look()
    assert (rows["checkpoint"].status, code(rows)) == ("fail", 5)


# -- sessions -------------------------------------------------------------------------------------


def test_the_account_file_of_the_session_a_resume_would_take_must_be_there(look, state, database):
    add(database, "s-1", status="stopped")
    rows = look()
    assert not_well(rows) == {"sessions": "warn", "exchange files": "fail"}
    assert str(state / "exchange" / "s-1.sqlite3") in rows["exchange files"].found
    assert code(rows) == 5


def test_that_of_an_older_session_is_only_said(look, state, database):
    add(database, "s-1", status="finished")
    add(database, "s-2", hour=1, status="finished")
    with_file(state, "s-2")
    rows = look()
    assert not_well(rows) == {"exchange files": "warn"}
    assert "s-1" in rows["exchange files"].found
    assert code(rows) == 0


def test_many_interrupted_sessions_are_counted(look, state, database):
    for number in range(5):
        add(database, f"s-{number}", hour=number, status="stopped")
        with_file(state, f"s-{number}")
    assert look()["sessions"].found == "interrupted: s-4 (killed), s-3 (killed), s-2 (killed) and 2 more"


def test_a_session_that_is_halted_says_by_what(look, state, database):
    session = add(database, "s-1")
    with_file(state, "s-1")
    with database.read() as db:
        head = sessions.find(db, "s-1").journal_hash
    write(database, session, head, ev.TradingHalted(after(minutes=2), "person", "too wild"))
    rows = look()
    assert not_well(rows) == {"sessions": "warn", "halts": "warn"}
    assert rows["halts"].found == "session s-1: person: too wild"


def test_a_session_that_is_degraded_says_by_what_and_what_ends_it(look, state, database):
    session = add(database, "s-1")
    with_file(state, "s-1")
    with database.read() as db:
        head = sessions.find(db, "s-1").journal_hash
    write(database, session, head, ev.Degraded(after(minutes=2), "stale prices AAPL", "no bar yet"))
    rows = look()
    assert not_well(rows) == {"sessions": "warn", "degraded": "warn"}
    found = "session s-1: stale prices AAPL: no bar yet (ends with its next bar, or at the close)"
    assert rows["degraded"].found == found
    assert rows["degraded"].fix == "gambler-ai sessions show s-1"


def test_keys_of_another_account_than_the_sessions_are_recognised(look, keys, database, there):
    url = "https://paper-api.alpaca.markets"
    add(database, "s-1", broker="alpaca", account_id="acc-old", status="completed", trading_url=url)
    rows = look()
    assert not_well(rows) == {"binding": "warn"}
    assert "acc-old" in rows["binding"].found
    assert there.exchange.account_id in rows["binding"].found
    assert "reset" in rows["binding"].fix


def test_keys_of_the_sessions_account_are_well(look, keys, database, there):
    url, account = "https://paper-api.alpaca.markets", there.exchange.account_id
    add(database, "s-1", broker="alpaca", account_id=account, status="completed", trading_url=url)
    add(database, "s-2", hour=1, broker="alpaca", account_id="x", status="completed", trading_url="http://127.0.0.1:9")
    rows = look()
    assert not_well(rows) == {}
    assert rows["binding"].found == "session s-1 is on this account"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_database_that_cannot_be_read_ends_with_five(look, state, database):
    database.close()
    (state / "gambler.sqlite3").chmod(0)
    assert exit_code(list(look().values())) == 5
