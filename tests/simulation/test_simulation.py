"""Whole executions: a sample at each commit, thousands at night; and that one seed is one execution."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gambler_ai.simulation import campaign
from gambler_ai.simulation.scenario import draw

#: In which a seed or two end on any machine.
MINUTES_MIN = 0.3
PROGRAM = "from gambler_ai.cli.main import main; main()"


def simulate(*options: str, hash_seed: str = "0") -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "simulate", "--json", *options],
        env=os.environ | {"PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4, 5, 8, 9])
def test_no_rule_is_broken_in_a_sample(seed: int, folder: Path) -> None:
    outcome = campaign.run_seed(seed, 45, folder)
    assert not outcome.violations, campaign.replay_command(seed, 45)
    assert outcome.facts
    assert outcome.lives > outcome.crashes


def test_the_same_seed_is_the_same_execution_in_another_process() -> None:
    one, two = (simulate("--seeds", "1:3", "--minutes", "20", "--jobs", "1", hash_seed=h) for h in ("1", "77"))
    assert one["journals"] == two["journals"]
    assert one["facts"] == two["facts"]
    assert len(set(dict(one["journals"]).values())) == 2  # type: ignore[call-overload]


def test_a_sample_has_every_kind_of_trouble(folder: Path) -> None:
    drawn = [draw(seed) for seed in range(300)]
    assert {d.kind for s in drawn for d in s.deeds} >= {"jump", "asleep", "halt", "flatten", "halt file", "move-stop"}
    assert {f.kind for s in drawn for f in s.disk if f is not None} == {"locked", "full", "io", "durable", "away"}
    assert {f.row["kind"] for s in drawn for f in s.broker} >= {"lost_reply", "late_arrival", "split", "account_reset"}
    assert {s.sessions for s in drawn} == {1, 2, 3}
    assert {s.rate for s in drawn} == {0.0, 30.0, 60.0}
    assert sum(bool(s.crashes) for s in drawn) > 200


@pytest.mark.nightly
@pytest.mark.timeout(0)
def test_no_rule_is_broken_in_thousands_of_days(request: pytest.FixtureRequest, count: Callable[..., None]) -> None:
    minutes = float(request.config.getoption("minutes", default="0") or 0) or 30.0
    night = int(request.config.getoption("seed", default=0) or 0)
    first = 1_000 + 1_000_000 * (night % 4_000)  # a seed is a number below 2 ** 32
    limit = f"{max(minutes * 0.8, MINUTES_MIN):.2f}"
    found = simulate("--seeds", f"{first}:{first + 1_000_000}", "--time-limit", limit)
    count("seeds", int(str(found["seeds"])))
    count("violations", len(list(found["broken"])))  # type: ignore[call-overload]
    assert not found["broken"]
    assert found["seeds"]
