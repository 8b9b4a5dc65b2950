"""What people ask of a session, running or dead, with real processes: once each, whatever is killed meanwhile."""

import json
import signal
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from tests.databases import sqlite_only
from tests.recovery.harness import Ended, Exchange, Running, World, audit, entries

ENTRIES = [("AAPL", "buy"), ("MSFT", "sell")]
#: Nothing is stopped out or taken to its target in these tests.
WIDE = ("--stop-loss-pct", "30", "--take-profit-pct", "60")
#: Slow enough for a command to be answered between two bars.
SLOW = ("--speed", "10")
DELETE = {"method": "DELETE", "path": "/v2/orders"}


def check_error(ended: Ended, code: int, *words: str) -> None:
    assert ended.code == code, ended
    assert ended.err.startswith("error: "), ended
    for word in words:
        assert word in ended.err, ended


def holding_one(world: World, *args: str) -> None:
    """Killed at 9:35 with AAPL bought; the signal of 9:40 is to come."""
    world.trade(*args, crash_at="fill.after_commit:1").was_killed()


def running(world: World, *args: str) -> Running:
    """Resumed and at work, with minutes of wall time until the next bar."""
    run = world.start("--resume", *SLOW, *args)
    run.wait_for("AAPL 99 @")
    return run


def denials(world: World, symbol: str) -> list[tuple[str, str]]:
    return [(f["code"], f["context"]) for f in world.facts("Denied") if f["symbol"] == symbol]


def answers(world: World) -> list[str]:
    rows = world.rows("SELECT taken_at, answer FROM requests ORDER BY asked_at")
    assert all(row["taken_at"] for row in rows), rows
    taken = world.facts("RequestTaken")
    assert sorted(f["answer"] for f in taken) == sorted(row["answer"] for row in rows), "not answered once each"
    return [row["answer"] for row in rows]


def check_flat(world: World) -> None:
    """Nothing held or resting; each position was left by one order at most, and never beyond zero."""
    assert world.there.positions() == world.positions() == {}
    for symbol in ("AAPL", "MSFT"):
        bought = Counter[str]()
        for fill in world.there.fills():
            if fill.symbol == symbol:
                bought[fill.side] += int(fill.qty)
        assert bought["buy"] == bought["sell"]
    decisions = {r["client_order_id"]: r["decision_id"].split("|") for r in world.rows("SELECT * FROM intents")}
    sent = [decisions[row["client_order_id"]] for row in world.there.accepted()]
    exits = Counter(position for purpose, position, *_ in sent if purpose == "exit")
    assert max(exits.values(), default=0) <= 1, sent
    audit(world)


# -- halts ----------------------------------------------------------------------------------------


def test_a_halt_outlives_a_kill_until_trading_is_resumed(world: World):
    holding_one(world)
    run = running(world)
    assert "no entries from here on" in world.run("halt", "--reason", "lunch").ok().out
    again = json.loads(world.run("halt", "--json").ok().out)
    assert (again["request"], again["answer"].startswith("was halted already: lunch (")) == ("halt", True)
    run.kill().was_killed()
    world.resume("--speed", "0", "--duration", "6").ok()
    audit(world)
    assert entries(world) == ENTRIES[:1]
    assert [(code, why[:15]) for code, why in denials(world, "MSFT")] == [("halted", "person: lunch (")]
    assert "written down" in world.run("resume-trading", "--reason", "back").ok().out
    world.resume("--speed", "0", "--duration", "1").ok()
    assert [f["source"] for f in world.facts("TradingResumed")] == ["person"]
    assert len(answers(world)) == 3


def test_a_halt_asked_of_a_dead_session_keeps_what_was_not_sent_from_being_sent(world: World):
    """The first reading of a resume sends again what was planned: the halt has to be heard before it."""
    world.trade(crash_at="submit.before:1").was_killed()
    world.run("halt", "--reason", "no").ok()
    world.resume("--duration", "3").ok()
    assert world.there.log() == []
    assert [r["status"] for r in world.rows("SELECT status FROM intents")] == ["void"]


def test_the_halt_file_halts_while_it_is_there(world: World):
    halt = world.home / "HALT"
    world.home.mkdir(parents=True)
    halt.write_text("maintenance\x1b[31m\nmore")
    world.trade(crash_at="checkpoint.after:14").was_killed()
    assert denials(world, "AAPL") == [("halted", "HALT file: maintenance [31m")]
    assert world.there.log() == []
    halt.unlink()
    world.resume("--duration", "5").ok()
    audit(world)
    assert ENTRIES[1] in entries(world)


# -- flatten --------------------------------------------------------------------------------------


