"""How much of a nightly suite one run does: a seeded share of its points, until its time is up; and what it counted."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

Point = TypeVar("Point")

#: How the count of a suite's points ends, of which one night may do a part.
IN_ALL = ", in all"


@dataclass(frozen=True)
class Allowance:
    """``part`` of ``parts`` run side by side. ``seconds`` is wall time, 0 for as long as it takes."""

    seed: int
    part: int = 0
    parts: int = 1
    seconds: float = 0.0
    begun_s: float = field(default_factory=time.monotonic)

    @property
    def is_left(self) -> bool:
        return not self.seconds or time.monotonic() - self.begun_s < self.seconds

    def share(self, points: Sequence[Point]) -> Iterator[Point]:
        """Our part of ``points`` in an order of the seed's, as many as there is time for; one at least."""
        order = np.random.default_rng(self.seed).permutation(len(points))
        for number, index in enumerate(order[self.part :: self.parts]):
            if number and not self.is_left:
                return
            yield points[index]

    def seeds(self, at_least: int) -> Iterator[int]:
        """Numbers that no other part gets: as many as there is time for; ``at_least`` so many without a limit."""
        number = 0
        while number < at_least if not self.seconds else (self.is_left or not number):
            yield self.seed + self.part + number * self.parts
            number += 1


class Counts:
    """What a test did, by name: kills, cuts, faults. `Counts.add` is the fixture ``count``."""

    def __init__(self, numbers: Counter[str] | None = None) -> None:
        self.numbers: Counter[str] = Counter(numbers)

    def add(self, name: str, number: int = 1) -> None:
        self.numbers[name] += number

    def write(self, folder: Path, test: str, seconds: float) -> None:
        """One file a test, that `tests/nightly` adds up. ``test`` is the same for all parts of one."""
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{os.getpid()}-{time.monotonic_ns()}.json"
        text = json.dumps({"test": test, "seconds": round(seconds, 1), "counts": dict(self.numbers)})
        partial = folder / f".{name}"
        partial.write_text(text)
        partial.rename(folder / name)


def workers_of(config: pytest.Config) -> int:
    """How many processes run the tests."""
    return int(getattr(config, "workerinput", {}).get("workercount", 1))


def seconds_of(item: pytest.Item) -> float:
    """The share of the whole time that one nightly test gets, when all of them take turns."""
    minutes = float(item.config.getoption("minutes"))
    nightly = sum(other.get_closest_marker("nightly") is not None for other in item.session.items)
    return minutes * 60 * workers_of(item.config) / max(1, nightly)
