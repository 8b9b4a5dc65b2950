"""`scripts/mutants`: plant each bug in a copy of the tree, and see that the test it names turns red."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

from tests.allowance import IN_ALL, Allowance, Counts
from tests.mutants.catalogue import ROOT, Mutant, mutants, plant, remove, why_not

CAUGHT, SURVIVED, STALE, BROKEN = "caught", "SURVIVED", "does not apply", "red without it"
#: What pytest ends with when tests failed; anything else is not a bug that was caught.
FAILED = 1
#: Wall seconds for one test command; a bug that hangs the program is caught by then.
PATIENCE_S = 900.0
COPIED = ("gambler_ai", "migrations", "tests", "scripts", "bench", "docs", "pyproject.toml", "alembic.ini", "README.md")


def main(argv: Sequence[str] | None = None) -> int:
    given = options(argv)
    known = mutants()
    if unknown := sorted(set(given.name) - {mutant.name for mutant in known}):
        sys.stderr.write(f"error: no mutant {unknown[0]!r}; there are: {', '.join(m.name for m in known)}\n")
        return 2
    wanted = [mutant for mutant in known if not given.name or mutant.name in given.name]
    todo = list(Allowance(given.seed).share(wanted))
    begun_s = time.monotonic()
    with copies(given.jobs) as trees:
        verdicts = dict(tried(todo, trees, given.jobs, begun_s + given.minutes * 60 if given.minutes else None))
    numbers = Counter(verdicts.values())
    sys.stdout.write(f"{numbers[CAUGHT]} of {len(verdicts)} caught, {len(known)} in all\n")
    if given.counts is not None:
        counts = Counts()
        counts.add("mutants caught", numbers[CAUGHT])
        counts.add(f"mutants caught{IN_ALL}", len(known))
        counts.add("violations", len(verdicts) - numbers[CAUGHT])
        counts.write(given.counts, "mutants", time.monotonic() - begun_s)
    return int(numbers[CAUGHT] < len(verdicts))


def options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/mutants", description=__doc__)
    parser.add_argument("name", nargs="*", help="which ones; all of them without")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at once (%(default)s)")
    parser.add_argument("--minutes", type=float, default=0.0, help="begin none after so long (0: try them all)")
    parser.add_argument("--seed", type=int, default=0, help="in which order")
    parser.add_argument("--counts", type=Path, help="folder for the nightly report")
    return parser.parse_args(argv)


@contextmanager
def copies(number: int) -> Iterator[SimpleQueue[Path]]:
    """Copies of the tree to plant bugs in, one for each that works at the same time."""
    trees: SimpleQueue[Path] = SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="gambler-ai-mutants-") as folder:
        for index in range(number):
            tree = Path(folder) / f"tree{index}"
            tree.mkdir()
            for name in COPIED:
                source = ROOT / name
                copy = shutil.copytree if source.is_dir() else shutil.copy2
                copy(source, tree / name)
            trees.put(tree)
        yield trees


def tried(
    todo: Sequence[Mutant], trees: SimpleQueue[Path], jobs: int, deadline_s: float | None
) -> Iterator[tuple[str, str]]:
    """Name and verdict of each, told as they come."""
    width = max((len(mutant.name) for mutant in todo), default=0)
    green: dict[tuple[str, ...], bool] = {}

    def one(mutant: Mutant) -> tuple[Mutant, str, float]:
        begun_s = time.monotonic()
        if deadline_s is not None and begun_s > deadline_s:
            return mutant, "", 0.0
        tree = trees.get()
        try:
            return mutant, verdict(mutant, tree, green), time.monotonic() - begun_s
        finally:
            trees.put(tree)

    with ThreadPoolExecutor(jobs) as pool:
        for done in as_completed([pool.submit(one, mutant) for mutant in todo]):
            mutant, says, seconds = done.result()
            if says:
                sys.stdout.write(f"{says:<14}  {mutant.name:<{width}}  {seconds:5.1f} s  {mutant.suite}\n")
                sys.stdout.flush()
                yield mutant.name, says


def verdict(mutant: Mutant, tree: Path, green: dict[tuple[str, ...], bool]) -> str:
    """Green without the bug, red with it: nothing else is "caught". ``green`` remembers the first, by test."""
    if why_not(mutant, tree):
        return STALE
    if mutant.caught_by not in green:
        green[mutant.caught_by] = tested(mutant, tree) == 0
    if not green[mutant.caught_by]:
        return BROKEN
    plant(mutant, tree)
    try:
        return CAUGHT if tested(mutant, tree) == FAILED else SURVIVED
    finally:
        remove(mutant, tree)


def tested(mutant: Mutant, tree: Path) -> int:
    """How its tests end in ``tree``."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    with tempfile.TemporaryDirectory(prefix="t", dir=tree.parent) as temporary:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--basetemp"]
        process = subprocess.Popen(
            [*command, f"{temporary}/t", *mutant.caught_by], cwd=tree, env=kept | {"PYTHONPATH": str(tree)},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            return process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return FAILED


if __name__ == "__main__":
    sys.exit(main())
