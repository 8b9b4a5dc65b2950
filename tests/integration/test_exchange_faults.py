"""Each kind of fault over a real loopback server: what real alpaca-py, or a socket, sees of it."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import requests
from alpaca.common.exceptions import APIError
from alpaca.data.enums import DataFeed
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.requests import StockBarsRequest, StockLatestQuoteRequest, StockLatestTradeRequest
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderStatus
from alpaca.trading.models import NonTradeActivity
from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest, ReplaceOrderRequest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.faults.kinds import KINDS
from gambler_ai.exchange.rest.server import ExchangeServer

START = datetime(2007, 11, 13, 15, 0, tzinfo=UTC)
CASES: dict[str, Callable[["There"], None]] = {}


class There:
    """The exchange on its port, alpaca-py's two clients without their retries, and the control endpoint."""

    def __init__(self) -> None:
        self.exchange = Exchange.open(None, start=START, seed=7)
        self.server = ExchangeServer(self.exchange)
        self.server.start()
        keys = self.exchange.key_id, self.exchange.secret_key
        self.trading: Any = TradingClient(*keys, paper=True, url_override=self.server.url)
        self.data: Any = StockHistoricalDataClient(*keys, url_override=self.server.url)
        for client in (self.trading, self.data):
            client._retry, client._retry_codes = 0, []
        self.sockets = ExitStack()

    def close(self) -> None:
        self.sockets.close()
        self.trading._session.close()
        self.data._session.close()
        self.server.stop()
        self.exchange.close()

    def control(self, path: str, body: Any = None) -> Any:
        headers = {"X-Exchange-Token": self.server.token}
        method = "GET" if body is None else "POST"
        reply = requests.request(method, f"{self.server.url}/_exchange/{path}", json=body, headers=headers, timeout=10)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def plan(self, kind: str, **row: Any) -> None:
        self.control("faults", [{"kind": kind} | row])

    def pass_time(self, **span: float) -> None:
        self.control("advance", {"to": (self.exchange.now() + timedelta(**span)).isoformat()})

    def buy(self, qty: float = 10, client_order_id: str = "mine", **more: Any) -> Any:
        order = MarketOrderRequest(
            symbol="AAPL", qty=qty, side="buy", time_in_force="day", client_order_id=client_order_id, **more
        )
        return self.trading.submit_order(order)

    def rest(self, limit_price: float = 1.0) -> Any:
        """A limit order far from the market."""
        order = LimitOrderRequest(symbol="AAPL", qty=4, side="buy", time_in_force="gtc", limit_price=limit_price)
        return self.trading.submit_order(order)

    def status(self, order: Any) -> str:
        return str(self.trading.get_order_by_id(order.id).status.value)

    def filled(self, **order: Any) -> Any:
        made = self.buy(**order)
        for _ in range(20):
            if self.status(made) == "filled":
                return self.trading.get_order_by_id(made.id)
            self.pass_time(seconds=15)
        raise AssertionError("it never filled")

    def is_known(self, client_order_id: str = "mine") -> bool:
        status = self.get(f"/v2/orders:by_client_order_id?client_order_id={client_order_id}").status_code
        assert status in (200, 404)
        return status == 200

    def get(self, path: str, timeout: float = 10.0) -> requests.Response:
        headers = {"APCA-API-KEY-ID": self.exchange.key_id, "APCA-API-SECRET-KEY": self.exchange.secret_key}
        return requests.get(self.server.url + path, headers=headers, timeout=timeout)

    def activities(self, kind: str = "FILL") -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.trading.get(f"/account/activities/{kind}", {"direction": "asc"})
        return rows

    def bars(self) -> list[Any]:
        opened = START - timedelta(minutes=30)
        asked = StockBarsRequest(symbol_or_symbols="AAPL", timeframe=TimeFrame.Minute, start=opened)
        return list(self.data.get_stock_bars(asked).data.get("AAPL", []))

    def stream(self) -> Any:
        """Listening to trade updates."""
        socket = self.sockets.enter_context(connect(self.server.url.replace("http", "ws") + "/stream"))
        socket.send(json.dumps({"action": "auth", "key": self.exchange.key_id, "secret": self.exchange.secret_key}))
        assert json.loads(socket.recv(10))["data"]["status"] == "authorized"
        socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        assert json.loads(socket.recv(10))["stream"] == "listening"
        return socket

    def events(self, socket: Any, count: int) -> list[str]:
        return [json.loads(socket.recv(10))["data"]["event"] for _ in range(count)]


@pytest.fixture
def there() -> Iterator[There]:
    found = There()
    yield found
    found.close()


