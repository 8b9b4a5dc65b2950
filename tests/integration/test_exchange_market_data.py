"""The market's two faces over a real server: alpaca-py's data client, and plain WebSocket clients of each kind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgpack
import pytest
import requests
from alpaca.common.enums import Sort, SupportedCurrencies
from alpaca.common.exceptions import APIError
from alpaca.data.enums import Adjustment, DataFeed
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.live import StockDataStream
from alpaca.data.models import Bar, TradingStatus
from alpaca.data.requests import (
    StockBarsRequest,
    StockLatestBarRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockQuotesRequest,
    StockSnapshotRequest,
    StockTradesRequest,
)
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.rest.server import ExchangeServer
from gambler_ai.exchange.streams.sockets import StreamLimits

START = datetime(2005, 3, 1, 16, 0, tzinfo=UTC)  # 11:00 in New York, the day after a split of AAPL
OPEN = START - timedelta(minutes=90)
PATIENCE_S = 20.0


class There:
    """A server, alpaca-py's data client, and plain requests."""

    def __init__(self, start: datetime = START, limits: StreamLimits | None = None) -> None:
        self.exchange = Exchange.open(None, start=start, seed=7)
        self.server = ExchangeServer(self.exchange, limits=limits)
        self.server.start()
        self.keys = self.exchange.key_id, self.exchange.secret_key
        self.data: Any = StockHistoricalDataClient(*self.keys, url_override=self.server.url)

    def get(self, path: str, **params: Any) -> requests.Response:
        headers = {"APCA-API-KEY-ID": self.keys[0], "APCA-API-SECRET-KEY": self.keys[1]}
        return requests.get(self.server.url + path, params=params, headers=headers, timeout=PATIENCE_S)

    def socket(self, path: str = "/v2/iex", **headers: str) -> ClientConnection:
        url = self.server.url.replace("http", "ws") + path
        return connect(url, additional_headers={name.replace("_", "-"): value for name, value in headers.items()})

    def plan(self, *faults: dict[str, Any]) -> None:
        self.server.faults.replace(list(faults))

    def advance(self, **duration: float) -> None:
        self.exchange.advance(self.exchange.now() + timedelta(**duration))

    def close(self) -> None:
        self.data._session.close()
        self.server.stop()
        self.exchange.close()


@pytest.fixture
def there() -> Iterator[There]:
    found = There()
    yield found
    found.close()


@pytest.fixture(scope="module")
def still() -> Iterator[There]:
    """For tests that only read."""
    found = There()
    yield found
    found.close()


# the data client


def bars(there: There, symbols: Any = "AAPL", unit: TimeFrame = TimeFrame.Minute, **more: Any) -> Any:
    return there.data.get_stock_bars(StockBarsRequest(symbol_or_symbols=symbols, timeframe=unit, **more)).data


@pytest.mark.parametrize(
    ("frame", "count"),
    [
        (TimeFrame(1, TimeFrameUnit.Minute), 90),
        (TimeFrame(5, TimeFrameUnit.Minute), 18),
        (TimeFrame(59, TimeFrameUnit.Minute), None),
        (TimeFrame(1, TimeFrameUnit.Hour), None),
        (TimeFrame(23, TimeFrameUnit.Hour), None),
        (TimeFrame(1, TimeFrameUnit.Day), 0),
    ],
    ids=str,
)
def test_bars_of_a_day(still, frame, count):
    found = bars(still, unit=frame, start=OPEN).get("AAPL", [])
    assert all(isinstance(bar, Bar) for bar in found)
    assert all(bar.low <= (bar.vwap or 0) <= bar.high and (bar.trade_count or 0) > 0 for bar in found)
    assert count is None or len(found) == count


