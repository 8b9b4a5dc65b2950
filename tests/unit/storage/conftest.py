"""A database of each kind, and a session in it."""

from __future__ import annotations

import pytest

from gambler_ai.core.state import SessionState
from gambler_ai.storage import journal, sessions
from gambler_ai.storage.database import Database
from tests.unit.fakes import AT, make_state


@pytest.fixture
def session(database: Database) -> SessionState:
    """A session with its row."""
    state = make_state()
    add(database, state)
    return state


def add(database: Database, state: SessionState, broker: str = "embedded") -> None:
    with database.write() as db:
        sessions.insert(db, state, broker=broker, trading_url="embedded", genesis=journal.GENESIS, wall=AT)