def case(*kinds: str) -> Callable[[Callable[[There], None]], Callable[[There], None]]:
    def keep(function: Callable[[There], None]) -> Callable[[There], None]:
        CASES.update(dict.fromkeys(kinds, function))
        return function

    return keep


def answers(kind: str, status: int, *, known: bool) -> None:
    """The POST of an order gets this status, and is done or is not."""

    @case(kind)
    def check(there: There) -> None:
        there.plan(kind, method="POST", path="/v2/orders")
        with pytest.raises(APIError) as caught:
            there.buy()
        assert caught.value.status_code == status
        assert there.is_known() is known


def breaks(kind: str, error: type[Exception], *, known: bool, **row: Any) -> None:
    """The POST of an order raises this, and is done or is not."""

    @case(kind)
    def check(there: There) -> None:
        there.plan(kind, method="POST", path="/v2/orders", **row)
        with pytest.raises(error):
            there.buy()
        assert there.is_known() is known


for name in ("500", "500_html"):
    answers(name, 500, known=False)
answers("502_html", 502, known=False)
answers("503_html", 503, known=False)
answers("429", 429, known=False)
for name in ("401_bare", "401_html"):
    answers(name, 401, known=False)
answers("403_bare", 403, known=False)
answers("504_after", 504, known=True)
answers("502_after", 502, known=True)
breaks("reset", requests.ConnectionError, known=False)
breaks("hang_unhandled", requests.ConnectionError, known=False, seconds=0.05)
breaks("lost_reply", requests.ConnectionError, known=True)
breaks("truncated", requests.exceptions.ChunkedEncodingError, known=True)
breaks("truncated_chunk", requests.exceptions.ChunkedEncodingError, known=True)
breaks("garbage", requests.JSONDecodeError, known=False)
breaks("cut_json", requests.JSONDecodeError, known=True)
breaks("not_json", requests.JSONDecodeError, known=True)


@case("429_headers")
def rate_limited(there: There) -> None:
    there.plan("429_headers", seconds=30)
    reply = there.get("/v2/clock")
    assert reply.status_code == 429
    assert (reply.headers["Retry-After"], reply.headers["X-RateLimit-Remaining"]) == ("30", "0")
    assert int(reply.headers["X-RateLimit-Reset"]) == START.timestamp() + 30


@case("late_arrival")
def late_arrival(there: There) -> None:
    there.plan("late_arrival", seconds=90)
    with pytest.raises(APIError) as caught:
        there.buy()
    assert caught.value.status_code == 504
    there.pass_time(seconds=89)
    assert not there.is_known()
    there.pass_time(seconds=1)
    assert there.is_known()


@case("hang")
def hang(there: There) -> None:
    there.plan("hang", seconds=0.4)
    with pytest.raises(requests.ReadTimeout):
        there.get("/v2/account", timeout=0.1)
    assert there.trading.get_account()


@case("slow")
def slow(there: There) -> None:
    there.plan("slow", seconds=0.4, times=2)
    assert there.trading.get_account().cash == "100000", "it comes in pieces, and whole"
    with pytest.raises(requests.ConnectionError):  # what requests makes of a timeout inside a body
        there.get("/v2/account", timeout=0.02)


@case("accepted_only")
def accepted_only(there: There) -> None:
    there.plan("accepted_only", seconds=600)
    order = there.buy(1)
    there.pass_time(seconds=599)
    assert there.status(order) == "accepted"
    there.pass_time(seconds=60)
    assert there.status(order) == "filled"


@case("fill_first")
def fill_first(there: There) -> None:
    there.plan("fill_first")
    assert there.buy(1).status == OrderStatus.FILLED
    assert there.buy(1, "other").status == OrderStatus.PENDING_NEW


@case("rejected_after")
def rejected_after(there: There) -> None:
    socket = there.stream()
    there.plan("rejected_after")
    order = there.buy()
    assert order.status == OrderStatus.PENDING_NEW
    found = there.trading.get_order_by_id(order.id)
    assert (found.status, bool(found.failed_at)) == (OrderStatus.REJECTED, True)
    assert there.events(socket, 2) == ["pending_new", "rejected"]
    assert there.trading.get_all_positions() == []


@case("not_found_for")
def not_found_for(there: There) -> None:
    there.plan("not_found_for", seconds=30, times="always")
    order = there.buy()
    assert not there.is_known()
    assert there.trading.get_orders() == []
    there.pass_time(seconds=30)
    assert there.is_known()
    assert str(order.id) == str(there.trading.get_order_by_client_id("mine").id)


