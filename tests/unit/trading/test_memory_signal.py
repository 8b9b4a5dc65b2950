"""The signal model as sessions store and recall it: each outcome is learned once, in the order of the journal."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from gambler_ai.core import events as ev
from gambler_ai.core.engine import Decisions
from gambler_ai.core.evolution import evolve
from gambler_ai.core.model import Side
from gambler_ai.learners.attention import Attention
from gambler_ai.learners.signal_model import SignalModel
from gambler_ai.storage import journal, lease, sessions
from gambler_ai.storage import tables as t
from gambler_ai.storage.database import Database
from gambler_ai.trading.ledger import Ledger
from gambler_ai.trading.recall import recall
from tests.unit.fakes import AT, SESSION, make_state
from tests.unit.learners.outcomes import SERIES
from tests.unit.trading.conftest import insert

FACTS: list[ev.Fact] = [ev.OutcomeKnown(AT, outcome) for outcome in SERIES[:25]]


@pytest.fixture
def model() -> SignalModel:
    return SignalModel()


@pytest.fixture
def ledger(database: Database, state, wall, model) -> Any:
    held = lease.acquire(database, state.account_id, state.session_id, "pid 1", wall)
    yield Ledger(
        database, held, state, head=journal.GENESIS, created=0, wall=wall, memory=recall(database, state, [model])
    )
    held.close()


def write(ledger: Ledger, state: Any, *facts: ev.Fact, **how: bool) -> None:
    ledger.commit(Decisions(facts=list(facts), changes=evolve(state, facts)), **how)


def recalled(database: Database, session_id: str = SESSION) -> SignalModel:
    """The model as the next process finds it, beside a learner that is new and is told of everything."""
    found = SignalModel()
    with database.read() as db:
        state = make_state(session_id=session_id, seq=sessions.find(db, session_id).seq)
    memory = recall(database, state, [found, Attention()])
    assert memory.take_told() == []
    assert memory.take_moved() == []
    return found


def test_what_came_after_the_stored_row_is_learned_once_and_in_order(database, ledger, state, model):
    """Stored in the middle, at the end, and not at all: the same bytes, since they depend on number and order."""
    write(ledger, state, *FACTS[:10])
    assert recalled(database).dump() == model.dump(), "from the journal alone"
    write(ledger, state, *FACTS[10:20], remember=True)
    write(ledger, state, *FACTS[20:])
    found = recalled(database)
    assert (found.dump(), found.learned) == (model.dump(), 25)
    write(ledger, state, ev.Denied(AT, "AAPL", Side.BUY, "halted", ""), remember=True)
    assert recalled(database).dump() == model.dump(), "all of it was stored; nothing is given again"


def test_one_that_was_added_later_learns_all_that_this_session_journaled(database, ledger, state, model):
    write(ledger, state, *FACTS, checkpoint=True)
    with database.write() as db:
        db.execute(t.components.delete())
    assert recalled(database).dump() == model.dump()


def test_another_session_goes_on_from_the_last_outcome_of_the_one_before(database, ledger, state, model):
    write(ledger, state, *FACTS[:20], remember=True)
    write(ledger, state, *FACTS[20:])
    insert(database, make_state(session_id="s-2"))
    assert recalled(database, "s-2").dump() == model.dump()


def test_another_version_of_the_library_is_told_and_the_numbers_stay(database, ledger, state, model):
    write(ledger, state, *FACTS, remember=True)
    with database.write() as db:
        db.execute(t.components.update().values(libraries='{"msgspec": "0.1", "scikit-learn": "1.2.3"}'))
    found = SignalModel()
    memory = recall(database, state, [found])
    [moved] = memory.take_moved()
    assert moved.name == "signal"
    assert moved.versions == {"scikit-learn": ("1.2.3", found.libraries["scikit-learn"])}
    assert found.dump() == model.dump()


def test_without_the_library_it_is_left_out_and_catches_up_at_the_next_start(database, ledger, state, model):
    """Who only flattens what is held must not be kept from it by a library that is gone."""
    write(ledger, state, *FACTS[:10], remember=True)
    write(ledger, state, *FACTS[10:])
    with pytest.MonkeyPatch.context() as patch, database.read() as db:
        for name in ("sklearn", "sklearn.linear_model", "sklearn.preprocessing"):
            patch.setitem(sys.modules, name, None)  # as Python marks a module that is not to be had
        memory = recall(database, make_state(seq=sessions.find(db, SESSION).seq), [SignalModel(), Attention()])
        assert list(memory.view) == ["attention"]
        [told] = memory.take_told()
        assert (told.name, "ModuleNotFoundError" in told.reason) == ("signal", True)
    assert recalled(database).dump() == model.dump()
