"""The machine's clock is set while the program trades, or the machine sleeps: nothing comes of it."""

import signal
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.allowance import Allowance
from tests.faults import wall_clock
from tests.faults.wall_clock import WallClock
from tests.faults.worlds import SESSION, check, new_world, undisturbed_story
from tests.recovery.harness import PROGRAM, World, audit

pytestmark = pytest.mark.skipif(bool(wall_clock.missing()), reason=wall_clock.missing() or "-")

JUMPS = [timedelta(hours=1), timedelta(hours=-1), timedelta(days=1), timedelta(days=-1)]
#: What the program says in turn, and so when the clock is set.
LINES = ["Session ", "entry    AAPL", "fill     NVDA", "entry    MSFT"]
#: Market seconds a wall second: slow enough that a jump comes while something happens.
SPEED = "240"
MakeClock = Callable[[Path], WallClock]


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    return wall_clock.compiled(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Sequence[object]:
    return undisturbed_story(tmp_path_factory.mktemp("undisturbed") / "world")


def stored_instants(world: World) -> Iterator[datetime]:
    """When, by the program's wall clock, each checkpoint was written."""
    for row in world.rows("SELECT created_at FROM checkpoints ORDER BY number"):
        yield datetime.fromisoformat(row["created_at"])


def trade_through(world: World, clock: WallClock, jumps: Sequence[timedelta], *, asleep: bool = False) -> None:
    """The session, with the clock set to each of ``jumps`` as the next line comes."""
    run = world.start(*SESSION, "--speed", SPEED, program=PROGRAM, **clock.env)
    for line, ahead in zip(LINES, jumps, strict=False):
        run.wait_for(line)
        if asleep:  # monotonic time stands still while a machine sleeps, so for the program no time passes
            run.signal(signal.SIGSTOP)
        clock.set(ahead)
        if asleep:
            run.signal(signal.SIGCONT)
    run.end().ok()


def was_moved(world: World, ahead: timedelta) -> bool:
    """Whether the program saw it: if not, nothing was tried."""
    off = [abs(instant - datetime.now(UTC) - ahead) for instant in stored_instants(world)]
    return min(off) < abs(ahead) / 2


def test_the_clock_set_forth_and_back_while_it_trades(world_at, library: Path):
    world: World = world_at("jumps")
    trade_through(world, WallClock(library, world.folder), JUMPS)
    assert was_moved(world, JUMPS[-1])
    check(world)


@pytest.mark.nightly
def test_a_machine_that_sleeps_for_an_hour(world_at, library: Path, undisturbed, count):
    world: World = world_at("asleep")
    trade_through(world, WallClock(library, world.folder), [timedelta(hours=1)], asleep=True)
    assert was_moved(world, timedelta(hours=1))
    check(world, undisturbed)
    count("clock jumps")


@pytest.mark.nightly
@pytest.mark.parametrize("ahead", JUMPS, ids=str)
def test_the_clock_set_between_a_kill_and_its_resume(world_at, library: Path, undisturbed, ahead: timedelta, count):
    """A lease of tomorrow's is nobody's, and one of yesterday's is not taken from the living."""
    world: World = world_at("killed")
    clock = WallClock(library, world.folder)
    world.run(*SESSION, crash_at="submit.after:2", program=PROGRAM, **clock.env).was_killed()
    clock.set(ahead)
    world.resume(program=PROGRAM, **clock.env).ok()
    check(world, undisturbed)
    count("clock jumps")


@pytest.mark.nightly
@pytest.mark.parametrize("ahead", JUMPS, ids=str)
def test_the_clock_set_while_another_start_is_refused(world_at, library: Path, ahead: timedelta, count):
    world: World = world_at("second")
    clock = WallClock(library, world.folder)
    run = world.start(*SESSION, "--duration", "300", "--speed", "60", program=PROGRAM, **clock.env)
    run.wait_for("fill     AAPL")
    clock.set(ahead)
    assert world.run("--resume", program=PROGRAM, **clock.env).code == 4
    run.signal(signal.SIGTERM)
    run.end().ok()
    audit(world)
    count("clock jumps")


@pytest.mark.nightly
@pytest.mark.parametrize("ahead", JUMPS, ids=str)
def test_a_market_that_moves_by_itself_is_not_moved_by_our_clock(tmp_path: Path, library: Path, ahead, count):
    with new_world(tmp_path / "world", "--speed", "60", paused=False) as world:
        clock = WallClock(library, world.folder)
        run = world.start(*SESSION, program=PROGRAM, **clock.env)
        run.wait_for("entry    AAPL")
        clock.set(ahead)
        run.end().ok()
        check(world)
        count("clock jumps")


@pytest.mark.nightly
@pytest.mark.timeout(0)
def test_any_jumps(tmp_path: Path, library: Path, undisturbed, allowance: Allowance, count):
    for seed in allowance.seeds(at_least=4):
        seconds = np.random.default_rng(seed).integers(-90_000, 90_000, len(LINES))
        jumps = [timedelta(seconds=int(s)) for s in seconds]
        with new_world(tmp_path / f"seed{seed}") as world:
            trade_through(world, WallClock(library, world.folder), jumps, asleep=bool(seed % 2))
            check(world, undisturbed)
        count("clock jumps", len(jumps))
