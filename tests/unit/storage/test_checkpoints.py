"""Checkpoints: the newest that verifies is found, and never pruned."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from gambler_ai.core import snapshot
from gambler_ai.errors import ConfigError
from gambler_ai.storage import checkpoints
from gambler_ai.storage import tables as t
from gambler_ai.storage.database import Database
from tests.unit.fakes import AT, MONEY, SESSION, D, after, make_state
from tests.unit.storage.conftest import add


def create(database: Database, *numbers: int) -> None:
    for number in numbers:
        state = make_state(seq=number, realized_pnl=D(number))
        with database.write() as db:
            write_row(db, number, f"head-{number}")
            checkpoints.create(db, state, number, f"head-{number}", after(hours=number))


def write_row(db: Connection, seq: int, head: str) -> None:
    """The journal's row that a checkpoint refers to."""
    row = {"session_id": SESSION, "seq": seq, "at": AT, "kind": "Marked", "payload": "{}", "hash": head, "token": 1}
    db.execute(t.journal.delete().where(t.journal.c.session_id == SESSION, t.journal.c.seq == seq))
    db.execute(t.journal.insert(), row)


def newest(database: Database, session_id: str = SESSION):
    with database.read() as db:
        return checkpoints.newest(db, session_id, make_state(), "genesis")


def numbers(database: Database) -> list[int]:
    with database.read() as db:
        return [info.number for info in checkpoints.listed(db, SESSION, 100)]


def prune(database: Database, keep: int, *older: object) -> int:
    with database.write() as db:
        return checkpoints.prune(db, SESSION, keep, *older)  # type: ignore[arg-type]


def flip(database: Database, number: int, place: int = 100) -> None:
    """Flip one bit of a payload."""
    with database.write() as db:
        where = t.checkpoints.c.number == number
        payload = bytearray(db.execute(sa.select(t.checkpoints.c.payload).where(where)).scalar_one())
        payload[place % len(payload)] ^= 1
        db.execute(t.checkpoints.update().where(where).values(payload=bytes(payload)))


def test_the_newest_is_taken_with_its_place_in_the_journal(database, session):
    create(database, 1, 2, 3)
    found = newest(database)
    assert (found.state.realized_pnl, found.state.seq, found.head, found.broken) == (D(3), 3, "head-3", ())
    assert found.info is not None
    assert (found.info.number, found.info.account, found.info.created_at) == (3, MONEY, after(hours=3))
    assert snapshot.dump(found.state) == snapshot.dump(make_state(seq=3, realized_pnl=D(3)))


def test_without_one_it_is_the_empty_state(database, session):
    found = newest(database)
    assert (found.state, found.head, found.info, found.broken) == (make_state(), "genesis", None, ())


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10_000))
def test_one_flipped_bit_anywhere_is_caught_and_the_one_before_taken(database, session, place):
    with database.write() as db:
        db.execute(t.checkpoints.delete())
    create(database, 1, 2)
    flip(database, 2, place)
    found = newest(database)
    assert (found.state.realized_pnl, found.head) == (D(1), "head-1")
    assert found.broken == ("#2: its checksum does not match",)


def test_when_all_are_broken_it_is_the_empty_state_and_each_is_named(database, session):
    create(database, 1, 2)
    flip(database, 1)
    flip(database, 2)
    found = newest(database)
    assert (found.state, found.head, found.info) == (make_state(), "genesis", None)
    assert [b[:2] for b in found.broken] == ["#2", "#1"]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("UPDATE checkpoints SET length = length + 1", "checksum"),
        ("UPDATE checkpoints SET payload = substr(payload, 1, 50)", "checksum"),
        ("UPDATE checkpoints SET payload = substr(payload, 1, 0)", "checksum"),
        ("UPDATE checkpoints SET sha256 = ''", "checksum"),
        ("UPDATE checkpoints SET state_version = 99", "state version 99"),
        ("UPDATE checkpoints SET seq = 7", "another session or place"),
    ],
)
def test_a_row_that_does_not_fit_its_payload_is_not_taken(database, session, damage, says):
    create(database, 1)
    with database.write() as db:
        db.execute(sa.text(damage))
    found = newest(database)
    assert found.info is None
    assert says in found.broken[0]


