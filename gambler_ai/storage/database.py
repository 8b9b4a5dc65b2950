"""Opening a database, beginning a transaction, and telling what is wrong with it in one line."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from gambler_ai.errors import ConfigError, SchemaMismatch, StorageError
from gambler_ai.storage.tables import SCHEMA_HEAD

#: A second writer gives up after this long, so that two starts at once are told apart within 5 s.
BUSY_TIMEOUT_MS = 4_000
#: Pages in the write-ahead log before a commit folds it back; the default makes that commit 9x slower.
AUTOCHECKPOINT_PAGES = 4_000

#: What makes a commit safe, as SQLite reads it back.
PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": BUSY_TIMEOUT_MS}


class Database:
    """One database by URL. Created empty (and private) if it is a file that is not there."""

    def __init__(self, url: str) -> None:
        self.url = parsed(url)
        self.path = sqlite_path(self.url)
        if self.path is not None:
            self.url = self.url.set(database=str(self.path))
            self._prepare(self.path)
        self.engine = self._engine()
        self._reader = self.engine.execution_options(read_only=True)

    def _prepare(self, path: Path) -> None:
        _prepare_file(path)

    @staticmethod
    def shown(url: str) -> str:
        """A URL as it may be shown: without its password; as it is if it is none."""
        try:
            return make_url(url).render_as_string(hide_password=True)
        except (ArgumentError, ValueError):
            return url

    @property
    def name(self) -> str:
        """The URL without its password."""
        return self.url.render_as_string(hide_password=True)

    def _engine(self) -> Engine:
        try:
            engine = sa.create_engine(self.url, hide_parameters=True)
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            text = str(error).splitlines()[0]
            raise ConfigError(
                f"database URL {self.name!r} cannot be used: {text}", hint="use sqlite:///PATH"
            ) from error
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", on_connect)
            event.listen(engine, "begin", on_begin)
        return engine

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may write; committed when the block ends, rolled back when it raises."""
        with _explained(self.name), self.engine.begin() as db:
            yield db

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads; on SQLite it does not keep writers out."""
        with _explained(self.name), self._reader.begin() as db:
            yield db

    def check(self) -> None:
        """Refuse a database we must not trade on.

        Raises:
            SchemaMismatch: its schema is not ours, or it has none.
            StorageError: its durability settings do not hold.
        """
        revision = self.revision()
        if revision != SCHEMA_HEAD:
            raise SchemaMismatch(
                f"{self.name} has schema {revision or 'none'}, this program needs {SCHEMA_HEAD}",
                hint="run: gambler-ai db upgrade",
            )
        if self.engine.dialect.name == "sqlite":
            self._check_pragmas()
        if self.path is not None and stat.S_IMODE(self.path.stat().st_mode) & 0o077:
            self.path.chmod(0o600)

    def revision(self) -> str | None:
        """The schema revision, None when the database is empty."""
        with self.read() as db:
            tables = sa.inspect(db).get_table_names()
            if "alembic_version" in tables:
                return db.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
        if tables:
            raise SchemaMismatch(
                f"{self.name} holds other tables ({', '.join(sorted(tables)[:3])}), not ours",
                hint="give a database of its own with --database-url",
            )
        return None

    def prepare(self) -> None:
        """Bring an empty database to our schema; leave one that has it as it is; then `check`."""
        revision = self.revision()
        if revision is None:
            self.upgrade()
        elif revision == SCHEMA_HEAD:
            self._use_wal()
        self.check()

    def upgrade(self) -> None:
        """Run the migrations that are missing."""
        from gambler_ai.storage.migrate import upgrade

        self._use_wal()
        with _explained(self.name):
            upgrade(self.engine)

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    def _use_wal(self) -> None:
        """Write-ahead logging is kept in the file, so it is set on files of ours only, not at each connect."""
        if self.path is None:
            return
        with _explained(self.name), closing(self.engine.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA journal_mode=wal")

    def _check_pragmas(self) -> None:
        with self.read() as db:
            for name, wanted in PRAGMAS.items():
                found = db.execute(sa.text(f"PRAGMA {name}")).scalar()
                if found != wanted and self.path is not None:
                    raise StorageError(
                        f"{self.name}: {name} is {found!r} and not {wanted!r}: a commit would not be safe here",
                        hint="put the database on a local disk (not a network share)",
                    )


def on_connect(connection: Any, _record: object) -> None:
    """Settings of a connection that SQLite does not keep in the file."""
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    pragmas = {name: value for name, value in PRAGMAS.items() if name != "journal_mode"}
    for name, value in (*pragmas.items(), ("wal_autocheckpoint", AUTOCHECKPOINT_PAGES), ("fullfsync", 1)):
        cursor.execute(f"PRAGMA {name}={value}")
    cursor.close()


def on_begin(db: Connection) -> None:
    """A transaction, of the kind that it was asked for."""
    # A reader that said IMMEDIATE would keep the writer out.
    read_only = db.get_execution_options().get("read_only", False)
    db.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def parsed(url: str) -> sa.URL:
    """A database's URL.

    Raises:
        ConfigError: it is none.
    """
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:
        name = "the database URL" if "@" in url else repr(url[:80])  # it may hold a password
        raise ConfigError(
            f"{name} is not a database URL",
            hint="examples: sqlite:////var/lib/gambler.sqlite3, postgresql+psycopg://user@host/name",
        ) from error


def sqlite_path(url: sa.URL) -> Path | None:
    """The file of an SQLite database; None for every other."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    return Path(url.database).expanduser()


def _prepare_file(path: Path) -> None:
    """Create the file private to its owner; one that is there is left as it is until it proves to be ours."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.is_symlink():
            raise StorageError(f"{path} is a symbolic link", hint="name the file itself")
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        os.close(os.open(path, os.O_RDWR))
    except OSError as error:
        raise StorageError(
            f"database {path} cannot be opened: {error.strerror}", hint="give another with --database-url"
        ) from error


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Whatever the database says, in one line, without statement or parameters."""
    try:
        yield
    except DBAPIError as error:
        text = str(error.orig).strip().splitlines()[0]
        raise StorageError(f"database {name}: {text}", hint=_advice(text)) from error
    except SQLAlchemyError as error:
        raise StorageError(f"database {name}: {str(error).splitlines()[0]}") from error


def _advice(text: str) -> str:
    if "locked" in text:
        return "another program holds it; try again, or see who: gambler-ai sessions list"
    if "not a database" in text or "malformed" in text:
        return "it is not an SQLite database or is damaged; keep the file, and give another with --database-url"
    if "full" in text:
        return "free some disk space, then --resume"
    return ""


def upsert(db: Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    """Insert ``rows``, or overwrite the ones whose primary key is there."""
    if not rows:
        return
    insert: Any = (sqlite if db.dialect.name == "sqlite" else postgresql).insert(table)
    keys = [c.name for c in table.primary_key]
    rest = {name: insert.excluded[name] for name in rows[0] if name not in keys}
    db.execute(insert.on_conflict_do_update(index_elements=keys, set_=rest), rows)
