"""What the command line and the dashboard read. Plain queries; nothing here writes."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.engine import Connection

from gambler_ai.core.degraded import ends, entries
from gambler_ai.core.events import GONE, Degraded, Discrepancy, Restored
from gambler_ai.core.model import ClosedTrade, Fill, Side
from gambler_ai.core.orders import FINAL, Status
from gambler_ai.core.structures import ExitRules, Greeks, Leg, Structure
from gambler_ai.core.text import one_line
from gambler_ai.errors import StorageError
from gambler_ai.storage import archive
from gambler_ai.storage import tables as t

_decoder = msgspec.json.Decoder(Degraded | Restored)


class OrderRow(Struct, frozen=True):
    """An order of ours as last reported."""

    order_id: str
    client_order_id: str
    intent_id: str
    role: str
    symbol: str
    side: str
    type: str
    qty: Decimal
    filled_qty: Decimal
    filled_avg_price: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    status: str
    submitted_at: datetime


class IntentRow(Struct, frozen=True):
    """A decision and how far it has come."""

    client_order_id: str
    decided_at: datetime
    purpose: str
    symbol: str
    side: str
    qty: Decimal
    stop_price: Decimal | None
    target_price: Decimal | None
    status: str
    reason: str
    note: str


class PositionRow(Struct, frozen=True):
    """A position as last written."""

    symbol: str
    qty: Decimal
    side: str
    avg_entry_price: Decimal
    entry_at: datetime
    stop_price: Decimal | None
    target_price: Decimal | None
    strategy: str
    position_id: str
    structure_id: str = ""
    greeks: Greeks | None = None  # of a contract, when it was opened


class StructureRow(Struct, frozen=True):
    """A structure as last written, open or ended, with the positions of its legs; those of an ended one are gone."""

    structure: Structure
    ended_at: datetime | None
    end_reason: str
    positions: tuple[PositionRow, ...] = ()


class DegradedRow(Struct, frozen=True):
    """A condition that lasts, since when."""

    at: datetime
    name: str
    reason: str
    entries: str
    ends: str


class DiscrepancyRow(Struct, frozen=True):
    """A difference that a reconciliation found, with its instant."""

    at: datetime
    item: Discrepancy


def closed_trades(
    db: Connection, session_id: str, limit: int = 1_000, since: datetime | None = None
) -> list[ClosedTrade]:
    """The newest ``limit`` round trips, of those that ended at ``since`` or later if it is given; oldest first."""
    table = t.closed_trades
    query = sa.select(table).where(table.c.session_id == session_id)
    if since is not None:
        query = query.where(table.c.exit_at >= since)
    rows = db.execute(query.order_by(table.c.number.desc()).limit(limit)).mappings().all()
    found = [ClosedTrade(**_only(dict(row), ClosedTrade)) for row in reversed(rows)]
    return archive.newest_trades(db, session_id, limit - len(found), since) + found


def fills(db: Connection, session_id: str, limit: int = 10_000) -> list[Fill]:
    """The newest ``limit`` fills, oldest first."""
    rows = _newest(db, t.fills, session_id, t.fills.c.at, limit, t.fills.c.activity_id)
    return [Fill(**_only(row, Fill) | {"side": Side(row["side"])}) for row in rows]


def orders(db: Connection, session_id: str, limit: int = 1_000) -> list[OrderRow]:
    """The newest ``limit`` orders, oldest first."""
    rows = _newest(db, t.orders, session_id, t.orders.c.submitted_at, limit)
    return [OrderRow(**_only(row, OrderRow)) for row in rows]


def intents(db: Connection, session_id: str, limit: int = 100, *, only_open: bool = False) -> list[IntentRow]:
    """The newest ``limit`` intents, oldest first; ``only_open``: those whose end, or whose legs' end, is not known."""
    live = sa.select(t.orders.c.intent_id).where(
        t.orders.c.session_id == session_id, t.orders.c.status.not_in(sorted(FINAL))
    )  # fmt: skip
    query = sa.select(t.intents).where(t.intents.c.session_id == session_id)
    if only_open:
        settled = sa.and_(t.intents.c.status == "void", t.intents.c.note.startswith(f"{GONE}: "))  # a person said so
        unknown = sa.and_(t.intents.c.status.not_in(sorted(FINAL - {Status.VOID})), sa.not_(settled))
        query = query.where(sa.or_(unknown, t.intents.c.client_order_id.in_(live)))
    rows = db.execute(query.order_by(t.intents.c.decided_at.desc(), t.intents.c.client_order_id).limit(limit))
    return [IntentRow(**_only(dict(row), IntentRow)) for row in reversed(rows.mappings().all())]


