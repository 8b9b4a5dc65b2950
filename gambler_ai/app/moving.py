"""Sessions from one machine and database to another: `state export` and `state import`."""

from __future__ import annotations

import errno
import filecmp
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from msgspec import Struct

from gambler_ai import __version__
from gambler_ai.app.home import make_private
from gambler_ai.app.venue import ALPACA, EMBEDDED, exchange_file
from gambler_ai.clock import Clock
from gambler_ai.config import Settings
from gambler_ai.errors import (
    CheckpointCorrupt,
    ConfigError,
    DatabaseOutage,
    GamblerError,
    SessionLeased,
    SessionNotFound,
    StorageError,
)
from gambler_ai.exchange import moving as exchange_moving
from gambler_ai.storage import exporting, importing, inspect, lease, migrate, sessions
from gambler_ai.storage.database import Database
from gambler_ai.storage.export_file import (
    FORMAT,
    VERSION,
    ExportFile,
    ExportWriter,
    Manifest,
    MovedSession,
    exchange_name,
)
from gambler_ai.storage.sessions import SessionInfo
from gambler_ai.storage.tables import SCHEMA_HEAD
from gambler_ai.storage.upgrade import named

#: Nothing keeps two machines apart that do not share a database.
ONE_OWNER = "go on with session {0} in one place only; once it is imported, here: gambler-ai sessions close {0}"

#: More sessions than any database has.
_EVERY = 10**9
_CHUNK = 2**20

#: What became of a session: it is in the file, it came in, it would have, it was here already.
EXPORTED, IMPORTED, WOULD_COME, HERE = "exported", "imported", "would be imported", "here already"


class Outcome(Struct, frozen=True):
    """One session of a file, and what became of it."""

    session: MovedSession
    what: str


class Report(Struct, frozen=True):
    """What an export or an import did.

    ``notes`` are lines for a person: what stayed behind, and why. ``upgraded`` is what was done to the schema.
    """

    file: Path
    outcomes: tuple[Outcome, ...]
    notes: tuple[str, ...] = ()
    upgraded: str = ""


# -- out ------------------------------------------------------------------------------------------


def export_to(
    file: Path, database: Database, settings: Settings, wall: Clock, *, session_ids: Collection[str], everything: bool
) -> Report:
    """Write sessions to the new ``file``, whole or not at all; without names the one that --resume would take.

    Raises:
        SessionLeased: one of them runs.
        SessionNotFound: there is none.
        CheckpointCorrupt: a journal does not verify; with ``everything`` such a session stays behind and is named.
        ConfigError: the file is there, or cannot be written.
    """
    notes: list[str] = []
    with _new_file(file) as half:
        with half.open("wb") as out, closing(ExportWriter(out)) as writer, database.read() as db:
            infos = _wanted(database, db, session_ids, everything=everything)
            refuse_running(database, infos)
            moved = list(_exported(db, writer, infos, settings, notes, everything=everything))
            writer.finish(_manifest(moved, wall.now()))
            _sync(out)
        refuse_running(database, infos)  # who began meanwhile goes on from what was copied
        _read_back(half)
    notes += [ONE_OWNER.format(session.id) for session in moved if session.broker == ALPACA]
    return Report(file, tuple(Outcome(session, EXPORTED) for session in moved), tuple(notes))


def refuse_running(database: Database, infos: Collection[SessionInfo]) -> None:
    """Two machines that go on with one session would both trade it.

    Raises:
        SessionLeased: a process has one of them.
    """
    for session_id, owner in lease.runners(database, [info.id for info in infos]).items():
        raise SessionLeased(
            f"session {session_id} runs: {owner}",
            hint="stop it first (Ctrl+C, or kill PID); `db backup` copies a database in use",
        )


def _wanted(database: Database, db: Any, session_ids: Collection[str], *, everything: bool) -> list[SessionInfo]:
    if everything:
        infos = sessions.listed(db, limit=_EVERY)
    elif session_ids:
        infos = list({info.id: info for info in (sessions.find(db, name) for name in session_ids)}.values())
    else:
        newest = sessions.newest_open(db)
        infos = [] if newest is None else [newest]
    if not infos:
        raise SessionNotFound(
            f"{database.name} holds no session to export" + ("" if everything else " that is not completed"),
            hint="see: gambler-ai sessions list; name one with --session ID, or take all with --all",
        )
    return sorted(infos, key=lambda info: info.id)


