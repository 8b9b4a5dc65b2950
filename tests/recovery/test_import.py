"""From another bot to this one with the real program: what it held, what it remembered, and nothing by halves."""

from __future__ import annotations

import json
import pickle
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gambler_ai.learners.features import NAMES
from tests.recovery.harness import World, audit, entries
from tests.recovery.test_control import WIDE
from tests.unit.ancestors.test_kinds import CONFIG

RISK = Path(__file__).parents[1] / "unit" / "ancestors" / "files" / "numpy2" / "risk_manager_state.pkl"


def lesson(world: World, **state: Any) -> tuple[str, str]:
    """Lesson 23's two files."""
    state_json, config_json = world.folder / "state.json", world.folder / "config.json"
    state_json.write_text(json.dumps(state))
    config_json.write_text(json.dumps(CONFIG | {"trade_symbol": "IBM"}))
    return str(state_json), str(config_json)


def test_what_lesson_23s_bot_held_is_ours_with_a_stop_after_the_next_start(world: World):
    """The file says ten; the broker says seven, and its word wins."""
    world.trade(*WIDE, crash_at="fill.after_commit:1").was_killed()
    world.there.hold("IBM", "buy", "7")
    ended = world.run("state", "import", *lesson(world, is_in_position=True, entry_price=100.25), str(RISK)).ok()
    assert "holds 10 IBM at 100.25 by its own word" in ended.out
    assert "IBM" not in world.positions()
    resumed = world.resume("--duration", "3").ok()
    assert "7 IBM are ours from here on" in resumed.out
    assert world.positions()["IBM"] == 7
    (row,) = world.rows("SELECT * FROM positions WHERE symbol = 'IBM'")
    assert Decimal(row["stop_price"]) > 0
    assert [fact["record"]["streak"] for fact in world.facts("RiskCarried")] == [-2]
    assert world.rows("SELECT set_aside FROM components WHERE name = 'imported.risk'") == [{"set_aside": ""}]
    audit(world)


def test_a_position_that_is_not_there_any_more_is_not_believed(world: World):
    world.trade(crash_at="fill.after_commit:1").was_killed()
    world.run("state", "import", *lesson(world, is_in_position=True)).ok()
    ended = world.resume("--duration", "3").ok()
    assert "the account holds nothing in IBM that is not ours already" in ended.out
    assert "IBM" not in world.positions()
    assert ("IBM", "buy") not in entries(world)


def test_what_is_held_is_not_bought_again_before_it_is_adopted(world: World):
    """A fresh session beside the old bot's position: lesson 23's whole fear."""
    world.there.hold("AAPL", "buy", "10")
    ended = world.run("state", "import", *lesson(world, is_in_position=True, symbol="AAPL", qty=10)).ok()
    assert "gambler-ai reconcile --adopt AAPL" in ended.out
    world.trade(duration=15).ok()
    assert ("AAPL", "buy") not in entries(world)
    assert world.there.positions()["AAPL"] == 10


def learned(folder: Path) -> tuple[str, str]:
    """A Q-table and feature weights of which learners here take something up."""
    table = {"trend, quiet": {"momentum": 0.75, "somebody": 0.25}, "trending_low": {"momentum": 0.5}}
    (folder / "q_table.pkl").write_bytes(pickle.dumps({"q_table": table, "epsilon": 0.2}))
    np.save(folder / "weights.npy", np.arange(float(len(NAMES))))
    return str(folder / "q_table.pkl"), str(folder / "weights.npy")


def test_learners_begin_with_what_was_imported_and_a_killed_session_begins_with_it_once(world: World):
    said = world.run("state", "import", *learned(world.folder)).ok()
    assert "--strategy chooser begins with trend, quiet: of momentum, somebody" in said.out
    asked = ("--strategy", "chooser", "--learners", "attention")
    world.trade(*asked, duration=4, crash_at="start.after_commit:1").was_killed()
    world.resume("--duration", "4").ok()
    facts = {fact["name"]: fact["values"] for fact in world.facts("LearnerTaught")}
    assert facts["chooser"] == {"trend, quiet": {"momentum": 0.75}}
    assert facts["attention"] == {"weights": {name: float(n) for n, name in enumerate(NAMES)}}
    assert len(world.facts("LearnerTaught")) == 2
    assert len(world.rows("SELECT DISTINCT name FROM components WHERE name IN ('chooser', 'attention')")) == 2


@pytest.mark.nightly
def test_a_session_that_is_resumed_begins_with_what_was_imported_for_it(world: World):
    world.trade("--strategy", "chooser", duration=4, crash_at="start.after_commit:1").was_killed()
    world.run("state", "import", *learned(world.folder), "--session", world.session()["id"]).ok()
    assert world.facts("LearnerTaught") == []
    world.resume("--duration", "2").ok()
    assert [fact["name"] for fact in world.facts("LearnerTaught")] == ["chooser"]
