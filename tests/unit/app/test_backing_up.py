"""A backup, a look at it, and the way back, on each kind of database: whole or refused, and nothing is ever deleted."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from gambler_ai.app import backing_up, restoring
from gambler_ai.app.checks.row import Row
from gambler_ai.clock import ManualClock, SystemClock
from gambler_ai.config import Settings, load
from gambler_ai.core import events as ev
from gambler_ai.errors import ConfigError, SessionLeased, StorageError
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.storage import lease, migrate, sessions
from gambler_ai.storage import tables as t
from gambler_ai.storage.database import Database
from gambler_ai.storage.lease import Lease
from gambler_ai.storage.locks import lock_of, locked_file
from gambler_ai.trading.ledger import Ledger
from gambler_ai.trading.recovery import restore
from tests.databases import BACKENDS, postgres_only, sqlite_only
from tests.postgres import installed
from tests.unit.fakes import ACCOUNT, AT, SESSION, Desk, make_state
from tests.unit.storage.conftest import add

WALL = ManualClock(datetime(2026, 11, 22, 12, 0, tzinfo=UTC))
DUMMY = "exchange/s-1.sqlite3"


@pytest.fixture(params=BACKENDS)
def backend(request) -> str:
    return str(request.param)


@pytest.fixture
def settings(backend, home, request, monkeypatch) -> Settings:
    """An empty state directory; on Postgres the programs of the server's own version are on the PATH."""
    if backend == "postgres":
        monkeypatch.setenv("PATH", f"{installed()}{os.pathsep}{os.environ['PATH']}")
        return load({"database_url": request.getfixturevalue("migrated_url")})
    return load({})


