"""Each planted bug still fits the tree: one that does not apply is caught by nobody."""

import re
import shutil
from pathlib import Path

import pytest

from tests.mutants.catalogue import ROOT, mutants, why_not

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

MUTANTS_MIN = 50
#: Suites that must each have a bug which turns them red.
SUITES = {
    "tests/faults/test_syscall_kills.py", "tests/faults/test_io_errors.py", "tests/faults/test_power_cuts.py",
    "tests/faults/test_clock_jumps.py", "tests/faults/test_network_cuts.py", "tests/faults/test_black_box.py",
    "tests/recovery/test_kill.py", "tests/recovery/test_starts.py", "tests/recovery/test_freezes.py",
    "tests/recovery/test_fault_matrix.py", "tests/simulation/test_simulation.py", "tests/simulation/test_machine.py",
    "tests/hostile/test_replies.py", "tests/hostile/test_states.py", "tests/security/test_secrets.py",
}  # fmt: skip


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_a_planted_bug_applies_and_names_its_test(mutant):
    assert why_not(mutant, ROOT) == ""
    assert (ROOT / mutant.suite).exists()
    files = re.findall(r"^\+\+\+ b/(\S+)", mutant.patch.read_text(), re.MULTILINE)
    assert files
    assert all(file.startswith(("gambler_ai/", "migrations/")) for file in files), "a bug is the program's"


def test_there_are_enough_and_each_fault_suite_has_one():
    assert len(mutants()) >= MUTANTS_MIN
    assert {mutant.suite for mutant in mutants()} >= SUITES


def test_a_patch_that_does_not_fit_and_one_without_a_header_are_found(tmp_path: Path):
    diff = "--- a/gambler_ai/clock.py\n+++ b/gambler_ai/clock.py\n@@ -1 +1 @@\n-no such line\n+x\n"
    patch = tmp_path / "stale.patch"
    patch.write_text(f"what: a\nprotocol: b\ncaught-by: c\n{diff}")
    (stale,) = mutants(tmp_path)
    assert "gambler_ai/clock.py" in why_not(stale, ROOT)
    patch.write_text(f"what: a\ncaught-by: c\n{diff}")
    with pytest.raises(ValueError, match=r"stale\.patch: its header has no line 'protocol'"):
        mutants(tmp_path)
