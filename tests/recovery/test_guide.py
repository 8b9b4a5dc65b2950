"""What docs/RECOVERY_GUIDE.md says a person can do, done: with the real program, and its books checked afterwards."""

import json
from decimal import Decimal

import pytest

from tests.recovery.harness import Exchange, World, audit, base_env, entries

KILL = "fill.after_commit:1"  # AAPL is held since 9:35 in New York, nothing else has happened


@pytest.fixture
def killed(world: World) -> World:
    world.trade(duration=14, crash_at=KILL).was_killed()
    assert world.positions() == {"AAPL": 99}
    return world


def codes(world: World, symbol: str) -> set[str]:
    """Why entries in a symbol were denied."""
    return {fact["code"] for fact in world.facts("Denied") if fact["symbol"] == symbol}


def test_a_halt_outlives_a_kill_and_ends_when_a_person_says_so(killed: World):
    ended = killed.run("halt", "--reason", "lunch").ok()
    assert "taken when it is next resumed" in ended.out
    killed.resume().ok()
    assert entries(killed) == [("AAPL", "buy")]
    assert codes(killed, "MSFT") == {"halted"}
    audit(killed)
    (halted,) = killed.facts("TradingHalted")
    assert halted["reason"].startswith("lunch (")
    killed.run("resume-trading").ok()
    killed.resume("--duration", "2").ok()
    assert killed.facts("TradingResumed")


def test_the_halt_file_stops_entries_while_it_is_there(killed: World):
    path = killed.home / "HALT"
    path.write_text("maintenance\n")
    ended = killed.resume().ok()
    assert "HALT file: maintenance" in ended.out
    assert codes(killed, "MSFT") == {"halted"}
    path.unlink()
    killed.resume("--duration", "2").ok()
    assert killed.facts("TradingResumed")
    audit(killed)


def test_flatten_closes_the_positions_of_a_session_that_nobody_runs(killed: World):
    refused = killed.run("flatten")
    assert (refused.code, "--yes" in refused.err) == (2, True)
    killed.run("flatten", "--yes", "--reason", "enough").ok()
    assert killed.positions() == killed.there.positions() == {}
    audit(killed)
    killed.resume().ok()
    assert codes(killed, "MSFT") == {"halted"}


def test_flatten_of_one_symbol_lets_the_rest_go_on(killed: World):
    killed.run("flatten", "--symbol", "AAPL", "--yes").ok()
    assert killed.positions() == {}
    killed.resume().ok()
    assert ("MSFT", "sell") in entries(killed)
    audit(killed)


def test_adopt_takes_what_another_bought_and_protects_it(killed: World):
    killed.there.hold("MSFT", "buy", "3")
    plan = killed.run("reconcile")
    assert plan.code == 6, plan
    assert "MSFT unknown at ours" in plan.out
    killed.run("reconcile", "--adopt", "MSFT").ok()
    assert killed.positions() == {"AAPL": 99, "MSFT": 3}
    killed.resume("--duration", "2").ok()
    assert killed.positions() == killed.there.positions()
    (oco,) = [o for o in killed.there.orders() if o["order_class"] == "oco"]
    assert (oco["symbol"], oco["qty"], oco["legs"][0]["type"]) == ("MSFT", "3", "stop")


def test_an_order_of_anothers_under_our_id_is_disputed_until_a_person_takes_it(world: World):
    world.trade(duration=14, symbols="AAPL", crash_at="submit.before:1").was_killed()
    (row,) = world.rows("SELECT client_order_id FROM intents")
    coid = row["client_order_id"]
    world.there.place("AAPL", "buy", "5", client_order_id=coid)
    world.resume("--duration", "3").ok()
    (listed,) = json.loads(world.run("orders", "list", "--json").ok().out)
    assert (listed["client_order_id"], listed["status"]) == (coid, "disputed")
    assert codes(world, "AAPL") <= {"symbol_blocked", "foreign_position"}
    world.run("orders", "resolve", coid, "--as", "broker", "--reason", "placed by me").ok()
    world.resume("--duration", "3").ok()
    assert world.positions() == world.there.positions() == {"AAPL": 5}
    refused = world.run("orders", "resolve", coid, "--as", "gone")
    assert refused.code == 2, refused