@pytest.fixture
def database(settings) -> Iterator[Database]:
    """With one session, which has traded."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    opened = Database(settings.database)
    opened.prepare()
    add(opened, make_state())
    traded(opened)
    yield opened
    opened.close()


def traded(database: Database, *, times: int = 1) -> None:
    """Its runner takes it, writes, and gives it back."""
    for _ in range(times):
        held = taken(database)
        with database.read() as db:
            info = sessions.find(db, SESSION)
        found = restore(database, info)
        ledger = Ledger(database, held, found.state, head=found.head, created=info.checkpoints, wall=WALL)
        desk = Desk(state=found.state)
        ledger.commit(desk.engine.record(ev.RunStarted(AT, 60.0, resumed=False, token=held.token)), checkpoint=True)
        ledger.release()


def taken(database: Database) -> Lease:
    return lease.acquire(database, ACCOUNT, SESSION, lease.signature(WALL.now()), SystemClock())


def backup(settings: Settings, where: str | None = None, keep: int | None = None, at: int = 0) -> Path:
    clock = ManualClock(WALL.now() + timedelta(seconds=at))
    return Path(backing_up.backup(settings, where, keep, clock).path)


def seq(settings: Settings) -> int:
    with closing(Database(settings.database)) as database, database.read() as db:
        return sessions.find(db, SESSION).seq


def verdict(rows: Iterator[Row]) -> dict[str, str]:
    return {row.name: row.status for row in rows}


def test_what_comes_back_is_what_there_was(settings, database):
    made = backing_up.backup(settings, None, None, WALL)
    name = "test" if database.path is None else "gambler"
    assert Path(made.path).parent == settings.state_dir / "backups"
    assert Path(made.path).name.startswith(name)
    assert made.path.endswith("-20261122-120000.tar.gz")
    assert stat.S_IMODE(Path(made.path).stat().st_mode) == 0o600
    assert "fail" not in verdict(backing_up.verify(settings, made.path)).values()
    before = seq(settings)
    traded(database)
    database.close()
    done = restoring.restore(settings, made.path, WALL, replace=True)
    assert seq(settings) == before == made.manifest.sessions[0].seq
    assert len(done.kept) == 1
    assert "fail" not in verdict(backing_up.verify(settings, None)).values()


def test_a_restored_session_is_told_that_its_books_are_old(settings, database):
    taken_at = backup(settings)
    database.close()
    restoring.restore(settings, str(taken_at), WALL, replace=True)
    with closing(Database(settings.database)) as again, again.read() as db:
        [request] = db.execute(sa.select(t.requests)).mappings()
        [row] = db.execute(sa.select(t.lease)).mappings()
    assert (request["kind"], request["session_id"], request["taken_at"]) == (ev.RECALL, SESSION, None)
    assert "2026-11-22 12:00:00" in request["reason"]
    assert row["released"]


def test_an_owner_from_before_the_restore_is_fenced_whatever_token_it_had(settings, database):
    """Its token would be handed out again, and where it gets the lock back the token is all that tells it."""
    file = backup(settings)
    traded(database, times=3)
    old = taken(database)
    old.close()  # its machine has lost the lock, and it does not know
    restoring.restore(settings, str(file), WALL, replace=True)
    again = Database(settings.database)
    new = taken(again)
    assert new.token > old.token
    new.close()
    lock = lock_of(again, ACCOUNT)
    assert lock.take("the old one", SystemClock())
    thawed = Lease(ACCOUNT, old.token, lock, SystemClock(), 0.0)
    with pytest.raises(SessionLeased, match="replaced"), thawed.writing(again):
        pass
    thawed.close()
    again.close()


def test_the_token_of_a_second_restore_is_above_the_first(settings, database):
    file = backup(settings)
    database.close()
    tokens = [
        restoring.restore(settings, str(file), ManualClock(WALL.now() + timedelta(hours=n)), replace=True).token
        for n in (0, 0, 1)
    ]
    assert tokens == sorted(set(tokens))


@sqlite_only
def test_a_database_with_sessions_is_replaced_only_when_that_is_said(settings, database):
    file = backup(settings)
    traded(database)
    before = seq(settings)
    database.close()
    with pytest.raises(StorageError, match="holds 1 session") as caught:
        restoring.restore(settings, str(file), WALL)
    assert "--replace" in caught.value.hint
    assert seq(settings) == before


def test_nothing_is_restored_under_an_owner_that_lives(settings, database):
    file = backup(settings)
    held = taken(database)
    with pytest.raises(SessionLeased, match="pid"):
        restoring.restore(settings, str(file), WALL, replace=True)
    held.close()
    restoring.restore(settings, str(file), WALL, replace=True)


class Interrupted(ManualClock):
    """At each look at it somebody else acts."""

    def __init__(self, act: Callable[[int], None]) -> None:
        super().__init__(WALL.now())
        self.act, self.looks = act, 0

    def now(self) -> datetime:
        self.looks += 1
        self.act(self.looks)
        return super().now()


def silent(database: Database) -> None:
    """Its runner was killed an hour ago."""
    taken(database).close()
    with database.write() as db:
        db.execute(t.lease.update().values(until=AT, until_s=0.0))


def test_whoever_starts_during_a_restore_is_refused_however_long_the_last_owner_was_silent(settings, database):
    """The row names an owner that is dead; the lock is the restore's, and a start must not take that for silence."""
    file = backup(settings)
    silent(database)
    refused = []

    def start(look: int) -> None:
        if look > 1:  # the first names the restore; with the second it has all it needs
            with pytest.raises(SessionLeased, match="is traded by db restore, pid") as caught:
                taken(database)
            refused.append(caught.value)

    restoring.restore(settings, str(file), Interrupted(start), replace=True)
    assert refused
    with closing(Database(settings.database)) as again:
        taken(again).close()


def test_a_restore_whose_lock_was_taken_puts_nothing_in_place(settings, database):
    file = backup(settings)
    traded(database)
    silent(database)
    before = seq(settings)
    other = lock_of(database, ACCOUNT)

    def seize(look: int) -> None:
        if look == 2:
            other.seize("pid 7 on there")

    with pytest.raises(SessionLeased, match="was taken by pid 7 on there during the restore"):
        restoring.restore(settings, str(file), Interrupted(seize), replace=True)
    assert seq(settings) == before
    assert not list(settings.state_dir.glob("*.replaced*"))
    other.close()


@sqlite_only
def test_an_account_that_nobody_knew_of_before_is_looked_for_too(settings, database):
    file = backup(settings)
    before = seq(settings)
    other = settings.state_dir / "gambler.sqlite3.abcdef012345.lock"
    held = ExitStack()

    def begin(look: int) -> None:
        if look == 2:
            other.write_text("pid 7 on there")
            held.enter_context(locked_file(other, "it"))

    with held, pytest.raises(SessionLeased, match="in use by pid 7 on there"):
        restoring.restore(settings, str(file), Interrupted(begin), replace=True)
    assert seq(settings) == before
    assert not list(settings.state_dir.glob("*.replaced*"))


