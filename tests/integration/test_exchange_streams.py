"""alpaca-py's own streams, unchanged, over a real loopback server."""

from __future__ import annotations

import asyncio
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from alpaca.data.live import StockDataStream
from alpaca.data.models import Quote, Trade
from alpaca.trading.enums import TradeEvent
from alpaca.trading.models import TradeUpdate
from alpaca.trading.stream import TradingStream
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.rest.server import ExchangeServer
from gambler_ai.exchange.streams.sockets import StreamLimits

START = datetime(2007, 11, 13, 15, 0, tzinfo=UTC)
PATIENCE_S = 20.0


class Loopback:
    """A server, and the calls that the tests make of it."""

    def __init__(self, exchange: Exchange, limits: StreamLimits | None = None) -> None:
        self.exchange = exchange
        self.server = ExchangeServer(exchange, token="mine", limits=limits)
        self.server.start()
        self.session = requests.Session()
        self.session.headers.update(
            {
                "APCA-API-KEY-ID": exchange.key_id,
                "APCA-API-SECRET-KEY": exchange.secret_key,
                "X-Exchange-Token": self.server.token,
            }
        )

    def url(self, path: str) -> str:
        return self.server.url.replace("http", "ws") + path

    def call(self, method: str, path: str, body: Any = None) -> Any:
        reply = self.session.request(method, self.server.url + path, json=body, timeout=PATIENCE_S)
        assert reply.ok, reply.text
        return reply.json() if reply.content else None

    def advance(self, **duration: float) -> None:
        self.call("POST", "/_exchange/advance", {"to": (self.exchange.now() + timedelta(**duration)).isoformat()})

    def plan(self, *faults: dict[str, Any]) -> None:
        self.call("POST", "/_exchange/faults", list(faults))

    def order(self, **fields: Any) -> Any:
        body = {"symbol": "AAPL", "qty": 10, "side": "buy", "type": "market", "time_in_force": "day"}
        return self.call("POST", "/v2/orders", body | fields)

    def resting(self) -> str:
        order_id: str = self.order(type="limit", limit_price="1", qty=1)["id"]
        return order_id

    def stop(self) -> None:
        self.session.close()
        self.server.stop()
        self.exchange.close()


@pytest.fixture
def loopback(tmp_path) -> Iterator[Loopback]:
    found = Loopback(Exchange.open(tmp_path / "exchange.db", start=START, seed=7))
    yield found
    found.stop()


class Heard:
    """What reached a stream's client, in order, as (what, object)."""

    def __init__(self) -> None:
        self._queue: queue.Queue[tuple[str, Any]] = queue.Queue()

    async def keep(self, thing: Any) -> None:
        self._queue.put((type(thing).__name__, thing))

    def say(self, what: str, thing: Any = None) -> None:
        self._queue.put((what, thing))

    def next(self, what: str) -> Any:
        """The next thing, which must be one of these."""
        kind, thing = self._queue.get(timeout=PATIENCE_S)
        assert kind == what, (kind, thing)
        return thing

    def until(self, what: str) -> Any:
        """Skip what comes before it."""
        while True:
            kind, thing = self._queue.get(timeout=PATIENCE_S)
            if kind == what:
                return thing


class SeenTradingStream(TradingStream):
    """The stream with two windows in it: when it listens, and when a connection failed."""

    heard: Heard

    async def _dispatch(self, msg: dict[str, Any]) -> None:
        if msg["stream"] == "listening":
            self.heard.say("listening", msg["data"]["streams"])
        await super()._dispatch(msg)

    async def _wait_before_reconnect(self, retries: int) -> None:
        self.heard.say("lost", retries)


class SeenDataStream(StockDataStream):
    heard: Heard

    async def _dispatch(self, msg: dict[str, Any]) -> None:
        if msg["T"] == "subscription":
            self.heard.say("subscribed", msg)
        await super()._dispatch(msg)

    async def _wait_before_reconnect(self, retries: int) -> None:
        self.heard.say("lost", retries)


@contextmanager
def running(stream: Any) -> Iterator[Heard]:
    """The stream in a thread of its own, until the end of the block."""
    stream.heard = Heard()
    thread = threading.Thread(target=lambda: asyncio.run(stream._run_forever()), daemon=True)

    async def end() -> None:
        await stream.stop_ws()
        await stream.close()  # else it would sit in recv() for up to five seconds more

    thread.start()
    try:
        yield stream.heard
    finally:
        asyncio.run_coroutine_threadsafe(end(), stream._loop).result(PATIENCE_S)
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


