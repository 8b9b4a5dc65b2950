"""What is stored: the database, its sessions, who holds an account, and what halts entries."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

from gambler_ai.app.checks.row import STORAGE, Row, fail, failed, ok, skip, warn
from gambler_ai.app.venue import ALPACA, EMBEDDED, exchange_file
from gambler_ai.config import Settings
from gambler_ai.core import degraded
from gambler_ai.core.state import SessionState
from gambler_ai.errors import GamblerError, SchemaMismatch, StorageError
from gambler_ai.storage import components, inspect, lease, sessions
from gambler_ai.storage.inspect import ReadOnly
from gambler_ai.storage.migrate import revisions
from gambler_ai.storage.sessions import SessionInfo
from gambler_ai.storage.tables import SCHEMA_HEAD
from gambler_ai.trading.recovery import restore

#: Rows that need a database with our schema.
ROWS = ("binding", "sessions", "exchange files", "checkpoint", "journal", "halts", "degraded", "components", "lease")
#: Those that need a session that can be restored.
_OF_STATE = ("journal", "halts", "degraded")
#: A session that ended before its time; one that ran out holding positions is "finished".
UNFINISHED = ("created", "running", "stopped")
#: Sessions that are looked at, newest first.
SESSIONS_MAX = 50
OVER = (sessions.COMPLETED, sessions.CLOSED)
NAMED_MAX = 3


def books(settings: Settings, account_id: str | None) -> Iterator[Row]:
    """The database and everything in it. ``account_id``: what the keys belong to, if the broker has said."""
    try:
        path = sqlite_file(settings)
        if path is not None and not path.exists() and not path.is_symlink():
            yield ok("database", f"{path} will be made")
            yield from (skip(name, "no database yet") for name in ("durability", "integrity", *ROWS))
            return
        database = ReadOnly(settings.database)
    except GamblerError as error:
        yield failed("database", error)
        yield from (skip(name, "no database") for name in ("durability", "integrity", *ROWS))
        return
    with closing(database):
        whole = yield from _stored(database)
        if whole:
            yield from _sessions(database, settings, account_id)
        else:
            yield from (skip(name, "its schema is not ours") for name in ROWS)
        if database.was_overtaken:
            yield warn(
                "reading", "a session began to write while the database was read", "look again: gambler-ai doctor"
            )


def sqlite_file(settings: Settings) -> Path | None:
    """Where the database is, if it is a file.

    Raises:
        ConfigError: it has no database's URL.
    """
    return inspect.file_of(settings.database)


def _stored(database: ReadOnly) -> Generator[Row, None, bool]:
    """Rows for the database itself; returns whether its sessions can be read."""
    try:
        server = inspect.server(database)
        revision = database.revision()
    except GamblerError as error:
        yield failed("database", error)
        yield from (skip(name, "the database cannot be read") for name in ("durability", "integrity"))
        return False
    yield _schema(f"{database.name}, {server.name}", revision, SCHEMA_HEAD, has_log=database.has_log)
    yield _durability(server)
    yield _integrity(database)
    return revision == SCHEMA_HEAD


def _schema(name: str, revision: str | None, head: str, *, has_log: bool) -> Row:
    if revision is None:
        return ok("database", f"{name}, empty: the schema will be made")
    if revision == head:
        return ok("database", f"{name}, schema {revision}{', a log beside it' if has_log else ''}")
    found = f"{name}: schema {revision}, this program needs {head}"
    if revision in revisions():
        return warn("database", found, "the next start upgrades it, after a copy; or now: gambler-ai db upgrade")
    return fail("database", found, "a newer program made it: use that one, or another --database-url", SchemaMismatch)


def _durability(server: inspect.Server) -> Row:
    wrong = [f"{name} is {found}, not {wanted}" for name, (found, wanted) in server.settings.items() if found != wanted]
    if wrong:
        fix = "a commit may be lost with the power: mend the server's settings; SQLite: gambler-ai db upgrade"
        return warn("durability", "; ".join(wrong), fix)
    return ok("durability", ", ".join(f"{name} {found}" for name, (found, _) in server.settings.items()) or "none")


def _integrity(database: ReadOnly) -> Row:
    if database.path is None:
        return skip("integrity", "the server looks after its own")
    try:
        complaints = inspect.damage(database)
    except StorageError as error:
        complaints = [error.message]
    if complaints:
        fix = "copy the file aside, then restore a backup; or start with another --database-url and --new"
        return fail("integrity", "; ".join(complaints), fix, STORAGE)
    return ok("integrity", "quick_check ok")


def _sessions(database: ReadOnly, settings: Settings, account_id: str | None) -> Iterator[Row]:
    try:
        with database.read() as db:
            found = sessions.listed(db, SESSIONS_MAX)
            holders = inspect.holders(db)
        accounts = {info.account_id for info in found} | {h.account_id for h in holders}
        held = {a for a in accounts if lease.is_held(database, a)}
    except (GamblerError, OSError) as error:
        yield fail("sessions", str(error), "keep the database as it is; start on another with --database-url", STORAGE)
        yield from (skip(name, "the sessions cannot be read") for name in ROWS if name != "sessions")
        return
    yield _binding(found, settings, account_id)
    yield _unfinished(found, held)
    yield _exchange_files(found, settings)
    yield from _newest(database, found)
    yield _components(database)
    names = [f"{h.owner}, session {h.session_id}" for h in holders if h.account_id in held]
    yield ok("lease", "; ".join(names) or "nobody holds an account")


def _components(database: ReadOnly) -> Row:
    """Do the blobs verify that components would be brought up from?"""
    try:
        with database.read() as db:
            count, wrong = components.damaged(db)
    except GamblerError as error:
        return failed("components", error)
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        fix = "nothing: a start sets it aside, names it and takes the one before; look at the disk"
        return warn("components", f"{wrong[0]}{more}", fix)
    return ok("components", f"{count} blobs verify" if count else "none")


def _binding(found: list[SessionInfo], settings: Settings, account_id: str | None) -> Row:
    url = settings.trading_url.rstrip("/")
    newest = next((i for i in found if i.broker == ALPACA and i.trading_url == url), None)
    if account_id is None:
        return skip("binding", "the account is not known")
    if newest is None:
        return ok("binding", "no session on this broker yet")
    if newest.account_id == account_id:
        return ok("binding", f"session {newest.id} is on this account")
    found_text = f"session {newest.id} is on account {newest.account_id}, these keys belong to {account_id}"
    fix = "a paper account that was reset is a new one: use the old keys, or start with --new"
    return warn("binding", found_text, fix)


def _unfinished(found: list[SessionInfo], held: set[str]) -> Row:
    left = [i for i in found if i.status in UNFINISHED]
    idle = [i for i in left if i.account_id not in held]
    if idle:
        shown = ", ".join(f"{i.id} ({i.end_reason or 'killed'})" for i in idle[:NAMED_MAX])
        more = f" and {len(idle) - NAMED_MAX} more" if len(idle) > NAMED_MAX else ""
        return warn("sessions", f"interrupted: {shown}{more}", "gambler-ai --resume, or start afresh with --new")
    running = [i.id for i in left]
    return ok("sessions", f"{len(found)}{f', running: {running[0]}' if running else ', none interrupted'}")


def _exchange_files(found: list[SessionInfo], settings: Settings) -> Row:
    open_ = [i for i in found if i.broker == EMBEDDED and i.status not in OVER]
    missing = [i for i in open_ if not exchange_file(settings, i.id).exists()]
    if not missing:
        return ok("exchange files", f"{len(open_)}, all there" if open_ else "none needed")
    text = f"the account of session {missing[0].id} is gone: {exchange_file(settings, missing[0].id)}"
    fix = f"put the file back, or be done with it: gambler-ai sessions close {missing[0].id}"
    if missing[0] is found[0]:  # it is what --resume would take
        return fail("exchange files", text, fix, STORAGE)
    return warn("exchange files", text, fix)


def _newest(database: ReadOnly, found: list[SessionInfo]) -> Iterator[Row]:
    """The newest session that can be resumed: does what it would be restored from verify, and what halts it?"""
    info = next((i for i in found if i.status not in OVER), None)
    if info is None:
        yield from (skip(name, "no session is open") for name in ("checkpoint", *_OF_STATE))
        return
    yield from _restored(database, info)


def _restored(database: ReadOnly, info: SessionInfo) -> Iterator[Row]:
    fix = "keep this database; restore a backup, or take the broker's word: --resume --accept-broker-state"
    try:
        restored = restore(database, info)
    except GamblerError as error:
        yield fail("checkpoint", error.message, fix, STORAGE)
        yield from (skip(name, "the session cannot be restored") for name in _OF_STATE)
        return
    point = restored.checkpoint
    shown = f"#{point.number} at {point.at:%F %T} UTC" if point is not None else "none yet: the journal is all"
    if restored.broken:
        text = f"{restored.broken[0]}; restored from {shown}"
        yield warn("checkpoint", text, "nothing: a resume goes on from there and the journal; look at the disk")
    else:
        yield ok("checkpoint", f"session {info.id}: {shown} verifies, {restored.replayed} journal rows after it")
    yield _chain(database, info, fix)
    halts = "; ".join(f"{what}: {why}" for what, why in restored.state.halts.items())
    if halts:
        yield warn("halts", f"session {info.id}: {halts}", "it enters nothing until: gambler-ai resume-trading")
    else:
        yield ok("halts", "none")
    yield _degraded(info, restored.state)


def _degraded(info: SessionInfo, state: SessionState) -> Row:
    """What it last told; a runner that lives tells the end of it, and a resume looks again."""
    if not state.degraded:
        return ok("degraded", "nothing")
    text = "; ".join(f"{name}: {why} (ends {degraded.ends(name)})" for name, why in state.degraded.items())
    return warn("degraded", f"session {info.id}: {text}", f"gambler-ai sessions show {info.id}")


def _chain(database: ReadOnly, info: SessionInfo, fix: str) -> Row:
    try:
        with database.read() as db:
            info = sessions.find(db, info.id)
            inspect.check_chain(db, info)
    except GamblerError as error:
        return fail("journal", error.message, fix, STORAGE)
    return ok("journal", f"{info.seq} rows verify")
