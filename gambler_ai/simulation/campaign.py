"""Many seeds: each in a folder of its own, several at a time, one after the other in each process."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from gambler_ai.errors import ConfigError
from gambler_ai.simulation.scenario import Scenario, draw
from gambler_ai.simulation.world import Outcome, World
from gambler_ai.storage.database import Database

#: Where files cost no disk, if there is such a place.
MEMORY = Path("/dev/shm")  # noqa: S108 (a private folder is made below it)

#: Seeds are below this.
SEED_MAX = 1 << 32


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


def seeds_of(text: str) -> range:
    """``0:1000`` (the last not included), or one seed.

    Raises:
        ConfigError.
    """
    first, colon, last = text.partition(":")
    if first.isdecimal() and (last.isdecimal() or not colon):
        found = range(int(first), int(last) if colon else int(first) + 1)
        if found and found.stop <= SEED_MAX:
            return found
    raise ConfigError(f"--seeds is FIRST:LAST (LAST not included) or one seed below {SEED_MAX}, not {text[:40]!r}")


def run_seeds(seeds: Iterable[int], minutes: float | None, jobs: int) -> Generator[Outcome]:
    """The outcome of each seed, as they come; whoever stops taking them stops the work."""
    with workshop() as folder:
        work = partial(run_seed, minutes=minutes, folder=folder)
        if jobs == 1:
            yield from map(work, seeds)
            return
        with get_context("spawn").Pool(jobs, _mind_no_signal) as pool:  # leaving it ends its processes
            yield from pool.imap_unordered(work, seeds)


def _mind_no_signal() -> None:
    """Ctrl+C reaches the whole group; only the one who began it decides."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def replay_command(seed: int, minutes: float | None) -> str:
    """The command that runs one seed again and tells what was drawn and done."""
    return f"gambler-ai simulate --seeds {seed}{'' if minutes is None else f' --minutes {minutes:g}'} --verbose"
