"""From an older schema to ours and back: after a copy that was compared, or not at all."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gambler_ai.clock import ManualClock
from gambler_ai.core.state import Changes
from gambler_ai.errors import ConfigError, SchemaMismatch, SessionLeased, StorageError
from gambler_ai.storage import journal, locks, migrate, sessions, upgrade, views
from gambler_ai.storage.database import Database
from gambler_ai.storage.tables import SCHEMA_HEAD, metadata
from tests.databases import postgres_only, sqlite_only
from tests.unit.app.moved import TOKEN, write_session
from tests.unit.condor import condor
from tests.unit.fakes import AT, SESSION, make_state
from tests.unit.storage.conftest import add

OLDER = "0001"


@pytest.fixture
def older(url: str) -> Iterator[Database]:
    """A database of the first schema, with a session in it."""
    database = Database(url)
    database.prepare()
    add(database, make_state())
    with database.write() as db:
        migrate.run(db, OLDER, down=True)
    yield database
    database.close()


def files(database: Database) -> dict[str, bytes]:
    """What is in the database's folder; nothing on Postgres."""
    folder = database.path.parent if database.path is not None else None
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())} if folder is not None else {}


def copies(database: Database) -> list[str]:
    """Where copies are: files beside it, schemas in it."""
    if database.path is not None:
        return sorted(str(p) for p in database.path.parent.glob("*.before-*"))
    with database.read() as db:
        return [f"schema {n}" for n in sorted(sa.inspect(db).get_schema_names()) if n.startswith("gambler_before")]


def kept(database: Database, copy: str) -> tuple[str, list[str]]:
    """The revision and the sessions in a copy."""
    queries = "SELECT version_num FROM {}alembic_version", "SELECT id FROM {}sessions"
    if database.path is not None:
        file = sqlite3.connect(copy)
        [revision], ids = (file.execute(q.format("")).fetchall() for q in queries)
        file.close()
    else:
        prefix = copy.removeprefix("schema ") + "."
        with database.read() as db:
            [revision], ids = (list(db.execute(sa.text(q.format(prefix)))) for q in queries)
    return revision[0], [row[0] for row in ids]


def test_an_older_schema_is_upgraded_after_a_copy_and_said_in_one_line(older):
    said = older.prepare()
    [copy] = copies(older)
    assert said == f"{older.name}: schema {SCHEMA_HEAD}, was {OLDER}; a copy of it as it was: {copy}"
    assert kept(older, copy) == (OLDER, ["s-1"])
    with older.read() as db:
        assert [s.id for s in sessions.listed(db)] == ["s-1"]
    assert older.revision() == SCHEMA_HEAD
    assert older.prepare() == ""
    assert copies(older) == [copy]


#: What 0005 added, in tables that were there.
NEW: dict[str, dict[str, Any]] = {
    "sessions": {"iteration": 0}, "intents": {"structure_id": None},
    "positions": {"structure_id": None, "greeks": None},
    "closed_trades": {"multiplier": 1, "structure_id": None},
}  # fmt: skip


