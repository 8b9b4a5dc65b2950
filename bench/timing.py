"""Two things timed in turns, so that what the machine does meanwhile falls on both."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

MS = 1e3
#: Rounds thrown away at first: caches fill, statements compile.
WARM_UP = 10
#: Wall seconds a measured process may take.
PATIENCE_S = 60.0

Step = Callable[[], object]


def timed(step: Step) -> float:
    """Milliseconds that one call takes."""
    begun = perf_counter()
    step()
    return (perf_counter() - begun) * MS


def nothing() -> None:
    """Between two rounds, when there is nothing to do."""


def interleave(
    ours: Callable[[], Step], floor: Callable[[], Step], rounds: int, between: Step = nothing
) -> tuple[list[float], list[float]]:
    """Milliseconds of each call, in turns: floor, ours, floor, ours.

    Each argument makes the step that is timed, and may prepare it untimed; ``between`` is untimed as well. The
    cycle collector runs between rounds, not within them: its pauses follow the size of the benchmark's own heap.
    """
    mine, theirs = [], []
    collects = gc.isenabled()
    gc.disable()
    try:
        for number in range(rounds + WARM_UP):
            pair = timed(floor()), timed(ours())
            between()
            if number % 50 == 0:
                gc.collect()
            if number >= WARM_UP:
                theirs.append(pair[0])
                mine.append(pair[1])
    finally:
        if collects:
            gc.enable()
    return mine, theirs


def environment(**more: str) -> dict[str, str]:
    """A developer's environment without what would slow a start (no byte code) or steer the program."""
    unwanted = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH")
    steering = ("ALPACA_", "APCA_", "GAMBLER_")
    kept = {k: v for k, v in os.environ.items() if k not in unwanted and not k.startswith(steering)}
    return kept | more


def to_its_end(command: Sequence[str], env: dict[str, str]) -> float:
    """Milliseconds from the start of a process to its end.

    Raises:
        CalledProcessError: it failed; what it took means nothing.
    """
    begun = perf_counter()
    subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S, check=True)
    return (perf_counter() - begun) * MS


def to_its_word(command: Sequence[str], env: dict[str, str]) -> float:
    """Milliseconds from the start of a process to the first byte it writes; then it may end.

    Raises:
        CalledProcessError: it ended without a word.
    """
    begun = perf_counter()
    with subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        word = process.stdout.read(1)
        took = (perf_counter() - begun) * MS
        process.wait(PATIENCE_S)
    if not word:
        raise subprocess.CalledProcessError(process.returncode, list(command))
    return took


def processes(ours: Callable[[], float], floor: Callable[[], float], rounds: int) -> tuple[list[float], list[float]]:
    """Milliseconds of whole processes in turns; the first pair warms the file cache and is thrown away."""
    pairs = [(floor(), ours()) for _ in range(rounds + 1)][1:]
    return [p[1] for p in pairs], [p[0] for p in pairs]


def probe(name: str, *args: str) -> list[str]:
    """The command of one of the small programs in probes/."""
    return [sys.executable, str(Path(__file__).parent / "probes" / f"{name}.py"), *args]


def program(*args: str) -> list[str]:
    """The command line as it is installed."""
    return [str(Path(sys.executable).with_name("gambler-ai")), *args]
