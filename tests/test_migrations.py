"""What the migrations build is what tables.py declares, on the way up, down and up again."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from gambler_ai.errors import StorageError
from gambler_ai.storage import migrate
from gambler_ai.storage.database import Database
from gambler_ai.storage.tables import SCHEMA_HEAD, metadata

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = Database(url)
    yield opened
    opened.close()


#: On Postgres: what its catalog says of a schema, as statements would.
WRITTEN = """
SELECT 'index ' || indexname, indexdef FROM pg_indexes WHERE schemaname = :schema
UNION ALL SELECT 'constraint ' || conname, conrelid::regclass::text || ' ' || pg_get_constraintdef(oid)
  FROM pg_constraint WHERE connamespace = CAST(:schema AS regnamespace)
UNION ALL SELECT 'column ' || attrelid::regclass::text || '.' || attname,
    format_type(atttypid, atttypmod) || ' ' || attnotnull || ' ' || coalesce(pg_get_expr(adbin, adrelid), '')
  FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
  WHERE relnamespace = CAST(:schema AS regnamespace) AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
UNION ALL SELECT 'trigger ' || tgname, pg_get_triggerdef(pg_trigger.oid)
  FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
  WHERE relnamespace = CAST(:schema AS regnamespace) AND NOT tgisinternal
UNION ALL SELECT 'function ' || proname, pg_get_functiondef(oid)
  FROM pg_proc WHERE pronamespace = CAST(:schema AS regnamespace)
"""


def written(engine: sa.Engine, schema: str = "public") -> dict[str, str]:
    """Every object of a database with the SQL that made it, its blanks and quotes evened out."""
    with engine.connect() as db:
        if engine.dialect.name == "postgresql":
            rows = db.execute(sa.text(WRITTEN), {"schema": schema}).all()
            found = {name.replace(f"{schema}.", ""): sql.replace(f"{schema}.", "") for name, sql in rows}
            return {name: sql for name, sql in found.items() if "alembic_version" not in name}
        made = "SELECT type || ' ' || name, sql FROM sqlite_master WHERE tbl_name <> 'alembic_version'"
        return {name: re.sub(r"[\s\"]+", "", sql or "") for name, sql in db.exec_driver_sql(made).all()}


def parts(sql: str) -> list[str]:
    """A CREATE TABLE's columns and constraints, in any order: a diff then names the one that differs."""
    head, _, body = sql.partition("(")
    return [head, *sorted(re.split(r",(?![^(]*\))", body.removesuffix(")")))]


def test_migrated_schema_is_the_declared_one(database: Database) -> None:
    database.upgrade()
    with database.engine.connect() as db:
        context = MigrationContext.configure(db, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def declared(database: Database) -> dict[str, str]:
    """What SQLAlchemy makes of tables.py, beside what the migrations made."""
    if database.engine.dialect.name == "postgresql":
        with database.write() as db:
            db.execute(sa.text("CREATE SCHEMA declared"))
            db.execute(sa.text("SET LOCAL search_path = declared"))
            metadata.create_all(db)
        return written(database.engine, "declared")
    engine = sa.create_engine("sqlite://")
    metadata.create_all(engine)
    found = written(engine)
    engine.dispose()
    return found


def test_they_are_the_same_to_the_letter(database: Database) -> None:
    """compare_metadata sees neither CHECKs nor the WHERE of an index: the database's own words do."""
    database.upgrade()
    ours, theirs = written(database.engine), declared(database)
    assert set(ours) == set(theirs)
    for name, sql in theirs.items():
        assert parts(ours[name]) == parts(sql), name
    assert "WHERE" in theirs["index uq_intents_open_entry"].upper()
    fenced = ("journal", "checkpoints", "intents", "components", "archive", "structures")
    assert {f"trigger {table}_fenced" for table in fenced} <= set(theirs)


def test_the_program_wants_the_newest_migration_and_there_is_only_one() -> None:
    scripts = ScriptDirectory(str(migrate.script_location()))
    assert scripts.get_heads() == [SCHEMA_HEAD]
    assert scripts.get_bases() == [script.revision for script in scripts.walk_revisions()][-1:]


def test_down_to_nothing_and_up_again(database: Database) -> None:
    database.upgrade()
    before = written(database.engine)
    database.downgrade("base")
    assert written(database.engine) == {}
    assert database.revision() is None
    database.prepare()
    assert written(database.engine) == before


def test_an_upgrade_that_is_done_does_nothing(database: Database) -> None:
    database.upgrade()
    before = written(database.engine)
    database.upgrade()
    assert written(database.engine) == before


def test_a_migration_that_fails_leaves_nothing(database: Database) -> None:
    """It is one transaction: a name already taken stops it half way."""
    with database.write() as db:
        db.execute(sa.text("CREATE VIEW fills AS SELECT 1 AS mine"))
    with pytest.raises(StorageError, match=r"fills\"? already exists"):
        database.upgrade()
    assert set(written(database.engine)) <= {"view fills"}
    assert database.revision() is None


def test_two_starts_at_once_on_an_empty_database_both_find_it_made(database: Database) -> None:
    other = Database(database.url.render_as_string(hide_password=False))
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(database.prepare), pool.submit(other.prepare)]:
            assert done.result() == ""
    other.close()
    assert database.revision() == SCHEMA_HEAD


def alembic(*args: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "-c", "alembic.ini", *args],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_alembic_by_hand_finds_the_database_of_the_settings(
    backend: str, url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = url
    if backend == "sqlite":
        where = f"sqlite:///{home / 'gambler_ai' / 'gambler.sqlite3'}"
    else:
        monkeypatch.setenv("GAMBLER_DATABASE_URL", url)
    alembic("upgrade", "head")
    database = Database(where)
    database.prepare()
    alembic("downgrade", "base")
    assert database.revision() is None
    assert database.prepare() == ""
    database.close()
