"""Older rows of a long history, compressed and kept: a segment is written and its rows go in one transaction.

Of a journal the facts that are many are rolled up: those that come with every reading, and those of orders. What is
rare stays in the table, where queries by kind find it. So the chain has gaps that are filled from here: a segment holds
what each of its rows said and the beginning of its hash, and `journal.read` merges the two by number. Structures, open
or ended, keep their rows: there are no more of them than of decisions, and screens and exports read them.

What is in a segment is under zlib, and written as `segments` says.
"""

from __future__ import annotations

import hashlib
import heapq
import zlib
from collections.abc import Collection, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.engine import Connection

from gambler_ai.core.model import ZERO, ClosedTrade
from gambler_ai.errors import CheckpointCorrupt, StorageError
from gambler_ai.storage import segments
from gambler_ai.storage import tables as t
from gambler_ai.storage.segments import FILES, MARK, ORDER_FACTS, ROUND_TRIPS, FactRow, TradeRow

#: A segment holds no more than this, so that the commit that writes it is a short one.
SEGMENT_ROWS, SEGMENT_BYTES = 1_000, 1 << 20

#: Rows that are fetched at once.
_FETCHED = 100
_LEVEL = 9
#: File -> by how much fewer of its rows than the limit are left where they were: what orders came to has its own rows.
_FEWER = {ORDER_FACTS: 10}


class Hot(Struct, frozen=True):
    """How many rows of each file are in the journal, up to the row ``seq``: what came later is all that is counted."""

    seq: int = 0
    rows: dict[str, int] = {}


class RolledUp(Struct, frozen=True):
    """What of a session is kept here, of one kind. ``summary`` adds up those of the segments."""

    kind: str
    rows: int
    segments: int
    stored_bytes: int
    until: datetime
    summary: dict[str, Decimal]


class Moved(NamedTuple):
    """How many rows went, and what there is now; the latter is true once the transaction is committed."""

    rows: int
    hot: Hot


_encoder = msgspec.json.Encoder(decimal_format="string")
_summary = msgspec.json.Decoder(dict[str, Decimal])


