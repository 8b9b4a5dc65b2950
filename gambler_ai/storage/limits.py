"""The limits once more, in the transaction of the intent itself and from rows: a fault elsewhere cannot outrun them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.engine import Connection

from gambler_ai.core.events import DAILY_LOSS, AccountReported, Fact, TradingHalted, TradingResumed
from gambler_ai.core.model import ZERO
from gambler_ai.core.orders import OrderIntent
from gambler_ai.core.risk import MINUTE, lost_today
from gambler_ai.core.state import SessionState
from gambler_ai.errors import LimitBreached
from gambler_ai.storage import journal
from gambler_ai.storage import tables as t
from gambler_ai.storage.sessions import CLOSED

#: An entry that may still open a position.
_OPENING = ("planned", "unknown", "working", "partially_filled", "pending_cancel", "pending_replace", "disputed")


class Usage(Struct, frozen=True):
    """What other sessions of an account use: symbols they hold or are opening, entries they have sent by market day.

    ``recent``: when those entries were decided that may still count for the minute.
    """

    symbols: dict[str, str]
    entries: dict[str, int]
    recent: tuple[datetime, ...] = ()
    #: Symbol -> dollars at stake there: positions at their entry, entries under way at their far end.
    values: dict[str, Decimal] = {}


def elsewhere(db: Connection, account_id: str, session_id: str, at: datetime) -> Usage:
    """What counts against the limits of a session, that stands at ``at``, although it is not its own."""
    symbols = {symbol: owner for symbol, owner in _symbols(db, account_id) if owner != session_id}
    day = t.intents.c.market_day
    theirs = _entries(account_id) & (t.intents.c.session_id != session_id)
    entries = sa.select(day, sa.func.count()).where(theirs).group_by(day)
    recent = sa.select(t.intents.c.decided_at).where(theirs, t.intents.c.decided_at > at - MINUTE)
    return Usage(
        symbols, {row[0]: int(row[1]) for row in db.execute(entries) if row[0]},
        tuple(db.execute(recent).scalars()), _values(db, account_id, session_id),
    )  # fmt: skip


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
    if entries and plan.max_orders_per_minute is not None:
        _check_minute(db, state, max(intent.decided_at for intent in entries), plan.max_orders_per_minute)
    if entries and plan.max_positions is not None:
        _check_positions(db, state, plan.max_positions)
    if entries and plan.max_daily_loss is not None:
        _check_loss(db, state, plan.max_daily_loss)


def _entries(account_id: str) -> sa.ColumnElement[bool]:
    return (t.intents.c.account_id == account_id) & (t.intents.c.purpose == "entry")


def _check_day(db: Connection, state: SessionState, most: int) -> None:
    sent = _count(db, _entries(state.account_id) & (t.intents.c.market_day == state.day))
    if sent > most:
        raise LimitBreached(f"entry {sent} of {state.day}", "max_orders_per_day")


def _check_minute(db: Connection, state: SessionState, at: datetime, most: int) -> None:
    sent = _count(db, _entries(state.account_id) & (t.intents.c.decided_at > at - MINUTE))
    if sent > most:
        raise LimitBreached(f"entry {sent} within a minute", "max_orders_per_minute")


def _count(db: Connection, where: sa.ColumnElement[bool]) -> int:
    return int(db.execute(sa.select(sa.func.count()).select_from(t.intents).where(where)).scalar_one())


def _check_loss(db: Connection, state: SessionState, most: Decimal) -> None:
    """As the journal has it: the account as it was last stated, and a halt of this day that nothing has ended."""
    found = journal.newest(db, state.session_id, ["AccountReported"])
    lost = ZERO
    if found is not None and isinstance(found[1], AccountReported):
        initial = sa.select(t.sessions.c.initial_capital).where(t.sessions.c.id == state.session_id)
        lost = lost_today(found[1].account, db.execute(initial).scalar_one())
    opened = journal.newest(db, state.session_id, ["DayOpened"])
    first = opened[0] if opened is not None else 0
    last = journal.newest(db, state.session_id, ["TradingHalted", "TradingResumed"], first, _is_of_loss)
    if lost >= most or (last is not None and isinstance(last[1], TradingHalted)):
        raise LimitBreached(f"an entry on {state.day}, which has lost {lost:,.2f} dollars,", "max_daily_loss")


def _is_of_loss(fact: Fact) -> bool:
    return isinstance(fact, TradingHalted | TradingResumed) and fact.source == DAILY_LOSS


def _check_positions(db: Connection, state: SessionState, most: int) -> None:
    """Symbols held or being opened, in every session of the account."""
    symbols = {symbol for symbol, _owner in _symbols(db, state.account_id)}
    if len(symbols) > most:
        raise LimitBreached(f"position {len(symbols)}", "max_positions")


def _symbols(db: Connection, account_id: str) -> list[tuple[str, str]]:
    """Symbols held or being opened, with their session. What a closed session held is nobody's any more."""
    return [(row.symbol, row.session_id) for query in _under_way(account_id) for row in db.execute(query)]


def _values(db: Connection, account_id: str, session_id: str) -> dict[str, Decimal]:
    """Dollars at stake in each symbol, in other sessions of the account."""
    found: dict[str, Decimal] = {}
    held, opening = ([row for row in db.execute(q) if row.session_id != session_id] for q in _under_way(account_id))
    for row in held:
        found[row.symbol] = found.get(row.symbol, ZERO) + abs(row.qty) * row.avg_entry_price
    for row in opening:  # what it was planned at lies between its stop and its target
        far = max(row.stop_price or ZERO, row.target_price or ZERO)
        found[row.symbol] = found.get(row.symbol, ZERO) + row.qty * far
    return found


def _under_way(account_id: str) -> tuple[sa.Select[Any], sa.Select[Any]]:
    """What the open sessions of an account hold, and their entries that may still open something."""
    of_account = (t.sessions.c.account_id == account_id, t.sessions.c.status != CLOSED)
    held = sa.select(t.positions).join(t.sessions, t.sessions.c.id == t.positions.c.session_id).where(*of_account)
    opening = (
        sa.select(t.intents)
        .join(t.sessions, t.sessions.c.id == t.intents.c.session_id)
        .where(*of_account, t.intents.c.purpose == "entry", t.intents.c.status.in_(_OPENING))
    )
    return held, opening
