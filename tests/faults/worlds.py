"""A session of three trades, in a world that may be broken in any way; and what must be true of it at the end."""

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.recovery.harness import FORKED, PROGRAM, Ended, Exchange, Fill, World, audit, base_env, entries, story

#: Eleven minutes of the embedded exchange's day: AAPL and NVDA are bought at 9:35, MSFT is sold short at 9:40.
SESSION = ("--symbols", "AAPL,NVDA,MSFT", "--duration", "11", "--speed", "0", "--checkpoint-interval", "60")
ENTRIES = [("AAPL", "buy"), ("NVDA", "buy"), ("MSFT", "sell")]
Story = list[object]


@contextmanager
def new_world(folder: Path, *options: str, paused: bool = True) -> Iterator[World]:
    """An exchange and a home of their own; both are gone afterwards, unless something was wrong."""
    folder.mkdir(parents=True)
    env = base_env(folder) | {"PYTHONDONTWRITEBYTECODE": "1"}
    exchange = Exchange(env, folder, "--file", str(folder / "account.sqlite3"), *options, paused=paused)
    try:
        yield World(folder, env, exchange)
    finally:
        exchange.stop()
    shutil.rmtree(folder)


def started(world: World, prefix: Sequence[str] = (), *args: str, **env: str) -> Ended:
    """The session in a process of its own, with a command in front of it."""
    return world.run(*SESSION, *args, program=(*prefix, *PROGRAM), **env)


def has_session(world: World) -> bool:
    """Asked of a copy: a write that was cut short is rolled back by who reads it, and that is for the program to do."""
    with TemporaryDirectory(dir=world.folder) as folder:
        for file in world.home.glob(f"{world.database.name}*"):
            shutil.copy(file, folder)
        with closing(sqlite3.connect(Path(folder) / world.database.name)) as db:
            if not db.execute("SELECT name FROM sqlite_master WHERE name = 'sessions'").fetchall():
                return False
            return bool(db.execute("SELECT id FROM sessions").fetchall())


def finished(world: World, *args: str, program: Sequence[str] = FORKED, **env: str) -> Ended:
    """Go on to the end, from wherever it was left; the first start if it had not begun."""
    if has_session(world):
        return world.resume(*args, program=program, **env)
    return world.run(*SESSION, *args, program=program, **env)


def check(world: World, undisturbed: Sequence[object] | None = None) -> None:
    """Nothing lost, nothing twice; with ``undisturbed``, the very same fills as without any trouble.

    One that had to be sent again arrives after those behind it.
    """
    audit(world)
    assert sorted(entries(world)) == sorted(ENTRIES)
    if undisturbed is not None:
        assert story(world.there.fills()) == undisturbed


def undisturbed_story(folder: Path) -> Sequence[object]:
    """The fills of this session when nothing happens to it."""
    with new_world(folder) as world:
        world.run(*SESSION).ok()
        check(world)
        fills: list[Fill] = world.there.fills()
        return story(fills)