@postgres_only
@pytest.mark.parametrize(
    "deed",
    [
        "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database AS d ON d.oid = database"
        " WHERE locktype = 'advisory' AND datname = current_database()",
        "INSERT INTO lease SELECT 'acc-2', 1, session_id, owner, acquired_at, until, false, until_s FROM lease",
    ],
    ids=["our lock is gone", "another account was begun"],
)
def test_the_server_looks_once_more_in_the_transaction_that_replaces(settings, database, monkeypatch, tmp_path, deed):
    """Between our last look and the server's: as `psql` starts."""
    file = backup(settings)
    traded(database)
    before = seq(settings)
    psql = tmp_path / "psql"
    psql.write_text(
        f'#!/bin/sh\nfor last; do :; done\n[ "$1" = --version ] || {installed()}/psql --quiet -c "{deed}" "$last"'
        f' >/dev/null\nexec {installed()}/psql "$@"\n'
    )
    psql.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(SessionLeased, match="was taken by another runner during the restore"):
        restoring.restore(settings, str(file), WALL, replace=True)
    assert seq(settings) == before


def test_the_token_of_an_account_that_the_backup_has_no_lease_of_goes_on_too(settings, database):
    """Its first lease came after the backup; without a row the next would have the token of that one again."""
    with database.write() as db:
        db.execute(t.lease.delete())
    file = backup(settings)
    old = taken(database)
    old.close()
    with database.write() as db:  # of an account that only this database knows
        db.execute(t.lease.insert(), {"account_id": "acc-2", "token": 5, "session_id": "s-2", "owner": "x",
                                      "acquired_at": AT, "until": AT, "released": True})  # fmt: skip
    done = restoring.restore(settings, str(file), WALL, replace=True)
    with closing(Database(settings.database)) as again:
        with again.read() as db:
            rows = {row["account_id"]: row for row in db.execute(sa.select(t.lease)).mappings()}
        assert {name: row["token"] for name, row in rows.items()} == {ACCOUNT: done.token, "acc-2": done.token}
        assert all(row["released"] for row in rows.values())
        assert rows[ACCOUNT]["acquired_at"] == WALL.now()
        new = taken(again)
        assert new.token > old.token
        new.close()


@sqlite_only
def test_a_changed_byte_is_found_and_nothing_is_restored(settings, database):
    file = backup(settings)
    before = seq(settings)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert "fail" in verdict(backing_up.verify(settings, str(file))).values()
    database.close()
    with pytest.raises(StorageError, match="damaged"):
        restoring.restore(settings, str(file), WALL, replace=True)
    assert seq(settings) == before
    assert not list(settings.state_dir.glob("*.replaced*"))


@sqlite_only
def test_only_backups_of_ours_go_and_the_newest_stay(settings, database):
    first = backup(settings)
    folder = first.parent
    names = ("notes.tar.gz", first.name.replace("120000", "110000"), "zzz-20200101-000000.tar.gz")
    others = [folder / name for name in names]
    for other in others:
        other.write_bytes(b"somebody else's")
    second = backup(settings, keep=2, at=1)
    third = backup(settings, keep=2, at=2)
    assert set(folder.iterdir()) == {second, third, *others}


def test_what_it_has_kept_before_goes(settings, database, tmp_path):
    place = str(tmp_path / "folder")
    backup(settings, place)
    backup(settings, place, at=1)
    traded(database)
    newest = backup(settings, place, keep=1, at=2)
    assert set((tmp_path / "folder").iterdir()) == {newest}


@sqlite_only
def test_of_two_databases_in_one_folder_each_keeps_its_own(settings, database, tmp_path):
    """Of one name, and even with one session that each of them went on with."""
    place, folder = str(tmp_path / "shared"), tmp_path / "shared"
    first = backup(settings, place)
    there = Settings.model_validate({"home": str(tmp_path / "there")})
    restoring.restore(there, str(first), WALL)
    with closing(Database(there.database)) as other:
        traded(other, times=2)
    theirs = backup(there, place, at=1)
    assert theirs.name.rpartition("-")[0] == first.name.rpartition("-")[0]
    traded(database)
    second = backup(settings, place, keep=1, at=2)
    assert set(folder.iterdir()) == {theirs, second}, "it went further than ours"
    traded(database, times=3)
    third = backup(settings, place, keep=1, at=3)
    assert set(folder.iterdir()) == {theirs, third}, "ours went further, and another way"


