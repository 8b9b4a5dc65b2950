"""What the exchange says no to: a row for each refusal of BEHAVIOUR 3, with Alpaca's status, code and message; and
that a no leaves no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

import pytest

from tests.unit.exchange.conftest import IN_SESSION, World, order_body

BAD, UNFIT, NO = (422, 40010001), (422, 42210000), (403, 40310000)
SUB_PENNY = "sub-penny increment does not fulfill minimum pricing criteria"
WASH = "potential wash trade detected. use complex orders"
LIMIT = {"type": "limit", "limit_price": "100"}
SHORT = {"side": "sell", "type": "limit", "limit_price": "900"}
TRAIL = {"type": "trailing_stop", "time_in_force": "gtc"}


def new_york(text: str) -> datetime:
    """An instant of November 2007 in New York (five hours behind): "13 10:00"."""
    day, clock = text.split()
    hour, minute = map(int, clock.split(":"))
    return datetime(2007, 11, int(day) + (hour + 5) // 24, (hour + 5) % 24, minute, tzinfo=UTC)


def bracket(profit: object = None, stop: object = None, **more: object) -> dict[str, object]:
    legs = {
        "take_profit": {"limit_price": profit} if profit else None,
        "stop_loss": {"stop_price": stop} if stop else None,
    }
    return {"order_class": "bracket"} | legs | more


def holding(qty: object = 10, **more: object) -> Callable[[World], None]:
    def set_up(world: World) -> None:
        world.filled(qty=qty, **more)

    return set_up


def resting(**fields: object) -> Callable[[World], None]:
    def set_up(world: World) -> None:
        world.order(**fields)

    return set_up


def holding_and_resting(**fields: object) -> Callable[[World], None]:
    def set_up(world: World) -> None:
        world.filled(qty=10)
        world.order(**fields)

    return set_up


def configured(**changes: object) -> Callable[[World], None]:
    def set_up(world: World) -> None:
        with world.exchange.step():
            world.exchange.desk.configure(changes)

    return set_up


def poor(world: World) -> None:
    """Less than $2,000 of equity: no margin, no shorts."""
    world.exchange.book.account.cash = Decimal("1999.99")


def overexposed(world: World) -> None:
    """A position of more than six times the equity, after a loss."""
    world.filled(qty=100)
    worth = world.exchange.mark("AAPL") * 100
    world.exchange.book.account.cash = worth / 7 - worth


class Row(NamedTuple):
    """``where`` in BEHAVIOUR 3; ``context`` is what the body has besides code and message, None for anything."""

    where: str
    fields: Mapping[str, object]
    kind: tuple[int, int]
    message: str
    set_up: Callable[[World], None] | None = None
    start: datetime = IN_SESSION
    context: Mapping[str, object] | None = {}


ROWS = [
    Row("shape", {"client_order_id": "x" * 129}, BAD, "client_order_id must be no more than 128 characters"),
    Row("shape", {"qty": 0}, BAD, "qty must be > 0"),
    Row("shape", {"qty": "-1"}, BAD, "qty must be > 0"),
    Row("shape", {"type": "limit", "limit_price": 0}, BAD, "limit price must be > 0"),
    Row("shape", {"type": "stop", "stop_price": -1}, BAD, "stop price must be > 0"),
    Row("shape", {"qty": None}, BAD, "qty or notional is required"),
    Row("shape", {"qty": ""}, BAD, "qty or notional is required"),
    Row("shape", {"notional": 5}, BAD, "only one of qty or notional is accepted"),
    Row("shape", {"qty": "ten"}, BAD, "invalid qty"),
    Row("shape", {"qty": True}, BAD, "invalid qty"),
    Row("shape", {"qty": "NaN"}, BAD, "invalid qty"),
    Row("shape", {"side": "hold"}, BAD, "invalid side"),
    Row("shape", {"symbol": None}, BAD, "symbol is required"),
    Row("shape", {"time_in_force": ""}, BAD, "invalid time_in_force"),
    Row("shape", {"time_in_force": "gtd"}, BAD, "invalid time_in_force"),
    Row("shape", {"type": "bogus"}, BAD, "invalid order type"),
    Row("shape", {"order_class": "pair"}, BAD, "invalid order_class"),
    Row("shape", {"position_intent": "buy"}, BAD, "invalid position_intent"),
    Row("shape", {"extended_hours": "maybe"}, BAD, "invalid extended_hours"),
    Row("shape", {"type": "limit"}, BAD, "limit orders require a limit price"),
    Row("shape", {"type": "stop"}, BAD, "stop orders require a stop price"),
    Row("shape", {"type": "stop_limit", "stop_price": 1}, BAD,
        "stop limit orders require both stop and limit price"),
    Row("shape", {"type": "stop_limit", "limit_price": 1}, BAD,
        "stop limit orders require both stop and limit price"),
    Row("shape", {"limit_price": 5}, BAD, "market orders require no stop or limit price"),
    Row("shape", {"stop_price": 5}, BAD, "market orders require no stop or limit price"),
    Row("shape", LIMIT | {"stop_price": 5}, BAD, "limit orders require no stop price"),
    Row("trailing", TRAIL, BAD, "trailing stop orders must specify one of trail_price or trail_percent"),
    Row("trailing", TRAIL | {"trail_price": 1, "trail_percent": 1}, BAD,
        "trailing stop orders must specify one of trail_price or trail_percent"),
    Row("trailing", TRAIL | {"trail_percent": "0.09"}, BAD, "trail_percent must be >= 0.1"),
    Row("trailing", TRAIL | {"trail_price": 0}, BAD, "trail_price must be > 0"),
    Row("trailing", TRAIL | {"trail_price": 1, "time_in_force": "ioc"}, UNFIT,
        "trailing_stop orders must be DAY or GTC orders"),
    Row("trailing", LIMIT | {"trail_price": 1}, BAD, "only trailing stop orders have a trail_price or trail_percent"),
    Row("classes", bracket(None, 100), BAD, "bracket orders require take_profit.limit_price"),
    Row("classes", bracket(300, None), BAD, "bracket orders require stop_loss.stop_price"),
    Row("classes", bracket(300, 100, time_in_force="ioc"), UNFIT, "bracket orders must be DAY or GTC orders"),
    Row("classes", LIMIT | bracket(300, 90, extended_hours=True), UNFIT,
        "bracket orders cannot be extended hours orders"),
    Row("classes", bracket(300, 100, side="sell") | {"order_class": "oto"}, UNFIT,
        "oto orders require exactly one of take_profit.limit_price and stop_loss.stop_price"),
    Row("classes", {"stop_loss": {"stop_price": 100}}, UNFIT, "simple orders cannot have take_profit or stop_loss"),
    Row("classes", {"order_class": "oco", "side": "sell", "take_profit": {"limit_price": 300}} |
        {"stop_loss": {"stop_price": 100}, "type": "limit"}, UNFIT, "oco orders must be exit orders"),
    Row("classes", bracket(200, 100), UNFIT, "bracket orders must be entry orders", holding(side="sell")),
    Row("prices", {"type": "limit", "limit_price": "290.123"}, UNFIT, f"invalid limit_price 290.123. {SUB_PENNY}"),
    Row("prices", {"type": "stop", "stop_price": 290.123}, UNFIT, f"invalid stop_price 290.123. {SUB_PENNY}"),
    Row("prices", {"type": "limit", "limit_price": "0.12345"}, UNFIT, f"invalid limit_price 0.12345. {SUB_PENNY}"),
    Row("prices", bracket(300.123, 100), UNFIT, f"invalid take_profit.limit_price 300.123. {SUB_PENNY}"),
    Row("prices", bracket(300, 100.001), UNFIT, f"invalid stop_loss.stop_price 100.001. {SUB_PENNY}"),
    Row("prices", TRAIL | {"trail_price": "1.001"}, UNFIT, f"invalid trail_price 1.001. {SUB_PENNY}"),
    Row("assets", {"symbol": "ZZZZ"}, UNFIT, 'asset "ZZZZ" not found'),
    Row("assets", {"symbol": "FB"}, UNFIT, 'asset "FB" is not tradable', context=None),  # it is 2007
    Row("fractions", {"qty": "1.5", "time_in_force": "gtc"}, UNFIT, "fractional orders must be DAY orders"),
    Row("fractions", {"qty": None, "notional": 9, "time_in_force": "fok"}, UNFIT,
        "fractional orders must be DAY orders"),
    Row("fractions", {"qty": "1.5"} | bracket(300, 100), UNFIT, "fractional orders must be simple orders"),
    Row("fractions", TRAIL | {"trail_price": 1, "qty": "1.5", "time_in_force": "day"}, UNFIT,
        "fractional orders must be market, limit, stop, or stop_limit orders"),
    Row("fractions", {"qty": "0.0000000001"}, BAD, "qty must be limited to 9 decimal places"),
    Row("fractions", {"qty": None, "notional": "0.99"}, BAD, "notional must be >= 1.00"),
    Row("fractions", {"qty": None, "notional": "1.0000000001"}, BAD, "notional must be limited to 9 decimal places"),
    Row("fractions", {"symbol": "BRK.A", "qty": "0.5"}, NO, 'asset "BRK.A" is not fractionable'),
    Row("fractions", {"qty": "0.5"}, NO, "account is not allowed to trade fractional shares",
        configured(fractional_trading=False)),
    Row("extended hours", {"extended_hours": True}, UNFIT, "extended hours order must be DAY or GTC limit orders"),
    Row("extended hours", LIMIT | {"extended_hours": True, "time_in_force": "ioc"}, UNFIT,
        "extended hours order must be DAY or GTC limit orders"),
    Row("legs", bracket(100, 90) | LIMIT, UNFIT, "take_profit.limit_price must be >= base_price + 0.01",
        context={"base_price": "100"}),
    Row("legs", bracket(101, 100) | LIMIT, UNFIT, "stop_loss.stop_price must be <= base_price - 0.01",
        context={"base_price": "100"}),
    Row("legs", bracket(100, 110, side="sell") | LIMIT, UNFIT, "take_profit.limit_price must be <= base_price - 0.01",
        context={"base_price": "100"}),
    Row("legs", bracket(90, 100, side="sell") | LIMIT, UNFIT, "stop_loss.stop_price must be >= base_price + 0.01",
        context={"base_price": "100"}),
    Row("legs", bracket(300, 400), UNFIT, "take_profit.limit_price must be > stop_loss.stop_price"),
    Row("legs", bracket(300, 100, side="sell"), UNFIT, "take_profit.limit_price must be < stop_loss.stop_price"),
    Row("intent", {"position_intent": "sell_to_close"}, UNFIT,
        "position intent mismatch, inferred: buy_to_open, specified: sell_to_close"),
    Row("money", LIMIT | {"qty": 4001}, NO, "insufficient buying power",
        context={"buying_power": "400000", "cost_basis": "400100"}),
    Row("money", {"qty": None, "notional": 400_001}, NO, "insufficient buying power",
        context={"buying_power": "400000", "cost_basis": "400001"}),
    Row("money", LIMIT | {"qty": 20}, NO, "insufficient buying power", poor,
        context={"buying_power": "1999.99", "cost_basis": "2000"}),
    Row("money", LIMIT | {"qty": 1001}, NO, "insufficient buying power", configured(max_margin_multiplier="1"),
        context={"buying_power": "100000", "cost_basis": "100100"}),
    Row("money", LIMIT | {"qty": 2001}, NO, "insufficient buying power", configured(max_margin_multiplier="2"),
        context={"buying_power": "200000", "cost_basis": "200100"}),
    Row("money", {"symbol": "MSFT"}, NO, "your account is set to liquidation only", overexposed),
    Row("quantity", {"side": "sell", "qty": 11}, NO,
        "insufficient qty available for order (requested: 11, available: 10)", holding(),
        context={"available": "10", "existing_qty": "10", "held_for_orders": "0", "related_orders": [],
                 "symbol": "AAPL"}),
    Row("quantity", {"side": "sell", "qty": 3}, NO, "insufficient qty available for order (requested: 3, available: 2)",
        holding_and_resting(side="sell", qty=8, type="stop", stop_price=1), context=None),
    Row("quantity", {"qty": 6}, NO, "insufficient qty available for order (requested: 6, available: 5)",
        holding(5, side="sell"), context=None),
    Row("wash", {}, NO, WASH, holding_and_resting(side="sell", type="stop", stop_price=1), context=None),
    Row("shorts", {"side": "sell"}, NO, "account is not allowed to short", configured(no_shorting=True)),
    Row("shorts", {"side": "sell", "qty": 1}, NO, "account is not allowed to short", poor),
    Row("shorts", {"side": "sell", "qty": 1, "symbol": "BRK.A"}, NO, 'asset "BRK.A" cannot be sold short'),
    Row("shorts", {"side": "sell", "qty": "1.5"}, NO, "fractional orders cannot be sold short"),
    Row("shorts", {"side": "sell", "qty": None, "notional": 500}, NO, "fractional orders cannot be sold short"),
    Row("shorts", {"qty": "1.5"}, NO, "fractional orders cannot cover a short position", holding(side="sell")),
    Row("shorts", LIMIT, NO, "cannot open a long buy while a short sell order is open", resting(**SHORT)),
    Row("shorts", SHORT, NO, "cannot open a short sell while a long buy order is open", resting(**LIMIT)),
    Row("auctions", {"time_in_force": "opg"}, NO, "opg orders must be submitted after 7:00pm and before 9:28am"),
    Row("auctions", {"time_in_force": "opg"}, NO, "opg orders must be submitted after 7:00pm and before 9:28am",
        start=new_york("13 9:28")),
    Row("auctions", {"time_in_force": "opg"}, NO, "opg orders must be submitted after 7:00pm and before 9:28am",
        start=new_york("13 18:59")),
    Row("auctions", {"time_in_force": "cls"}, NO, "cls orders must be submitted after 7:00pm and before 3:50pm",
        start=new_york("13 15:50")),
    Row("auctions", {"time_in_force": "cls"}, NO, "cls orders must be submitted after 7:00pm and before 12:50pm",
        start=new_york("23 12:50")),  # the day after Thanksgiving closes at 13:00
    Row("auctions", {"time_in_force": "opg", "type": "stop", "stop_price": 1}, UNFIT,
        "stop orders must be DAY or GTC orders"),
    Row("account", {}, NO, "new orders are rejected by user request", configured(suspend_trade=True)),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.where}: {row.message[:60]}")
def test_each_refusal_of_the_table(make_world, row):
    world = make_world(row.start)
    if row.set_up is not None:
        row.set_up(world)
    before = world.get("/v2/orders", status="all", limit=500)
    body = order_body(client_order_id="mine") | row.fields
    status, got = world.call("POST", "/v2/orders", body)
    assert (status, got.pop("code"), got.pop("message")) == (*row.kind, row.message)
    assert row.context is None or got == row.context
    assert world.get("/v2/orders", status="all", limit=500) == before, "it leaves no row"
    assert "mine" not in world.exchange.book.by_client_id, "and does not consume the id"
    assert world.exchange.log()[-1]["status"] == status


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"time_in_force": "never", "client_order_id": "taken"}, "invalid time_in_force"),
        ({"symbol": "ZZZZ", "client_order_id": "taken"}, "client_order_id must be unique"),
        ({"symbol": "ZZZZ", "type": "limit", "limit_price": "1.001"}, 'asset "ZZZZ" not found'),
        ({"qty": "1.5", "time_in_force": "gtc", "type": "limit", "limit_price": "1.001"}, SUB_PENNY),
        ({"qty": "1.5", "time_in_force": "gtc", "side": "sell"}, "fractional orders must be DAY orders"),
        ({"qty": 1_000_000, "type": "limit", "limit_price": 2000, "side": "buy"}, WASH),
    ],
    ids=str,
)
def test_the_order_of_the_checks(world, fields, message):
    """JSON, enumerations, client id, asset, prices, class, wash, quantity and money: the first fault is named."""
    world.filled(client_order_id="taken")
    world.order(side="sell", type="limit", limit_price=900)
    assert message in world.call("POST", "/v2/orders", order_body() | fields)[1]["message"]


@pytest.mark.parametrize("text", ["", "[]", "{", "7", '{"qty": 1,}', '{"take_profit": 3}'])
def test_what_is_no_order_at_all(world, text):
    reply = world.session.post(world.session.url + "/v2/orders", data=text.encode())
    assert (reply.status_code, reply.json()["code"]) == (400, 40010000)


def test_the_id_is_unique_for_ever(world):
    first = world.order(client_order_id="mine", type="limit", limit_price=1)
    for _ in range(2):
        status, body = world.call("POST", "/v2/orders", order_body(client_order_id="mine"))
        assert (status, body) == (422, {"code": 40010001, "message": "client_order_id must be unique"})
        world.call("DELETE", f"/v2/orders/{first['id']}")
        world.pass_time(days=13)
    assert world.get("/v2/orders:by_client_order_id", client_order_id="mine")["id"] == first["id"]


def sell(kind, **prices):
    return {"side": "sell", "type": kind} | prices


@pytest.mark.parametrize(
    ("there", "new", "reason"),
    [
        (sell("stop", stop_price=1), {}, "market/stop"),
        (sell("stop", stop_price=1), LIMIT, "market/stop"),
        (sell("stop", stop_price=1), {"type": "stop", "stop_price": 950}, "market/stop"),
        (sell("limit", limit_price=900), {}, "limit"),
        (sell("limit", limit_price=900), {"type": "limit", "limit_price": 900}, "limit"),
        (sell("limit", limit_price=900), {"type": "stop", "stop_price": 950}, "limit"),
        (sell("limit", limit_price=900), {"type": "stop_limit", "stop_price": 950, "limit_price": 901}, "limit"),
        (sell("stop_limit", stop_price=2, limit_price=1), {"type": "limit", "limit_price": 1}, "limit"),
        (sell("limit", limit_price=900), LIMIT, None),
        (sell("stop_limit", stop_price=902, limit_price=901), LIMIT, None),
        (sell("stop", stop_price=1), TRAIL | {"trail_price": 1}, None),
        (sell("stop", stop_price=1), bracket(900, 1), None),
        (sell("stop", stop_price=1), {"order_class": "oto", "stop_loss": {"stop_price": 1}}, None),
        (sell("trailing_stop", trail_price=5), {}, None),
    ],
    ids=str,
)
def test_the_wash_trade_table(world, there, new, reason):
    world.filled()
    rests = world.order(**there)
    status, body = world.call("POST", "/v2/orders", order_body(qty=1) | new)
    if reason is None:
        assert status == 200, body
        return
    assert (status, body["code"], body["message"]) == (*NO, WASH)
    assert body["existing_order_id"] == rests["id"]
    assert body["reject_reason"] == f"opposite side {reason} order exists"


def test_a_bracket_pair_holds_its_shares_once_and_all_of_them(world):
    entry = world.filled(bracketed=True)
    assert world.get("/v2/positions/AAPL")["qty_available"] == "0"
    status, body = world.call("POST", "/v2/orders", order_body(side="sell", qty=3))
    assert (status, body["code"]) == (403, 40310000)
    assert body["message"] == "insufficient qty available for order (requested: 3, available: 0)"
    assert (body["available"], body["existing_qty"], body["held_for_orders"]) == ("0", "10", "10")
    assert sorted(body["related_orders"]) == sorted(leg["id"] for leg in entry["legs"])


def test_open_buys_reserve_buying_power(world):
    before = float(world.get("/v2/account")["buying_power"])
    order = world.order(type="limit", limit_price=50, qty=100)
    assert float(world.get("/v2/account")["buying_power"]) == before - 5000
    world.call("DELETE", f"/v2/orders/{order['id']}")
    assert float(world.get("/v2/account")["buying_power"]) == before


def test_a_short_sale_blocks_a_markup_on_the_ask(world):
    _, ask = world.quote()
    before = Decimal(world.get("/v2/account")["buying_power"])
    world.order(side="sell", type="limit", limit_price=str(ask + 1), qty=100)
    after = Decimal(world.get("/v2/account")["buying_power"])
    assert abs(before - after - ask * 103) < Decimal("0.001")
    world.call("DELETE", "/v2/orders")
    world.order(side="sell", type="limit", limit_price=900, qty=100)
    assert before - Decimal(world.get("/v2/account")["buying_power"]) == 90_000


@pytest.mark.parametrize("start", [new_york("13 8:00"), new_york("13 21:00")], ids=["extended", "closed"])
def test_out_of_session_a_market_order_is_priced_by_the_middle_or_the_last_trade(make_world, start):
    world = make_world(start)
    (bid, ask), last = world.quote(), world.last()
    before = Decimal(world.get("/v2/account")["buying_power"])
    world.order(qty=100)
    blocked = before - Decimal(world.get("/v2/account")["buying_power"])
    assert blocked == ((bid + ask) / 2 if start == new_york("13 8:00") else last) * 100


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "message"),
    [
        ("GET", "/v2/nothing", 404, 40410000, "endpoint not found"),
        ("GET", "/v2/orders/61e69015-8549-4bfd-b9c3-01e75843f47d", 404, 40410000,
         "order not found for 61e69015-8549-4bfd-b9c3-01e75843f47d"),
        ("DELETE", "/v2/orders/none", 404, 40410000, "order not found for none"),
        ("GET", "/v2/orders:by_client_order_id?client_order_id=X", 404, 40410000, "order not found for X"),
        ("GET", "/v2/positions/AAPL", 404, 40410000, "position does not exist"),
        ("DELETE", "/v2/positions/AAPL", 404, 40410000, "position does not exist"),
        ("GET", "/v2/assets/ZZZZ", 404, 40410000, "asset not found for ZZZZ"),
        ("GET", "/v2/orders?status=lost", 422, 40010001, "invalid status"),
        ("GET", "/v2/orders?side=left", 422, 40010001, "invalid side"),
        ("GET", "/v2/orders?asset_class=tulips", 422, 40010001, "invalid asset_class"),
        ("GET", "/v2/orders?direction=up", 422, 40010001, "invalid direction"),
        ("GET", "/v2/orders?after=noon", 422, 40010001, "invalid after"),
        ("GET", "/v2/orders?limit=501", 422, 40010001, "limit must be between 1 and 500"),
        ("GET", "/v2/orders?before_order_id=a&after_order_id=b", 422, 40010001,
         "only one of before_order_id and after_order_id is accepted"),
        ("GET", "/v2/orders?before_order_id=a&until=2007-11-13", 422, 40010001,
         "before_order_id and after_order_id cannot be combined with after or until"),
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
