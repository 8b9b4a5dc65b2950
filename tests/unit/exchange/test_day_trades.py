"""The pattern-day-trader rule: what a day trade is, what is refused, and that it holds only where it was asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from gambler_ai.exchange.exchange import Exchange
from tests.unit.exchange.conftest import IN_SESSION, World, order_body

DENIED = {"code": 40310100, "message": "trade denied due to pattern day trading protection"}
POOR = Decimal(20_000)
SYMBOLS = ("AAPL", "MSFT", "IBM")
CONTRACT = "MSFT071221C00035000"


@pytest.fixture
def poor(make_world: Callable[..., World]) -> World:
    """Under $25,000, with the rule."""
    return make_world(cash=POOR, pdt=True)


def check(world, setting):
    world.call("PATCH", "/v2/account/configurations", {"pdt_check": setting})


def trade(world, text, symbol="AAPL"):
    """ "b5 s5": filled one after the other."""
    for word in text.split():
        world.filled(symbol=symbol, side={"b": "buy", "s": "sell"}[word[0]], qty=int(word[1:]))


def counted(world):
    account = world.get("/v2/account")
    return account["daytrade_count"], account["pattern_day_trader"]


def round_trips(world, number=3):
    for symbol in SYMBOLS[:number]:
        trade(world, "b2 s2", symbol)
    assert counted(world) == (number, False)


def ask(world, **fields):
    return world.call("POST", "/v2/orders", order_body(qty=1, **fields))


def bracketed(world, symbol):
    last = world.last(symbol)
    prices = {"take_profit": {"limit_price": str(round(last * 2, 2))}, "stop_loss": {"stop_price": str(last // 2)}}
    return {"symbol": symbol, "order_class": "bracket"} | prices


@pytest.mark.parametrize(
    ("orders", "day_trades"),
    [
        ("b4 b4 s8", 1), ("b2 s2 b2 s2", 2), ("b5 s1 s1 s3", 1), ("b5 b6 b2 s3 s5", 1), ("b5 b4 s1 b2 s3 s7", 2),
        ("s4 b2 b2", 1), ("b4", 0), ("s3 b3 s3 b3", 2),
    ],
)  # fmt: skip
def test_a_day_trade_is_a_turn_from_opening_to_closing(poor, orders, day_trades):
    """The examples of FINRA's notice 21-13, in fewer shares; shorts too."""
    trade(poor, orders)
    assert counted(poor)[0] == day_trades


def test_parts_of_an_order_make_one_day_trade(make_world):
    world = make_world(cash=Decimal(60_000), pdt=True)
    for _ in range(6):
        trade(world, "b40 s40")
    parts = [fill for fill in world.get("/v2/account/activities/FILL") if fill["type"] == "partial_fill"]
    assert parts, "this seed fills in parts"
    assert counted(world)[0] == 6


@pytest.mark.parametrize(("today", "day_trades"), [("s4", 0), ("s2 b2", 0), ("b1 s1", 1), ("s2 b2 s2", 1)])
def test_what_was_held_overnight_may_be_sold(poor, today, day_trades):
    trade(poor, "b4")
    poor.pass_time(days=1)
    trade(poor, today)
    assert counted(poor)[0] == day_trades


def test_each_symbol_counts_for_itself(poor):
    trade(poor, "b2", "AAPL")
    trade(poor, "b2", "MSFT")
    trade(poor, "s1", "AAPL")
    assert counted(poor)[0] == 1
    trade(poor, "s1", "MSFT")
    assert counted(poor)[0] == 2


def test_five_sessions_are_looked_back_upon(poor):
    """Tuesday's are gone on the next Tuesday; a weekend is no session."""
    round_trips(poor)
    poor.pass_time(days=6)  # Monday: the fifth session
    assert counted(poor)[0] == 3
    assert ask(poor)[1] == DENIED
    poor.pass_time(days=1)
    assert counted(poor)[0] == 0
    assert ask(poor)[0] == 200


