"""The account over the wire: pages read to their end, and "not there" only when the broker itself says so."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from requests import PreparedRequest

from gambler_ai.broker.account import ASSETS_ONE_BY_ONE
from gambler_ai.broker.alpaca import FILLS_PAGE, ORDERS_PAGE, PAGES_MAX
from gambler_ai.broker.control import ExchangeControl
from gambler_ai.broker.convert import instant, wire_instant
from gambler_ai.broker.market_data import AlpacaMarketData, timeframe
from gambler_ai.errors import (
    BrokerAuthError,
    BrokerError,
    BrokerRefused,
    BrokerUnreachable,
    ConfigError,
    OutcomeUnknown,
    ReadFailed,
    RecoveryHalted,
)
from tests.unit.broker.conftest import Wire, broker_on, data_on, fenced
from tests.unit.broker.test_convert import (
    ACCOUNT,
    ASSET,
    CALL,
    CLOCK,
    EXERCISE,
    FILL,
    MLEG,
    ORDER,
    POSITION,
    PUT,
    WHEN,
)
from tests.unit.fakes import AT, FIVE, D, after

NOT_FOUND = (404, {"code": 40410000, "message": "order not found for ga1-x"})
PROXY_404 = (404, "<html>404 Not Found</html>")
CODELESS_404 = (404, {"message": "Not Found"})


def test_account_clock_and_positions_are_read():
    assert broker_on(Wire((200, ACCOUNT))).account().cash == D("-1.50")
    assert broker_on(Wire((200, CLOCK))).market().is_open
    assert [p.qty for p in broker_on(Wire((200, [POSITION]))).positions()] == [D(10)]


def test_only_a_paper_account_is_used():
    assert broker_on(Wire((200, {"id": "a-1", "account_number": "PA123"}))).account_id() == "a-1"
    for number in ("123", "", None):
        with pytest.raises(ConfigError, match="is not a paper account"):
            broker_on(Wire((200, {"id": "a-1", "account_number": number}))).account_id()


def test_a_symbol_the_broker_does_not_know_is_none():
    wire = Wire((200, ASSET), NOT_FOUND)
    found = broker_on(wire).instruments(["AAPL", "BRK/B"])
    assert found["AAPL"] is not None
    assert found["BRK/B"] is None
    assert wire.paths()[1] == "GET /v2/assets/BRK%2FB"


# -- looking one order up -------------------------------------------------------------------------


def test_an_order_is_found_with_its_legs_by_a_second_look():
    leg = {**ORDER, "id": "o-2"}
    wire = Wire((200, ORDER), (200, {**ORDER, "legs": [leg]}))
    found = broker_on(wire).order_by_client_id("ga1-x")
    assert found is not None
    assert [x.order_id for x in found.legs] == ["o-2"]
    assert wire.paths() == ["GET /v2/orders:by_client_order_id", "GET /v2/orders/o-1"]
    assert wire.queries()[0]["client_order_id"] == "ga1-x"


def test_an_order_whose_second_look_finds_nothing_is_found_all_the_same():
    found = broker_on(Wire((200, ORDER), NOT_FOUND)).order_by_client_id("ga1-x")
    assert found is not None
    assert found.order_id == "o-1"


def test_only_the_brokers_own_404_means_that_it_is_not_there():
    assert broker_on(Wire(NOT_FOUND)).order_by_client_id("ga1-x") is None
    assert broker_on(Wire(NOT_FOUND)).order("o-1") is None


@pytest.mark.parametrize("reply", [PROXY_404, CODELESS_404, (403, {"code": 1}), (500, {}), (200, ""), (200, "null")])
def test_everything_else_is_an_error_and_never_absence(reply):
    with pytest.raises(BrokerError):
        broker_on(Wire(reply)).order_by_client_id("ga1-x")
    if reply[0] == 404:
        with pytest.raises(BrokerRefused):
            broker_on(Wire(reply)).order("o-1")


# -- pages ----------------------------------------------------------------------------------------


class Orders:
    """Alpaca's order list: ``after`` is exclusive on submitted_at, oldest first, at most ``limit``."""

    def __init__(self, *seconds: float) -> None:
        self.rows = [
            {**ORDER, "id": f"o-{n}", "submitted_at": wire_instant(after(seconds=s))} for n, s in enumerate(seconds)
        ]

    def __call__(self, request: PreparedRequest):
        query = Wire.queries(self.seen(request))[-1]
        since = instant(query["after"])
        later = [r for r in self.rows if instant(r["submitted_at"]) > since]
        return 200, later[: int(query["limit"])]

    def seen(self, request: PreparedRequest) -> Wire:
        wire = Wire()
        wire.sent = [request]
        return wire