@contextmanager
def trade_updates(loopback: Loopback, path: str = "/stream") -> Iterator[Heard]:
    keys = loopback.exchange.key_id, loopback.exchange.secret_key
    stream = SeenTradingStream(*keys, paper=True, url_override=loopback.url(path))

    async def handle(update: Any) -> None:
        stream.heard.say("update", update)

    stream.subscribe_trade_updates(handle)
    with running(stream) as heard:
        assert heard.until("listening") == ["trade_updates"]
        yield heard


@contextmanager
def market_data(loopback: Loopback, *, path: str = "/v2/iex", symbols: tuple[str, ...] = ("AAPL",)) -> Iterator[Heard]:
    keys = loopback.exchange.key_id, loopback.exchange.secret_key
    stream = SeenDataStream(*keys, url_override=loopback.url(path))

    async def handle(thing: Any) -> None:
        await stream.heard.keep(thing)

    stream.subscribe_bars(handle, *symbols)
    stream.subscribe_trades(handle, *symbols)
    stream.subscribe_quotes(handle, *symbols)
    with running(stream) as heard:
        heard.until("subscribed")
        yield heard


def events(heard: Heard, *names: TradeEvent | str) -> list[TradeUpdate]:
    """The next updates, which must be these."""
    found = [heard.next("update") for _ in names]
    assert [update.event for update in found] == list(names)
    return found


# trade updates


@pytest.mark.parametrize("path", ["/stream", "/stream/"])
def test_an_order_is_told_from_its_arrival_to_its_fill(loopback, path):
    with trade_updates(loopback, path) as heard:
        order = loopback.order(qty=1)
        new, working, fill = events(heard, TradeEvent.PENDING_NEW, TradeEvent.NEW, TradeEvent.FILL)
        assert {str(update.order.id) for update in (new, working, fill)} == {order["id"]}
        assert (new.price, working.qty, fill.qty, fill.position_qty) == (None, None, 1.0, 1.0)
        (activity,) = loopback.call("GET", "/v2/account/activities/FILL")
        assert activity["id"].endswith(str(fill.execution_id))
        assert float(activity["price"]) == fill.price
        assert fill.timestamp == START


def test_a_bracket_is_told_leg_by_leg(loopback):
    with trade_updates(loopback) as heard:
        order = loopback.order(
            qty=1, order_class="bracket", take_profit={"limit_price": 500}, stop_loss={"stop_price": 50}
        )
        found = events(heard, "pending_new", "held", "held", "new", "fill", "new")
        assert [len(update.order.legs or []) for update in found] == [2, 0, 0, 2, 2, 0]
        assert [leg.status for leg in found[0].order.legs or []] == ["held", "held"]
        loopback.call("DELETE", f"/v2/orders/{order['legs'][0]['id']}")
        assert {update.order.type for update in events(heard, "canceled", "canceled")} == {"limit", "stop"}


def test_a_cut_loses_what_happens_meanwhile_and_the_next_connection_hears_on(loopback):
    with trade_updates(loopback) as heard:
        first = loopback.resting()
        events(heard, "pending_new", "new")
        loopback.plan(
            {"kind": "stream_cut", "stream": "trade_updates", "contains": '"event":"canceled"'},
            {"kind": "stream_refuse", "times": 2},
            {"kind": "stream_refuse", "at": "auth"},
        )
        loopback.call("DELETE", f"/v2/orders/{first}")
        for _ in range(4):  # the cut, two refused connections, one refused authentication
            heard.next("lost")
        heard.next("listening")
        loopback.resting()
        events(heard, "pending_new", "new")


def test_an_idle_connection_can_be_cut(loopback):
    with trade_updates(loopback) as heard:
        loopback.plan({"kind": "stream_cut", "stream": "data"})
        loopback.plan({"kind": "stream_cut"})
        heard.next("lost")
        heard.next("listening")


def test_one_event_is_dropped_and_one_comes_twice(loopback):
    with trade_updates(loopback) as heard:
        loopback.plan(
            {"kind": "stream_drop", "contains": '"event":"new"'},
            {"kind": "stream_repeat", "contains": '"event":"canceled"'},
        )
        loopback.call("DELETE", f"/v2/orders/{loopback.resting()}")
        _, once, twice = events(heard, "pending_new", "canceled", "canceled")
        assert once.execution_id == twice.execution_id


def test_a_muted_connection_stands_and_says_nothing_until_its_time_is_over(loopback):
    with trade_updates(loopback) as heard:
        loopback.plan({"kind": "stream_mute", "seconds": 60})
        loopback.resting()
        loopback.advance(seconds=59)
        loopback.resting()
        loopback.advance(seconds=1)
        loopback.order(qty=1)
        events(heard, "pending_new", "new", "fill")