def test_the_entry_that_could_be_the_fourth_is_refused_and_leaves_no_trace(poor):
    round_trips(poor)
    before = poor.get("/v2/orders", status="all", limit=500)
    assert ask(poor, client_order_id="mine") == (403, DENIED)
    assert ask(poor, side="sell", symbol="MSFT") == (403, DENIED), "a short sale is an entry"
    assert poor.get("/v2/orders", status="all", limit=500) == before
    assert poor.exchange.log()[-1]["outcome"] == "refused 40310100: trade denied due to pattern day trading protection"
    assert "mine" not in poor.exchange.book.by_client_id


def test_three_brackets_that_rest_are_three_that_could_be(poor):
    """Bought today, with their exits open: nothing is made yet, and the next entry could be one more."""
    for symbol in SYMBOLS:
        poor.filled(symbol=symbol, qty=1, bracketed=True)
    assert counted(poor) == (0, False)
    assert ask(poor, symbol="GOOG") == (403, DENIED)
    poor.pass_time(days=1)
    assert ask(poor, symbol="GOOG")[0] == 200, "sold today it is no day trade of yesterday's"


def test_positions_without_exits_are_not_counted(poor):
    for symbol in SYMBOLS:
        trade(poor, "b1", symbol)
    assert ask(poor, symbol="GOOG")[0] == 200


def test_by_default_an_exit_goes_through_and_makes_the_pattern(poor):
    round_trips(poor, 2)
    trade(poor, "b2 b2", "MSFT")
    trade(poor, "b2", "IBM")
    trade(poor, "s2", "MSFT")
    assert counted(poor) == (3, False)
    trade(poor, "s2", "IBM")
    assert counted(poor) == (4, True)
    poor.pass_time(days=14)
    assert counted(poor) == (0, True), "once is for good"


def test_with_exit_the_sale_is_refused_and_the_entry_is_not(poor):
    check(poor, "exit")
    round_trips(poor)
    trade(poor, "b2", "GOOG")
    assert ask(poor, side="sell", symbol="GOOG") == (403, DENIED)
    status, body = poor.call("DELETE", "/v2/positions/GOOG")
    assert (status, body) == (403, DENIED)
    assert poor.call("DELETE", "/v2/positions")[1][0]["body"] == DENIED | {"symbol": "GOOG"}
    assert ask(poor, **bracketed(poor, "AAPL")) == (403, DENIED), "it brings its exits"
    poor.pass_time(days=1)
    assert ask(poor, side="sell", symbol="GOOG")[0] == 200, "held overnight"


def test_with_both_either_is_refused(poor):
    round_trips(poor, 2)
    trade(poor, "b2", "IBM")
    trade(poor, "b2", "GOOG")
    check(poor, "both")
    trade(poor, "s2", "IBM")
    assert ask(poor, side="sell", symbol="GOOG") == (403, DENIED)
    assert ask(poor) == (403, DENIED)


def test_a_second_exit_of_a_day_trade_is_no_second_day_trade(poor):
    check(poor, "exit")
    round_trips(poor, 2)
    trade(poor, "b2", "GOOG")
    for _ in range(2):
        assert ask(poor, side="sell", symbol="GOOG", type="limit", limit_price=900)[0] == 200
    assert ask(poor, **bracketed(poor, "AAPL")) == (403, DENIED), "two made, one that rests, and this"


def test_who_had_25000_at_the_last_close_may(make_world):
    world = make_world(cash=Decimal(25_000), pdt=True)
    for text in ("b2 s2", "b2 s2", "b2 s2", "b2 s2"):
        trade(world, text)
    assert counted(world) == (4, True)
    poor = make_world(cash=Decimal("24999.99"), pdt=True)
    round_trips(poor)
    assert ask(poor) == (403, DENIED)


