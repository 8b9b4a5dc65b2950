"""What does not work is named while it lasts, stops entries and nothing else, and ends by itself."""

import json

from tests.recovery.harness import World, audit, entries

ENTRIES = [("AAPL", "buy"), ("MSFT", "sell")]
POSITIONS = {"method": "GET", "path": "/v2/positions"}
#: Lets so many readings pass before what comes behind it in the plan.
PASSING = {"kind": "position_late", "seconds": 0}


def told(world: World) -> list[str]:
    """What began and what ended, in order."""
    signs = {"Degraded": "+", "Restored": "-"}
    return [f"{signs[f['type']]} {f['name']}" for f in world.facts() if f["type"] in signs]


def test_positions_that_cannot_be_read_are_named_until_they_can(world: World):
    """Killed in the outage, it says so to whoever asks; the resume ends it."""
    world.there.plan({**PASSING, "times": 36}, {"kind": "500", **POSITIONS, "times": "always"})
    world.trade(duration=14, crash_at="checkpoint.after:22").was_killed()
    assert told(world) == ["+ broker reads"]
    (row,) = world.show()["degraded"]
    assert (row["name"], row["entries"], row["ends"]) == (
        "broker reads", "no entries", "with the next reading that works"
    )  # fmt: skip
    shown = world.run("sessions", "show", world.session()["id"]).ok().out
    assert "Degraded" in shown
    assert "broker reads" in shown
    rows = {row["name"]: row for row in json.loads(world.run("doctor", "--offline", "--json").out)["rows"]}
    assert rows["degraded"]["status"] == "warn"
    world.there.plan()
    assert "broker reads: over" in world.resume().ok().out
    audit(world)
    assert told(world) == ["+ broker reads", "- broker reads"]
    assert world.show()["degraded"] == []


def test_an_order_that_meets_the_rate_limit_goes_out_once_under_its_own_id(world: World):
    world.there.plan({"kind": "429", "method": "POST", "path": "/v2/orders", "times": 2})
    ended = world.trade(duration=14).ok()
    audit(world)
    assert entries(world) == ENTRIES
    ids = [row["client_order_id"] for row in world.there.log()]
    assert len(set(ids)) == 2
    assert told(world) == ["+ rate limited", "- rate limited"] * 2
    assert "the broker wants no request until 2008-10-07 13:" in ended.out
    assert "rate limited: over" in ended.out


def test_prices_that_cannot_be_read_are_named_until_they_can(world: World):
    world.there.plan({"kind": "503_html", "method": "GET", "path": "/v2/stocks", "times": 5})
    ended = world.trade("--json", duration=14).ok()
    audit(world)
    assert told(world) == ["+ market data", "- market data"]
    lines = [json.loads(line) for line in ended.out.splitlines()]
    (began,) = (line for line in lines if line["kind"] == "degraded")
    assert (began["condition"], began["subject"], began["entries"]) == ("market data", "", "no entries")
    assert [line["name"] for line in lines if line["kind"] == "restored"] == ["market data"]
