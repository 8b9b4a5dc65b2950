"""Stops moved, positions adjusted and limit entries, with real processes that are killed in the middle of it."""

from decimal import Decimal
from typing import Any

import pytest

from tests.recovery.harness import FINAL, World, audit, entries
from tests.recovery.test_control import WIDE, answers, check_error, holding_one, running

#: In the order in which a move passes them.
WHILE_MOVING = ["replace.before_commit", "replace.after_commit", "replace.sent_before", "replace.sent_after"]
WHILE_ADJUSTING = ["adjust.before_commit", "adjust.after_commit"]


def legs(world: World, kind: str, symbol: str = "AAPL") -> list[dict[str, Any]]:
    found = [o for order in world.there.orders() for o in (order, *(order.get("legs") or ())) if o["symbol"] == symbol]
    return [o for o in found if o["type"] == kind and o["side"] == "sell" and o["status"] not in FINAL]


def check_moved(world: World, price: str = "90") -> None:
    """One stop, at its new price, at the exchange and in our books; and the person was answered once."""
    audit(world)
    assert [Decimal(leg["stop_price"]) for leg in legs(world, "stop")] == [Decimal(price)]
    [row] = world.rows("SELECT stop_price FROM positions WHERE symbol = 'AAPL'")
    assert Decimal(row["stop_price"]) == Decimal(price)
    assert len(answers(world)) == 1
    moves = world.rows("SELECT status FROM intents WHERE purpose = 'replace'")
    assert [m["status"] for m in moves] == ["working"]


@pytest.mark.nightly
@pytest.mark.counts("kills at a named point")
@pytest.mark.parametrize("point", WHILE_MOVING)
def test_killed_while_a_stop_is_moved(world: World, point: str):
    holding_one(world, *WIDE)
    world.run("orders", "move-stop", "AAPL", "90", crash_at=point).was_killed()
    assert len(legs(world, "stop")) == 1
    world.resume("--duration", "3").ok()
    check_moved(world)


def test_killed_at_each_point_of_a_move_in_turn(world: World):
    """Each dies once more in the recovery of the one before."""
    holding_one(world, *WIDE)
    world.run("orders", "move-stop", "aapl", "90.00", crash_at=WHILE_MOVING[0]).was_killed()
    for point in WHILE_MOVING:
        world.resume(crash_at=point).was_killed()
    world.resume("--duration", "3").ok()
    check_moved(world)


@pytest.mark.nightly
def test_a_running_session_moves_a_stop_and_a_target(world: World):
    holding_one(world, *WIDE)
    run = running(world)
    said = world.run("orders", "move-stop", "AAPL", "91", "--reason", "higher").ok().out
    assert "the one that rests stays until then" in said
    check_error(world.run("orders", "move-stop", "AAPL", "500"), 2, "is not behind the last price")
    check_error(world.run("orders", "move-target", "MSFT", "500"), 2, "no position in MSFT")
    check_error(world.run("orders", "move-target", "AAPL", "much"), 2, "'much' is no price")
    run.kill()
    world.resume("--speed", "0", "--duration", "2").ok()
    assert [Decimal(leg["stop_price"]) for leg in legs(world, "stop")] == [Decimal(91)]
    assert "is being moved" in world.run("orders", "move-target", "AAPL", "170").ok().out
    world.resume("--speed", "0", "--duration", "1").ok()
    assert [Decimal(leg["limit_price"]) for leg in legs(world, "limit")] == [Decimal(170)]
    audit(world)


def test_a_stop_moved_by_hand_while_it_was_dead_stays_where_it_was_put(world: World):
    holding_one(world, *WIDE)
    [stop] = legs(world, "stop")
    assert world.there.call("PATCH", f"/v2/orders/{stop['id']}", {"stop_price": "85"})[0] == 200
    world.resume("--duration", "3").ok()
    audit(world)
    assert [Decimal(leg["stop_price"]) for leg in legs(world, "stop")] == [Decimal(85)]
    [row] = world.rows("SELECT stop_price FROM positions WHERE symbol = 'AAPL'")
    assert Decimal(row["stop_price"]) == 85
    assert [r["kind"] for r in world.rows("SELECT kind FROM discrepancies")] == ["leg moved"]
    assert world.rows("SELECT 1 FROM intents WHERE purpose = 'protect'") == []


def test_killed_while_a_position_is_adjusted(world: World):
    """Closed by hand while nobody looked: our books follow, once."""
    holding_one(world)
    world.there.cancel_legs("AAPL")
    held = world.there.positions()["AAPL"]
    world.there.place("AAPL", "sell", str(held))
    for _ in range(20):
        if not world.there.positions():
            break
        world.there.pass_time(seconds=15)
    for point in WHILE_ADJUSTING:
        world.resume("--duration", "3", crash_at=point).was_killed()
    world.resume("--duration", "3").ok()
    assert [f["symbol"] for f in world.facts("Adjusted")] == ["AAPL"]
    assert "AAPL" not in world.positions()
    assert len(world.rows("SELECT 1 FROM closed_trades")) == 1


@pytest.mark.counts("kills at a named point")
@pytest.mark.parametrize(
    "point",
    [
        "cancel.after:1",
        pytest.param("submit.before:1", marks=pytest.mark.nightly),
        pytest.param("submit.after:1", marks=pytest.mark.nightly),
    ],
)
def test_killed_while_a_limit_entry_waits_in_vain(world: World, point: str):
    """It is canceled at its deadline, or never sent, and nothing of it is left."""
    world.trade("--limit-pct", "-15", symbols="AAPL", duration=14, crash_at=point).was_killed()
    world.resume("--duration", "14").ok()
    audit(world)
    assert entries(world) == [("AAPL", "buy")]
    assert {o["status"] for o in world.there.orders()} == {"canceled"}


@pytest.mark.nightly
def test_limit_entries_beyond_the_last_price_fill(world: World):
    world.trade("--limit-pct", "0.5", duration=12, crash_at="submit.after:1").was_killed()
    world.resume().ok()
    audit(world)
    assert entries(world) == [("AAPL", "buy"), ("MSFT", "sell")]
    assert {o["type"] for o in world.there.orders()} == {"limit"}
