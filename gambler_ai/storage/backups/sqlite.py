"""An SQLite file copied while others write to it, looked at, and put in another's place."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from gambler_ai import crashpoints
from gambler_ai.errors import StorageError
from gambler_ai.storage.backups.archive import Progress, nothing
from gambler_ai.storage.upgrade import copied, sync

#: Pages of one step, after which the progress is told: 4 MB.
STEP_PAGES = 1_000
#: Complaints that are shown.
COMPLAINTS_MAX = 3
#: Wall seconds that are waited for whoever reads what is to be replaced.
_FOLD_S = 1.0
_BESIDE = ("-wal", "-shm", "-journal")


def copy_live(source: Path, target: Path, progress: Progress = nothing) -> None:
    """A whole copy of ``source`` as it is at this moment, synced, 0600; whoever writes to it is not held up.

    SQLite begins anew at each write of another's unless the copy reads in a transaction of its own, which sees one
    moment to its end. In write-ahead mode that keeps no writer out.

    Raises:
        StorageError: it could not be made.
    """
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with closing(_reader(source)) as db, closing(sqlite3.connect(target)) as copy:
            db.execute("BEGIN")
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on it sees this moment
            db.backup(copy, pages=STEP_PAGES, progress=lambda _s, left, total: progress(total - left, total))
            db.execute("ROLLBACK")
            copy.execute("PRAGMA journal_mode=delete")  # one file, without a log beside it
        crashpoints.hit("copy.inside")
        sync(target)
    except (sqlite3.Error, OSError) as error:
        raise StorageError(f"no copy of {source} could be made: {error}", hint="see that there is room") from error


def is_database(path: Path) -> bool:
    """Whether a file is one of SQLite's own, by its first bytes."""
    try:
        with path.open("rb") as file:
            return file.read(16) == b"SQLite format 3\0"
    except OSError:
        return False


def complaints(path: Path) -> list[str]:
    """What SQLite's whole integrity check, and that of its references, find; nothing is changed."""
    try:
        with closing(_reader(path, still=True)) as db:
            said = [row[0] for row in db.execute("PRAGMA integrity_check").fetchmany(COMPLAINTS_MAX)]
            lost = db.execute("PRAGMA foreign_key_check").fetchmany(COMPLAINTS_MAX)
    except sqlite3.Error as error:
        return [str(error)]
    found = [] if said == ["ok"] else [str(line).replace("\n", " ") for line in said]
    return found + [f"row {row} of {table} refers to a row of {parent} that is gone" for table, row, parent, _ in lost]


def put_in_place(new: Path, path: Path, kept: Path, check: Callable[[], None] = lambda: None) -> bool:
    """``new`` becomes ``path`` in one step; what was there is ``kept`` under that name. True if there was something.

    Nobody may have the file open. Its log goes into it first: left beside the new one, it would be read into that.
    At each instant a whole database has its name: the one that was there, then the new one. ``check`` is asked last.

    Raises:
        StorageError: it could not be done, and nothing was changed.
    """
    try:
        was_there = path.exists()
        if was_there:
            _fold(path)
            _named_too(path, kept)
        sync(path.parent)
        crashpoints.hit("restore.before_rename")
        try:
            check()
        except BaseException:
            kept.unlink(missing_ok=True)
            raise
        for suffix in _BESIDE:
            beside = path.with_name(path.name + suffix)
            if beside.exists():  # of a file that is damaged, or gone
                beside.rename(kept.with_name(kept.name + suffix))
        new.replace(path)
        crashpoints.hit("restore.after_rename")
        sync(path.parent)
    except OSError as error:
        raise StorageError(f"{path} cannot be replaced: {error.strerror}", hint="see who owns its folder") from error
    return was_there


def run(path: Path, statements: Iterable[str]) -> None:
    """Run statements on a file nobody else has, all or nothing; then it is as a runner needs it.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            for statement in statements:
                db.execute(statement)
            db.execute("COMMIT")
            db.execute("PRAGMA journal_mode=wal")
        sync(path)
    except (sqlite3.Error, OSError) as error:
        raise StorageError(f"{path} cannot be prepared: {error}", hint="see that there is room") from error


def fence(path: Path, statement: str, check: Callable[[], None]) -> None:
    """Run a statement on a database that is to be replaced; one that is damaged is left as it is.

    ``check`` is asked in the transaction: while it lasts nobody else writes.

    Raises:
        StorageError: it cannot be written.
    """

    def checked() -> Iterator[str]:
        check()
        yield statement

    try:
        run(path, checked())
    except StorageError:
        if not complaints(path):
            raise


def _named_too(path: Path, kept: Path) -> None:
    """A second name, or on a file system without links a copy, so that the first is never without a file."""
    try:
        os.link(path, kept)
    except OSError:
        half = kept.with_name(f"{kept.name}.part")
        half.unlink(missing_ok=True)  # of a kill
        copied(path, half)
        crashpoints.hit("restore.copied")
        half.rename(kept)


def _fold(path: Path) -> None:
    """Bring what is in the log into the file; of one that is damaged the log is kept as it is.

    Raises:
        StorageError: somebody reads it. Renamed beside its file, the log would be lost to it after a kill.
    """
    try:
        with closing(sqlite3.connect(path, timeout=_FOLD_S)) as db:
            found = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return
        raise StorageError(
            f"the log of {path} cannot be folded into it: {error}", hint="nothing was changed; see that there is room"
        ) from error
    if found is not None and found[0]:
        raise StorageError(f"{path} is being read, so its log cannot be folded into it", hint="wait until that is over")


def _reader(path: Path, *, still: bool = False) -> sqlite3.Connection:
    """``still``: where there is no log nobody writes, and the file is read without leaving a log beside it."""
    immutable = "&immutable=1" if still and not path.with_name(f"{path.name}-wal").exists() else ""
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro{immutable}", uri=True, isolation_level=None)
