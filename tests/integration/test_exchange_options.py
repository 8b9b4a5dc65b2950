"""Real alpaca-py trades contracts over a real loopback server: every model parses, nothing is changed but the URL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from alpaca.common.exceptions import APIError
from alpaca.data.enums import OptionsFeed
from alpaca.data.historical.option import OptionHistoricalDataClient
from alpaca.data.requests import (
    OptionBarsRequest,
    OptionChainRequest,
    OptionLatestQuoteRequest,
    OptionLatestTradeRequest,
    OptionSnapshotRequest,
    OptionTradesRequest,
)
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import (
    AssetClass,
    AssetStatus,
    ContractType,
    ExerciseStyle,
    OrderClass,
    OrderSide,
    OrderStatus,
    PositionIntent,
    QueryOrderStatus,
    TimeInForce,
)
from alpaca.trading.requests import (
    GetOptionContractsRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    OptionLegRequest,
    ReplaceOrderRequest,
)

from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.rest.server import ExchangeServer

START = datetime(2007, 11, 13, 15, 0, tzinfo=UTC)
LOW, HIGH = "AAPL071221C00160000", "AAPL071221C00170000"
SPREAD = [
    OptionLegRequest(symbol=LOW, ratio_qty=1, side=OrderSide.BUY, position_intent=PositionIntent.BUY_TO_OPEN),
    OptionLegRequest(symbol=HIGH, ratio_qty=1, side=OrderSide.SELL, position_intent=PositionIntent.SELL_TO_OPEN),
]


class Loopback(NamedTuple):
    exchange: Exchange
    trading: Any  # its methods return a model or raw data, by a flag
    data: Any


@pytest.fixture
def loopback(tmp_path) -> Iterator[Loopback]:
    exchange = Exchange.open(tmp_path / "exchange.db", start=START, seed=7)
    server = ExchangeServer(exchange)
    server.start()
    keys = exchange.key_id, exchange.secret_key
    trading = TradingClient(*keys, paper=True, url_override=server.url)
    data = OptionHistoricalDataClient(*keys, url_override=server.url)
    yield Loopback(exchange, trading, data)
    trading._session.close()
    data._session.close()
    server.stop()
    exchange.close()


def test_contracts(loopback):
    request = GetOptionContractsRequest(
        underlying_symbols=["AAPL"], status=AssetStatus.ACTIVE, expiration_date_gte=date(2007, 12, 1),
        expiration_date_lte=date(2007, 12, 31), type=ContractType.CALL, style=ExerciseStyle.AMERICAN,
        strike_price_gte="150", strike_price_lte="165", limit=20,
    )  # fmt: skip
    page = loopback.trading.get_option_contracts(request)
    assert len(page.option_contracts) == 20
    assert page.next_page_token
    one = loopback.trading.get_option_contract(page.option_contracts[0].symbol)
    assert one == loopback.trading.get_option_contract(one.id)
    assert one.strike_price == 150
    default = loopback.trading.get_option_contracts(GetOptionContractsRequest())
    assert {contract.expiration_date for contract in default.option_contracts} == {date(2007, 11, 16)}
    with pytest.raises(APIError) as caught:
        loopback.trading.get_option_contract("AAPL071221C09990000")
    assert (caught.value.status_code, caught.value.code) == (404, 40410000)


def test_market_data(loopback):
    data = loopback.data
    symbols = [LOW, HIGH]
    quotes = data.get_option_latest_quote(OptionLatestQuoteRequest(symbol_or_symbols=symbols))
    assert all(quotes[symbol].bid_price < quotes[symbol].ask_price for symbol in symbols)
    trades = data.get_option_latest_trade(OptionLatestTradeRequest(symbol_or_symbols=symbols))
    assert all(trades[symbol].price > 0 for symbol in symbols)
    snapshots = data.get_option_snapshot(OptionSnapshotRequest(symbol_or_symbols=symbols))
    assert 0 < snapshots[HIGH].greeks.delta < snapshots[LOW].greeks.delta < 1
    assert 0.1 < snapshots[LOW].implied_volatility < 2
    chain = data.get_option_chain(
        OptionChainRequest(
            underlying_symbol="AAPL", feed=OptionsFeed.INDICATIVE, type=ContractType.PUT, strike_price_gte=140,
            strike_price_lte=160, expiration_date=date(2007, 12, 21),
        )
    )  # fmt: skip
    assert len(chain) == 9
    assert all(snapshot.greeks.delta < 0 for snapshot in chain.values())
    bars = data.get_option_bars(
        OptionBarsRequest(symbol_or_symbols=symbols, timeframe=TimeFrame.Day, start=START - timedelta(days=10))
    )
    assert len(bars[LOW]) > 4
    history = data.get_option_trades(OptionTradesRequest(symbol_or_symbols=LOW, start=START - timedelta(days=1)))
    assert history[LOW][-1].price == trades[LOW].price
    assert "A" in data.get_option_exchange_codes()


def test_one_contract_is_bought_exercised_and_gone(loopback):
    trading = loopback.trading
    order = trading.submit_order(
        MarketOrderRequest(symbol=LOW, qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.DAY,
                           position_intent=PositionIntent.BUY_TO_OPEN)
    )  # fmt: skip
    assert order.asset_class == AssetClass.US_OPTION
    found = trading.get_order_by_id(order.id)
    assert found.status == OrderStatus.FILLED
    assert found.position_intent == PositionIntent.BUY_TO_OPEN
    position = trading.get_open_position(LOW)
    assert (position.asset_class, position.exchange, position.qty) == (AssetClass.US_OPTION, "", "1")
    account = trading.get_account()
    assert (account.options_trading_level, account.options_approved_level) == (3, 3)
    assert float(account.options_buying_power) == float(account.cash)
    assert trading.exercise_options_position(LOW) is None
    assert [row.symbol for row in trading.get_all_positions()] == ["AAPL"]


def test_a_limit_order_rests_is_replaced_and_canceled(loopback):
    trading = loopback.trading
    order = trading.submit_order(
        LimitOrderRequest(symbol=LOW, qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, limit_price=1.0)
    )
    new = trading.replace_order_by_id(order.id, ReplaceOrderRequest(limit_price=1.1))
    assert new.replaces == order.id
    trading.cancel_order_by_id(new.id)
    assert trading.get_order_by_id(new.id).status == OrderStatus.CANCELED


def test_several_legs(loopback):
    trading = loopback.trading
    order = trading.submit_order(
        MarketOrderRequest(qty=2, order_class=OrderClass.MLEG, time_in_force=TimeInForce.DAY, legs=SPREAD)
    )
    assert (order.order_class, order.symbol, order.side, order.asset_id) == (OrderClass.MLEG, None, None, None)
    assert [leg.symbol for leg in order.legs] == [LOW, HIGH]
    found = trading.get_order_by_id(order.id)
    assert found.status == OrderStatus.FILLED
    assert {leg.status for leg in found.legs} == {OrderStatus.FILLED}
    assert [leg.type for leg in found.legs] == [None, None]
    assert {row.symbol: row.qty for row in trading.get_all_positions()} == {LOW: "2", HIGH: "-2"}
    resting = trading.submit_order(
        LimitOrderRequest(
            qty=1, order_class=OrderClass.MLEG, time_in_force=TimeInForce.DAY, legs=SPREAD, limit_price=0.05
        )
    )
    listed = trading.get_orders(GetOrdersRequest(status=QueryOrderStatus.OPEN, nested=True))
    assert [row.id for row in listed] == [resting.id]
    trading.cancel_order_by_id(resting.id)
    rows = trading.close_all_positions(cancel_orders=True)
    assert {row.status for row in rows} == {200}


def test_refusals_are_raised_with_their_code(loopback):
    with pytest.raises(APIError) as caught:
        loopback.trading.submit_order(
            MarketOrderRequest(symbol=LOW, qty=1, side=OrderSide.SELL, time_in_force=TimeInForce.DAY)
        )
    assert (caught.value.status_code, caught.value.code) == (403, 40310000)
