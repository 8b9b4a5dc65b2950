"""The journal and the rows drawn from it, written together in the shell's transaction."""

from __future__ import annotations

import hashlib
import heapq
from collections import deque
from collections.abc import Callable, Collection, Iterator
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gambler_ai.core import snapshot
from gambler_ai.core.contracts import underlying_of
from gambler_ai.core.events import Fact, Reconciled, StructureEnded
from gambler_ai.core.model import ClosedTrade, Fill, Position
from gambler_ai.core.orders import FINAL, IntentRecord, Order, OrderIntent, Purpose
from gambler_ai.core.state import Changes, SessionState
from gambler_ai.core.structures import Structure
from gambler_ai.core.text import one_line
from gambler_ai.errors import CheckpointCorrupt
from gambler_ai.storage import archive, statements
from gambler_ai.storage import tables as t
from gambler_ai.storage.segments import FactRow
from gambler_ai.storage.statements import Statement, fitting

#: The hash before the first row.
GENESIS = "0" * 64

_encoder = msgspec.json.Encoder(order="deterministic", decimal_format="string")
_decoder = msgspec.json.Decoder(Fact)

_ADD_FACT = statements.insert(t.journal)
_ADD_FILL = statements.insert(t.fills)
_ADD_CLOSED = statements.insert(t.closed_trades)
_ADD_DISCREPANCY = statements.insert(t.discrepancies)
_PUT_INTENT = statements.upsert(t.intents)
_PUT_ORDER = statements.upsert(t.orders)
_PUT_STRUCTURE = statements.upsert(t.structures)
_PUT_POSITION = statements.upsert(t.positions)
_DROP_POSITION = statements.delete(t.positions, {"session_id": "session", "symbol": "name"})


def append(
    db: Connection, state: SessionState, facts: Collection[Fact], changes: Changes, head: str, token: int
) -> str:
    """Write ``facts`` after ``head`` and the rows they touched; ``state.seq`` moves on with them.

    Returns the new head: the hash of the last row, which contains all before it.
    """
    rows = []
    for fact in facts:
        state.seq += 1
        payload = _encoder.encode(fact).decode()
        head = chained(head, state.seq, payload)
        rows.append({
            "session_id": state.session_id, "seq": state.seq, "at": fact.at, "kind": type(fact).__name__,
            "payload": payload, "hash": head, "token": token,
        })  # fmt: skip
        if isinstance(fact, Reconciled):
            _write_discrepancies(db, state, fact)
    _run(db, _ADD_FACT, rows)
    _write_rows(db, state, changes, token)
    _write_structures(db, state, facts, changes, token)
    return head


def read(
    db: Connection, session_id: str, after_seq: int, head: str, last_seq: int | None = None
) -> Iterator[tuple[Fact, str]]:
    """The facts after ``after_seq``, oldest first, each with its hash; up to ``last_seq`` if it is given.

    Those that were rolled up are among them, in their places.

    Raises:
        CheckpointCorrupt: a row is missing, changed, or not a fact.
    """
    expected = after_seq
    for row in _rows_after(db, session_id, after_seq, last_seq):
        expected += 1
        head = chained(head, expected, row.payload)
        if row.seq != expected or not _is_of(row, head):
            raise CheckpointCorrupt(
                f"journal row {expected} of session {session_id} does not verify",
                hint="keep this database; restore a backup, or take the broker's word: --resume --accept-broker-state",
            )
        yield _fact(row.payload, expected), head


def hash_at(db: Connection, session_id: str, seq: int) -> str | None:
    """The hash of a row, None if there is none.

    Of one that was rolled up it is reckoned, from the nearest row before it whose whole hash is kept.

    Raises:
        CheckpointCorrupt: a row that was rolled up does not verify.
    """
    own, number = t.journal.c.session_id == session_id, t.journal.c.seq
    query = sa.select(number, t.journal.c.hash).where(own, number <= seq).order_by(number.desc()).limit(1)
    row = db.execute(query).first()
    if row is not None and row.seq == seq:
        return str(row.hash)
    if seq < 1 or not archive.has_facts(db, session_id, seq - 1):
        return None
    known = [(row.seq, row.hash)] if row is not None else [(0, GENESIS)]
    if (kept := archive.head_before(db, session_id, seq)) is not None:
        known.append(kept)
    after, head = max(known)
    for _fact, found in read(db, session_id, after, head, seq):
        after, head = after + 1, found
    return head if after == seq else None


def _rows_after(db: Connection, session_id: str, after_seq: int, last_seq: int | None) -> Iterator[Any]:
    query = (
        sa.select(t.journal.c.seq, t.journal.c.payload, t.journal.c.hash)
        .where(t.journal.c.session_id == session_id, t.journal.c.seq > after_seq)
        .order_by(t.journal.c.seq)
    )
    if last_seq is not None:
        query = query.where(t.journal.c.seq <= last_seq)
    if not archive.has_facts(db, session_id, after_seq):
        return iter(db.execute(query))
    rolled_up = archive.facts(db, session_id, after_seq=after_seq, last_seq=last_seq)
    return heapq.merge(db.execute(query), rolled_up, key=lambda row: row.seq)


