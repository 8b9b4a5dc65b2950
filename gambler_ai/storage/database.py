"""Opening a database, beginning a transaction, and telling what is wrong with it in one line."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from gambler_ai.errors import ConfigError, DatabaseOutage, SchemaMismatch, StorageError
from gambler_ai.storage.explain import explained
from gambler_ai.storage.locks import owners_beside
from gambler_ai.storage.postgres import DRIVER, SCHEMES
from gambler_ai.storage.postgres import check as check_postgres
from gambler_ai.storage.postgres import create_engine as create_postgres_engine
from gambler_ai.storage.tables import SCHEMA_HEAD

if TYPE_CHECKING:
    from gambler_ai.storage.upgrade import Change

#: A second writer gives up after this long, so that two starts at once are told apart within 5 s.
BUSY_TIMEOUT_MS = 3_000
#: Pages in the write-ahead log before a commit folds it back; the default makes that commit 9x slower.
AUTOCHECKPOINT_PAGES = 4_000

#: SQLite takes a file of a few bytes for a new one, and writes over what a torn one was.
SQLITE_BYTES_MIN = 512

#: What makes a commit safe, as SQLite reads it back.
PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": BUSY_TIMEOUT_MS}


class Database:
    """One database by URL. Created empty (and private) if it is a file that is not there."""

    def __init__(self, url: str, *, factory: Callable[..., Any] | None = None) -> None:
        """``url`` names SQLite or Postgres. ``factory`` makes the driver's connections: a simulation's can fail.

        Raises:
            ConfigError: it is no URL, or of a database we do not know, or its driver is not installed.
            StorageError: the file cannot be opened.
        """
        self.url = parsed(url)
        self.path = sqlite_path(self.url)
        if self.path is not None:
            self.url = self.url.set(database=str(self.path))
            self._prepare(self.path)
        self._options: dict[str, Any] = {"connect_args": {"factory": factory}} if factory is not None else {}
        self._file = file_id(self.path)
        self.engine = self._engine()
        self._reader = self.engine.execution_options(read_only=True)
        if self.engine.dialect.name == "postgresql":  # a transaction that reads sees one moment, as on SQLite
            self._reader = self.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    def _prepare(self, path: Path) -> None:
        _prepare_file(path)

    @staticmethod
    def shown(url: str) -> str:
        """A URL as it may be shown: without its password; as it is if it is none."""
        try:
            return _shown(make_url(url))
        except (ArgumentError, ValueError):
            return url

    @property
    def name(self) -> str:
        """The URL without its password."""
        return _shown(self.url)

    def _engine(self) -> Engine:
        try:
            if self.url.drivername == DRIVER:
                return create_postgres_engine(self.url)
            engine = sa.create_engine(self.url, hide_parameters=True, **self._options)
        except ImportError as error:  # psycopg without libpq raises one as well
            raise ConfigError(
                f"database {self.name} needs the driver psycopg, which is not installed",
                hint="install the extra: pip install 'gambler-ai[postgres]'",
            ) from error
        except (ArgumentError, NoSuchModuleError) as error:
            raise ConfigError(f"database URL {self.name!r} cannot be used: {str(error).splitlines()[0]}") from error
        event.listen(engine, "connect", on_connect)
        event.listen(engine, "begin", on_begin)
        return engine

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may write; committed when the block ends, rolled back when it raises.

        Raises:
            DatabaseOutage: it cannot be written now; who holds it is named where that can be told.
        """
        self._refuse_gone()
        try:
            with explained(self.name), self.engine.begin() as db:
                yield db
        except DatabaseOutage as error:
            owners = owners_beside(self.path) if error.is_lock and self.path is not None else []
            if not owners:
                raise
            text = f"database {self.name}: database is locked by {', '.join(owners)}"
            raise DatabaseOutage(text, hint=error.hint, is_lock=True) from error

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads; on SQLite it does not keep writers out."""
        with explained(self.name), self._reader.begin() as db:
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
                hint="run: gambler-ai db upgrade" if self._can_upgrade(revision) else "use the program that wrote it",
            )
        self._check_server()
        if self.engine.dialect.name == "sqlite":
            self._check_pragmas()
        if self.path is not None and stat.S_IMODE(self.path.stat().st_mode) & 0o077:
            self.path.chmod(0o600)

    def revision(self) -> str | None:
        """The schema revision, None when the database is empty. Changes nothing, not even a log left by a kill.

        Raises:
            SchemaMismatch: it holds tables of somebody else's, or several schemas at once.
        """
        with explained(self.name), self._untouched() as engine, engine.begin() as db:
            return revision_of(db, self.name)

    def prepare(self) -> str:
        """Bring the database to our schema, an older one after a copy; then `check`.

        Returns one line that says what was upgraded and where the copy is, "" when nothing was.

        Raises:
            SchemaMismatch: its schema is newer, unknown, or somebody else's; nothing was changed.
            SessionLeased: it needs an upgrade and a runner works on it.
        """
        self._check_server()
        revision = self.revision()
        said = ""
        if revision != SCHEMA_HEAD and self._can_upgrade(revision):
            changed = self.upgrade()
            said = changed.line(self.name) if changed is not None and changed.before else ""
        elif revision == SCHEMA_HEAD:
            self._use_wal()
        self.check()
        return said

    def upgrade(self) -> Change | None:
        """Run the migrations that are missing, after a copy. None when none was.

        Raises:
            SchemaMismatch: its schema is newer, unknown, or somebody else's.
        """
        from gambler_ai.storage.upgrade import change

        self._check_server()
        if not self._can_upgrade(self.revision()):
            self.check()
        self._use_wal()
        return change(self, SCHEMA_HEAD)

    def downgrade(self, revision: str) -> Change | None:
        """Go back to an older ``revision`` or to "base", after a copy. None when it is there already.

        Raises:
            ConfigError: no such revision, or a newer one.
        """
        from gambler_ai.storage.upgrade import change

        if not self._can_upgrade(self.revision()):
            self.check()
        return change(self, revision, down=True)

    @staticmethod
    def _can_upgrade(revision: str | None) -> bool:
        from gambler_ai.storage.migrate import revisions

        return revision is None or revision == SCHEMA_HEAD or revision in revisions()

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    def reopen(self) -> None:
        """Give all connections up and open the database anew, after an error whose outcome is not known.

        What a failed sync left in SQLite's log can be read and need not be on the disk: it is copied into the
        database and synced before anybody relies on it.

        Raises:
            DatabaseOutage: it cannot be used yet.
        """
        self.engine.dispose()
        if self.path is None:
            return
        self._file = file_id(self.path)
        self._refuse_gone()
        with explained(self.name), self.engine.connect() as db:
            try:
                with closing(db.connection.cursor()) as cursor:
                    _busy, logged, copied = cursor.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
            except db.dialect.loaded_dbapi.Error as error:  # the driver's own, which nobody has wrapped
                raise DBAPIError(None, None, error, hide_parameters=True) from error
        if logged != copied:
            raise DatabaseOutage(f"database {self.name}: its log is in use", is_lock=True)

    def _refuse_gone(self) -> None:
        """SQLite would go on writing into a file that has no name any more."""
        if self.path is not None and (self._file is None or file_id(self.path) != self._file):
            raise DatabaseOutage(
                f"database {self.name}: the file was moved or deleted",
                hint=f"put it back as {self.path}; it is not made anew while a session runs",
            )

    @contextmanager
    def _untouched(self) -> Iterator[Engine]:
        """A way to read that leaves no trace: on SQLite the last one to close a file writes its log back.

        Where a rollback journal was left half way (by a power cut as the file was made), nobody can read the file
        without undoing that first.
        """
        if self.path is None or _is_left(self.path.with_name(f"{self.path.name}-journal")):
            yield self._reader
            return
        place = self.url.set(database=f"file:{quote(str(self.path))}", query={"mode": "ro", "uri": "true"})
        engine = sa.create_engine(place, hide_parameters=True, poolclass=NullPool)
        yield engine
        engine.dispose()

    def _use_wal(self) -> None:
        """Write-ahead logging is kept in the file, so it is set on files of ours only, not at each connect."""
        if self.path is None:
            return
        with explained(self.name), closing(self.engine.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA journal_mode=wal")

    def _check_server(self) -> None:
        if self.engine.dialect.name == "postgresql":
            with self.read() as db:
                check_postgres(db, self.name)

    def _check_pragmas(self) -> None:
        with self.read() as db:
            for name, wanted in PRAGMAS.items():
                found = db.execute(sa.text(f"PRAGMA {name}")).scalar()
                if found != wanted and self.path is not None:
                    raise StorageError(
                        f"{self.name}: {name} is {found!r} and not {wanted!r}: a commit would not be safe here",
                        hint="put the database on a local disk (not a network share)",
                    )


def revision_of(db: Connection, name: str) -> str | None:
    """The schema revision that ``db`` sees, None when there is no table.

    Raises:
        SchemaMismatch: tables of somebody else's, or several schemas at once.
    """
    tables = set(sa.inspect(db).get_table_names())
    if "alembic_version" in tables:
        found = sorted(db.execute(sa.text("SELECT version_num FROM alembic_version")).scalars())
        if len(found) > 1:
            raise SchemaMismatch(
                f"{name} has several schemas at once ({', '.join(found)})",
                hint="a migration of another program's went wrong; restore a copy",
            )
        if found:
            return str(found[0])
    others = sorted(tables - {"alembic_version"})
    if others:
        raise SchemaMismatch(
            f"{name} holds other tables ({', '.join(others[:3])}), not ours",
            hint="give a database of its own with --database-url",
        )
    return None


def parsed(url: str) -> sa.URL:
    """A database's URL.

    Raises:
        ConfigError: it is none, or of a kind of database that we do not use.
    """
    example = "examples: sqlite:////var/lib/gambler.sqlite3, postgresql+psycopg://user@host/name"
    try:
        found = make_url(url)
    except (ArgumentError, ValueError) as error:
        name = "the database URL" if "@" in url else repr(url[:80])  # it may hold a password
        raise ConfigError(f"{name} is not a database URL", hint=example) from error
    if found.drivername in SCHEMES:
        return found.set(drivername=DRIVER)
    if found.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise ConfigError(
            f"database URL {_shown(found)!r} cannot be used: no support for {found.drivername}", hint=example
        )
    return found


def _shown(url: sa.URL) -> str:
    hidden = {name: "***" for name in url.query if "password" in name}
    return url.update_query_dict(hidden).render_as_string(hide_password=True)


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
    cursor = db.connection.cursor()  # the driver's own: this is in front of every transaction
    try:
        cursor.execute("BEGIN" if read_only else "BEGIN IMMEDIATE")
    except db.dialect.loaded_dbapi.Error as error:  # nobody does this for a listener
        raise DBAPIError(None, None, error, hide_parameters=True) from error
    finally:
        cursor.close()


def sqlite_path(url: sa.URL) -> Path | None:
    """The file of an SQLite database; None for every other."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    return Path(os.path.expanduser(url.database))


