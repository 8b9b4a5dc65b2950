"""What a session takes over from the account's others when it begins or goes on: their memory of risk.

One process at a time trades an account, so the session that was written last knows all that happened in it. A limit
is as narrow in the next session, and in an older one that is resumed, as it was when that one ended.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from operator import attrgetter

from msgspec import Struct
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core import risk_record
from gambler_ai.core.model import ClosedTrade
from gambler_ai.core.risk_memory import RiskMemory
from gambler_ai.core.risk_record import RiskRecord
from gambler_ai.core.state import SessionState
from gambler_ai.errors import CheckpointCorrupt, SchemaMismatch
from gambler_ai.storage import components, journal, sessions
from gambler_ai.storage.database import Database
from gambler_ai.storage.sessions import SessionInfo
from gambler_ai.trading.recovery import empty_state, restore


class Left(Struct, frozen=True):
    """What a session remembered of risk; ``halt`` is why it had halted for its drawdown, "" if it had not."""

    session_id: str
    record: RiskRecord
    halt: str

    def facts(self, at: datetime) -> list[ev.Fact]:
        """They hand it over, the halt as well: a person's reset ends that, and nothing else."""
        halt: list[ev.Fact] = [ev.TradingHalted(at, ev.DRAWDOWN, self.halt)] if self.halt else []
        return [ev.RiskCarried(at, self.session_id, self.record), *halt]

    def counting(self, trades: Iterable[ClosedTrade]) -> Left:
        """The same with those of ``trades`` that ended after the last one that it knows of."""
        record, known = self.record, max((result.at for result in self.record.recent), default=None)
        for trade in sorted(trades, key=attrgetter("exit_at")):
            if known is None or trade.exit_at > known:
                record = risk_record.closed(record, trade, trade.exit_at)
        return replace(self, record=record)


def risk_carried(database: Database, account_id: str, session_id: str, at: datetime) -> list[ev.Fact]:
    """The facts that hand the account's memory of risk to a session, unless it was the last to write.

    A session that cannot be read is passed over for the one before it.
    """
    with database.read() as db:
        found = sessions.of_account(db, account_id)
    for info in found:
        if info.id == session_id and info.seq:
            return []
        if (left := _left(database, info)) is not None:
            return left.facts(at)
    return []


def risk_left(database: Database, account_id: str) -> Left | None:
    """What the account remembers of risk: its session that was written last and can be read; None: nothing yet."""
    with database.read() as db:
        found = sessions.of_account(db, account_id)
    return next((left for left in (_left(database, info) for info in found) if left is not None), None)


def _left(database: Database, info: SessionInfo) -> Left | None:
    """As checkpoint and journal have it; where they do not verify, or hold none, as it was last stored by itself.

    A pause is kept with its end, since who takes it over may have other rules.
    """
    state: SessionState | None = None
    if info.seq:
        try:
            state = restore(database, info).state
        except CheckpointCorrupt:
            state = None
    known = state is not None and state.risk != RiskRecord()
    record = state.risk if state is not None and known else _stored(database, info)
    if record is None or record == RiskRecord():
        return None
    rules = info.plan.risk if state is None else state.plan.risk
    record = risk_record.of_before(record)
    record = risk_record.kept(record, risk_record.pause_end(record, rules))
    halt = _halted(database, info, record) if state is None else state.halts.get(ev.DRAWDOWN, "")
    return Left(info.id, record, halt)


def _halted(database: Database, info: SessionInfo, record: RiskRecord) -> str:
    """Why a session whose journal does not verify had halted for its drawdown: the last row that says so, or ends it.

    Where that is no fact either it had, if it was ever so deep.
    """
    kinds = (ev.TradingHalted.__name__, ev.TradingResumed.__name__)
    try:
        with database.read() as db:
            found = journal.newest(db, info.id, kinds, where=_is_of_drawdown)
    except CheckpointCorrupt as error:
        most = info.plan.risk.max_drawdown_pct
        deep = f"{record.worst_pct} % below the peak, and {error.message}"
        return deep if most is not None and record.worst_pct >= most else ""
    return found[1].reason if found is not None and isinstance(found[1], ev.TradingHalted) else ""


def _is_of_drawdown(fact: ev.Fact) -> bool:
    return isinstance(fact, ev.TradingHalted | ev.TradingResumed) and fact.source == ev.DRAWDOWN


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
