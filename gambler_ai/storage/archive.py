"""Older rows of a long history, compressed and kept: a segment is written and its rows go in one transaction.

Of a journal only the facts that come with every reading are rolled up: more than nine rows in ten of a quiet session.
What is rare stays in the table, where queries by kind find it. So the chain has gaps that are filled from here: a
segment holds what each of its rows said and the beginning of its hash, and `journal.read` merges the two by number.

A segment is JSON under zlib. A row of it: a fact as [number, token, beginning of its hash, payload], a round trip as
[number, its fields].
"""

from __future__ import annotations

import hashlib
import heapq
import zlib
from collections.abc import Collection, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.engine import Connection

from gambler_ai.core.events import AccountReported, Marked
from gambler_ai.core.model import ZERO, ClosedTrade
from gambler_ai.errors import CheckpointCorrupt, StorageError
from gambler_ai.storage import tables as t

#: Facts that come with every reading.
BULK = (Marked.__name__, AccountReported.__name__)
#: What round trips are filed under.
ROUND_TRIPS = t.closed_trades.name
#: A segment holds no more than this, so that the commit that writes it is a short one.
SEGMENT_ROWS, SEGMENT_BYTES = 1_000, 1 << 20
#: How much of a row's hash is kept: the row can be named where the chain breaks, and the next whole one proves it.
MARK = 8

#: Rows that are fetched at once.
_FETCHED = 100


class FactRow(Struct, frozen=True, array_like=True):
    """A row of the journal, without what follows from the others."""

    seq: int
    token: int
    mark: str
    payload: str

    @property
    def at(self) -> datetime:
        """When it was.

        Raises:
            CheckpointCorrupt: its payload does not say.
        """
        try:
            return _dated.decode(self.payload).at
        except msgspec.MsgspecError as error:
            raise CheckpointCorrupt(f"journal row {self.seq} is not a fact: it has no instant") from error


class TradeRow(Struct, frozen=True, array_like=True):
    """A round trip with its number."""

    seq: int
    trade: ClosedTrade

    @property
    def at(self) -> datetime:
        return self.trade.exit_at


class RolledUp(Struct, frozen=True):
    """What of a session is kept here, of one kind. ``summary`` adds up those of the segments."""

    kind: str
    rows: int
    segments: int
    stored_bytes: int
    until: datetime
    summary: dict[str, Decimal]


class _Dated(Struct):
    at: datetime


_encoder = msgspec.json.Encoder(decimal_format="string")
_dated = msgspec.json.Decoder(_Dated)
_fact_rows = msgspec.json.Decoder(list[FactRow])
_trade_rows = msgspec.json.Decoder(list[TradeRow])
_summary = msgspec.json.Decoder(dict[str, Decimal])