@pytest.mark.parametrize(
    ("frame", "firsts"),
    [
        (TimeFrame(1, TimeFrameUnit.Day), ["2005-02-24", "2005-02-25", "2005-02-28"]),
        (TimeFrame(1, TimeFrameUnit.Week), ["2005-02-07", "2005-02-14", "2005-02-21"]),
        (TimeFrame(1, TimeFrameUnit.Month), ["2004-12-01", "2005-01-01", "2005-02-01"]),
        (TimeFrame(12, TimeFrameUnit.Month), ["2002-01-01", "2003-01-01", "2004-01-01"]),
    ],
    ids=str,
)
def test_periods_end_before_the_present(still, frame, firsts):
    found = bars(still, unit=frame, start=datetime(2000, 3, 1, tzinfo=UTC))["AAPL"]
    assert [f"{bar.timestamp:%Y-%m-%d}" for bar in found[-3:]] == firsts


@pytest.mark.parametrize("adjustment", list(Adjustment), ids=str)
def test_a_split_is_adjusted_when_asked_for(still, adjustment):
    asked = {"unit": TimeFrame.Day, "start": datetime(2005, 2, 25, tzinfo=UTC), "end": datetime(2005, 3, 1, tzinfo=UTC)}
    raw, found = (bars(still, adjustment=kind, **asked)["AAPL"] for kind in (Adjustment.RAW, adjustment))
    ratio = 2 if adjustment in (Adjustment.SPLIT, Adjustment.ALL) else 1
    assert found[0].close == pytest.approx(raw[0].close / ratio, abs=0.0001)
    assert found[0].volume == raw[0].volume * ratio
    assert found[1] == raw[1]


def test_pages_follow_each_other_until_the_limit(still):
    start = datetime(2005, 2, 22, tzinfo=UTC)
    whole = bars(still, ["MSFT", "AAPL"], start=start)
    assert list(whole) == ["AAPL", "MSFT"]
    assert sum(map(len, whole.values())) > 4_000
    few = bars(still, ["MSFT", "AAPL"], start=start, limit=len(whole["AAPL"]) + 2)
    assert few == {"AAPL": whole["AAPL"], "MSFT": whole["MSFT"][:2]}
    newest = bars(still, "AAPL", start=start, limit=3, sort=Sort.DESC)
    assert newest["AAPL"] == whole["AAPL"][:-4:-1]
    assert bars(still, "NOPE", start=start) == {}
    assert bars(still, "AAPL", start=start, feed=DataFeed.OTC) == {}


def test_trades_and_quotes(still):
    asked: dict[str, Any] = {"symbol_or_symbols": ["AAPL", "MSFT"], "start": OPEN, "end": OPEN + timedelta(minutes=1)}
    trades = still.data.get_stock_trades(StockTradesRequest(**asked)).data
    quotes = still.data.get_stock_quotes(StockQuotesRequest(**asked)).data
    (first, *_), (second, *_) = (bars(still, symbol, start=OPEN)[symbol] for symbol in ("AAPL", "MSFT"))
    for symbol, bar in (("AAPL", first), ("MSFT", second)):
        prices = [trade.price for trade in trades[symbol][:4]]
        assert (prices[0], max(prices), min(prices), prices[-1]) == (bar.open, bar.high, bar.low, bar.close)
        assert sum(trade.size for trade in trades[symbol][:4]) == bar.volume
        for trade, quote in zip(trades[symbol], quotes[symbol], strict=True):
            assert trade.timestamp == quote.timestamp
            assert quote.bid_price < trade.price < quote.ask_price
            assert quote.bid_size == quote.ask_size > 0
    assert len(trades["AAPL"]) == 5, "both edges count"
    early = still.data.get_stock_trades(
        StockTradesRequest(symbol_or_symbols="AAPL", start=OPEN - timedelta(hours=2), limit=1)
    )
    assert early.data["AAPL"][0].conditions == ["@", "T"]
    newest = StockTradesRequest(symbol_or_symbols="AAPL", limit=1, sort=Sort.DESC)
    last = still.data.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols="AAPL"))["AAPL"]
    assert still.data.get_stock_trades(newest).data["AAPL"] == [last]