@sqlite_only
def test_two_backups_at_once_have_two_names(settings, database, tmp_path):
    """The other one has put its own where this one wanted to, while this one was being made."""
    folder = tmp_path / "shared"
    first = backup(settings, str(folder))
    content = first.read_bytes()
    first.unlink()

    def other(_done: int, _total: int) -> None:
        first.write_bytes(content)

    second = Path(backing_up.backup(settings, str(folder), None, WALL, other).path)
    assert second.name == first.name.replace(".tar.gz", "-2.tar.gz")
    assert first.read_bytes() == content
    named = folder / "named.tar.gz"
    with pytest.raises(StorageError, match="is there already"):
        backing_up.backup(settings, str(named), None, WALL, lambda _d, _t: named.write_bytes(b"theirs") and None)
    assert named.read_bytes() == b"theirs"


@sqlite_only
def test_a_folder_means_its_newest_and_a_file_is_not_written_over(settings, database, tmp_path):
    file = backup(settings, str(tmp_path / "here.tar.gz"))
    assert file == tmp_path / "here.tar.gz"
    with pytest.raises(StorageError, match="is there already"):
        backup(settings, str(file))
    with pytest.raises(ConfigError, match="--keep"):
        backup(settings, str(tmp_path / "other.tar.gz"), keep=1)
    with pytest.raises(StorageError, match="there is no backup of"):
        restoring.restore(settings, str(tmp_path), WALL, replace=True)
    backup(settings, str(tmp_path))
    newest = backup(settings, str(tmp_path), at=5)
    database.close()
    assert restoring.restore(settings, str(tmp_path), WALL, replace=True).path == str(newest)


@sqlite_only
def test_a_file_in_the_journal_that_was_changed_is_no_backup(settings, database):
    with database.write() as db:
        db.execute(t.journal.update().values(payload=t.journal.c.payload + " "))
    with pytest.raises(StorageError, match="does not verify"):
        backup(settings)
    assert not list(settings.state_dir.rglob("*.tar.gz"))
    assert verdict(backing_up.verify(settings, None))["session"] == "fail"


@sqlite_only
def test_looking_changes_nothing(settings, database):
    file = backup(settings)
    database.close()
    before = {p: p.read_bytes() for p in settings.state_dir.rglob("*") if p.is_file()}
    for where in (None, str(file)):
        assert "fail" not in verdict(backing_up.verify(settings, where)).values()
    assert {p: p.read_bytes() for p in settings.state_dir.rglob("*") if p.is_file()} == before


def keys(path: Path) -> tuple[str, str]:
    with closing(Exchange.open(path, account=SESSION)) as exchange:
        return exchange.secret_key, exchange.account_id


@sqlite_only
def test_the_exchanges_accounts_come_along_and_go_back(settings, database):
    account = settings.state_dir / DUMMY
    account.parent.mkdir()
    secret, _id = keys(account)
    made = backing_up.backup(settings, None, None, WALL)
    assert [part.name for part in made.manifest.parts] == ["database.sqlite3", DUMMY]
    with tarfile.open(made.path) as tar:
        assert tar.getnames() == ["manifest.json", "database.sqlite3", DUMMY]
        file = tar.extractfile(DUMMY)
        assert file is not None
        content = file.read()
    assert not [at for at in range(len(secret) - 7) if secret[at : at + 8].encode() in content], "a free page"
    assert keys(account)[0] == secret, "it is as it was"
    database.close()
    shutil.rmtree(account.parent)
    done = restoring.restore(settings, made.path, WALL, replace=True)
    assert len(done.kept) == 1
    drawn = keys(account)
    assert (len(drawn[0]), drawn[1]) == (len(secret), _id)
    assert drawn[0] != secret
    assert keys(account) == drawn, "what was drawn is kept"
    kept = restoring.restore(settings, made.path, ManualClock(WALL.now() + timedelta(hours=1)), replace=True).kept
    assert [Path(name).parent.name for name in kept] == ["gambler_ai", "exchange"]


@sqlite_only
def test_an_account_that_was_only_just_begun_is_no_reason_against_a_backup(settings, database):
    """A kill right after its file was made leaves it empty; the resume goes on from there."""
    account = settings.state_dir / DUMMY
    account.parent.mkdir()
    account.touch(0o600)
    made = backing_up.backup(settings, None, None, WALL)
    database.close()
    account.unlink()
    restoring.restore(settings, made.path, WALL, replace=True)
    assert keys(account)[0]


@sqlite_only
def test_an_account_that_is_served_is_not_replaced(settings, database):
    account = settings.state_dir / DUMMY
    account.parent.mkdir()
    exchange = Exchange.open(account, account=SESSION)
    file = backup(settings)
    database.close()
    with pytest.raises(SessionLeased, match="in use by another process"):
        restoring.restore(settings, str(file), WALL, replace=True)
    exchange.close()


