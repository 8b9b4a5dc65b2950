"""Orders of several legs: parsed, priced, covered and filled as one (BEHAVIOUR 3, "mleg")."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.exchange.conftest import World
from tests.unit.exchange.test_option_orders import held, money, option, quote

LOW, MIDDLE, HIGH = "AAPL071221C00160000", "AAPL071221C00165000", "AAPL071221C00170000"
PUT_LOW, PUT_HIGH = "AAPL071221P00145000", "AAPL071221P00150000"
LATER = "AAPL080118C00170000"


def leg(symbol: str, intent: str, ratio: object = "1", **more: Any) -> dict[str, Any]:
    return {"symbol": symbol, "ratio_qty": ratio, "position_intent": intent, "side": intent.split("_")[0]} | more


SPREAD = [leg(LOW, "buy_to_open"), leg(HIGH, "sell_to_open")]
CREDIT = [leg(LOW, "sell_to_open"), leg(HIGH, "buy_to_open")]
CONDOR = [
    leg(PUT_LOW, "buy_to_open"),
    leg(PUT_HIGH, "sell_to_open"),
    leg(LOW, "sell_to_open"),
    leg(HIGH, "buy_to_open"),
]
CLOSING = [leg(LOW, "sell_to_close"), leg(HIGH, "buy_to_close")]


def multi(legs: Any, **fields: Any) -> dict[str, Any]:
    return {"order_class": "mleg", "qty": "1", "type": "market", "time_in_force": "day", "legs": legs} | fields


def post(world: World, legs: Any, **fields: Any) -> Any:
    status, body = world.call("POST", "/v2/orders", multi(legs, **fields))
    assert status == 200, body
    return body


def net(world: World, legs: Any) -> Decimal:
    total = Decimal(0)
    for row in legs:
        bid, ask = quote(world, row["symbol"])
        total += Decimal(str(row["ratio_qty"])) * (ask if row["side"] == "buy" else -bid)
    return total


@pytest.mark.parametrize(
    ("legs", "fields", "status", "code", "message"),
    [
        (SPREAD[:1], {}, 422, 42210000, "mleg orders have 2 to 4 legs"),
        ([*CONDOR, leg(MIDDLE, "buy_to_open")], {}, 422, 42210000, "mleg orders have 2 to 4 legs"),
        (None, {}, 422, 40010001, "legs are required for mleg orders"),
        ("two", {}, 400, 40010000, "request body format is invalid"),
        ([SPREAD[0], SPREAD[0]], {}, 422, 42210000, "the legs of an mleg order must be unique"),
        ([leg(LOW, "buy_to_open", 2), leg(HIGH, "sell_to_open", 2)], {}, 422, 42210000,
         "the ratio_qty of the legs must be coprime"),
        ([SPREAD[0], leg(HIGH, "sell_to_open", "0.5")], {}, 422, 40010001,
         "leg.1 ratio_qty must be a whole number > 0"),
        ([SPREAD[0], {"symbol": HIGH, "ratio_qty": "1", "side": "sell"}], {}, 422, 42210000,
         "leg.1 position intent is required"),
        ([SPREAD[0], leg(HIGH, "sell_to_win")], {}, 422, 40010001, "invalid leg.1 position_intent"),
        ([SPREAD[0], leg(HIGH, "sell_to_open", side="buy")], {}, 422, 42210000,
         "leg.1 side does not fit its position intent"),
        ([SPREAD[0], leg("", "sell_to_open")], {}, 422, 40010001, "leg.1 symbol is required"),
        ([SPREAD[0], leg("AAPL", "sell_to_open")], {}, 422, 42210000, 'contract "AAPL" not found'),
        ([SPREAD[0], leg("AAPL071221C09990000", "sell_to_open")], {}, 422, 42210000,
         'contract "AAPL071221C09990000" not found'),
        ([SPREAD[0], leg("MSFT071221C00035000", "sell_to_open")], {}, 422, 42210000,
         "the legs of an mleg order must have the same underlying"),
        ([SPREAD[0], leg(HIGH, "sell_to_close")], {}, 422, 42210000,
         "position intent mismatch, inferred: sell_to_open, specified: sell_to_close"),
        (SPREAD, {"qty": "1.5"}, 422, 42210000, "qty must be an integer for options trading"),
        (SPREAD, {"qty": None}, 422, 40010001, "qty is required"),
        (SPREAD, {"qty": 0}, 422, 40010001, "qty must be > 0"),
        (SPREAD, {"notional": 5}, 422, 42210000, "notional orders not supported for options trading"),
        (SPREAD, {"type": "stop"}, 422, 40010001, "invalid order type"),
        (SPREAD, {"type": "limit"}, 422, 40010001, "limit orders require a limit price"),
        (SPREAD, {"limit_price": 1}, 422, 40010001, "market orders require no stop or limit price"),
        (SPREAD, {"time_in_force": "gtc"}, 422, 42210000,
         "order_time_in_force provided not supported for options trading"),
        (SPREAD, {"time_in_force": ""}, 422, 40010001, "invalid time_in_force"),
        (SPREAD, {"client_order_id": "x" * 129}, 422, 40010001,
         "client_order_id must be no more than 128 characters"),
        ([leg(LOW, "buy_to_open"), leg(HIGH, "sell_to_open", 2)], {}, 403, 40310000,
         "account not eligible to trade uncovered option contracts"),
        ([leg(LOW, "buy_to_open"), leg(LATER, "sell_to_open")], {}, 403, 40310000,
         "account not eligible to trade uncovered option contracts"),
        (SPREAD, {"type": "limit", "limit_price": 4, "qty": 300}, 403, 40310000,
         "insufficient options buying power (required: 120000, available: 100000)"),
        (CREDIT, {"type": "limit", "limit_price": "-3", "qty": 200}, 403, 40310000,
         "insufficient options buying power (required: 140000, available: 100000)"),
    ],
)  # fmt: skip
def test_what_is_refused_leaves_no_trace(world, legs, fields, status, code, message):
    found, body = world.call("POST", "/v2/orders", multi(legs, **fields))
    assert (found, body["code"], body["message"]) == (status, code, message)
    assert world.get("/v2/orders", status="all") == []
    assert money(world, "options_buying_power") == 100_000


def test_a_market_order_needs_an_open_market(make_world):
    world = make_world(datetime(2007, 11, 13, 22, tzinfo=UTC))
    status, body = world.call("POST", "/v2/orders", multi(SPREAD))
    assert (status, body["message"]) == (422, "options market orders are only allowed during market hours")


def test_the_parent_has_no_symbol_and_the_legs_have_no_type(world):
    order = post(world, SPREAD, qty="3")
    empty = ("symbol", "asset_id", "asset_class", "side", "position_intent")
    assert [order[name] for name in empty] == [""] * 5
    assert (order["status"], order["order_class"], order["type"], order["qty"]) == (
        "pending_new",
        "mleg",
        "market",
        "3",
    )
    for row, asked in zip(order["legs"], SPREAD, strict=True):
        assert (row["symbol"], row["side"], row["position_intent"]) == tuple(
            asked[name] for name in ("symbol", "side", "position_intent")
        )
        assert (row["type"], row["order_class"], row["qty"], row["ratio_qty"]) == ("", "mleg", "3", "1")
        assert (row["asset_class"], row["limit_price"], row["legs"]) == ("us_option", None, None)


def test_parent_and_legs_fill_together_at_the_quotes(world):
    price, (bid, ask) = net(world, SPREAD), (quote(world, HIGH)[0], quote(world, LOW)[1])
    order = world.look(post(world, SPREAD)["id"])
    assert order["status"] == "filled"
    assert Decimal(order["filled_avg_price"]) == price == ask - bid
    assert [row["status"] for row in order["legs"]] == ["filled", "filled"]
    assert [Decimal(row["filled_avg_price"]) for row in order["legs"]] == [ask, bid]
    assert held(world) == {LOW: 1, HIGH: -1}
    assert money(world) == 100_000 - 100 * price
    fills = world.get("/v2/account/activities/FILL")
    assert {fill["order_id"] for fill in fills} == {row["id"] for row in order["legs"]}


def test_ratios_multiply(world):
    legs = [leg(LOW, "buy_to_open", 3), leg(HIGH, "sell_to_open", 2)]
    price, order = net(world, legs), world.look(post(world, legs, qty=1)["id"])
    assert [row["qty"] for row in order["legs"]] == ["3", "2"]
    assert Decimal(order["filled_avg_price"]) == price
    assert held(world) == {LOW: 3, HIGH: -2}


@pytest.mark.parametrize(("legs", "better"), [(SPREAD, Decimal("0.05")), (CREDIT, Decimal("0.05"))])
def test_a_limit_is_a_net_price_debits_above_zero_and_credits_below(world, legs, better):
    price = net(world, legs)
    assert (price > 0) == (legs is SPREAD)
    resting = post(world, legs, type="limit", limit_price=str(price - better))
    assert world.look(resting["id"])["status"] == "new"
    assert world.call("DELETE", f"/v2/orders/{resting['id']}")[0] == 204
    assert world.look(post(world, legs, type="limit", limit_price=str(price))["id"])["status"] == "filled"


def test_a_resting_order_fills_when_its_net_comes(world):
    """AAPL rose by 10 % that day: a call spread became dear, and its credit rich."""
    order = post(world, CREDIT, type="limit", limit_price=str(net(world, CREDIT) - 1))
    assert world.look(order["id"])["status"] == "new"
    world.pass_time(hours=5)
    found = world.look(order["id"])
    assert found["status"] == "filled"
    assert Decimal(found["filled_avg_price"]) <= Decimal(order["limit_price"])
    assert {row["filled_at"] for row in found["legs"]} == {found["filled_at"]}


def test_what_does_not_fill_expires_with_its_legs(world):
    order = post(world, SPREAD, type="limit", limit_price="0.05")
    world.pass_time(hours=8)
    found = world.look(order["id"])
    assert [found["status"], *(row["status"] for row in found["legs"])] == ["expired"] * 3


def test_a_partial_fill_is_of_whole_units(make_world):
    """Ten per cent of executions are partial; among the first orders of this seed there is one."""
    world = make_world(seed=3)
    for _ in range(25):
        order = world.look(post(world, SPREAD, qty="5")["id"])
        parts = [Decimal(row["filled_qty"]) for row in order["legs"]]
        assert parts == [Decimal(order["filled_qty"])] * 2
        if order["status"] == "partially_filled":
            break
        assert order["status"] == "filled"
        world.pass_time(seconds=20)
    else:
        raise AssertionError("none was filled in part")
    assert {row["status"] for row in order["legs"]} == {"partially_filled"}
    world.pass_time(minutes=2)
    assert world.look(order["id"])["status"] == "filled"


@pytest.mark.parametrize("member", [0, 1, 2])
def test_a_cancel_of_any_member_ends_all(world, member):
    order = post(world, SPREAD, type="limit", limit_price="0.05")
    ids = [order["id"], *(row["id"] for row in order["legs"])]
    assert world.call("DELETE", f"/v2/orders/{ids[member]}")[0] == 204
    assert {world.look(name)["status"] for name in ids} == {"canceled"}
    assert money(world, "options_buying_power") == 100_000


def test_a_cancel_at_night_waits_for_the_open(make_world):
    world = make_world(datetime(2007, 11, 13, 22, tzinfo=UTC))
    order = post(world, SPREAD, type="limit", limit_price="0.05")
    assert order["status"] == "accepted"
    world.call("DELETE", f"/v2/orders/{order['id']}")
    assert {row["status"] for row in world.look(order["id"])["legs"]} == {"pending_cancel"}
    world.pass_time(hours=17)
    assert [row["status"] for row in (world.look(order["id"]), *world.look(order["id"])["legs"])] == ["canceled"] * 3


def test_a_patch_of_the_limit_keeps_the_legs(world):
    price = net(world, SPREAD)
    order = post(world, SPREAD, type="limit", limit_price=str(price - 1), client_order_id="first")
    status, new = world.call("PATCH", f"/v2/orders/{order['id']}", {"limit_price": str(price - 2)})
    assert (status, new["replaces"]) == (200, order["id"])
    assert world.look(order["id"])["status"] == "replaced"
    assert [row["id"] for row in world.look(new["id"])["legs"]] == [row["id"] for row in order["legs"]]
    _, last = world.call("PATCH", f"/v2/orders/{new['id']}", {"limit_price": str(price)})
    assert world.look(last["id"])["status"] == "filled"
    assert held(world) == {LOW: 1, HIGH: -1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"qty": 2}, "the qty of an mleg order cannot be replaced"),
        ({"limit_price": "0.05"}, "order parameters are not changed"),
        ({"time_in_force": "gtc"}, "order_time_in_force provided not supported for options trading"),
    ],
)
def test_what_a_patch_may_not_change(world, changes, message):
    order = post(world, SPREAD, type="limit", limit_price="0.05")
    status, body = world.call("PATCH", f"/v2/orders/{order['id']}", changes)
    assert (status, body["message"]) == (422, message)
    status, body = world.call("PATCH", f"/v2/orders/{order['legs'][0]['id']}", {"limit_price": "1"})
    assert (status, body["message"]) == (422, "a leg of an mleg order cannot be replaced")


@pytest.mark.parametrize(("legs", "width"), [(SPREAD, 0), (CREDIT, 1000), (CONDOR, 1000)])
def test_a_spread_ties_up_what_it_can_lose(world, legs, width):
    """A debit its price; a credit the width, less what it brought; a condor loses on one side only."""
    price = net(world, legs)
    post(world, legs)
    assert money(world, "options_buying_power") == 100_000 - 100 * price - width
    assert money(world, "initial_margin") == money(world, "maintenance_margin")


def test_a_spread_is_closed_as_one(world):
    post(world, SPREAD)
    order = world.look(post(world, CLOSING)["id"])
    assert order["status"] == "filled"
    assert held(world) == {}
    assert money(world) == money(world, "equity") == money(world, "options_buying_power")


def test_closing_legs_hold_what_they_close(world):
    post(world, SPREAD)
    post(world, CLOSING, type="limit", limit_price="-9.95")
    assert {row["qty_available"] for row in world.get("/v2/positions")} == {"0"}
    status, body = world.call("POST", "/v2/orders", multi(CLOSING))
    assert (status, body["available"]) == (403, "0")


def test_nobody_sells_where_nobody_bids(world):
    """The far call of the week has no bid: the order waits."""
    far = [leg("AAPL071116C00205000", "sell_to_open"), leg("AAPL071116C00157500", "buy_to_open")]
    assert quote(world, "AAPL071116C00205000")[0] == 0
    order = post(world, far, type="limit", limit_price="50")
    assert world.look(order["id"])["status"] == "new"


def test_level_two_has_no_spreads(world):
    world.exchange.desk.configure({"max_options_trading_level": 2})
    assert world.call("POST", "/v2/orders", multi(SPREAD))[0] == 403


def test_listed_nested_and_flat(world):
    order = post(world, SPREAD)
    assert [row["id"] for row in world.get("/v2/orders", status="all", nested="true")] == [order["id"]]
    assert len(world.get("/v2/orders", status="all")) == 3
    assert world.get("/v2/orders:by_client_order_id", client_order_id=order["client_order_id"])["id"] == order["id"]


def test_a_wash_of_single_orders_does_not_look_at_legs(world):
    world.filled(**option(LOW))
    post(world, SPREAD, type="limit", limit_price="0.05")
    assert world.call("POST", "/v2/orders", option(LOW, side="sell"))[0] == 200


@pytest.mark.parametrize(
    ("kind", "ends"),
    [
        ("cancel_stuck", "canceled"),
        ("cancel_filled", "filled"),
        ("replace_filled", "filled"),
        ("replace_rejected", "new"),
    ],
)
def test_faults_of_a_pending_order(world, kind, ends):
    order = post(world, SPREAD, type="limit", limit_price="0.05")
    world.faults.replace([{"kind": kind, "seconds": 60}])
    new = order
    if kind.startswith("cancel"):
        world.call("DELETE", f"/v2/orders/{order['id']}")
    else:
        _, new = world.call("PATCH", f"/v2/orders/{order['id']}", {"limit_price": "0.10"})
    world.pass_time(minutes=2)
    found = world.look(order["id"])
    assert found["status"] == ends
    if ends == "filled":
        assert {row["status"] for row in found["legs"]} == {"filled"}
    if kind.startswith("replace"):
        assert world.look(new["id"])["status"] == "rejected"