@case("orders_late")
def orders_late(there: There) -> None:
    there.plan("orders_late", seconds=30, times="always")
    order = there.rest()
    assert there.trading.get_orders() == []
    there.pass_time(seconds=30)
    there.trading.cancel_order_by_id(order.id)
    assert there.status(order) == "new"
    there.pass_time(seconds=30)
    assert there.status(order) == "canceled"


@case("position_late")
def position_late(there: There) -> None:
    there.plan("position_late", seconds=30, times="always")
    there.filled()
    assert there.trading.get_all_positions() == [], "the order is filled, and there is no position"
    there.pass_time(minutes=1)
    assert [p.qty for p in there.trading.get_all_positions()] == ["10"]


@case("cancel_stuck")
def cancel_stuck(there: There) -> None:
    order = there.rest()
    there.plan("cancel_stuck", seconds=600)
    there.trading.cancel_order_by_id(order.id)
    there.pass_time(seconds=590)
    assert there.status(order) == "pending_cancel"
    with pytest.raises(APIError, match="order pending cancel"):
        there.trading.cancel_order_by_id(order.id)
    there.pass_time(seconds=30)
    assert there.status(order) == "canceled"


@case("cancel_filled")
def cancel_filled(there: There) -> None:
    order, socket = there.rest(), there.stream()
    there.plan("cancel_filled")
    there.trading.cancel_order_by_id(order.id)
    assert there.status(order) == "filled"
    assert there.events(socket, 2) == ["pending_cancel", "fill"]
    assert [p.qty for p in there.trading.get_all_positions()] == ["4"]


@case("replace_rejected")
def replace_rejected(there: There) -> None:
    order, socket = there.rest(), there.stream()
    there.plan("replace_rejected", seconds=60)
    new = there.trading.replace_order_by_id(order.id, ReplaceOrderRequest(limit_price=2.0))
    assert (str(new.replaces), new.status) == (str(order.id), OrderStatus.PENDING_NEW)
    assert there.status(order) == "pending_replace"
    there.pass_time(seconds=90)
    assert (there.status(order), there.status(new)) == ("new", "rejected")
    assert there.trading.get_order_by_id(order.id).replaced_by is None
    assert there.events(socket, 5) == ["pending_replace", "pending_new", "new", "order_replace_rejected", "rejected"]


@case("replace_filled")
def replace_filled(there: There) -> None:
    order = there.rest()
    there.plan("replace_filled")
    new = there.trading.replace_order_by_id(order.id, ReplaceOrderRequest(limit_price=2.0))
    assert (there.status(order), there.status(new)) == ("filled", "rejected")


@case("both_exits")
def both_exits(there: There) -> None:
    bid = float(there.data.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols="AAPL"))["AAPL"].bid_price)
    there.plan("both_exits")
    order = there.filled(
        order_class="bracket", take_profit={"limit_price": round(bid * 1.004, 2)},
        stop_loss={"stop_price": round(bid * 0.9, 2)},
    )  # fmt: skip
    for _ in range(40):
        if there.trading.get_all_positions()[0].qty != "10":
            break
        there.pass_time(minutes=15)
    assert {leg.status for leg in there.trading.get_order_by_id(order.id).legs} == {OrderStatus.FILLED}
    assert [p.qty for p in there.trading.get_all_positions()] == ["-10"]


@case("activity_late")
def activity_late(there: There) -> None:
    there.plan("activity_late", times="always")
    there.filled()
    assert there.activities() == []
    there.plan("activity_late", seconds=3600, times="always")
    there.pass_time(hours=1)
    assert there.activities()


@case("activity_twice")
def activity_twice(there: There) -> None:
    there.filled(qty=1)
    there.plan("activity_twice")
    first, second = there.activities()
    assert first == second


@case("activity_disorder")
def activity_disorder(there: There) -> None:
    for number in range(5):
        there.filled(qty=1, client_order_id=f"n{number}")
    ordered = there.activities()
    there.plan("activity_disorder")
    found = there.activities()
    assert found != ordered
    assert sorted(row["id"] for row in found) == sorted(row["id"] for row in ordered)


@case("stale")
def stale(there: There) -> None:
    there.plan("stale", seconds=600, times=2)
    trade = there.data.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols="AAPL"))["AAPL"]
    assert trade.timestamp == START - timedelta(minutes=10)
    assert there.bars()[-1].timestamp == START - timedelta(minutes=11)