def _is_of(row: Any, head: str) -> bool:
    """Whether ``head`` is a row's own hash; of one that was rolled up its beginning is known."""
    return bool(row.mark and head.startswith(row.mark) if isinstance(row, FactRow) else row.hash == head)


def newest(
    db: Connection, session_id: str, kinds: Collection[str], after_seq: int = 0,
    where: Callable[[Fact], bool] = lambda _fact: True,
) -> tuple[int, Fact] | None:  # fmt: skip
    """The newest fact of one of ``kinds`` that is as ``where`` wants it, with its row's number; None if there is none.

    ``kinds`` are rolled up together (`segments.FILES`) or not at all: what went is older than all that is left.

    Raises:
        CheckpointCorrupt: a row that was looked at is not a fact.
    """
    query = (
        sa.select(t.journal.c.seq, t.journal.c.payload)
        .where(t.journal.c.session_id == session_id, t.journal.c.seq > after_seq, t.journal.c.kind.in_(kinds))
        .order_by(t.journal.c.seq.desc())
    )
    with db.execute(query) as rows:
        for row in rows:
            fact = _fact(row.payload, row.seq)
            if where(fact):
                return int(row.seq), fact
    found = ((row.seq, _fact(row.payload, row.seq)) for row in archive.facts(db, session_id, kinds, after_seq))
    return next(iter(deque((one for one in found if where(one[1])), maxlen=1)), None)


def _fact(payload: str, seq: int) -> Fact:
    try:
        fact: Fact = _decoder.decode(payload)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise CheckpointCorrupt(f"journal row {seq} is not a fact: {one_line(str(error), 200)}") from error
    if snapshot.may_hold_no_number(payload.encode()) and snapshot.holds_no_number(fact):
        raise CheckpointCorrupt(f"journal row {seq} is not a fact: it holds something that is no number")
    return fact


def chained(head: str, seq: int, payload: str) -> str:
    """The hash of a row: of its number, its content and all rows before it."""
    return hashlib.sha256(f"{head}\n{seq}\n{payload}".encode()).hexdigest()


def known_ids(db: Connection, ids: Collection[str]) -> set[str]:
    """Which of these client order ids have an intent in this database, whatever the session."""
    found: set[str] = set()
    todo = sorted(ids)
    for start in range(0, len(todo), 500):
        part = todo[start : start + 500]
        column = t.intents.c.client_order_id
        found |= set(db.execute(sa.select(column).where(column.in_(part))).scalars())
    return found


def check_bodies(db: Connection, intents: Collection[OrderIntent]) -> None:
    """Before an order is sent again: its bytes are those that were stored when it was planned.

    Raises:
        CheckpointCorrupt: they are not; nothing may be sent.
    """
    for intent in intents:
        query = sa.select(t.intents.c.body, t.intents.c.body_sha256).where(
            t.intents.c.client_order_id == intent.client_order_id
        )
        row = db.execute(query).one_or_none()
        if row is None or (row.body, row.body_sha256) != (intent.body, intent.body_sha256):
            raise CheckpointCorrupt(
                f"order {intent.client_order_id} is not the one that was stored when it was planned",
                hint="nothing was sent; keep the database as it is, and restore a copy",
            )


def taken_symbols(db: Connection, account_id: str, session_id: str) -> dict[str, str]:
    """Symbols in which another session of this account still has an entry under way -> that session.

    What goes on opening a structure counts in its underlying.
    """
    intents = t.intents.c
    query = sa.select(intents.symbol, intents.session_id).where(
        intents.account_id == account_id, intents.session_id != session_id,
        intents.purpose.in_((Purpose.ENTRY.value, Purpose.LEG.value)), intents.status.not_in(sorted(FINAL)),
    )  # fmt: skip
    return {underlying_of(row.symbol): row.session_id for row in db.execute(query)}


def _write_rows(db: Connection, state: SessionState, changes: Changes, token: int) -> None:
    sid = state.session_id
    _run(db, _PUT_INTENT, [fitting(t.intents, _intent_row(state, r, token)) for r in changes.intents.values()])
    _run(db, _PUT_ORDER, [fitting(t.orders, _order_row(sid, o)) for o in changes.orders.values()])
    _run(db, _ADD_FILL, [_fill_row(sid, f) for f in changes.fills])
    touched = {symbol: state.positions.get(symbol) for symbol in sorted(changes.symbols)}
    _run(db, _PUT_POSITION, [_position_row(sid, p) for p in touched.values() if p is not None])
    _run(db, _DROP_POSITION, [{"session": sid, "name": symbol} for symbol, p in touched.items() if p is None])
    first = state.closed_trades - len(changes.closed) + 1
    _run(db, _ADD_CLOSED, [_closed_row(sid, first + i, c) for i, c in enumerate(changes.closed)])


