"""The broker's streams while a session trades: whatever they do, no fill is missed and nothing is sent twice."""

import pytest

from tests.recovery.harness import World, audit, entries

ENTRIES = [("AAPL", "buy"), ("MSFT", "sell")]
#: AAPL is bought at 9:35 and stopped out at 9:56, MSFT is sold short at 9:40; in three seconds of wall time.
TRADE = ("--symbols", "AAPL,MSFT", "--duration", "28", "--speed", "600", "--streams", "on")

#: What goes wrong, and what is told of it ("" for what no stream can know of itself).
FAULTS = {
    "well": ([], "trade updates: listening"),
    "cut": ([{"kind": "stream_cut", "stream": "trade_updates", "contains": "fill"}], "no close frame"),
    "cut each time": ([{"kind": "stream_cut", "times": "always", "contains": "AAPL"}], "no close frame"),
    "mute": ([{"kind": "stream_mute", "times": "always", "contains": "order"}], ""),
    "refused": ([{"kind": "stream_refuse", "times": "always"}], "trade updates: "),
    "keys refused": ([{"kind": "stream_refuse", "at": "auth", "times": "always"}], "auth"),
    "each told twice": ([{"kind": "stream_repeat", "times": "always"}], ""),
    "fills never told": ([{"kind": "stream_drop", "times": "always", "contains": "fill"}], ""),
}


#: The others run at night.
EACH_COMMIT = {"cut", "mute", "refused", "fills never told"}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=() if case in EACH_COMMIT else pytest.mark.nightly) for case in FAULTS]
)
def test_no_fill_is_missed_and_nothing_is_sent_twice(world: World, case: str):
    faults, told = FAULTS[case]
    world.there.plan(*faults)
    ended = world.run(*TRADE).ok()
    audit(world)
    assert entries(world) == ENTRIES
    assert len(world.fills()) == len(world.there.fills()) >= 3
    assert told in ended.out
    if case in ("mute", "refused", "keys refused"):
        assert "stream silent trade updates" in {fact["name"] for fact in world.facts("Degraded")}


def test_a_resume_listens_again(world: World):
    world.run(*TRADE, crash_at="fill.after_commit:2").was_killed()
    ended = world.resume("--streams", "on").ok()
    audit(world)
    assert entries(world) == ENTRIES
    assert "trade updates: listening" in ended.out


def test_with_streams_off_nobody_connects(world: World):
    world.there.plan({"kind": "stream_refuse", "times": "always"})
    ended = world.trade("--streams", "off", duration=6).ok()
    assert " stream " not in ended.out
