"""A database, a session under its lease, and a reporter that keeps what it was told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

import pytest

from gambler_ai.clock import ManualClock
from gambler_ai.core.catchup import CatchUp
from gambler_ai.core.engine import Decisions
from gambler_ai.core.events import MarketReport, StreamChanged
from gambler_ai.core.model import Account
from gambler_ai.core.state import SessionState
from gambler_ai.storage import journal, lease, sessions
from gambler_ai.storage.checkpoints import CheckpointInfo
from gambler_ai.storage.database import Database
from gambler_ai.trading.ledger import Ledger
from gambler_ai.trading.reporter import DatabaseBack, DatabaseLost
from tests.unit.fakes import AT, make_state


class Notes:
    """A reporter that writes down what it was told."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.catch_ups: list[CatchUp] = []
        self.ticks: list[datetime] = []
        self._on: dict[str, Callable[[], None]] = {}

    def on(self, word: str, act: Callable[[], None]) -> None:
        """Do something when ``word`` is told."""
        self._on[word] = act

    def started(self, state: SessionState) -> None:
        self.words.append("started")

    def took(self, decisions: Decisions, state: SessionState) -> None:
        for fact in decisions.facts:
            self.words.append(type(fact).__name__)
            self._on.pop(self.words[-1], lambda: None)()

    def ticked(self, state: SessionState, at: datetime) -> None:
        self.ticks.append(at)

    def checkpointed(self, info: CheckpointInfo) -> None:
        self.words.append(f"checkpoint {info.number}")

    def caught_up(self, report: CatchUp) -> None:
        self.words.append("caught up")
        self.catch_ups.append(report)

    def waiting(self, market: MarketReport, state: SessionState) -> None:
        self.words.append("waiting")
        self._on.pop("waiting", lambda: None)()

    def stream(self, change: StreamChanged) -> None:
        self.words.append(f"{change.stream} {'up' if change.up else 'down'}")

    def noted(self, notice: DatabaseLost | DatabaseBack) -> None:
        self.words.append(f"lost: {notice.reason}" if isinstance(notice, DatabaseLost) else "back")

    def stopping(self, reason: str) -> None:
        self.words.append(f"stopping: {reason}")

    def ended(self, state: SessionState, *, created: int, pruned: int) -> None:
        self.words.append(f"ended {state.status}: {created} created, {pruned} pruned")


@pytest.fixture
def wall() -> ManualClock:
    return ManualClock(AT)


@pytest.fixture
def state(database: Database) -> SessionState:
    made = make_state(account=Account(), initial_equity=None)
    insert(database, made)
    return made


def insert(database: Database, state: SessionState) -> None:
    with database.write() as db:
        sessions.insert(db, state, broker="embedded", trading_url="embedded", genesis=journal.GENESIS, wall=AT)


@pytest.fixture
def ledger(database: Database, state: SessionState, wall: ManualClock) -> Iterator[Ledger]:
    held = lease.acquire(database, state.account_id, state.session_id, "pid 1", wall)
    yield Ledger(database, held, state, head=journal.GENESIS, created=0, wall=wall)
    held.close()
