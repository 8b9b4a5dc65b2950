"""Without keys the exchange lives in the runner's process and dies with it; the account is a file, and comes back."""

import os
import select
import signal
import subprocess

import pytest

from tests.recovery.harness import PROGRAM, Exchange, World, audit, base_env, entries, story

ENTRIES = [("AAPL", "buy"), ("MSFT", "sell")]
MINUTES = 14


def opened(world: World) -> Exchange:
    """The session's account, served for an auditor once the runner is gone."""
    (path,) = (world.home / "exchange").glob("*.sqlite3")
    world.exchange = Exchange(world.base_env, world.folder, "--file", str(path))
    return world.exchange


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What these minutes come to when nothing happens to the runner."""
    folder = tmp_path_factory.mktemp("undisturbed")
    world = World(folder, base_env(folder))
    world.trade(duration=MINUTES).ok()
    exchange = opened(world)
    try:
        return story(exchange.fills())
    finally:
        exchange.stop()


@pytest.fixture
def bare(make_world) -> World:
    made: World = make_world(exchange=False)
    return made


@pytest.mark.parametrize("point", ["submit.after:1", "fill.after_commit:1", "checkpoint.inside:14"])
def test_runner_and_exchange_are_killed_together(bare: World, undisturbed, point: str):
    bare.trade(duration=MINUTES, crash_at=point).was_killed()
    bare.resume(crash_at="recovery.settled").was_killed()
    bare.resume().ok()
    exchange = opened(bare)
    audit(bare)
    assert entries(bare) == ENTRIES
    assert story(exchange.fills()) == undisturbed


@pytest.mark.parametrize("line", ["entry    AAPL", "entry    MSFT"])
def test_kill_minus_nine_from_outside(bare: World, undisturbed, line: str):
    run = bare.start("--symbols", "AAPL,MSFT", "--duration", str(MINUTES), "--speed", "600")
    run.wait_for(line)
    run.signal(signal.SIGKILL)
    run.end().was_killed()
    bare.resume("--speed", "0").ok()
    exchange = opened(bare)
    audit(bare)
    assert story(exchange.fills()) == undisturbed


def test_a_missing_account_file_is_named_and_nothing_is_traded(bare: World):
    bare.trade(duration=MINUTES, crash_at="submit.after:1").was_killed()
    (path,) = (bare.home / "exchange").glob("*.sqlite3")
    path.rename(path.with_suffix(".away"))
    ended = bare.resume()
    assert ended.code == 2, ended
    assert ended.err.startswith("error: ")
    assert str(path) in ended.err
    path.with_suffix(".away").rename(path)
    bare.resume().ok()
    opened(bare)
    audit(bare)


@pytest.mark.parametrize(("answer", "sessions"), [(b"\n", 1), (b"n\n", 2)])
def test_on_a_terminal_it_asks_whether_to_resume(bare: World, answer: bytes, sessions: int):
    bare.trade(duration=MINUTES, crash_at="fill.after_commit:1").was_killed()
    ours, theirs = os.openpty()
    command = [*PROGRAM, "--symbols", "AAPL,MSFT", "--duration", str(MINUTES), "--speed", "0"]
    run = subprocess.Popen(command, env=bare.env(), cwd=bare.folder, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = read_until(ours, b"[Y/n]")
    os.write(ours, answer)
    shown += read_until(ours, b"--resume-session")
    assert run.wait(60) == 0
    os.close(ours)
    assert b"was interrupted" in shown
    assert (b"Resumed session" in shown) == (sessions == 1)
    assert len(bare.rows("SELECT * FROM sessions")) == sessions


def read_until(terminal: int, text: bytes) -> bytes:
    found = b""
    while text not in found:
        ready, _, _ = select.select([terminal], [], [], 60)
        assert ready, found
        found += os.read(terminal, 65_536)
    return found


def test_an_older_session_that_was_killed_is_not_overlooked(bare: World):
    """The newest one is done; the one before it holds a position."""
    bare.trade(duration=MINUTES, crash_at="fill.after_commit:1").was_killed()
    first = bare.session()["id"]
    bare.trade("--new", duration=2).ok()
    refused = bare.trade(duration=2)
    assert refused.code == 6, refused
    assert first in refused.err
    went_on = bare.run("--resume-or-start", "--speed", "0").ok()
    assert f"Resumed session: {first}" in went_on.out


def test_nothing_is_flattened_while_it_is_not_certain_which_session_is_meant(bare: World):
    bare.trade(duration=MINUTES, crash_at="fill.after_commit:1").was_killed()
    first = bare.session()["id"]
    bare.trade("--new", duration=MINUTES, crash_at="fill.after_commit:1").was_killed()
    refused = bare.run("flatten", "--yes")
    assert refused.code == 2, refused
    assert first in refused.err
    bare.run("flatten", first, "--yes").ok()
    held = {row["session_id"] for row in bare.rows("SELECT session_id FROM positions")}
    assert len(held) == 1
    assert first not in held