def test_whoever_is_muted_for_good_gets_on_with_a_new_connection(loopback):
    with connect(loopback.url("/stream")) as client:
        authenticate(loopback, client)
        loopback.plan({"kind": "stream_mute", "times": "always"})
        loopback.resting()
        loopback.advance(hours=2)
        assert client.ping().wait(PATIENCE_S)
        loopback.plan()
        with trade_updates(loopback) as heard:
            loopback.resting()
            events(heard, "pending_new", "new")
        assert client.ping().wait(PATIENCE_S)
        with pytest.raises(TimeoutError):
            client.recv(timeout=0)


# market data


def test_a_market_moved_by_another_thread_is_heard(loopback):
    with market_data(loopback) as data, trade_updates(loopback) as orders:
        order_id = loopback.resting()
        events(orders, "pending_new", "new")
        loopback.exchange.advance(START + timedelta(hours=7))
        assert str(events(orders, "expired")[0].order.id) == order_id
        assert [data.next("Bar") for _ in range(360)][-1].timestamp == START + timedelta(minutes=359)


@pytest.mark.parametrize("path", ["/v2/iex", "/v2/sip"])
def test_a_bar_and_the_last_trade_and_quote_arrive_after_an_advance(loopback, path):
    with market_data(loopback, path=path) as heard:
        loopback.advance(minutes=2)
        bars = [heard.next("Bar") for _ in range(2)]
        assert [bar.timestamp for bar in bars] == [START, START + timedelta(minutes=1)]
        trade, quote = heard.next("Trade"), heard.next("Quote")
        assert isinstance(trade, Trade)
        assert isinstance(quote, Quote)
        assert trade.timestamp == START + timedelta(minutes=2)
        assert quote.bid_price <= trade.price <= quote.ask_price
        shown = loopback.call("GET", f"/v2/stocks/AAPL/bars?timeframe=1Min&start={START:%Y-%m-%dT%H:%M:%SZ}")["bars"]
        # The second one is among those of which a trade is reported late (`updatedBars`): its shares are not in yet.
        assert [(bar.open, bar.high, bar.low, bar.close) for bar in bars] == [
            (row["o"], row["h"], row["l"], row["c"]) for row in shown
        ]
        assert [row["v"] - bar.volume for row, bar in zip(shown, bars, strict=True)] == [0, 75]


def test_a_market_that_runs_by_itself_talks_without_being_asked(tmp_path):
    exchange = Exchange.open(tmp_path / "x.db", start=START, speed=600)
    loopback = Loopback(exchange, StreamLimits(look_every_s=0.01))
    try:
        with market_data(loopback) as heard:
            assert heard.until("Bar").symbol == "AAPL"
    finally:
        loopback.stop()


def test_an_order_of_a_market_that_runs_by_itself_fills_without_a_request(tmp_path):
    paced = Exchange.open(tmp_path / "x.db", start=START - timedelta(minutes=60))  # half an hour before the open
    with paced.step():
        paced.submit({"symbol": "AAPL", "qty": 1, "side": "buy", "type": "market", "time_in_force": "day"})
    paced.close()
    loopback = Loopback(Exchange.open(tmp_path / "x.db", speed=3600), StreamLimits(look_every_s=0.01))
    try:
        with trade_updates(loopback) as heard:  # nobody has looked at the market before it listens
            events(heard, "new", "fill")
    finally:
        loopback.stop()


def test_a_cut_of_market_data_is_survived(loopback):
    with market_data(loopback) as heard:
        loopback.plan({"kind": "stream_cut", "stream": "data", "contains": '"T":"b"'})
        loopback.advance(seconds=15)
        heard.next("Trade")
        heard.next("Quote")
        loopback.advance(seconds=45)
        heard.next("lost")
        heard.next("subscribed")
        loopback.advance(minutes=1)
        assert heard.next("Bar").timestamp == START + timedelta(minutes=1)


# a plain websocket client


def authenticate(loopback: Loopback, client: ClientConnection) -> None:
    keys = f'"key_id":"{loopback.exchange.key_id}","secret_key":"{loopback.exchange.secret_key}"'
    client.send(f'{{"action":"authenticate","data":{{{keys}}}}}')
    assert b'"authorized"' in said(client)
    client.send(b'{"action":"listen","data":{"streams":["trade_updates","account_updates"]}}')
    assert said(client) == b'{"stream":"listening","data":{"streams":["trade_updates"]}}'