def _exported(
    db: Any, writer: ExportWriter, infos: list[SessionInfo], settings: Settings, notes: list[str], *,
    everything: bool,
) -> Iterator[MovedSession]:  # fmt: skip
    for info in infos:
        try:
            done = exporting.export(db, info, writer, exchange=info.broker == EMBEDDED)
        except CheckpointCorrupt as error:
            if not everything:
                raise
            notes.append(f"session {info.id} stayed behind: {error.message}")
            continue
        notes += [f"of session {info.id} stayed behind: {what}" for what in done.left]
        if info.broker == EMBEDDED:  # after its rows were read: never older than they are
            _add_exchange(writer, settings, info)
        yield done.moved


def _add_exchange(writer: ExportWriter, settings: Settings, info: SessionInfo) -> None:
    path = exchange_file(settings, info.id)
    if not path.is_file():
        raise ConfigError(
            f"the exchange account of session {info.id} is gone: {path} is not there",
            hint="put the file back; without it nobody can go on with that session",
        )
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.sqlite3"
        exchange_moving.copy(path, copy)
        with copy.open("rb") as file:
            writer.add(exchange_name(info.id), iter(lambda: file.read(_CHUNK), b""))


def _manifest(moved: list[MovedSession], wall: datetime) -> Manifest:
    return Manifest(
        format=FORMAT, version=VERSION, program=__version__, schema=SCHEMA_HEAD, made_at=wall, sessions=tuple(moved)
    )


def _read_back(half: Path) -> None:
    """What cannot be imported is no export.

    Raises:
        StorageError.
    """
    try:
        with closing(ExportFile(half)) as file, tempfile.TemporaryDirectory() as folder:
            proved(file, Path(folder))
    except ConfigError as error:
        raise StorageError(
            f"the export cannot be read back: {error.message}", hint="no file was made; please report it"
        ) from error


@contextmanager
def _new_file(path: Path) -> Iterator[Path]:
    """A file beside ``path`` that gets that name when the block ends, if nothing has it by then.

    Raises:
        ConfigError: something has it, or there is no room.
    """
    try:
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, "it is there already")
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:64]}.")
        os.close(handle)
        half = Path(name)
        try:
            yield half
            if not named(half, path):
                raise FileExistsError(errno.EEXIST, "it is there already")
        finally:
            half.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}", hint="name another file") from None


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


# -- in -------------------------------------------------------------------------------------------


def import_from(file: Path, settings: Settings, wall: Clock, dry_run: bool) -> Report:
    """Bring the sessions of ``file`` in, all or none; what is here already and the same is left as it is.

    Raises:
        ConfigError, SchemaMismatch: the file is not what it says, or from a newer program.
        StorageError: a session is here and is another one.
        SessionLeased: somebody trades one of the accounts.
    """
    with closing(ExportFile(file)) as found, tempfile.TemporaryDirectory() as folder:
        copies = proved(found, Path(folder))
        with opened(settings, dry_run=dry_run) as (database, upgraded):
            new = _new_ones(found, database)
            for moved in new:
                _refuse_in_the_way(moved, copies.get(moved.id), settings)
            if new and database is not None and not dry_run:
                _bring_in(found, new, copies, database, settings, wall)
    what = WOULD_COME if dry_run else IMPORTED
    outcomes = tuple(Outcome(moved, what if moved in new else HERE) for moved in found.manifest.sessions)
    return Report(file, outcomes, upgraded=upgraded)


@contextmanager
def opened(settings: Settings, *, dry_run: bool) -> Iterator[tuple[Database | None, str]]:
    """The database of the settings, ready to be written, and what was done to its schema.

    ``dry_run``: only to be looked at; None if there is none yet.
    """
    path = inspect.file_of(settings.database)
    if dry_run and path is not None and not (path.is_file() and path.stat().st_size):
        yield None, ""
        return
    make_private(settings.state_dir)
    with closing(inspect.ReadOnly(settings.database) if dry_run else Database(settings.database)) as database:
        if not dry_run:
            yield database, database.prepare()
            return
        revision = database.revision()
        if revision is not None and revision not in migrate.revisions():
            database.check()  # which says what is wrong; an older one would be upgraded
        yield None if revision is None else database, ""


