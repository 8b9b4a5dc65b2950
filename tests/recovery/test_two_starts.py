"""One runner an account: the second one is refused at once and told who the first is."""

import subprocess
import time

from tests.databases import postgres_at_night
from tests.recovery.harness import GIVES_UP_S, PROGRAM, Ended, Running, World, audit, base_env


def started_together(world: World, *args: str) -> tuple[Running, Ended]:
    """Two processes at once; the one that trades, and how the other one ended."""
    begun_s = time.monotonic()
    pair = [world.start(*args, program=PROGRAM) for _ in range(2)]
    while all(run.process.poll() is None for run in pair):
        assert time.monotonic() - begun_s < GIVES_UP_S, [run.kill() for run in pair]
        for run in pair:
            wait_a_moment(run)
    loser, winner = sorted(pair, key=lambda run: run.process.poll() is None)
    took_s = time.monotonic() - begun_s
    ended = loser.end()
    assert winner.process.poll() is None, (ended, winner.end())
    assert took_s < GIVES_UP_S, f"it took {took_s:.1f} s"
    return winner, ended


def wait_a_moment(run: Running) -> None:
    """Until it ends, or for a moment."""
    try:
        run.process.wait(0.02)
    except subprocess.TimeoutExpired:
        return


def check_refusal(ended: Ended, winner: Running) -> None:
    assert ended.code == 4, ended
    assert ended.err.startswith("error: "), ended
    assert f"pid {winner.pid} " in ended.err, (winner.pid, ended)
    assert "Traceback" not in ended.err


def stopped(winner: Running) -> None:
    winner.process.terminate()
    winner.end().ok()


@postgres_at_night
def test_two_starts_at_once_on_one_account(world: World):
    winner, ended = started_together(world, "--symbols", "AAPL,MSFT", "--duration", "600", "--speed", "60")
    check_refusal(ended, winner)
    stopped(winner)
    world.session()
    audit(world)


@postgres_at_night
def test_two_resumes_at_once_on_one_account(world: World):
    world.trade(duration=600, crash_at="submit.after:1").was_killed()
    winner, ended = started_together(world, "--resume", "--speed", "60")
    check_refusal(ended, winner)
    winner.wait_for("AAPL 99 @")
    stopped(winner)
    audit(world)


@postgres_at_night
def test_two_resumes_at_once_on_the_embedded_exchange(make_world):
    world: World = make_world(exchange=False)
    world.trade(duration=600, crash_at="submit.after:1").was_killed()
    winner, ended = started_together(world, "--resume", "--speed", "60")
    check_refusal(ended, winner)
    winner.wait_for("AAPL 99 @")
    stopped(winner)
    assert world.positions() == {"AAPL": 99}
    assert len(world.rows("SELECT * FROM intents")) == 1


@postgres_at_night
def test_a_start_and_a_resume_beside_a_runner_are_refused(world: World):
    run = world.start("--symbols", "AAPL", "--duration", "600", "--speed", "60")
    run.wait_for("Session ")
    for args in (("--symbols", "AAPL"), ("--new",), ("--resume",), ("--reconcile-only",)):
        check_refusal(world.run(*args), run)
    stopped(run)
    world.session()


def test_another_database_on_the_same_account_halts(world: World):
    """No lock is shared, so the broker's own list of orders tells."""
    world.trade(duration=8).ok()
    other = World(world.folder, base_env(world.folder) | {"GAMBLER_HOME": str(world.folder / "other")}, world.exchange)
    ended = other.trade(duration=8)
    assert ended.code == 6, ended
    assert "another database trades this account" in ended.err
    assert len(world.there.accepted()) == 1
