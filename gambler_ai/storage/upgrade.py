"""From one schema to another: copy, compare the copy, migrate, all in one transaction. A kill leaves what was."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.engine import Connection

from gambler_ai import crashpoints
from gambler_ai.clock import SystemClock
from gambler_ai.errors import ConfigError, SchemaMismatch, SessionLeased, StorageError
from gambler_ai.storage import lease, migrate
from gambler_ai.storage.database import Database, revision_of

BASE = "base"
#: One migration at a time on a server: the number of the lock that says so.
_MIGRATION_LOCK = 7_242_012_008


class Change(Struct, frozen=True):
    """A change of schema that was made. ``before`` is "" for an empty database, ``copy`` "" for none."""

    before: str
    after: str
    copy: str

    def line(self, name: str) -> str:
        """The change in one line."""
        if not self.before:
            return f"{name}: schema {self.after}, was empty"
        return f"{name}: schema {self.after}, was {self.before}; a copy of it as it was: {self.copy}"


def change(database: Database, target: str, *, down: bool = False) -> Change | None:
    """Bring the schema to ``target``, a revision or "base". None when it is there already.

    Raises:
        ConfigError: there is no such revision, or it is on the other side.
        SessionLeased: a runner works on this database.
        StorageError: no copy could be made, or it is not the same; nothing was changed.
    """
    known = migrate.revisions()
    with database.write() as db:
        if db.dialect.name == "postgresql":
            db.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        before = revision_of(db, database.name)  # another start may have been quicker
        if before is not None and before not in known:
            raise SchemaMismatch(f"{database.name} has schema {before}, which this program does not know")
        if before == (None if target == BASE else target):
            return None
        _check_direction(known, before or BASE, target, down=down)
        copy = ""
        crashpoints.hit("migration.before")
        if before is not None:
            _refuse_while_held(database, db)
            copy = _copied(database, db, before)
            crashpoints.hit("migration.copied")
        migrate.run(db, target, down=down)
        crashpoints.hit("migration.inside")
    crashpoints.hit("migration.after")
    return Change(before or "", target, copy)


def _check_direction(known: list[str], before: str, target: str, *, down: bool) -> None:
    order = [BASE, *known]
    if target not in order:
        raise ConfigError(f"there is no schema {target!r}", hint=f"there are: {', '.join(order)}")
    if (order.index(target) < order.index(before)) != down:
        raise ConfigError(
            f"schema {target} is {'newer' if down else 'older'} than {before}",
            hint="run: gambler-ai db upgrade" if down else f"run: gambler-ai db downgrade --to {target}",
        )


def _refuse_while_held(database: Database, db: Connection) -> None:
    for account_id, owner in db.execute(sa.text("SELECT account_id, owner FROM lease")).all():
        if lease.is_locked(database, account_id):
            raise SessionLeased(
                f"{database.name} is in use: account {account_id} is traded by {owner}",
                hint="stop that one first: its schema must not change under it",
            )


def _copied(database: Database, db: Connection, revision: str) -> str:
    """Keep what there is, prove that it was kept, and say where."""
    tables = sorted(sa.inspect(db).get_table_names())
    rows = {name: _count(db, name) for name in tables}
    if database.path is not None:
        return str(_copy_file(database.path, revision, rows))
    if db.dialect.name == "postgresql":
        return f"schema {_copy_schema(db, revision, rows)}"
    return "none, it is in memory"


def _count(db: Connection, table: str, schema: str | None = None) -> int:
    return int(db.execute(sa.select(sa.func.count()).select_from(sa.table(table, schema=schema))).scalar_one())


def _copy_file(path: Path, revision: str, rows: dict[str, int]) -> Path:
    """A whole, checked copy beside the database. Our transaction keeps writers out meanwhile."""
    half = path.with_name(f"{path.name}.copying")
    try:
        half.unlink(missing_ok=True)  # of a kill
        os.close(os.open(half, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with closing(sqlite3.connect(path)) as source:
            source.execute("VACUUM INTO ?", (str(half),))
        crashpoints.hit("copy.inside")
        check_copy(half, rows)
        sync(half)
    except (sqlite3.Error, OSError) as error:
        raise StorageError(
            f"no copy of {path} could be made, and nothing was changed: {error}", hint="see that there is room for one"
        ) from error
    whole = _free_name(path, revision, SystemClock().now())
    crashpoints.hit("copy.before_rename")
    half.rename(whole)
    crashpoints.hit("copy.after_rename")
    sync(path.parent)
    return whole


def check_copy(copy: Path, rows: dict[str, int]) -> None:
    """Compare a file with the ``rows`` that each table must have.

    Raises:
        StorageError: it is damaged, or some are missing.
    """
    with closing(sqlite3.connect(copy)) as db:
        said = db.execute("PRAGMA quick_check").fetchall()
        found = {name: db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in rows}  # noqa: S608
    if said != [("ok",)] or found != rows:
        raise StorageError(f"{copy} is not a whole copy; nothing was changed", hint="check the disk, and try again")


def _free_name(path: Path, revision: str, wall: datetime) -> Path:
    stem = f"{path.name}.before-{revision}-{wall:%Y%m%d-%H%M%S}"
    names = (path.with_name(stem + (f"-{n}" if n else "")) for n in range(1_000))
    return next(name for name in names if not name.exists())


def copied(source: Path, target: Path) -> None:
    """A synced copy of a file, readable by its owner only."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as bytes_out, source.open("rb") as bytes_in:
        shutil.copyfileobj(bytes_in, bytes_out)
        bytes_out.flush()
        os.fsync(bytes_out.fileno())


def named(half: Path, path: Path) -> bool:
    """Give a whole, synced file its name, with that name synced; false when something has it, which stays as it is.

    Raises:
        OSError: it cannot be done.
    """
    try:
        os.link(half, path)
        half.unlink()
    except FileExistsError:
        return False
    except OSError:  # a file system without links: the name is taken first, by a file that holds nothing
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return False
        try:
            half.replace(path)
        except OSError:
            path.unlink()
            raise
    sync(path.parent)
    return True


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    with suppress(OSError):  # not every file system lets a folder be synced
        os.fsync(descriptor)
    os.close(descriptor)


def _copy_schema(db: Connection, revision: str, rows: dict[str, int]) -> str:
    """Every table, in a schema of its own in the same database and the same transaction."""
    quoted = db.dialect.identifier_preparer.quote
    source = str(db.execute(sa.text("SELECT current_schema()")).scalar_one())
    taken = set(sa.inspect(db).get_schema_names())
    stem = f"gambler_before_{revision}"
    name = next(n for n in (stem, *(f"{stem}_{k}" for k in range(2, 1_000))) if n not in taken)
    db.execute(sa.schema.CreateSchema(name))
    for table in rows:
        ours = f"{quoted(source)}.{quoted(table)}"
        db.execute(sa.text(f"LOCK TABLE {ours} IN SHARE ROW EXCLUSIVE MODE"))
        db.execute(sa.text(f"CREATE TABLE {quoted(name)}.{quoted(table)} AS TABLE {ours}"))
    crashpoints.hit("copy.inside")
    if any(_count(db, table) != _count(db, table, name) for table in rows):
        raise StorageError(f"{name} is not a whole copy; nothing was changed", hint="try again")
    return name
