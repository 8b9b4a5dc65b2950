"""kill -9 at any moment, as often as it likes: the program from outside, against the exchange's own books."""

import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from tests.allowance import Allowance
from tests.faults.worlds import SESSION, check, finished, has_session, new_world
from tests.recovery.harness import KILLED, Ended, Surprise, World


@pytest.fixture(scope="module")
def whole_s(tmp_path_factory) -> float:
    """Wall seconds that the session takes here and now: the moments of the kills lie within."""
    with new_world(tmp_path_factory.mktemp("whole") / "world") as world:
        begun_s = time.monotonic()
        world.run(*SESSION).ok()
        return time.monotonic() - begun_s


def killed_at(world: World, moment_s: float) -> Ended:
    """Start or resume it, and kill it after so long if it has not ended before."""
    run = world.start(*(("--resume",) if has_session(world) else SESSION))
    try:
        run.process.wait(moment_s)
    except subprocess.TimeoutExpired:
        return run.kill()
    return run.end()


def live_and_die(world: World, seed: int, whole_s: float) -> int:
    """Killed one to four times, then left to finish. Returns how many kills met it alive."""
    chance = np.random.default_rng(seed)
    kills = 0
    for _ in range(int(chance.integers(1, 5))):
        ended = killed_at(world, float(chance.uniform(0.02, whole_s)))
        assert ended.code in (KILLED, 0), ended
        if ended.code == 0:
            break
        kills += 1
    if kills:
        finished(world).ok()
    check(world)
    return kills


@pytest.mark.nightly
@pytest.mark.timeout(0)
def test_killed_at_any_moment(tmp_path: Path, whole_s: float, allowance: Allowance, count, request):
    wrong = []
    for seed in allowance.seeds(at_least=10):
        try:
            with new_world(tmp_path / str(seed)) as world:
                count("kills at a random moment", live_and_die(world, seed, whole_s))
        except (AssertionError, Surprise) as error:
            count("violations")
            if request.config.getoption("maxfail") == 1:
                raise
            wrong.append(f"seed {seed}: {str(error)[:800]}")
    assert not wrong, "\n".join([f"{len(wrong)} sessions", *wrong[:10]])
