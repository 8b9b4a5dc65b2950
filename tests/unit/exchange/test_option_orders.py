"""Orders for one contract: what is refused, what it costs, how it lives; and what covers what."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.exchange.conftest import World

CALL, PUT, HIGHER = "AAPL071221C00160000", "AAPL071221P00150000", "AAPL071221C00170000"
EVENING = datetime(2007, 11, 13, 22, tzinfo=UTC)
LAST_HOUR = datetime(2007, 11, 16, 20, 30, tzinfo=UTC)  # 15:30 in New York, on a day of expiry
LIMIT = {"type": "limit", "limit_price": "1.00"}


def option(symbol: str = CALL, **fields: Any) -> dict[str, Any]:
    return {"symbol": symbol, "qty": 1, "side": "buy", "type": "market", "time_in_force": "day"} | fields


def quote(world: World, symbol: str) -> tuple[Decimal, Decimal]:
    found = world.get("/v1beta1/options/quotes/latest", symbols=symbol)["quotes"][symbol]
    return Decimal(str(found["bp"])), Decimal(str(found["ap"]))


def held(world: World) -> dict[str, Decimal]:
    return {row["symbol"]: Decimal(row["qty"]) for row in world.get("/v2/positions")}


def money(world: World, name: str = "cash") -> Decimal:
    return Decimal(world.get("/v2/account")[name])


@pytest.mark.parametrize(
    ("fields", "status", "code", "message"),
    [
        ({"symbol": "AAPL071221C09990000"}, 422, 42210000, 'asset "AAPL071221C09990000" not found'),
        ({"symbol": "AAPL071220C00160000"}, 422, 42210000, 'asset "AAPL071220C00160000" not found'),
        ({"symbol": "AAPL071109C00160000"}, 422, 42210000, 'asset "AAPL071109C00160000" is not tradable'),
        ({"qty": "1.5"}, 422, 42210000, "qty must be an integer for options trading"),
        ({"qty": 0}, 422, 40010001, "qty must be > 0"),
        ({"qty": None}, 422, 40010001, "qty or notional is required"),
        ({"qty": None, "notional": 100}, 422, 42210000, "notional orders not supported for options trading"),
        ({"time_in_force": "gtc"}, 422, 42210000, "order_time_in_force provided not supported for options trading"),
        ({"time_in_force": "later"}, 422, 40010001, "invalid time_in_force"),
        (LIMIT | {"extended_hours": True}, 422, 42210000, "extended hours not supported for options trading"),
        ({"type": "trailing_stop", "trail_percent": 5}, 422, 42210000, "order type not supported for options trading"),
        ({"order_class": "bracket", "take_profit": {"limit_price": 20}, "stop_loss": {"stop_price": 1}}, 422, 42210000,
         "complex orders not supported for options trading"),
        ({"type": "limit", "limit_price": "1.001"}, 422, 42210000,
         "invalid limit_price 1.001. sub-penny increment does not fulfill minimum pricing criteria"),
        ({"type": "limit"}, 422, 40010001, "limit orders require a limit price"),
        ({"position_intent": "sell_to_open"}, 422, 42210000,
         "position intent mismatch, inferred: buy_to_open, specified: sell_to_open"),
        ({"position_intent": "buy_to_close"}, 422, 42210000,
         "position intent mismatch, inferred: buy_to_open, specified: buy_to_close"),
        ({"position_intent": "buy_to_gain"}, 422, 40010001, "invalid position_intent"),
        ({"side": "sell"}, 403, 40310000, "account not eligible to trade uncovered option contracts"),
        ({"qty": 1000}, 403, 40310000, "insufficient options buying power (required: 950000, available: 100000)"),
        ({"symbol": PUT, "side": "sell", "qty": 7} | LIMIT, 403, 40310000,
         "insufficient options buying power (required: 104300, available: 100000)"),
    ],
)  # fmt: skip
def test_what_is_refused_leaves_no_trace(world, fields, status, code, message):
    found, body = world.call("POST", "/v2/orders", option(**fields))
    assert (found, body.get("code"), body.get("message")) == (status, code, message)
    assert world.get("/v2/orders", status="all") == []


def test_a_market_order_needs_an_open_market(make_world):
    world = make_world(EVENING)
    status, body = world.call("POST", "/v2/orders", option())
    assert (status, body["message"]) == (422, "options market orders are only allowed during market hours")
    assert world.order(**option(**LIMIT))["status"] == "accepted"


def test_nothing_is_opened_in_the_last_half_hour_of_a_contract(make_world):
    world = make_world(LAST_HOUR.replace(minute=29))
    symbol = "AAPL071116C00160000"
    world.filled(**option(symbol))
    world.pass_time(minutes=1)
    status, body = world.call("POST", "/v2/orders", option(symbol))
    assert (status, body["code"]) == (422, 42210000)
    assert "cannot be opened after 3:30pm" in body["message"]
    world.order(**option(CALL))  # another expiry
    assert world.filled(**option(symbol, side="sell"))["position_intent"] == "sell_to_close"


def test_a_buy_costs_a_hundred_times_the_ask(world):
    ask = quote(world, CALL)[1]
    order = world.filled(**option(qty=2))
    assert order["filled_avg_price"] == str(ask)
    assert order["asset_class"] == "us_option"
    assert order["asset_id"] == world.get(f"/v2/options/contracts/{CALL}")["id"]
    assert money(world) == 100_000 - 200 * ask
    position = world.get(f"/v2/positions/{CALL}")
    assert position == world.get(f"/v2/positions/{order['asset_id']}")
    assert (position["exchange"], position["asset_class"], position["qty"]) == ("", "us_option", "2")
    assert Decimal(position["cost_basis"]) == 200 * ask
    assert Decimal(position["market_value"]) == 200 * Decimal(position["current_price"])
    assert money(world, "equity") == money(world) + Decimal(position["market_value"])


def test_the_reply_comes_before_the_fill(world):
    assert world.order(**option())["status"] == "pending_new"


def test_by_contract_id(world):
    contract = world.get(f"/v2/options/contracts/{CALL}")
    assert world.order(**option(contract["id"], qty=1))["symbol"] == CALL


def test_a_resting_limit_meets_the_quotes_that_come(world):
    """AAPL rose by 10 % that day."""
    low = world.order(**option(PUT, type="limit", limit_price=str(quote(world, PUT)[1] - 1)))
    never = world.order(**option(CALL, type="limit", limit_price="0.10"))
    world.pass_time(hours=6)
    assert world.look(low["id"])["status"] == "filled"
    assert Decimal(world.look(low["id"])["filled_avg_price"]) <= Decimal(low["limit_price"])
    assert world.look(never["id"])["status"] == "expired"
    assert world.look(never["id"])["expired_at"] == "2007-11-13T21:00:00Z"


def test_a_stop_elects_on_the_last_trade(world):
    world.filled(**option(CALL))
    last = world.get("/v1beta1/options/trades/latest", symbols=CALL)["trades"][CALL]["p"]
    stop = world.order(**option(CALL, side="sell", type="stop", stop_price=str(round(last * 0.98, 2))))
    assert world.look(stop["id"])["status"] == "new"
    world.pass_time(hours=1)
    assert world.look(stop["id"])["status"] == "filled"


def test_the_same_seed_fills_the_same(make_world):
    def story() -> Any:
        world = make_world()
        world.order(**option(CALL, qty=9))
        world.order(**option(PUT, qty=9, type="limit", limit_price=str(quote(world, PUT)[1] - 1)))
        world.pass_time(hours=5)
        return world.get("/v2/account/activities")

    assert story() == story()


def test_a_patch_makes_another_order(world):
    order = world.order(**option(**LIMIT))
    status, new = world.call("PATCH", f"/v2/orders/{order['id']}", {"limit_price": "1.05", "qty": "2"})
    assert (status, new["replaces"], new["limit_price"], new["qty"]) == (200, order["id"], "1.05", "2")
    assert world.look(order["id"])["status"] == "replaced"
    assert world.look(new["id"])["status"] == "new"
    status, body = world.call("PATCH", f"/v2/orders/{new['id']}", {"limit_price": "1.05"})
    assert (status, body["message"]) == (422, "order parameters are not changed")
    ask = quote(world, CALL)[1]
    status, last = world.call("PATCH", f"/v2/orders/{new['id']}", {"limit_price": str(ask)})
    assert world.look(last["id"])["filled_qty"] != "0"


def test_open_orders_block_their_cost_and_a_patch_blocks_the_new_one(world):
    order = world.order(**option(qty=3, **LIMIT))
    assert money(world, "options_buying_power") == 100_000 - 300
    _, new = world.call("PATCH", f"/v2/orders/{order['id']}", {"limit_price": "2"})
    assert money(world, "options_buying_power") == 100_000 - 600
    assert world.call("DELETE", f"/v2/orders/{new['id']}")[0] == 204
    assert money(world, "options_buying_power") == 100_000


def test_a_cancel_at_night_waits_for_the_open(make_world):
    world = make_world(EVENING)
    order = world.order(**option(**LIMIT))
    assert world.call("DELETE", f"/v2/orders/{order['id']}")[0] == 204
    assert world.look(order["id"])["status"] == "pending_cancel"
    world.pass_time(hours=17)
    assert world.look(order["id"])["status"] == "canceled"


def test_an_exit_takes_no_more_than_is_there(world):
    world.filled(**option(qty=2))
    world.order(**option(side="sell", type="limit", limit_price="90"))
    assert world.get(f"/v2/positions/{CALL}")["qty_available"] == "1"
    status, body = world.call("POST", "/v2/orders", option(side="sell", qty=2))
    assert (status, body["message"]) == (403, "insufficient qty available for order (requested: 2, available: 1)")


def test_opposite_orders_do_not_meet_each_other(world):
    world.filled(**option())
    world.order(**option(side="sell", type="limit", limit_price="20"))
    status, body = world.call("POST", "/v2/orders", option(type="limit", limit_price="20"))
    assert (status, body["reject_reason"]) == (403, "opposite side limit order exists")


def test_shares_cover_a_call_and_are_held_for_it(world):
    world.filled(qty=250)
    assert world.filled(**option(side="sell", qty=2))["position_intent"] == "sell_to_open"
    assert world.get("/v2/positions/AAPL")["qty_available"] == "50"
    assert world.call("POST", "/v2/orders", option(side="sell"))[1]["message"].startswith("account not eligible")
    status, body = world.call("DELETE", "/v2/positions/AAPL")
    assert (status, body["available"], body["held_for_orders"]) == (403, "50", "200")
    assert world.call("DELETE", f"/v2/positions/{CALL}")[0] == 200
    assert world.get("/v2/positions/AAPL")["qty_available"] == "250"


def test_a_resting_sale_of_a_call_needs_its_shares_too(world):
    world.filled(qty=100)
    world.order(**option(side="sell", type="limit", limit_price="90"))
    assert world.call("POST", "/v2/orders", option(HIGHER, side="sell"))[0] == 403
    assert world.get("/v2/positions/AAPL")["qty_available"] == "0"


def test_a_put_is_secured_by_the_cash_of_its_strike(world):
    before = money(world, "options_buying_power")
    order = world.filled(**option(PUT, side="sell", qty=2))
    credit = 200 * Decimal(order["filled_avg_price"])
    assert money(world) == 100_000 + credit
    assert money(world, "options_buying_power") == before + credit - 2 * 15_000
    position = world.get(f"/v2/positions/{PUT}")
    assert (position["side"], position["qty"]) == ("short", "-2")
    assert Decimal(position["market_value"]) < 0
    assert world.call("DELETE", f"/v2/positions/{PUT}")[0] == 200
    assert held(world) == {}


def test_a_long_call_covers_a_short_one_of_a_higher_strike(world):
    world.filled(**option(CALL))
    world.filled(**option(HIGHER, side="sell"))
    status, body = world.call("POST", "/v2/orders", option(CALL, side="sell"))
    assert (status, body["message"]) == (403, "account not eligible to trade uncovered option contracts")
    world.filled(**option(HIGHER))
    world.filled(**option(CALL, side="sell"))
    assert held(world) == {}


@pytest.mark.parametrize(
    ("level", "fields", "allowed"),
    [
        (0, {"symbol": PUT, "side": "sell"}, False),
        (1, {"symbol": PUT, "side": "sell"}, True),
        (1, {"symbol": CALL}, False),
        (2, {"symbol": CALL}, True),
        (2, {"symbol": CALL, "side": "sell"}, False),
        (3, {"symbol": CALL, "side": "sell"}, False),
    ],
)
def test_levels(world, level, fields, allowed):
    world.exchange.desk.configure({"max_options_trading_level": level})
    assert world.get("/v2/account")["options_trading_level"] == level
    status, _ = world.call("POST", "/v2/orders", option(**fields))
    assert status == (200 if allowed else 403)


def test_below_level_three_a_long_call_covers_nothing(world):
    world.filled(**option(CALL))
    world.exchange.desk.configure({"max_options_trading_level": 2})
    assert world.call("POST", "/v2/orders", option(HIGHER, side="sell"))[0] == 403


def test_closing_everything_closes_what_is_covered_first(world):
    world.filled(qty=100)
    world.filled(**option(HIGHER, side="sell"))
    world.filled(**option(PUT))
    status, rows = world.call("DELETE", "/v2/positions")
    assert (status, {row["status"] for row in rows}) == (207, {200})
    assert [row["symbol"] for row in rows] == [HIGHER, PUT, "AAPL"]
    world.pass_time(minutes=1)
    assert held(world) == {}


def test_a_part_of_a_position_is_whole_contracts(world):
    world.filled(**option(qty=3))
    status, order = world.call("DELETE", f"/v2/positions/{CALL}", percentage=50)
    assert (status, order["qty"]) == (200, "1")


def test_owner_hands_may_trade_contracts(world):
    world.faults.replace([{"kind": "hand", "order": option()}])
    world.pass_time(seconds=1)
    assert held(world) == {CALL: 1}