def test_flatten_while_it_runs_and_a_stop_in_the_middle(world: World):
    holding_one(world)
    run = running(world)
    check_error(world.run("flatten"), 2, "--yes")
    check_error(world.run("flatten", "--yes", "--symbol", ""), 2, "--symbol", "names no symbol")
    check_error(world.run("flatten", "--yes", "--symbol", "MSFT"), 2, "no position in MSFT")
    assert "closing 1 position, no entries" in world.run("flatten", "--yes", "--reason", "enough").ok().out
    run.signal(signal.SIGTERM)
    assert "halted" in run.end().ok().out
    check_flat(world)
    assert [t["reason"][:15] for t in world.rows("SELECT reason FROM closed_trades")] == ["flatten: enough"]
    world.resume("--speed", "0", "--duration", "6").ok()
    assert entries(world) == ENTRIES[:1]
    assert [code for code, _ in denials(world, "MSFT")] == ["halted"]
    check_flat(world)


def test_killed_at_each_point_of_a_flatten_in_turn(world: World):
    world.trade(*WIDE, duration=12).ok()
    world.run("flatten", "--yes", crash_at="cancel.after").was_killed()
    for point in ("exit.before_commit", "exit.after_commit", "submit.after"):
        assert set(world.there.positions()) == {"AAPL", "MSFT"}
        world.resume(crash_at=point).was_killed()
    world.resume("--duration", "3").ok()
    check_flat(world)
    assert [f["symbol"] for f in world.facts("ExitDone")] == ["*"]
    assert [f["source"] for f in world.facts("TradingHalted")] == ["person"]
    assert len(answers(world)) == 1


def test_two_flattens_of_a_dead_session_at_once(world: World):
    world.trade(*WIDE, duration=12).ok()
    pair = [world.start("flatten", "--yes") for _ in range(2)]
    for run in pair:
        run.end().ok()
    check_flat(world)
    assert len(answers(world)) == 2


def test_flatten_of_one_symbol_goes_on_trading(world: World):
    holding_one(world)
    world.run("flatten", "--yes", "--symbol", "aapl").ok()
    assert world.there.positions() == {}
    assert not world.facts("TradingHalted")
    world.resume("--duration", "6").ok()
    audit(world)
    assert ENTRIES[1] in entries(world)


def test_flatten_while_the_market_is_closed_keeps_the_stops_and_closes_at_the_open(world: World):
    world.trade(*WIDE, duration=12).ok()
    world.there.pass_time(hours=7)
    posted = len(world.there.log())
    assert "when the market opens (2008-10-08 13:30 UTC)" in world.run("flatten", "--yes").ok().out
    audit(world)
    assert set(world.positions()) == {"AAPL", "MSFT"}
    assert len(world.there.log()) == posted
    world.resume("--duration", "3").ok()
    check_flat(world)
    assert {fill.at.date().isoformat() for fill in world.there.fills()[2:]} == {"2008-10-08"}


def test_a_stop_that_fills_while_its_cancel_fails_is_no_position_the_other_way_round(world: World):
    world.trade(duration=24).ok()  # AAPL is stopped out at 9:56
    world.there.plan({"kind": "500", **DELETE, "times": "always"})
    world.run("flatten", "--yes").ok()
    assert set(world.there.positions()) == set(world.positions()) == {"MSFT"}
    assert [t["reason"] for t in world.rows("SELECT reason FROM closed_trades")] == ["stop"]
    world.there.plan()
    world.resume("--duration", "3").ok()
    check_flat(world)


# -- how a session ends ---------------------------------------------------------------------------


def test_on_exit_flatten_at_the_end_and_after_a_signal(world: World):
    holding_one(world, *WIDE)
    run = running(world, "--on-exit", "flatten")
    run.signal(signal.SIGTERM)
    run.end().ok()
    check_flat(world)
    assert world.session()["status"] == "stopped"
    world.resume("--speed", "0", "--duration", "6").ok()
    assert ENTRIES[1] in entries(world), "a flatten at the end is no halt"
    check_flat(world)
    assert (world.session()["status"], world.session()["end_reason"]) == ("completed", "duration")


def test_on_exit_cancel_takes_back_what_is_not_filled_and_protects_the_rest(make_world):
    """The entry of 9:35 is filled in parts for more than a minute (see test_kill.partly_filled)."""
    world: World = make_world("--seed", "3649")
    for _ in range(3):
        world.there.make_a_dummy()
    world.trade("--position-size", "50000", "--on-exit", "cancel", symbols="AAPL", duration=5.6).ok()
    statuses = {o["status"] for o in world.there.orders() if o["order_class"] == "bracket"}
    assert statuses == {"canceled"}
    assert 0 < world.positions()["AAPL"] < 502
    audit(world)


