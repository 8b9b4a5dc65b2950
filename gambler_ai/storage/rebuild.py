"""A session whose journal does not verify: what is stored of it is kept under another id, and its orders are listed.

Nothing is deleted. The intents stay with the session, since they were committed before anything was sent: they say
which of the orders are ours, and everything else of the books can be read from the broker again.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from gambler_ai.core.model import ZERO, Side
from gambler_ai.core.orders import OrderIntent, Purpose, Status, position_of
from gambler_ai.core.structures import Structure
from gambler_ai.storage import tables as t
from gambler_ai.storage import views
from gambler_ai.storage.sessions import CLOSED, SessionInfo

#: An intent of these never became an order.
_NO_ORDER = (Status.REJECTED.value, Status.DENIED.value)
_MOVED = (
    t.journal, t.archive, t.checkpoints, t.positions, t.closed_trades, t.discrepancies, t.requests, t.components,
    t.structures,
)  # fmt: skip


def intents_of(db: Connection, session_id: str) -> list[OrderIntent]:
    """Every order the session may have sent, oldest first, as far as its rows tell."""
    query = sa.select(t.intents).where(t.intents.c.session_id == session_id, t.intents.c.status.not_in(_NO_ORDER))
    rows = db.execute(query.order_by(t.intents.c.decided_at, t.intents.c.client_order_id)).mappings()
    plans = {found.structure.structure_id: found.structure for found in views.structures(db, session_id)}
    return [_intent(dict(row), plans) for row in rows]


def set_aside(db: Connection, info: SessionInfo, why: str) -> str:
    """Keep what is stored of a session under an id of its own, closed; only its intents stay. Returns that id."""
    kept = _free_id(db, info.id)
    row = dict(db.execute(sa.select(t.sessions).where(t.sessions.c.id == info.id)).mappings().one())
    db.execute(t.sessions.insert(), row | {"id": kept, "status": CLOSED, "end_reason": why})
    orders = db.execute(sa.select(t.orders).where(t.orders.c.session_id == info.id)).mappings().all()
    if orders:  # a fill points at its order: first the new ones, then the fills, then the old ones go
        db.execute(t.orders.insert(), [dict(order) | {"session_id": kept} for order in orders])
    db.execute(t.fills.update().where(t.fills.c.session_id == info.id).values(session_id=kept))
    db.execute(t.orders.delete().where(t.orders.c.session_id == info.id))
    for table in _MOVED:
        db.execute(table.update().where(table.c.session_id == info.id).values(session_id=kept))
    return kept


def _free_id(db: Connection, session_id: str) -> str:
    taken = set(db.execute(sa.select(t.sessions.c.id)).scalars())
    names = (f"{session_id[:52]}-broken-{n}" for n in range(1, 1_000))
    return next(name for name in names if name not in taken)


def _intent(row: dict[str, Any], plans: dict[str, Structure]) -> OrderIntent:
    """Of an entry that was never sent there is no knowing how long it was good for: it is not sent again.

    What opened a structure brings its plan; what it held and brought is counted again from its fills.
    """
    is_entry = row["purpose"] == Purpose.ENTRY
    position_id = row["client_order_id"] if is_entry else position_of(row["decision_id"])
    plan = plans.get(row["client_order_id"])
    if plan is not None:
        plan = replace(plan, cash=ZERO, filled=False, settled=False)
    return OrderIntent(
        client_order_id=row["client_order_id"], decision_id=row["decision_id"], attempt=row["attempt"],
        purpose=Purpose(row["purpose"]), strategy=row["strategy"], symbol=row["symbol"], side=Side(row["side"]),
        qty=row["qty"], ref_price=ZERO, stop_price=row["stop_price"], target_price=row["target_price"],
        position_id=position_id, reason=row["reason"], decided_at=row["decided_at"], valid_until=None,
        body=row["body"], market_day=row["market_day"] or "", structure_id=row["structure_id"] or "", structure=plan,
    )  # fmt: skip
