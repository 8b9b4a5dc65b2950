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
    ActivityType,
    AssetClass,
    AssetExchange,
    AssetStatus,
    CorporateActionType,
    OrderClass,
    OrderSide,
    OrderStatus,
    PositionSide,
    QueryOrderStatus,
    TimeInForce,
)
from alpaca.trading.models import NonTradeActivity, TradeActivity
from alpaca.trading.requests import (
    ClosePositionRequest,
    CreateWatchlistRequest,
    GetAssetsRequest,
    GetCalendarRequest,
    GetCorporateAnnouncementsRequest,
    GetOrderByIdRequest,
    GetOrdersRequest,
    GetPortfolioHistoryRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
    StopLossRequest,
    StopOrderRequest,
    TakeProfitRequest,
    UpdateWatchlistRequest,
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


def test_configurations_are_read_and_written(loopback):
    client = loopback.trading
    found = client.get_account_configurations()
    found.no_shorting, found.suspend_trade = True, True
    assert client.set_account_configurations(found) == found == client.get_account_configurations()
    account = client.get_account()
    assert (account.shorting_enabled, account.trade_suspended_by_user) == (False, True)
    with pytest.raises(APIError) as refused:
        client.patch("/account/configurations", {"trade_confirm_email": "some"})
    assert (refused.value.status_code, refused.value.code) == (422, 40010001)


def test_portfolio_history(loopback):
    client = loopback.trading
    order = client.submit_order(
        MarketOrderRequest(symbol="AAPL", qty=5, side=OrderSide.BUY, time_in_force=TimeInForce.DAY)
    )
    loopback.filled(order.id)
    loopback.advance(days=1)
    by_day = client.get_portfolio_history()
    assert (by_day.timeframe, len(by_day.equity)) == ("1D", 2)
    ask = GetPortfolioHistoryRequest(
        period="2D", timeframe="1H", intraday_reporting="market_hours", pnl_reset="no_reset", extended_hours=False,
        cashflow_types="ALL",
    )  # fmt: skip
    by_hour = client.get_portfolio_history(ask)
    assert by_hour.equity[-1] == by_day.equity[-1] == pytest.approx(float(client.get_account().equity))
    assert len(by_hour.timestamp) == len(by_hour.profit_loss) == len(by_hour.profit_loss_pct)
    ended = client.get_portfolio_history(GetPortfolioHistoryRequest(start=START, end=START + timedelta(hours=1)))
    assert (ended.timeframe, len(ended.equity)) == ("1Min", 62)  # from 9:59, the minute in which the account began
    with pytest.raises(APIError, match="only two of start, end and period"):
        client.get_portfolio_history(GetPortfolioHistoryRequest(start=START, end=START, period="1D"))


def test_watchlists(loopback):
    client = loopback.trading
    made = client.create_watchlist(CreateWatchlistRequest(name="mine", symbols=["AAPL", "MSFT"]))
    assert [asset.symbol for asset in made.assets] == ["AAPL", "MSFT"]
    assert [row.id for row in client.get_watchlists()] == [made.id]
    assert [a.symbol for a in client.add_asset_to_watchlist_by_id(made.id, "IBM").assets] == ["AAPL", "MSFT", "IBM"]
    left = client.remove_asset_from_watchlist_by_id(made.id, "AAPL")
    assert [asset.symbol for asset in left.assets] == ["MSFT", "IBM"]
    changed = client.update_watchlist_by_id(made.id, UpdateWatchlistRequest(name="yours"))
    assert (changed.name, len(changed.assets)) == ("yours", 2)
    assert client.get_watchlist_by_id(made.id) == changed
    with pytest.raises(APIError, match="watchlist name must be unique"):
        client.create_watchlist(CreateWatchlistRequest(name="yours", symbols=[]))
    client.delete_watchlist_by_id(made.id)
    with pytest.raises(APIError) as gone:
        client.get_watchlist_by_id(made.id)
    assert (gone.value.status_code, gone.value.code) == (404, 40410000)


def test_assets_are_filtered(loopback):
    ask = GetAssetsRequest(status=AssetStatus.ACTIVE, asset_class=AssetClass.US_EQUITY, exchange=AssetExchange.NYSE)
    assert [asset.symbol for asset in loopback.trading.get_all_assets(ask)] == ["BRK.A", "IBM"]
    assert loopback.trading.get_all_assets(GetAssetsRequest(status=AssetStatus.INACTIVE)) == []
    with pytest.raises(APIError, match="asset not found for ZZZZ"):
        loopback.trading.get_asset("ZZZZ")


def test_activities_and_announcements_of_a_split(tmp_path):
    exchange = Exchange.open(tmp_path / "exchange.db", start=datetime(2005, 2, 25, 15, 0, tzinfo=UTC), seed=7)
    server = ExchangeServer(exchange)
    server.start()
    client: Any = TradingClient(exchange.key_id, exchange.secret_key, paper=True, url_override=server.url)
    client.submit_order(MarketOrderRequest(symbol="AAPL", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.DAY))
    exchange.advance(datetime(2005, 2, 28, 15, 0, tzinfo=UTC))
    old, new = [NonTradeActivity(**row) for row in client.get("/account/activities/SPLIT", {"direction": "asc"})]
    assert (old.activity_type, old.qty, new.qty) == (ActivityType.SPLIT, -1, 2)
    (fill,) = [
        TradeActivity(**row | {"account_id": exchange.account_id}) for row in client.get("/account/activities/FILL")
    ]
    assert fill.symbol == "AAPL"
    ask = GetCorporateAnnouncementsRequest(
        ca_types=[CorporateActionType.DIVIDEND, CorporateActionType.SPLIT], since=date(2005, 2, 1),
        until=date(2005, 3, 31),
    )  # fmt: skip
    with pytest.warns(DeprecationWarning, match="is deprecated"):  # the client's own: there is a newer endpoint
        (split,) = client.get_corporate_announcements(ask)
    assert client.get_corporate_announcement_by_id(split.id) == split
    assert (split.initiating_symbol, split.new_rate, split.old_rate) == ("AAPL", 2, 1)
    client._session.close()
    server.stop()
    exchange.close()


def test_the_other_ways_to_send_keys(loopback):
    key, secret, url = loopback.exchange.key_id, loopback.exchange.secret_key, loopback.server.url
    for client in (
        TradingClient(oauth_token=secret, paper=True, url_override=url),
        StockHistoricalDataClient(key, secret, use_basic_auth=True, url_override=url),
    ):
        path = "/account" if isinstance(client, TradingClient) else "/stocks/AAPL/trades/latest"
        assert client.get(path)
        client._session.close()


def test_a_client_waits_when_the_limit_is_reached(tmp_path):
    """alpaca-py asks again by itself after a 429; without tries left it raises."""
    exchange = Exchange.open(None, start=START)
    server = ExchangeServer(exchange, rate_limit=1)
    server.start()
    client = TradingClient(exchange.key_id, exchange.secret_key, paper=True, url_override=server.url)
    client._retry = 0
    client.get_clock()
    with pytest.raises(APIError) as limited:
        client.get_clock()
    assert (limited.value.status_code, limited.value.code) == (429, 42910000)
    client._session.close()
    server.stop()
    exchange.close()