def test_an_order_that_never_arrived_is_void_and_blocks_its_symbol_until_a_person_says_gone(world: World):
    world.trade(duration=14, symbols="AAPL", crash_at="submit.before:1").was_killed()
    world.there.pass_time(minutes=30)
    world.resume("--duration", "3").ok()
    (row,) = world.rows("SELECT client_order_id, status FROM intents")
    assert row["status"] == "void"
    assert codes(world, "AAPL") <= {"symbol_blocked"}
    session = world.session()["id"]
    shown = world.run("orders", "list", session).ok().out
    assert f"orders resolve {row['client_order_id']} --as gone" in shown
    world.run("orders", "resolve", row["client_order_id"], "--session", session, "--as", "gone").ok()
    (row,) = world.rows("SELECT status, note FROM intents")
    assert (row["status"], row["note"].partition(" (")[0]) == ("void", "gone: no reason given")
    assert world.there.accepted() == []


def test_another_account_is_refused_and_the_session_can_be_closed(killed: World):
    """A paper account that was reset is a new one."""
    folder = killed.folder / "reset"
    folder.mkdir()
    old, killed.exchange = killed.there, Exchange(base_env(folder), folder)
    try:
        env = killed.exchange.env | {"ALPACA_TRADING_URL": killed.exchange.url}
        other = killed.resume(**env)
        assert other.code in (2, 6), other  # another address, or the same with another account
        session = killed.session()["id"]
        killed.run("sessions", "close", session, "--yes").ok()
        assert killed.session()["status"] == "closed"
        killed.trade(duration=2).ok()
        assert len(killed.rows("SELECT id FROM sessions")) == 2
    finally:
        old.stop()


def test_a_closed_market_is_waited_for(make_world):
    world: World = make_world("--at", "2008-10-07T15:50")
    ended = world.trade(duration=20).ok()
    assert "the market opens Wednesday 2008-10-08 09:30 New York" in ended.out
    assert world.session()["last_at"].startswith("2008-10-08T13:4")
    audit(world)


def test_a_resume_tells_what_happened_while_it_was_dead(killed: World):
    killed.there.pass_time(minutes=25)  # AAPL's stop is hit at 9:56
    ended = killed.resume("--duration", "2").ok()
    assert "Down for" in ended.out
    assert "AAPL  stop filled meanwhile" in ended.out
    assert killed.positions() == {}
    audit(killed)


@pytest.mark.parametrize(
    ("limit", "symbol", "code"),
    [
        (("--max-positions", "1"), "MSFT", "max_positions"),
        (("--max-orders-per-day", "1"), "MSFT", "max_orders_per_day"),
        (("--max-order-value", "9800"), "AAPL", "max_order_value"),
        (("--max-daily-loss", "50"), "MSFT", "halted"),
    ],
)
def test_a_limit_denies_the_entry_beyond_it(world: World, limit: tuple[str, str], symbol: str, code: str):
    world.trade(*limit, duration=60).ok()
    assert code in codes(world, symbol)
    audit(world)


def test_an_internal_error_ends_in_one_line_and_the_session_resumes(killed: World):
    session = killed.session()
    killed.write(
        "INSERT INTO requests VALUES ('r', ?, ?, 'no such kind', '', '', '', '2008-10-07T14:00:00+00:00', NULL, '')",
        session["account_id"], session["id"],
    )  # fmt: skip
    ended = killed.resume()
    assert ended.code == 1, ended
    assert "Traceback" not in ended.out + ended.err
    assert ended.err.startswith("error: internal error: KeyError")
    log = killed.home / "crash.log"
    assert str(log) in ended.err
    assert "no such kind" in log.read_text()
    killed.write("DELETE FROM requests")
    killed.resume().ok()
    audit(killed)


def test_on_exit_flatten_leaves_nothing(world: World):
    world.trade("--on-exit", "flatten", duration=14).ok()
    assert world.there.positions() == {}
    assert world.session()["status"] == "completed"
    assert {Decimal(p["qty"]) for p in world.rows("SELECT qty FROM positions")} == set()
    audit(world)
