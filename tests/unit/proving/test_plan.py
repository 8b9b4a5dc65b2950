"""What is killed where: drawn from a seed, the same each time, and every point at least once."""

from collections import Counter
from pathlib import Path

import pytest

from gambler_ai.crashpoints import POINTS
from gambler_ai.proving import plan
from gambler_ai.proving.cell import Arm, Told
from gambler_ai.proving.plan import Cell, Survey
from gambler_ai.proving.report import command, first_requests, percentile
from gambler_ai.proving.scenarios import SCENARIOS
from gambler_ai.proving.verify import Outcome, Result, Verdict, Wanted

NAMES = list(POINTS)
RARE = "void.before_commit"


def survey(points: dict[str, int], seconds: float = 1.0) -> Survey:
    return Survey(Told(processes=2, passed={0: Counter(points), 2: Counter(dict.fromkeys(points, 1))}), seconds)


SURVEYS = {name: survey(dict.fromkeys(NAMES, 3)) for name in SCENARIOS}
SURVEYS["cancel"] = survey({RARE: 1})
FEW = {"market": SURVEYS["market"], "exit": survey({"submit.after": 1}), "limit": survey({})}


def test_there_are_twelve_scenarios_and_at_least_forty_eight_points():
    assert list(SCENARIOS) == [
        "market",
        "limit",
        "bracket",
        "partial",
        "exit",
        "cancel",
        "replace",
        "import",
        "condor",
        "covered",
        "expiry",
        "uneven",
    ]
    assert len(POINTS) >= 48


@pytest.mark.parametrize("seed", range(5))
def test_a_sample_has_each_point_once_and_each_scenario(seed: int):
    cells = plan.sample(SURVEYS, seed)
    assert {cell.point for cell in cells} == set(NAMES)
    assert {cell.scenario for cell in cells} == set(SCENARIOS)
    assert len(cells) <= len(NAMES) + len(SCENARIOS)
    assert cells == plan.sample(SURVEYS, seed)


def test_another_seed_kills_elsewhere():
    assert plan.sample(SURVEYS, 1) != plan.sample(SURVEYS, 2)


def test_everything_is_each_point_in_each_scenario_that_passes_it():
    cells = plan.everything(FEW, 7)
    assert Counter(cell.scenario for cell in cells) == {"market": len(NAMES), "exit": 1}


def test_a_cell_alone_is_the_cell_of_the_sample():
    for cell in plan.sample(SURVEYS, 11):
        assert plan.cell_of(cell.scenario, cell.point, SURVEYS[cell.scenario], 11) == cell


def test_the_pass_is_one_that_was_seen():
    found = {plan.cell_of("market", "submit.after", SURVEYS["market"], seed) for seed in range(60)}
    assert {(cell.arm.step, cell.arm.nth) for cell in found if cell} == {(0, 1), (0, 2), (0, 3), (2, 1)}
    assert plan.cell_of("limit", "submit.after", FEW["limit"], 1) is None


def test_pairs_are_each_point_of_the_recovery_from_each_point():
    recovery = ["recovery.leased", "read.clock"]
    told = {("market", name): Told(killed=True, recovery=recovery) for name in NAMES}
    cells = list(plan.pairs(told, {"market": SURVEYS["market"]}, 3))
    assert len(cells) == 2 * len(NAMES)
    assert cells[0].point == f"{NAMES[0]}+recovery.leased"


# -- the outcome ----------------------------------------------------------------------------------


def result(verdict: Verdict, told: Told, point: str = "submit.after", *, anew: bool = False) -> Result:
    return Result(Cell("market", Arm(0, point, 1), anew), verdict, told, 1.0, Path("kept"))


KILLED = Told(killed=True, first_request_s=0.5)


def test_it_is_green_when_all_pass():
    assert Outcome(SURVEYS, [result(Verdict.PASS, KILLED)]).is_green


def test_it_is_not_green_when_a_cell_failed_or_its_point_was_never_reached():
    assert not Outcome(SURVEYS, [result(Verdict.FAIL, KILLED)]).is_green
    missed = Outcome(SURVEYS, [result(Verdict.NOT_PASSED, Told()), result(Verdict.PASS, KILLED, "submit.before")])
    assert (missed.is_green, missed.never_killed) == (False, ["submit.after"])


def test_nothing_killed_is_not_green():
    assert not Outcome(SURVEYS, []).is_green


def test_a_point_that_no_scenario_passes_is_told():
    assert Outcome(FEW, []).nowhere == []
    assert Outcome({"exit": FEW["exit"]}, []).nowhere == [name for name in NAMES if name != "submit.after"]


def test_a_percentile_is_a_value_that_was_measured():
    assert percentile([1.0, 2.0, 3.0], 50) == 2.0
    assert percentile([1.0, 2.0, 3.0], 99) == 3.0
    assert percentile([4.0], 50) == 4.0


def test_times_of_processes_started_anew_and_forked_are_told_apart():
    found = first_requests([
        result(Verdict.PASS, Told(killed=True, first_request_s=2.0), anew=True), result(Verdict.PASS, KILLED),
        result(Verdict.PASS, Told(killed=True)),
    ])  # fmt: skip
    assert found == {"anew": {"n": 1, "p50": 2.0, "p99": 2.0}, "forked": {"n": 1, "p50": 0.5, "p99": 0.5}}


def test_the_command_that_repeats_a_cell_names_all_it_needs():
    cell = Cell("exit", Arm(0, "submit.after", 2, "read.clock"))
    said = command(cell, Wanted(5), "postgresql://me@host/db?sslmode=require")
    assert said == (
        "gambler-ai verify-crash --only submit.after+read.clock --scenario exit --seed 5"
        " --database-url 'postgresql://me@host/db?sslmode=require'"
    )
    assert command(cell, Wanted(5), "SQLite").endswith("--seed 5")
