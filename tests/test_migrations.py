"""What the migrations build is what tables.py declares, on the way up, down and up again."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from gambler_ai.storage import migrate
from gambler_ai.storage.database import Database
from gambler_ai.storage.tables import SCHEMA_HEAD, metadata

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'migrated.sqlite3'}")
    yield opened
    opened.close()


def written(engine: sa.Engine) -> dict[str, str]:
    """Every object of a database with the SQL that made it, its blanks and quotes evened out."""
    with engine.connect() as db:
        rows = db.exec_driver_sql("SELECT type, name, sql FROM sqlite_master WHERE tbl_name <> 'alembic_version'").all()
    return {f"{kind} {name}": re.sub(r"[\s\"]+", "", sql or "") for kind, name, sql in rows}


def parts(sql: str) -> list[str]:
    """A CREATE TABLE's columns and constraints, in any order: a diff then names the one that differs."""
    head, _, body = sql.partition("(")
    return [head, *sorted(re.split(r",(?![^(]*\))", body.removesuffix(")")))]


def test_migrated_schema_is_the_declared_one(database: Database) -> None:
    database.upgrade()
    with database.engine.connect() as db:
        context = MigrationContext.configure(db, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_they_are_the_same_to_the_letter(database: Database) -> None:
    """compare_metadata sees neither CHECKs nor the WHERE of an index: the database's own words do."""
    database.upgrade()
    declared = sa.create_engine("sqlite://")
    metadata.create_all(declared)
    ours, theirs = written(database.engine), written(declared)
    declared.dispose()
    assert set(ours) == set(theirs)
    for name, sql in theirs.items():
        assert parts(ours[name]) == parts(sql), name
    assert "WHERE" in theirs["index uq_intents_open_entry"].upper()


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
        db.execute(sa.text("CREATE TABLE fills (mine)"))
    with pytest.raises(Exception, match="fills already exists"):
        database.upgrade()
    assert set(written(database.engine)) == {"table fills"}


def test_alembic_by_hand_finds_the_database_of_the_settings(home: Path) -> None:
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "-c", "alembic.ini", "upgrade", "head"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = home / "gambler_ai" / "gambler.sqlite3"
    with sqlite3.connect(made) as db:
        assert db.execute("SELECT version_num FROM alembic_version").fetchall() == [(SCHEMA_HEAD,)]
    db.close()
    database = Database(f"sqlite:///{made}")
    database.prepare()
    database.close()
