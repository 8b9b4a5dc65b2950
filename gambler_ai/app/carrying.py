"""What a session takes over from the account's others when it begins or goes on: their memory of risk.

One process at a time trades an account, so the session that was written last knows all that happened in it. A limit
is as narrow in the next session, and in an older one that is resumed, as it was when that one ended.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from gambler_ai.core import events as ev
from gambler_ai.core.risk_memory import RiskMemory
from gambler_ai.core.risk_record import RiskRecord
from gambler_ai.errors import CheckpointCorrupt, SchemaMismatch
from gambler_ai.storage import components, sessions
from gambler_ai.storage.database import Database
from gambler_ai.storage.sessions import SessionInfo
from gambler_ai.trading.recovery import empty_state, restore


def risk_carried(database: Database, account_id: str, session_id: str, at: datetime) -> list[ev.Fact]:
    """The facts that hand the account's memory of risk to a session, unless it was the last to write: a halt as well.

    A session that cannot be read is passed over for the one before it.
    """
    with database.read() as db:
        found = sessions.of_account(db, account_id)
    for info in found:
        if info.id == session_id and info.seq:
            return []
        record, why = _left(database, info)
        if record is not None and record != RiskRecord():
            halt: list[ev.Fact] = [ev.TradingHalted(at, ev.DRAWDOWN, why)] if why else []
            return [ev.RiskCarried(at, info.id, record), *halt]
    return []


def risk_remembered(database: Database, account_id: str) -> RiskRecord:
    """What the account remembers of risk: its session that was written last and can be read; else nothing yet."""
    with database.read() as db:
        found = sessions.of_account(db, account_id)
    records = (_left(database, info)[0] for info in found)
    return next((record for record in records if record is not None and record != RiskRecord()), RiskRecord())


def _left(database: Database, info: SessionInfo) -> tuple[RiskRecord | None, str]:
    """What a session remembered, and why it had halted for its drawdown: a person's reset ends that, and nothing else.

    As checkpoint and journal have it; where they do not verify, or hold none, as it was last stored by itself.
    """
    found, why = RiskRecord(), ""
    if info.seq:
        with suppress(CheckpointCorrupt):
            state = restore(database, info).state
            found, why = state.risk, state.halts.get(ev.DRAWDOWN, "")
    return (found if found != RiskRecord() else _stored(database, info)), why


def _stored(database: Database, info: SessionInfo) -> RiskRecord | None:
    """Bytes of another schema are passed over here: the recall of the session itself has refused them by then."""
    memory = RiskMemory(empty_state(info))
    with database.read() as db:
        newest = components.newest(db, info.id, memory.name, info.account_id)
    if newest is None or newest.info.format != memory.format:
        return None
    try:
        memory.load(newest.payload, newest.info.schema)
    except (CheckpointCorrupt, SchemaMismatch):
        return None
    return memory.state