def test_the_latest_of_everything_and_snapshots(still):
    one: dict[str, Any] = {"symbol_or_symbols": "AAPL"}
    trade = still.data.get_stock_latest_trade(StockLatestTradeRequest(**one))["AAPL"]
    quote = still.data.get_stock_latest_quote(StockLatestQuoteRequest(**one))["AAPL"]
    bar = still.data.get_stock_latest_bar(StockLatestBarRequest(**one))["AAPL"]
    assert (trade.timestamp, quote.timestamp, bar.timestamp) == (START, START, START - timedelta(minutes=1))
    asked = StockSnapshotRequest(symbol_or_symbols=["AAPL", "FB", "NOPE"], currency=SupportedCurrencies.USD)
    found = still.data.get_stock_snapshot(asked)
    assert list(found) == ["AAPL"], "FB is not listed yet"
    snapshot = found["AAPL"]
    assert (snapshot.latest_trade, snapshot.latest_quote, snapshot.minute_bar) == (trade, quote, bar)
    minutes = bars(still, start=OPEN)["AAPL"]
    assert (snapshot.daily_bar.open, snapshot.daily_bar.close) == (minutes[0].open, minutes[-1].close)
    assert snapshot.daily_bar.volume == sum(minute.volume for minute in minutes)
    days = bars(still, unit=TimeFrame.Day, start=datetime(2005, 2, 28, tzinfo=UTC))["AAPL"]
    assert snapshot.previous_daily_bar == days[0]
    delayed = StockLatestTradeRequest(symbol_or_symbols="AAPL", feed=DataFeed.DELAYED_SIP)
    assert still.data.get_stock_latest_trade(delayed)["AAPL"].timestamp == START - timedelta(minutes=15)


def test_before_the_open_a_snapshot_shows_the_days_before():
    there = There(datetime(2005, 3, 1, 13, 0, tzinfo=UTC))
    try:
        snapshot = there.data.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols="AAPL"))["AAPL"]
        assert [f"{bar.timestamp:%m-%d}" for bar in (snapshot.daily_bar, snapshot.previous_daily_bar)] == [
            "02-28",
            "02-25",
        ]
        assert snapshot.minute_bar.timestamp.date() == date(2005, 3, 1)
        assert snapshot.latest_trade.conditions == ["@", "T"]
    finally:
        there.close()


def test_single_symbol_routes_and_auctions_and_codes(still):
    for path in ("bars", "trades", "quotes", "auctions"):
        params = {"timeframe": "1Min"} if path == "bars" else {}
        body = still.get(f"/v2/stocks/AAPL/{path}", start=f"{OPEN:%Y-%m-%dT%H:%M:%SZ}", limit=2, **params).json()
        assert body["symbol"] == "AAPL"
        assert len(body[path]) == (1 if path == "auctions" else 2)
    days = still.get("/v2/stocks/auctions", symbols="AAPL,NOPE", start="2005-02-28").json()["auctions"]
    assert list(days) == ["AAPL"]
    before, today = days["AAPL"]
    assert ([row["c"] for row in before["o"]], [row["c"] for row in before["c"]]) == (["O", "Q"], ["6", "M"])
    assert (today["d"], today["c"]) == ("2005-03-01", []), "its closing auction has not been"
    daily = bars(still, unit=TimeFrame.Day, start=datetime(2005, 2, 28, tzinfo=UTC))["AAPL"][0]
    assert (before["o"][0]["p"], before["c"][0]["p"]) == (daily.open, daily.close)
    snapshot = still.get("/v2/stocks/AAPL/snapshot", currency="USD").json()
    assert (snapshot["symbol"], snapshot["currency"]) == ("AAPL", "USD")
    assert still.get("/v2/stocks/meta/conditions/trade", tape="C").json()["T"] == "Form T"
    assert still.get("/v2/stocks/meta/exchanges").json()["V"] == "IEX"