def rows_of(database: Database) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table that is ours."""
    with database.read() as db:
        return {
            table.name: [dict(row) for row in db.execute(sa.select(table).order_by(*table.primary_key)).mappings()]
            for table in metadata.sorted_tables
        }


def test_what_was_stored_before_there_were_structures_is_the_same_after_it_and_they_can_be_stored(url):
    database = Database(url)
    database.prepare()
    state = write_session(database)
    before = rows_of(database) | {"structures": []}
    for table, columns in NEW.items():
        before[table] = [row | columns for row in before[table]]
    database.downgrade("0004")
    assert len(copies(database)) == 1, "what an older schema has no room for is in the copy"
    database.prepare()
    assert rows_of(database) == before
    state.structures["ga1-condor"] = condor()
    with database.write() as db:
        journal.append(db, state, [], Changes(structures={"ga1-condor"}), journal.GENESIS, TOKEN)
        assert [row.structure for row in views.structures(db, SESSION)] == [condor()]
    with pytest.raises(SessionLeased, match="replaced"), database.write() as db:
        journal.append(db, state, [], Changes(structures={"ga1-condor"}), journal.GENESIS, TOKEN - 1)
    database.close()


@sqlite_only
def test_the_copy_is_private_named_by_revision_and_time_and_whole_without_a_log(older):
    older.prepare()
    [copy] = [Path(name) for name in copies(older)]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert copy.name.startswith(f"gambler.sqlite3.before-{OLDER}-20")
    db = sqlite3.connect(copy)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()
    assert not list(copy.parent.glob("*copying*"))


@sqlite_only
def test_half_a_copy_that_a_kill_left_is_made_anew(older):
    half = older.path.with_name(f"{older.path.name}.copying")
    half.write_text("half")
    older.prepare()
    assert not half.exists()
    assert kept(older, copies(older)[0])[0] == OLDER


@sqlite_only
def test_without_room_for_a_copy_nothing_is_upgraded(older):
    older.path.with_name(f"{older.path.name}.copying").mkdir()  # a file of that name cannot be made
    with pytest.raises(StorageError, match=r"no copy of .* could be made, and nothing was changed"):
        older.prepare()
    assert older.revision() == OLDER
    assert copies(older) == []


def test_up_and_down_and_up_keeps_a_copy_each_time(older):
    older.prepare()
    changed = older.downgrade(OLDER)
    assert changed is not None
    assert (changed.before, changed.after) == (SCHEMA_HEAD, OLDER)
    assert kept(older, changed.copy) == (SCHEMA_HEAD, ["s-1"])
    assert older.downgrade(OLDER) is None
    older.prepare()
    assert len(copies(older)) == len(set(copies(older))) == 3


def test_down_to_nothing_keeps_everything_in_the_copy(older):
    older.prepare()
    changed = older.downgrade("base")
    assert changed is not None
    assert older.revision() is None
    assert kept(older, changed.copy) == (SCHEMA_HEAD, ["s-1"])
    assert older.downgrade("base") is None
    assert older.prepare() == ""
    assert older.revision() == SCHEMA_HEAD


@pytest.mark.parametrize(
    ("to", "says"), [("0815", "there is no schema '0815'"), (SCHEMA_HEAD, f"schema {SCHEMA_HEAD} is newer than")]
)
def test_a_downgrade_goes_down_to_what_there_is(older, to, says):
    with pytest.raises(ConfigError, match=says):
        older.downgrade(to)
    assert (older.revision(), copies(older)) == (OLDER, [])


@pytest.mark.parametrize("versions", [["9999"], ["0001", "0002"]], ids=["newer", "several heads"])
def test_a_schema_that_is_not_known_is_refused_and_nothing_is_changed(database, versions):
    with database.write() as db:
        db.execute(sa.text("DELETE FROM alembic_version"))
        for version in versions:
            db.execute(sa.text("INSERT INTO alembic_version VALUES (:v)"), {"v": version})
    copy_of = database.path and database.path.with_name("elsewhere.sqlite3")
    if copy_of is not None:  # as a kill leaves it: what was written last is in the log only
        for end in ("", "-wal"):
            source = database.path.with_name(database.path.name + end)
            copy_of.with_name(copy_of.name + end).write_bytes(source.read_bytes())
    again = Database(f"sqlite:///{copy_of}" if copy_of else database.url.render_as_string(hide_password=False))
    before = {name: data for name, data in files(again).items() if not name.endswith("-shm")}
    for refused in (again.prepare, again.upgrade, again.check, lambda: again.downgrade(OLDER)):
        with pytest.raises(SchemaMismatch, match=r"9999|several schemas at once"):
            refused()
    assert copies(again) == []
    again.close()
    after = {name: data for name, data in files(again).items() if not name.endswith("-shm")}
    assert after == before


def test_a_database_that_a_runner_works_on_is_not_upgraded(older):
    held = locks.lock_of(older, "acc-1")
    assert held.take("pid 42 on here", ManualClock(AT))
    with older.write() as db:
        values = "'acc-1', 1, 's-1', 'pid 42 on here', '2008-10-07 14:00Z', '2008-10-07 14:00Z', :no"
        columns = "account_id, token, session_id, owner, acquired_at, until, released"
        db.execute(sa.text(f"INSERT INTO lease ({columns}) VALUES ({values})"), {"no": False})
    with pytest.raises(SessionLeased, match="account acc-1 is traded by pid 42 on here"):
        older.prepare()
    assert (older.revision(), copies(older)) == (OLDER, [])
    held.close()
    assert older.prepare()


def test_a_migration_that_fails_leaves_the_older_schema(older):
    with older.write() as db:
        db.execute(sa.text("CREATE VIEW requests AS SELECT 1 AS mine"))
    with pytest.raises(StorageError, match="already exists"):
        older.prepare()
    assert older.revision() == OLDER
    with older.read() as db:
        columns = {c["name"] for c in sa.inspect(db).get_columns("intents")}
    assert "market_day" not in columns


@postgres_only
def test_a_copy_that_cannot_be_made_stops_it(older, postgres):
    """The role may use its tables and may make no schema."""
    name = older.url.database
    postgres.execute(f"REVOKE CREATE ON DATABASE {name} FROM gambler", f"ALTER DATABASE {name} OWNER TO postgres")
    postgres.execute(
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO gambler", "GRANT ALL ON SCHEMA public TO gambler", database=name
    )
    poor = Database(postgres.tcp_url(name))
    with pytest.raises(StorageError, match="permission denied for database") as caught:
        poor.prepare()
    assert "CREATE" in caught.value.hint
    assert poor.revision() == OLDER
    poor.close()


@postgres_only
def test_a_copy_that_lost_a_row_is_no_copy(older):
    body = """BEGIN IF to_regclass('gambler_before_0001.sessions') IS NOT NULL THEN
      DELETE FROM gambler_before_0001.sessions; END IF; END"""
    with older.write() as db:
        db.execute(sa.text(f"CREATE FUNCTION lose() RETURNS event_trigger LANGUAGE plpgsql AS $$ {body} $$"))
        db.execute(sa.text("CREATE EVENT TRIGGER lose ON ddl_command_end EXECUTE FUNCTION lose()"))
    with pytest.raises(StorageError, match="is not a whole copy; nothing was changed"):
        older.prepare()
    assert (older.revision(), copies(older)) == (OLDER, [])


@sqlite_only
@pytest.mark.parametrize("damage", ["a row", "a page"])
def test_a_file_that_is_not_the_same_is_no_copy(older, damage):
    older.prepare()
    [copy] = [Path(name) for name in copies(older)]
    rows = {"sessions": 1, "alembic_version": 1}
    upgrade.check_copy(copy, rows)
    if damage == "a row":
        with sqlite3.connect(copy) as db:
            db.execute("DELETE FROM sessions")
        db.close()
    else:
        data = bytearray(copy.read_bytes())
        data[4096:8192] = b"x" * 4096
        copy.write_bytes(data)
    with pytest.raises((StorageError, sqlite3.DatabaseError), match=r"not a whole copy|malformed"):
        upgrade.check_copy(copy, rows)
