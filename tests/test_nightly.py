"""The nightly report adds up what suites counted, and no suite is left out or taken for passed."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.allowance import Allowance, Counts
from tests.nightly import report
from tests.nightly.__main__ import run, share
from tests.nightly.report import FAILED, LATE, PASSED, SKIPPED, Result
from tests.nightly.suites import ROOT, Suite, chosen, found


def test_a_file_with_a_nightly_test_is_a_suite(tmp_path: Path):
    (tmp_path / "tests" / "room").mkdir(parents=True)
    (tmp_path / "tests" / "room" / "test_a.py").write_text("@pytest.mark.nightly\ndef test(): ...\n")
    (tmp_path / "tests" / "room" / "test_b.py").write_text("def test(): ...\n")
    assert [suite.name for suite in found(tmp_path)] == ["room/a", "mutants", "all checks"]


def test_the_suites_of_this_tree():
    names = {suite.name for suite in found()}
    assert names >= {"faults/syscall_kills", "faults/power_cuts", "faults/io_errors", "mutants", "all checks"}
    assert all(Path(suite.command[0]).exists() for suite in found())
    assert [suite.name for suite in chosen(found(), ["mutants"])] == ["mutants"]
    with pytest.raises(ValueError, match="no suite 'nonesuch'"):
        chosen(found(), ["nonesuch"])


def test_a_share_is_the_seeds_and_every_point_is_somebodys():
    points = list(range(100))
    parts = [list(Allowance(7, part, 3).share(points)) for part in range(3)]
    assert sorted(point for part in parts for point in part) == points
    assert parts[0] == list(Allowance(7, 0, 3).share(points)) != list(Allowance(8, 0, 3).share(points))
    late = Allowance(7, 0, 3, seconds=1.0, begun_s=-1e9)
    assert list(late.share(points)) == parts[0][:1]
    assert list(late.seeds(at_least=9)) == [7]
    assert list(Allowance(7, 1, 3).seeds(at_least=3)) == [8, 11, 14]


def test_counts_of_many_tests_are_added_up(tmp_path: Path):
    for number in (2, 3):
        counts = Counts()
        counts.add("kills", number)
        counts.add("cuts")
        counts.add("cuts, in all", 40)
        counts.write(tmp_path, "a test in two parts", 1.0)
    assert report.counted(tmp_path) == {"kills": 5, "cuts": 2, "cuts, in all": 40}


@pytest.mark.parametrize(
    ("code", "said", "verdict"),
    [
        (0, "3 passed, 1 skipped in 2 s", PASSED),
        (0, "SKIPPED [2] tests/x.py:9: strace is not installed\n2 skipped in 1 s", SKIPPED),
        (5, "SKIPPED [1] tests/x.py:9: could not import 'torch'\n1 skipped in 1 s", SKIPPED),
        (5, "no tests ran in 1 s", FAILED),
        (1, "FAILED tests/x.py::test - AssertionError\n1 failed", FAILED),
        (None, "", LATE),
    ],
)
def test_a_suite_is_judged_by_how_it_ended(code, said, verdict):
    found, why = report.verdict_of(code, said)
    assert found == verdict
    assert bool(why) == (verdict != PASSED)


def test_a_report_adds_up_and_a_failure_is_a_violation():
    results = [
        Result("a", PASSED, 60.0, {"kills": 5, "cuts": 0, "cuts, in all": 40}, "a.log"),
        Result("b", FAILED, 1.0, {"kills": 2, "violations": 2}, "b.log", "b failed"),
        Result("c", LATE, 1.0, {}, "c.log", "it did not end in its time"),
    ]
    whole = report.document(results, seed=1, minutes=2.0, begun="2026-11-21")
    assert (whole["violations"], whole["counts"]) == (3, {"cuts": 0, "cuts, in all": 40, "kills": 7})
    text = report.for_people(whole)
    assert "**3 violations**" in text
    assert "| kills      | 7      |    |" in text
    assert "| cuts       | 0      | 40 |" in text
    assert "| violations | 3      |    |" in text
    assert "- b: FAILED: b failed (`b.log`)" in text


def test_a_suite_runs_with_its_share_and_what_it_leaves_is_read(tmp_path: Path):
    body = (
        "import json, pathlib, sys; folder = pathlib.Path(sys.argv[2]); folder.mkdir(parents=True);"
        "(folder / 'a.json').write_text(json.dumps({'test': 't', 'counts': {'kills': 4}}));"
        "print('1 passed', sys.argv[1]); sys.exit(int(sys.argv[3]))"
    )
    for code, verdict in ((0, PASSED), (1, FAILED)):
        suite = Suite("a/b", (sys.executable, "-c", body, "{MINUTES}", "{COUNTS}", str(code)), 1.0)
        folder = tmp_path / str(code)
        folder.mkdir()
        result = run(suite, 0.5, 3, folder)
        assert (result.verdict, result.counts) == (verdict, {"kills": 4, "tests passed": 1})
        assert Path(result.log).read_text().strip() == "1 passed 0.500"


def test_a_suite_whose_share_is_too_small_is_not_run_and_says_so(tmp_path: Path):
    result = run(Suite("all", ("false",), 1.0, needs_minutes=10.0), 2.0, 0, tmp_path)
    assert (result.verdict, result.why) == (SKIPPED, "it takes 10 minutes")


def test_what_a_suite_leaves_of_its_share_the_later_ones_have():
    suites = [Suite("a", (), 1.0), Suite("b", (), 1.0), Suite("c", (), 2.0)]
    assert share(suites, 0, 40.0, 40.0) == 10.0
    assert share(suites, 1, 40.0, 39.0) == 13.0  # a was done after a minute
    assert share(suites, 2, 40.0, 26.0) == 26.0
    assert share(suites, 2, 40.0, -3.0) == 10.0  # all is spent: half of what was its own


def test_what_was_done_has_a_rate_and_says_of_how_many():
    assert report.said({"kills": 30, "kills, in all": 90, "none": 0}, 60.0) == "30 of 90 kills (0.5/s)"


def test_each_test_that_failed_is_a_violation():
    assert report.tests_failed("2 failed in the first line\n3 failed, 8 passed, 1 error in 4.02s\n") == 4
    assert report.tests_failed("8 passed in 4.02s\n") == 0


BODY = """
import pytest


@pytest.mark.nightly
@pytest.mark.counts("kills", 5)
@pytest.mark.parametrize("n", range(3))
def test_one(n):
    assert n < 2


@pytest.mark.counts("kills", 5)
def test_each_commit(): ...
"""


@pytest.mark.parametrize(("minutes", "passed"), [("0", 2), ("0.0001", 1)])
def test_a_mark_counts_what_passed_and_what_there_is(tmp_path: Path, minutes: str, passed: int):
    """However short the time is: one test runs."""
    (tmp_path / "test_it.py").write_text(BODY)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml")]
    given = ["--nightly", "-m", "nightly", "--minutes", minutes, "--seed", "1", "--counts", str(tmp_path / "counts")]
    conftest = ["--rootdir", str(ROOT), "-p", "tests.conftest"]
    subprocess.run([*command, *conftest, *given, str(tmp_path)], cwd=ROOT, capture_output=True, check=False)
    assert report.counted(tmp_path / "counts") == {
        "kills": 5 * passed, "kills, in all": 15, "nightly tests": passed, "nightly tests, in all": 3,
    }  # fmt: skip
