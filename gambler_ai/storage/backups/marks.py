"""What a restored database is told: nobody owns its accounts, this is the token to go on from, and the books are old.

The words are SQL that both kinds of database read, since on Postgres they go into the transaction of `psql`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gambler_ai.core.events import RECALL
from gambler_ai.errors import CheckpointCorrupt, StorageError
from gambler_ai.storage import journal, sessions
from gambler_ai.storage import tables as t
from gambler_ai.storage.backups.archive import Manifest, SessionHead

_COLUMNS = "(id, account_id, session_id, kind, argument, reason, asked_by, asked_at, answer)"
#: The schema from which on something can be asked of a session.
_FIRST_REQUESTS = "0002"
#: Nobody has an account, and whoever thinks so is told at its next write. For the database that is to be replaced.
FENCE = "UPDATE lease SET released = true, token = token + 1"
#: Sessions that nobody goes on with.
_OVER = (sessions.COMPLETED, sessions.CLOSED)


def heads(db: Connection) -> tuple[SessionHead, ...]:
    """How far each session has come, oldest first."""
    names = ("id", "account_id", "broker", "status", "seq", "journal_hash")
    query = sa.select(*(t.sessions.c[name] for name in names)).order_by(t.sessions.c.created_at, t.sessions.c.id)
    return tuple(SessionHead(**dict(row)) for row in db.execute(query).mappings())


def newest_token(db: Connection) -> int:
    """The highest fencing token that was handed out."""
    return int(db.execute(sa.select(sa.func.coalesce(sa.func.max(t.lease.c.token), 0))).scalar_one())


def is_of(db: Connection, manifest: Manifest) -> bool:
    """Whether a backup is an earlier moment of this database: each of its journals went through where it ends there.

    One without sessions is of nobody that can be told.
    """
    return bool(manifest.sessions) and all(_went_through(db, head) for head in manifest.sessions)


def _went_through(db: Connection, head: SessionHead) -> bool:
    if not head.seq:
        return db.execute(sa.select(t.sessions.c.id).where(t.sessions.c.id == head.id)).first() is not None
    try:
        return journal.hash_at(db, head.id, head.seq) == head.journal_hash
    except CheckpointCorrupt:
        return False  # what cannot be told is kept


def token_after(manifest: Manifest, present: int, wall: datetime) -> int:
    """A token above all that can have been handed out: in the backup, in what it replaces, and since it was taken.

    The last is not known where the database is gone. Tokens rise by one a start, so the seconds since 1970 are above
    them, and above those of an earlier restore.
    """
    return max(int(wall.timestamp()), manifest.token + 1, present + 1)


def statements(
    manifest: Manifest, token: int, wall: datetime, accounts: Mapping[str, str], schema: str = ""
) -> Iterator[str]:
    """What is done to the restored rows, with ``schema`` in front of the tables' names.

    ``accounts`` -> a session, of the backup and of what it replaces: one whose lease is not in the backup may have
    been handed out since, from 1 on, and would be again.
    """
    prefix = f'"{schema}".' if schema else ""
    at = wall.astimezone(UTC).isoformat(timespec="microseconds")
    reason = f"restored from a backup of {manifest.taken_at:%F %T} UTC"
    yield f"UPDATE {prefix}lease SET released = true, token = {token:d}"  # noqa: S608
    for account_id, session_id in accounts.items():
        named = ", ".join(map(_literal, (account_id, session_id, "db restore", at, at)))
        yield (
            f"INSERT INTO {prefix}lease (account_id, session_id, owner, acquired_at, until, token, released)"  # noqa: S608
            f" VALUES ({named}, {token:d}, true) ON CONFLICT (account_id) DO NOTHING"
        )
    for number, head in enumerate(manifest.sessions, 1):
        if head.status in _OVER or manifest.revision < _FIRST_REQUESTS:
            continue
        request_id = f"{wall:%Y%m%d-%H%M%S}-restore-{number}"
        values = (request_id, head.account_id, head.id, RECALL, "", reason, "db restore", at, "")
        yield f"INSERT INTO {prefix}requests {_COLUMNS} VALUES ({', '.join(map(_literal, values))})"  # noqa: S608


def _literal(text: str) -> str:
    if "\0" in text:
        raise StorageError("the manifest of the backup holds what no database stores")
    return "'" + text.replace("'", "''") + "'"
