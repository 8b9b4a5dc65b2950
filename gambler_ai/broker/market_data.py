"""Prices: `core.ports.MarketData`. Shares over alpaca-py's StockHistoricalDataClient; contracts, see `option_data`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import requests
from alpaca.data.enums import DataFeed
from alpaca.data.historical.stock import StockHistoricalDataClient
from alpaca.data.requests import StockBarsRequest, StockLatestTradeRequest
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit

from gambler_ai.broker import convert
from gambler_ai.broker.fence import DATA_HOST, FencedSession, check_url, fence, reading
from gambler_ai.broker.pace import TokenBucket
from gambler_ai.broker.pages import Paged
from gambler_ai.core.model import BarFrame, Trade
from gambler_ai.core.structures import ChainQuery, OptionQuote
from gambler_ai.errors import BrokerAuthError, BrokerRefused

if TYPE_CHECKING:  # a session of shares needs nothing of it
    from gambler_ai.broker.option_data import OptionData

T = TypeVar("T")


class _Client(Paged, StockHistoricalDataClient):
    """The host of prices as it answers for shares."""


class AlpacaMarketData:
    """Prices of shares at ``url`` from ``feed``, and of contracts. One instance, one thread."""

    def __init__(
        self, key: str, secret: str, url: str, feed: str, session: requests.Session | None = None,
        bucket: TokenBucket | None = None,
    ) -> None:  # fmt: skip
        url = url if session is not None else check_url(url, DATA_HOST)
        client = _Client(key, secret, raw_data=True, url_override=url)
        session = session or FencedSession(bucket)
        fence(client, session)
        self._client: Any = client  # its return types are unions of raw and model
        self._feed = DataFeed(feed)
        self._open_options = partial(_option_data, key, secret, url, session)
        self._options: OptionData | None = None  # opened when it is first asked for something

    def bars(self, symbols: Sequence[str], interval: timedelta, start: datetime, end: datetime, keep: int) -> BarFrame:
        request = StockBarsRequest(
            symbol_or_symbols=list(symbols), timeframe=timeframe(interval), start=start, end=end,
            feed=self._feed,
        )  # fmt: skip
        self._client.begin()
        return self._read(lambda: convert.bars(symbols, interval, self._client.get_stock_bars(request), end, keep))

    def trades(self, symbols: Sequence[str]) -> dict[str, Trade]:
        request = StockLatestTradeRequest(symbol_or_symbols=list(symbols), feed=self._feed)

        def read() -> dict[str, Trade]:
            self._client.begin()
            body = self._client.get_stock_latest_trade(request)
            return {symbol: convert.trade(symbol, raw) for symbol, raw in body.items()}

        return self._read(read)

    def chain(self, query: ChainQuery, spot: Decimal) -> dict[str, OptionQuote]:
        return pricing(lambda: self._contracts.chain(query, spot), "indicative")

    def option_quotes(self, symbols: Sequence[str]) -> dict[str, OptionQuote]:
        return pricing(lambda: self._contracts.quotes(symbols), "indicative")

    @property
    def _contracts(self) -> OptionData:
        if self._options is None:
            self._options = self._open_options()
        return self._options

    def _read(self, call: Callable[[], T]) -> T:
        return pricing(call, self._feed.value)


def _option_data(key: str, secret: str, url: str, session: requests.Session) -> OptionData:
    from gambler_ai.broker.option_data import OptionData

    return OptionData(key, secret, url, session)


def pricing(call: Callable[[], T], feed: str) -> T:
    """Read prices. Keys that the account answers to may still have no plan for this feed: then that is what is said.

    Raises:
        BrokerError: as `fence.reading`.
    """
    try:
        return reading(call, prices=True)
    except BrokerRefused as error:
        if error.status != 403 and "subscription" not in error.message:
            raise
        hint = "your data plan has no sip: --feed iex, or a plan with it" if feed == "sip" else "see your data plan"
        raise BrokerAuthError(
            f"the broker gives these keys no prices of feed={feed}: {error.message}", hint=hint
        ) from None


def timeframe(interval: timedelta) -> TimeFrame:
    """An interval as Alpaca names it: 1 to 59 minutes, 1 to 23 hours, or a day."""
    minutes = int(interval.total_seconds() // 60)
    if minutes < 60:
        return TimeFrame(minutes, TimeFrameUnit.Minute)
    if minutes < 24 * 60:
        return TimeFrame(minutes // 60, TimeFrameUnit.Hour)
    return TimeFrame(1, TimeFrameUnit.Day)
