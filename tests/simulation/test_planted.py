"""The simulation turns red: each planted bug is found within the seeds that it says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.planted import PLANTED, Planted

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "from gambler_ai.cli.main import main; main()"
#: Quick enough to be seen at each commit.
QUICK = {PLANTED[0].name}
NIGHTLY = [pytest.mark.nightly, pytest.mark.counts("planted bugs found")]


def cases() -> list[object]:
    return [
        pytest.param(p, id=p.name, marks=() if p.name in QUICK else NIGHTLY) for p in PLANTED
    ]  # fmt: skip


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("planted", cases())
def test_a_planted_bug_is_found(planted: Planted, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "gambler_ai", tmp_path / "gambler_ai", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "migrations", tmp_path / "migrations", ignore=shutil.ignore_patterns("__pycache__"))
    place = tmp_path / "gambler_ai" / planted.file
    source = place.read_text()
    assert source.count(planted.before) == 1
    place.write_text(source.replace(planted.before, planted.after))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "simulate", "--json", "--jobs", "1", "--seeds", f"0:{planted.seeds}",
         *(("--minutes", str(planted.minutes)) if planted.minutes else ())],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["broken"]
