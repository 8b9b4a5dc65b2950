"""The simulation turns red: each planted bug is found within the seeds that it says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.planted import IN_THE_CORE, PLANTED, Planted

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "from gambler_ai.cli.main import main; main()"
#: Quick enough to be seen at each commit.
QUICK = {PLANTED[0].name}
NIGHTLY = [pytest.mark.nightly, pytest.mark.counts("planted bugs found")]


def cases() -> list[object]:
    return [
        pytest.param(p, id=p.name, marks=() if p.name in QUICK else NIGHTLY) for p in PLANTED
    ]  # fmt: skip


def copy_with(planted: Planted, place: Path) -> None:
    """The program in ``place``, with the bug."""
    for name in ("gambler_ai", "migrations"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    file = place / "gambler_ai" / planted.file
    source = file.read_text()
    assert source.count(planted.before) == 1
    file.write_text(source.replace(planted.before, planted.after))


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_it_can_be_planted_in_the_program_as_it_is(planted: Planted) -> None:
    assert (ROOT / "gambler_ai" / planted.file).read_text().count(planted.before) == 1


def python(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run with the program in ``place``, and with the tests of this tree."""
    path = os.pathsep.join((str(place), str(ROOT)))
    return subprocess.run(
        [sys.executable, *arguments], cwd=place, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("planted", cases())
def test_a_planted_bug_is_found(planted: Planted, tmp_path: Path) -> None:
    copy_with(planted, tmp_path)
    length = ("--minutes", str(planted.minutes)) if planted.minutes else ()
    seeds = f"0:{planted.seeds}"
    done = python(tmp_path, "-c", PROGRAM, "simulate", "--json", "--jobs", "1", "--seeds", seeds, *length)
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["broken"]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("planted", [pytest.param(p, id=p.name) for p in IN_THE_CORE[:1]] + [
    pytest.param(p, id=p.name, marks=pytest.mark.nightly) for p in IN_THE_CORE[1:]
])  # fmt: skip
def test_a_bug_planted_into_the_core_is_found_by_the_machine(planted: Planted, tmp_path: Path) -> None:
    copy_with(planted, tmp_path)
    story = (
        "from hypothesis import Phase; from tests.simulation.test_machine import run;"
        "run(100, 40, derandomize=True, database=None, phases=(Phase.generate,))"  # it need not be made short
    )
    done = python(tmp_path, "-c", story)
    assert done.returncode == 1
    assert "AssertionError" in done.stderr, done.stderr
