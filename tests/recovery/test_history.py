"""Long history is rolled up while a session runs; a kill in the midst of it loses and doubles nothing."""

from __future__ import annotations

import pytest

from gambler_ai.trading.agenda import LAST_PIECES
from tests.recovery.harness import World, audit, entries

ENTRIES = [("AAPL", "buy"), ("MSFT", "sell")]
BEFORE_AND_AFTER = (("rollup.before:3", 2), ("rollup.after:3", 3))
#: At 10:00 they are the only ones that are more than a limit of 55 leaves: a tenth of it, and as many go.
FIRST = (("before", 0), ("after", 5))
#: Checkpoints often enough that the first prune is over when the first half hour is.
OPTIONS = ("--keep-checkpoints", "1", "--checkpoint-interval", "5")


def stored(world: World) -> tuple[int, int]:
    """Marks in the journal, and those that are rolled up."""
    hot = world.rows("SELECT count(*) AS n FROM journal WHERE kind = 'Marked'")[0]["n"]
    kept = world.rows("SELECT coalesce(sum(rows), 0) AS n FROM archive WHERE kind = 'Marked'")[0]["n"]
    return int(hot), int(kept)


def of_orders(world: World) -> int:
    """Facts of orders that are rolled up."""
    found = world.rows("SELECT coalesce(sum(rows), 0) AS n FROM archive WHERE kind = 'order_facts'")
    return int(found[0]["n"])


@pytest.mark.parametrize(
    ("point", "kept"),
    [("rollup.inside:3", 2), *(pytest.param(*case, marks=pytest.mark.nightly) for case in BEFORE_AND_AFTER)],
)
def test_killed_while_history_is_rolled_up(world: World, point: str, kept: int):
    killed = world.trade(*OPTIONS, "--history-limit", "10", duration=40, crash_at=point)
    killed.was_killed()
    assert stored(world)[1] == kept  # at 10:00, half an hour after the beginning: a row a piece
    world.resume().ok()
    assert stored(world)[1] == kept + LAST_PIECES  # it ends before the next half hour
    audit(world)  # the whole journal, with what was rolled up
    assert entries(world) == ENTRIES
    assert f"{world.session()['seq']} rows verify" in world.run("doctor").out


@pytest.mark.parametrize(
    ("point", "kept"),
    [("rollup.inside:1", 0), *(pytest.param(f"rollup.{at}:1", n, marks=pytest.mark.nightly) for at, n in FIRST)],
)
def test_killed_while_the_facts_of_orders_are_rolled_up(world: World, point: str, kept: int):
    """Both entries are in them, and what is held rests on them: decided, sent, filled, and not for a resume to miss."""
    killed = world.trade(*OPTIONS, "--history-limit", "55", duration=40, crash_at=point)
    killed.was_killed()
    assert (of_orders(world), stored(world)[1]) == (kept, 0)
    told = world.facts()
    world.resume().ok()
    assert world.facts()[: len(told)] == told
    assert of_orders(world) >= max(kept, 5)
    audit(world)
    assert entries(world) == ENTRIES
    assert f"{world.session()['seq']} rows verify" in world.run("doctor").out
    assert "5 facts of orders" in world.run("sessions", "show", world.session()["id"]).ok().out


def test_a_history_within_its_limit_is_not_touched_and_the_limit_may_be_changed(world: World):
    world.trade(*OPTIONS, duration=12, crash_at="end.after_commit").was_killed()
    assert stored(world)[1] == 0
    world.resume("--history-limit", "5", "--duration", "2").ok()
    [changed] = world.facts("PlanChanged")
    assert changed["changes"]["history_limit"] == ["10000", "5"]
    hot, kept = stored(world)
    assert (hot, kept) == (len(world.facts("Marked")) - LAST_PIECES, LAST_PIECES)
    audit(world)
    shown = world.run("sessions", "show", world.session()["id"]).ok().out
    assert f"{kept:,} marks" in shown
