"""Lesson 23 as its user lives it, with the real program: `python tests/test_bot_state_lifecycle.py`.

A bot starts, buys, is killed and starts again; it knows that it is in a position and does not buy twice. The same
functions are pytest's tests. Each has an exchange and a home of its own; no network and no session of yours is touched.
"""

import importlib.util
import json
import os
import signal
import sqlite3
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__" and importlib.util.find_spec("sqlalchemy") is None:
    python = ROOT / ".venv" / "bin" / "python"
    if not python.exists():
        sys.exit("run scripts/run --version once: it installs what this needs into .venv")
    os.execv(python, [str(python), __file__])
sys.path.insert(0, str(ROOT))

from tests.recovery.harness import Exchange, World, audit, base_env, entries  # noqa: E402 (may need .venv)

#: AAPL is bought at 9:35 in New York. Here the process dies: the fill is stored, and nothing after it.
JUST_FILLED, JUST_BEFORE = "fill.after_commit:1", "fill.before_commit:1"
BOUGHT, STOP, TARGET = Decimal(99), Decimal("98.98"), Decimal("105.04")
#: Market minutes that see no other signal.
A_WHILE = "3"


@contextmanager
def new_world(folder: Path) -> Iterator[World]:
    """An exchange in a process of its own, whose market stands until a runner moves it."""
    env = base_env(folder) | {"GAMBLER_STREAMS": "off"}
    exchange = Exchange(env, folder, "--file", str(folder / "account.sqlite3"))
    try:
        yield World(folder, env, exchange)
    finally:
        exchange.stop()


@contextmanager
def killed(folder: Path, crash_at: str = JUST_FILLED) -> Iterator[World]:
    """A world in which a bot has bought and was killed by kill -9 at that instant."""
    with new_world(folder) as world:
        world.trade(crash_at=crash_at).was_killed()
        assert world.there.positions() == {"AAPL": BOUGHT}
        yield world


def check_in_position(world: World) -> None:
    """Both sides hold what was bought once, with its stop and its target."""
    audit(world)
    assert world.positions() == world.there.positions() == {"AAPL": BOUGHT}
    assert entries(world) == [("AAPL", "buy")], "it was bought once"
    (row,) = world.rows("SELECT stop_price, target_price FROM positions")
    assert (Decimal(row["stop_price"]), Decimal(row["target_price"])) == (STOP, TARGET)
    resting = {leg["type"]: leg for order in world.there.orders() for leg in order["legs"]}
    assert (Decimal(resting["stop"]["stop_price"]), Decimal(resting["limit"]["limit_price"])) == (STOP, TARGET)
    assert {leg["status"] for leg in resting.values()} == {"held", "new"}


def errors(ended) -> list[str]:
    """The lines of stderr: what is wrong, and what to do."""
    assert "Traceback" not in ended.err
    found: list[str] = ended.err.strip().splitlines()
    return found


# -- startup --------------------------------------------------------------------------------------


def test_first_run_has_no_state_and_begins_quietly(tmp_path):
    with new_world(tmp_path) as world:
        ended = world.resume()
        assert (ended.code, errors(ended)[0]) == (5, "error: there is no session to resume")
        begun = world.run("--resume-or-start", "--symbols", "AAPL,MSFT", "--duration", A_WHILE, "--speed", "0").ok()
        assert not begun.err
        assert "Resumed" not in begun.out
        assert world.session()["status"] == "completed"
        assert stat.S_IMODE(world.home.stat().st_mode) == 0o700
        assert stat.S_IMODE(world.database.stat().st_mode) == 0o600


# -- operation, kill, restart ---------------------------------------------------------------------


def check_saved(world: World) -> None:
    """The execution, in the transaction that took it: the newest checkpoint is of the minute before."""
    (fill,) = world.facts("FillReported")
    (newest,) = world.rows("SELECT max(seq) AS seq FROM checkpoints")
    (stored,) = world.rows("SELECT seq FROM journal WHERE kind = 'FillReported'")
    assert int(newest["seq"]) < int(stored["seq"])
    assert (fill["fill"]["symbol"], world.positions()) == ("AAPL", {"AAPL": BOUGHT})


