"""Learners through the real program: flags of a resume take effect and are journaled, and a kill costs no lesson."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.databases import sqlite_only
from tests.recovery.harness import Ended, World, audit

LEARNS = ("--learners", "attention")


def rules(world: World) -> list[dict[str, Any]]:
    """What each resume changed of what learners may do: rule -> before and after."""
    changed = [fact["changes"] for fact in world.facts("PlanChanged")]
    return [{k: v for k, v in one.items() if k.startswith("learning.")} for one in changed]


def signals(world: World) -> list[Any]:
    return [f["intent"].get("signal") for f in world.facts("IntentPlanned") if f["intent"]["purpose"] == "entry"]


def again(world: World, *flags: str) -> Ended:
    """Take up the session, which has run its time, for more of it."""
    return world.run("--resume-session", world.session()["id"], *flags)


def learned(world: World) -> int:
    """Blobs of the learner that differ."""
    return len(world.rows("SELECT DISTINCT sha256 FROM components WHERE name = 'attention'"))


def test_learners_named_at_a_resume_learn_from_then_on_and_not_from_the_next_one(world: World):
    world.trade(duration=2).ok()
    assert signals(world) == []
    again(world, *LEARNS, "--duration", "26").ok()
    assert rules(world) == [{"learning.learners": ["[]", '["attention"]']}]
    first, *_ = signals(world)
    assert len(first["features"]) == 13
    (known,) = world.facts("OutcomeKnown")
    assert known["outcome"]["signal"] == first
    assert learned(world) == 2, "as it began, and with one outcome"
    audit(world)


def test_a_kill_between_a_fill_and_its_lesson_costs_neither(world: World):
    world.trade(*LEARNS, duration=28, crash_at="fill.inside_commit:3").was_killed()
    assert world.facts("OutcomeKnown") == []
    world.resume().ok()
    assert len(world.facts("OutcomeKnown")) == 1
    assert learned(world) == 2
    told = world.run("sessions", "show", world.session()["id"], "--json").ok().out
    assert [row["seq"] for row in json.loads(told)["components"] if row["name"] == "attention"]
    audit(world)


def test_what_a_chooser_knows_after_a_kill_is_what_one_knows_that_lived_on(make_world: Any):
    """One is killed with a trade closed and nothing of it stored; the same market, with the same trades."""
    known = []
    # By this seed's lot it is momentum that is heard while there is something to enter.
    chooses = ("--strategy", "chooser", "--set", "seed=5546")
    for crash_at in ("fill.inside_commit:3", ""):
        world = make_world()
        ended = world.trade(*chooses, duration=28, crash_at=crash_at)
        if crash_at:
            ended.was_killed()
            assert world.facts("OutcomeKnown") == []
            world.resume().ok()
        known.append(json.loads(world.run("learners", "show", "chooser", "--json").ok().out))
        audit(world)
    one, two = ({key: page[key] for key in ("learned", "judged", "loss", "grid", "rivals")} for page in known)
    assert one == two
    assert one["learned"] >= 1


@pytest.mark.nightly
def test_a_say_that_is_given_at_a_resume_is_heard(world: World, tmp_path: Path):
    world.trade(*LEARNS, duration=2).ok()
    before = world.content()
    refused = again(world, "--use-learner", "attention")
    assert (refused.code, refused.err.splitlines()[0]) == (
        2, "error: --use-learner attention: nothing says how sure it has to be",
    )  # fmt: skip
    unknown = again(world, "--learners", "oracle")
    assert unknown.code == 2
    assert "there is no learner 'oracle'" in unknown.err
    after = world.content()
    assert {name for name in before if before[name] != after[name]} <= {"lease"}
    again(world, "--min-confidence", "0.6", "--confidence", "scale", "--duration", "1").ok()
    assert rules(world) == [
        {"learning.min_confidence": ["null", '"0.6"'], "learning.confidence": ['"gate"', '"scale"']}
    ]
    again(world, "--duration", "1").ok()
    assert len(rules(world)) == 1, "what is not given stays"


@pytest.mark.nightly
@pytest.mark.timeout(600)
@sqlite_only  # two markets with one account's name: in one database the second would carry on what the first knew
def test_a_future_that_is_another_changes_nothing_of_a_session_until_then(make_world: Any, tmp_path: Path):
    """The real program on user's minute bars, which part ways in the middle of the day."""
    told = []
    for seed in (1, 2):
        folder = tmp_path / f"bars{seed}"
        folder.mkdir()
        _write_bars(folder / "AAPL.csv", seed)
        world = make_world("--data", str(folder), "--at", "2024-01-03T09:30:00-05:00")
        flags = ("--set", "change_pct=0.15", "--set", "lookback=2", "--set", "volume_ratio=0.1", "--timeframe", "5Min")
        tight = ("--stop-loss-pct", "0.3", "--take-profit-pct", "0.3")
        world.trade(*LEARNS, *flags, *tight, symbols="AAPL", duration=200).ok()
        facts = world.facts()
        told.append([f for f in facts if f.get("at", "") <= "2024-01-03T16:59:30"])
        assert [f for f in told[-1] if f["type"] == "OutcomeKnown"]
        assert len(facts) > len(told[-1])
    one, two = ([{k: v for k, v in f.items() if k not in _OWN} for f in facts] for facts in told)
    assert [f["type"] for f in one] == [f["type"] for f in two]
    assert [_decided(f) for f in one] == [_decided(f) for f in two]


_OWN = ("account", "token")


def _decided(fact: dict[str, Any]) -> Any:
    """What of a fact is the market's and ours, and not an account's id."""
    if fact["type"] == "IntentPlanned":
        return {k: fact["intent"][k] for k in ("symbol", "side", "qty", "ref_price", "decision_id", "signal")}
    if fact["type"] == "OutcomeKnown":
        return {k: v for k, v in fact["outcome"].items() if k != "position_id"}
    return fact.get("marks")


def _write_bars(path: Path, seed: int) -> None:
    """Two days before, and a day that is the same until noon."""
    import numpy as np

    same, other = np.random.default_rng(3), np.random.default_rng(seed)
    rows, price = ["timestamp,open,high,low,close,volume"], 100.0
    for day in ("2023-12-29", "2024-01-02", "2024-01-03"):
        for minute in range(390):
            parted = day == "2024-01-03" and minute >= 150
            before, price = price, price * float(np.exp((other if parted else same).normal(0, 0.0008)))
            hour, rest = divmod(570 + minute, 60)
            high, low = max(before, price), min(before, price)
            at = f"{day}T{hour:02d}:{rest:02d}:00-05:00"
            rows.append(f"{at},{before:.4f},{high:.4f},{low:.4f},{price:.4f},{1000 + minute % 7 * 100}")
    path.write_text("\n".join(rows) + "\n")
