"""From another bot to this one with the real program: what it held, what it remembered, and nothing by halves."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

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
