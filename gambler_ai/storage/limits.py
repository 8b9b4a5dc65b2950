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

#: An entry that may still open a position.
_OPENING = ("planned", "unknown", "working", "partially_filled", "pending_cancel", "pending_replace", "disputed")


class Usage(Struct, frozen=True):
    """What other sessions of an account use: symbols they hold or are opening, entries they have sent by market day."""

    symbols: dict[str, str]
    entries: dict[str, int]


def elsewhere(db: Connection, account_id: str, session_id: str) -> Usage:
    """What counts against the limits of a session although it is not its own."""
    symbols = {symbol: owner for symbol, owner in _symbols(db, account_id) if owner != session_id}
    day = t.intents.c.market_day
    entries = sa.select(day, sa.func.count()).where(
        t.intents.c.account_id == account_id, t.intents.c.session_id != session_id, t.intents.c.purpose == "entry"
    ).group_by(day)  # fmt: skip
    return Usage(symbols, {row[0]: int(row[1]) for row in db.execute(entries) if row[0]})


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
    symbols = {symbol for symbol, _owner in _symbols(db, state.account_id)}
    if len(symbols) > most:
        raise LimitBreached(f"position {len(symbols)}", "max_positions")


def _symbols(db: Connection, account_id: str) -> list[tuple[str, str]]:
    """Symbols held or being opened, with their session. What a closed session held is nobody's any more."""
    of_account = (t.sessions.c.account_id == account_id, t.sessions.c.status != CLOSED)
    held = sa.select(t.positions.c.symbol, t.sessions.c.id).join(
        t.sessions, t.sessions.c.id == t.positions.c.session_id
    ).where(*of_account)  # fmt: skip
    opening = sa.select(t.intents.c.symbol, t.sessions.c.id).join(
        t.sessions, t.sessions.c.id == t.intents.c.session_id
    ).where(*of_account, t.intents.c.purpose == "entry", t.intents.c.status.in_(_OPENING))  # fmt: skip
    return [(row[0], row[1]) for query in (held, opening) for row in db.execute(query)]