def _write_structures(
    db: Connection, state: SessionState, facts: Collection[Fact], changes: Changes, token: int
) -> None:
    """A row for each that was touched; of one that ended it stays, as it was last, with when and why."""
    ends = {fact.structure_id: fact for fact in facts if isinstance(fact, StructureEnded)}
    rows = []
    for structure_id in sorted(changes.structures | changes.ended.keys()):
        live = state.structures.get(structure_id)
        end = ends[structure_id] if live is None else None
        row = _structure_row(state.session_id, live or changes.ended[structure_id], token)
        rows.append(row | {"ended_at": end and end.at, "end_reason": end.reason if end is not None else ""})
    _run(db, _PUT_STRUCTURE, [fitting(t.structures, row) for row in rows])


def _run(db: Connection, statement: Statement, rows: list[dict[str, Any]]) -> None:
    if rows:
        statement.run(db, *rows)


def _write_discrepancies(db: Connection, state: SessionState, fact: Reconciled) -> None:
    rows = [
        {"session_id": state.session_id, "seq": state.seq, "number": number, "at": fact.at}
        | msgspec.structs.asdict(item)
        for number, item in enumerate(fact.discrepancies, 1)
    ]
    _run(db, _ADD_DISCREPANCY, [fitting(t.discrepancies, row) for row in rows])


def _intent_row(state: SessionState, record: IntentRecord, token: int) -> dict[str, Any]:
    i = record.intent
    return {
        "client_order_id": i.client_order_id, "session_id": state.session_id, "account_id": state.account_id,
        "decision_id": i.decision_id, "attempt": i.attempt, "purpose": i.purpose.value,
        "strategy": i.strategy, "symbol": i.symbol, "side": i.side.value, "qty": i.qty,
        "stop_price": i.stop_price, "target_price": i.target_price, "status": record.status.value,
        "reason": i.reason, "note": record.note, "decided_at": i.decided_at, "body": i.body,
        "body_sha256": i.body_sha256, "market_day": i.market_day or None, "token": token,
        "structure_id": i.structure_id or None,
    }  # fmt: skip


def _order_row(session_id: str, o: Order) -> dict[str, Any]:
    return {
        "session_id": session_id, "order_id": o.order_id, "client_order_id": o.client_order_id,
        "intent_id": o.intent_id, "parent_id": o.parent_id, "role": o.role.value, "symbol": o.symbol,
        "side": o.side.value, "type": o.type, "order_class": o.order_class, "qty": o.qty,
        "filled_qty": o.filled_qty, "filled_avg_price": o.filled_avg_price, "booked_qty": o.booked_qty,
        "limit_price": o.limit_price, "stop_price": o.stop_price, "status": o.status.value,
        "broker_status": o.broker_status, "submitted_at": o.submitted_at, "updated_at": o.updated_at,
    }  # fmt: skip


def _fill_row(session_id: str, f: Fill) -> dict[str, Any]:
    return {
        "session_id": session_id, "activity_id": f.activity_id, "order_id": f.order_id, "symbol": f.symbol,
        "side": f.side.value, "qty": f.qty, "price": f.price, "at": f.at,
    }  # fmt: skip


def _position_row(session_id: str, p: Position) -> dict[str, Any]:
    return {
        "session_id": session_id, "symbol": p.symbol, "qty": p.qty, "side": p.side,
        "avg_entry_price": p.avg_entry_price, "entry_at": p.entry_at, "stop_price": p.stop_price,
        "target_price": p.target_price, "strategy": p.strategy, "position_id": p.position_id,
        "reason": p.reason, "structure_id": p.structure_id or None,
        "greeks": None if p.greeks is None else _encoder.encode(p.greeks).decode(),
    }  # fmt: skip


def _closed_row(session_id: str, number: int, c: ClosedTrade) -> dict[str, Any]:
    """A round trip of a structure has its id for that of its position."""
    structure_id = None if c.multiplier == 1 else c.position_id
    return {"session_id": session_id, "number": number, "structure_id": structure_id} | msgspec.structs.asdict(c)


def _structure_row(session_id: str, s: Structure, token: int) -> dict[str, Any]:
    return {
        "session_id": session_id, "structure_id": s.structure_id, "strategy": s.strategy, "underlying": s.underlying,
        "sector": s.sector, "legs": _encoder.encode(s.legs).decode(), "units": s.units, "entry_price": s.entry_price,
        "stop_price": s.stop_price, "target_price": s.target_price, "max_loss": s.max_loss,
        "max_profit": s.max_profit, "confidence": s.confidence, "exits": _encoder.encode(s.exits).decode(),
        "greeks": _encoder.encode(s.greeks).decode(), "reason": s.reason, "cash": s.cash, "filled": s.filled,
        "settled": s.settled, "opened_at": s.opened_at, "token": token,
    }  # fmt: skip
