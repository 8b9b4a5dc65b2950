"""What happens to the account by itself: hands, resets, splits, orders that arrive late; and that a restart knows."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from gambler_ai.exchange.faults import FaultPlan
from gambler_ai.exchange.instants import to_us
from gambler_ai.exchange.rest.server import create_app
from tests.unit.exchange.conftest import IN_SESSION, order_body
from tests.unit.exchange.test_lines import trader

SPLIT = {"kind": "split", "symbol": "AAPL", "ratio": "2", "on": "2007-11-14"}
TO_THE_OPEN = timedelta(hours=23, minutes=30)  # from IN_SESSION to the next day's
TO_THE_PRE_MARKET = timedelta(hours=18)  # 4:00 in New York: with its first trade a split has happened


def deeds(world):
    reply = world.session.get(world.session.url + "/_exchange/deeds", headers={"X-Exchange-Token": "token"})
    return reply.json()


def cross_the_night(world):
    world.exchange.advance(IN_SESSION + TO_THE_OPEN)


# hands


def test_a_hand_acts_at_its_instant_and_not_before(world):
    world.faults.replace([{"kind": "hand", "from": "+90s", "order": order_body(qty=3, client_order_id="by-hand")}])
    world.pass_time(seconds=89)
    assert world.call("GET", "/v2/orders:by_client_order_id?client_order_id=by-hand")[0] == 404
    world.pass_time(hours=1)
    found = world.get("/v2/orders:by_client_order_id", client_order_id="by-hand")
    assert found["submitted_at"] == "2007-11-13T15:01:30Z", "though the market was moved by an hour at once"
    assert world.exchange.log() == [], "it is no POST of a runner"
    assert deeds(world)[0]["at"] == "2007-11-13T15:01:30Z"


def test_a_hand_without_an_instant_acts_at_once(world):
    world.faults.replace([{"kind": "hand", "order": order_body()}])
    assert len(world.get("/v2/orders", status="all")) == 1


def test_a_hand_can_be_set_off_by_a_request(world):
    world.faults.replace([{"kind": "hand", "order": order_body(qty=1), "method": "GET", "path": "/v2/pos", "after": 1}])
    assert world.get("/v2/positions") == []
    assert world.get("/v2/positions")[0]["qty"] == "1", "it acts before the request is handled"
    assert world.get("/v2/positions")[0]["qty"] == "1", "and once"


def test_a_hand_cancels_replaces_and_closes(world):
    world.filled(bracketed=True)
    world.faults.replace([{"kind": "hand", "replace": "AAPL", "changes": {"stop_price": "100"}}])
    (entry,) = world.get("/v2/orders", status="all", nested="true")
    assert entry["legs"][1]["stop_price"] == "100"
    world.faults.replace([{"kind": "hand", "cancel": entry["legs"][0]["id"]}])
    world.faults.replace([{"kind": "hand", "close": "all"}])
    assert world.get("/v2/orders") == []
    assert [done["outcome"].split()[0] for done in deeds(world)] == ["replaced", "canceled", "closed"]


def test_a_hand_is_refused_like_anybody_else(world):
    world.faults.replace([{"kind": "hand", "close": "AAPL"}, {"kind": "hand", "cancel": "all"}])
    world.get("/v2/clock")
    assert [done["outcome"][:16] for done in deeds(world)] == ["refused 40410000"] * 2


def test_a_later_plan_takes_back_what_has_not_happened(world):
    world.faults.replace([{"kind": "hand", "from": "+1m", "order": order_body()}])
    world.faults.replace([])
    world.pass_time(hours=1)
    assert world.get("/v2/orders", status="all") == []


# late arrivals


def test_an_order_can_arrive_late_or_too_late(world):
    world.faults.replace([{"kind": "late_arrival", "seconds": 60, "times": 2}])
    body = order_body(client_order_id="mine")
    assert world.call("POST", "/v2/orders", body)[0] == 504
    assert world.call("POST", "/v2/orders", body)[0] == 504
    world.pass_time(seconds=59)
    assert world.get("/v2/orders", status="all") == []
    world.pass_time(seconds=1)
    assert len(world.get("/v2/orders", status="all")) == 1
    assert [row["status"] for row in world.exchange.log()] == [504, 504, 200, 422]


# resets


def test_a_reset_is_another_account_and_stays_one(make_world):
    world = make_world(file=True)
    world.filled()
    old = world.get("/v2/account")
    world.faults.replace([{"kind": "account_reset", "from": "+1m"}])
    world.pass_time(minutes=2)
    new = world.get("/v2/account")
    assert (new["cash"], new["equity"], new["created_at"]) == ("100000", "100000", "2007-11-13T15:01:00Z")
    assert old["id"] != new["id"]
    assert old["account_number"] != new["account_number"]
    assert (
        world.get("/v2/positions") == world.get("/v2/orders", status="all") == world.get("/v2/account/activities") == []
    )
    world.filled(client_order_id="again")
    picture = world.get("/v2/account"), world.get("/v2/positions"), world.get("/v2/orders", status="all"), deeds(world)
    assert len(world.exchange.log()) == 2, "the log of POSTs is of the file, not of the account"
    world.close()
    world = make_world(None, file=True)
    assert picture == (
        world.get("/v2/account"), world.get("/v2/positions"), world.get("/v2/orders", status="all"), deeds(world)
    )  # fmt: skip


def test_two_resets_are_three_accounts(world):
    ids = [world.get("/v2/account")["id"]]
    for _ in range(2):
        world.faults.replace([{"kind": "account_reset"}])
        ids.append(world.get("/v2/account")["id"])
    assert len(set(ids)) == 3


@pytest.mark.parametrize(
    "row", [{"kind": "account_reset"}, {"kind": "hand", "order": order_body(qty=1)}, SPLIT], ids=lambda row: row["kind"]
)
def test_a_standing_plan_does_nothing_twice(make_world, row):
    world = make_world(file=True)
    create_app(world.exchange, "", FaultPlan([row], standing=True))
    cross_the_night(world)
    before = world.get("/v2/account")["id"], len(deeds(world)), world.last()
    assert before[1] == 1
    world.close()
    world = make_world(None, file=True)
    create_app(world.exchange, "", FaultPlan([row], standing=True))
    world.pass_time(seconds=1)
    assert (world.get("/v2/account")["id"], len(deeds(world)), world.last()) == before


def test_lines_alike_of_a_standing_plan_are_each_done(make_world):
    row = {"kind": "hand", "order": order_body(qty=1)}
    world = make_world(file=True)
    for _ in range(2):
        create_app(world.exchange, "", FaultPlan([row, row], standing=True))
        world.pass_time(seconds=1)
        assert len(deeds(world)) == 2


# splits


def split(world, **row):
    world.faults.replace([SPLIT | row])
    cross_the_night(world)


def test_a_split_changes_what_is_held_and_nothing_that_has_happened(world):
    world.filled()
    fills, before = world.get("/v2/account/activities/FILL"), world.get("/v2/positions/AAPL")
    day_before = world.get("/v2/account")
    close = Decimal(
        str(world.get("/v2/stocks/bars", symbols="AAPL", timeframe="1Day", start="2007-11-12")["bars"]["AAPL"][0]["c"])
    )
    split(world)
    after = world.get("/v2/positions/AAPL")
    assert (before["qty"], after["qty"], after["qty_available"]) == ("10", "20", "20")
    assert Decimal(after["cost_basis"]) == Decimal(before["cost_basis"])
    assert world.get("/v2/account/activities/FILL") == fills
    assert world.get("/v2/account")["cash"] == day_before["cash"]
    assert abs(Decimal(world.get("/v2/account")["equity"]) / Decimal(day_before["equity"]) - 1) < Decimal("0.01")
    assert abs(Decimal(after["change_today"])) < Decimal("0.1"), "the close before is in new shares too"
    days = world.get("/v2/stocks/bars", symbols="AAPL", timeframe="1Day", start="2007-11-12", end="2007-11-14")
    assert Decimal(str(days["bars"]["AAPL"][0]["c"])) == close, "bars are raw"
    assert world.last() < close * Decimal("0.6")


def test_the_activities_of_a_split(world):
    world.filled()
    split(world)
    gone, come = world.get("/v2/account/activities/SPLIT", direction="asc")
    assert (gone["qty"], come["qty"], gone["symbol"]) == ("-10", "20", "AAPL")
    assert (gone["activity_type"], gone["activity_sub_type"], gone["date"]) == ("SPLIT", "FSPLIT", "2007-11-14")
    assert gone["group_id"] == come["group_id"]
    both = world.get("/v2/account/activities", direction="asc")
    assert [row["activity_type"] for row in both][-2:] == ["SPLIT", "SPLIT"]
    rest = world.get("/v2/account/activities", direction="asc", page_token=both[0]["id"])
    assert rest == both[1:]
    assert world.get("/v2/account/activities", activity_types="DIV") == []


@pytest.mark.parametrize(("ratio", "qty"), [("2", "20"), ("3:2", "15"), ("1:10", "1"), ("1:4", "2.5")])
def test_ratios(world, ratio, qty):
    world.filled()
    cost = world.get("/v2/positions/AAPL")["cost_basis"]
    split(world, ratio=ratio)
    after = world.get("/v2/positions/AAPL")
    assert after["qty"] == qty
    assert abs(Decimal(after["cost_basis"]) - Decimal(cost)) < Decimal("0.0001")
    assert after["qty_available"] == qty


@pytest.mark.parametrize(
    ("ratio", "treatment", "stop", "qty", "status"),
    [
        ("2", "adjust", "70", "20", "replaced"),
        ("2", None, "70", "20", "replaced"),
        ("2", "qty_only", "140", "20", "replaced"),
        ("2", "leave", "140", "10", "held"),
        ("2", "cancel", "140", "10", "canceled"),
        ("1:2", None, "140", "10", "canceled"),
        ("1:2", "adjust", "280", "5", "replaced"),
    ],
)
def test_open_orders_in_a_split(world, ratio, treatment, stop, qty, status):
    low = Decimal(140)
    legs = {"take_profit": {"limit_price": "400"}, "stop_loss": {"stop_price": str(low)}}
    entry = world.filled(time_in_force="gtc", order_class="bracket", **legs)
    old = entry["legs"][1]
    world.faults.replace([SPLIT | {"ratio": ratio} | ({"orders": treatment} if treatment else {})])
    world.exchange.advance(IN_SESSION + TO_THE_PRE_MARKET - timedelta(seconds=1))
    assert world.look(old["id"])["status"] == "held", "not before the day's first trade"
    world.exchange.advance(IN_SESSION + TO_THE_PRE_MARKET - timedelta(microseconds=1))
    found = world.look(old["id"])
    assert found["status"] == status
    leg = world.look(entry["id"])["legs"][1]
    assert (leg["stop_price"], leg["qty"]) == (stop, qty)
    if status == "replaced":
        assert found["replaced_by"] == leg["id"] != old["id"]
        assert leg["status"] == "held"
        assert world.get("/v2/positions/AAPL")["qty_available"] == "0"


def test_legs_of_an_adjusted_bracket_still_end_each_other(world):
    entry = world.filled(bracketed=True, time_in_force="gtc", up="0.5", down="0.3")
    split(world)
    legs = world.look(entry["id"])["legs"]
    world.call("DELETE", f"/v2/orders/{legs[0]['id']}")
    assert {leg["status"] for leg in world.look(entry["id"])["legs"]} == {"canceled"}


def test_a_trailing_stop_trails_in_new_shares(world):
    """A notional order of the same night is still for its money, and holds twice the shares."""
    world.filled(qty=10, time_in_force="fok")
    order = world.order(side="sell", qty=4, type="trailing_stop", trail_price="20", time_in_force="gtc")
    world.exchange.advance(IN_SESSION + timedelta(hours=12))
    money = world.order(side="sell", qty=None, notional="300")
    free = Decimal(world.get("/v2/positions/AAPL")["qty_available"])
    mark = Decimal(world.look(order["id"])["hwm"])
    world.faults.replace([SPLIT])
    world.exchange.advance(IN_SESSION + TO_THE_PRE_MARKET)
    new = world.look(world.look(order["id"])["replaced_by"])
    assert (new["qty"], new["trail_price"], Decimal(new["hwm"])) == ("8", "10", mark / 2)
    assert Decimal(new["stop_price"]) == mark / 2 - 10
    assert world.look(money["id"])["status"] == "accepted"
    assert Decimal(world.get("/v2/positions/AAPL")["qty_available"]) == free * 2


def test_a_short_position_splits_too(world):
    world.filled(side="sell")
    split(world)
    assert world.get("/v2/positions/AAPL")["qty"] == "-20"


def test_symbols_of_one_series_split_together(world):
    world.filled(symbol="GOOGL", qty=2)
    world.filled(symbol="GOOG", qty=1)
    split(world, symbol="GOOG")
    assert [(row["symbol"], row["qty"]) for row in world.get("/v2/positions")] == [("GOOG", "2"), ("GOOGL", "4")]


def test_a_split_without_a_position_moves_prices_only(world):
    last = world.last()
    split(world)
    assert world.last() < last * Decimal("0.6")
    assert world.get("/v2/account/activities") == []


def test_prices_after_a_split_are_the_same_after_a_restart(make_world):
    world = make_world(file=True)
    world.filled()
    split(world)
    world.pass_time(minutes=7)
    picture = world.last(), world.get("/v2/positions"), world.get("/v2/account/activities"), deeds(world)
    world.close()
    world = make_world(None, file=True)
    assert picture == (world.last(), world.get("/v2/positions"), world.get("/v2/account/activities"), deeds(world))


def test_positions_that_show_late_know_of_splits(world):
    world.filled()
    world.faults.replace([SPLIT])
    world.exchange.advance(IN_SESSION + TO_THE_PRE_MARKET)
    world.faults.replace([{"kind": "position_late", "seconds": 30, "times": "always"}])
    assert world.get("/v2/positions/AAPL")["qty"] == "10"
    world.pass_time(minutes=1)
    assert world.get("/v2/positions/AAPL")["qty"] == "20"


@pytest.mark.parametrize(
    ("symbol", "eve"),
    [("AAPL", datetime(2000, 6, 20, 15, tzinfo=UTC)), ("MSFT", datetime(2003, 2, 14, 16, tzinfo=UTC))],
)
def test_the_splits_of_the_shipped_prices_need_no_plan(make_world, symbol, eve):
    world = make_world(eve)
    world.filled(symbol=symbol)
    before = Decimal(world.get("/v2/account")["equity"])
    world.pass_time(days=6)
    assert world.get(f"/v2/positions/{symbol}")["qty"] == "20"
    assert abs(Decimal(world.get("/v2/account")["equity"]) / before - 1) < Decimal("0.02")
    assert len(world.get("/v2/account/activities/SPLIT")) == 2
    assert deeds(world) == [], "it is the market's doing"


# what a crash finds


def test_a_reset_and_the_note_of_it_are_one_commit(make_world, tmp_path):
    """Else a kill between the two resets the account again at the next start."""
    world = make_world(file=True)
    world.faults.replace([{"kind": "account_reset", "from": "+1m"}])
    before = world.exchange.account_id
    with world.exchange.step():
        (deed,) = world.exchange.deeds.due(to_us(IN_SESSION + timedelta(minutes=1)))
        world.exchange.deeds.perform(deed)
        with closing(sqlite3.connect(f"file:{tmp_path / 'exchange.db'}?mode=ro", uri=True)) as file:
            (account,) = file.execute("SELECT value FROM meta WHERE name = 'account_id'").fetchone()
            noted = file.execute("SELECT count(*) FROM deeds").fetchone()[0]
    assert (account != before, noted) == (True, 1)


def test_what_happened_before_a_reset_is_told(world):
    client = trader(world)
    world.faults.replace(
        [{"kind": "hand", "from": "+30s", "order": order_body(qty=1)}, {"kind": "account_reset", "from": "+60s"}]
    )
    world.pass_time(minutes=2)
    assert client.events() == ["pending_new", "new", "fill"]
    assert world.get("/v2/positions") == []
