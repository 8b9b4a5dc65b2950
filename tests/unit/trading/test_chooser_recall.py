"""The chooser and what it asks, killed after any commit: the next process knows what the one that lived on knows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gambler_ai.clock import ManualClock
from gambler_ai.core.components import Component
from gambler_ai.core.engine import Decisions
from gambler_ai.core.events import DayOpened, Fact, LearnerReset, LearnerTaught, RunStarted
from gambler_ai.core.evolution import evolve
from gambler_ai.core.state import SessionState
from gambler_ai.learners.chooser import Chooser
from gambler_ai.storage import journal, lease, sessions
from gambler_ai.storage.database import Database
from gambler_ai.storage.lease import Lease
from gambler_ai.strategies.loader import load
from gambler_ai.strategies.testing import view_of
from gambler_ai.trading.ledger import Ledger
from gambler_ai.trading.memory import Memory
from gambler_ai.trading.recall import recall
from tests.unit.fakes import AT, SESSION, make_state
from tests.unit.learners.test_choices import RANGE, TREND, life

NOSY = str(Path(__file__).parents[1] / "learners" / "opinions.py") + ":Nosy"
SYMBOLS = tuple(f"S{n}" for n in range(20))


def made() -> Chooser:
    chooser = load("chooser", {"strategies": ["momentum", NOSY], "epsilon": 0.3}).strategy
    assert isinstance(chooser, Chooser)
    return chooser


def facts() -> list[Fact]:
    taught = LearnerTaught(AT, "chooser", {TREND: {"up": 0.75}, RANGE: {"down": 0.6}}, "a" * 64)
    return [
        RunStarted(AT, 600.0, resumed=False, token=1), taught, *life(4, 1, lesson=2), DayOpened(AT, "2008-10-07"),
        *life(3, 2), LearnerReset(AT, "chooser", "anew"), *life(3, 3),
    ]  # fmt: skip


@pytest.fixture
def held(database: Database, state: SessionState, wall: ManualClock) -> Iterator[Lease]:
    lease_ = lease.acquire(database, state.account_id, state.session_id, "pid 1", wall)
    yield lease_
    lease_.close()


def bytes_of(memory: Memory) -> dict[str, bytes]:
    return {name: component.dump() for name, component in memory.view.items()}


def chosen(components: list[Component]) -> list[str]:
    """What it decides with what it knows."""
    view = view_of({symbol: [1.0, 2.0] for symbol in SYMBOLS}, memory=components)
    return [repr(wish) for wish in made().propose(view)]


def test_killed_after_any_commit_it_knows_and_decides_what_it_would_have(database, state, wall, held):
    dice, parts = np.random.default_rng(4), list(made().components())
    memory = recall(database, state, parts)
    ledger = Ledger(database, held, state, head=journal.GENESIS, created=0, wall=wall, memory=memory)
    for number, fact in enumerate(facts()):
        stores = bool(dice.integers(2)) or number == 0
        ledger.commit(Decisions(facts=[fact], changes=evolve(state, [fact])), remember=stores)
        with database.read() as db:
            seq = sessions.find(db, SESSION).seq
        again = list(made().components())
        found = recall(database, make_state(seq=seq), again)
        assert bytes_of(found) == bytes_of(memory)
        assert chosen(again) == chosen(parts)
    assert [part.name for part in parts] == ["chooser", "nosy.days"]
    assert parts[0].revision >= 12