def said(client: ClientConnection, frame: type = bytes) -> bytes:
    """The next message; the paper stream of trade updates sends binary frames, market data text."""
    message = client.recv(timeout=PATIENCE_S)
    assert isinstance(message, frame)
    return message if isinstance(message, bytes) else message.encode()


def test_the_second_connection_for_market_data_is_one_too_many(loopback):
    with market_data(loopback), connect(loopback.url("/v2/sip")) as second:
        assert second.recv(timeout=PATIENCE_S) == '[{"T":"success","msg":"connected"}]'
        second.send(auth_message(loopback))
        assert second.recv(timeout=PATIENCE_S) == '[{"T":"error","code":406,"msg":"connection limit exceeded"}]'
        with pytest.raises(ConnectionClosed):
            second.recv(timeout=PATIENCE_S)


@pytest.mark.parametrize("path", ["/", "/v2/orders", "/_exchange/advance", "/v2/otc"])
def test_no_other_path_takes_a_websocket(loopback, path):
    headers = {"X-Exchange-Token": loopback.server.token, "APCA-API-KEY-ID": loopback.exchange.key_id}
    with pytest.raises(InvalidStatus) as refused:
        connect(loopback.url(path), additional_headers=headers)
    assert refused.value.response.status_code == 403


def test_a_message_that_is_too_long_ends_its_connection(loopback):
    with connect(loopback.url("/stream")) as client:
        client.send(b" " * (1 << 18) + b" ")
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=PATIENCE_S)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


def test_too_many_sockets_are_refused(tmp_path):
    loopback = Loopback(Exchange.open(tmp_path / "x.db", start=START), StreamLimits(sockets=1))
    try:
        with connect(loopback.url("/stream")) as first:
            first.send("{}")
            said(first)
            with pytest.raises(InvalidStatus) as refused:
                connect(loopback.url("/v2/iex"))
            assert refused.value.response.status_code == 429
    finally:
        loopback.stop()


def test_stopping_the_server_closes_the_sockets_cleanly(tmp_path):
    loopback = Loopback(Exchange.open(tmp_path / "x.db", start=START))
    with connect(loopback.url("/stream")) as client:
        authenticate(loopback, client)
        loopback.stop()
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=PATIENCE_S)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012


def test_a_reader_that_is_too_slow_is_dropped_and_the_market_goes_on(tmp_path):
    loopback = Loopback(Exchange.open(tmp_path / "x.db", start=START), StreamLimits(queued=64, parting_s=0.0))
    try:
        small = narrow_socket(loopback.server.port)
        url = loopback.url("/v2/sip")
        with connect(url, sock=small, max_queue=1, compression=None, close_timeout=0) as slow:
            slow.send(auth_message(loopback))
            slow.send('{"action":"subscribe","bars":["*"]}')
            assert [b"connected" in said(slow, str), b"authenticated" in said(slow, str)] == [True, True]
            assert b"subscription" in said(slow, str)
            days = 0
            while may_connect(loopback) is False:
                loopback.advance(days=1)
                days += 1
                assert days < 500  # each session is half a megabyte of bars
            assert days > 1  # what one call says fits into the queue
    finally:
        loopback.stop()


def test_a_reader_that_does_not_read_does_not_hold_up_the_stop(tmp_path):
    loopback = Loopback(Exchange.open(tmp_path / "x.db", start=START))
    small = narrow_socket(loopback.server.port)
    with connect(loopback.url("/v2/sip"), sock=small, max_queue=1, compression=None, close_timeout=0) as slow:
        slow.send(auth_message(loopback))
        slow.send('{"action":"subscribe","bars":["*"]}')
        assert b"subscription" in [said(slow, str) for _ in range(3)][-1]
        for _ in range(40):  # megabytes, more than the kernel keeps for both ends
            loopback.advance(days=1)
        loopback.stop()  # what stays open is a ResourceWarning, and red


def narrow_socket(port: int) -> socket.socket:
    """Connected, and with little room in the kernel for what is not read."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect(("127.0.0.1", port))
    return made


def auth_message(loopback: Loopback) -> str:
    return f'{{"action":"auth","key":"{loopback.exchange.key_id}","secret":"{loopback.exchange.secret_key}"}}'


def may_connect(loopback: Loopback) -> bool:
    """Is the account's one connection for market data free?"""
    with connect(loopback.url("/v2/iex")) as client:
        client.send(auth_message(loopback))
        said(client, str)
        return b"authenticated" in said(client, str)
