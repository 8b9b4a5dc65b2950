"""From rows to a state: the newest checkpoint that verifies, and the journal after it."""

from __future__ import annotations

from msgspec import Struct

from gambler_ai import crashpoints
from gambler_ai.core.evolution import apply
from gambler_ai.core.state import SessionState
from gambler_ai.errors import CheckpointCorrupt
from gambler_ai.storage import checkpoints, journal, sessions
from gambler_ai.storage.checkpoints import CheckpointInfo
from gambler_ai.storage.database import Database
from gambler_ai.storage.sessions import SessionInfo


class Restored(Struct, frozen=True):
    """A state, and how it was come by. ``broken`` names newer checkpoints that did not verify."""

    state: SessionState
    head: str
    checkpoint: CheckpointInfo | None
    broken: tuple[str, ...]
    replayed: int


def empty_state(info: SessionInfo) -> SessionState:
    """The session as it was before its first journal row."""
    return SessionState(
        session_id=info.id, account_id=info.account_id, plan=info.plan, started_at=info.started_at,
        last_at=info.started_at,
    )  # fmt: skip


def restore(database: Database, info: SessionInfo) -> Restored:
    """The session as it was when its last transaction committed; of ``info`` only the id counts.

    Row, checkpoint and journal are read in one transaction: its runner may write meanwhile.

    Raises:
        CheckpointCorrupt: the journal does not verify, or does not reach where the session was.
    """
    with database.read() as db:
        info = sessions.find(db, info.id)
        base = checkpoints.newest(db, info.id, empty_state(info), journal.GENESIS)
        crashpoints.hit("recovery.checkpoint")
        state, head, replayed = base.state, base.head, 0
        for fact, row_hash in journal.read(db, info.id, state.seq, head):
            apply(state, fact)
            state.seq += 1
            head, replayed = row_hash, replayed + 1
            crashpoints.hit("recovery.replaying")
    if (state.seq, head) != (info.seq, info.journal_hash):
        raise CheckpointCorrupt(
            f"the journal of session {info.id} ends at row {state.seq}, its session at row {info.seq}",
            hint="keep this database; restore a backup, or take the broker's word: --resume --accept-broker-state",
        )
    return Restored(state, head, base.info, base.broken, replayed)