@pytest.mark.parametrize(
    ("path", "params", "status", "message"),
    [
        ("bars", {"symbols": "", "timeframe": "1Min"}, 400, "symbols is required"),
        ("bars", {"symbols": "A APL", "timeframe": "1Min"}, 400, "invalid symbol: A APL"),
        ("bars", {"symbols": "AAPL"}, 400, "invalid timeframe: "),
        ("bars", {"symbols": "AAPL", "timeframe": "24Hour"}, 400, "invalid timeframe: 24Hour"),
        ("bars", {"symbols": "AAPL", "timeframe": "5Month"}, 400, "invalid timeframe: 5Month"),
        ("bars", {"symbols": "AAPL", "timeframe": "1Min", "feed": "nyse"}, 400, "invalid feed: nyse"),
        ("bars", {"symbols": "AAPL", "timeframe": "1Min", "feed": "delayed_sip"}, 400, "invalid feed: delayed_sip"),
        ("bars", {"symbols": "AAPL", "timeframe": "1Min", "adjustment": "splits"}, 400, "invalid adjustment: splits"),
        ("bars", {"symbols": "AAPL", "timeframe": "1Min", "asof": "now"}, 400, "invalid asof: now"),
        ("bars", {"symbols": "AAPL", "timeframe": "1Min", "sort": "up"}, 400, "invalid sort: up"),
        ("bars", {"symbols": "AAPL", "timeframe": "1Min", "limit": "0"}, 400, "invalid limit: must be positive"),
        ("trades", {"symbols": "AAPL", "limit": "x"}, 400, "invalid limit: x"),
        ("quotes", {"symbols": "AAPL", "page_token": "?"}, 400, "invalid page_token"),
        ("auctions", {"symbols": "AAPL", "feed": "iex"}, 400, "invalid feed: iex"),
        ("snapshots", {"symbols": "AAPL", "currency": "EUR"}, 400, "invalid currency: EUR: this exchange has USD"),
        ("trades/latest", {"symbols": "AAPL", "feed": "x"}, 400, "invalid feed: x"),
        ("NOPE/trades/latest", {}, 404, "no trade found for NOPE"),
        ("NOPE/snapshot", {}, 404, "no snapshot found for NOPE"),
        ("meta/conditions/bars", {"tape": "A"}, 400, "invalid ticktype: bars"),
        ("meta/conditions/trade", {}, 400, "invalid tape: "),
    ],
)
def test_refusals_of_the_data_api_have_a_message_and_no_code(still, path, params, status, message):
    reply = still.get(f"/v2/stocks/{path}", **params)
    assert (reply.status_code, reply.json()) == (status, {"message": message})


def test_a_refusal_reaches_alpaca_py_as_its_error(still):
    with pytest.raises(APIError, match="larger than the allowed maximum") as caught:
        still.data._request("GET", "/stocks/bars", {"symbols": "AAPL", "timeframe": "1Min", "limit": 10_001})
    assert caught.value.status_code == 400


# alpaca-py's stream


def test_every_channel_reaches_alpaca_pys_handlers():
    there = There(OPEN - timedelta(seconds=30))
    heard: dict[str, list[Any]] = {name: [] for name in ("bar", "updated", "daily", "status", "trade", "quote")}
    stream = StockDataStream(*there.keys, url_override=there.server.url.replace("http", "ws") + "/v2/sip")

    def keeper(name: str) -> Any:
        async def keep(thing: Any) -> None:
            heard[name].append(thing)
            if name == "quote":
                await stream.stop_ws()

        return keep

    stream.subscribe_bars(keeper("bar"), "*")
    stream.subscribe_updated_bars(keeper("updated"), "*")
    stream.subscribe_daily_bars(keeper("daily"), "AAPL")
    stream.subscribe_trading_statuses(keeper("status"), "*")
    stream.subscribe_trades(keeper("trade"), "AAPL")
    stream.subscribe_quotes(keeper("quote"), "AAPL")
    dispatch = stream._dispatch

    async def seen(message: Any) -> None:
        await dispatch(message)
        if message["T"] == "subscription":
            await asyncio.to_thread(there.advance, hours=1)

    stream._dispatch = seen  # type: ignore[method-assign, assignment]
    try:
        asyncio.run(asyncio.wait_for(stream._run_forever(), PATIENCE_S))
        assert {bar.timestamp for bar in heard["bar"]} >= {OPEN + timedelta(minutes=n) for n in range(59)}
        assert 0 < len(heard["updated"]) < len(heard["bar"]) / 10
        assert [type(status) for status in heard["status"]] == [TradingStatus] * len(heard["status"])
        assert {status.timestamp for status in heard["status"]} == {OPEN}
        (day,), (trade,), (quote,) = heard["daily"], heard["trade"], heard["quote"]
        assert day.timestamp == datetime(2005, 3, 1, 5, tzinfo=UTC)
        assert quote.bid_price < trade.price < quote.ask_price
    finally:
        asyncio.run(stream.close())
        there.close()