@case("no_sip")
def no_sip(there: There) -> None:
    there.plan("no_sip", times=4)
    recent = StockBarsRequest(symbol_or_symbols="AAPL", timeframe=TimeFrame.Minute, feed=DataFeed.SIP)
    with pytest.raises(APIError, match="subscription does not permit querying recent SIP data") as caught:
        there.data.get_stock_bars(recent)
    assert caught.value.status_code == 403
    old = recent.model_copy(update={"end": START - timedelta(minutes=15)})
    assert there.data.get_stock_bars(old).data["AAPL"]
    iex = recent.model_copy(update={"feed": DataFeed.IEX})
    assert there.data.get_stock_bars(iex).data["AAPL"]
    with pytest.raises(APIError, match="subscription does not permit"):
        there.data.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols="AAPL", feed=DataFeed.SIP))


@case("bars_gap")
def bars_gap(there: There) -> None:
    whole = there.bars()
    there.plan("bars_gap", times=2)
    assert 5 < len(there.bars()) < 25 < len(whole)
    assert there.bars() != whole


@case("bars_twice")
def bars_twice(there: There) -> None:
    there.plan("bars_twice")
    first, second = there.bars()[:2]
    assert first == second


@case("bars_future")
def bars_future(there: There) -> None:
    there.plan("bars_future")
    assert there.bars()[-1].timestamp == START - timedelta(minutes=1) + timedelta(hours=1)


@case("bad_price")
def bad_price(there: There) -> None:
    there.plan("bad_price", price="nan")
    assert "NaN" in there.get("/v2/stocks/AAPL/trades/latest").text
    there.plan("bad_price", price="negative")
    assert there.bars()[-1].close < 0 < there.bars()[-1].close


@case("stream_cut", "stream_drop", "stream_repeat", "stream_swap", "stream_mute", "stream_refuse")
def streams(there: There) -> None:
    socket = there.stream()
    there.control("faults", [{"kind": "stream_drop"}, {"kind": "stream_repeat"}])
    there.buy(1, "a")
    assert there.events(socket, 3) == ["new", "new", "fill"]
    there.plan("stream_swap")
    there.buy(1, "b")
    assert there.events(socket, 3) == ["new", "pending_new", "fill"]
    there.plan("stream_mute", contains='"event":"pending_new"', seconds=5)
    there.buy(1, "c")
    there.pass_time(seconds=5)
    there.buy(1, "d")
    assert json.loads(socket.recv(10))["data"]["order"]["client_order_id"] == "d"
    assert there.events(socket, 2) == ["new", "fill"]
    there.plan("stream_cut")
    with pytest.raises(ConnectionClosedError):
        socket.recv(10)
    there.plan("stream_refuse")
    with pytest.raises(InvalidStatus):
        there.stream()
    there.stream()


@case("hand")
def hand(there: There) -> None:
    there.filled()
    there.control("faults", [{"kind": "hand", "from": "+60s", "close": "AAPL"}])
    there.pass_time(seconds=59)
    assert there.trading.get_all_positions()
    there.pass_time(minutes=2)
    assert there.trading.get_all_positions() == []
    (done,) = there.control("deeds")
    assert (done["kind"], done["outcome"]) == ("hand", "closed AAPL")


@case("account_reset")
def account_reset(there: There) -> None:
    before = there.trading.get_account()
    there.filled()
    there.pass_time(minutes=1)
    there.plan("account_reset", method="GET", path="/v2/account", cash="50000")
    after = there.trading.get_account()
    assert before.id != after.id
    assert before.account_number != after.account_number
    assert after.created_at > before.created_at
    assert (after.cash, there.trading.get_all_positions(), there.activities()) == ("50000", [], [])
    assert not there.is_known()
    assert there.buy(1).client_order_id == "mine", "its ids are free again"


@case("split")
def split(there: There) -> None:
    there.filled()
    (before,) = there.trading.get_all_positions()
    there.plan("split", symbol="AAPL", ratio="2", on="2007-11-14")
    there.pass_time(hours=23, minutes=59)
    (after,) = there.trading.get_all_positions()
    assert (before.qty, after.qty) == ("10", "20")
    assert Decimal(after.avg_entry_price) * 2 == Decimal(before.avg_entry_price)
    assert float(after.current_price) < 0.6 * float(before.current_price)
    assert sum(Decimal(row["qty"]) for row in there.activities()) == 10, "no fill changes"
    rows = [NonTradeActivity(**row) for row in there.activities("SPLIT")]
    assert [row.qty for row in rows] == [-10, 20]


def test_every_kind_is_shown():
    assert set(CASES) == set(KINDS)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_a_client_sees_of_a_fault(there: There, kind: str):
    CASES[kind](there)
