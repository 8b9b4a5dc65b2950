"""Whether a database is whole, row by row of what it holds: `db verify`, and what a backup is judged by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gambler_ai.app.checks.row import STORAGE, Row, fail, failed, ok, skip, warn
from gambler_ai.errors import GamblerError, SchemaMismatch, StorageError
from gambler_ai.storage import inspect, sessions
from gambler_ai.storage.backups import marks, sqlite
from gambler_ai.storage.backups.archive import SessionHead
from gambler_ai.storage.inspect import ReadOnly
from gambler_ai.storage.migrate import revisions
from gambler_ai.storage.tables import SCHEMA_HEAD
from gambler_ai.trading.recovery import restore

_FIX = "keep it as it is, and restore a backup: gambler-ai db restore PATH"


def whole(database: ReadOnly) -> Iterator[Row]:
    """A row each for the schema, the file, and every session in it. Changes nothing."""
    try:
        revision = database.revision()
    except GamblerError as error:
        yield failed("schema", error)
        return
    yield _integrity(database)
    if revision != SCHEMA_HEAD:
        yield _schema(revision)
        return
    yield ok("schema", f"{revision}, as this program needs it")
    yield from _sessions(database)


def agrees(database: ReadOnly, expected: Sequence[SessionHead]) -> Row:
    """Whether it holds the sessions that it should, each as far as it should."""
    with database.read() as db:
        found = {head.id: head for head in marks.heads(db)}
    wrong = [head.id for head in expected if found.get(head.id) != head]
    wrong += sorted(found.keys() - {head.id for head in expected})
    if wrong:
        return fail("contents", f"session {wrong[0]} is not as its manifest says", _FIX, STORAGE)
    return ok("contents", "sessions and journals are as its manifest says")


def refuse_broken(rows: Iterator[Row]) -> list[Row]:
    """All of ``rows``.

    Raises:
        StorageError: one of them is a failure.
    """
    found = list(rows)
    for row in found:
        if row.status == "fail":
            raise StorageError(f"{row.name}: {row.found}", hint=row.fix)
    return found


def _schema(revision: str | None) -> Row:
    if revision is None:
        return warn("schema", "none: it is empty", "nothing is wrong; a first session fills it")
    if revision in revisions():
        found = f"{revision}, this program needs {SCHEMA_HEAD}"
        return warn("schema", found, "the next start upgrades it, after a copy")
    found = f"{revision}, which this program does not know"
    return fail("schema", found, "use the program that wrote it", SchemaMismatch)


def _integrity(database: ReadOnly) -> Row:
    if database.path is None:
        return skip("integrity", "the server looks after its own")
    found = sqlite.complaints(database.path)
    if found:
        return fail("integrity", "; ".join(found), _FIX, STORAGE)
    return ok("integrity", "integrity_check and foreign_key_check ok")


def _sessions(database: ReadOnly) -> Iterator[Row]:
    try:
        with database.read() as db:
            heads = marks.heads(db)
    except GamblerError as error:
        yield fail("sessions", error.message, _FIX, STORAGE)
        return
    for head in heads:
        yield _session(database, head.id)
    yield ok("sessions", f"{len(heads)}, {sum(head.seq for head in heads):,} journal rows")


def _session(database: ReadOnly, session_id: str) -> Row:
    """The whole chain, and the state that a resume would begin with."""
    name = "session"
    try:
        with database.read() as db:
            info = sessions.find(db, session_id)
            inspect.check_chain(db, info)
        restored = restore(database, info)
    except GamblerError as error:
        return fail(name, f"{session_id}: {error.message}", _FIX, STORAGE)
    if restored.broken:
        return warn(
            name, f"{session_id}: {restored.broken[0]}", "nothing: a resume takes an older checkpoint and the journal"
        )
    point = restored.checkpoint
    base = f"checkpoint #{point.number} verifies" if point is not None else "no checkpoint yet"
    return ok(name, f"{session_id}: {info.status}, {info.seq:,} journal rows verify, {base}")
