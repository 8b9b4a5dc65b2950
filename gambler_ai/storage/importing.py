"""Sessions out of a file into a database: what `exporting.py` wrote, after everything in it was looked at.

The look is an import as well, into a database that is thrown away (`prove`): the constraints of the schema, the hashes
of the journal and the sums of checkpoints and blobs are checked there by the code that trusts them later. What came
through is written to the real one by the same function, in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from gambler_ai.core.text import one_line
from gambler_ai.errors import SchemaMismatch, SessionNotFound, StorageError
from gambler_ai.storage import checkpoints, inspect, migrate, rows, sessions
from gambler_ai.storage import tables as t
from gambler_ai.storage.database import Database
from gambler_ai.storage.export_file import ExportFile, MovedSession, rows_name
from gambler_ai.storage.exporting import written
from gambler_ai.storage.lease import TOKEN_MAX
from gambler_ai.storage.rows import UnfitRow

#: The oldest schema of which there are files.
OLDEST = "0004"
#: Of what is written in one go: rows, and bytes of text and blobs in them.
_ROWS_AT_ONCE, _BYTES_AT_ONCE = 500, 16 * 2**20


class Place(Struct, frozen=True):
    """How far a session is: its last journal row and that row's hash."""

    seq: int
    journal_hash: str


def check_schema(file: ExportFile) -> bool:
    """Whether the file is from an older schema.

    Raises:
        SchemaMismatch: it is from a newer one, or from none of ours.
    """
    schema = file.manifest.schema
    if schema == t.SCHEMA_HEAD:
        return False
    known = migrate.revisions()
    if schema not in known[known.index(OLDEST) :]:
        raise SchemaMismatch(
            f"{file.path} is from schema {schema[:40]!r}, this program reads {OLDEST} to {t.SCHEMA_HEAD}",
            hint="import it with the program that wrote it, or a newer one",
        )
    return True


def prove(file: ExportFile, folder: Path) -> None:
    """Put everything into a database in ``folder`` that nobody keeps, with all its constraints.

    Raises:
        ConfigError: the file is not what it says; where and why.
        SchemaMismatch: it is from a newer program.
    """
    check_schema(file)
    scratch = Database(f"sqlite:///{folder / 'proof.sqlite3'}")
    try:
        with scratch.write() as db:
            t.metadata.create_all(db)
            for moved in file.manifest.sessions:
                if not sessions.is_id(moved.id):
                    raise file.unfit(f"{moved.id[:80]!r} is not a session id")
                try:
                    put(db, file, moved)
                except StorageError as error:
                    raise file.unfit(f"session {moved.id}: {error.message}") from error
    finally:
        scratch.close()


def put(db: Connection, file: ExportFile, moved: MovedSession) -> None:
    """Write one session, and check it where it then is.

    Raises:
        ConfigError, CheckpointCorrupt: the file is not what it says.
        StorageError: another session's rows are in the way.
    """
    _put_rows(db, file, moved, t.blobs)
    for table in rows.OWN:
        _put_rows(db, file, moved, table)
    try:
        info = sessions.find(db, moved.id)
    except SessionNotFound:
        raise file.unfit(f"session {moved.id}: its own row is missing") from None
    told = (moved.id, moved.account_id, moved.broker, moved.trading_url, moved.seq, moved.journal_hash)
    if (info.id, info.account_id, info.broker, info.trading_url, info.seq, info.journal_hash) != told:
        raise file.unfit(f"session {moved.id}: its row is not what the manifest says")
    inspect.check_chain(db, info)
    if broken := checkpoints.not_verifying(db, moved.id):
        number, why = next(iter(broken.items()))
        raise file.unfit(f"session {moved.id}: checkpoint {number} does not verify: {why}")
    _check_token(db, file, moved)


def _put_rows(db: Connection, file: ExportFile, moved: MovedSession, table: sa.Table) -> None:
    expected = moved.rows.get(table.name)
    if expected is None and check_schema(file):  # which had no such table
        return
    count = 0
    for some in _in_lots(_rows_of(file, moved, table)):
        count += len(some)
        new = _new_blobs(db, some) if table is t.blobs else some
        if not new:
            continue
        try:
            db.execute(table.insert(), new)
        except IntegrityError as error:
            said = one_line(str(error.orig), 120)
            raise StorageError(
                f"rows of {table.name} of session {moved.id} do not fit beside what is there: {said}",
                hint="nothing was changed; has another session of the account an entry under way in the same symbol?",
            ) from error
    if count != expected:
        raise file.unfit(f"session {moved.id} has {count} rows of {table.name}, the manifest says {expected}")


