"""A runner that is stopped for longer than its lease lasts, and wakes up: it writes and sends nothing more.

How long a lease lasts is not waited for: the row is made as old as it would be by then. What the frozen process thinks
of its own lease is then still good, so this is the harder case: only the database and the lock can tell it.
"""

import signal
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from tests.databases import sqlite_only
from tests.recovery.harness import GIVES_UP_S, PATIENCE_S, ZERO, Ended, Running, World, audit, entries

#: Points at which something is committed and not sent, sent and not heard, or heard and not stored.
POINTS = (
    "intent.after_commit", "submit.before", "submit.after", "reply.before_commit", "reply.after_commit",
    "fill.before_commit", "fill.after_commit", "checkpoint.after", "intent.before_commit",
)  # fmt: skip
ENTRIES = [("AAPL", "buy"), ("MSFT", "sell")]
LONG_AGO = datetime(2008, 1, 1, tzinfo=UTC)
FREEZES, EACH_COMMIT = 200, 2
NIGHTLY = [pytest.mark.nightly, pytest.mark.counts("freezes")]


def frozen(world: World, point: str) -> Running:
    """A session that has stopped itself at ``point``."""
    run = world.start(
        "--symbols", "AAPL,MSFT", "--duration", "14", "--speed", "0", "--checkpoint-interval", "60",
        crash_at=f"{point}:freeze",
    )  # fmt: skip
    return stopped(run)


def stopped(run: Running) -> Running:
    """One that stops itself, when it has."""
    begun_s = time.monotonic()
    while not is_stopped(run):
        assert run.process.poll() is None, run.end()
        assert time.monotonic() - begun_s < PATIENCE_S, run.kill()
        a_moment(run)
    return run


def is_stopped(run: Running) -> bool:
    try:
        return Path(f"/proc/{run.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


def a_moment(run: Running) -> None:
    try:
        run.process.wait(0.02)
    except subprocess.TimeoutExpired:
        return


def age(world: World) -> None:
    """More than a lease's time has passed since its owner was heard of."""
    at = LONG_AGO if world.url else LONG_AGO.isoformat(timespec="microseconds")
    assert world.write("UPDATE lease SET until = ?, until_s = 0", at) == 1


def woken(run: Running) -> Ended:
    run.signal(signal.SIGCONT)
    return run.end()


def check_fenced(ended: Ended, owner: str) -> None:
    assert ended.code == 4, ended
    assert "this runner was replaced: the account is now held by " in ended.err
    assert owner in ended.err, (owner, ended)
    assert "Traceback" not in ended.err


def owner(world: World) -> str:
    (row,) = world.rows("SELECT owner FROM lease")
    return str(row["owner"])


@pytest.mark.parametrize(
    "seed", [*range(EACH_COMMIT), *(pytest.param(EACH_COMMIT + n, marks=NIGHTLY) for n in range(FREEZES))]
)
def test_a_frozen_owner_that_was_replaced_writes_and_sends_nothing_when_it_wakes(world: World, seed: int):
    random = Random(seed)
    point = f"{random.choice(POINTS)}:{random.choice((1, 1, 2))}"
    run = frozen(world, point)
    age(world)
    wakes_early = random.random() < 0.5
    if wakes_early:  # while the new owner is at work
        other = world.start("--resume", "--speed", "60")
        other.wait_for("Remaining")
        ended, sent = woken(run), None
    else:
        other = world.start("--resume")
        done = other.end().ok()
        sent = len(world.there.log())
        ended = woken(run)
        assert f"pid {other.pid} " in owner(world), done
    check_fenced(ended, f"pid {other.pid} ")
    assert sent in (None, len(world.there.log())), "it sent something after it was replaced"
    if wakes_early:
        other.process.terminate()
        other.end().ok()
        world.resume("--speed", "0").ok()
    audit(world)
    assert entries(world) == ENTRIES


@pytest.mark.parametrize("point", ["submit.before:1", "checkpoint.inside:2"])
def test_a_frozen_owner_that_nobody_replaced_goes_on(world: World, point: str):
    """Its lease has run out and is still its own: it renews it, then sends."""
    run = frozen(world, point)
    if point.startswith("submit"):  # the other point is inside a transaction, which nobody else can write beside
        age(world)
    woken(run).ok()
    audit(world)
    assert entries(world) == ENTRIES


def test_one_that_is_frozen_for_a_moment_is_not_replaced(world: World):
    run = frozen(world, "submit.before:1")
    refused = world.resume()
    assert refused.code == 4
    assert f"is traded by pid {run.pid} " in refused.err
    woken(run).ok()
    audit(world)


@pytest.mark.nightly
@sqlite_only
def test_one_that_is_frozen_inside_a_write_is_named_and_not_waited_for(world: World):
    """SQLite has one writer: nobody can take over from this one."""
    run = frozen(world, "checkpoint.inside:5")
    other = World(world.folder, {**world.base_env, "GAMBLER_HOME": str(world.home)}, None)
    begun_s = time.monotonic()
    stranger = other.run("--broker", "embedded", "--new", "--symbols", "AAPL", "--duration", "5")
    took_s = time.monotonic() - begun_s
    assert stranger.code == 5, stranger
    assert f"database is locked by pid {run.pid} on " in stranger.err
    assert took_s < GIVES_UP_S, took_s
    begun_s = time.monotonic()
    refused = world.resume()
    assert refused.code == 4, refused
    assert f"pid {run.pid} " in refused.err
    assert time.monotonic() - begun_s < GIVES_UP_S
    woken(run).ok()
    audit(world)


@pytest.mark.nightly
@pytest.mark.timeout(200)
def test_a_real_minute_of_silence(world: World):
    """No row is made older: sixty-odd real seconds, after which the old owner's own clock says no as well."""
    run = frozen(world, "submit.before:1")
    begun_s = time.monotonic()
    while time.monotonic() - begun_s < 62:
        a_moment(run)
    assert world.resume().ok().code == 0
    sent = len(world.there.log())
    check_fenced(woken(run), "pid ")
    assert len(world.there.log()) == sent
    assert sum(world.positions().values(), ZERO) != ZERO
    audit(world)
