"""The life of orders, row by row of BEHAVIOUR section 3."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from gambler_ai.errors import IllegalTransition
from gambler_ai.exchange.desk.orders import TERMINAL, TRANSITIONS, Order
from tests.unit.exchange.conftest import BEFORE_OPEN, order_body

ENTITY_KEYS = """
id client_order_id created_at updated_at submitted_at filled_at expired_at expires_at canceled_at failed_at
replaced_at replaced_by replaces asset_id symbol asset_class notional qty filled_qty filled_avg_price
order_class order_type type side position_intent time_in_force limit_price stop_price status extended_hours
legs trail_percent trail_price hwm
"""


def test_the_table_has_an_end_for_everything():
    assert {"filled", "canceled", "expired", "replaced", "rejected"} == TERMINAL
    assert {end for ends in TRANSITIONS.values() for end in ends} <= set(TRANSITIONS)


def test_an_illegal_move_raises():
    ids = {"id": "x", "client_order_id": "x", "symbol": "AAPL", "position_intent": "buy_to_open"}
    kind = {"side": "buy", "type": "market", "time_in_force": "day", "order_class": "", "status": "filled"}
    times = {"seq": 1, "created_us": 0, "updated_us": 0, "expires_us": 0}
    order = msgspec.convert(ids | kind | times | {"qty": "1"}, Order)
    with pytest.raises(IllegalTransition):
        order.move("canceled", 1)


def test_a_reply_has_every_key_and_is_pending_new_in_session(world):
    reply = world.order()
    assert set(reply) >= set(ENTITY_KEYS.split())
    assert (reply["status"], reply["filled_qty"], reply["legs"], reply["order_class"]) == (
        "pending_new",
        "0",
        None,
        "",
    )
    assert reply["submitted_at"] == "2007-11-13T15:00:00Z"
    bid, ask = world.quote()
    now = world.look(reply["id"])
    assert (now["status"], Decimal(now["filled_avg_price"])) == ("filled", ask)
    sold = world.filled(side="sell", qty=4)
    assert Decimal(sold["filled_avg_price"]) == bid
    assert sold["position_intent"] == "sell_to_close"
    assert world.get("/v2/positions/AAPL")["qty"] == "6"


def test_a_limit_waits_for_its_price_and_gets_the_quote(world):
    _, ask = world.quote()
    assert Decimal(world.filled(type="limit", limit_price=str(ask + 5))["filled_avg_price"]) == ask
    low = world.order(type="limit", limit_price=str(ask - Decimal("0.50")))
    assert world.look(low["id"])["status"] == "new"
    order = low
    for _ in range(360):
        world.pass_time(minutes=1)
        order = world.look(low["id"])
        if order["status"] == "filled":
            break
    assert Decimal(order["filled_avg_price"]) <= ask - Decimal("0.50")
    assert order["filled_at"][17:19] in ("00", "15", "45", "59")  # at a tick, not when somebody looked


def test_the_bracket_from_entry_to_exit(world):
    reply = world.bracket()
    assert [(leg["type"], leg["status"], leg["side"]) for leg in reply["legs"]] == [
        ("limit", "held", "sell"),
        ("stop", "held", "sell"),
    ]
    assert len({leg["client_order_id"] for leg in reply["legs"]} | {reply["client_order_id"]}) == 3
    assert world.look(reply["id"])["status"] == "filled"
    profit, stop = world.look(reply["id"])["legs"]
    assert (profit["status"], stop["status"]) == ("new", "held")
    assert [row["id"] for row in world.get("/v2/orders")] == [profit["id"]]  # the held stop is not listed as open
    nested = world.get("/v2/orders", status="all", nested="true")
    assert [row["id"] for row in nested] == [reply["id"]]
    assert [leg["id"] for leg in nested[0]["legs"]] == [profit["id"], stop["id"]]


@pytest.mark.parametrize(("up", "down", "wins"), [("0.001", "0.2", True), ("0.5", "0.001", False)])
def test_one_exit_fills_and_the_other_is_canceled(world, up, down, wins):
    entry = world.filled(bracketed=True, up=up, down=down)
    profit, stop = entry["legs"]
    for _ in range(300):
        world.pass_time(minutes=1)
        profit, stop = world.look(entry["id"])["legs"]
        if "filled" in (profit["status"], stop["status"]):
            break
    assert (profit["status"], stop["status"]) == (("filled", "canceled") if wins else ("canceled", "filled"))
    assert world.get("/v2/positions") == []
    assert world.get("/v2/orders") == []


def test_legs_stay_held_until_the_entry_is_complete_and_the_stop_shrinks(make_world):
    """Over many seeds some entries and take-profits fill in parts: one in ten."""
    parts = shrunk = 0
    for seed in range(60):
        world = make_world(seed=seed)
        entry = world.bracket(100, up="0.0015", down="0.2")
        for _ in range(12):
            entry = world.look(entry["id"])
            profit, stop = entry["legs"]
            if entry["status"] == "partially_filled":
                parts += 1
                assert (profit["status"], stop["status"]) == ("held", "held")
            else:
                assert entry["status"] == "filled"
                assert profit["status"] in (
                    "new",
                    "partially_filled",
                    "filled",
                )
            if profit["status"] == "partially_filled":
                shrunk += 1
                assert int(stop["qty"]) == 100 - int(profit["filled_qty"])
                assert stop["status"] == "held"
            world.pass_time(seconds=15)
    assert parts >= 2
    assert shrunk >= 1


def test_canceling_a_member_cancels_the_rest(world):
    entry = world.filled(bracketed=True)
    profit, stop = entry["legs"]
    assert world.call("DELETE", f"/v2/orders/{stop['id']}") == (204, None)
    assert [leg["status"] for leg in world.look(entry["id"])["legs"]] == ["canceled", "canceled"]
    assert world.call("DELETE", f"/v2/orders/{profit['id']}") == (204, None)  # again: no error
    status, body = world.call("DELETE", f"/v2/orders/{entry['id']}")
    assert (status, body["code"], body["message"]) == (422, 42210000, 'order is already in "filled" state')
    assert world.get("/v2/positions/AAPL")["qty_available"] == "10"


def test_a_canceled_entry_takes_its_held_legs_along(world):
    entry = world.bracket(type="limit", limit_price="100", up="-0.3", down="0.5")
    assert world.call("DELETE", f"/v2/orders/{entry['id']}")[0] == 204
    entry = world.look(entry["id"])
    assert {entry["status"], *(leg["status"] for leg in entry["legs"])} == {"canceled"}
    assert entry["canceled_at"] == "2007-11-13T15:00:00Z"


def test_market_orders_wait_for_the_open(make_world):
    world = make_world(BEFORE_OPEN)
    order = world.order()
    assert order["status"] == "accepted"
    world.exchange.advance(datetime(2007, 11, 13, 14, 29, 59, tzinfo=UTC))
    assert world.look(order["id"])["status"] == "accepted"
    world.exchange.advance(datetime(2007, 11, 13, 14, 30, tzinfo=UTC))
    order = world.look(order["id"])
    assert (order["status"], order["filled_at"]) == ("filled", "2007-11-13T14:30:00Z")
    assert Decimal(order["filled_avg_price"]) - Decimal("160.85") < Decimal("0.10")  # the real open


def test_out_of_hours_a_cancel_stays_pending(make_world):
    world = make_world(BEFORE_OPEN)
    order = world.order()
    assert world.call("DELETE", f"/v2/orders/{order['id']}")[0] == 204
    assert world.look(order["id"])["status"] == "pending_cancel"
    status, body = world.call("DELETE", f"/v2/orders/{order['id']}")
    assert (status, body["message"]) == (422, "order pending cancel")
    world.pass_time(hours=2)
    assert (world.look(order["id"])["status"], world.get("/v2/positions")) == ("canceled", [])


def test_day_orders_expire_at_the_close_and_gtc_ones_do_not(world):
    day = world.order(type="limit", limit_price=1)
    gtc = world.order(type="limit", limit_price=1, time_in_force="gtc")
    world.exchange.advance(datetime(2007, 11, 13, 20, 59, 59, tzinfo=UTC))
    assert world.look(day["id"])["status"] == "new"
    world.exchange.advance(datetime(2007, 11, 14, 3, 0, tzinfo=UTC))
    assert world.look(day["id"])["expired_at"] == "2007-11-13T21:00:00Z"
    assert world.look(gtc["id"])["status"] == "new"
    world.pass_time(days=95)
    assert world.look(gtc["id"])["status"] == "expired"


def test_legs_inherit_the_time_in_force(world):
    wide = {"bracketed": True, "up": "0.5", "down": "0.5"}
    day, gtc = world.filled(**wide), world.filled(**wide, time_in_force="gtc")
    world.pass_time(hours=7)
    assert [leg["status"] for leg in world.look(day["id"])["legs"]] == ["expired", "expired"]
    assert [leg["status"] for leg in world.look(gtc["id"])["legs"]] == ["new", "held"]
    assert world.get("/v2/positions/AAPL")["qty_available"] == "10"


def test_shorts_have_negative_quantities(world):
    world.filled(side="sell", qty=5)
    position = world.get("/v2/positions/AAPL")
    assert (position["qty"], position["side"], position["qty_available"]) == ("-5", "short", "-5")
    assert Decimal(position["market_value"]) < 0
    account = world.get("/v2/account")
    assert Decimal(account["short_market_value"]) == Decimal(position["market_value"])
    assert Decimal(account["equity"]) == Decimal(account["cash"]) + Decimal(account["short_market_value"])
    assert world.filled(qty=5)["position_intent"] == "buy_to_close"
    assert world.get("/v2/positions") == []


def test_a_short_bracket_is_the_mirror(world):
    entry = world.filled(bracketed=True, side="sell", up="-0.04", down="-0.02")
    assert [(leg["side"], leg["status"]) for leg in entry["legs"]] == [("buy", "new"), ("buy", "held")]


def test_an_oco_pair_closes_a_position(world):
    world.filled()
    pair = world.order(side="sell", type="limit", order_class="oco", take_profit={"limit_price": "900"},
                       stop_loss={"stop_price": "1"})  # fmt: skip
    assert [leg["type"] for leg in pair["legs"]] == ["stop"]
    assert world.look(pair["id"])["status"] == "new"
    assert world.get("/v2/positions/AAPL")["qty_available"] == "0"


@pytest.mark.parametrize(
    ("tif", "price", "ends"), [("ioc", 1, "canceled"), ("fok", 1, "canceled"), ("fok", 900, "filled")]
)
def test_ioc_and_fok(world, tif, price, ends):
    order = world.order(type="limit", limit_price=price, time_in_force=tif)
    assert world.look(order["id"])["status"] == ends


def test_notional_and_fractions(world):
    _, ask = world.quote()
    order = world.order(qty=None, notional="100")
    assert (order["qty"], order["notional"]) == (None, "100")
    filled = Decimal(world.look(order["id"])["filled_qty"])
    assert filled == (100 / ask).quantize(Decimal("1e-9"), "ROUND_DOWN")
    assert Decimal(world.get("/v2/positions/AAPL")["qty"]) == filled
    reply = world.call("DELETE", "/v2/positions/AAPL", percentage="50")
    assert reply[0] == 200


def test_null_and_empty_mean_absent(world):
    junk = {
        "notional": None,
        "take_profit": None,
        "legs": None,
        "client_order_id": "",
        "order_class": "",
        "limit_price": "",
    }
    order = world.order(qty=2.0, **junk)
    assert (order["qty"], order["order_class"]) == ("2", "")


def test_replacing_a_leg(world):
    entry = world.filled(bracketed=True)
    profit, stop = entry["legs"]
    status, new = world.call(
        "PATCH", f"/v2/orders/{stop['id']}", {"stop_price": "100", "qty": None, "client_order_id": ""}
    )
    assert status == 200
    assert new["id"] != stop["id"]
    assert (new["replaces"], new["status"], new["stop_price"], new["qty"]) == (
        stop["id"],
        "held",
        "100",
        "10",
    )
    assert [leg["id"] for leg in world.look(entry["id"])["legs"]] == [profit["id"], new["id"]]
    old = world.look(stop["id"])
    assert (old["status"], old["replaced_by"]) == ("replaced", new["id"])
    assert world.get("/v2/positions/AAPL")["qty_available"] == "0"
    status, body = world.call("PATCH", f"/v2/orders/{stop['id']}", {"stop_price": "90"})
    assert (status, body["message"]) == (422, "order already replaced")


def test_activities_page_both_ways(world):
    for qty in (1, 1, 1, 1, 1):
        world.filled(qty=qty)
        world.pass_time(minutes=1)
    newest = world.get("/v2/account/activities/FILL", page_size=2)
    rest = world.get("/v2/account/activities", page_size=100, page_token=newest[-1]["id"])
    oldest = world.get("/v2/account/activities/FILL", direction="asc")
    assert [row["id"] for row in newest + rest] == [row["id"] for row in reversed(oldest)]
    assert oldest[0]["id"].startswith("20071113100000000::")
    assert "client_order_id" not in oldest[0]
    after = world.get("/v2/account/activities/FILL", after=oldest[1]["transaction_time"], direction="asc")
    assert [row["id"] for row in after] == [row["id"] for row in oldest[2:]]


def test_order_lists(world):
    ids = []
    for price in (1, 2, 3):
        ids.append(world.order(type="limit", limit_price=price)["id"])
        world.pass_time(seconds=1)
    assert [row["id"] for row in world.get("/v2/orders")] == ids[::-1]
    assert [row["id"] for row in world.get("/v2/orders", direction="asc", limit=2)] == ids[:2]
    first = world.look(ids[0])["submitted_at"]
    assert [row["id"] for row in world.get("/v2/orders", after=first)] == [ids[2], ids[1]]
    assert [row["id"] for row in world.get("/v2/orders", until=first)] == []
    assert [row["id"] for row in world.get("/v2/orders", before_order_id=ids[1])] == [ids[0]]
    assert world.get("/v2/orders", symbols="MSFT") == []
    status, rows = world.call("DELETE", "/v2/orders")
    assert (status, {row["status"] for row in rows}, len(rows)) == (207, {200}, 3)
    assert len(world.get("/v2/orders", status="closed")) == 3


def test_the_day_rolls_over_at_midnight_in_new_york(world):
    world.filled(qty=100)
    world.exchange.advance(datetime(2007, 11, 13, 21, 0, tzinfo=UTC))
    at_the_close, close = world.get("/v2/account"), world.get("/v2/positions/AAPL")["current_price"]
    world.exchange.advance(datetime(2007, 11, 14, 4, 59, tzinfo=UTC))
    assert world.get("/v2/account")["last_equity"] == "100000"
    world.exchange.advance(datetime(2007, 11, 14, 5, 0, tzinfo=UTC))
    account = world.get("/v2/account")
    assert account["last_equity"] == at_the_close["equity"]
    position = world.get("/v2/positions/AAPL")
    assert position["lastday_price"] == close
    evening = Decimal(position["current_price"]) - Decimal(close)
    assert evening, "after-hours trades move a position, not what the day is measured against"
    assert Decimal(position["unrealized_intraday_pl"]) == 100 * evening


def test_a_submit_that_is_refused_costs_no_order(world):
    assert world.call("POST", "/v2/orders", order_body(qty=-1))[0] == 422
    assert world.exchange.book.next_seq == 1


def test_a_triggered_stop_ends_its_take_profit_at_once(make_world):
    """Even when the stop fills in parts, so the two can never close more than there is."""
    parts = 0
    for seed in range(60):
        world = make_world(seed=seed)
        entry = world.bracket(100, up="0.2", down="0.0015")
        for _ in range(12):
            profit, stop = world.look(entry["id"])["legs"]
            if stop["status"] == "partially_filled":
                parts += 1
                assert profit["status"] == "canceled"
            world.pass_time(seconds=15)
    assert parts >= 1


def test_legs_close_no_more_than_other_exits_leave(make_world):
    """An OCO was set for what a bracket's entry had bought so far; then the entry completes."""
    tried = 0
    for seed in range(80):
        world = make_world(seed=seed)
        entry = world.bracket(100, up="0.2", down="0.2")
        got = Decimal(world.look(entry["id"])["filled_qty"])
        if got == 100:
            continue
        tried += 1
        pair = world.order(side="sell", type="limit", qty=str(got), order_class="oco", stop_loss={"stop_price": "1"},
                           take_profit={"limit_price": "900"})  # fmt: skip
        while world.look(entry["id"])["status"] != "filled":
            world.pass_time(seconds=15)
        assert {Decimal(leg["qty"]) for leg in world.look(entry["id"])["legs"]} == {100 - got}
        assert world.get("/v2/positions/AAPL")["qty_available"] == "0"
        assert world.look(pair["id"])["status"] == "new"
    assert tried


def test_a_file_of_before_trailing_stops_is_read(make_world, tmp_path):
    world = make_world(file=True)
    order = world.order(type="limit", limit_price=1)
    world.close()
    with sqlite3.connect(tmp_path / "exchange.db") as file:
        body = msgspec.json.decode(file.execute("SELECT body FROM orders").fetchone()[0])
        for name in ("trail_price", "trail_percent", "hwm", "hold_qty"):
            del body[name]
        file.execute("UPDATE orders SET body=?", (msgspec.json.encode(body),))
    file.close()
    assert make_world(None, file=True).look(order["id"])["hwm"] is None
