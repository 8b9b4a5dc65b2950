"""SIGKILL at every named point, `--resume`, and an audit against the exchange's own books."""

import signal

import pytest

from gambler_ai.crashpoints import POINTS
from tests.recovery.harness import Exchange, World, audit, base_env, entries, story
from tests.recovery.test_replace import WHILE_ADJUSTING, WHILE_MOVING

ENTRIES = [("AAPL", "buy"), ("MSFT", "sell")]
#: AAPL is bought at 9:35 and stopped out at 9:56, MSFT is sold short at 9:40.
MINUTES = 28

#: Points that a plain half hour passes, with the pass at which to die.
IN_A_RUN = [
    "recovery.replayed:1", "recovery.settled:1", "intent.before_commit:1", "intent.after_commit:1",
    "submit.before:1", "submit.after:1", "reply.before_commit:1", "reply.after_commit:1", "fill.before_commit:1",
    "fill.after_commit:1", "submit.after:2", "fill.before_commit:3", "checkpoint.inside:14", "checkpoint.after:15",
]  # fmt: skip
#: Points passed by a resume that finds an order it has not heard of.
IN_A_RESUME = [
    "recovery.leased", "recovery.replayed", "recovery.settled", "reply.before_commit", "fill.after_commit",
    "checkpoint.inside",
]  # fmt: skip
#: Points passed while what was filled of an entry is protected.
WHILE_PROTECTING = ["cancel.after", "protect.before_commit", "protect.after_commit", "submit.after"]
ELSEWHERE = ["prune.inside", "stop.before_checkpoint", "migration.inside", *WHILE_MOVING, *WHILE_ADJUSTING]


def test_no_point_is_left_out():
    named = {point.partition(":")[0] for point in [*IN_A_RUN, *IN_A_RESUME, *WHILE_PROTECTING, *ELSEWHERE]}
    assert named == set(POINTS)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What these minutes come to when nothing happens to the runner."""
    folder = tmp_path_factory.mktemp("undisturbed")
    exchange = Exchange(base_env(folder), folder)
    try:
        World(folder, base_env(folder), exchange).trade(duration=MINUTES).ok()
        return story(exchange.fills())
    finally:
        exchange.stop()


@pytest.mark.parametrize("point", IN_A_RUN)
def test_killed_once(world: World, undisturbed, point: str):
    """The market stood still meanwhile, so it ends as if nothing had happened."""
    world.trade(duration=MINUTES, crash_at=point).was_killed()
    world.resume().ok()
    audit(world)
    assert entries(world) == ENTRIES
    assert story(world.there.fills()) == undisturbed


def test_killed_while_pruning(world: World):
    options = ("--keep-checkpoints", "1", "--checkpoint-interval", "5")
    world.trade(*options, crash_at="prune.inside:2").was_killed()
    numbers = [r["number"] for r in world.rows("SELECT number FROM checkpoints ORDER BY number")]
    assert numbers == [*range(120, 241)]  # the first prune had kept #120; the second is as if it had not begun
    world.resume().ok()
    audit(world)
    assert entries(world) == ENTRIES
    assert len(world.rows("SELECT number FROM checkpoints")) == 1


def test_killed_after_a_signal(world: World):
    run = world.start("--symbols", "AAPL,MSFT", "--duration", "30", "--speed", "300", crash_at="stop.before_checkpoint")
    run.wait_for("fill     AAPL")
    run.signal(signal.SIGTERM)
    run.end().was_killed()
    world.resume("--speed", "0").ok()
    audit(world)
    assert entries(world) == ENTRIES


def test_killed_while_the_schema_changes(world: World):
    world.trade(duration=12, crash_at="submit.after:1").was_killed()
    world.run("db", "downgrade", "--to", "0001", "--yes").ok()
    before = world.content()
    assert before["alembic_version"] == ["{'version_num': '0001'}"]
    world.resume(crash_at="migration.inside").was_killed()
    assert world.content() == before
    ended = world.resume().ok()
    assert "schema 0002, was 0001; a copy of it as it was: " in ended.err
    audit(world)
    assert entries(world) == ENTRIES


def test_killed_while_the_first_schema_is_made(make_world):
    world: World = make_world(exchange=False, migrated=False)
    world.trade(duration=12, crash_at="migration.inside").was_killed()
    assert world.content() == {}
    world.trade(duration=12).ok()
    assert world.session()["status"] == "finished"


@pytest.mark.parametrize("point", IN_A_RESUME)
def test_killed_again_inside_the_recovery(world: World, point: str):
    world.trade(duration=12, crash_at="submit.after:1").was_killed()
    world.resume(crash_at=point).was_killed()
    world.resume().ok()
    audit(world)
    assert entries(world) == ENTRIES


def test_killed_in_each_part_of_the_recovery_in_turn(world: World):
    world.trade(duration=12, crash_at="submit.before:1").was_killed()
    for point in ("recovery.leased", "recovery.replayed", "submit.after", "fill.before_commit", "recovery.settled"):
        world.resume(crash_at=point).was_killed()
    world.resume().ok()
    audit(world)
    assert entries(world) == ENTRIES


@pytest.fixture
def partly_filled(make_world) -> World:
    """A runner killed as it sends an entry that stays partly filled for more than a minute.

    The exchange fills one order in ten in parts, by a hash of its seed, the order's number and the instant.
    With this seed the fourth order, sent at 9:35 in New York, is filled in parts five times over.
    """
    world: World = make_world("--seed", "3649")
    for _ in range(3):
        world.there.make_a_dummy()
    world.trade("--position-size", "50000", symbols="AAPL", duration=12, crash_at="submit.after:1").was_killed()
    return world


@pytest.mark.parametrize("point", WHILE_PROTECTING)
def test_killed_while_a_part_of_an_entry_is_protected(partly_filled: World, point: str):
    world = partly_filled
    world.resume(crash_at=point).was_killed()
    world.resume().ok()
    audit(world)
    assert entries(world) == [("AAPL", "buy")]
    assert 0 < world.positions()["AAPL"] < 502
    statuses = {o["status"] for o in world.there.orders() if o["order_class"] == "bracket"}
    assert statuses == {"canceled"}


def test_legs_cancelled_by_hand_while_it_was_dead_come_back(world: World):
    world.trade(duration=12, crash_at="fill.after_commit:1").was_killed()
    world.there.cancel_legs("AAPL")
    world.resume("--duration", "8", crash_at="protect.after_commit").was_killed()
    world.resume().ok()
    audit(world)
    stop = world.rows("SELECT stop_price FROM intents WHERE purpose = 'entry' AND symbol = 'AAPL'")
    again = world.rows("SELECT stop_price FROM intents WHERE purpose = 'protect' AND symbol = 'AAPL'")
    assert again == stop
