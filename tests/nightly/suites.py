"""What runs at night: each test file with nightly tests in it, the mutants, and all checks on all databases."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"

#: Shares of the night; 1 for what is not named.
WEIGHTS = {
    "recovery/kill": 8.0, "recovery/freezes": 3.0, "recovery/starts": 2.0, "simulation/simulation": 4.0,
    "faults/black_box": 4.0, "faults/syscall_kills": 4.0, "faults/io_errors": 3.0, "faults/network_cuts": 2.0,
    "mutants": 4.0, "all checks": 5.0,
}  # fmt: skip
#: What all checks take on two cores, about.
ALL_CHECKS_MINUTES = 10.0
#: Of these the marks are the subject.
_NOT_SUITES = {"tests/test_marks.py", "tests/test_nightly.py"}
_MARK = re.compile(r"mark\.nightly\b|\bby_night\(")


class Suite(NamedTuple):
    """A command with a share of the night. ``env`` is added to the environment.

    With a share of less than ``needs_minutes`` it is not run: it is nothing that a slice could be taken of.
    """

    name: str
    command: tuple[str, ...]
    weight: float
    env: tuple[tuple[str, str], ...] = ()
    needs_minutes: float = 0.0

    def full_command(self, minutes: float, seed: int, counts: Path) -> list[str]:
        given = {"MINUTES": f"{minutes:.3f}", "SEED": str(seed), "COUNTS": str(counts)}
        return [re.sub(r"\{(\w+)\}", lambda found: given[found[1]], word) for word in self.command]


def found(root: Path = ROOT) -> list[Suite]:
    """Every suite there is: who marks a test `nightly` need not tell anybody."""
    files = sorted((root / "tests").rglob("test_*.py"))
    relative = [file.relative_to(root).as_posix() for file in files if _MARK.search(file.read_text("utf-8"))]
    suites = [of_file(path) for path in relative if path not in _NOT_SUITES]
    suites.append(Suite("mutants", (str(SCRIPTS / "mutants"), *_SHARE), WEIGHTS["mutants"]))
    suites.append(
        Suite(
            "all checks", (str(SCRIPTS / "test"), "-n", "auto", "--dist", "worksteal", "--all-databases"),
            WEIGHTS["all checks"], (("TESTS_EXEC", "1"),), ALL_CHECKS_MINUTES,
        )
    )  # fmt: skip
    return suites


_SHARE = ("--minutes", "{MINUTES}", "--seed", "{SEED}", "--counts", "{COUNTS}")


def of_file(path: str) -> Suite:
    """The nightly tests of one file."""
    name = path.removeprefix("tests/").removesuffix(".py").replace("test_", "")
    command = (str(SCRIPTS / "test"), path, "--nightly", "-m", "nightly", "--all-databases", "-n", "auto", *_SHARE)
    return Suite(name, command, WEIGHTS.get(name, 1.0))


def chosen(suites: Sequence[Suite], names: Sequence[str]) -> list[Suite]:
    """Those whose name contains one of ``names``; all of them without.

    Raises:
        ValueError: a name that is in none.
    """
    for name in names:
        if not any(name in suite.name for suite in suites):
            raise ValueError(f"no suite {name!r}; there are: {', '.join(suite.name for suite in suites)}")
    return [suite for suite in suites if not names or any(name in suite.name for name in names)]
