"""Sessions go into a file and come out of it as they were, whole or not at all, and nobody is their second owner."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import stat
import zipfile
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gambler_ai.app.venue import exchange_file
from gambler_ai.errors import CheckpointCorrupt, ConfigError, SessionLeased, SessionNotFound, StorageError
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.storage import lease, sessions
from gambler_ai.storage import tables as t
from gambler_ai.trading.recovery import restore
from tests.databases import refuse
from tests.unit.app.moved import MEMORY, TOKEN, Home, add_row, take_account, write_session
from tests.unit.fakes import ACCOUNT, AT, SESSION

NewHome = Callable[[str], Home]


@pytest.fixture
def home_of(tmp_path: Path) -> NewHome:
    """``home_of("a")``: one on a file of its own."""
    return lambda name: Home(tmp_path / name)


@pytest.fixture
def here(home_of: NewHome) -> Home:
    """With one session, on a file."""
    found = home_of("here")
    with found.database() as database:
        write_session(database)
    return found


@pytest.fixture
def there(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Home:
    """Empty, on each kind of database in turn."""
    return Home(tmp_path / "there", request.getfixturevalue("migrated_url") if backend == "postgres" else "")


def rows(home: Home) -> dict[str, list[dict[str, Any]]]:
    """What a session consists of: who holds its account is not part of it."""
    return {name: found for name, found in home.content().items() if name != "lease"}


def members(file: Path) -> dict[str, str]:
    with zipfile.ZipFile(file) as found:
        return {m["name"]: m["sha256"] for m in json.loads(found.read("manifest.json"))["members"]}


def test_a_session_is_the_same_on_another_database_and_back_again(here: Home, there: Home, home_of, tmp_path: Path):
    first, second, again = tmp_path / "1.zip", tmp_path / "2.zip", home_of("again")
    here.give(first)
    [outcome] = there.take(first).outcomes
    assert (outcome.what, outcome.session.id) == ("imported", SESSION)
    assert rows(there) == rows(here)
    assert all(rows(there)[name] for name in set(rows(there)) - {"archive"}), "each table had something to move"
    there.give(second)
    again.take(second)
    assert rows(again) == rows(here)
    assert members(first) == members(second)
    with there.database() as database, database.read() as db:
        restored = restore(database, sessions.find(db, SESSION))
    assert (restored.checkpoint.number, restored.broken) == (2, ())  # type: ignore[union-attr]
    assert set(restored.state.positions) == {"AAPL"}


def test_the_file_is_private_and_the_same_rows_give_the_same_bytes(here: Home, tmp_path: Path):
    files = [tmp_path / name for name in ("1.zip", "2.zip")]
    for file in files:
        here.give(file)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert files[0].read_bytes() == files[1].read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.zip", "2.zip", "here"], "nothing else was left"


def test_the_file_says_what_it_holds(here: Home, tmp_path: Path):
    here.give(tmp_path / "x.zip")
    with zipfile.ZipFile(tmp_path / "x.zip") as found:
        manifest = json.loads(found.read("manifest.json"))
        for member in manifest["members"]:
            content = found.read(member["name"])
            assert (len(content), hashlib.sha256(content).hexdigest()) == (member["size"], member["sha256"])
        assert MEMORY not in b"".join(found.read(name) for name in found.namelist()), "a blob stays compressed"
    [session] = manifest["sessions"]
    assert (manifest["format"], manifest["version"], manifest["schema"]) == ("gambler-ai state", 1, t.SCHEMA_HEAD)
    assert (session["seq"], session["token"], session["rows"]["journal"]) == (5, TOKEN, 5)


# -- what is exported -----------------------------------------------------------------------------


def test_which_sessions(here: Home, home_of, tmp_path: Path):
    with here.database() as database:
        write_session(database, "s-2", "acc-2", held=False)
        write_session(database, "x-3", "acc-3", held=False)
    names = lambda report: [o.session.id for o in report.outcomes]  # noqa: E731
    assert names(here.give(tmp_path / "a.zip", everything=True)) == ["s-1", "s-2", "x-3"]
    assert names(here.give(tmp_path / "b.zip", "x", "s-2", "x-3")) == ["s-2", "x-3"]
    assert len(names(here.give(tmp_path / "c.zip"))) == 1
    with pytest.raises(SessionNotFound, match="more than one"):
        here.give(tmp_path / "d.zip", "s")
    with pytest.raises(SessionNotFound, match=r"no session to export that is not completed$"):
        home_of("empty").give(tmp_path / "d.zip")
    with pytest.raises(SessionNotFound, match=r"no session to export$"):
        home_of("empty").give(tmp_path / "d.zip", everything=True)
    assert not (tmp_path / "d.zip").exists()


def test_what_has_the_name_is_not_written_over(here: Home, tmp_path: Path):
    file = tmp_path / "x.zip"
    file.write_text("mine")
    with pytest.raises(ConfigError, match=r"x\.zip cannot be written: it is there already"):
        here.give(file)
    assert file.read_text() == "mine"
    with pytest.raises(ConfigError, match="cannot be written: No such file"):
        here.give(tmp_path / "none" / "x.zip")
    (tmp_path / "link.zip").symlink_to(tmp_path / "target")
    with pytest.raises(ConfigError, match="there already"):
        here.give(tmp_path / "link.zip")


@pytest.mark.parametrize("silent", [False, True], ids=["alive", "silent"])
def test_a_session_that_runs_is_refused(there: Home, tmp_path: Path, silent: bool):
    """One that was silent for an hour may wake up: it has the account's lock."""
    with there.database() as database:
        write_session(database)
        write_session(database, "s-2", held=False)
        held = lease.acquire(database, ACCOUNT, SESSION, "pid 7 on there", there.clock)
        with database.write() as db:
            db.execute(t.lease.update().values(until=AT - timedelta(hours=silent), until_s=None))
        with pytest.raises(SessionLeased, match="session s-1 runs: pid 7 on there"):
            there.give(tmp_path / "x.zip", SESSION)
        assert not (tmp_path / "x.zip").exists()
        there.give(tmp_path / "other.zip", "s-2")
        held.close()  # it was killed
    assert there.give(tmp_path / "x.zip", SESSION).outcomes


