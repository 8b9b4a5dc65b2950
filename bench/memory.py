"""What an idle runner holds, against a process that only imports the same packages."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event

from bench import books
from bench.rows import Row, medians, skipped
from bench.serving import exchange
from bench.timing import environment, probe, program
from gambler_ai.storage.database import Database

GOAL = 1.15
NAME = "memory of an idle runner, over its imports"
#: Wall seconds between two looks, how many alike end the wait, and how many there may be.
PAUSE_S, ALIKE, LOOKS = 0.5, 6, 60


def idle(folder: Path, rounds: int) -> Iterator[Row]:
    """Resident memory once it has settled: the session runs, nothing trades."""
    if resident_kib(1) is None:
        yield skipped(NAME, "ps does not tell", GOAL)
        return
    path = folder / "memory.sqlite3"
    with exchange(folder, "--speed", "1") as settings:
        database = Database(books.sqlite_url(path))
        database.prepare()
        database.close()
        env = environment(GAMBLER_HOME=str(folder), **settings)
        command = program("--new", "--symbols", "AAPL", "--duration", "60", "--database-url", books.sqlite_url(path))
        pairs = [(settled_mib(probe("import_runner"), env), settled_mib(command, env)) for _ in range(rounds)]
    yield medians(NAME, [p[1] for p in pairs], [p[0] for p in pairs], "MiB", GOAL)


def settled_mib(command: Sequence[str], env: dict[str, str]) -> float:
    """MiB that a process holds when it no longer takes more; it is killed then."""
    process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        seen: list[int] = []
        for _ in range(LOOKS):
            Event().wait(PAUSE_S)
            assert process.poll() is None, f"{command[0]} ended while it was looked at"
            seen.append(resident_kib(process.pid) or 0)
            if len(seen) > ALIKE and max(seen[-ALIKE:]) <= min(seen[-ALIKE:]) * 1.005:
                break
        return seen[-1] / 1024
    finally:
        process.kill()
        process.communicate()


def resident_kib(pid: int) -> int | None:
    """Resident memory of a process, None where it cannot be asked for."""
    try:
        said = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
        return int(said.stdout)
    except (OSError, subprocess.CalledProcessError, ValueError):
        return None
