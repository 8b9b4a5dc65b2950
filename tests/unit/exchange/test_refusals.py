"""What the exchange says no to, with Alpaca's status, code and message; and that a no leaves no trace."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.unit.exchange.conftest import order_body

STOP_LIMIT = {"type": "stop_limit", "stop_price": 1}
SUB_PENNY = "sub-penny increment does not fulfill minimum pricing criteria"
LONG_ID = {"client_order_id": "x" * 129}
LIMIT = {"type": "limit", "limit_price": "100"}


def bracket(profit: object = None, stop: object = None, **more: object) -> dict[str, object]:
    legs = {
        "take_profit": {"limit_price": profit} if profit else None,
        "stop_loss": {"stop_price": stop} if stop else None,
    }
    return {"order_class": "bracket"} | legs | more


@pytest.mark.parametrize(
    ("fields", "status", "code", "message"),
    [
        ({"qty": 0}, 422, 40010001, "qty must be > 0"),
        ({"qty": None}, 422, 40010001, "qty or notional is required"),
        ({"qty": ""}, 422, 40010001, "qty or notional is required"),
        ({"notional": 5}, 422, 40010001, "only one of qty or notional is accepted"),
        ({"qty": "ten"}, 422, 40010001, "invalid qty"),
        ({"qty": True}, 422, 40010001, "invalid qty"),
        ({"qty": "NaN"}, 422, 40010001, "invalid qty"),
        ({"side": "hold"}, 422, 40010001, "invalid side"),
        ({"time_in_force": ""}, 422, 40010001, "invalid time_in_force"),
        ({"type": "bogus"}, 422, 40010001, "invalid order type"),
        ({"type": "limit"}, 422, 40010001, "limit orders require a limit price"),
        ({"type": "stop"}, 422, 40010001, "stop orders require a stop price"),
        (STOP_LIMIT, 422, 40010001, "stop limit orders require both stop and limit price"),
        ({"limit_price": 5}, 422, 40010001, "market orders require no stop or limit price"),
        ({"type": "limit", "limit_price": 0}, 422, 40010001, "limit price must be > 0"),
        (LONG_ID, 422, 40010001, "client_order_id must be no more than 128 characters"),
        ({"symbol": "ZZZZ"}, 422, 42210000, 'asset "ZZZZ" not found'),
        ({"symbol": "FB"}, 422, 42210000, 'asset "FB" is not tradable'),  # it is 2007
        (
            {"type": "limit", "limit_price": "290.123"},
            422,
            42210000,
            "invalid limit_price 290.123. sub-penny increment does not fulfill minimum pricing criteria",
        ),
        ({"qty": "1.5", "time_in_force": "gtc"}, 422, 42210000, "fractional orders must be DAY orders"),
        ({"qty": "1.5"} | bracket(300, 100), 422, 42210000, "fractional orders must be simple orders"),
        ({"extended_hours": True}, 422, 42210000, "extended hours order must be DAY or GTC limit orders"),
        (bracket(None, 100), 422, 40010001, "bracket orders require take_profit.limit_price"),
        (bracket(300, None), 422, 40010001, "bracket orders require stop_loss.stop_price"),
        (bracket(100, 90) | LIMIT, 422, 42210000, "take_profit.limit_price must be >= base_price + 0.01"),
        (bracket(101, 100) | LIMIT, 422, 42210000, "stop_loss.stop_price must be <= base_price - 0.01"),
        (bracket(300, 400), 422, 42210000, "take_profit.limit_price must be > stop_loss.stop_price"),
        (bracket(300, 100, side="sell"), 422, 42210000,
         "take_profit.limit_price must be < stop_loss.stop_price"),
        (bracket(300.123, 100), 422, 42210000, f"invalid take_profit.limit_price 300.123. {SUB_PENNY}"),
        ({"qty": 100_000}, 403, 40310000, "insufficient buying power"),
        ({"side": "sell", "qty": "1.5"}, 403, 40310000, "fractional orders cannot be sold short"),
        ({"order_class": "oco", "side": "sell", "type": "limit", "take_profit": {"limit_price": 300},
          "stop_loss": {"stop_price": 100}}, 422, 42210000, "oco orders must be exit orders"),
    ],
)  # fmt: skip
def test_refusals(world, fields, status, code, message):
    body = order_body(client_order_id="mine") | fields
    assert world.call("POST", "/v2/orders", body)[0] == status
    got = world.call("POST", "/v2/orders", body)[1]
    assert (got["code"], got["message"]) == (code, message)
    assert world.get("/v2/orders", status="all") == []
    assert [row["status"] for row in world.exchange.log()] == [status, status]
    if len(body["client_order_id"]) <= 128:  # the id was not consumed
        assert world.order(client_order_id=body["client_order_id"])["client_order_id"] == body["client_order_id"]


def test_the_id_is_unique_for_ever(world):
    first = world.order(client_order_id="mine", type="limit", limit_price=1)
    for _ in range(2):
        status, body = world.call("POST", "/v2/orders", order_body(client_order_id="mine"))
        assert (status, body) == (422, {"code": 40010001, "message": "client_order_id must be unique"})
        world.call("DELETE", f"/v2/orders/{first['id']}")
        world.pass_time(days=13)
    assert world.get("/v2/orders:by_client_order_id", client_order_id="mine")["id"] == first["id"]


@pytest.mark.parametrize(
    ("resting", "new", "reason"),
    [
        ({"side": "sell", "type": "stop", "stop_price": 1}, {}, "market/stop"),
        (
            {"side": "sell", "type": "stop", "stop_price": 1},
            {"type": "limit", "limit_price": 2},
            "market/stop",
        ),
        ({"side": "sell", "type": "limit", "limit_price": 900}, {}, "limit"),
        (
            {"side": "sell", "type": "limit", "limit_price": 900},
            {"type": "limit", "limit_price": 900},
            "limit",
        ),
        ({"side": "sell", "type": "limit", "limit_price": 900}, {"type": "stop", "stop_price": 950}, "limit"),
        ({"side": "sell", "type": "limit", "limit_price": 900}, {"type": "limit", "limit_price": 90}, None),
    ],
)
def test_the_wash_trade_table(world, resting, new, reason):
    world.filled()
    there = world.order(**resting)
    status, body = world.call("POST", "/v2/orders", order_body(qty=1) | new)
    if reason is None:
        assert status == 200
        return
    assert (status, body["code"]) == (403, 40310000)
    assert body["message"] == "potential wash trade detected. use complex orders"
    assert body["existing_order_id"] == there["id"]
    assert body["reject_reason"] == f"opposite side {reason} order exists"


def test_a_bracket_pair_holds_its_shares_once_and_all_of_them(world):
    entry = world.filled(bracketed=True)
    assert world.get("/v2/positions/AAPL")["qty_available"] == "0"
    status, body = world.call("POST", "/v2/orders", order_body(side="sell", qty=3))
    assert (status, body["code"]) == (403, 40310000)
    assert body["message"] == "insufficient qty available for order (requested: 3, available: 0)"
    assert (body["available"], body["existing_qty"], body["held_for_orders"]) == ("0", "10", "10")
    assert sorted(body["related_orders"]) == sorted(leg["id"] for leg in entry["legs"])
    assert world.call("DELETE", "/v2/positions/AAPL")[0] == 403
    status, rows = world.call("DELETE", "/v2/positions", cancel_orders="true")
    assert (status, rows[0]["status"], rows[0]["body"]["qty"]) == (207, 200, "10")


def test_no_flip_through_zero_and_no_crossed_entries(world):
    world.filled()
    status, body = world.call("POST", "/v2/orders", order_body(side="sell", qty=11))
    assert (status, body["available"]) == (403, "10")
    world.order(symbol="MSFT", type="limit", limit_price=1)
    status, body = world.call(
        "POST", "/v2/orders", order_body(symbol="MSFT", side="sell", type="limit", limit_price=900)
    )
    assert (status, body["message"]) == (403, "cannot open a short sell while a long buy order is open")


def test_open_buys_reserve_buying_power(world):
    before = float(world.get("/v2/account")["buying_power"])
    order = world.order(type="limit", limit_price=50, qty=100)
    assert float(world.get("/v2/account")["buying_power"]) == before - 5000
    world.call("DELETE", f"/v2/orders/{order['id']}")
    assert float(world.get("/v2/account")["buying_power"]) == before


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "message"),
    [
        ("GET", "/v2/nothing", 404, 40410000, "endpoint not found"),
        ("GET", "/v2/orders/61e69015-8549-4bfd-b9c3-01e75843f47d", 404, 40410000,
         "order not found for 61e69015-8549-4bfd-b9c3-01e75843f47d"),
        ("GET", "/v2/orders:by_client_order_id?client_order_id=X", 404, 40410000, "order not found for X"),
        ("GET", "/v2/positions/AAPL", 404, 40410000, "position does not exist"),
        ("DELETE", "/v2/positions/AAPL", 404, 40410000, "position does not exist"),
        ("GET", "/v2/assets/ZZZZ", 404, 40410000, "asset not found for ZZZZ"),
        ("GET", "/v2/orders?status=lost", 422, 40010001, "invalid status"),
    ],
)  # fmt: skip
def test_look_ups_that_miss(world, method, path, status, code, message):
    assert world.call(method, path) == (status, {"code": code, "message": message})


def test_keys_are_required_and_the_control_token_is_another(world):
    wrong = {"code": 40110000, "message": "request is not authorized"}
    for header in ("APCA-API-KEY-ID", "APCA-API-SECRET-KEY"):
        reply = world.session.get(world.session.url + "/v2/account", headers={header: "bad"})
        assert (reply.status_code, reply.json()) == (401, wrong)
        assert reply.headers["X-Request-ID"]
    url = world.session.url + "/_exchange/"
    assert world.session.get(url + "clock", headers={"APCA-API-KEY-ID": "bad"}).status_code == 200
    for token in ("", world.exchange.secret_key):
        assert world.session.get(url + "log", headers={"X-Exchange-Token": token}).status_code == 401
        reply = world.session.post(url + "advance", json={"to": "2007-11-14"}, headers={"X-Exchange-Token": token})
        assert reply.status_code == 401
    assert world.session.get(url + "log", headers={"X-Exchange-Token": "token"}).json() == []


def test_after_the_last_day_it_is_closed_for_good(make_world):
    world = make_world(datetime(2013, 3, 1, 20, 0, tzinfo=UTC))
    world.filled()
    world.pass_time(days=4)
    assert world.get("/v2/clock")["is_open"] is False
    assert world.get("/_exchange/clock")["closed_for_good"] is True
    assert world.get("/_exchange/clock")["last_day"] == "2013-03-01"
    status, body = world.call("POST", "/v2/orders", order_body(side="sell"))
    assert (status, body["message"]) == (422, 'asset "AAPL" is not tradable')
    assert "2013-03-01" in body["detail"]
    position = world.get("/v2/positions/AAPL")
    assert (position["lastday_price"], position["current_price"]) == ("430.47", str(world.last())), "the evening's"