def _rows_of(file: ExportFile, moved: MovedSession, table: sa.Table) -> Iterator[dict[str, Any]]:
    name = rows_name(moved.id, table.name)
    is_older = check_schema(file)
    for number, line in enumerate(file.lines(name), 1):
        try:
            row = rows.decoded(table, line, file.blob, is_older=is_older)
            _check_row(table, row, moved)
        except UnfitRow as error:
            raise file.unfit(f"{name}, line {number}: {error}") from None
        yield row


def _check_row(table: sa.Table, row: dict[str, Any], moved: MovedSession) -> None:
    """
    Raises:
        UnfitRow: it is somebody else's, or what it holds is not what it says.
    """
    if table is not t.blobs and row[rows.owner_of(table).name] != moved.id:
        raise UnfitRow("it is of another session")
    if row.get("account_id", moved.account_id) != moved.account_id:
        raise UnfitRow("it is of another account")
    if table in rows.PACKED and not rows.is_sound(row):
        raise UnfitRow("its content is not what it says: length or checksum do not match")


def _new_blobs(db: Connection, some: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is named by its content is the same wherever it comes from."""
    query = sa.select(t.blobs.c.sha256).where(t.blobs.c.sha256.in_([row["sha256"] for row in some]))
    known = set(db.execute(query).scalars())
    return [row for row in some if row["sha256"] not in known]


def _in_lots(found: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    some: list[dict[str, Any]] = []
    size = 0
    for row in found:
        some.append(row)
        size += sum(len(value) for value in row.values() if isinstance(value, str | bytes))
        if len(some) == _ROWS_AT_ONCE or size >= _BYTES_AT_ONCE:
            yield some
            some, size = [], 0
    yield some


def _check_token(db: Connection, file: ExportFile, moved: MovedSession) -> None:
    highest = max(written(db, table, moved.id) for table in rows.OWN if "token" in table.c)
    if not highest <= moved.token <= TOKEN_MAX:
        raise file.unfit(f"session {moved.id}: its token is {moved.token}, its rows have {highest}")


def places(db: Connection, session_ids: list[str]) -> dict[str, Place]:
    """Which of these sessions a database has, and how far they are there."""
    columns = (t.sessions.c.id, t.sessions.c.seq, t.sessions.c.journal_hash)
    query = sa.select(*columns).where(t.sessions.c.id.in_(session_ids))
    return {row.id: Place(row.seq, row.journal_hash) for row in db.execute(query)}


def land(
    database: Database, file: ExportFile, new: list[MovedSession], owner: str, wall: datetime, check: Callable[[], None]
) -> None:
    """Write ``new`` sessions, all or none. ``check`` raises if their accounts are not ours any more.

    The accounts' tokens are at least as high afterwards as any that a row was written under, and never lower than
    they were, so that an owner which was replaced here or there stays replaced.

    Raises:
        StorageError: one of them is there by now, or rows of others are in the way. Nothing was written.
    """
    accounts = sorted({moved.account_id for moved in new})
    with database.write() as db:
        tokens = _lower_fences(db, accounts)
        check()
        if here := places(db, [moved.id for moved in new]):
            raise StorageError(f"session {min(here)} was written meanwhile", hint="nothing was changed; try again")
        for moved in new:
            put(db, file, moved)
        for account_id in accounts:
            highest = max((moved for moved in new if moved.account_id == account_id), key=lambda moved: moved.token)
            _raise_fence(db, highest, tokens.get(account_id), owner, wall)


def _lower_fences(db: Connection, accounts: list[str]) -> dict[str, int]:
    """Rows from elsewhere carry lower tokens than what was written here; in this transaction they may pass."""
    where = t.lease.c.account_id.in_(accounts)
    query = sa.select(t.lease.c.account_id, t.lease.c.token).where(where).with_for_update()
    found = {row.account_id: int(row.token) for row in db.execute(query)}
    db.execute(t.lease.update().where(where).values(token=0))
    return found


def _raise_fence(db: Connection, highest: MovedSession, before: int | None, owner: str, wall: datetime) -> None:
    """Again as high as ``before``, or as the token of the session that has the ``highest`` of its account."""
    if before is not None:
        where = t.lease.c.account_id == highest.account_id
        db.execute(t.lease.update().where(where).values(token=max(highest.token, before)))
    elif highest.token:
        db.execute(t.lease.insert(), {
            "account_id": highest.account_id, "token": highest.token, "session_id": highest.id, "owner": owner,
            "acquired_at": wall, "until": wall, "released": True, "until_s": None,
        })  # fmt: skip
