"""`db backup`, `db verify`, `db restore`: the state of one moment, whoever writes meanwhile, and what came after it."""

import json
import signal
from pathlib import Path

import pytest

from tests.recovery.harness import Running, World, audit, entries
from tests.recovery.test_cli import check_error
from tests.recovery.test_freezes import stopped

#: Where a session stands while it is backed up: an order is planned; sent and not heard; filled; protected for a while.
MOMENTS = [
    "intent.after_commit:1",
    pytest.param("submit.after:1", marks=pytest.mark.nightly),
    pytest.param("fill.after_commit:1", marks=pytest.mark.nightly),
    pytest.param("checkpoint.after:9", marks=pytest.mark.nightly),
]
#: What it says when it has traded on: a position of two is closed again.
LATER = "closed   AAPL"


def frozen(world: World, point: str, *args: str) -> Running:
    """A session of 100 minutes that has stopped itself at ``point``, in the middle of whatever it did."""
    run = world.start(
        "--symbols", "AAPL,MSFT", "--duration", "100", "--speed", "0", *args, crash_at=f"{point}:freeze"
    )  # fmt: skip
    return stopped(run)


def traded_on(run: Running) -> None:
    """It wakes up, knows nothing of the backup, trades on, and is killed."""
    run.signal(signal.SIGCONT)
    run.wait_for(LATER)
    run.kill()


def backup(world: World, *args: str) -> Path:
    made = json.loads(world.run("db", "backup", *args, "--json").ok().out)
    return Path(made["path"])


def kinds(world: World) -> set[str]:
    return {row["kind"] for row in world.rows("SELECT kind FROM discrepancies")}


@pytest.mark.parametrize("point", MOMENTS)
def test_a_backup_from_mid_session_reconciles_with_what_came_after_it(world: World, point: str):
    run = frozen(world, point)
    taken = backup(world)
    traded_on(run)
    sent = world.there.accepted()
    told = world.run("db", "restore", str(taken), "--replace").ok()
    assert "Next: gambler-ai --resume-session" in told.out
    shown = world.run("--reconcile-only", "--dry-run")
    assert "sold 400 @ 24.24" in shown.out, shown
    assert "another database" not in shown.out + shown.err
    world.resume("--duration", "1").ok()
    audit(world)
    assert [fact["intent"]["symbol"] for fact in world.facts("IntentRecalled")][-1] == "MSFT"
    assert kinds(world) == {"order not in the backup"}
    assert entries(world) == [("AAPL", "buy"), ("MSFT", "sell")]
    assert world.there.accepted() == sent


def test_an_order_that_no_decision_of_the_session_explains_halts_all_the_same(world: World):
    """Two copies of one session: the one that was restored takes back what it finds, and halts at what comes later."""
    run = frozen(world, "intent.after_commit:1")
    taken = backup(world)
    run.kill()
    world.run("db", "restore", str(taken), "--replace").ok()
    world.there.place("AAPL", "buy", "1", client_order_id="ga1-" + "a" * 26, type="limit", limit_price="1")
    check_error(world.resume("--duration", "1"), 6, "order of another database")


def test_nothing_is_restored_under_a_session_that_is_alive(world: World):
    run = frozen(world, "checkpoint.after:2")
    taken = backup(world)
    before = world.content()
    check_error(world.run("db", "restore", str(taken), "--replace"), 4, f"pid {run.pid} ")
    assert world.content() == before
    run.kill()


@pytest.mark.parametrize(
    "point",
    [
        "restore.before_rename",
        *(pytest.param(f"restore.{stage}", marks=pytest.mark.nightly) for stage in ("checked", "after_rename")),
    ],
)
def test_a_restore_that_is_killed_is_all_or_nothing(make_world, point: str):
    bare: World = make_world(exchange=False)
    bare.trade(symbols="AAPL", duration=6, crash_at="fill.after_commit:1").was_killed()
    taken = backup(bare)
    bare.resume("--speed", "0").ok()
    now, was = bare.session()["seq"], json.loads(bare.run("db", "verify", str(taken), "--json").ok().out)
    assert was["exit_code"] == 0
    bare.run("db", "restore", str(taken), "--replace", crash_at=point).was_killed()
    bare.run("db", "verify").ok()
    assert (bare.session()["seq"] < now) == (point == "restore.after_rename")
    bare.run("db", "restore", str(taken), "--replace").ok()
    assert not list(bare.home.glob(".gambler-work-*"))
    bare.resume("--speed", "0").ok()


@pytest.mark.nightly
def test_nobody_starts_under_a_restore_however_long_it_takes(make_world):
    """Its session was killed an hour ago; the restore is stopped right before it replaces the database."""
    bare: World = make_world(exchange=False)
    bare.trade(symbols="AAPL", duration=6, crash_at="fill.after_commit:1").was_killed()
    taken = backup(bare)
    bare.write("UPDATE lease SET until = '2008-10-07T14:00:00.000000+00:00', until_s = 0")
    run = stopped(bare.start("db", "restore", str(taken), "--replace", crash_at="restore.before_rename:freeze"))
    check_error(bare.resume("--speed", "0"), 4, "is traded by db restore, pid")
    run.signal(signal.SIGCONT)
    run.end().ok()
    bare.resume("--speed", "0").ok()


@pytest.mark.parametrize("point", ["copy.inside", "backup.packed", "backup.before_rename"])
def test_a_backup_that_is_killed_leaves_none(make_world, point: str):
    bare: World = make_world(exchange=False)
    bare.run("db", "upgrade").ok()
    bare.run("db", "backup", crash_at=point).was_killed()
    folder = bare.home / "backups"
    assert not list(folder.glob("*.tar.gz"))
    assert backup(bare).parent == folder
    assert not list(bare.home.glob(".gambler-work-*"))
