"""What the program this one descends from got wrong, one test each (PEERS section 2, GamblerAi a to g)."""

import json
import signal
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from tests.recovery.harness import World, audit, entries

ENTRIES = [("AAPL", "buy"), ("MSFT", "sell")]


def test_the_id_is_stored_before_it_is_sent(world: World):
    """(a) the row was written after the POST, with an id that was never sent."""
    world.trade(crash_at="submit.before:1").was_killed()
    assert world.there.log() == []
    (row,) = world.rows("SELECT client_order_id, status, body FROM intents")
    assert row["status"] == "planned"
    world.resume("--duration", "6").ok()
    (posted,) = [r for r in world.there.log() if r["symbol"] == "AAPL"]
    assert posted["client_order_id"] == row["client_order_id"] == json.loads(row["body"])["client_order_id"]


def test_a_resume_goes_on_with_the_same_session_its_stop_and_its_target(world: World):
    """(b) a second session was opened, and positions were imported bare."""
    world.trade(crash_at="fill.after_commit:1").was_killed()
    session, (before,) = world.session()["id"], world.rows("SELECT * FROM positions")
    ended = world.resume("--duration", "3").ok()
    assert f"Resumed session: {session}" in ended.out
    assert world.session()["id"] == session
    assert world.rows("SELECT * FROM positions") == [before]
    assert (Decimal(before["stop_price"]), Decimal(before["target_price"])) == (Decimal("98.98"), Decimal("105.04"))
    (order,) = world.there.orders()
    prices = {leg["type"]: leg["limit_price"] or leg["stop_price"] for leg in order["legs"]}
    assert prices == {"limit": "105.04", "stop": "98.98"}
    audit(world)


def test_reconcile_only_books_what_the_broker_holds(world: World):
    """(c) it raised ValueError as soon as the broker held anything."""
    world.trade(crash_at="submit.after:1").was_killed()
    before = world.content()
    shown = world.run("--reconcile-only", "--dry-run").ok()
    assert "Traceback" not in shown.err
    assert world.content() == before
    assert world.positions() == {}
    world.run("--reconcile-only").ok()
    assert world.positions() == {"AAPL": 99}
    assert world.session()["status"] == "stopped"
    audit(world)
    world.resume("--duration", "8").ok()
    audit(world)
    assert entries(world) == ENTRIES


def test_reconcile_only_explains_what_was_closed_by_hand(world: World):
    world.trade(crash_at="fill.after_commit:1").was_killed()
    world.there.cancel_legs("AAPL")
    world.there.hold("MSFT", "buy", "3")
    assert world.there.call("DELETE", "/v2/positions/AAPL")[0] == 200
    world.there.pass_time(minutes=2)
    before = world.content()
    shown = world.run("--reconcile-only", "--dry-run").ok()
    assert "gone at the broker" in shown.out
    assert "unknown at ours" in shown.out
    assert world.content() == before
    world.run("--reconcile-only").ok()
    assert world.positions() == {}
    kinds = {r["kind"] for r in world.rows("SELECT kind FROM discrepancies")}
    assert {"gone at the broker", "unknown at ours"} <= kinds
    assert world.there.positions() == {"MSFT": 3}
    assert len(world.there.accepted()) == 1, "nothing was sent for it"


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_reconcile_only_without_a_session_shows_what_the_account_holds(world: World, dry: tuple[str, ...]):
    world.there.hold("AAPL", "buy", "7")
    ended = world.run("--reconcile-only", *dry).ok()
    assert "AAPL unknown at ours" in ended.out
    assert world.rows("SELECT * FROM sessions") == []
    assert world.there.accepted() == []
    assert world.there.positions() == {"AAPL": 7}


def test_a_fraction_placed_by_hand_is_left_alone_and_blocks_its_symbol(world: World):
    """(e) int('0.5') raised ValueError."""
    held = world.there.hold("AAPL", "buy", "0.5")
    ended = world.trade(duration=15).ok()
    assert "AAPL 0.5 not ours" in ended.out
    assert entries(world) == [("MSFT", "sell")]
    assert {f["code"] for f in world.facts("Denied") if f["symbol"] == "AAPL"} == {"foreign_position"}
    assert world.there.positions()["AAPL"] == held == Decimal("0.5")
    audit(world, foreign={"AAPL"})


def test_a_fraction_bought_by_hand_while_it_was_dead_is_left_alone(world: World):
    world.trade(duration=15, crash_at="fill.after_commit:1").was_killed()
    world.there.hold("MSFT", "buy", "2.5")
    world.resume().ok()
    assert world.there.positions() == {"AAPL": 99, "MSFT": Decimal("2.5")}
    assert entries(world) == [("AAPL", "buy")]
    audit(world, foreign={"MSFT"})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_session_is_found_by_resume(world: World, number: int):
    """(f) it was marked crashed, and resume looked for active ones only."""
    run = world.start("--symbols", "AAPL,MSFT", "--duration", "15", "--speed", "300")
    run.wait_for("fill     AAPL")
    run.signal(number)
    ended = run.end().ok()
    assert "Creating final checkpoint..." in ended.out
    session = world.session()
    assert session["status"] == "stopped"
    assert f"--resume-session {session['id']}" in ended.out
    audit(world)
    assert f"Resumed session: {session['id']}" in world.resume("--speed", "0").ok().out
    audit(world)
    assert entries(world) == ENTRIES


def test_a_second_signal_ends_it_at_once_and_it_resumes_all_the_same(world: World):
    run = world.start("--symbols", "AAPL,MSFT", "--duration", "15", "--speed", "300")
    run.wait_for("fill     AAPL")
    world.there.plan({"kind": "hang", "seconds": 6, "method": "GET", "path": "/v2/"})  # less than its patience
    run.signal(signal.SIGTERM)
    run.wait_for("Shutting down gracefully")
    run.signal(signal.SIGINT)
    assert run.end().code == 130
    assert world.session()["status"] == "running"
    world.resume("--speed", "0").ok()
    audit(world)
    assert entries(world) == ENTRIES


def test_each_stored_instant_is_aware_and_utc(world: World):
    """(g) naive and aware instants met on SQLite and raised TypeError."""
    world.trade(duration=12).ok()
    found = 0
    for table in ("sessions", "lease", "journal", "intents", "orders", "fills", "positions", "checkpoints"):
        for row in world.rows(f"SELECT * FROM {table}"):
            for name, value in row.items():
                if value is not None and (name.endswith("_at") or name in ("at", "until")):
                    assert datetime.fromisoformat(value).utcoffset() == timedelta(0), f"{table}.{name}"
                    found += 1
    assert found > 50


def test_a_session_over_its_own_end_keeps_trading_its_own_position(world: World):
    """A full duration with a position open is resumed, and its exit is booked."""
    world.trade(duration=12, symbols="AAPL").ok()
    assert world.session()["status"] == "finished"
    assert world.positions() == {"AAPL": 99}
    world.resume("--duration", "20").ok()
    audit(world)
    assert world.positions() == {}
    (trade,) = world.rows("SELECT * FROM closed_trades")
    assert (trade["symbol"], trade["reason"]) == ("AAPL", "stop")
    assert world.session()["status"] == "completed"