def spoil(home: Home, table: sa.Table, where: sa.ColumnElement[bool], **values: object) -> None:
    with home.database() as database, database.write() as db:
        assert db.execute(table.update().where(where).values(**values)).rowcount == 1


def test_a_journal_that_does_not_verify_stays_behind(here: Home, home_of, tmp_path: Path):
    with here.database() as database:
        write_session(database, "s-2", "acc-2", held=False)
    spoil(here, t.journal, (t.journal.c.session_id == SESSION) & (t.journal.c.seq == 2), payload="{}")
    with pytest.raises(CheckpointCorrupt, match="journal row 2 of session s-1"):
        here.give(tmp_path / "x.zip", SESSION)
    assert not (tmp_path / "x.zip").exists()
    report = here.give(tmp_path / "x.zip", everything=True)
    assert [o.session.id for o in report.outcomes] == ["s-2"]
    assert "session s-1 stayed behind: journal row 2" in report.notes[0]


def test_a_cache_that_does_not_verify_stays_behind_and_is_named(here: Home, there: Home, tmp_path: Path):
    spoil(here, t.checkpoints, t.checkpoints.c.number == 1, sha256="0" * 64)
    spoil(here, t.blobs, t.blobs.c.length > 0, payload=b"rotten")
    notes = here.give(tmp_path / "x.zip").notes
    assert notes[0] == "of session s-1 stayed behind: checkpoint 1: its checksum does not match"
    assert "blob" in notes[1]
    there.take(tmp_path / "x.zip")
    found = rows(there)
    assert [row["number"] for row in found["checkpoints"]] == [2]
    assert found["blobs"] == []
    assert found["journal"] == rows(here)["journal"]


def test_one_on_alpaca_says_that_two_must_not_go_on_with_it(here: Home, tmp_path: Path):
    assert "in one place only" in here.give(tmp_path / "x.zip").notes[0]


# -- what comes in --------------------------------------------------------------------------------


def test_the_same_again_is_nothing_to_do(here: Home, there: Home, tmp_path: Path):
    here.give(tmp_path / "x.zip")
    there.take(tmp_path / "x.zip")
    before = there.content()
    assert [o.what for o in there.take(tmp_path / "x.zip").outcomes] == ["here already"]
    assert there.content() == before


def test_one_that_differs_is_refused_with_both_heads_and_nothing_comes_in(here: Home, there: Home, tmp_path: Path):
    here.give(tmp_path / "old.zip")
    with here.database() as database:
        write_session(database, "s-2", "acc-2", held=False)
    here.give(tmp_path / "both.zip", everything=True)
    there.take(tmp_path / "old.zip")
    spoil(there, t.sessions, t.sessions.c.id == SESSION, seq=4, journal_hash="f" * 64)
    before = there.content()
    with pytest.raises(StorageError, match=r"s-1 is here and differs: here journal row 4 \(f{12}\), in the file row 5"):
        there.take(tmp_path / "both.zip")
    assert there.content() == before


def test_those_that_are_new_come_in_beside_those_that_are_here(here: Home, there: Home, tmp_path: Path):
    here.give(tmp_path / "old.zip")
    there.take(tmp_path / "old.zip")
    with here.database() as database:
        write_session(database, "s-2", "acc-2", held=False)
    here.give(tmp_path / "both.zip", everything=True)
    report = there.take(tmp_path / "both.zip")
    assert [(o.session.id, o.what) for o in report.outcomes] == [("s-1", "here already"), ("s-2", "imported")]
    assert rows(there) == rows(here), "the blob that both have is there once"