def positions(db: Connection, session_id: str) -> list[PositionRow]:
    """What is held, by symbol."""
    rows = _newest(db, t.positions, session_id, t.positions.c.symbol, 100_000)
    return [_position(row) for row in rows]


def structures(db: Connection, session_id: str, limit: int = 1_000) -> list[StructureRow]:
    """Those that are open, and of those that ended the newest ``limit``; oldest first.

    Raises:
        StorageError: a row cannot be read.
    """
    table = t.structures
    own, order = table.c.session_id == session_id, (table.c.opened_at.desc(), table.c.structure_id.desc())
    is_open = table.c.ended_at.is_(None)
    ended = sa.select(table.c.structure_id).where(own, ~is_open).order_by(*order).limit(limit)
    query = sa.select(table).where(own, is_open | table.c.structure_id.in_(ended)).order_by(*order)
    rows = db.execute(query).mappings().all()
    legs: dict[str, list[PositionRow]] = {}
    for position in positions(db, session_id) if rows else ():
        legs.setdefault(position.structure_id, []).append(position)
    return [_structure(dict(row), legs.get(row["structure_id"], [])) for row in reversed(rows)]


def discrepancies(db: Connection, session_id: str, limit: int = 1_000) -> list[DiscrepancyRow]:
    """The newest ``limit`` differences found, oldest first."""
    rows = _newest(db, t.discrepancies, session_id, t.discrepancies.c.seq, limit)
    return [DiscrepancyRow(row["at"], Discrepancy(**_only(row, Discrepancy))) for row in rows]


def degraded(db: Connection, session_id: str) -> list[DegradedRow]:
    """What does not work as far as the session's journal tells, oldest first."""
    kinds = (Degraded.__name__, Restored.__name__)
    query = (
        sa.select(t.journal.c.payload)
        .where(t.journal.c.session_id == session_id, t.journal.c.kind.in_(kinds))
        .order_by(t.journal.c.seq)
    )
    found: dict[str, DegradedRow] = {}
    for payload in db.execute(query).scalars():
        fact = _decoder.decode(payload)
        if isinstance(fact, Restored):
            found.pop(fact.name, None)
            continue
        since = found[fact.name].at if fact.name in found else fact.at
        found[fact.name] = DegradedRow(since, fact.name, fact.reason, entries(fact.name).value, ends(fact.name))
    return list(found.values())


def lease_owner(db: Connection, account_id: str) -> str:
    """Who took the account last, "" when nobody has."""
    column = t.lease.c.owner
    return db.execute(sa.select(column).where(t.lease.c.account_id == account_id)).scalar() or ""


def _newest(
    db: Connection, table: sa.Table, session_id: str, order: sa.Column[Any], limit: int, *then: sa.Column[Any]
) -> list[dict[str, Any]]:
    query = (
        sa.select(table)
        .where(table.c.session_id == session_id)
        .order_by(order.desc(), *(c.desc() for c in then))
        .limit(limit)
    )
    return [dict(row) for row in reversed(db.execute(query).mappings().all())]


def _position(row: dict[str, Any]) -> PositionRow:
    greeks = None if row["greeks"] is None else _plain(row, "greeks", Greeks)
    found = _only(row, PositionRow) | {"structure_id": row["structure_id"] or "", "greeks": greeks}
    return PositionRow(**found)


def _structure(row: dict[str, Any], legs: list[PositionRow]) -> StructureRow:
    known = {name: row[name] for name in Structure.__struct_fields__ if name in row}
    read = {name: _plain(row, name, kind) for name, kind in _IN_STRUCTURES.items()}
    return StructureRow(Structure(**known | read), row["ended_at"], row["end_reason"], tuple(legs))


#: Columns of `structures` that are JSON -> what is in them.
_IN_STRUCTURES: dict[str, Any] = {"legs": tuple[Leg, ...], "exits": ExitRules, "greeks": dict[str, Greeks]}


def _plain(row: dict[str, Any], name: str, kind: Any) -> Any:
    try:
        return msgspec.json.decode(row[name], type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        what = f"{name} of {row['structure_id']} in session {row['session_id']}"
        raise StorageError(f"the stored {what} cannot be read: {one_line(str(error), 120)}") from error


def _only(row: dict[str, Any], kind: type[Struct]) -> dict[str, Any]:
    return {name: row[name] for name in kind.__struct_fields__}
