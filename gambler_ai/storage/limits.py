"""The limits once more, in the transaction of the intent itself and from rows: a fault elsewhere cannot outrun them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.engine import Connection

from gambler_ai.core.contracts import MULTIPLIER, multiplier_of, underlying_of
from gambler_ai.core.events import DAILY_LOSS, AccountReported, Fact, TradingHalted, TradingResumed
from gambler_ai.core.model import ZERO
from gambler_ai.core.orders import OrderIntent
from gambler_ai.core.risk import MINUTE, lost_today
from gambler_ai.core.state import Plan, SessionState
from gambler_ai.core.structures import Leg
from gambler_ai.errors import LimitBreached
from gambler_ai.storage import journal
from gambler_ai.storage import tables as t
from gambler_ai.storage.sessions import CLOSED

#: An entry that may still open a position.
_OPENING = ("planned", "unknown", "working", "partially_filled", "pending_cancel", "pending_replace", "disputed")


class Usage(Struct, frozen=True):
    """What other sessions of an account use: symbols they hold or are opening, entries they have sent by market day.

    A contract counts as its underlying, and a structure once. ``recent``: when those entries were decided that may
    still count for the minute.
    """

    symbols: dict[str, str]
    entries: dict[str, int]
    recent: tuple[datetime, ...] = ()
    #: Symbol -> dollars at stake there: positions at their entry, entries under way at their far end, and what
    #: structures may lose at most.
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
    open_ = _structures_of(db, state) if any(intent.structure_id for intent in entries) else {}
    for intent in entries:
        row = open_.get(intent.structure_id)
        value = intent.qty * intent.ref_price if row is None else _unit(row) * intent.qty / _ratio(row, intent)
        if plan.max_order_value is not None and value > plan.max_order_value:
            raise LimitBreached(f"an entry of {value:,.2f} dollars in {intent.symbol}", "max_order_value")
        if row is not None:
            _check_structure(open_.values(), row, value, plan)
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
    """Symbols held or being opened, in every session of the account; a contract counts as its underlying."""
    symbols = {symbol for symbol, _owner in _symbols(db, state.account_id)}
    if len(symbols) > most:
        raise LimitBreached(f"position {len(symbols)}", "max_positions")


def _check_structure(open_: Collection[sa.Row[Any]], row: sa.Row[Any], value: Decimal, plan: Plan) -> None:
    """What it may cost or lose; how many there are of its strategy, and in its sector, in this session."""
    if plan.capital_per_trade is not None and value > plan.capital_per_trade:
        raise LimitBreached(f"a structure of {value:,.2f} dollars in {row.underlying}", "capital_per_trade")
    alike = sum(other.strategy == row.strategy for other in open_)
    if plan.max_per_strategy is not None and alike > plan.max_per_strategy:
        raise LimitBreached(f"structure {alike} of {row.strategy}", "max_per_strategy")
    beside = sum(other.sector == row.sector for other in open_)
    if plan.max_per_sector is not None and beside > plan.max_per_sector:
        raise LimitBreached(f"structure {beside} in {row.sector}", "max_per_sector")


def _symbols(db: Connection, account_id: str) -> list[tuple[str, str]]:
    """Symbols held or being opened, with their session. What a closed session held is nobody's any more."""
    found = (row for query in _under_way(account_id) for row in db.execute(query))
    return [(underlying_of(row.symbol), row.session_id) for row in found]


def _values(db: Connection, account_id: str, session_id: str) -> dict[str, Decimal]:
    """Dollars at stake in each symbol, in other sessions of the account; what is part of a structure counts with it."""
    found: dict[str, Decimal] = defaultdict(lambda: ZERO)
    structures = [row for row in _open_structures(db, account_id) if row.session_id != session_id]
    for row in structures:
        found[row.underlying] += _unit(row) * row.units
    counted = {row.structure_id for row in structures}
    held, opening = (
        [row for row in db.execute(q) if row.session_id != session_id and row.structure_id not in counted]
        for q in _under_way(account_id)
    )
    for row in held:
        found[underlying_of(row.symbol)] += abs(row.qty) * row.avg_entry_price * multiplier_of(row.symbol)
    for row in opening:  # what it was planned at lies between its stop and its target
        far = max(abs(row.stop_price or ZERO), abs(row.target_price or ZERO))
        found[underlying_of(row.symbol)] += row.qty * far * multiplier_of(row.symbol)
    return dict(found)


def _unit(row: sa.Row[Any]) -> Decimal:
    """Dollars that a unit of a structure may lose; where its legs do not bound that, what it costs or brings."""
    return Decimal(abs(row.entry_price) * MULTIPLIER if row.max_loss is None else row.max_loss)


def _ratio(row: sa.Row[Any], intent: OrderIntent) -> int:
    """How many of what an entry buys make a unit: a leg's ratio, or one of what all legs are bought as."""
    legs = msgspec.json.decode(row.legs, type=tuple[Leg, ...])
    return next((abs(leg.ratio) for leg in legs if leg.symbol == intent.symbol), 1)


def _structures_of(db: Connection, state: SessionState) -> dict[str, sa.Row[Any]]:
    """The open structures of a session by their ids."""
    rows = _open_structures(db, state.account_id)
    return {row.structure_id: row for row in rows if row.session_id == state.session_id}


def _open_structures(db: Connection, account_id: str) -> list[sa.Row[Any]]:
    """Those that have not ended, in the open sessions of an account."""
    c = t.structures.c
    columns = (
        c.session_id, c.structure_id, c.strategy, c.sector, c.underlying, c.units, c.legs, c.entry_price, c.max_loss,
    )  # fmt: skip
    query = sa.select(*columns).join(t.sessions, t.sessions.c.id == c.session_id)
    return list(db.execute(query.where(*_of_account(account_id), c.ended_at.is_(None))))


def _under_way(account_id: str) -> tuple[sa.Select[Any], sa.Select[Any]]:
    """What the open sessions of an account hold, and their entries that may still open something."""
    held = sa.select(t.positions).join(t.sessions, t.sessions.c.id == t.positions.c.session_id)
    opening = (
        sa.select(t.intents)
        .join(t.sessions, t.sessions.c.id == t.intents.c.session_id)
        .where(t.intents.c.purpose == "entry", t.intents.c.status.in_(_OPENING))
    )
    return held.where(*_of_account(account_id)), opening.where(*_of_account(account_id))


def _of_account(account_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return t.sessions.c.account_id == account_id, t.sessions.c.status != CLOSED