def proved(file: ExportFile, folder: Path) -> dict[str, Path]:
    """Everything in a file, looked at; session -> the account file of its exchange, unpacked into ``folder``.

    Raises:
        ConfigError: it is not what it says.
    """
    importing.prove(file, folder)
    copies = {}
    for number, moved in enumerate(file.manifest.sessions):
        if moved.exchange != (moved.broker == EMBEDDED):
            raise file.unfit(f"session {moved.id} trades on {moved.broker}: an exchange's file does not go with that")
        if moved.exchange:
            copy = folder / f"{number}.sqlite3"
            with copy.open("xb") as out:
                out.writelines(file.chunks(exchange_name(moved.id)))
            if why := exchange_moving.check(copy, moved.account_id):
                raise file.unfit(f"{exchange_name(moved.id)}: {why}")
            copies[moved.id] = copy
    if file.unread:
        raise file.unfit(f"{file.unread[0][:120]!r} belongs to no session of it")
    return copies


def _new_ones(file: ExportFile, database: Database | None) -> list[MovedSession]:
    """
    Raises:
        StorageError: one is here and has another history, or a shorter or longer one.
    """
    if database is None:
        return list(file.manifest.sessions)
    with database.read() as db:
        here = importing.places(db, [moved.id for moved in file.manifest.sessions])
    for moved in file.manifest.sessions:
        place = here.get(moved.id)
        if place is not None and (place.seq, place.journal_hash) != (moved.seq, moved.journal_hash):
            raise StorageError(
                f"session {moved.id} is here and differs: here journal row {place.seq} ({place.journal_hash[:12]}),"
                f" in the file row {moved.seq} ({moved.journal_hash[:12]})",
                hint="nothing was changed; two histories are never merged: import into another database",
            )
    return [moved for moved in file.manifest.sessions if moved.id not in here]


def _refuse_in_the_way(moved: MovedSession, copy: Path | None, settings: Settings) -> None:
    """An account's file that is here already: the same one of a start that was cut short, or somebody's.

    Raises:
        StorageError: it is another one.
    """
    if copy is None:
        return
    path = exchange_file(settings, moved.id)
    beside = [path.with_name(path.name + end) for end in ("-wal", "-journal")]
    if os.path.lexists(path) and not (path.is_file() and _same(path, copy)):
        beside.insert(0, path)
    for other in beside:
        if os.path.lexists(other):
            raise StorageError(
                f"{other} is in the way of session {moved.id}: it is the account of another exchange",
                hint="nothing was changed; move it away, or name another state directory: GAMBLER_HOME=PATH",
            )


def _bring_in(
    file: ExportFile, new: list[MovedSession], copies: dict[str, Path], database: Database, settings: Settings,
    wall: Clock,
) -> None:  # fmt: skip
    """First the exchanges' files, then the rows in one transaction: a session never is here without its account.

    A kill in between leaves files that the same import finds again.
    """
    owner = lease.signature(wall.now(), "state import, ")
    placed: list[Path] = []
    with lease.kept_from_trading(database, {moved.account_id for moved in new}, owner, wall) as check:
        try:
            for session_id in [moved.id for moved in new if moved.id in copies]:
                path = exchange_file(settings, session_id)
                if not path.exists():
                    _install(copies[session_id], path)
                    placed.append(path)
            importing.land(database, file, new, owner, wall.now(), check)
        except DatabaseOutage:  # it may have been committed
            raise
        except GamblerError:
            for path in placed:
                path.unlink(missing_ok=True)
            raise


def _install(copy: Path, path: Path) -> None:
    make_private(path.parent)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _new_file(path) as half, copy.open("rb") as source, half.open("wb") as out:
        shutil.copyfileobj(source, out)
        _sync(out)


def _same(one: Path, other: Path) -> bool:
    return filecmp.cmp(one, other, shallow=False)