def _is_left(file: Path) -> bool:
    with suppress(FileNotFoundError):
        return file.stat().st_size > 0
    return False


def _refuse_orphaned_log(path: Path) -> None:
    """SQLite deletes a write-ahead log beside a file that is new, and with it all that it had not copied yet."""
    log = path.with_name(f"{path.name}-wal")
    if _is_left(log) and not _is_left(path):
        raise StorageError(
            f"database {path} is gone and its log is still there: {log}",
            hint=f"put the file back as {path}: what was last stored is in the log and needs it",
        )


def file_id(path: Path | None) -> tuple[int, int] | None:
    """What tells one file from another of the same name; None when there is none."""
    try:
        found = path.stat() if path is not None else None
    except OSError:
        return None
    return None if found is None else (found.st_dev, found.st_ino)


def _prepare_file(path: Path) -> None:
    """Create the file private to its owner; one that is there is left as it is until it proves to be ours."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal"))):
            if name.is_symlink():
                raise StorageError(f"{name} is a symbolic link", hint="name the file itself")
        _refuse_orphaned_log(path)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        found = os.fstat(descriptor)
        os.close(descriptor)
        if not stat.S_ISREG(found.st_mode) or 0 < found.st_size < SQLITE_BYTES_MIN:
            raise StorageError(
                f"database {path} is no SQLite database",
                hint="it is not a file or is damaged; keep it, and give another with --database-url",
            )
    except OSError as error:
        raise StorageError(
            f"database {path} cannot be opened: {error.strerror}", hint="give another with --database-url"
        ) from error
