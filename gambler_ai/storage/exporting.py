"""Sessions out of a database, into a file that another one takes: all of a session's rows, of one moment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.engine import Connection

from gambler_ai.storage import checkpoints, inspect, rows
from gambler_ai.storage import tables as t
from gambler_ai.storage.export_file import ExportWriter, MovedSession, rows_name
from gambler_ai.storage.sessions import SessionInfo


class Exported(Struct, frozen=True):
    """What was written of a session; ``left`` names what did not verify and stayed behind, and why."""

    moved: MovedSession
    left: tuple[str, ...]


def export(db: Connection, info: SessionInfo, writer: ExportWriter, *, exchange: bool) -> Exported:
    """Write the rows of a session. ``exchange``: its embedded exchange's account follows.

    Raises:
        CheckpointCorrupt: its journal does not verify.
    """
    inspect.check_chain(db, info)
    broken = checkpoints.not_verifying(db, info.id)
    left = [f"checkpoint {number}: {why}" for number, why in broken.items()]
    counts = {table.name: _table(db, info.id, table, writer, broken) for table in rows.OWN}
    counts[t.blobs.name] = _write(t.blobs, info.id, _sound_blobs(db, info.id, left), writer)
    moved = MovedSession(
        id=info.id, account_id=info.account_id, broker=info.broker, trading_url=info.trading_url, status=info.status,
        seq=info.seq, journal_hash=info.journal_hash, token=_highest_token(db, info), rows=counts, exchange=exchange,
    )  # fmt: skip
    return Exported(moved, tuple(left))


def _table(db: Connection, session_id: str, table: sa.Table, writer: ExportWriter, broken: dict[int, str]) -> int:
    """A checkpoint is a cache: one that does not verify would be of no use anywhere."""
    found = rows.of_session(db, table, session_id)
    if table is t.checkpoints:
        found = (row for row in found if row["number"] not in broken)
    return _write(table, session_id, found, writer)


def _sound_blobs(db: Connection, session_id: str, left: list[str]) -> Iterator[dict[str, Any]]:
    """What a component cannot be given back is said; the component itself starts from an older one."""
    for row in rows.of_blobs(db, session_id):
        if rows.is_sound(row):
            yield row
        else:
            left.append(f"blob {row['sha256'][:12]} of what components remember: its checksum does not match")


def _write(table: sa.Table, session_id: str, found: Iterator[dict[str, Any]], writer: ExportWriter) -> int:
    lines: Iterator[bytes] = (rows.encoded(table, row, writer.add_blob) for row in found)
    if rows.has_blobs(table):
        lines = iter(list(lines))  # one member at a time: the bytes that they name come first
    return writer.add(rows_name(session_id, table.name), lines)


def _highest_token(db: Connection, info: SessionInfo) -> int:
    """The highest that anybody wrote this session under, or holds its account under."""
    held = db.execute(sa.select(t.lease.c.token).where(t.lease.c.account_id == info.account_id)).scalar()
    return max([held or 0, *(written(db, table, info.id) for table in rows.OWN if "token" in table.c)])


def written(db: Connection, table: sa.Table, session_id: str) -> int:
    """The highest token in a session's rows of a table."""
    query = sa.select(sa.func.max(table.c.token)).where(table.c.session_id == session_id)
    return int(db.execute(query).scalar() or 0)