def test_a_look_changes_nothing(here: Home, there: Home, home_of, tmp_path: Path):
    here.give(tmp_path / "x.zip")
    before = there.content()
    assert [o.what for o in there.take(tmp_path / "x.zip", dry_run=True).outcomes] == ["would be imported"]
    assert there.content() == before
    empty = home_of("empty")
    (tmp_path / "empty" / "gambler.sqlite3").unlink()
    assert [o.what for o in empty.take(tmp_path / "x.zip", dry_run=True).outcomes] == ["would be imported"]
    assert list((tmp_path / "empty").iterdir()) == []


@pytest.mark.parametrize("table", ["sessions", "journal", "checkpoints", "blobs", "lease"])
def test_all_or_nothing(here: Home, there: Home, tmp_path: Path, table: str):
    here.give(tmp_path / "x.zip")
    before = there.content()
    with there.database() as database, database.write() as db:
        refuse(db, "INSERT", table, "not today")
    with pytest.raises(StorageError, match=r"not today|do not fit"):
        there.take(tmp_path / "x.zip")
    assert there.content() == before


# -- the account ----------------------------------------------------------------------------------


def token_of(home: Home, account_id: str = ACCOUNT) -> tuple[int, bool]:
    [row] = [row for row in home.content()["lease"] if row["account_id"] == account_id]
    return row["token"], row["released"]


def test_the_account_is_nobodys_and_its_token_does_not_go_back(here: Home, there: Home, tmp_path: Path):
    here.give(tmp_path / "x.zip")
    there.take(tmp_path / "x.zip")
    assert token_of(there) == (TOKEN, True)
    with there.database() as database:
        assert lease.running(database, [SESSION]) == []
        held = lease.acquire(database, ACCOUNT, SESSION, "me", there.clock)
        assert held.token == TOKEN + 1
        held.close()


@pytest.mark.parametrize(("known", "after_it"), [(1, TOKEN), (9, 9)])
def test_a_token_that_is_known_here_only_rises(here: Home, there: Home, tmp_path: Path, known: int, after_it: int):
    """Its fence would refuse rows of lower tokens; they pass in this one transaction."""
    with there.database() as database, database.write() as db:
        take_account(db, ACCOUNT, "s-0", known)
    here.give(tmp_path / "x.zip")
    there.take(tmp_path / "x.zip")
    assert token_of(there)[0] == after_it
    with there.database() as database, pytest.raises(SessionLeased, match="replaced"), database.write() as db:
        add_row(db, t.journal, SESSION, seq=99, at=AT, kind="x", payload="{}", hash="0", token=after_it - 1)


def test_an_account_that_is_traded_here_is_left_alone(here: Home, there: Home, tmp_path: Path):
    here.give(tmp_path / "x.zip")
    with there.database() as database:
        held = lease.acquire(database, ACCOUNT, "s-0", "pid 7 on there", there.clock)
        before = there.content()
        with pytest.raises(SessionLeased, match="is traded by pid 7 on there"):
            there.take(tmp_path / "x.zip")
        assert there.content() == before
        with held.writing(database):
            pass
        held.close()
    there.take(tmp_path / "x.zip")
    assert token_of(there)[0] == TOKEN


def test_an_entry_that_another_session_has_under_way_in_that_symbol_is_named(here: Home, there: Home, tmp_path: Path):
    spoil(here, t.intents, t.intents.c.symbol == "AAPL", status="working")
    here.give(tmp_path / "x.zip")
    with there.database() as database:
        write_session(database, "s-0", held=False)
        with database.write() as db, here.database() as other, other.read() as mine:
            row = dict(mine.execute(sa.select(t.intents)).mappings().one())
            db.execute(t.intents.insert(), row | {"session_id": "s-0", "client_order_id": "another"})
    before = there.content()
    with pytest.raises(StorageError, match="rows of intents of session s-1 do not fit beside what is there"):
        there.take(tmp_path / "x.zip")
    assert there.content() == before


# -- the embedded exchange ------------------------------------------------------------------------


@pytest.fixture
def embedded(home_of: NewHome) -> Home:
    found = home_of("embedded")
    account_id = found.open_account(SESSION)
    with found.database() as database:
        write_session(database, SESSION, account_id, broker="embedded", held=False)
    return found


def keys(path: Path) -> tuple[str, str]:
    exchange = Exchange.open(path)
    found = exchange.account_id, exchange.secret_key
    exchange.close()
    return found


