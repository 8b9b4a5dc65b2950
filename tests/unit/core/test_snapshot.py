"""A state as bytes, and what earlier programs wrote. What every state must do is in `test_state.py`."""

from pathlib import Path

from gambler_ai.core import events as ev
from gambler_ai.core import snapshot
from gambler_ai.core.evolution import apply
from tests.unit.fakes import AT, Desk
from tests.unit.structures import Pit, proposal

STORED = Path(__file__).resolve().parents[2] / "stored"


def test_a_state_from_before_there_were_structures_is_read():
    """A file of version 7, as the program of then wrote it: ten AAPL held, their bracket resting."""
    state = snapshot.load((STORED / "state-version-7.json").read_bytes(), 7)
    desk = Desk()
    desk.holding()
    assert state == desk.state
    assert (state.structures, state.iteration, state.plan.universe) == ({}, 0, "shares")
    assert state.positions["AAPL"].structure_id == ""
    apply(state, ev.Marked(AT, {}, {}, 1))
    assert state.iteration == 1


def test_structures_survive_a_checkpoint():
    """The whole plan of each, and how many scans there were."""
    pit = Pit(proposal()).entered()
    again = snapshot.load(snapshot.dump(pit.state), snapshot.STATE_VERSION)
    assert again == pit.state
    assert (again.structures, again.iteration) == (pit.state.structures, 1)
    assert snapshot.STATE_VERSION > 7  # that one would drop them without a word
