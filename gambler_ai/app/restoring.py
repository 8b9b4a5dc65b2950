"""`db restore`: a backup put in the place of what is there, all of it or nothing.

The order is that of a backup, and for the same reason: accounts of the exchange that are missing first, where they do
no harm; then the database, in one step; then accounts that are there. Killed in between, the state is one that a
resume takes: the restored books, and an account that is as old or newer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from gambler_ai import crashpoints
from gambler_ai.app.backing_up import found_in, stem_of, taken_out, tools, unpacked
from gambler_ai.app.checks import whole
from gambler_ai.app.home import arm, make_private, refuse_link
from gambler_ai.clock import Clock
from gambler_ai.config import Settings
from gambler_ai.errors import ConfigError, SchemaMismatch, SessionLeased, StorageError
from gambler_ai.storage import inspect, lease
from gambler_ai.storage.backups import archive, marks, places, postgres, sqlite
from gambler_ai.storage.backups.archive import Manifest, Progress
from gambler_ai.storage.backups.workspace import workspace
from gambler_ai.storage.database import Database
from gambler_ai.storage.inspect import ReadOnly
from gambler_ai.storage.locks import HostLock, Lock, ServerLock, locked_file, owners_beside
from gambler_ai.storage.migrate import revisions
from gambler_ai.storage.tables import SCHEMA_HEAD
from gambler_ai.storage.upgrade import copied

STOP_FIRST = "stop it first (Ctrl+C, or kill -TERM), then restore"


class PutBack(Struct, frozen=True):
    """A backup that was restored: from where, what it holds, where what was there is kept, and the new token."""

    path: str
    database: str
    manifest: Manifest
    kept: tuple[str, ...]
    token: int


class _Present(Struct, frozen=True):
    """What is there now: its sessions, its accounts (each with a session of it), its highest token."""

    sessions: int = 0
    accounts: dict[str, str] = {}
    token: int = 0


def restore(
    settings: Settings, where: str, wall: Clock, *, replace: bool = False, progress: Progress = archive.nothing
) -> PutBack:
    """Put the backup at ``where`` (a file, or the newest of a folder) in place. What was there is kept beside it.

    Raises:
        ConfigError: there is no such place, or it is a backup of another kind of database.
        SessionLeased: a runner is alive.
        StorageError: it is not there or not whole, or the database holds sessions and ``replace`` is not said.
    """
    arm(settings.crash_at)
    make_private(settings.state_dir)
    place = places.place_of(where, exists=True)
    name = found_in(place, stem_of(settings))
    path = inspect.file_of(settings.database)
    with workspace(path.parent if path is not None else settings.state_dir) as work:
        manifest = taken_out(place, name, work, progress)
        _refuse_other_kind(manifest, place.shown(name), path)
        whole.refuse_broken(unpacked(manifest, work))
        crashpoints.hit("restore.checked")
        put = _into_file if path is not None else _into_server
        kept, token = put(settings, manifest, work, wall, replace=replace)
    with closing(ReadOnly(settings.database)) as database:
        whole.refuse_broken(whole.whole(database))
        if manifest.revision == SCHEMA_HEAD:
            whole.refuse_broken(iter([whole.agrees(database, manifest.sessions)]))
        return PutBack(place.shown(name), database.name, manifest, tuple(kept), token)


def _refuse_other_kind(manifest: Manifest, name: str, path: Path | None) -> None:
    wanted = archive.SQLITE if path is not None else archive.POSTGRES
    if manifest.kind != wanted:
        raise ConfigError(
            f"{name} is of a {manifest.kind} database, and this is {wanted}: a backup goes back to its own kind",
            hint="restore it there, then take its sessions over: gambler-ai state export, gambler-ai state import",
        )
    if manifest.revision not in revisions():
        raise SchemaMismatch(
            f"{name} has schema {manifest.revision}, which this program does not know",
            hint=f"use the program that wrote it: {manifest.program}",
        )


def _refuse_full(present: _Present, name: str, *, replace: bool) -> None:
    if present.sessions and not replace:
        raise StorageError(
            f"{name} holds {present.sessions} session{'' if present.sessions == 1 else 's'}",
            hint="say --replace: what is there is kept beside it under another name",
        )


def _accounts(manifest: Manifest, present: _Present) -> dict[str, str]:
    """Every account of what is there and of what comes -> a session of it, in an order that is always the same."""
    return dict(sorted((present.accounts | {head.account_id: head.id for head in manifest.sessions}).items()))


# -- SQLite ---------------------------------------------------------------------------------------


def _into_file(
    settings: Settings, manifest: Manifest, work: Path, wall: Clock, *, replace: bool
) -> tuple[list[str], int]:
    path = inspect.file_of(settings.database)
    assert path is not None
    refuse_link(path)
    with ExitStack() as held:
        present = _present_file(settings, path, replace=replace)
        _refuse_full(present, str(path), replace=replace)
        _refuse_used(path)
        owned = _accounts(manifest, present)
        locks = [HostLock(path, account) for account in owned]
        _hold(held, locks, wall)
        accounts = _held_accounts(held, settings, work, manifest)
        if present.accounts:
            sqlite.fence(path, marks.FENCE, lambda: _refuse_taken(locks))
        now = wall.now()
        token = marks.token_after(manifest, present.token, now)
        new = work / manifest.database_part
        sqlite.run(new, marks.statements(manifest, token, now, owned))

        def check() -> None:
            _refuse_taken(locks)
            _refuse_used(path)

        return _placed(new, path, accounts, now, check), token


def _refuse_used(path: Path) -> None:
    """
    Raises:
        SessionLeased: somebody has an account of that database, be it one that we do not know.
    """
    owners = owners_beside(path)
    if owners:
        raise SessionLeased(f"{path} is in use by {', '.join(owners)}", hint=STOP_FIRST)


def _placed(new: Path, path: Path, accounts: dict[Path, Path], now: datetime, check: Callable[[], None]) -> list[str]:
    """Everything to where it belongs, in the order that this file begins with. Returns what was kept.

    ``check`` raises if the accounts are not ours any more; right before the database is replaced.
    """
    check()
    missing = {source: target for source, target in accounts.items() if not target.exists()}
    there = {source: target for source, target in accounts.items() if target.exists()}
    kept = _accounts_placed(missing, now)
    beside = _beside(path, now)
    if sqlite.put_in_place(new, path, beside, check):
        kept.append(str(beside))
    return kept + _accounts_placed(there, now)


def _beside(path: Path, now: datetime) -> Path:
    """A name that is free for what was there."""
    stem = f"{path.name}.replaced-{now:%Y%m%d-%H%M%S}"
    names = (path.with_name(stem + (f"-{n}" if n else "")) for n in range(1_000))
    return next(name for name in names if not name.exists())


def _present_file(settings: Settings, path: Path, *, replace: bool) -> _Present:
    if not path.exists():
        return _Present()
    try:
        with closing(ReadOnly(settings.database)) as database:
            return _present(database)
    except StorageError as error:
        if not replace:
            raise StorageError(
                f"{path} is there and cannot be read: {error.message}",
                hint="say --replace: it is kept beside it under another name",
            ) from error
        return _Present()


def _present(database: Database) -> _Present:
    if database.revision() is None:
        return _Present()
    with database.read() as db:
        heads = marks.heads(db)
        accounts = {h.account_id: h.session_id for h in inspect.holders(db)} | {h.account_id: h.id for h in heads}
        return _Present(len(heads), accounts, marks.newest_token(db))


def _hold(held: ExitStack, locks: Sequence[Lock], wall: Clock) -> None:
    """Have the lock of every account, so that nobody begins meanwhile.

    Raises:
        SessionLeased: somebody is alive.
    """
    owner = lease.signature(wall.now(), "db restore, ")
    for lock in locks:
        held.callback(lock.close)
        if not lock.take(owner, wall):
            raise SessionLeased(f"an account is traded by {lock.owner() or 'another runner'}", hint=STOP_FIRST)


def _refuse_taken(locks: Sequence[Lock]) -> None:
    """Look again: who took us for an owner that is silent may have been quicker, or a lock's file was deleted.

    Raises:
        SessionLeased: a lock is not ours any more.
    """
    for lock in locks:
        if not lock.is_ours():
            raise SessionLeased(
                f"an account was taken by {lock.owner() or 'another runner'} during the restore",
                hint=f"nothing was changed; {STOP_FIRST}",
            )


# -- Postgres -------------------------------------------------------------------------------------


def _into_server(
    settings: Settings, manifest: Manifest, work: Path, wall: Clock, *, replace: bool
) -> tuple[list[str], int]:
    """One transaction of `psql`: what is there into a schema of its own, the dump, and what it has to be told."""
    with ExitStack() as held:
        database = held.enter_context(closing(Database(settings.database)))
        present = _present(database)
        _refuse_full(present, database.name, replace=replace)
        owned = _accounts(manifest, present)
        locks = [ServerLock(database, account) for account in owned]
        _hold(held, locks, wall)
        accounts = _held_accounts(held, settings, work, manifest)
        if present.accounts:
            postgres.fence(database, marks.FENCE, lambda: _refuse_taken(locks))
        programs, now = tools(), wall.now()
        with database.read() as db:
            schema, server = postgres.schema_of(db), postgres.server_version(db)
            kept = postgres.free_schema(db, f"gambler_replaced_{now:%Y%m%d_%H%M%S}")
            before = postgres.clear(db, kept)
        postgres.refuse_older(programs, "psql", server, "the server is")
        token = marks.token_after(manifest, present.token, now)
        scripts = [work / "before.sql", work / "dump.sql", work / "after.sql"]
        _refuse_taken(locks)
        guard = postgres.guard(schema, [lock.proof() for lock in locks]) if before else []
        postgres.write_script(scripts[0], guard + before)
        postgres.checked(programs, work / manifest.database_part, scripts[1])
        postgres.write_script(scripts[2], marks.statements(manifest, token, now, owned, schema))
        postgres.apply(database, programs, scripts)
        beside = _accounts_placed(accounts, now)
    return ([f"schema {kept}"] if before else []) + beside, token


# -- the exchange's accounts ----------------------------------------------------------------------


def _held_accounts(held: ExitStack, settings: Settings, work: Path, manifest: Manifest) -> dict[Path, Path]:
    """Each account of the backup, where it is unpacked and where it belongs; nobody serves one meanwhile."""
    accounts = {work / part.name: settings.state_dir / part.name for part in manifest.parts[1:]}
    for target in accounts.values():
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        refuse_link(target)
        held.enter_context(locked_file(target.with_name(f"{target.name}.lock"), f"the exchange file {target}"))
    return accounts


def _accounts_placed(accounts: dict[Path, Path], now: datetime) -> list[str]:
    kept = []
    for source, target in accounts.items():
        beside, near = _beside(target, now), target.with_name(f"{target.name}.restoring")
        near.unlink(missing_ok=True)  # of a kill
        copied(source, near)  # it may be unpacked on another disk
        if sqlite.put_in_place(near, target, beside):
            kept.append(str(beside))
    return kept
