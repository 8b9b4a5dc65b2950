"""Session rows: what a session is bound to, and how far it has come."""

from __future__ import annotations

import re
import secrets
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.engine import Connection

from gambler_ai.core.state import Plan, SessionState
from gambler_ai.errors import ConfigError, SessionNotFound, StorageError
from gambler_ai.storage import statements
from gambler_ai.storage.tables import sessions as table

#: Ids name files and rows; nothing else passes (RECOVERY_PROTOCOL 4.6).
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

#: Ended and done with: nothing left to run, nothing held; or closed by a person, whatever there was.
COMPLETED, CLOSED = "completed", "closed"
#: The status of one that ended before its time: killed (it still says running) or stopped.
UNFINISHED = frozenset({"created", "running", "stopped"})
#: What a session made by a script has where a runner's names its broker.
SCRIPT = "script"

_MOVE = statements.update(
    table,
    ["plan", "parameters", "initial_capital", "status", "end_reason", "last_at", "updated_at", "seq", "journal_hash",
     "closed_trades", "realized_pnl", "checkpoints", "iteration"],
    {"id": "session"},
)  # fmt: skip


def new_id(wall: datetime) -> str:
    """An id for a session that begins: it sorts by its start, and two at once differ."""
    return f"{wall:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


class SessionInfo(Struct, frozen=True):
    """A session's row. ``started_at`` and ``last_at`` are session time, the other two wall time."""

    id: str
    broker: str
    trading_url: str
    account_id: str
    plan: Plan
    parameters: dict[str, Any]
    initial_capital: Decimal | None
    status: str
    end_reason: str
    started_at: datetime
    last_at: datetime
    created_at: datetime
    updated_at: datetime
    seq: int
    journal_hash: str
    checkpoints: int
    closed_trades: int
    realized_pnl: Decimal
    iteration: int = 0  # scans so far, in all runs


def insert(db: Connection, state: SessionState, *, broker: str, trading_url: str, genesis: str, wall: datetime) -> None:
    """Add the row of a session that begins."""
    db.execute(table.insert(), {
        "id": state.session_id, "broker": broker, "trading_url": trading_url,
        "account_id": state.account_id, "symbols": ",".join(state.plan.symbols),
        "started_at": state.started_at, "created_at": wall, "checkpoints": 0,
    } | _moving(state, genesis, wall))  # fmt: skip


def update(db: Connection, state: SessionState, *, head: str, checkpoints: int, wall: datetime) -> None:
    """Write what moved: place in the journal, status, totals."""
    _MOVE.run(db, {**_moving(state, head, wall), "checkpoints": checkpoints, "session": state.session_id})


def place(db: Connection, session_id: str) -> tuple[int, str, int]:
    """How far a session is stored: its last journal row, that row's hash, and how many checkpoints it ever had."""
    columns = (table.c.seq, table.c.journal_hash, table.c.checkpoints)
    seq, head, created = db.execute(sa.select(*columns).where(table.c.id == session_id)).one()
    return int(seq), str(head), int(created)


def _moving(state: SessionState, head: str, wall: datetime) -> dict[str, Any]:
    return {
        "plan": msgspec.json.encode(state.plan).decode(),
        "parameters": msgspec.json.encode(state.parameters).decode(), "initial_capital": state.initial_equity,
        "status": state.status, "end_reason": state.end_reason, "last_at": state.last_at,
        "updated_at": wall, "seq": state.seq, "journal_hash": head, "closed_trades": state.closed_trades,
        "realized_pnl": state.realized_pnl, "iteration": state.iteration,
    }  # fmt: skip


def is_id(text: str) -> bool:
    """Whether it can be a session's id, or the beginning of one."""
    return _ID.fullmatch(text) is not None


def check_id(text: str) -> None:
    """Refuse what cannot be a session's id, or the beginning of one: it becomes part of a path.

    Raises:
        ConfigError.
    """
    if not is_id(text):
        raise ConfigError(
            f"{text[:80]!r} is not a session id",
            hint="letters, digits, - and _; see: gambler-ai sessions list",
        )