def check_plain_start_is_refused(world: World) -> None:
    session, before = world.session()["id"], world.content()
    ended = world.trade()
    assert (ended.code, errors(ended)) == (
        6,
        [
            f"error: session {session} was interrupted (killed); a fresh one beside it could double its positions",
            "       go on with it: --resume; or start anew all the same: --new",
        ],
    )
    assert world.content() == before


def check_conflicting_flags_are_refused(world: World) -> None:
    """Each is shown against what is stored."""
    session, before = world.session()["id"], world.content()
    ended = world.resume("--symbols", "AAPL", "--stop-loss-pct", "3", "--position-size", "5000")
    assert (ended.code, errors(ended)) == (
        2,
        [
            f"error: --symbols AAPL differs from what session {session} trades (AAPL,MSFT);"
            " --stop-loss-pct 3 (2); --position-size 5000 (10000)",
            "       leave the flag out to resume, or start another session with --new",
        ],
    )
    assert world.content() == before


def test_killed_right_after_it_bought_it_knows_that_it_is_in_position(tmp_path):
    """What is saved, what a plain start says, what a changed flag comes to, and the restart: no second buy."""
    with killed(tmp_path) as world:
        check_saved(world)
        check_plain_start_is_refused(world)
        check_conflicting_flags_are_refused(world)
        assert len(world.there.log()) == 1, "nothing was sent so far"
        session = world.session()["id"]
        told = world.resume("--duration", "6", "--speed", "0").ok().out
        assert f"Resumed session: {session}" in told
        assert "Loaded 1 positions from database" in told
        assert "AAPL 99 @ 101.01  PROTECTED  stop at the broker" in told
        assert "denied   AAPL  buy: position open (99 held)" in told, "the signal came again"
        assert world.session()["id"] == session
        assert [order for order in entries(world) if order[0] == "AAPL"] == [("AAPL", "buy")]
        assert world.positions()["AAPL"] == BOUGHT
        audit(world)


def test_killed_before_the_fill_was_saved_it_is_read_from_the_broker(tmp_path):
    with killed(tmp_path, JUST_BEFORE) as world:
        assert world.positions() == {}
        world.resume("--duration", A_WHILE, "--speed", "0").ok()
        check_in_position(world)


def test_a_services_line_goes_on_by_itself(tmp_path):
    """The same command every time, as a service runs it: once it starts, from then on it resumes."""
    line = ("--resume-or-start", "--symbols", "AAPL,MSFT", "--speed", "0")
    with new_world(tmp_path) as world:
        for point in (JUST_FILLED, "recovery.settled:1"):
            world.run(*line, "--duration", "30", crash_at=point).was_killed()
        assert "Resumed session" in world.run(*line, "--duration", A_WHILE).ok().out
        check_in_position(world)


def test_the_broker_is_asked_before_anything_is_traded(tmp_path):
    """Closed by hand while nobody ran it: the books follow, and nothing is bought or sold for it."""
    with killed(tmp_path) as world:
        world.there.cancel_legs("AAPL")
        assert world.there.call("DELETE", "/v2/positions/AAPL")[0] == 200
        world.there.pass_time(minutes=2)
        assert world.there.positions() == {}
        told = world.resume("--duration", "2", "--speed", "0").ok().out
        assert "gone at the broker" in told
        assert world.positions() == {} == world.there.positions()
        assert len(world.there.accepted()) == 1, "nothing was sent for it"
        (closed,) = world.rows("SELECT * FROM closed_trades")
        sold = [fill for fill in world.there.fills() if fill.side == "sell"]
        assert (closed["symbol"], Decimal(closed["qty"])) == ("AAPL", BOUGHT)
        value = sum(fill.qty * fill.price for fill in sold)
        assert Decimal(closed["exit_price"]) == (value / BOUGHT).quantize(Decimal(closed["exit_price"])), "as it filled"


# -- state that is not as it was ------------------------------------------------------------------