@sqlite_only
def test_a_damaged_database_is_replaced_and_kept(settings, database):
    file = backup(settings)
    database.close()
    path = settings.state_dir / "gambler.sqlite3"
    path.write_bytes(path.read_bytes()[:8192])
    with pytest.raises(StorageError):
        backup(settings)
    [kept] = restoring.restore(settings, str(file), WALL, replace=True).kept
    assert Path(kept).stat().st_size == 8192
    assert seq(settings) == 1


@sqlite_only
def test_a_log_left_beside_what_was_there_is_not_read_into_the_restored_one(settings, database):
    file = backup(settings)
    path = settings.state_dir / "gambler.sqlite3"
    traded(database)
    copy = {suffix: Path(f"{path}{suffix}").read_bytes() for suffix in ("", "-wal")}
    assert copy["-wal"], "what was last written is in the log alone"
    database.close()
    for suffix, content in copy.items():  # as a kill leaves it
        Path(f"{path}{suffix}").write_bytes(content)
    [kept] = restoring.restore(settings, str(file), WALL, replace=True).kept
    assert seq(settings) == 1
    with closing(sqlite3.connect(kept)) as db:
        assert db.execute("SELECT seq FROM sessions").fetchone() == (2,), "nothing of it is lost"


@postgres_only
def test_what_was_there_is_kept_in_a_schema_of_its_own(settings, database):
    file = backup(settings)
    traded(database)
    [kept] = restoring.restore(settings, str(file), WALL, replace=True).kept
    with database.read() as db:
        assert db.execute(sa.text(f"SELECT seq FROM {kept.removeprefix('schema ')}.sessions")).scalar_one() == 2
    assert seq(settings) == 1
    traded(database)  # with its fence around it
    row = {"session_id": SESSION, "seq": 99, "at": AT, "kind": "x", "payload": "{}", "hash": "0" * 64, "token": 1}
    with pytest.raises(SessionLeased), database.write() as db:
        db.execute(t.journal.insert(), row)


@postgres_only
def test_a_restore_that_fails_half_way_changes_nothing(settings, database):
    """Something of another's has a name that one of our tables needs: all before it is taken back."""
    file = backup(settings)
    with database.write() as db:
        for statement in ("DROP SCHEMA public CASCADE", "CREATE SCHEMA public", "CREATE TYPE requests AS (a int)"):
            db.execute(sa.text(statement))
    with pytest.raises(StorageError, match=r"psql failed: .*requests"):
        restoring.restore(settings, str(file), WALL)
    assert database.revision() is None


def test_a_backup_goes_back_to_its_own_kind(settings, database, backend, request, monkeypatch, tmp_path):
    file = backup(settings)
    url = (
        f"sqlite:///{tmp_path / 'x.sqlite3'}" if backend == "postgres" else "postgresql+psycopg://nobody@127.0.0.1:1/x"
    )
    with pytest.raises(ConfigError, match="goes back to its own kind") as caught:
        restoring.restore(load({"database_url": url}), str(file), WALL)
    assert "state export" in caught.value.hint
    assert not (tmp_path / "x.sqlite3").exists()


@sqlite_only
def test_an_empty_database_has_nothing_to_back_up(settings, tmp_path):
    empty = load({"database_url": f"sqlite:///{tmp_path / 'empty.sqlite3'}"})
    with pytest.raises(StorageError, match="there is no database"):
        backup(empty)
    Database(empty.database).close()
    with pytest.raises(StorageError, match="holds nothing yet"):
        backup(empty)


@sqlite_only
@pytest.mark.parametrize("revision", ["0004", "0001"])
def test_a_copy_that_sqlite_or_an_upgrade_made_is_restored_as_well(settings, database, tmp_path, revision):
    with database.write() as db:
        migrate.run(db, revision, down=True)
    database.close()
    with closing(sqlite3.connect(settings.state_dir / "gambler.sqlite3")) as source:
        source.execute("VACUUM INTO ?", (str(tmp_path / "copy.sqlite3"),))
    assert "fail" not in verdict(backing_up.verify(settings, str(tmp_path / "copy.sqlite3"))).values()
    restoring.restore(settings, str(tmp_path / "copy.sqlite3"), WALL, replace=True)
    with closing(Database(settings.database)) as again:
        assert again.revision() == revision
        again.prepare()
    assert seq(settings) == 1