# a plain WebSocket client


def said(client: ClientConnection) -> Any:
    """The next message: JSON of a text frame, msgpack of a binary one."""
    message = client.recv(timeout=PATIENCE_S)
    if isinstance(message, str):
        return json.loads(message)
    return json.loads(message) if message[:1] in (b"{", b"[") else msgpack.unpackb(message, timestamp=3)


def error(code: int, text: str) -> list[dict[str, Any]]:
    return [{"T": "error", "code": code, "msg": text}]


def log_in(there: There, client: ClientConnection) -> None:
    assert said(client) == [{"T": "success", "msg": "connected"}]
    client.send(json.dumps({"action": "auth", "key": there.keys[0], "secret": there.keys[1]}))
    assert said(client) == [{"T": "success", "msg": "authenticated"}]


FEEDS = ["/v2/iex", "/v2/sip", "/v2/delayed_sip", "/v2/test", "/v2/iex/", "/v2/test/"]


@pytest.mark.parametrize("path", FEEDS)
def test_the_errors_of_a_conversation(there, path):
    with there.socket(path) as client:
        assert said(client) == [{"T": "success", "msg": "connected"}]
        for text in ("", "no", "[]", '{"action":"dance"}', '{"action":"subscribe","bars":"AAPL"}'):
            client.send(text)
            assert said(client) == error(400, "invalid syntax")
        client.send('{"action":"subscribe","bars":["AAPL"]}')
        assert said(client) == error(401, "not authenticated")
        client.send('{"action":"auth","key":"x","secret":"y"}')
        assert said(client) == error(402, "auth failed")
        client.send(json.dumps({"action": "auth", "key": there.keys[0], "secret": there.keys[1]}))
        assert said(client) == [{"T": "success", "msg": "authenticated"}]
        client.send(json.dumps({"action": "auth", "key": there.keys[0], "secret": there.keys[1]}))
        assert said(client) == error(403, "already authenticated")
        client.send(json.dumps({"action": "subscribe", "bars": ["AAPL"], "trades": [f"S{n}" for n in range(30)]}))
        answer = said(client)
        if "iex" in path:
            assert answer == error(405, "symbol limit exceeded")
            client.send('{"action":"subscribe","trades":["*"]}')
            assert said(client) == error(405, "symbol limit exceeded")
            client.send('{"action":"unsubscribe"}')
            assert said(client)[0]["bars"] == [], "the set was left as it was"
        else:
            assert answer[0]["corrections"] == answer[0]["cancelErrors"] == answer[0]["trades"]
            assert len(answer[0]["trades"]) == 30


@pytest.mark.parametrize(
    ("at", "code", "text"),
    [("plan", 409, "insufficient subscription"), ("v2", 408, "v2 not enabled"), ("internal", 500, "internal error")],
)
def test_an_authentication_that_is_refused_for_another_reason(there, at, code, text):
    there.plan({"kind": "stream_refuse", "stream": "data", "at": at})
    with there.socket() as client:
        said(client)
        client.send(json.dumps({"action": "auth", "key": there.keys[0], "secret": there.keys[1]}))
        assert said(client) == error(code, text)
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=PATIENCE_S)


def test_who_does_not_authenticate_is_told_and_closed():
    there = There(limits=StreamLimits(auth_s=0.05))
    try:
        with there.socket() as client:
            said(client)
            assert said(client) == error(404, "auth timeout")
            with pytest.raises(ConnectionClosed):
                client.recv(timeout=PATIENCE_S)
    finally:
        there.close()


