"""PATCH: one order in the place of another, and what a fault makes of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.unit.exchange.conftest import order_body
from tests.unit.exchange.test_lines import trader


def patch(world, order, **changes):
    status, body = world.call("PATCH", f"/v2/orders/{order['id']}", changes)
    assert status == 200, body
    return body


def refused(world, order, **changes):
    status, body = world.call("PATCH", f"/v2/orders/{order['id']}", changes)
    assert status == 422, body
    return body["message"]


def limit(world, **fields):
    return world.order(type="limit", limit_price="1", time_in_force="gtc", **fields)


def test_a_new_order_with_a_new_id_takes_the_place_of_the_old(world):
    order = limit(world, client_order_id="mine")
    new = patch(world, order, limit_price="2", client_order_id="mine-2")
    assert (new["replaces"], new["limit_price"], new["status"]) == (order["id"], "2", "pending_new")
    assert new["id"] != order["id"]
    old = world.get("/v2/orders:by_client_order_id", client_order_id="mine")
    assert (old["id"], old["status"], old["replaced_by"]) == (order["id"], "replaced", new["id"])
    assert old["replaced_at"]
    found = world.get("/v2/orders:by_client_order_id", client_order_id="mine-2")
    assert (found["id"], found["status"], found["replaced_by"]) == (new["id"], "new", None)
    assert [row["id"] for row in world.get("/v2/orders")] == [new["id"]]


def test_a_marketable_replacement_fills(world):
    order = limit(world, qty=1)
    new = patch(world, order, limit_price="900")
    assert (world.look(order["id"])["status"], world.look(new["id"])["status"]) == ("replaced", "filled")
    assert world.get("/v2/positions/AAPL")["qty"] == "1"


def test_what_is_not_said_stays_and_one_id_is_not_used_twice(world):
    order = limit(world, qty=7, client_order_id="mine")
    new = patch(world, order, limit_price="2", qty=None, time_in_force="", client_order_id="")
    assert (new["qty"], new["time_in_force"], new["side"], new["symbol"]) == ("7", "gtc", "buy", "AAPL")
    assert new["client_order_id"] not in ("mine", "")
    assert refused(world, new, limit_price="3", client_order_id="mine") == "client_order_id must be unique"
    assert world.look(new["id"])["status"] == "new", "a refusal leaves no trace"


def test_after_a_part_has_filled_the_quantity_is_the_total(world):
    order: Any = None
    for number in range(60):
        order = world.order(type="limit", limit_price="900", qty=100, client_order_id=f"n{number}")
        if world.look(order["id"])["status"] == "partially_filled":
            break
    part = Decimal(world.look(order["id"])["filled_qty"])
    assert 0 < part < 100
    assert refused(world, order, qty=str(part)) == "qty must be > filled_qty"
    new = patch(world, order, qty="150", limit_price="1")
    assert Decimal(new["qty"]) == 150 - part
    old = world.look(order["id"])
    assert (old["status"], Decimal(old["filled_qty"])) == ("replaced", part)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"limit_price": "1"}, "order parameters are not changed"),
        ({}, "order parameters are not changed"),
        ({"limit_price": "0"}, "limit price must be > 0"),
        ({"limit_price": "NaN"}, "invalid limit_price"),
        (
            {"limit_price": "2.001"},
            "invalid limit_price 2.001. sub-penny increment does not fulfill minimum pricing criteria",
        ),
        ({"stop_price": "2", "limit_price": "3"}, "limit orders require no stop price"),
        ({"qty": "4.5"}, "qty of fractional orders cannot be replaced"),
        ({"qty": "0"}, "qty must be > 0"),
        ({"time_in_force": "never"}, "invalid time_in_force"),
        ({"client_order_id": "x" * 129, "qty": 5}, "client_order_id must be no more than 128 characters"),
    ],
    ids=str,
)
def test_what_cannot_be_replaced(world, changes, message):
    order = limit(world, qty=4)
    assert refused(world, order, **changes) == message
    assert world.look(order["id"])["status"] == "new"


def test_the_order_must_be_working(world):
    done = world.filled(qty=1)
    assert refused(world, done, qty="2") == "cannot replace order in filled status"
    gone = limit(world)
    world.call("DELETE", f"/v2/orders/{gone['id']}")
    assert refused(world, gone, limit_price="2") == "cannot replace order in canceled status"
    world.faults.replace([{"kind": "accepted_only", "seconds": 600}])
    early = world.order()
    assert "isn't sent to exchange yet" in refused(world, early, qty="2")
    world.faults.replace([{"kind": "cancel_stuck"}])
    stuck = limit(world)
    world.call("DELETE", f"/v2/orders/{stuck['id']}")
    assert refused(world, stuck, limit_price="2") == "cannot replace order in pending_cancel status"
    assert world.call("PATCH", "/v2/orders/nothing", {"qty": 1})[0] == 404


def test_buying_power_is_asked_for_what_is_more(world):
    order = limit(world, qty=10)
    status, body = world.call("PATCH", f"/v2/orders/{order['id']}", {"limit_price": "900000"})
    assert (status, body["message"]) == (403, "insufficient buying power")


def test_while_an_order_is_replaced_the_larger_of_the_two_is_blocked(world):
    before = Decimal(world.get("/v2/account")["buying_power"])
    order = world.order(type="limit", limit_price="50", qty=100)
    world.faults.replace([{"kind": "replace_rejected", "seconds": 60}])
    patch(world, order, limit_price="60")
    assert before - Decimal(world.get("/v2/account")["buying_power"]) == 6000
    world.pass_time(minutes=2)
    assert before - Decimal(world.get("/v2/account")["buying_power"]) == 5000


def test_while_an_exit_is_replaced_it_holds_its_shares_once(world):
    world.filled(qty=10)
    order = world.order(side="sell", type="limit", limit_price="900", qty=4)
    world.faults.replace([{"kind": "replace_rejected", "seconds": 60}])
    patch(world, order, qty="6")
    assert world.get("/v2/positions/AAPL")["qty_available"] == "4"
    world.pass_time(minutes=2)
    assert world.get("/v2/positions/AAPL")["qty_available"] == "6"


# brackets


def test_an_entry_is_replaced_with_its_legs(world):
    entry = world.bracket(type="limit", limit_price=str(world.last() - 1))
    new = patch(world, entry, limit_price=str(world.last() - 2), qty=12)
    assert [leg["status"] for leg in new["legs"]] == ["held", "held"]
    found = world.look(new["id"])
    assert [(leg["id"], leg["qty"]) for leg in found["legs"]] == [(leg["id"], "12") for leg in entry["legs"]]
    assert world.look(entry["id"])["legs"] is None, "a leg has one parent"
    rows = world.get("/v2/orders", status="all", nested="true")
    assert sum(len(row["legs"] or ()) for row in rows) == 2
    world.call("DELETE", f"/v2/orders/{entry['legs'][0]['id']}")
    assert world.look(new["id"])["status"] == "canceled", "they end together"


def test_an_entry_that_is_replaced_and_fills_wakes_its_legs(world):
    entry = world.bracket(qty=1, type="limit", limit_price=str(world.last() - 1))
    new = patch(world, entry, limit_price=str(world.last() + 1))
    assert world.look(new["id"])["status"] == "filled"
    assert [leg["status"] for leg in world.look(new["id"])["legs"]] == ["new", "held"]


@pytest.mark.parametrize(("leg", "name", "price"), [(0, "limit_price", "300"), (1, "stop_price", "100")])
def test_a_leg_takes_a_price_and_an_id_but_no_quantity(world, leg, name, price):
    entry = world.filled(bracketed=True)
    old = entry["legs"][leg]
    assert refused(world, old, qty="20") == "the qty of a leg cannot be replaced"
    new = patch(world, old, **{name: price, "client_order_id": "my-leg"})
    assert (new[name], new["qty"], new["client_order_id"]) == (price, "10", "my-leg")
    legs = world.look(entry["id"])["legs"]
    assert (legs[leg]["id"], legs[leg]["status"]) == (new["id"], old["status"])
    assert world.get("/v2/positions/AAPL")["qty_available"] == "0"
    world.call("DELETE", f"/v2/orders/{new['id']}")
    assert {row["status"] for row in world.look(entry["id"])["legs"]} == {"canceled"}


# faults


def test_a_replacement_that_is_rejected_leaves_the_old_order_as_it_was(world):
    entry = world.filled(bracketed=True)
    client, stop = trader(world), entry["legs"][1]
    world.faults.replace([{"kind": "replace_rejected", "seconds": 60}])
    new = patch(world, stop, stop_price="100")
    assert world.look(stop["id"])["status"] == "pending_replace"
    status, body = world.call("DELETE", f"/v2/orders/{stop['id']}")
    assert (status, body["message"]) == (422, "order pending replace")
    world.pass_time(seconds=75)
    found = world.look(stop["id"])
    assert (found["status"], found["replaced_by"], found["stop_price"]) == ("held", None, stop["stop_price"])
    rejected = world.look(new["id"])
    assert (rejected["status"], bool(rejected["failed_at"])) == ("rejected", True)
    assert client.events() == ["pending_replace", "held", "held", "order_replace_rejected", "rejected"]
    assert [leg["id"] for leg in world.look(entry["id"])["legs"]] == [leg["id"] for leg in entry["legs"]]
    assert patch(world, stop, stop_price="100")["replaces"] == stop["id"], "the next one is taken"


def test_a_pending_replacement_does_not_fill_and_ends_with_the_group(world):
    order = limit(world, qty=1)
    world.faults.replace([{"kind": "replace_rejected", "seconds": 600}])
    new = patch(world, order, limit_price="900")
    world.pass_time(seconds=300)
    assert (world.look(order["id"])["status"], world.look(new["id"])["status"]) == ("pending_replace", "pending_new")
    world.pass_time(days=1)
    assert (world.look(order["id"])["status"], world.look(new["id"])["status"]) == ("new", "rejected")


def test_a_bracket_that_ends_takes_a_pending_replacement_with_it(world):
    entry = world.filled(bracketed=True)
    profit, stop = entry["legs"]
    world.faults.replace([{"kind": "replace_rejected", "seconds": 600}])
    new = patch(world, stop, stop_price="100")
    world.faults.replace([{"kind": "cancel_filled"}])
    world.call("DELETE", f"/v2/orders/{profit['id']}")
    assert [world.look(order["id"])["status"] for order in (profit, stop, new)] == ["filled", "canceled", "rejected"]
    assert world.get("/v2/orders") == []


def test_a_replace_that_comes_too_late_fills_the_old_order(world):
    entry = world.filled(bracketed=True)
    world.faults.replace([{"kind": "replace_filled"}])
    profit, stop = entry["legs"]
    new = patch(world, profit, limit_price="900")
    assert [world.look(order["id"])["status"] for order in (profit, stop, new)] == ["filled", "canceled", "rejected"]
    assert world.get("/v2/positions") == []


def test_a_canceled_exit_that_fills_ends_its_twin(world):
    entry = world.filled(bracketed=True)
    world.faults.replace([{"kind": "cancel_filled", "seconds": 30}])
    profit, stop = entry["legs"]
    assert world.call("DELETE", f"/v2/orders/{stop['id']}")[0] == 204
    assert world.look(stop["id"])["status"] == "pending_cancel"
    world.pass_time(seconds=45)
    assert [world.look(order["id"])["status"] for order in (profit, stop)] == ["canceled", "filled"]
    assert world.get("/v2/positions") == []


def test_a_stuck_cancel_holds_the_shares(world):
    entry = world.filled(bracketed=True, time_in_force="gtc")
    world.faults.replace([{"kind": "cancel_stuck"}])
    world.call("DELETE", f"/v2/orders/{entry['legs'][1]['id']}")
    world.pass_time(days=4)
    assert {leg["status"] for leg in world.look(entry["id"])["legs"]} == {"pending_cancel"}
    assert world.get("/v2/positions/AAPL")["qty_available"] == "0"
    assert world.call("POST", "/v2/orders", order_body(side="sell"))[0] == 403


def test_what_a_fault_holds_is_held_through_a_restart(make_world):
    world = make_world(file=True)
    order = limit(world)
    world.faults.replace([{"kind": "replace_rejected", "seconds": 60}])
    new = patch(world, order, limit_price="2")
    world.close()
    world = make_world(None, file=True)
    assert world.look(order["id"])["status"] == "pending_replace"
    world.pass_time(minutes=2)
    assert (world.look(order["id"])["status"], world.look(new["id"])["status"]) == ("new", "rejected")
