"""The doorbell, against the exchange's own streams: what is heard, and what becomes of a stream that fails."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gambler_ai.broker.streams import SYMBOLS_MAX, AlpacaStreams, Timing
from gambler_ai.core.events import PRICES, TRADE_UPDATES, Input, StreamChanged, Woken
from gambler_ai.errors import ConfigError
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.faults import FaultPlan
from gambler_ai.exchange.rest.server import ExchangeServer

START = datetime(2008, 10, 7, 14, 0, tzinfo=UTC)
PATIENCE_S = 20.0
#: As the program's own, a hundred times faster.
QUICK = Timing(
    open_timeout_s=10.0, backoff_min_s=0.01, backoff_max_s=0.05, steady_s=600.0, silence_s=1_000.0, wake_pause_s=0.01,
    look_s=0.02,
)  # fmt: skip


class Ear:
    """An exchange with its streams, and what was heard of them."""

    def __init__(self, timing: Timing = QUICK, symbols: tuple[str, ...] = ("AAPL", "MSFT"), **urls: str) -> None:
        self.exchange = Exchange.open(None, start=START)
        self.faults = FaultPlan()
        self.server = ExchangeServer(self.exchange, faults=self.faults)
        self.server.start()
        self._inputs: queue.SimpleQueue[Input] = queue.SimpleQueue()
        ws = self.server.url.replace("http", "ws")
        urls = {"trading_url": f"{ws}/stream", "data_url": f"{ws}/v2/iex"} | urls
        self.streams = AlpacaStreams(
            self.exchange.key_id, urls.pop("secret", self.exchange.secret_key), feed="iex", symbols=symbols,
            put=self._inputs.put, now=self.exchange.now, seed=1, timing=timing, **urls,
        )  # fmt: skip

    def order(self, **fields: Any) -> None:
        body = {"symbol": "AAPL", "qty": "5", "side": "buy", "type": "market", "time_in_force": "day"} | fields
        with self.exchange.step():
            self.exchange.submit(body)

    def minute(self) -> None:
        self.exchange.advance(self.exchange.now() + timedelta(minutes=1))

    def until(self, wanted: Callable[[Input], bool]) -> Input:
        """The first input that is wanted; those before it are let go."""
        while True:
            found = self._inputs.get(timeout=PATIENCE_S)
            if wanted(found):
                return found

    def both_up(self) -> None:
        up: set[str] = set()
        while up != {TRADE_UPDATES, PRICES}:
            found = self.until(lambda i: isinstance(i, StreamChanged))
            assert isinstance(found, StreamChanged)
            assert found.up, found
            up.add(found.stream)

    def down(self, stream: str) -> str:
        found = self.until(lambda i: isinstance(i, StreamChanged) and i.stream == stream and not i.up)
        assert isinstance(found, StreamChanged)
        return found.reason

    def up(self, stream: str) -> None:
        self.until(lambda i: isinstance(i, StreamChanged) and i.stream == stream and i.up)

    def woken(self, stream: str, what: str) -> None:
        self.until(lambda i: isinstance(i, Woken) and i.stream == stream and what in i.what)

    def close(self) -> None:
        self.streams.stop()
        self.server.stop()
        self.exchange.close()


@pytest.fixture
def ear() -> Iterator[Callable[..., Ear]]:
    made: list[Ear] = []

    def make(*, start: bool = True, **more: Any) -> Ear:
        made.append(Ear(**more))
        if start:
            made[-1].streams.start()
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_an_order_and_a_bar_ring(ear):
    one = ear()
    one.both_up()
    one.order()
    one.woken(TRADE_UPDATES, "fill AAPL")
    one.minute()
    one.minute()
    one.woken(PRICES, "bar ")


@pytest.mark.parametrize("stream", [TRADE_UPDATES, PRICES])
def test_a_stream_that_is_cut_comes_back_and_rings_again(ear, stream):
    one = ear()
    one.both_up()
    one.faults.replace([{"kind": "stream_cut", "stream": "data" if stream == PRICES else "trade_updates"}])
    one.order()
    one.minute()
    one.down(stream)
    one.up(stream)
    one.order(symbol="MSFT")
    one.minute()
    one.woken(stream, "MSFT" if stream == TRADE_UPDATES else "bar")


def test_one_that_is_refused_is_tried_until_it_is_let_in(ear):
    one = ear(start=False)
    one.faults.replace([{"kind": "stream_refuse", "stream": "trade_updates", "times": 3}])
    one.streams.start()
    assert one.down(TRADE_UPDATES)
    one.up(TRADE_UPDATES)


def test_wrong_keys_are_told_once_and_not_at_each_attempt(ear):
    one = ear(secret="nonsense")
    reasons = {one.down(TRADE_UPDATES), one.down(PRICES)}
    assert all("auth" in reason for reason in reasons), reasons
    assert "nonsense" not in repr(reasons)
    with pytest.raises(queue.Empty):
        one._inputs.get(timeout=0.3)  # ten attempts long


def test_silent_prices_are_left_while_the_market_is_open_and_not_while_it_is_closed(ear):
    one = ear(timing=replace(QUICK, silence_s=0.05))
    one.both_up()
    with pytest.raises(queue.Empty):
        one._inputs.get(timeout=0.3)
    one.streams.market(is_open=True)
    assert "silent for" in one.down(PRICES)
    one.up(PRICES)


def test_one_that_is_suspected_is_connected_anew(ear):
    one = ear()
    one.both_up()
    one.faults.replace([{"kind": "stream_mute", "stream": "trade_updates"}])
    one.order()
    one.streams.suspect(TRADE_UPDATES)
    assert one.down(TRADE_UPDATES) == "it did not tell what was read"
    one.faults.replace([])
    one.up(TRADE_UPDATES)
    one.order(symbol="MSFT")
    one.woken(TRADE_UPDATES, "MSFT")


def test_a_storm_of_messages_is_a_few_rings(ear):
    one = ear(timing=Timing(backoff_min_s=0.01, wake_pause_s=1.0, look_s=0.02))
    one.both_up()
    for _ in range(30):
        one.order(qty="1")
    one.woken(TRADE_UPDATES, "AAPL")
    one.woken(TRADE_UPDATES, "AAPL")  # the last of them is not lost in the pause
    with pytest.raises(queue.Empty):
        one.until(lambda i: isinstance(i, Woken)) if not one._inputs.empty() else one._inputs.get(timeout=0.1)


def test_only_as_many_symbols_are_asked_for_as_the_free_feed_gives(ear):
    many = ("AAPL", *(f"X{n}" for n in range(100)))
    one = ear(symbols=many)
    one.both_up()
    assert SYMBOLS_MAX == 30


@pytest.mark.parametrize(
    "url", ["ws://stream.data.alpaca.markets/v2/iex", "wss://example.com/stream", "http://127.0.0.1/"]
)
def test_only_alpaca_and_this_machine_are_listened_to(url):
    with pytest.raises(ConfigError):
        AlpacaStreams(
            "k", "s", trading_url=url, data_url=url, feed="iex", symbols=("AAPL",), put=lambda _: None,
            now=lambda: START, seed=1,
        )  # fmt: skip


def test_stopping_ends_the_thread_and_stopping_what_never_began_is_nothing(ear):
    one = ear()
    one.both_up()
    one.streams.stop()
    assert not one.streams._thread.is_alive()
    ear(start=False).streams.stop()


def test_pauses_grow_and_differ_by_chance(ear):
    one = ear(start=False, timing=Timing())
    watch = one.streams._watches[0]
    pauses = []
    for failures in range(1, 12):
        watch.failures = failures
        pauses.append(one.streams._pause_s(watch))
    assert 0.5 <= pauses[0] <= 1.0
    assert 30.0 <= pauses[-1] <= 60.0
    assert pauses[3] > pauses[0]
    assert len(set(pauses)) == len(pauses)
