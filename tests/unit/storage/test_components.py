"""Rows of components and the blobs they name: written once, believed only when they verify, never lost by a prune."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
import sqlalchemy as sa

from gambler_ai.errors import CheckpointCorrupt
from gambler_ai.storage import components
from gambler_ai.storage import tables as t
from gambler_ai.storage.components import ComponentInfo
from gambler_ai.storage.database import Database
from tests.unit.fakes import ACCOUNT, AT, SESSION, after, make_state
from tests.unit.storage.conftest import add

OTHER = "20240103-140000-999999"


def save(database: Database, raw: bytes, seq: int = 1, **other: Any) -> ComponentInfo:
    values: dict[str, Any] = {
        "session_id": SESSION, "account_id": ACCOUNT, "name": "counts", "schema": 1, "format": "msgpack",
        "libraries": {"msgspec": "0.20"}, "at": AT, "wall": after(minutes=seq), "token": 1,
    }  # fmt: skip
    with database.write() as db:
        return components.save(db, payload=raw, seq=seq, **(values | other))


def listed(database: Database, session_id: str = SESSION) -> list[ComponentInfo]:
    with database.read() as db:
        return components.listed(db, session_id)


def newest(database: Database, account_id: str = ACCOUNT):
    with database.read() as db:
        return components.newest(db, SESSION, "counts", account_id)


def blobs(database: Database) -> list[str]:
    with database.read() as db:
        return sorted(db.execute(sa.select(t.blobs.c.sha256)).scalars())


def spoil(database: Database, info: ComponentInfo, **values: Any) -> None:
    with database.write() as db:
        assert db.execute(t.blobs.update().where(t.blobs.c.sha256 == info.sha256).values(**values)).rowcount == 1


def test_what_is_saved_comes_back_with_all_that_is_said_of_it(database, session):
    raw = b"what it knows" * 1000
    save(database, raw, seq=7)
    found = newest(database)
    assert found is not None
    assert (found.payload, found.broken) == (raw, ())
    assert found.info == ComponentInfo(
        session_id=SESSION, name="counts", number=1, account_id=ACCOUNT, at=AT, created_at=after(minutes=7), seq=7,
        schema=1, format="msgpack", libraries={"msgspec": "0.20"}, sha256=found.info.sha256, set_aside="",
        length=len(raw),
    )  # fmt: skip
    with database.read() as db:
        assert len(db.execute(sa.select(t.blobs.c.payload)).scalar_one()) < len(raw) / 10, "it is compressed"


def test_what_did_not_change_is_not_written_again(database, session):
    first = save(database, b"one", seq=1)
    assert save(database, b"one", seq=2) == first
    second = save(database, b"two", seq=3)
    save(database, b"one", seq=4)
    assert [(i.number, i.seq) for i in listed(database)] == [(3, 4), (2, 3), (1, 1)]
    assert blobs(database) == sorted({first.sha256, second.sha256}), "the blob is there once"


def test_the_same_bytes_of_another_schema_are_something_else(database, session):
    save(database, b"one")
    save(database, b"one", schema=2)
    save(database, b"one", schema=2, format="json")
    assert [(i.number, i.schema, i.format) for i in listed(database)] == [
        (3, 2, "json"), (2, 2, "msgpack"), (1, 1, "msgpack"),
    ]  # fmt: skip


BAD = {
    "a flipped bit": {"payload": zlib.compress(b"twp")},
    "another length": {"length": 4},
    "a length that cannot be": {"length": components.LENGTH_MAX + 1},
    "cut short": {"payload": zlib.compress(b"two")[:-3]},
    "no zlib": {"payload": b"two"},
    "something behind it": {"payload": zlib.compress(b"two") + b"x"},
    "a bomb": {"payload": zlib.compress(bytes(10_000_000))},
}


@pytest.mark.parametrize("values", BAD.values(), ids=BAD)
def test_a_blob_that_does_not_verify_is_passed_over_for_the_one_before(database, session, values):
    first, second = save(database, b"one", seq=1), save(database, b"two", seq=2)
    spoil(database, second, **values)
    found = newest(database)
    assert found is not None
    assert (found.info.number, found.payload) == (first.number, b"one")
    assert [(info.number, bool(reason)) for info, reason in found.broken] == [(2, True)]


def test_a_blob_that_is_missing_is_said_to_be(database, session):
    info = save(database, b"one")
    with database.write() as db:
        db.execute(t.blobs.delete())
    assert newest(database) is None
    with database.read() as db, pytest.raises(CheckpointCorrupt, match="missing"):
        components.payload(db, info, ACCOUNT)
    assert listed(database)[0].length is None


def test_another_accounts_is_not_taken(database, session):
    save(database, b"one")
    save(database, b"two", account_id="somebody else")
    found = newest(database)
    assert found is not None
    assert (found.payload, found.broken[0][1]) == (b"one", "it is of another account (somebody else)")


def test_what_was_set_aside_stays_with_the_reason_and_is_passed_over(database, session):
    first, second = save(database, b"one", seq=1), save(database, b"two", seq=2)
    with database.write() as db:
        components.set_aside(db, SESSION, "counts", 2, "it smells\n")
    found = newest(database)
    assert found is not None
    assert (found.payload, found.broken) == (b"one", ())
    assert [(i.number, i.set_aside) for i in listed(database)] == [(2, "it smells "), (1, "")]
    assert blobs(database) == sorted([first.sha256, second.sha256])
    assert save(database, b"two", seq=3).number == 3, "the same bytes are written down once more: they may be good now"


def test_a_prune_keeps_the_newest_and_what_was_set_aside_and_no_blob_that_nobody_needs(database, session):
    made = [save(database, f"{n}".encode(), seq=n) for n in range(1, 8)]
    with database.write() as db:
        components.set_aside(db, SESSION, "counts", 2, "bad")
        assert components.prune(db, SESSION) == 3
    assert [i.number for i in listed(database)] == [7, 6, 5, 2]
    assert blobs(database) == sorted(made[n - 1].sha256 for n in (7, 6, 5, 2))


def test_a_blob_that_another_session_needs_outlives_a_prune(database, session):
    add(database, make_state(session_id=OTHER))
    shared = save(database, b"shared", session_id=OTHER)
    save(database, b"shared")
    for n in range(2, 6):
        save(database, f"{n}".encode(), seq=n)
    with database.write() as db:
        components.prune(db, SESSION)
    assert shared.sha256 in blobs(database)


def test_a_long_session_keeps_a_few_rows_of_a_name(database, session):
    for n in range(1, 100):
        save(database, f"{n}".encode(), seq=n)
        assert len(listed(database)) < components.KEPT + components.PRUNE_EVERY
        assert len(blobs(database)) == len(listed(database))


def test_other_sessions_of_the_account_are_found_newest_first(database, session):
    add(database, make_state(session_id=OTHER))
    add(database, make_state(session_id="foreign", account_id="somebody else"))
    save(database, b"ours")
    save(database, b"one", session_id=OTHER, seq=1)
    save(database, b"two", session_id=OTHER, seq=2)
    save(database, b"theirs", session_id="foreign", account_id="somebody else", seq=9)
    with database.read() as db:
        found = components.elsewhere(db, ACCOUNT, SESSION, "counts")
        assert [(i.session_id, i.number) for i in found] == [(OTHER, 2), (OTHER, 1)]
        assert components.elsewhere(db, ACCOUNT, SESSION, "another") == []


def test_a_check_names_what_does_not_verify(database, session):
    save(database, b"one")
    bad = save(database, b"two", seq=2)
    spoil(database, bad, length=9)
    with database.read() as db:
        assert components.damaged(db) == (2, [f"counts of session {SESSION}: its blob has another length than it says"])
    with database.write() as db:
        components.set_aside(db, SESSION, "counts", 2, "known")
    with database.read() as db:
        assert components.damaged(db) == (1, [])


def test_what_is_too_large_to_be_read_again_is_not_stored():
    with pytest.raises(ValueError, match="more than a component may have"):
        components.packed(bytes(components.LENGTH_MAX + 1))