def roll_up(db: Connection, session_id: str, limit: int, token: int, hot: Hot | None = None) -> Moved:
    """Move the oldest rows of one file that has more than ``limit``, one segment of them.

    They go in whole segments of a tenth of the limit, so that many small ones do not pile up. ``hot`` is what the
    transaction before found: without it the whole journal of the session is counted.

    Raises:
        StorageError: not as many rows were deleted as were kept; nothing may be committed.
    """
    size = max(1, min(SEGMENT_ROWS, limit // 10))
    hot = _counted(db, session_id, hot or Hot())
    for kind in (*FILES, ROUND_TRIPS):
        number = _trades_left(db, session_id) if kind == ROUND_TRIPS else hot.rows.get(kind, 0)
        if number < max(1, limit // _FEWER.get(kind, 1)) + size:
            continue
        row, count = (_move_trades if kind == ROUND_TRIPS else _move_facts)(db, session_id, kind, size)
        if count:
            db.execute(t.archive.insert(), row | {"token": token})
            left = hot.rows | ({kind: number - count} if kind != ROUND_TRIPS else {})
            return Moved(count, Hot(hot.seq, left))
    return Moved(0, hot)


def facts(
    db: Connection, session_id: str, kinds: Collection[str] | None = None, after_seq: int = 0,
    last_seq: int | None = None, begin: datetime | None = None, end: datetime | None = None,
) -> Iterator[FactRow]:  # fmt: skip
    """Rows of the journal that were rolled up, oldest first, a segment of each file in memory; of ``kinds``, or all.

    With ``begin`` and ``end`` segments without a row between them are left out.

    Raises:
        CheckpointCorrupt: a segment does not verify.
    """
    where = [t.archive.c.last > after_seq]
    where += [t.archive.c.first <= last_seq] if last_seq is not None else []
    where += [t.archive.c.begin_at <= end, t.archive.c.end_at >= begin] if begin is not None and end is not None else []
    streams = [_facts_of(db, session_id, file, where, kinds) for file in FILES]
    for row in heapq.merge(*streams, key=lambda row: row.seq):
        if row.seq > after_seq and (last_seq is None or row.seq <= last_seq):
            yield row


def has_facts(db: Connection, session_id: str, after_seq: int = 0) -> bool:
    """Whether a row of the journal after ``after_seq`` was rolled up."""
    where = (t.archive.c.session_id == session_id, t.archive.c.kind.in_(FILES), t.archive.c.last > after_seq)
    return db.execute(sa.select(t.archive.c.first).where(*where).limit(1)).first() is not None


def head_before(db: Connection, session_id: str, seq: int) -> tuple[int, str] | None:
    """The newest row that was rolled up, up to the row ``seq``, whose whole hash is known, with that hash.

    Raises:
        CheckpointCorrupt: a segment does not verify.
    """
    where = (t.archive.c.session_id == session_id, t.archive.c.kind.in_(FILES), t.archive.c.last <= seq)
    query = sa.select(t.archive.c.kind, t.archive.c.first, t.archive.c.last).where(*where)
    row = db.execute(query.order_by(t.archive.c.last.desc()).limit(1)).first()
    if row is None:
        return None
    try:
        head = segments.head_of(_content(db, session_id, row.kind, row.first)[0])
    except ValueError as error:
        raise _corrupt(session_id, row.kind, row.first, row.last) from error
    return (int(row.last), head) if head else None  # an earlier program did not keep it


def newest_at(db: Connection, session_id: str, before_seq: int, before: datetime) -> datetime | None:
    """The newest instant of a row that was rolled up, below a number and before an instant; None if there is none."""
    found = []
    where = (t.archive.c.first < before_seq, t.archive.c.begin_at < before)
    for kind in FILES:
        for first in reversed(_firsts(db, session_id, kind, where)):
            instants = [row.at for row in _facts_in(db, session_id, kind, first) if row.seq < before_seq]
            if earlier := [at for at in instants if at < before]:
                found.append(max(earlier))
                break
    return max(found, default=None)


def trades(db: Connection, session_id: str) -> Iterator[ClosedTrade]:
    """Round trips that were rolled up, in the order in which they ended, a segment in memory.

    Raises:
        CheckpointCorrupt: a segment does not verify.
    """
    for first in _firsts(db, session_id, ROUND_TRIPS):
        yield from (row.trade for row in _trades_in(db, session_id, first))


def newest_trades(db: Connection, session_id: str, limit: int, since: datetime | None = None) -> list[ClosedTrade]:
    """The newest ``limit`` of them, of those that ended at ``since`` or later if it is given; oldest first.

    Raises:
        CheckpointCorrupt: a segment does not verify.
    """
    found: list[ClosedTrade] = []
    where = () if since is None else (t.archive.c.end_at >= since,)
    for first in reversed(_firsts(db, session_id, ROUND_TRIPS, where)):
        if len(found) >= limit:
            break
        rows = _trades_in(db, session_id, first)
        found += [row.trade for row in reversed(rows) if since is None or row.trade.exit_at >= since]
    return found[:limit][::-1]


def count(db: Connection, session_id: str, kind: str) -> int:
    """How many rows of a file were rolled up."""
    query = sa.select(sa.func.coalesce(sa.func.sum(t.archive.c.rows), 0))
    return int(db.execute(query.where(*_of(session_id, kind))).scalar_one())


def rolled_up(db: Connection, session_id: str) -> list[RolledUp]:
    """What is kept here of a session, by kind."""
    columns = (t.archive.c.kind, t.archive.c.rows, t.archive.c.end_at, t.archive.c.summary)
    size = sa.func.length(t.archive.c.payload).label("size")
    query = sa.select(*columns, size).where(t.archive.c.session_id == session_id)
    by_kind: dict[str, list[Any]] = {}
    for row in db.execute(query.order_by(t.archive.c.kind, t.archive.c.first)):
        by_kind.setdefault(row.kind, []).append(row)
    return [_added(kind, rows) for kind, rows in by_kind.items()]


def check(db: Connection, session_id: str) -> int:
    """Read every segment of a session, and compare it with what its row says of it. Returns how many rows there are.

    Raises:
        CheckpointCorrupt: one does not verify.
    """
    total = 0
    for kind in (*FILES, ROUND_TRIPS):
        after = 0
        for first in _firsts(db, session_id, kind):
            trips = kind == ROUND_TRIPS
            rows = _trades_in(db, session_id, first) if trips else _facts_in(db, session_id, kind, first)
            found = db.execute(sa.select(t.archive).where(*_of(session_id, kind), t.archive.c.first == first))
            stored = found.mappings().one()
            if not rows or first <= after or any(stored[n] != v for n, v in _described(session_id, kind, rows).items()):
                raise _corrupt(session_id, kind, first, stored["last"])
            after, total = rows[-1].seq, total + len(rows)
    return total


# -- writing --------------------------------------------------------------------------------------


def _counted(db: Connection, session_id: str, hot: Hot) -> Hot:
    """With the rows that came since."""
    kind, number, last = t.journal.c.kind, sa.func.count(), sa.func.max(t.journal.c.seq)
    where = (t.journal.c.session_id == session_id, t.journal.c.seq > hot.seq)
    new = {row[0]: (row[1], row[2]) for row in db.execute(sa.select(kind, number, last).where(*where).group_by(kind))}
    rows = {
        file: hot.rows.get(file, 0) + sum(new[name][0] for name in kinds if name in new)
        for file, kinds in FILES.items()
    }  # fmt: skip
    return Hot(max((seq for _, seq in new.values()), default=hot.seq), rows)


def _trades_left(db: Connection, session_id: str) -> int:
    """They are numbered one after the other, and go from the oldest on."""
    number = t.closed_trades.c.number
    ends = sa.select(sa.func.max(number)), sa.select(sa.func.min(number))  # apart, each is one look into the key
    newest, oldest = (db.execute(q.where(t.closed_trades.c.session_id == session_id)).scalar() for q in ends)
    return 0 if newest is None or oldest is None else int(newest) - int(oldest) + 1


def _move_facts(db: Connection, session_id: str, kind: str, size: int) -> tuple[dict[str, Any], int]:
    """Delete so many of the oldest, fewer if they are large; none while a resume may need one of them.

    What a resume reads lies behind the oldest whole checkpoint, whose own row says that the journal is still its own.
    Returns the segment they are in.
    """
    wholes = (t.checkpoints.c.session_id == session_id, t.checkpoints.c.length > 0)
    bound = db.execute(sa.select(sa.func.min(t.checkpoints.c.seq)).where(*wholes)).scalar()
    columns = (t.journal.c.seq, t.journal.c.token, t.journal.c.hash, t.journal.c.payload)
    where = (t.journal.c.session_id == session_id, t.journal.c.kind.in_(FILES[kind]), t.journal.c.seq < (bound or 0))
    query = sa.select(*columns).where(*where).order_by(t.journal.c.seq).limit(size)
    rows: list[FactRow] = []
    length, head = 0, ""
    with db.execute(query, execution_options={"yield_per": _FETCHED}) as found:
        for row in found:
            rows.append(FactRow(row.seq, row.token, row.hash[:MARK], row.payload))
            length, head = length + len(row.payload), row.hash
            if length >= SEGMENT_BYTES:
                break
    if len(rows) < size and length < SEGMENT_BYTES:
        return {}, 0
    between = t.journal.c.seq.between(rows[0].seq, rows[-1].seq)
    gone = t.journal.delete().where(t.journal.c.session_id == session_id, between, t.journal.c.kind.in_(FILES[kind]))
    return _segment(session_id, kind, rows, segments.write_facts(rows, head)), _deleted(db, gone, kind, rows)


def _move_trades(db: Connection, session_id: str, kind: str, size: int) -> tuple[dict[str, Any], int]:
    table = t.closed_trades
    query = sa.select(table).where(table.c.session_id == session_id).order_by(table.c.number).limit(size)
    rows = [
        TradeRow(row["number"], ClosedTrade(**{name: row[name] for name in ClosedTrade.__struct_fields__}))
        for row in db.execute(query).mappings()
    ]  # fmt: skip
    between = table.c.number.between(rows[0].seq, rows[-1].seq)
    gone = table.delete().where(table.c.session_id == session_id, between)
    return _segment(session_id, kind, rows, segments.write_trades(rows)), _deleted(db, gone, kind, rows)


def _deleted(db: Connection, query: sa.Delete, kind: str, rows: list[FactRow] | list[TradeRow]) -> int:
    gone = db.execute(query).rowcount
    if gone != len(rows):
        first, last = rows[0].seq, rows[-1].seq
        raise StorageError(f"{len(rows)} rows of {kind} from {first} to {last} were kept and {gone} deleted")
    return len(rows)


def _segment(session_id: str, kind: str, rows: list[FactRow] | list[TradeRow], raw: bytes) -> dict[str, Any]:
    packed = {"length": len(raw), "sha256": hashlib.sha256(raw).hexdigest(), "payload": zlib.compress(raw, _LEVEL)}
    return _described(session_id, kind, rows) | packed


def _described(session_id: str, kind: str, rows: list[FactRow] | list[TradeRow]) -> dict[str, Any]:
    """What a segment's row says of what is in it."""
    instants = [row.at for row in rows]
    return {
        "session_id": session_id, "kind": kind, "first": rows[0].seq, "last": rows[-1].seq, "begin_at": min(instants),
        "end_at": max(instants), "rows": len(rows), "summary": _encoder.encode(segments.summary_of(rows)).decode(),
    }  # fmt: skip


# -- reading --------------------------------------------------------------------------------------


def _of(session_id: str, kind: str) -> tuple[sa.ColumnElement[bool], ...]:
    return t.archive.c.session_id == session_id, t.archive.c.kind == kind


def _firsts(db: Connection, session_id: str, kind: str, where: Collection[sa.ColumnElement[bool]] = ()) -> list[int]:
    """Which segments there are, by their first row."""
    query = sa.select(t.archive.c.first).where(*_of(session_id, kind), *where).order_by(t.archive.c.first)
    return list(db.execute(query).scalars())


def _facts_of(
    db: Connection, session_id: str, file: str, where: Collection[sa.ColumnElement[bool]], kinds: Collection[str] | None
) -> Iterator[FactRow]:
    """The facts in a file; of ``kinds``, or all."""
    within = FILES[file]
    wanted = within if kinds is None else [kind for kind in within if kind in kinds]
    for first in _firsts(db, session_id, file, where) if wanted else ():
        rows = _facts_in(db, session_id, file, first)
        yield from rows if len(wanted) == len(within) else (row for row in rows if row.kind in wanted)


def _facts_in(db: Connection, session_id: str, kind: str, first: int) -> list[FactRow]:
    raw, last = _content(db, session_id, kind, first)
    try:
        return segments.read_facts(raw)
    except ValueError as error:  # though its sum is right
        raise _corrupt(session_id, kind, first, last) from error


def _trades_in(db: Connection, session_id: str, first: int) -> list[TradeRow]:
    raw, last = _content(db, session_id, ROUND_TRIPS, first)
    try:
        return segments.read_trades(raw)
    except ValueError as error:
        raise _corrupt(session_id, ROUND_TRIPS, first, last) from error


def _content(db: Connection, session_id: str, kind: str, first: int) -> tuple[bytes, int]:
    """What is in a segment, as it was written, and its last row.

    Raises:
        CheckpointCorrupt: it is something else now.
    """
    columns = (t.archive.c.last, t.archive.c.length, t.archive.c.sha256, t.archive.c.payload)
    row = db.execute(sa.select(*columns).where(*_of(session_id, kind), t.archive.c.first == first)).one()
    try:
        raw = zlib.decompressobj().decompress(row.payload, row.length + 1)
    except (zlib.error, ValueError) as error:
        raise _corrupt(session_id, kind, first, row.last) from error
    if len(raw) != row.length or hashlib.sha256(raw).hexdigest() != row.sha256:
        raise _corrupt(session_id, kind, first, row.last)
    return raw, int(row.last)


def _added(kind: str, rows: list[Any]) -> RolledUp:
    total: dict[str, Decimal] = {}
    for row in rows:
        for name, value in _summary.decode(row.summary).items():
            total[name] = total.get(name, ZERO) + value
    until = max(row.end_at for row in rows)
    return RolledUp(kind, sum(r.rows for r in rows), len(rows), sum(r.size for r in rows), until, total)


def _corrupt(session_id: str, kind: str, first: int, last: int) -> CheckpointCorrupt:
    return CheckpointCorrupt(
        f"rows {first} to {last} of session {session_id}, kept compressed ({kind}), do not verify",
        hint="keep this database; restore a backup",
    )