def find(db: Connection, prefix: str) -> SessionInfo:
    """The one session whose id is, or begins with, ``prefix``.

    Raises:
        ConfigError: that is no session id.
        SessionNotFound: none or several begin with it.
    """
    check_id(prefix)
    exact = db.execute(sa.select(table).where(table.c.id == prefix)).mappings().one_or_none()
    if exact is not None:
        return _info(dict(exact))
    begins = sa.func.substr(table.c.id, 1, len(prefix)) == prefix  # LIKE would ignore case on SQLite
    rows = db.execute(sa.select(table).where(begins).limit(2)).mappings().all()
    if len(rows) == 1:
        return _info(dict(rows[0]))
    what = "no session" if not rows else "more than one session"
    raise SessionNotFound(f"{what} begins with {prefix!r}", hint=_existing(db))


def chain_of(db: Connection, prefix: str) -> list[SessionInfo]:
    """All sessions of the one account whose id is, or begins with, ``prefix``; oldest first.

    Raises:
        SessionNotFound: no account, or several, begin with it.
    """
    begins = sa.func.substr(table.c.account_id, 1, len(prefix)) == prefix
    accounts = set(db.execute(sa.select(table.c.account_id).where(begins).distinct()).scalars())
    account = prefix if prefix in accounts else accounts.pop() if len(accounts) == 1 and prefix else None
    if account is None:
        what = "more than one account" if accounts else "no account that has a session"
        raise SessionNotFound(f"{what} begins with {prefix[:80]!r}", hint="see: gambler-ai sessions list --json")
    rows = db.execute(sa.select(table).where(table.c.account_id == account).order_by(table.c.started_at, table.c.id))
    return [_info(dict(row)) for row in rows.mappings()]


def newest_open(
    db: Connection, broker: str | None = None, trading_url: str | None = None, account_id: str | None = None, *,
    scripts: bool = False,
) -> SessionInfo | None:  # fmt: skip
    """The newest session that is not done with, on ``broker`` at ``trading_url`` in an account if they are named.

    A script's own sessions have no broker: only with ``scripts`` are they among them.
    """
    query = sa.select(table).where(table.c.status.not_in((COMPLETED, CLOSED)))
    if not scripts:
        query = query.where(table.c.broker != SCRIPT)
    if broker is not None:
        query = query.where(table.c.broker == broker)
    if trading_url is not None:
        query = query.where(table.c.trading_url == trading_url)
    if account_id is not None:
        query = query.where(table.c.account_id == account_id)
    row = db.execute(query.order_by(table.c.created_at.desc(), table.c.id).limit(1)).mappings().one_or_none()
    return None if row is None else _info(dict(row))


def unfinished(
    db: Connection, broker: str, trading_url: str | None = None, account_id: str | None = None
) -> list[SessionInfo]:
    """Sessions that ended before their time, or still run, newest first; on ``broker``, and where it is named there."""
    query = sa.select(table).where(table.c.status.in_(UNFINISHED), table.c.broker == broker)
    if trading_url is not None:
        query = query.where(table.c.trading_url == trading_url)
    if account_id is not None:
        query = query.where(table.c.account_id == account_id)
    rows = db.execute(query.order_by(table.c.created_at.desc(), table.c.id)).mappings()
    return [_info(dict(row)) for row in rows]


def of_account(db: Connection, account_id: str) -> list[SessionInfo]:
    """All sessions of an account, the one that was written last first."""
    query = sa.select(table).where(table.c.account_id == account_id)
    return [_info(dict(row)) for row in db.execute(query.order_by(table.c.updated_at.desc(), table.c.id)).mappings()]


def listed(db: Connection, limit: int = 50) -> list[SessionInfo]:
    """The newest ``limit`` sessions, newest first."""
    query = sa.select(table).order_by(table.c.created_at.desc(), table.c.id).limit(limit)
    return [_info(dict(row)) for row in db.execute(query).mappings()]


def nothing_to_resume(db: Connection) -> SessionNotFound:
    """The error that says so, and what there is instead."""
    return SessionNotFound("there is no session to resume", hint=_existing(db))


def _existing(db: Connection) -> str:
    found = listed(db, 5)
    if not found:
        return "this database holds no session yet"
    return "there is: " + ", ".join(f"{s.id} ({s.status})" for s in found)


def _info(row: dict[str, Any]) -> SessionInfo:
    try:
        plan = msgspec.json.decode(row["plan"], type=Plan)
        parameters = msgspec.json.decode(row["parameters"], type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise StorageError(f"the stored plan of session {row['id']} cannot be read: {error}") from error
    fields = {name: row[name] for name in SessionInfo.__struct_fields__ if name not in ("plan", "parameters")}
    return SessionInfo(plan=plan, parameters=parameters, **fields)