def roll_up(db: Connection, session_id: str, limit: int, token: int) -> int:
    """Move the oldest rows of one kind that has more than ``limit``, one segment of them. Returns how many went.

    They go in whole segments of a tenth of the limit, so that many small ones do not pile up.

    Raises:
        StorageError: not as many rows were deleted as were kept; nothing may be committed.
    """
    size = max(1, min(SEGMENT_ROWS, limit // 10))
    for kind in _too_many(db, session_id, limit + size):
        rows = (
            _oldest_trades(db, session_id, size) if kind == ROUND_TRIPS else _oldest_facts(db, session_id, kind, size)
        )
        if rows:
            db.execute(t.archive.insert(), _segment(session_id, kind, rows) | {"token": token})
            _delete(db, session_id, kind, rows)
            return len(rows)
    return 0


def facts(
    db: Connection, session_id: str, kinds: Collection[str] = BULK, after_seq: int = 0, last_seq: int | None = None,
    begin: datetime | None = None, end: datetime | None = None,
) -> Iterator[FactRow]:  # fmt: skip
    """Rows of the journal that were rolled up, oldest first, a segment of each kind in memory.

    With ``begin`` and ``end`` segments without a row between them are left out.

    Raises:
        CheckpointCorrupt: a segment does not verify.
    """
    where = [t.archive.c.last > after_seq]
    where += [t.archive.c.first <= last_seq] if last_seq is not None else []
    where += [t.archive.c.begin_at <= end, t.archive.c.end_at >= begin] if begin is not None and end is not None else []
    streams = [_facts_of(db, session_id, kind, where) for kind in kinds if kind in BULK]
    for row in heapq.merge(*streams, key=lambda row: row.seq):
        if row.seq > after_seq and (last_seq is None or row.seq <= last_seq):
            yield row


def has_facts(db: Connection, session_id: str, after_seq: int = 0) -> bool:
    """Whether a row of the journal after ``after_seq`` was rolled up."""
    where = (t.archive.c.session_id == session_id, t.archive.c.kind.in_(BULK), t.archive.c.last > after_seq)
    return db.execute(sa.select(t.archive.c.first).where(*where).limit(1)).first() is not None


def newest_at(db: Connection, session_id: str, before_seq: int, before: datetime) -> datetime | None:
    """The newest instant of a row that was rolled up, below a number and before an instant; None if there is none."""
    found = []
    where = (t.archive.c.first < before_seq, t.archive.c.begin_at < before)
    for kind in BULK:
        for first in reversed(_firsts(db, session_id, kind, where)):
            rows = _fact_rows.decode(_content(db, session_id, kind, first))
            instants = [row.at for row in rows if row.seq < before_seq]
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
        for row in _trade_rows.decode(_content(db, session_id, ROUND_TRIPS, first)):
            yield row.trade


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
        rows = _trade_rows.decode(_content(db, session_id, ROUND_TRIPS, first))
        found += [row.trade for row in reversed(rows) if since is None or row.trade.exit_at >= since]
    return found[:limit][::-1]


def count(db: Connection, session_id: str, kind: str) -> int:
    """How many rows of a kind were rolled up."""
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
    for kind in (*BULK, ROUND_TRIPS):
        after = 0
        for first in _firsts(db, session_id, kind):
            rows = _rows_of(kind, _content(db, session_id, kind, first))
            found = db.execute(sa.select(t.archive).where(*_of(session_id, kind), t.archive.c.first == first))
            stored = found.mappings().one()
            if first <= after or any(stored[n] != v for n, v in _segment(session_id, kind, rows).items() if n != _BLOB):
                raise _corrupt(session_id, kind, first, stored["last"])
            after, total = rows[-1].seq, total + len(rows)
    return total


# -- writing --------------------------------------------------------------------------------------


def _too_many(db: Connection, session_id: str, most: int) -> list[str]:
    """The kinds of which there are ``most`` rows or more, in an order of their own."""
    kind, number = t.journal.c.kind, sa.func.count()
    query = sa.select(kind, number).where(t.journal.c.session_id == session_id, kind.in_(BULK)).group_by(kind)
    counts: dict[str, int] = {row[0]: row[1] for row in db.execute(query)}
    query_trades = sa.select(number).select_from(t.closed_trades).where(t.closed_trades.c.session_id == session_id)
    counts[ROUND_TRIPS] = db.execute(query_trades).scalar_one()
    return [name for name in (*BULK, ROUND_TRIPS) if counts.get(name, 0) >= most]


def _oldest_facts(db: Connection, session_id: str, kind: str, size: int) -> list[FactRow]:
    """So many of them, fewer if they are large; none while a resume may need one of them.

    What a resume reads lies behind the oldest whole checkpoint, whose own row says that the journal is still its own.
    """
    wholes = (t.checkpoints.c.session_id == session_id, t.checkpoints.c.length > 0)
    bound = db.execute(sa.select(sa.func.min(t.checkpoints.c.seq)).where(*wholes)).scalar()
    columns = (t.journal.c.seq, t.journal.c.token, t.journal.c.hash, t.journal.c.payload)
    where = (t.journal.c.session_id == session_id, t.journal.c.kind == kind, t.journal.c.seq < (bound or 0))
    query = sa.select(*columns).where(*where).order_by(t.journal.c.seq).limit(size)
    found: list[FactRow] = []
    length = 0
    with db.execute(query, execution_options={"yield_per": _FETCHED}) as rows:
        for row in rows:
            found.append(FactRow(row.seq, row.token, row.hash[:MARK], row.payload))
            length += len(row.payload)
            if length >= SEGMENT_BYTES:
                return found
    return found if len(found) == size else []


def _oldest_trades(db: Connection, session_id: str, size: int) -> list[TradeRow]:
    query = sa.select(t.closed_trades).where(t.closed_trades.c.session_id == session_id)
    rows = db.execute(query.order_by(t.closed_trades.c.number).limit(size)).mappings()
    return [TradeRow(row["number"], ClosedTrade(**{n: row[n] for n in ClosedTrade.__struct_fields__})) for row in rows]


#: What of a segment's row need not be the same when it is made again: another zlib may pack it otherwise.
_BLOB = "payload"


def _segment(session_id: str, kind: str, rows: list[FactRow] | list[TradeRow]) -> dict[str, Any]:
    raw = _encoder.encode(rows)
    instants = [row.at for row in rows]
    return {
        "session_id": session_id, "kind": kind, "first": rows[0].seq, "last": rows[-1].seq, "begin_at": min(instants),
        "end_at": max(instants), "rows": len(rows), "length": len(raw), "sha256": hashlib.sha256(raw).hexdigest(),
        _BLOB: zlib.compress(raw), "summary": _encoder.encode(_summary_of(rows)).decode(),
    }  # fmt: skip


def _summary_of(rows: list[FactRow] | list[TradeRow]) -> dict[str, Decimal]:
    """What round trips came to; of facts nothing."""
    pnl = [row.trade.pnl for row in rows if isinstance(row, TradeRow)]
    if not pnl:
        return {}
    known = [value for value in pnl if value is not None]
    return {
        "won": Decimal(sum(value > 0 for value in known)), "lost": Decimal(sum(value < 0 for value in known)),
        "unpriced": Decimal(len(pnl) - len(known)), "pnl": sum(known, ZERO),
    }  # fmt: skip


def _delete(db: Connection, session_id: str, kind: str, rows: list[FactRow] | list[TradeRow]) -> None:
    first, last = rows[0].seq, rows[-1].seq
    if kind == ROUND_TRIPS:
        closed = t.closed_trades.c
        query = t.closed_trades.delete().where(closed.session_id == session_id, closed.number.between(first, last))
    else:
        row = t.journal.c
        query = t.journal.delete().where(row.session_id == session_id, row.seq.between(first, last), row.kind == kind)
    gone = db.execute(query).rowcount
    if gone != len(rows):
        raise StorageError(f"{len(rows)} rows of {kind} from {first} to {last} were kept and {gone} deleted")


# -- reading --------------------------------------------------------------------------------------


def _of(session_id: str, kind: str) -> tuple[sa.ColumnElement[bool], ...]:
    return t.archive.c.session_id == session_id, t.archive.c.kind == kind


def _firsts(db: Connection, session_id: str, kind: str, where: Collection[sa.ColumnElement[bool]] = ()) -> list[int]:
    """Which segments there are, by their first row."""
    query = sa.select(t.archive.c.first).where(*_of(session_id, kind), *where).order_by(t.archive.c.first)
    return list(db.execute(query).scalars())


def _facts_of(
    db: Connection, session_id: str, kind: str, where: Collection[sa.ColumnElement[bool]]
) -> Iterator[FactRow]:
    for first in _firsts(db, session_id, kind, where):
        yield from _fact_rows.decode(_content(db, session_id, kind, first))


def _rows_of(kind: str, raw: bytes) -> list[FactRow] | list[TradeRow]:
    return _trade_rows.decode(raw) if kind == ROUND_TRIPS else _fact_rows.decode(raw)


def _content(db: Connection, session_id: str, kind: str, first: int) -> bytes:
    """What is in a segment, as it was written.

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
    return raw


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
