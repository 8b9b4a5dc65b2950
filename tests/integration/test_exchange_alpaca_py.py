"""Real alpaca-py, over a real loopback server: its models must parse every reply."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import pytest
import requests
from alpaca.common.exceptions import APIError
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.requests import (
    StockBarsRequest,
    StockLatestBarRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
)
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import (
    OrderClass,
    OrderSide,
    OrderStatus,
    PositionSide,
    QueryOrderStatus,
    TimeInForce,
)
from alpaca.trading.models import TradeActivity
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetCalendarRequest,
    GetOrderByIdRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
    StopLossRequest,
    StopOrderRequest,
    TakeProfitRequest,
)

from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.rest.server import ExchangeServer

START = datetime(2007, 11, 13, 15, 0, tzinfo=UTC)


class Loopback(NamedTuple):
    exchange: Exchange
    server: ExchangeServer
    trading: Any  # its methods return a model or raw data, by a flag
    data: Any

    def advance(self, **duration: float) -> None:
        to = self.exchange.now() + timedelta(**duration)
        reply = requests.post(
            self.server.url + "/_exchange/advance",
            json={"to": to.isoformat()},
            headers={"X-Exchange-Token": self.server.token},
            timeout=10,
        )
        assert reply.status_code == 200, reply.text

    def filled(self, order_id: str) -> None:
        for _ in range(20):
            if self.trading.get_order_by_id(order_id).status == OrderStatus.FILLED:
                return
            self.advance(seconds=15)
        raise AssertionError("it never filled")


@pytest.fixture
def loopback(tmp_path) -> Iterator[Loopback]:
    exchange = Exchange.open(tmp_path / "exchange.db", start=START, seed=7)
    server = ExchangeServer(exchange)
    server.start()
    trading = TradingClient(exchange.key_id, exchange.secret_key, paper=True, url_override=server.url)
    data = StockHistoricalDataClient(exchange.key_id, exchange.secret_key, url_override=server.url)
    yield Loopback(exchange, server, trading, data)
    trading._session.close()
    data._session.close()
    server.stop()
    exchange.close()


def bracket(**fields) -> MarketOrderRequest:
    return MarketOrderRequest(
        symbol="AAPL", qty=10, side=OrderSide.BUY, time_in_force=TimeInForce.DAY,
        order_class=OrderClass.BRACKET,
        take_profit=TakeProfitRequest(limit_price=500), stop_loss=StopLossRequest(stop_price=50), **fields,
    )  # fmt: skip


def test_account_clock_calendar_assets(loopback):
    client = loopback.trading
    account = client.get_account()
    assert (account.cash, account.equity, account.multiplier) == ("100000", "100000", "4")
    assert str(account.id) == loopback.exchange.account_id
    clock = client.get_clock()
    assert clock.is_open
    assert clock.timestamp == START
    (day,) = client.get_calendar(GetCalendarRequest(start=date(2007, 11, 23), end=date(2007, 11, 23)))
    assert day.close.hour == 13
    assert {asset.symbol for asset in client.get_all_assets()} >= {"AAPL", "MSFT", "SPY"}
    asset = client.get_asset("AAPL")
    assert client.get_asset(str(asset.id)).symbol == "AAPL"
    assert client.get_account_configurations().no_shorting is False


def test_a_bracket_and_everything_that_shows_it(loopback):
    client = loopback.trading
    order = client.submit_order(bracket(client_order_id="mine"))
    assert (order.status, order.order_class) == (OrderStatus.PENDING_NEW, OrderClass.BRACKET)
    assert [leg.status for leg in order.legs] == [OrderStatus.HELD, OrderStatus.HELD]
    loopback.filled(order.id)
    found = client.get_order_by_client_id("mine")
    assert (found.id, [leg.status for leg in found.legs]) == (order.id, [OrderStatus.NEW, OrderStatus.HELD])
    nested = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL, nested=True, limit=500))
    assert [len(row.legs) for row in nested] == [2]
    position = client.get_open_position("AAPL")
    assert (position.side, position.qty, position.qty_available) == (PositionSide.LONG, "10", "0")
    assert len(client.get_all_positions()) == 1
    with pytest.raises(APIError) as refused:
        client.close_position("AAPL")
    assert (refused.value.status_code, refused.value.code) == (403, 40310000)
    new = client.replace_order_by_id(order.legs[1].id, ReplaceOrderRequest(stop_price=60))
    assert str(new.replaces) == str(order.legs[1].id)
    client.cancel_order_by_id(new.id)
    assert client.get_order_by_id(order.legs[0].id).status == OrderStatus.CANCELED
    closed = client.close_position("AAPL", ClosePositionRequest(percentage="50"))
    assert closed.qty == "5"
    loopback.filled(closed.id)
    (report,) = client.close_all_positions(cancel_orders=True)
    assert (report.status, report.body.qty) == (200, "5")
    activities = client.get("/account/activities/FILL")
    rows = [TradeActivity(account_id=loopback.exchange.account_id, **row) for row in activities]
    assert sum(row.qty for row in rows if row.side == OrderSide.BUY) == 10


def test_other_orders(loopback):
    client = loopback.trading
    day, buy = TimeInForce.DAY, OrderSide.BUY
    limit = client.submit_order(LimitOrderRequest(symbol="MSFT", qty=1, side=buy, time_in_force=day, limit_price=1))
    stop = client.submit_order(StopOrderRequest(symbol="MSFT", qty=1, side=buy, time_in_force=day, stop_price=500))
    assert {order.id for order in client.get_orders()} == {limit.id, stop.id}
    assert [row.status for row in client.cancel_orders()] == [200, 200]
    assert client.get_orders() == []
    held = client.submit_order(MarketOrderRequest(symbol="AAPL", qty=10, side=buy, time_in_force=day))
    loopback.filled(held.id)
    pair = client.submit_order(
        LimitOrderRequest(
            symbol="AAPL", qty=10, side=OrderSide.SELL, time_in_force=TimeInForce.GTC,
            order_class=OrderClass.OCO,
            take_profit=TakeProfitRequest(limit_price=500), stop_loss=StopLossRequest(stop_price=50),
        )
    )  # fmt: skip
    assert (pair.order_class, float(pair.limit_price), len(pair.legs)) == (OrderClass.OCO, 500, 1)
    nested = client.get_order_by_id(pair.id, GetOrderByIdRequest(nested=True))
    assert nested.legs[0].status == OrderStatus.HELD


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"symbol": "ZZZZ"}, 422, 42210000),
        ({"qty": 100_000}, 403, 40310000),
        ({"client_order_id": "taken"}, 422, 40010001),
    ],
)
def test_refusals_arrive_as_api_errors(loopback, change, status, code):
    order = {"symbol": "AAPL", "qty": 1, "side": OrderSide.BUY, "time_in_force": TimeInForce.DAY}
    loopback.trading.submit_order(MarketOrderRequest(**order, client_order_id="taken"))
    with pytest.raises(APIError) as refused:
        loopback.trading.submit_order(MarketOrderRequest(**order | change))
    assert (refused.value.status_code, refused.value.code) == (status, code)
    bad = TradingClient("PKBAD", "bad", paper=True, url_override=loopback.server.url)
    with pytest.raises(APIError) as unknown:
        bad.get_account()
    bad._session.close()
    assert unknown.value.status_code == 401


def test_market_data(loopback):
    client = loopback.data
    minutes = TimeFrame(5, TimeFrameUnit.Minute)
    ask = StockBarsRequest(symbol_or_symbols=["MSFT", "AAPL"], timeframe=minutes, start=START - timedelta(days=1))
    bars = client.get_stock_bars(ask).data
    assert sorted(bars) == ["AAPL", "MSFT"]
    assert bars["AAPL"][-1].timestamp == START - timedelta(minutes=5)
    limited = StockBarsRequest(
        symbol_or_symbols="AAPL", timeframe=TimeFrame.Day, start=START - timedelta(days=30), limit=7
    )
    assert len(client.get_stock_bars(limited).data["AAPL"]) == 7
    trade = client.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols="AAPL"))["AAPL"]
    quote = client.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=["AAPL"]))["AAPL"]
    bar = client.get_stock_latest_bar(StockLatestBarRequest(symbol_or_symbols="AAPL"))["AAPL"]
    assert quote.bid_price < trade.price < quote.ask_price
    assert bar.timestamp == START - timedelta(minutes=1)


def test_a_market_that_runs_by_itself_refuses_to_be_advanced(tmp_path):
    exchange = Exchange.open(tmp_path / "x.db", start=START, speed=60)
    server = ExchangeServer(exchange, token="mine")
    server.start()
    reply = requests.post(
        server.url + "/_exchange/advance",
        json={"to": START.isoformat()},
        headers={"X-Exchange-Token": "mine"},
        timeout=10,
    )
    assert (reply.status_code, "runs by itself" in reply.json()["message"]) == (409, True)
    assert requests.get(server.url + "/_exchange/clock", timeout=10).json()["speed"] == 60
    server.stop()
    exchange.close()