def test_one_connection_an_account_and_the_test_stream_beside_it(there):
    with there.socket("/v2/iex") as first, there.socket("/v2/sip") as second, there.socket("/v2/test") as third:
        log_in(there, first)
        log_in(there, third)
        said(second)
        second.send(json.dumps({"action": "auth", "key": there.keys[0], "secret": there.keys[1]}))
        assert said(second) == error(406, "connection limit exceeded")


@pytest.mark.parametrize(
    "header", ["application/msgpack", "application/msgpack; charset=utf-8", "application/json", "", "x/y"]
)
@pytest.mark.parametrize("frames", ["text", "binary", "msgpack", "fragments"])
def test_codecs_and_frames(there, header, frames):
    """What is answered follows the header; what is understood follows nothing but the message."""
    headers = {"Content_Type": header} if header else {}
    with there.socket(**headers) as client:
        said(client)
        for message in (
            {"action": "auth", "key": there.keys[0], "secret": there.keys[1]},
            {"action": "subscribe", "bars": ["AAPL"], "trades": ["AAPL"]},
        ):
            text = json.dumps(message)
            if frames == "fragments":
                client.send(iter([text[:5], text[5:9], "", text[9:]]))
            else:
                client.send({"text": text, "binary": text.encode(), "msgpack": msgpack.packb(message)}[frames])
        assert [said(client)[0]["T"] for _ in range(2)] == ["success", "subscription"]
        there.advance(minutes=1)
        raw = client.recv(timeout=PATIENCE_S)
        if "msgpack" in header:
            assert isinstance(raw, bytes)
            bar, trade = msgpack.unpackb(raw, timestamp=3)
            assert (bar["t"], trade["t"]) == (START, START + timedelta(minutes=1)), "a timestamp extension, no text"
        else:
            assert isinstance(raw, str)
            bar, trade = json.loads(raw)
            assert (bar["t"], trade["t"]) == ("2005-03-01T16:00:00Z", "2005-03-01T16:01:00Z")


def test_messages_are_compressed_for_who_offers_it(there):
    url = there.server.url.replace("http", "ws") + "/v2/iex"
    for compression, agreed in (("deflate", True), (None, False)):
        with connect(url, compression=compression) as client:
            assert client.response is not None
            assert ("Sec-WebSocket-Extensions" in client.response.headers) is agreed
            log_in(there, client)


# trade updates


@pytest.mark.parametrize(("path", "header"), [("/stream", ""), ("/stream/", "x/y"), ("/stream", "application/msgpack")])
@pytest.mark.parametrize("as_text", [True, False], ids=["text", "binary"])
def test_trade_updates_in_both_codecs(there, header, path, as_text):
    with there.socket(path, **({"Content_Type": header} if header else {})) as client:

        def say(**message: Any) -> Any:
            text = json.dumps(message)
            client.send(text if as_text else text.encode())
            raw = client.recv(timeout=PATIENCE_S)
            assert isinstance(raw, bytes), "paper sends binary frames"
            return msgpack.unpackb(raw) if "msgpack" in header else json.loads(raw)

        refused = say(action="listen", data={"streams": ["trade_updates"]})
        assert refused == {"stream": "authorization", "data": {"status": "unauthorized", "action": "listen"}}
        wrong = say(action="authenticate", data={"key_id": "x", "secret_key": "y"})
        assert wrong["data"]["status"] == "unauthorized"
        right = say(action="auth", key=there.keys[0], secret=there.keys[1])
        assert right == {"stream": "authorization", "data": {"status": "authorized", "action": "authenticate"}}
        both = say(action="listen", data={"streams": ["account_updates", "trade_updates"]})
        assert both == {"stream": "listening", "data": {"streams": ["trade_updates"]}}
        assert isinstance(say(action="dance")["data"], dict), "js looks for a key in it"
        order = {"symbol": "AAPL", "qty": 1, "side": "buy", "type": "market", "time_in_force": "day"}
        with there.exchange.step():
            there.exchange.submit(order)
        events = [said(client) for _ in range(3)]
        assert [event["data"]["event"] for event in events][-1] == "fill"
        assert events[-1]["data"]["position_qty"] == "1"