@pytest.mark.parametrize("count", [0, 1, ORDERS_PAGE - 1, ORDERS_PAGE, ORDERS_PAGE + 1, 2 * ORDERS_PAGE + 7])
def test_all_orders_are_read_however_many_pages_they_fill(count):
    wire = Wire(Orders(*range(1, count + 1)))
    found = broker_on(wire).orders(AT)
    assert [o.order_id for o in found] == [f"o-{n}" for n in range(count)]
    assert wire.queries()[0] == {
        "status": "all", "nested": "true", "direction": "asc", "limit": "500", "after": wire_instant(AT),
    }  # fmt: skip


def test_orders_of_one_instant_are_not_lost_between_two_pages():
    """On a market that stands still while a request is in flight, a whole scan has one instant."""
    seconds = [*range(1, ORDERS_PAGE), *[ORDERS_PAGE] * 4, ORDERS_PAGE + 1]
    found = broker_on(Wire(Orders(*seconds))).orders(AT)
    assert len(found) == len(seconds)


def test_an_options_order_placed_by_hand_does_not_blind_us():
    """The parent of a multi-leg order has no side and no symbol (BEHAVIOUR 3)."""
    parent = {**ORDER, "id": "o-2", "client_order_id": "by-hand", "order_class": "mleg", "symbol": "", "side": ""}
    found = broker_on(Wire((200, [parent, ORDER]))).orders(AT)
    assert [o.order_id for o in found] == ["o-1"], "without its legs it says of nothing what it is for"
    found = broker_on(Wire((200, [MLEG | {"id": "o-2"}, ORDER]))).orders(AT)
    assert [(o.order_id, o.symbol, len(o.legs)) for o in found] == [("o-2", "AAPL", 2), ("o-1", "AAPL", 0)]


def test_an_order_of_several_legs_is_found_with_them_or_not_at_all():
    bare = {**MLEG, "legs": None}
    found = broker_on(Wire((200, bare), (200, MLEG))).order_by_client_id("ga1-x")
    assert found is not None
    assert [leg.symbol for leg in found.legs] == [CALL, PUT]
    for second in (NOT_FOUND, (200, bare)):
        with pytest.raises(ReadFailed):
            broker_on(Wire((200, bare), second)).order_by_client_id("ga1-x")


def test_an_order_of_several_legs_is_sent_as_it_was_stored_and_an_answer_without_them_is_none():
    body = '{"order_class":"mleg","limit_price":"-1.25","client_order_id":"ga1-x"}'
    wire = Wire((200, MLEG))
    assert broker_on(wire).submit(body).limit_price == D("-1.25")
    assert [sent.body for sent in wire.sent] == [body.encode()]
    for answer in ({**MLEG, "legs": None}, {**MLEG, "legs": [], "symbol": None}):
        with pytest.raises(OutcomeUnknown):
            broker_on(Wire((200, answer))).submit(body)


def test_activities_of_contracts_are_among_those_that_are_no_trades():
    [found] = broker_on(Wire((200, [EXERCISE]))).actions(AT)
    assert (found.type, found.group) == ("OPEXC", "g-1")


def test_contracts_are_looked_for_one_underlying_after_the_other():
    wire = Wire((200, {"option_contracts": [{"symbol": CALL}]}), (200, {"option_contracts": []}))
    assert broker_on(wire).with_options(["AAPL", "BRK.B"], AT.date()) == {"AAPL"}
    assert wire.paths() == ["GET /v2/options/contracts"] * 2
    first, second = wire.queries()
    assert (first["underlying_symbols"], second["underlying_symbols"], first["limit"]) == ("AAPL", "BRK.B", "1")
    assert (first["expiration_date_gte"], first["expiration_date_lte"]) == ("2008-10-07", "2009-10-08")
    for reply in ((200, {}), (200, {"option_contracts": 1}), (500, {}), (200, "null")):
        with pytest.raises(BrokerError):
            broker_on(Wire(reply)).with_options(["AAPL"], AT.date())