def test_a_checkpoint_of_another_session_is_not_taken(database, session):
    create(database, 1)
    add(database, make_state(session_id="s-2"))
    with database.write() as db:
        db.execute(sa.text("UPDATE checkpoints SET session_id = 's-2'"))
    assert "another session" in newest(database, "s-2").broken[0]
    assert newest(database).broken == ()


@pytest.mark.parametrize(
    "damage",
    ["UPDATE journal SET hash = 'head-x' WHERE seq = 2", "DELETE FROM journal WHERE seq = 2"],
    ids=["another row", "no row"],
)
def test_one_whose_place_in_the_journal_is_another_is_not_taken(database, session, damage):
    """The database was put back to an older copy and went on: the checkpoint tells of facts that are not there."""
    create(database, 1, 2)
    with database.write() as db:
        db.execute(sa.text(damage))
    found = newest(database)
    assert (found.state.realized_pnl, found.head) == (D(1), "head-1")
    assert found.broken == ("#2: the journal at its place is another one",)
    assert prune(database, 1) == 0  # the newest, and the newest that verifies
    assert numbers(database) == [2, 1]


def test_a_journal_row_of_another_session_is_not_its_place(database, session):
    create(database, 1)
    add(database, make_state(session_id="s-2"))
    with database.write() as db:
        db.execute(sa.text("UPDATE journal SET session_id = 's-2'"))
    assert newest(database).info is None


def test_before_the_first_fact_there_is_no_row_to_compare(database, session):
    with database.write() as db:
        checkpoints.create(db, make_state(), 1, "genesis", AT)
    assert newest(database).broken == ()
    assert newest(database).info is not None


# -- pruning --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("keep", "left"), [(1, [5]), (2, [5, 4]), (5, [5, 4, 3, 2, 1]), (9, [5, 4, 3, 2, 1])])
def test_the_newest_are_kept(database, session, keep, left):
    create(database, *range(1, 6))
    assert prune(database, keep) == 5 - len(left)
    assert numbers(database) == left


@pytest.mark.parametrize("keep", [0, -1])
def test_to_keep_none_is_refused(database, session, keep):
    create(database, 1)
    with pytest.raises(ConfigError, match="keep at least one"):
        prune(database, keep)
    assert numbers(database) == [1]


def test_the_newest_that_verifies_is_kept_whatever_was_asked(database, session):
    create(database, *range(1, 6))
    for broken in (5, 4, 3):
        flip(database, broken)
    assert prune(database, 1) == 3
    assert numbers(database) == [5, 2]
    assert newest(database).state.realized_pnl == D(2)


def test_if_none_verifies_only_the_number_counts(database, session):
    create(database, 1, 2)
    flip(database, 1)
    flip(database, 2)
    assert prune(database, 1) == 1
    assert numbers(database) == [2]


def test_only_those_older_than_asked_go(database, session):
    create(database, *range(1, 6))
    assert prune(database, 1, after(hours=3)) == 2
    assert numbers(database) == [5, 4, 3]
    assert prune(database, 1, AT) == 0


def test_the_checkpoints_of_another_session_are_not_touched(database, session):
    create(database, 1, 2)
    add(database, make_state(session_id="s-2"))
    with database.write() as db:
        checkpoints.create(db, make_state(session_id="s-2"), 1, "h", AT)
    assert prune(database, 1) == 1
    with database.read() as db:
        assert checkpoints.stored(db, "s-2")[0] == 1


def test_a_list_is_bounded_and_the_bytes_are_counted(database, session):
    create(database, 1, 2, 3)
    with database.read() as db:
        infos = checkpoints.listed(db, SESSION, 2)
        count, size = checkpoints.stored(db, SESSION)
        assert checkpoints.stored(db, "nobody") == (0, 0)
    assert [i.number for i in infos] == [3, 2]
    assert count == 3
    assert size >= sum(i.length for i in infos)
