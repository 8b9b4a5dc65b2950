"""Many starts at once, with winners that crash: at no time do two run, and whoever is refused is told by whom."""

import re
import subprocess
import time
from random import Random

import pytest

from tests.recovery.harness import GIVES_UP_S, KILLED, PATIENCE_S, Ended, Running, World, audit, entries

#: Starts in all, and how many at once.
STARTS, AT_ONCE = 200, 5
ROUNDS = STARTS // AT_ONCE
NIGHTLY = [pytest.mark.nightly, pytest.mark.counts("starts", AT_ONCE)]
#: Where a winner may die.
CRASHES = ("recovery.leased:1", "recovery.replayed:1", "recovery.settled:1")


def settled(world: World, runs: list[Running], doomed: set[int]) -> dict[int, Ended]:
    """Wait until each has ended or runs for good, as the owner and not ``doomed``. How they ended, by process id."""
    ended: dict[int, Ended] = {}
    begun_s = time.monotonic()
    while not all(run.pid in ended or (run.pid not in doomed and owns(world, run)) for run in runs):
        assert time.monotonic() - begun_s < PATIENCE_S, [run.kill() for run in runs if run.pid not in ended]
        for run in [r for r in runs if r.pid not in ended]:
            try:
                run.process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
            took_s = time.monotonic() - begun_s
            ended[run.pid] = run.end()
            assert ended[run.pid].code == KILLED or took_s < GIVES_UP_S, f"it took {took_s:.1f} s"
    return ended


def owns(world: World, run: Running) -> bool:
    return any(f"pid {run.pid} " in row["owner"] for row in world.rows("SELECT owner FROM lease"))


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=NIGHTLY) for n in range(1, ROUNDS + 1))])
def test_of_many_that_start_at_once_one_runs(world: World, seed: int):
    random = Random(seed)
    world.trade(duration=600, crash_at="submit.after:1").was_killed()
    tokens = int(world.rows("SELECT token FROM lease")[0]["token"])
    crashes = [random.choice(CRASHES) if random.random() < 0.4 else "" for _ in range(AT_ONCE)]
    runs = [world.start("--resume", "--speed", "60", crash_at=crash) for crash in crashes]
    pids = {run.pid for run in runs}
    doomed = {run.pid for run, crash in zip(runs, crashes, strict=True) if crash}
    ended = settled(world, runs, doomed)
    killed = [e for e in ended.values() if e.code == KILLED]
    refused = [e for e in ended.values() if e.code != KILLED]
    left = [run for run in runs if run.pid not in ended]
    assert len(left) <= 1
    assert left or killed, "nobody runs"
    for one in refused:
        assert one.code == 4, one
        found = re.search(r"pid (\d+) ", one.err)
        assert found is not None, one
        assert int(found[1]) in pids, one
        assert "Traceback" not in one.err
    now = int(world.rows("SELECT token FROM lease")[0]["token"])
    assert now - tokens == len(killed) + len(left), "somebody took the lease who neither ran nor died"
    for run in left:
        run.wait_for("Remaining")  # before that a signal ends it like any other process, and nothing is to be settled
        run.process.terminate()
        run.end().ok()
    world.resume("--speed", "0", "--duration", "14").ok()
    audit(world)
    assert entries(world)[0] == ("AAPL", "buy")
