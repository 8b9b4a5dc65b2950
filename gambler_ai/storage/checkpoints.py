"""Checkpoints: the state as of a journal row, with a checksum. A cache of the journal, never the truth.

A whole one holds the state. Writing a large state whole each time would cost what is held and not what has changed,
so the ones that follow closely are brief: an empty payload, which says "the whole one before, and the journal from
there to here". The journal's hashes prove both ends.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.engine import Connection

from gambler_ai import crashpoints
from gambler_ai.core import snapshot
from gambler_ai.core.evolution import apply
from gambler_ai.core.model import Account
from gambler_ai.core.state import SessionState
from gambler_ai.errors import CheckpointCorrupt, ConfigError
from gambler_ai.storage import statements
from gambler_ai.storage.journal import hash_at, read
from gambler_ai.storage.tables import checkpoints as table

_ADD = statements.insert(table)
_DROP = statements.delete(table, {"session_id": "session", "number": "which"})

#: A state of fewer bytes than this is written whole at each checkpoint.
SMALL = 16_384
#: Journal rows between two whole ones: what a resume replays at most, a few milliseconds.
WHOLE_EVERY = 500


class CheckpointInfo(Struct, frozen=True):
    """A checkpoint without its payload. ``at`` is session time, ``created_at`` wall time."""

    number: int
    at: datetime
    created_at: datetime
    seq: int
    account: Account
    active_positions: int
    closed_trades: int
    length: int
    sha256: str

    @property
    def is_whole(self) -> bool:
        """Whether it holds the state itself."""
        return self.length > 0


class Loaded(Struct, frozen=True):
    """A state, where it came from, and which newer checkpoints did not verify."""

    state: SessionState
    head: str
    info: CheckpointInfo | None
    broken: tuple[str, ...]


def create(
    db: Connection, state: SessionState, number: int, head: str, wall: datetime, whole: CheckpointInfo | None = None,
    *, token: int = 0,
) -> CheckpointInfo:  # fmt: skip
    """Write checkpoint ``number`` of ``state``, which includes the journal up to its ``seq``.

    A brief one if it can lean on ``whole``, the newest whole one of the session, which the caller knows is there.
    ``token`` is the writer's; without one the database takes it only where nobody ever held the account.
    """
    brief = whole is not None and whole.length >= SMALL and state.seq - whole.seq < WHOLE_EVERY
    payload = b"" if brief else snapshot.dump(state)
    row: dict[str, Any] = {
        "session_id": state.session_id, "number": number, "at": state.last_at, "created_at": wall,
        "seq": state.seq, "journal_hash": head, "state_version": snapshot.STATE_VERSION,
        "length": len(payload), "sha256": snapshot.digest(payload), "payload": payload,
        "portfolio_value": state.account.portfolio_value, "equity": state.account.equity,
        "buying_power": state.account.buying_power, "cash": state.account.cash,
        "active_positions": state.active_positions, "closed_trades": state.closed_trades, "token": token,
    }  # fmt: skip
    _ADD.run(db, row)
    return _info(row)


def newest(db: Connection, session_id: str, empty: SessionState, genesis: str) -> Loaded:
    """The state of the newest checkpoint that verifies; ``empty`` when there is none."""
    broken: list[str] = []
    numbers = db.execute(
        sa.select(table.c.number).where(table.c.session_id == session_id).order_by(table.c.number.desc())
    ).scalars()
    for number in list(numbers):
        try:
            state, row = _load(db, session_id, number)
        except CheckpointCorrupt as error:
            broken.append(f"#{number}: {error.message}")
            crashpoints.hit("recovery.fallback")
            continue
        return Loaded(state, str(row["journal_hash"]), _info(row), tuple(broken))
    return Loaded(empty, genesis, None, tuple(broken))


def prune(
    db: Connection, session_id: str, keep: int, older_than: datetime | None = None, whole: CheckpointInfo | None = None
) -> int:
    """Delete all but the newest ``keep``; never the newest one that verifies, nor a whole one that a kept one needs.

    With ``older_than`` (wall time) only those that are older go. ``whole`` is known to verify: it was just written.
    Returns how many went.

    Raises:
        ConfigError: ``keep`` is less than one.
    """
    if keep < 1:
        raise ConfigError("keep at least one checkpoint", hint="--keep-checkpoints 100 is the default")
    columns = (table.c.number, table.c.length, table.c.created_at)
    query = sa.select(*columns).where(table.c.session_id == session_id).order_by(table.c.number.desc())
    rows = db.execute(query).all()
    kept = {r.number for place, r in enumerate(rows) if place < keep or (older_than and r.created_at >= older_than)}
    if len(kept) == len(rows):
        return 0
    if whole is None:  # else the newest verifies: it is that one, or leans on it
        kept |= {n for n in [next((r.number for r in rows if _verifies(db, session_id, r.number)), None)] if n}
    leans_on: int | None = None
    for row in reversed(rows):  # oldest first: a brief one leans on the last whole one before it
        leans_on = row.number if row.length else leans_on
        if row.number in kept and leans_on is not None:
            kept.add(leans_on)
    gone = [{"session": session_id, "which": row.number} for row in rows if row.number not in kept]
    return _DROP.run(db, *gone) if gone else 0


def listed(db: Connection, session_id: str, limit: int) -> list[CheckpointInfo]:
    """The newest ``limit``, newest first, without their payloads."""
    columns = [c for c in table.c if c.name != "payload"]
    query = sa.select(*columns).where(table.c.session_id == session_id)
    rows = db.execute(query.order_by(table.c.number.desc()).limit(limit)).mappings()
    return [_info(dict(row)) for row in rows]


def stored(db: Connection, session_id: str) -> tuple[int, int]:
    """How many there are, and their bytes."""
    query = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(table.c.length), 0))
    count, size = db.execute(query.where(table.c.session_id == session_id)).one()
    return int(count), int(size)


def not_verifying(db: Connection, session_id: str) -> dict[int, str]:
    """Those that do not verify -> why, oldest first."""
    numbers = db.execute(sa.select(table.c.number).where(table.c.session_id == session_id).order_by(table.c.number))
    found: dict[int, str] = {}
    for number in list(numbers.scalars()):
        try:
            _load(db, session_id, number)
        except CheckpointCorrupt as error:
            found[number] = error.message
    return found


def _verifies(db: Connection, session_id: str, number: int) -> bool:
    try:
        _load(db, session_id, number)
    except CheckpointCorrupt:
        return False
    return True


def _load(db: Connection, session_id: str, number: int) -> tuple[SessionState, dict[str, Any]]:
    where = (table.c.session_id == session_id, table.c.number == number)
    row = dict(db.execute(sa.select(table).where(*where)).mappings().one())
    payload = bytes(row["payload"])
    if len(payload) != row["length"] or snapshot.digest(payload) != row["sha256"]:
        raise CheckpointCorrupt("its checksum does not match")
    state = snapshot.load(payload, row["state_version"]) if payload else _from_whole(db, session_id, row)
    if state.session_id != session_id or state.seq != row["seq"]:
        raise CheckpointCorrupt("it belongs to another session or place in the journal")
    if row["seq"] and row["journal_hash"] != hash_at(db, session_id, row["seq"]):
        raise CheckpointCorrupt("the journal at its place is another one")
    return state, row


def _from_whole(db: Connection, session_id: str, row: dict[str, Any]) -> SessionState:
    """The state of a brief one: that of the whole one before it, and the journal between."""
    where = (table.c.session_id == session_id, table.c.number < row["number"], table.c.length > 0)
    number = db.execute(sa.select(sa.func.max(table.c.number)).where(*where)).scalar()
    if number is None:
        raise CheckpointCorrupt("there is no whole one before it")
    state, base = _load(db, session_id, number)
    for fact, _head in read(db, session_id, state.seq, base["journal_hash"], row["seq"]):
        apply(state, fact)
        state.seq += 1
    return state


def _info(row: dict[str, Any]) -> CheckpointInfo:
    return CheckpointInfo(
        number=row["number"], at=row["at"], created_at=row["created_at"], seq=row["seq"],
        account=Account(
            cash=row["cash"], equity=row["equity"], portfolio_value=row["portfolio_value"],
            buying_power=row["buying_power"],
        ),
        active_positions=row["active_positions"], closed_trades=row["closed_trades"], length=row["length"],
        sha256=row["sha256"],
    )  # fmt: skip