def test_what_was_saved_is_verified_before_it_is_used(tmp_path):
    """Cut short: left alone. A journal that was changed: not traded on. A damaged checkpoint: the one before it."""
    with killed(tmp_path) as world:
        whole = stored(world)
        put_back(world, whole[: len(whole) // 2])
        check_refused(world, 5, "was copied to")
        put_back(world, whole)
        change = "UPDATE journal SET payload = replace(payload, '101.01', '10.1') WHERE kind = 'FillReported'"
        assert world.write(change) == 1
        check_refused(world, 6, "--accept-broker-state")
        put_back(world, whole)
        (row,) = world.rows("SELECT number, payload FROM checkpoints ORDER BY number DESC LIMIT 1")
        payload = bytearray(row["payload"])
        payload[len(payload) // 2] ^= 1
        world.write("UPDATE checkpoints SET payload = ? WHERE number = ?", bytes(payload), row["number"])
        assert len(world.there.log()) == 1, "nothing was sent so far"
        told = world.resume("--duration", A_WHILE, "--speed", "0").ok().out
        assert f"Checkpoint #{row['number']}" in told
        assert "the one before it is used" in told
        check_in_position(world)


def stored(world: World) -> bytes:
    """The database, its log folded in."""
    with closing(sqlite3.connect(world.database)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return world.database.read_bytes()


def put_back(world: World, content: bytes) -> None:
    for path in world.home.glob(f"{world.database.name}-*"):
        path.unlink()
    world.database.write_bytes(content)


def check_refused(world: World, code: int, hint: str) -> None:
    ended = world.resume()
    assert ended.code == code
    assert hint in "".join(errors(ended))


# -- configuration apart from state ---------------------------------------------------------------


def test_a_configuration_that_was_edited_does_not_reach_into_a_session(tmp_path):
    """A file is what sessions start with. How one runs may be changed by flags, and is journaled."""
    with killed(tmp_path) as world:
        config = tmp_path / "gambler.json"
        edited = {"symbols": ["IBM"], "stop_loss_pct": 9, "position_size": 1, "interval": 5, "max_orders_per_day": 1}
        config.write_text(json.dumps(edited), "utf-8")
        more = ("--duration", A_WHILE, "--max-positions", "1", "--speed", "0")
        told = world.resume("--config", str(config), *more).ok().out
        assert "duration_s 1800.0 to 180.0" in told
        (changed,) = world.facts("PlanChanged")
        assert set(changed["changes"]) == {"duration_s", "max_positions"}
        check_in_position(world)


# -- shutdown -------------------------------------------------------------------------------------


def test_shutdown_saves_all_and_the_next_start_goes_on(tmp_path):
    with new_world(tmp_path) as world:
        run = world.start("--symbols", "AAPL,MSFT", "--duration", "15", "--speed", "600")
        run.wait_for("fill     AAPL")
        run.signal(signal.SIGTERM)
        told = run.end().ok().out
        assert "Creating final checkpoint..." in told
        session = world.session()
        assert session["status"] == "stopped"
        assert f"--resume-session {session['id']}" in told
        assert f"Resumed session: {session['id']}" in world.resume("--duration", A_WHILE, "--speed", "0").ok().out
        check_in_position(world)


CHECKS = {
    "First run, no state": test_first_run_has_no_state_and_begins_quietly,
    "Killed right after it bought": test_killed_right_after_it_bought_it_knows_that_it_is_in_position,
    "Killed before the fill was saved": test_killed_before_the_fill_was_saved_it_is_read_from_the_broker,
    "Killed, as a service": test_a_services_line_goes_on_by_itself,
    "Closed by hand meanwhile": test_the_broker_is_asked_before_anything_is_traded,
    "State damaged": test_what_was_saved_is_verified_before_it_is_used,
    "Configuration edited": test_a_configuration_that_was_edited_does_not_reach_into_a_session,
    "Shutdown and restart": test_shutdown_saves_all_and_the_next_start_goes_on,
}


def main():
    for number, (name, check) in enumerate(CHECKS.items(), 1):
        with tempfile.TemporaryDirectory() as folder:
            check(Path(folder))
        sys.stdout.write(f"TEST {number}: {name} - PASSED\n")
    sys.stdout.write("\nALL TESTS PASSED\n")


if __name__ == "__main__":
    main()
