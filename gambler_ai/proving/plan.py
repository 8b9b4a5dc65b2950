"""Which point is killed in which scenario, at which pass: drawn from a seed, so that a cell can be repeated alone."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gambler_ai.crashpoints import POINTS
from gambler_ai.proving.cell import Arm, Told
from gambler_ai.proving.scenarios import SCENARIOS

#: Parts a pair of points: the second is inside the recovery from the first.
INSIDE = "+"
#: Of every so many cells one is taken up by a process that is started anew.
ANEW_EVERY = 10


@dataclass(frozen=True)
class Cell:
    """One kill, or two. ``arm`` says where."""

    scenario: str
    arm: Arm
    anew: bool = False

    @property
    def point(self) -> str:
        """The point, or the pair of points, as ``--only`` takes it."""
        return self.arm.point + (INSIDE + self.arm.inside if self.arm.inside else "")


@dataclass(frozen=True)
class Survey:
    """What a scenario passes when nobody disturbs it, and how long it takes."""

    told: Told
    seconds: float

    def passes(self, point: str) -> list[tuple[int, int]]:
        """Each pass of a point: in which run, and which one in that run."""
        return [(step, n) for step, seen in self.told.passed.items() for n in range(1, seen[point] + 1)]


Surveys = Mapping[str, Survey]


def cell_of(scenario: str, point: str, survey: Survey, seed: int, inside: str = "") -> Cell | None:
    """The cell of a point in a scenario, at a pass drawn from the seed; None where it is never passed."""
    passes = survey.passes(point)
    if not passes:
        return None
    draw = _draw(seed, scenario, point)
    step, nth = passes[int(draw.integers(len(passes)))]
    return Cell(scenario, Arm(step, point, nth, inside), anew=bool(draw.integers(ANEW_EVERY) == 0))


def sample(surveys: Surveys, seed: int) -> list[Cell]:
    """Every point once, in a scenario that passes it, the short ones more often; and each scenario at least once."""
    cells = [cell for point in POINTS if (cell := _anywhere(surveys, point, seed)) is not None]
    for name in [name for name in surveys if name not in {cell.scenario for cell in cells}]:
        found = [cell for point in POINTS if (cell := cell_of(name, point, surveys[name], seed)) is not None]
        if found:
            cells.append(found[int(_draw(seed, name).integers(len(found)))])
    return cells


def everything(surveys: Surveys, seed: int, points: Iterable[str] = POINTS) -> list[Cell]:
    """Every point in every scenario that passes it."""
    found = (cell_of(name, point, survey, seed) for name, survey in surveys.items() for point in points)
    return [cell for cell in found if cell is not None]


def pick(cells: Sequence[Cell], count: int, seed: int) -> list[Cell]:
    """So many of them."""
    return [cells[index] for index in _draw(seed, "pick").permutation(len(cells))[:count]]


def pairs(singles: Mapping[tuple[str, str], Told], surveys: Surveys, seed: int) -> Iterator[Cell]:
    """For each point once more each point of the recovery from it, in one scenario."""
    for point in POINTS:
        single = _anywhere(surveys, point, seed)
        told = single and singles.get((single.scenario, point))
        for inside in told.recovery if told else ():
            assert single is not None
            cell = cell_of(single.scenario, point, surveys[single.scenario], seed, inside)
            if cell is not None:
                yield cell


def _anywhere(surveys: Surveys, point: str, seed: int) -> Cell | None:
    names = [name for name in SCENARIOS if name in surveys and surveys[name].passes(point)]
    if not names:
        return None
    weights = np.array([surveys[name].told.processes ** -2.0 for name in names])  # the short ones more often
    name = names[int(_draw(seed, point).choice(len(names), p=weights / weights.sum()))]
    return cell_of(name, point, surveys[name], seed)


def _draw(seed: int, *names: str) -> np.random.Generator:
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])
