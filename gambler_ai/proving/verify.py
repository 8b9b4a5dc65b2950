"""`verify-crash`: every scenario undisturbed, then killed at each point, taken up again, and audited."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from gambler_ai.clock import SystemClock
from gambler_ai.crashpoints import POINTS
from gambler_ai.proving import plan
from gambler_ai.proving.audit import Violation
from gambler_ai.proving.cell import Performance, Told, Ways
from gambler_ai.proving.databases import Databases
from gambler_ai.proving.plan import Cell, Survey
from gambler_ai.proving.processes import Running
from gambler_ai.proving.scenarios import SCENARIOS
from gambler_ai.proving.zygote import Zygote

T = TypeVar("T")
R = TypeVar("R")


class Verdict(StrEnum):
    """How a cell ended. NOT_PASSED: the process was never where it was to be killed."""

    PASS = "pass"  # noqa: S105 (not a password)
    FAIL = "fail"
    NOT_PASSED = "not reached"


@dataclass(frozen=True)
class Result:
    """A cell and what came of it; ``folder`` is kept when it failed."""

    cell: Cell
    verdict: Verdict
    told: Told
    seconds: float
    folder: Path


def judged(cell: Cell, survey: Survey, play: Callable[[Cell], Told]) -> tuple[Cell, Told, Verdict]:
    """Play a cell, and say how it ended. One whose pass was not reached this time is played at the first pass."""
    told = play(cell)
    if not told.killed and cell.arm.nth > 1 and not told.violations:  # threads: this time there were fewer passes
        cell = replace(cell, arm=cell.arm._replace(nth=1))
        told = play(cell)
    if told.killed and not told.violations and told.entries != survey.told.entries:
        found = Violation("the same entries as undisturbed", f"{told.entries}, undisturbed {survey.told.entries}")
        told.violations.append(found)
    if told.violations:
        return cell, told, Verdict.FAIL
    there = told.killed and (told.killed_inside or not cell.arm.inside)
    return cell, told, Verdict.PASS if there else Verdict.NOT_PASSED


@dataclass
class Outcome:
    """Everything that was run."""

    surveys: dict[str, Survey] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def is_green(self) -> bool:
        """Whether sessions were killed, nothing failed, and each point that was to be killed at was, at least once."""
        return any(r.told.killed for r in self.results) and not (self.failed or self.never_killed or self.broken)

    @property
    def failed(self) -> list[Result]:
        """The cells that failed."""
        return [result for result in self.results if result.verdict is Verdict.FAIL]

    @property
    def broken(self) -> dict[str, list[Violation]]:
        """Scenarios that fail when nobody disturbs them, and how."""
        return {name: s.told.violations for name, s in self.surveys.items() if s.told.violations}

    @property
    def never_killed(self) -> list[str]:
        """Points that were to be killed at and never were."""
        killed = {result.cell.arm.point for result in self.results if result.told.killed}
        return sorted({result.cell.arm.point for result in self.results} - killed)

    @property
    def is_whole(self) -> bool:
        """Whether all scenarios were looked at, and more than one point was wanted."""
        return len(self.surveys) == len(SCENARIOS) and len({r.cell.arm.point for r in self.results}) > 1

    @property
    def nowhere(self) -> list[str]:
        """Points that none of these scenarios passes."""
        return [point for point in POINTS if not any(s.passes(point) for s in self.surveys.values())]


@dataclass(frozen=True)
class Wanted:
    """What to run: everything (``full``) or a sample, of these ``scenarios``, at ``only`` a point or a pair."""

    seed: int
    full: bool = False
    scenarios: Collection[str] = tuple(SCENARIOS)
    only: str = ""


#: Told after each performance: how many are done, how many there are, seconds left.
Progress = Callable[[int, int, float], None]


class Verifier:
    """Runs cells side by side in ``folder``, which is its own. Close it: it ends every process that it has started."""

    def __init__(self, folder: Path, jobs: int, databases: Databases | None, progress: Progress) -> None:
        self._folder = folder
        self._jobs = jobs
        self._databases = databases
        self._progress = progress
        self._clock = SystemClock()
        self._zygote = Zygote()
        self._begun_s = self._clock.monotonic()
        self._done, self._total = 0, 0
        self._closed = threading.Event()
        self._pool = ThreadPoolExecutor(jobs)

    def run(self, wanted: Wanted) -> Outcome:
        """All that is wanted. A first look at each scenario says where it can be killed."""
        outcome = Outcome()
        self._total = len(wanted.scenarios) + self._guess(wanted)
        for name, survey in self._each(self._survey, wanted.scenarios):
            outcome.surveys[name] = survey
        if not outcome.broken:
            cells = self._cells(wanted, outcome.surveys)
            outcome.results += [r for _, r in self._each(lambda c: self._kill(c, outcome.surveys), self._count(cells))]
            if wanted.full and not wanted.only:
                told = {(r.cell.scenario, r.cell.point): r.told for r in outcome.results}
                more = list(plan.pairs(told, outcome.surveys, wanted.seed))
                found = self._each(lambda c: self._kill(c, outcome.surveys), self._count(more))
                outcome.results += [result for _, result in found]
        outcome.seconds = self._clock.monotonic() - self._begun_s
        return outcome

    def close(self) -> None:
        """End whatever still runs."""
        self._closed.set()
        self._zygote.close()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _guess(self, wanted: Wanted) -> int:
        return len(wanted.scenarios) if wanted.only else len(POINTS) * (len(wanted.scenarios) if wanted.full else 1)

    def _count(self, cells: list[Cell]) -> list[Cell]:
        self._total = self._done + len(cells)
        return cells

    @staticmethod
    def _cells(wanted: Wanted, surveys: Mapping[str, Survey]) -> list[Cell]:
        if wanted.only:
            point, _, inside = wanted.only.partition(plan.INSIDE)
            found = (plan.cell_of(name, point, survey, wanted.seed, inside) for name, survey in surveys.items())
            return [cell for cell in found if cell is not None]
        if wanted.full or len(wanted.scenarios) < len(SCENARIOS):
            return plan.everything(surveys, wanted.seed)
        return plan.sample(surveys, wanted.seed)

    def _each(self, work: Callable[[T], R], items: Iterable[T]) -> list[tuple[T, R]]:
        futures: dict[Future[R], T] = {self._pool.submit(work, item): item for item in items}
        left, found = set(futures), {}
        while left:
            done, left = wait(left, return_when=FIRST_COMPLETED)
            for future in done:
                found[future] = future.result()
                self._done += 1
                spent_s = self._clock.monotonic() - self._begun_s
                self._progress(self._done, self._total, spent_s / self._done * max(self._total - self._done, 0))
        return [(item, found[future]) for future, item in futures.items()]

    def _survey(self, name: str) -> Survey:
        begun_s = self._clock.monotonic()
        folder = self._folder / f"{name}.undisturbed"
        told = self._perform(name, folder, None)
        if not told.violations:
            shutil.rmtree(folder)
        return Survey(told, self._clock.monotonic() - begun_s)

    def _kill(self, cell: Cell, surveys: Mapping[str, Survey]) -> Result:
        begun_s = self._clock.monotonic()
        folder = self._folder / f"{cell.scenario}.{cell.point}"
        cell, told, verdict = judged(cell, surveys[cell.scenario], lambda c: self._perform(c.scenario, folder, c))
        if verdict is not Verdict.FAIL:
            shutil.rmtree(folder, ignore_errors=True)
        return Result(cell, verdict, told, self._clock.monotonic() - begun_s, folder)

    def _perform(self, name: str, folder: Path, cell: Cell | None) -> Told:
        url = self._databases.make() if self._databases is not None else ""
        ways = Ways(
            forked=lambda args, env, cwd: Running(self._zygote.start(args, env, cwd)),
            anew=lambda args, env, cwd: Running(self._zygote.start(args, env, cwd, anew=True)),
            database=url,
        )
        try:
            arm, anew = (cell.arm, cell.anew) if cell is not None else (None, False)
            return Performance(SCENARIOS[name], folder, ways, arm, anew=anew).play()
        finally:
            if self._databases is not None and not self._closed.is_set():
                self._databases.drop(url)