def activities(count: int):
    rows = [{**FILL, "id": f"a-{n:06}"} for n in range(count)]

    def answer(request: PreparedRequest):
        wire = Wire()
        wire.sent = [request]
        query = wire.queries()[0]
        later = [r for r in rows if r["id"] > query.get("page_token", "")]
        return 200, later[: int(query["page_size"])]

    return answer


@pytest.mark.parametrize("count", [0, 1, FILLS_PAGE, FILLS_PAGE + 1, 3 * FILLS_PAGE])
def test_all_fills_are_read_however_many_pages_they_fill(count):
    wire = Wire(activities(count))
    found = broker_on(wire).fills(AT)
    assert [f.activity_id for f in found] == [f"a-{n:06}" for n in range(count)]
    assert wire.queries()[0] == {"after": wire_instant(AT), "direction": "asc", "page_size": "100"}


def test_fills_that_never_end_are_a_fault_and_not_a_whole_reading():
    """A reading is whole or it failed: the first hundred thousand fills are not "the fills"."""
    page = json.dumps([{**FILL, "id": f"a-{n}"} for n in range(FILLS_PAGE)])
    wire = Wire((200, page))
    with pytest.raises(BrokerUnreachable):
        broker_on(wire).fills(AT)
    assert len(wire.sent) <= PAGES_MAX


def test_a_page_that_fails_fails_the_reading():
    full = [{**FILL, "id": f"a-{n:06}"} for n in range(FILLS_PAGE)]
    with pytest.raises(BrokerUnreachable):
        broker_on(Wire((200, full), (500, {}))).fills(AT)
    orders = [{**ORDER, "id": f"o-{n}"} for n in range(ORDERS_PAGE)]
    with pytest.raises(BrokerUnreachable):
        broker_on(Wire((200, orders), (200, "garbage"))).orders(AT)


# -- prices ---------------------------------------------------------------------------------------


def test_bars_are_asked_for_by_symbol_interval_and_span():
    row = {"t": "2008-10-07T13:50:00Z", "o": 1, "h": 2, "l": 1, "c": 2, "v": 7, "n": 1, "vw": 1.5}
    wire = Wire((200, {"bars": {"AAPL": [row]}, "next_page_token": None}))
    frame = data_on(wire).bars(["AAPL", "MSFT"], FIVE, AT - timedelta(hours=1), AT, 10)
    assert frame.symbols == ("AAPL", "MSFT")
    assert frame.close[-1, 0] == 2.0
    [query] = wire.queries()
    assert (query["symbols"], query["timeframe"], query["feed"]) == ("AAPL,MSFT", "5Min", "iex")


def test_trades_that_cannot_be_are_passed_on_as_they_are_told():
    body = {"trades": {"AAPL": {"p": 100.1, "t": WHEN}, "MSFT": {"p": 0, "t": WHEN}, "IBM": {"p": "NaN", "t": WHEN}}}
    found = data_on(Wire((200, body))).trades(["AAPL", "MSFT", "IBM", "F"])
    assert {s: str(t.price) for s, t in found.items()} == {"AAPL": "100.1", "MSFT": "0", "IBM": "NaN"}


@pytest.mark.parametrize(
    "reply", [(200, {"trades": {"AAPL": {"p": "dear", "t": WHEN}}}), (200, "x"), (429, {}), (503, "<html>")]
)
def test_prices_that_do_not_come_are_an_error(reply):
    with pytest.raises(BrokerUnreachable):
        data_on(Wire(reply)).trades(["AAPL"])


NO_SIP = "subscription does not permit querying recent SIP data"