def test_contracts_are_traded_under_it_too(poor):
    round_trips(poor, 2)
    poor.filled(symbol=CONTRACT, qty=1)
    poor.filled(symbol=CONTRACT, qty=1, side="sell")
    assert counted(poor)[0] == 3
    assert ask(poor, symbol=CONTRACT) == (403, DENIED)
    legs = [
        {"symbol": CONTRACT, "ratio_qty": "1", "side": "buy", "position_intent": "buy_to_open"},
        {"symbol": "MSFT071221C00036000", "ratio_qty": "1", "side": "sell", "position_intent": "sell_to_open"},
    ]
    spread = {"order_class": "mleg", "qty": "1", "type": "market", "time_in_force": "day", "legs": legs}
    assert poor.call("POST", "/v2/orders", spread) == (403, DENIED)


def test_the_count_outlives_a_process_that_is_killed(make_world, tmp_path):
    """Nothing of it is stored: a process that opens the file finds it in the fills."""
    world = make_world(file=True, cash=POOR, pdt=True)
    round_trips(world)
    world.exchange._journal.close()  # as a kill leaves it: no farewell
    again = World(Exchange.open(tmp_path / "exchange.db", pdt=True))
    assert counted(again) == (3, False)
    assert ask(again) == (403, DENIED)
    again.close()
    without = World(Exchange.open(tmp_path / "exchange.db"))
    assert counted(without) == (0, False)
    assert ask(without)[0] == 200
    without.close()


def test_a_reset_account_begins_anew(poor):
    round_trips(poor)
    poor.exchange.deeds.do("account_reset", {"kind": "account_reset", "cash": "20000"})
    assert counted(poor) == (0, False)
    assert ask(poor)[0] == 200
    round_trips(poor)


def test_without_the_option_nothing_is_different(make_world):
    """The same orders under both: the same replies, to the byte, where the rule has nothing to say."""
    replies = []
    for pdt in (False, True):
        world = make_world(IN_SESSION, cash=Decimal(60_000), pdt=pdt)
        trade(world, "b2 s2 b2")
        paths = ("/v2/orders?status=all", "/v2/positions", "/v2/account", "/v2/account/configurations")
        replies.append([json.dumps(world.get(path), sort_keys=True) for path in paths])
    assert replies[0][2].replace('"daytrade_count": 0', '"daytrade_count": 1') == replies[1][2]
    assert [*replies[0][:2], replies[0][3]] == [*replies[1][:2], replies[1][3]]


def test_an_entry_that_rests_with_an_exit_of_its_symbol_is_one_that_could_be(poor):
    """In any order: a buy after a resting sell is refused as a sell after a resting buy is."""
    trade(poor, "b4", "GOOG")
    poor.pass_time(days=1)
    round_trips(poor)
    check(poor, "exit")
    assert ask(poor, side="sell", symbol="GOOG", type="limit", limit_price=900)[0] == 200
    resting = ask(poor, symbol="GOOG", type="limit", limit_price=300)
    assert resting[0] == 200, "an entry, which is not looked at"
    assert ask(poor, side="sell", symbol="GOOG", type="limit", limit_price=901) == (403, DENIED)
    check(poor, "entry")
    assert ask(poor, symbol="GOOG", type="limit", limit_price=299) == (403, DENIED)


def test_the_day_is_new_yorks(make_world):
    """Bought at 19:59 in New York and sold at 4:01 next morning: one day in UTC, two in New York."""
    world = make_world(datetime(2007, 11, 13, 15, 0, tzinfo=UTC) + timedelta(hours=9, minutes=30), cash=POOR, pdt=True)
    limit = {"type": "limit", "extended_hours": True}
    world.filled(qty=1, limit_price=str(round(world.last() * 2, 2)), **limit)
    world.exchange.advance(datetime(2007, 11, 14, 9, 5, tzinfo=UTC))
    world.filled(qty=1, side="sell", limit_price="1", **limit)
    assert counted(world)[0] == 0
