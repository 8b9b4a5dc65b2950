"""`db backup` and `db verify`: the whole state copied while it is used, and looked at.

The database first, then the exchange's accounts: so no account is older than the books on it. One that is newer is
what a broker is to books that were restored, and recovery reconciles forward. The other way round it would look like
an account that has forgotten orders.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from gambler_ai import __version__, crashpoints
from gambler_ai.app.checks import whole
from gambler_ai.app.checks.row import STORAGE, Row, fail, failed, ok, skip
from gambler_ai.app.home import arm, make_private
from gambler_ai.app.venue import EMBEDDED, exchange_file
from gambler_ai.clock import Clock
from gambler_ai.config import Settings, inherited
from gambler_ai.errors import ConfigError, GamblerError, SchemaMismatch, StorageError
from gambler_ai.exchange import moving as exchange_moving
from gambler_ai.storage import inspect
from gambler_ai.storage.backups import archive, marks, places, postgres, sqlite
from gambler_ai.storage.backups.archive import Manifest, Progress
from gambler_ai.storage.backups.places import LocalPlace, Place
from gambler_ai.storage.backups.postgres import Tools
from gambler_ai.storage.backups.workspace import workspace
from gambler_ai.storage.database import Database, revision_of
from gambler_ai.storage.inspect import ReadOnly
from gambler_ai.storage.tables import SCHEMA_HEAD

FOLDER = "backups"


class BackedUp(Struct, frozen=True):
    """A backup that was made: where it is, its size in bytes, what it holds, and which older ones went."""

    path: str
    size: int
    manifest: Manifest
    dropped: tuple[str, ...]


def tools() -> Tools:
    """Postgres's programs, with no more of our environment than they need."""
    return Tools(inherited("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "PGPASSFILE", "PGSSLROOTCERT"))


def backup(
    settings: Settings, where: str | None, keep: int | None, wall: Clock, progress: Progress = archive.nothing
) -> BackedUp:
    """Copy the state to ``where`` (the state directory's folder of backups), whoever uses it meanwhile.

    Raises:
        ConfigError: there is no such place, or a tool that it needs is not there.
        StorageError: it cannot be read or written, or the copy is not whole; nothing was left there.
    """
    arm(settings.crash_at)
    make_private(settings.state_dir)
    place, stem = places.place_of(where or str(settings.state_dir / FOLDER), exists=False), stem_of(settings)
    if keep is not None and place.file:
        raise ConfigError("--keep is for a folder, and a file is named", hint="name the folder that the backups are in")
    name = place.file or places.name_for(stem, wall.now(), place.names())
    if name in place.names():
        raise _there(place, name)
    places.clear(place, stem, wall.now())
    with workspace(settings.state_dir) as work:
        manifest, files = _copied(settings, work, wall, progress)
        packed = work / name
        manifest = archive.pack(packed, manifest, files, progress)
        archive.unpack(packed, None, name)
        crashpoints.hit("backup.packed")
        size = packed.stat().st_size
        while not place.put(packed, name):  # another backup was quicker
            if place.file:
                raise _there(place, name)
            name = places.name_for(stem, wall.now(), place.names())
        dropped = _pruned(settings, place, keep, name, work / manifest.database_part) if keep is not None else []
    return BackedUp(place.shown(name), size, manifest, tuple(dropped))


def _pruned(settings: Settings, place: Place, keep: int, name: str, copy: Path) -> list[str]:
    """What goes of this database's: for a file the copy that was just made is asked what it contains."""
    is_file = inspect.file_of(settings.database) is not None
    found = ReadOnly(f"sqlite:///{copy}") if is_file else Database(settings.database)
    with closing(found) as database, database.read() as db:
        return places.prune(place, stem_of(settings), keep, name, lambda manifest: marks.is_of(db, manifest))


def _there(place: Place, name: str) -> StorageError:
    return StorageError(f"{place.shown(name)} is there already", hint="name another file, or a folder")


def stem_of(settings: Settings) -> str:
    """What the names of a database's backups begin with."""
    path = inspect.file_of(settings.database)
    name = path.stem if path is not None else inspect.name_of(settings.database)
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name) or "gambler"


def found_in(place: Place, stem: str) -> str:
    """The backup that is meant: the file that was named, or the newest in the folder.

    Raises:
        StorageError: there is none.
    """
    if place.file:
        return place.file
    there = places.kept(place, stem)
    if not there:
        raise StorageError(
            f"there is no backup of {stem} in {place.shown()}", hint="name the file, or make one: gambler-ai db backup"
        )
    return there[0].name


def taken_out(place: Place, name: str, work: Path, progress: Progress = archive.nothing) -> Manifest:
    """Bring a backup here and unpack it into ``work``; one of this machine is read where it is.

    Raises:
        StorageError: it is not there, is none, or is damaged.
    """
    if isinstance(place, LocalPlace):
        source = place.folder / name
    else:
        source = work / "fetched"
        place.fetched(name, source)
    if sqlite.is_database(source):
        return _bare(source, work)
    return archive.unpack(source, work, place.shown(name), progress)


def _bare(source: Path, work: Path) -> Manifest:
    """A copy that SQLite or an upgrade made: its own content is all that its manifest can say."""
    copy = work / archive.DATABASE_PARTS[archive.SQLITE]
    sqlite.copy_live(source, copy)
    with closing(ReadOnly(f"sqlite:///{copy}")) as database, database.read() as db:
        revision = revision_of(db, source.name)
        if revision is None:
            raise StorageError(f"{source} holds nothing yet", hint="name another file")
        archive.refuse_token(token := marks.newest_token(db), source.name)
        taken_at = datetime.fromtimestamp(source.stat().st_mtime, UTC)
        known = Manifest(
            format=archive.FORMAT, kind=archive.SQLITE, program="no manifest", taken_at=taken_at, database=source.name,
            server=inspect.server(database).name, revision=revision, token=token,
            sessions=marks.heads(db),
        )  # fmt: skip
    return replace(known, parts=(archive.part_of(copy.name, copy),))


# -- copying --------------------------------------------------------------------------------------


def _copied(settings: Settings, work: Path, wall: Clock, progress: Progress) -> tuple[Manifest, dict[str, Path]]:
    path = inspect.file_of(settings.database)
    if path is None:
        manifest = _dumped(settings, work, wall)
    else:
        manifest = _of_file(settings, path, work, wall, progress)
    files = {manifest.database_part: work / manifest.database_part}
    for head in manifest.sessions:
        account = exchange_file(settings, head.id)
        if head.broker != EMBEDDED or not account.is_file():
            continue
        part = f"{archive.EXCHANGE}{head.id}.sqlite3"
        (work / archive.EXCHANGE).mkdir(mode=0o700, exist_ok=True)
        exchange_moving.copy(account, work / part)
        _refuse_damaged(account, work / part)
        files[part] = work / part
    return manifest, files


def _of_file(settings: Settings, path: Path, work: Path, wall: Clock, progress: Progress) -> Manifest:
    with closing(ReadOnly(settings.database)) as database:
        _refuse_other_schema(database.revision(), database.name)
    copy, taken_at = work / archive.DATABASE_PARTS[archive.SQLITE], wall.now()
    sqlite.copy_live(path, copy, progress)
    _refuse_damaged(path, copy)
    with closing(ReadOnly(f"sqlite:///{copy}")) as database:
        whole.refuse_broken(whole.whole(database))
        with database.read() as db:
            return Manifest(
                format=archive.FORMAT, kind=archive.SQLITE, program=f"gambler-ai {__version__}", taken_at=taken_at,
                database=path.name, server=inspect.server(database).name, revision=SCHEMA_HEAD,
                token=marks.newest_token(db), sessions=marks.heads(db),
            )  # fmt: skip


def _dumped(settings: Settings, work: Path, wall: Clock) -> Manifest:
    """The manifest is of the very moment that the dump is of: both are read in one exported snapshot."""
    target, taken_at = work / archive.DATABASE_PARTS[archive.POSTGRES], wall.now()
    with closing(Database(settings.database)) as database:
        if database.engine.dialect.name != "postgresql":
            raise ConfigError("a database in memory cannot be backed up", hint="name a file or a server")
        with database.read() as db:
            _refuse_other_schema(revision_of(db, database.name), database.name)
            manifest = Manifest(
                format=archive.FORMAT, kind=archive.POSTGRES, program=f"gambler-ai {__version__}", taken_at=taken_at,
                database=stem_of(settings), server="", revision=SCHEMA_HEAD, token=marks.newest_token(db),
                sessions=marks.heads(db),
            )  # fmt: skip
            server = postgres.dump(database, db, tools(), target)
    postgres.checked(tools(), target, work / "script.sql")
    return replace(manifest, server=server)


def _refuse_damaged(path: Path, copy: Path) -> None:
    found = sqlite.complaints(copy)
    if found:
        raise StorageError(f"{path} is damaged: {found[0]}", hint="no backup was made; see: gambler-ai doctor")


def _refuse_other_schema(revision: str | None, name: str) -> None:
    if revision is None:
        raise StorageError(f"{name} holds nothing yet", hint="there is something to back up after a first session")
    if revision != SCHEMA_HEAD:
        raise SchemaMismatch(
            f"{name} has schema {revision}, this program needs {SCHEMA_HEAD}",
            hint="run: gambler-ai db upgrade, which keeps a copy; then back it up",
        )


# -- looking --------------------------------------------------------------------------------------


def verify(settings: Settings, where: str | None, progress: Progress = archive.nothing) -> Iterator[Row]:
    """Rows on the database as it is, or on a backup. Changes nothing; what is unpacked is gone afterwards."""
    if where is None:
        yield from _live(settings)
        return
    try:
        place = places.place_of(where, exists=True)
        name = found_in(place, stem_of(settings))
        with workspace(settings.state_dir) as work:
            manifest = taken_out(place, name, work, progress)
            yield ok("backup", f"{place.shown(name)}, taken {manifest.taken_at:%F %T} UTC by {manifest.program}")
            yield ok("checksums", f"{len(manifest.parts)} parts, {manifest.size:,} bytes")
            yield from unpacked(manifest, work)
    except GamblerError as error:
        yield failed("backup", error)


def unpacked(manifest: Manifest, work: Path) -> Iterator[Row]:
    """Rows on what a backup held."""
    part = work / manifest.database_part
    if manifest.kind == archive.SQLITE:
        with closing(ReadOnly(f"sqlite:///{part}")) as database:
            yield from whole.whole(database)
            if manifest.revision == SCHEMA_HEAD:
                yield whole.agrees(database, manifest.sessions)
    else:
        yield _readable(part, work)
    for account in manifest.parts[1:]:
        found = sqlite.complaints(work / account.name)
        if found:
            yield fail("exchange account", f"{account.name}: {found[0]}", "keep it, and take an older backup", STORAGE)
        else:
            yield ok("exchange account", f"{account.name}: integrity_check ok")


def _readable(part: Path, work: Path) -> Row:
    try:
        postgres.checked(tools(), part, work / "script.sql")
    except ConfigError as error:
        return skip("dump", f"{error.message}: its checksum is all that was compared")
    except StorageError as error:
        return failed("dump", error)
    return ok("dump", "pg_restore reads all of it; its sessions are looked at when it is restored")


def _live(settings: Settings) -> Iterator[Row]:
    try:
        database = ReadOnly(settings.database)
    except GamblerError as error:
        yield failed("database", error)
        return
    with closing(database):
        yield ok("database", database.name)
        yield from whole.whole(database)