def test_the_night_is_waited_for_with_positions_held_and_does_not_count(world: World):
    world.trade(*WIDE, duration=12).ok()
    world.there.pass_time(hours=6, minutes=13)
    world.resume("--duration", "10").ok()
    audit(world)
    assert set(world.positions()) == {"AAPL", "MSFT"}
    assert world.session()["last_at"].startswith("2008-10-08T13:35")
    [paused] = world.facts("RunPaused")
    assert 290 <= paused["left_s"] <= 300


# -- limits ---------------------------------------------------------------------------------------


def test_no_restart_and_no_fresh_session_moves_a_limit(world: World):
    holding_one(world, "--max-orders-per-day", "1")
    first = world.session()["id"]
    world.trade("--new", "--max-positions", "1", duration=6).ok()
    world.run("--resume-session", first, "--speed", "0", "--duration", "6").ok()
    assert entries(world) == ENTRIES[:1]
    codes = [code for code, _ in denials(world, "MSFT")]
    assert set(codes) == {"max_positions", "max_orders_per_day"}


def test_a_days_loss_halts_through_a_kill_and_a_fresh_session(world: World):
    flag = ("--max-daily-loss", "100")
    world.trade(*flag, duration=28, crash_at="fill.before_commit:3").was_killed()
    world.resume("--duration", "2").ok()
    assert [f["source"] for f in world.facts("TradingHalted")] == ["daily loss"]
    assert not world.facts("TradingResumed")
    world.trade("--new", *flag, duration=2).ok()
    assert [f["source"] for f in world.facts("TradingHalted")] == ["daily loss"] * 2


# -- reconcile ------------------------------------------------------------------------------------


def stored(world: World) -> tuple[bytes, list[Any]]:
    return world.database.read_bytes(), world.there.orders()


@sqlite_only
def test_a_plan_changes_nothing_and_apply_heals(world: World):
    world.trade(*WIDE, duration=12).ok()
    assert "agree" in world.run("reconcile", "--plan").ok().out
    world.there.cancel_legs("AAPL")
    world.there.place("AAPL", "sell", "99")
    world.there.pass_time(minutes=2)
    assert "AAPL" not in world.there.positions()
    before = stored(world)
    planned = world.run("reconcile", "--plan")
    assert planned.code == 6, planned
    assert "AAPL" in planned.out
    assert stored(world) == before
    assert world.run("reconcile").code == 6
    check_error(world.run("reconcile", "--plan", "--apply"), 2, "--plan")
    world.run("reconcile", "--apply").ok()
    assert set(world.positions()) == {"MSFT"}
    world.run("reconcile", "--plan").ok()
    audit(world, foreign={"AAPL"})


@pytest.mark.nightly
def test_what_another_opened_is_adopted_with_a_stop_and_a_target(world: World):
    holding_one(world, *WIDE)
    world.resume("--duration", "6").ok()
    world.there.hold("IBM", "buy", "5")
    order = world.there.place("IBM", "sell", "5", type="limit", limit_price="900", time_in_force="gtc")
    check_error(world.run("reconcile", "--adopt", "ibm"), 2, "another's order rests in IBM", order["id"])
    assert world.there.call("DELETE", f"/v2/orders/{order['id']}")[0] == 204
    world.run("reconcile", "--adopt", "IBM").ok()
    audit(world)
    assert world.positions()["IBM"] == 5
    world.there.hold("NVDA", "sell", "7")
    run = running(world)
    assert "-7 NVDA are ours" in world.run("reconcile", "--adopt", "NVDA").ok().out
    check_error(world.run("reconcile", "--adopt", "NVDA"), 2, "not ours already")
    run.wait_for("re-armed")
    run.signal(signal.SIGTERM)
    run.end().ok()
    audit(world)
    assert world.positions()["NVDA"] == -7


def test_what_a_closed_session_had_under_way_keeps_no_symbol_from_the_next(world: World):
    world.trade(crash_at="submit.before:1").was_killed()
    first = world.session()["id"]
    world.run("sessions", "close", first, "--yes").ok()
    world.trade("--new", duration=7).ok()
    assert entries(world) == ENTRIES


def test_what_another_session_holds_is_not_adopted(world: World):
    """Two sessions that both think a position theirs send two stops for it."""
    holding_one(world, *WIDE)
    world.trade("--new", crash_at="checkpoint.after:3").was_killed()
    world.there.cancel_legs("AAPL")
    first = world.rows("SELECT id FROM sessions ORDER BY created_at")[0]["id"]
    check_error(world.run("reconcile", "--adopt", "AAPL"), 2, first, "has AAPL")
    world.run("sessions", "close", first, "--yes").ok()
    world.run("reconcile", "--adopt", "AAPL").ok()
    check_error(world.run("--resume-session", first), 2, "was closed")
    check_error(world.run("halt", first), 2, "was closed")
    check_error(world.run("reconcile", first, "--apply"), 2, "was closed")


