"""Planted bugs: patches that each break one promise, with the test that has to turn red."""

import shlex
import subprocess
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).parent
FIELDS = ("what", "protocol", "caught-by")


class Mutant(NamedTuple):
    """``caught_by`` is what follows `pytest`: the smallest part of a suite that sees it."""

    name: str
    what: str
    protocol: str
    caught_by: tuple[str, ...]
    patch: Path

    @property
    def suite(self) -> str:
        """The file of the test that sees it."""
        return self.caught_by[0].partition("::")[0]


def mutants(folder: Path = FOLDER) -> list[Mutant]:
    """All of them, by name.

    Raises:
        ValueError: a header lacks a line.
    """
    return [_read(patch) for patch in sorted(folder.glob("*.patch"))]


def _read(patch: Path) -> Mutant:
    header = patch.read_text("utf-8").partition("\n--- ")[0]
    values = dict(line.split(": ", 1) for line in header.splitlines() if ": " in line)
    if missing := [field for field in FIELDS if not values.get(field)]:
        raise ValueError(f"{patch.name}: its header has no line {missing[0]!r}")
    return Mutant(patch.stem, values["what"], values["protocol"], tuple(shlex.split(values["caught-by"])), patch)


def why_not(mutant: Mutant, tree: Path) -> str:
    """Why a patch does not apply to a tree; "" when it does."""
    done = _apply(mutant, tree, "--check")
    return "" if done.returncode == 0 else done.stderr.strip().splitlines()[0]


def plant(mutant: Mutant, tree: Path) -> None:
    """Put the bug in."""
    _apply(mutant, tree).check_returncode()


def remove(mutant: Mutant, tree: Path) -> None:
    """Take the bug out again."""
    _apply(mutant, tree, "--reverse").check_returncode()


def _apply(mutant: Mutant, tree: Path, *options: str) -> subprocess.CompletedProcess[str]:
    # Outside of a repository, or git would silently skip what is not below the folder that it was called in.
    command = ["git", "apply", *options, str(mutant.patch)]
    place = {"GIT_CEILING_DIRECTORIES": str(tree.parent), "PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"}
    return subprocess.run(command, cwd=tree, env=place, capture_output=True, text=True, check=False)
