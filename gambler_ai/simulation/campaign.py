"""Many seeds: each in a folder of its own, several at a time, one after the other in each process."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gambler_ai.simulation.scenario import Scenario, draw
from gambler_ai.simulation.world import Outcome, World
from gambler_ai.storage.database import Database

#: Where files cost no disk, if there is such a place.
MEMORY = Path("/dev/shm")  # noqa: S108 (a private folder is made below it)


@contextmanager
def workshop() -> Iterator[Path]:
    """A folder with an empty database of our schema in it, which each execution copies."""
    place = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="gambler-ai-simulation-", dir=place) as name:
        folder = Path(name)
        database = Database(f"sqlite:///{folder / 'empty.sqlite3'}")
        database.prepare()
        database.close()
        yield folder


def execute(scenario: Scenario, folder: Path) -> Outcome:
    """One execution in a `workshop`."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        place = Path(name)
        shutil.copy(folder / "empty.sqlite3", place / "gambler.sqlite3")
        return World(scenario, place).run()


def run_seed(seed: int, minutes: float | None, folder: Path) -> Outcome:
    """The execution of one seed."""
    return execute(draw(seed, minutes), folder)