# -- orders nobody can tell of --------------------------------------------------------------------


def open_orders(world: World) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = json.loads(world.run("orders", "list", world.session()["id"], "--json").ok().out)
    return rows


def listed(world: World) -> list[tuple[str, str]]:
    return [(row["symbol"], row["status"]) for row in open_orders(world)]


def resolve(world: World, verdict: str) -> Ended:
    [row] = [r for r in open_orders(world) if r["status"] != "filled"]
    return world.run("orders", "resolve", row["client_order_id"], "--as", verdict)


@pytest.fixture
def void(world: World) -> World:
    """Killed when the broker had the order, and its look-ups missed for long enough to give it up."""
    world.trade(crash_at="submit.after:1").was_killed()
    world.home.mkdir(mode=0o700, exist_ok=True)
    (world.home / "HALT").write_text("")  # so that it is not sent again
    world.there.plan({"kind": "not_found_for", "times": "always"})
    world.resume("--duration", "3").ok()
    assert listed(world) == [("AAPL", "void")]
    (world.home / "HALT").unlink()
    return world


def test_a_given_up_order_that_the_broker_shows_needs_nobodys_word(void: World):
    void.there.plan()
    check_error(resolve(void, "broker"), 2, "needs nobody's word: it is filled")
    audit(void)
    assert void.positions() == {"AAPL": Decimal(99)}
    assert listed(void) == [("AAPL", "filled")]


def test_a_given_up_order_that_is_gone_frees_its_symbol_and_is_taken_all_the_same_if_it_comes(void: World):
    check_error(void.run("orders", "resolve", "ga1-x", "--as", "lost"), 2, "lost")
    resolve(void, "gone").ok()
    assert listed(void) == []
    void.there.plan()
    void.run("--resume-session", void.session()["id"], "--duration", "1").ok()
    audit(void)
    assert void.positions() == {"AAPL": Decimal(99)}
    assert len(void.there.accepted()) == 1


def test_an_order_the_broker_has_lost_is_settled_by_a_persons_word(world: World):
    """Disputed: it was seen, and is not found any more. Without a word its symbol would be blocked for ever."""
    holding_one(world, *WIDE)
    world.there.plan({"kind": "not_found_for", "times": "always"})
    world.resume("--duration", "3").ok()
    assert ("AAPL", "disputed") in listed(world)
    [row] = world.rows("SELECT client_order_id FROM intents WHERE status = 'disputed'")
    world.run("orders", "resolve", row["client_order_id"], "--as", "gone").ok()
    assert ("AAPL", "disputed") not in listed(world)
    assert [f["verdict"] for f in world.facts("IntentResolved")] == ["gone"]
    world.there.plan()
    world.resume("--duration", "3").ok()
    audit(world)


def test_another_order_under_our_id_is_taken_at_a_persons_word(world: World):
    world.trade(crash_at="submit.before:1").was_killed()
    [row] = world.rows("SELECT client_order_id FROM intents")
    world.there.place("AAPL", "buy", "50", client_order_id=row["client_order_id"])
    world.there.pass_time(minutes=1)
    world.resume("--duration", "2").ok()
    assert listed(world) == [("AAPL", "disputed")]
    assert world.positions() == {}
    resolve(world, "broker").ok()
    assert world.positions() == world.there.positions() == {"AAPL": Decimal(50)}
    [rearmed] = [o for o in world.there.orders() if o["order_class"] == "oco"]
    assert (rearmed["qty"], rearmed["status"]) == ("50", "new")


# -- another account ------------------------------------------------------------------------------


def test_an_account_that_was_reset_is_another_one(world: World):
    holding_one(world)
    old, port = world.session()["id"], world.there.url.rpartition(":")[2]
    world.there.stop()
    world.exchange = Exchange(world.base_env, world.folder, "--port", port, "--seed", "7")
    try:
        started = world.trade(duration=2).ok()
        assert f"Session {old} is unfinished and belongs to account" in started.out
        check_error(world.run("--resume-session", old), 6, "belongs to account", f"sessions close {old}")
        check_error(world.run("sessions", "close", old), 2, "--yes")
        world.run("sessions", "close", old, "--yes", "--reason", "reset").ok()
        [row] = world.rows("SELECT status, end_reason FROM sessions WHERE id = ?", old)
        assert (row["status"], row["end_reason"]) == ("closed", "reset")
        assert "unfinished" not in world.trade("--new", duration=1).ok().out
    finally:
        world.exchange.stop()
