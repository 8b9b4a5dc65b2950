"""The limits once more, in the transaction of the intent itself and from rows: a fault elsewhere cannot outrun them."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.engine import Connection

from gambler_ai.core.orders import OrderIntent
from gambler_ai.core.state import SessionState
from gambler_ai.errors import LimitBreached
from gambler_ai.storage import tables as t
from gambler_ai.storage.sessions import CLOSED


class Usage(Struct, frozen=True):
    """What other sessions of an account use: positions they hold, entries they have sent, by market day."""

    held: int
    entries: dict[str, int]


def elsewhere(db: Connection, account_id: str, session_id: str) -> Usage:
    """What counts against the limits of a session although it is not its own."""
    positions = t.positions.join(t.sessions, t.sessions.c.id == t.positions.c.session_id)
    held = sa.select(sa.func.count()).select_from(positions).where(
        t.sessions.c.account_id == account_id, t.sessions.c.id != session_id, t.sessions.c.status != CLOSED
    )  # fmt: skip
    day = t.intents.c.market_day
    entries = sa.select(day, sa.func.count()).where(
        t.intents.c.account_id == account_id, t.intents.c.session_id != session_id, t.intents.c.purpose == "entry"
    ).group_by(day)  # fmt: skip
    return Usage(int(db.execute(held).scalar_one()), {row[0]: int(row[1]) for row in db.execute(entries) if row[0]})


def check(db: Connection, state: SessionState, entries: Collection[OrderIntent]) -> None:
    """Refuse the transaction that has just written ``entries`` if they go beyond the session's plan.

    Raises:
        LimitBreached: they do; the caller's transaction must not commit.
    """
    plan = state.plan
    for intent in entries:
        value = intent.qty * intent.ref_price
        if plan.max_order_value is not None and value > plan.max_order_value:
            raise LimitBreached(f"an entry of {value:,.2f} dollars in {intent.symbol}", "max_order_value")
    if entries and plan.max_orders_per_day is not None:
        _check_day(db, state, plan.max_orders_per_day)
    if entries and plan.max_positions is not None:
        _check_positions(db, state, plan.max_positions)


def _check_day(db: Connection, state: SessionState, most: int) -> None:
    where = (
        t.intents.c.account_id == state.account_id, t.intents.c.market_day == state.day,
        t.intents.c.purpose == "entry",
    )  # fmt: skip
    sent = db.execute(sa.select(sa.func.count()).select_from(t.intents).where(*where)).scalar_one()
    if sent > most:
        raise LimitBreached(f"entry {sent} of {state.day}", "max_orders_per_day")


def _check_positions(db: Connection, state: SessionState, most: int) -> None:
    """Symbols held or being opened, in every session of the account."""
    open_ = ("planned", "unknown", "working", "partially_filled", "pending_cancel", "pending_replace", "disputed")
    held = sa.select(t.positions.c.symbol).join(t.sessions, t.sessions.c.id == t.positions.c.session_id).where(
        t.sessions.c.account_id == state.account_id, t.sessions.c.status != CLOSED
    )  # fmt: skip
    opening = sa.select(t.intents.c.symbol).where(
        t.intents.c.account_id == state.account_id, t.intents.c.purpose == "entry", t.intents.c.status.in_(open_)
    )
    symbols = set(db.execute(held).scalars()) | set(db.execute(opening).scalars())
    if len(symbols) > most:
        raise LimitBreached(f"position {len(symbols)}", "max_positions")
