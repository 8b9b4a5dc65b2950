"""`sessions show ID --recovery`: what was found and done at each resume."""

import json

from tests.recovery.harness import World
from tests.recovery.test_corrupt import spoil


def told(world: World, *more: str) -> str:
    return world.run("sessions", "show", world.session()["id"], "--recovery", *more).ok().out


def test_each_resume_tells_from_what_it_began_what_it_found_and_how_it_ended(world: World):
    world.trade(duration=14, crash_at="submit.after:1").was_killed()
    world.resume(crash_at="recovery.settled").was_killed()
    newest = world.rows("SELECT max(number) AS n FROM checkpoints")[0]["n"]
    spoil(world, newest)
    world.there.cancel_legs("AAPL")
    world.resume().ok()
    head, first, second = told(world).split("\n\n")
    assert head.endswith("resumed 2 times")
    assert f"checkpoint #{newest}, " in first
    for text in ("looking it up", "the broker has it as filled", "bought 99 @ 101.01", "killed, or failed"):
        assert text in first
    assert f"checkpoint #{newest - 1}, " in second
    assert f"set aside, it did not verify: #{newest}" in second
    for text in ("Down for", "0 bars passed", "leg missing", "protect", "agreed with the broker, went on"):
        assert text in second


def test_the_same_for_programs(world: World):
    world.trade(duration=14, crash_at="fill.before_commit:1").was_killed()
    world.resume().ok()
    (restart,) = json.loads(told(world, "--json"))
    assert restart["base"]["broken"] == []
    assert restart["ended"]["bars"] == 0
    assert {"FillReported", "Marked"} <= {fact["kind"] for fact in restart["facts"]}


def test_a_session_that_was_never_resumed_says_so(world: World):
    world.trade(duration=2).ok()
    assert told(world).strip().endswith("was never resumed")
    assert json.loads(told(world, "--json")) == []