def test_its_account_moves_too_and_its_secret_does_not(embedded: Home, there: Home, tmp_path: Path):
    mine, its = (exchange_file(home.settings, SESSION) for home in (embedded, there))
    account_id, secret = keys(mine)
    embedded.give(tmp_path / "x.zip")
    with zipfile.ZipFile(tmp_path / "x.zip") as found:
        content = b"".join(found.read(name) for name in found.namelist())
    assert not [at for at in range(len(secret) - 7) if secret[at : at + 8].encode() in content], "a free page"
    there.take(tmp_path / "x.zip")
    assert (stat.S_IMODE(its.stat().st_mode), stat.S_IMODE(its.parent.stat().st_mode)) == (0o600, 0o700)
    assert keys(its)[0] == account_id
    assert len(keys(its)[1]) == len(secret)
    assert keys(its)[1] != secret
    assert keys(its) == keys(its), "what was drawn is kept"


def test_without_it_there_is_no_export(embedded: Home, tmp_path: Path):
    exchange_file(embedded.settings, SESSION).unlink()
    with pytest.raises(ConfigError, match="the exchange account of session s-1 is gone"):
        embedded.give(tmp_path / "x.zip")
    assert not (tmp_path / "x.zip").exists()


def test_a_file_that_is_in_the_way_is_not_written_over(embedded: Home, there: Home, tmp_path: Path):
    embedded.give(tmp_path / "x.zip")
    there.open_account(SESSION)
    path = exchange_file(there.settings, SESSION)
    before = there.content(), path.read_bytes()
    with pytest.raises(StorageError, match=r"s-1\.sqlite3 is in the way of session s-1"):
        there.take(tmp_path / "x.zip")
    assert (there.content(), path.read_bytes()) == before
    path.rename(f"{path}-wal")
    with pytest.raises(StorageError, match=r"s-1\.sqlite3-wal is in the way"):
        there.take(tmp_path / "x.zip")


def test_after_a_failure_it_is_gone_and_after_a_kill_it_is_found_again(embedded: Home, there: Home, tmp_path: Path):
    embedded.give(tmp_path / "x.zip")
    path = exchange_file(there.settings, SESSION)
    with there.database() as database, database.write() as db:
        refuse(db, "INSERT", "journal", "not today")
    with pytest.raises(StorageError):
        there.take(tmp_path / "x.zip")
    assert list(path.parent.iterdir()) == []
    with there.database() as database, database.write() as db:
        db.execute(sa.text("DROP TRIGGER refuse" + (" ON journal" if db.dialect.name == "postgresql" else "")))
    with zipfile.ZipFile(tmp_path / "x.zip") as found:  # a kill between the file and the rows
        path.write_bytes(found.read(f"exchange/{SESSION}.sqlite3"))
    there.take(tmp_path / "x.zip")
    assert rows(there) == rows(embedded)


def test_it_is_copied_while_somebody_writes_into_it(embedded: Home, there: Home, tmp_path: Path):
    """It may be newer than the rows, never torn."""
    path = exchange_file(embedded.settings, SESSION)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE meta SET value = 'torn'")
        embedded.give(tmp_path / "x.zip")
        db.execute("ROLLBACK")
    there.take(tmp_path / "x.zip")
    assert keys(exchange_file(there.settings, SESSION))[0] == keys(path)[0]


# -- files of earlier programs --------------------------------------------------------------------

EXPORTS = Path(__file__).parent / "exports"


@pytest.mark.parametrize("name", sorted(path.name for path in EXPORTS.iterdir()))
def test_a_file_that_an_earlier_program_wrote_is_read(there: Home, name: str):
    """A file for each format and schema that there was; none is ever written anew.

    A schema that a row of it does not fit wants a step in `storage/rows.py`.
    """
    report = there.take(EXPORTS / name)
    assert [(o.session.id, o.what) for o in report.outcomes] == [("s-1", "imported"), ("s-2", "imported")]
    found = there.content()
    assert {row["id"]: row["journal_hash"] for row in found["sessions"]} == {
        "s-1": "020f6b6b6f19f9ded492fa7a813bf5c4b55d2cfd114d2e6edd05c79b196585a0",
        "s-2": "21c6bbacd2ea3bbe61dffe983a4f1ad693b9cfd6a1be8426e7c2ba91ded5dfc2",
    }
    assert [(row["symbol"], row["qty"], row["stop_price"]) for row in found["positions"]] == [("AAPL", 10, 98)]
    assert [row["length"] for row in found["blobs"]] == [len(MEMORY)]
    with there.database() as database, database.read() as db:
        restored = restore(database, sessions.find(db, "s-1"))
    assert set(restored.state.positions) == {"AAPL"}
    assert keys(exchange_file(there.settings, "s-2"))[0] == found["lease"][1]["account_id"]