@pytest.mark.parametrize(
    "reply",
    [
        (403, {"message": NO_SIP}), (403, "<html>"), (403, {"code": 42210000, "message": NO_SIP}),
        (422, {"code": 42210000, "message": NO_SIP}),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize(("feed", "hint"), [("sip", "--feed iex"), ("iex", "see your data plan")])
def test_a_plan_without_the_feed_is_not_taken_for_wrong_keys(reply, feed, hint):
    data = AlpacaMarketData("KEY", "SECRET", "http://far.invalid", feed, fenced(Wire(reply)))
    for ask in (lambda: data.trades(["AAPL"]), lambda: data.bars(["AAPL"], FIVE, AT, AT, 3)):
        with pytest.raises(BrokerAuthError, match=f"no prices of feed={feed}: ") as caught:
            ask()
        assert "keys:" not in caught.value.message
        assert hint in caught.value.hint


def test_keys_that_are_wrong_are_wrong_for_prices_too_and_another_refusal_is_none_of_the_plan():
    with pytest.raises(BrokerAuthError, match="does not accept these keys"):
        data_on(Wire((401, {"message": "unauthorized."}))).trades(["AAPL"])
    with pytest.raises(BrokerRefused, match="invalid symbol"):
        data_on(Wire((400, {"code": 40010001, "message": "invalid symbol"}))).trades(["AAPL"])


@pytest.mark.parametrize(
    ("seconds", "name"),
    [(60, "1Min"), (300, "5Min"), (59 * 60, "59Min"), (3600, "1Hour"), (23 * 3600, "23Hour"), (86400, "1Day")],
)
def test_an_interval_has_alpacas_name(seconds, name):
    assert timeframe(timedelta(seconds=seconds)).value == name


# -- the control of an exchange of ours -----------------------------------------------------------


def test_the_exchange_is_moved_with_its_token(server):
    control = ExchangeControl(server.url + "/", "geheim")
    server.body = json.dumps({"now": WHEN}).encode()
    assert control.advance(AT) == instant(WHEN)
    [(method, path, headers, body)] = server.requests
    assert (method, path, headers["X-Exchange-Token"]) == ("POST", "/_exchange/advance", "geheim")
    assert json.loads(body) == {"to": wire_instant(AT)}
    server.body = json.dumps({"now": WHEN, "speed": 60, "symbols": {"AAPL": "real-daily"}}).encode()
    clock = control.clock()
    assert clock is not None
    assert (clock.now, clock.speed, clock.labels) == (instant(WHEN), 60.0, {"AAPL": "real-daily"})


def test_what_is_no_exchange_of_ours_has_no_clock_and_does_not_move(server):
    control = ExchangeControl(server.url, "t")
    server.status = 404
    assert control.clock() is None
    with pytest.raises(BrokerUnreachable, match="HTTP 404"):
        control.advance(AT)
    server.status, server.body = 200, b"<html>"
    with pytest.raises(BrokerUnreachable):
        control.clock()
    with pytest.raises(AssertionError):
        ExchangeControl("http://10.0.0.1", "t")


# -- many orders, many symbols ----------------------------------------------------------------------


def listed(*symbols: str) -> Wire:
    return Wire((200, [{**ASSET, "symbol": s} for s in symbols]))


def test_more_symbols_than_a_few_are_looked_up_in_the_whole_list():
    few = [f"S{n}" for n in range(ASSETS_ONE_BY_ONE)]
    wire = Wire((200, ASSET))
    broker_on(wire).instruments(few)
    assert wire.paths() == [f"GET /v2/assets/{s}" for s in few]
    wire = listed("S1", "S2", "OTHER")
    found = broker_on(wire).instruments([*few, "S-one-more"])
    assert wire.paths() == ["GET /v2/assets"]
    assert wire.queries() == [{"status": "active", "asset_class": "us_equity"}]
    assert set(found) == {*few, "S-one-more"}
    assert {s for s, i in found.items() if i is not None} == {"S1", "S2"}


def bracketed(orders: Orders) -> Orders:
    for row in orders.rows:
        row["legs"] = [{**ORDER, "id": f"{row['id']}-{n}"} for n in range(2)]
    return orders


class LegsCount(Orders):
    """A list whose ``limit`` counts the legs as well."""

    def __call__(self, request: PreparedRequest):
        status, page = super().__call__(request)
        return status, page[: ORDERS_PAGE // 3]


@pytest.mark.parametrize("kind", [Orders, LegsCount])
@pytest.mark.parametrize("count", [1, ORDERS_PAGE // 3, ORDERS_PAGE // 3 + 1, ORDERS_PAGE])
def test_all_brackets_are_read_whether_or_not_their_legs_count(kind, count):
    found = broker_on(Wire(bracketed(kind(*range(1, count + 1))))).orders(AT)
    assert [o.order_id for o in found] == [f"o-{n}" for n in range(count)]


def test_a_page_is_full_when_it_is_with_its_legs():
    full, rest = Wire(), Wire()
    for wire, count in ((full, 167), (rest, 165)):  # 501 and 495 orders
        wire.replies = [bracketed(Orders(*range(1, count + 1)))]
        broker_on(wire).orders(AT)
    assert (len(full.sent), len(rest.sent)) == (2, 1)


def test_brackets_of_one_instant_that_fill_no_page_are_read():
    """A scan of two hundred symbols on a market that stands still."""
    found = broker_on(Wire(bracketed(Orders(*[1] * 200)))).orders(AT)
    assert len(found) == 200


# -- what is new to an order, and to an account ---------------------------------------------------


def test_a_replacement_is_one_patch_of_the_stored_bytes():
    wire = Wire((200, {**ORDER, "id": "o-9", "replaces": "o-1"}))
    body = '{"stop_price":"97.50","client_order_id":"ga1-x"}'
    assert broker_on(wire).replace("o/1", body).replaces == "o-1"
    [sent] = wire.sent
    assert (wire.paths(), sent.body) == (["PATCH /v2/orders/o%2F1"], body.encode())


@pytest.mark.parametrize(
    ("reply", "error"),
    [((422, {"code": 42210000, "message": "order already replaced"}), BrokerRefused), ((504, {}), OutcomeUnknown),
     ((429, {}), OutcomeUnknown), ((200, "garbage"), OutcomeUnknown), ((401, {}), BrokerAuthError)],
)  # fmt: skip
def test_a_replacement_has_the_outcomes_of_an_order_and_is_sent_once(reply, error):
    wire = Wire(reply)
    with pytest.raises(error):
        broker_on(wire).replace("o-1", "{}")
    assert len(wire.sent) == 1


SPLIT = {"id": "s-1", "activity_type": "SPLIT", "symbol": "AAPL", "qty": "10", "date": "2008-10-07"}


def test_activities_that_are_no_trades_are_read_by_their_category_in_pages():
    full = [{**SPLIT, "id": f"s-{n:03}"} for n in range(FILLS_PAGE)]
    wire = Wire((200, full), (200, [SPLIT]))
    assert len(broker_on(wire).actions(AT)) == FILLS_PAGE + 1
    first, second = wire.queries()
    assert wire.paths() == ["GET /v2/account/activities"] * 2
    assert (first["category"], first["after"]) == ("non_trade_activity", wire_instant(AT))
    assert second["page_token"] == "s-099"


def test_trades_among_them_are_left_out():
    found = broker_on(Wire((200, [{**FILL, "activity_type": "FILL"}, SPLIT]))).actions(AT)
    assert [a.activity_id for a in found] == ["s-1"]


@pytest.mark.parametrize(("created", "opened"), [(WHEN, instant(WHEN)), (None, None), ("", None)])
def test_an_account_may_say_since_when_it_is_open(created, opened):
    wire = Wire((200, {"id": "a-1", "account_number": "PA3", "created_at": created}))
    broker = broker_on(wire)
    assert broker.opened_at() == opened
    assert (broker.opened_at(), wire.paths()) == (opened, ["GET /v2/account"])


def test_who_an_account_is_and_since_when_is_asked_once():
    wire = Wire((200, {"id": "a-1", "account_number": "PA3", "created_at": WHEN}))
    broker = broker_on(wire)
    assert (broker.account_id(), broker.opened_at()) == ("a-1", instant(WHEN))
    assert wire.paths() == ["GET /v2/account"]


def test_keys_that_open_another_account_than_at_first_halt():
    """A paper account that was reset under a running session: nothing of it may be read as positions that closed."""
    account = {"id": "a-1", "account_number": "PA123", **ACCOUNT}
    broker = broker_on(Wire((200, account), (200, account), (200, {**account, "id": "a-2"})))
    broker.account_id()
    broker.account()
    with pytest.raises(RecoveryHalted, match=r"a-1 and now open a-2: it was reset"):
        broker.account()
