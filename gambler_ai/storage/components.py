"""What components remember: rows that say what and as of when, and blobs named by their content.

A row belongs to a session and is as of a journal row. Its blob is compressed and named by the SHA-256 of what is in it,
so what did not change is not written again. Nothing here is believed unread: a checksum, a length, the account.
A row that was found bad is set aside with the reason and never deleted; good ones are kept a few deep.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.engine import Connection

from gambler_ai import crashpoints
from gambler_ai.core.text import one_line
from gambler_ai.errors import CheckpointCorrupt
from gambler_ai.storage import statements
from gambler_ai.storage.tables import blobs
from gambler_ai.storage.tables import components as table

#: Good rows of a name that a session keeps; those set aside come on top.
KEPT = 3
#: Rows of a name between two prunings while a session runs: what is kept at most, and what a save costs at least.
PRUNE_EVERY = 10
#: Bytes of a blob, unpacked: more is no memory of ours but a bomb.
LENGTH_MAX = 256 << 20
#: zlib's fastest but one: a save stands in the way of a decision.
_LEVEL = 2
_REASON_MAX = 300

_ADD = statements.insert(table)
_PUT_BLOB = statements.upsert(blobs)
_DROP = statements.delete(table, {"session_id": "session", "name": "which", "number": "row"})


class Blob(Struct, frozen=True):
    """Bytes ready to be stored; ``length`` and ``sha256`` are of what is in them."""

    sha256: str
    length: int
    payload: bytes


class ComponentInfo(Struct, frozen=True):
    """One row, without its blob. ``at`` is session time, ``created_at`` wall time; ``set_aside`` is why, "" if good.

    ``length`` is the blob's, unpacked; None when the blob is gone.
    """

    session_id: str
    name: str
    number: int
    account_id: str
    at: datetime
    created_at: datetime
    seq: int
    schema: int
    format: str
    libraries: dict[str, str]
    sha256: str
    set_aside: str
    length: int | None = None


class Newest(Struct, frozen=True):
    """The newest row of a name whose blob verifies, with what is in it; before it, newer ones that do not, and why."""

    info: ComponentInfo
    payload: bytes
    broken: tuple[tuple[ComponentInfo, str], ...]


def packed(raw: bytes) -> Blob:
    """``raw`` compressed and named.

    Raises:
        ValueError: it is too large to be read again.
    """
    if len(raw) > LENGTH_MAX:
        raise ValueError(f"{len(raw):,} bytes are more than a component may have ({LENGTH_MAX:,})")
    return Blob(hashlib.sha256(raw).hexdigest(), len(raw), zlib.compress(raw, _LEVEL))


def save(
    db: Connection, session_id: str, account_id: str, name: str, *, payload: bytes, schema: int, format: str,  # noqa: A002
    libraries: Mapping[str, str], seq: int, at: datetime, wall: datetime, token: int,
) -> ComponentInfo:  # fmt: skip
    """Store what ``name`` remembers as of the journal row ``seq``; what is there already is not written again.

    ``payload`` is not compressed, ``token`` the fencing token of the writer. Returns the row, new or as it was.

    Raises:
        ValueError: it is too large.
    """
    blob, before = packed(payload), next(iter(listed(db, session_id, name)), None)
    same = (blob.sha256, schema, format, "")
    if before is not None and (before.sha256, before.schema, before.format, before.set_aside) == same:
        return before
    number = before.number + 1 if before is not None else 1
    info = ComponentInfo(
        session_id, name, number, account_id, at, wall, seq, schema, format, dict(libraries), blob.sha256, "",
        blob.length,
    )  # fmt: skip
    write(db, info, blob, token)
    return info


def write(db: Connection, info: ComponentInfo, blob: Blob | None, token: int) -> None:
    """Add a row, and its blob unless that is None: the caller knows that it is there."""
    if blob is not None:
        _put(db, blob, info.created_at)
        crashpoints.hit("component.blob")
    row = {name: getattr(info, name) for name in ComponentInfo.__struct_fields__ if name != "length"}
    _ADD.run(db, row | {"libraries": msgspec.json.encode(info.libraries).decode(), "token": token})
    crashpoints.hit("component.inside")
    if info.number % PRUNE_EVERY == 0:
        prune(db, info.session_id, name=info.name)


def listed(db: Connection, session_id: str, name: str | None = None) -> list[ComponentInfo]:
    """All rows of a session, of one name if it is given: by name, newest first, those set aside among them."""
    return _select(db, table.c.session_id == session_id, *([table.c.name == name] if name is not None else []))


def elsewhere(db: Connection, account_id: str, session_id: str, name: str) -> list[ComponentInfo]:
    """Good rows of a name that other sessions of the account left, newest first."""
    found = _select(
        db, table.c.account_id == account_id, table.c.session_id != session_id, table.c.name == name,
        table.c.set_aside == "",
    )  # fmt: skip
    return sorted(found, key=lambda info: (info.created_at, info.session_id, info.number), reverse=True)


def payload(db: Connection, info: ComponentInfo, account_id: str) -> bytes:
    """What is in the blob of a row.

    Raises:
        CheckpointCorrupt: it is another account's, or its blob is missing, damaged, or larger than it says.
    """
    if info.account_id != account_id:
        raise CheckpointCorrupt(f"it is of another account ({info.account_id})")
    return _read(db, info.sha256)


def newest(db: Connection, session_id: str, name: str, account_id: str) -> Newest | None:
    """The newest row of a name whose blob verifies; None when there is none. Those set aside are passed over."""
    broken: list[tuple[ComponentInfo, str]] = []
    for info in listed(db, session_id, name):
        if info.set_aside:
            continue
        try:
            return Newest(info, payload(db, info, account_id), tuple(broken))
        except CheckpointCorrupt as error:
            broken.append((info, error.message))
    return None


def set_aside(db: Connection, session_id: str, name: str, number: int, reason: str) -> None:
    """Say of a row why it is not used any more; it stays, with its blob."""
    where = (table.c.session_id == session_id, table.c.name == name, table.c.number == number)
    db.execute(table.update().where(*where).values(set_aside=one_line(reason, _REASON_MAX) or "set aside"))


def prune(db: Connection, session_id: str, keep: int = KEPT, name: str | None = None) -> int:
    """Drop all but the newest ``keep`` good rows of each name, and blobs that no row needs. Returns how many rows went.

    What was set aside stays.
    """
    good: dict[str, list[ComponentInfo]] = {}
    for info in listed(db, session_id, name):
        if not info.set_aside:
            good.setdefault(info.name, []).append(info)
    gone = [info for found in good.values() for info in found[keep:]]
    if gone:
        _DROP.run(db, *({"session": session_id, "which": info.name, "row": info.number} for info in gone))
        _collect(db, sorted({info.sha256 for info in gone}))
    return len(gone)


def damaged(db: Connection, limit: int = 20) -> tuple[int, list[str]]:
    """How many blobs good rows lean on, and of those that do not verify whose they are and why, ``limit`` at most."""
    good = sa.select(table.c.sha256, sa.func.min(table.c.session_id), sa.func.min(table.c.name))
    found = db.execute(good.where(table.c.set_aside == "").group_by(table.c.sha256)).all()
    wrong = []
    for sha256, session_id, name in found:
        try:
            _read(db, sha256)
        except CheckpointCorrupt as error:
            wrong.append(f"{name} of session {session_id}: {error.message}")
            if len(wrong) == limit:
                break
    return len(found), wrong


def _put(db: Connection, blob: Blob, wall: datetime) -> None:
    """Add a blob, or write it over the one of that name: it may be there and damaged.

    Another session may be about to drop it (`_collect`), and waits for us then.
    """
    row = {"sha256": blob.sha256, "length": blob.length, "payload": blob.payload, "created_at": wall}
    _PUT_BLOB.run(db, row)


def _collect(db: Connection, names: Collection[str]) -> None:
    """Delete those of the blobs ``names`` that no row needs."""
    where = blobs.c.sha256.in_(names)
    if db.dialect.name != "sqlite":  # one that is being taken up elsewhere is waited for, then looked at anew
        db.execute(sa.select(blobs.c.sha256).where(where).order_by(blobs.c.sha256).with_for_update())
    needed = set(db.execute(sa.select(table.c.sha256).where(table.c.sha256.in_(names)).distinct()).scalars())
    if orphans := [name for name in names if name not in needed]:
        db.execute(blobs.delete().where(blobs.c.sha256.in_(orphans)))


def _read(db: Connection, sha256: str) -> bytes:
    row = db.execute(sa.select(blobs.c.length, blobs.c.payload).where(blobs.c.sha256 == sha256)).one_or_none()
    if row is None:
        raise CheckpointCorrupt("its blob is missing")
    if not 0 <= row.length <= LENGTH_MAX:
        raise CheckpointCorrupt(f"its blob claims {row.length:,} bytes, more than there can be")
    unpack = zlib.decompressobj()
    try:
        raw = unpack.decompress(bytes(row.payload), row.length + 1)  # one more than it claims: no bomb goes further
    except zlib.error:
        raise CheckpointCorrupt("its blob does not unpack") from None
    if len(raw) != row.length or not unpack.eof or unpack.unused_data:
        raise CheckpointCorrupt("its blob has another length than it says")
    if hashlib.sha256(raw).hexdigest() != sha256:
        raise CheckpointCorrupt("its checksum does not match")
    return raw


def _select(db: Connection, *where: sa.ColumnElement[bool]) -> list[ComponentInfo]:
    joined = table.outerjoin(blobs, blobs.c.sha256 == table.c.sha256)
    query = sa.select(table, blobs.c.length).select_from(joined).where(*where)
    found = db.execute(query.order_by(table.c.session_id, table.c.name, table.c.number.desc())).mappings()
    return [_info(dict(row)) for row in found]


def _info(row: dict[str, Any]) -> ComponentInfo:
    try:
        libraries = msgspec.json.decode(row["libraries"], type=dict[str, str])
    except msgspec.MsgspecError:
        libraries = {}
    fields = {name: row[name] for name in ComponentInfo.__struct_fields__ if name != "libraries"}
    return ComponentInfo(libraries=libraries, **fields)
