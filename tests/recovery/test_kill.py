"""SIGKILL at every named point, `--resume`, and an audit against the exchange's own books."""

import pytest

from tests.recovery.harness import World, audit, entries

ENTRIES = [("AAPL", "buy"), ("MSFT", "sell")]

#: Points a plain half hour passes, with the pass at which to die.
IN_A_RUN = [
    "recovery.replayed:1", "recovery.settled:1", "intent.before_commit:1", "intent.after_commit:1",
    "submit.before:1", "submit.after:1", "reply.before_commit:1", "reply.after_commit:1", "fill.before_commit:1",
    "fill.after_commit:1", "intent.after_commit:2", "submit.after:2", "checkpoint.inside:14", "checkpoint.after:14",
]  # fmt: skip


@pytest.mark.parametrize("point", IN_A_RUN)
def test_killed_once(world: World, point: str):
    world.trade(crash_at=point).was_killed()
    world.resume().ok()
    audit(world)
    assert entries(world) == ENTRIES
