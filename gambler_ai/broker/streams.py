"""alpaca-py's streams as a doorbell: that something happened is put into the feed; what it was is read by REST.

A stream loses messages when it reconnects, falls silent while its socket lives, and may tell a thing twice
(RECOVERY_PROTOCOL 0.3, BEHAVIOUR 7), so nothing is ever booked from it. alpaca-py connects, authenticates and
subscribes; supervision is ours: one connection a stream, backoff with jitter, and a timer for silence.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import certifi
import msgspec
import numpy as np
from alpaca.data.enums import DataFeed
from alpaca.data.live.stock import StockDataStream
from alpaca.trading.stream import TradingStream
from websockets.legacy import client as websockets_client

from gambler_ai.broker.fence import STREAM_HOST, TRADING_HOST, check_url, printable
from gambler_ai.core.events import PRICES, TRADE_UPDATES, Input, StreamChanged, Woken


@dataclass(frozen=True)
class Timing:
    """Wall seconds of everything that is waited for."""

    #: For a connection to be open, authenticated and listening.
    open_timeout_s: float = 15.0
    #: The first pause after a failure and the longest; each is twice the one before, less up to half by chance.
    backoff_min_s: float = 1.0
    backoff_max_s: float = 60.0
    #: A connection that lasted this long has worked: the next failure begins with the first pause again.
    steady_s: float = 60.0
    #: Prices may be silent for so long while the market is open; minute bars are due every minute (BEHAVIOUR 8).
    silence_s: float = 150.0
    #: Between two wake-ups of one stream, so that a storm of messages stays a few readings.
    wake_pause_s: float = 0.25
    #: Between two looks at the clock while nothing comes.
    look_s: float = 5.0


#: Alpaca's free feed takes no more symbols (BEHAVIOUR 8, error 405); as wake-ups some do for all.
SYMBOLS_MAX = 30
#: Wall seconds to wait for the thread when the session ends.
STOP_PATIENCE_S = 3.0

#: At its loudest websockets logs frames, cut in the middle: the half of a secret that no mask would find.
_log = logging.getLogger("gambler_ai.streams")
_log.addFilter(lambda record: record.levelno > logging.DEBUG)
#: A message, unpacked, is a few kilobytes; what waits to be read is at most 64 of them.
_SOCKET: dict[str, Any] = {
    "ping_interval": 10, "ping_timeout": 20, "close_timeout": 2, "max_queue": 64, "max_size": 1 << 18, "logger": _log,
}  # fmt: skip

# A redirect would carry the keys to another host: the first one ends the attempt.
websockets_client.Connect.MAX_REDIRECTS_ALLOWED = 1


class StreamRefused(ValueError):
    """The stream answered, and not with what was asked for."""


class _Trading(TradingStream):
    """trade_updates: `open` returns when the broker has said that it is listening."""

    _ws: Any

    async def open(self) -> None:
        await self._connect()  # type: ignore[no-untyped-call]
        await self._auth()  # type: ignore[no-untyped-call]
        await self._subscribe_trade_updates()
        while True:
            message = json.loads(await self._ws.recv())
            if message.get("stream") == "listening":
                if "trade_updates" not in message["data"]["streams"]:
                    raise StreamRefused("the broker listens to something else")
                return

    async def receive(self) -> str:
        """What the next message is about, "" for one that is none of ours."""
        message = json.loads(await self._ws.recv())
        if message.get("stream") != "trade_updates":
            return ""
        data = message["data"]
        return printable(f"{data.get('event')} {(data.get('order') or {}).get('symbol')}", 60)


class _Prices(StockDataStream):
    """Minute bars: `open` returns when the broker has confirmed what it will send."""

    _ws: Any

    async def open(self) -> None:
        await self._connect()
        await self._auth()
        await self._send_subscribe_msg()
        while True:
            for message in msgspec.msgpack.decode(await self._ws.recv()):
                if message.get("T") == "error":
                    raise StreamRefused(printable(f"{message.get('msg')} ({message.get('code')})"))
                if message.get("T") == "subscription":
                    return

    async def receive(self) -> str:
        """What the next message is about, "" for one that is none of ours."""
        found = ""
        for message in msgspec.msgpack.decode(await self._ws.recv()):
            if message.get("T") == "error":
                raise StreamRefused(printable(f"{message.get('msg')} ({message.get('code')})"))
            if message.get("T") == "b":
                found = printable(f"bar {message.get('S')}", 60)
        return found


@dataclass
class _Watch:
    """One stream: how it is opened, how long it may be silent (None: for ever), and how it stands."""

    name: str
    make: Callable[[], Any]
    silence_s: float | None
    told: str = ""
    failures: int = 0
    silences: int = 0  # connections in a row that were left for their silence


class AlpacaStreams:
    """Both streams on a thread of their own; `core.ports.Streams`."""

    def __init__(
        self, key: str, secret: str, *, trading_url: str, data_url: str, feed: str, symbols: Sequence[str],
        put: Callable[[Input], None], now: Callable[[], datetime], seed: int, timing: Timing | None = None,
    ) -> None:  # fmt: skip
        """``put`` takes what is heard, ``now`` is session time, ``seed`` chooses the jitter of the pauses.

        Raises:
            ConfigError: an address is neither Alpaca's nor this machine.
        """
        trading_url = check_url(trading_url, TRADING_HOST, ("wss", "ws"))
        data_url = check_url(data_url, STREAM_HOST, ("wss", "ws"))
        self._put, self._now = put, now
        self._timing = timing or Timing()
        self._rng = np.random.default_rng(seed)
        self._stopped = asyncio.Event()
        self._again = {TRADE_UPDATES: asyncio.Event(), PRICES: asyncio.Event()}
        self._market_open = False

        def trading() -> _Trading:
            stream = _Trading(
                key, secret, raw_data=True, url_override=trading_url, websocket_params=_socket(trading_url)
            )
            stream.subscribe_trade_updates(_ignore)
            return stream

        def prices() -> _Prices:
            stream = _Prices(
                key,
                secret,
                raw_data=True,
                feed=DataFeed(feed),
                url_override=data_url,
                websocket_params=_socket(data_url),
            )
            stream.subscribe_bars(_ignore, *symbols[:SYMBOLS_MAX])
            return stream

        self._watches = [_Watch(TRADE_UPDATES, trading, None), _Watch(PRICES, prices, self._timing.silence_s)]
        self._thread = threading.Thread(target=self._run, name="streams", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._loop = asyncio.new_event_loop()
        self._thread.start()

    def stop(self) -> None:
        """Close both, for at most `STOP_PATIENCE_S`."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join(STOP_PATIENCE_S)

    def suspect(self, stream: str) -> None:
        """Something was read that ``stream`` should have told: connect anew."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._again[stream].set)

    def market(self, *, is_open: bool) -> None:
        """Whether silence means anything."""
        self._market_open = is_open

    # -- on the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._watch_all())
        finally:
            self._loop.close()

    async def _watch_all(self) -> None:
        await asyncio.gather(*(self._watch(watch) for watch in self._watches))

    async def _watch(self, watch: _Watch) -> None:
        while not self._stopped.is_set():
            why = await self._once(watch)
            if not self._stopped.is_set():
                self._tell(watch, up=False, reason=why)
                await self._unless_stopped(asyncio.sleep(self._pause_s(watch)))

    async def _once(self, watch: _Watch) -> str:
        """One connection from beginning to end; returns why it ended. Whatever happens to it, polling goes on."""
        stream = watch.make()
        begun_s = self._loop.time()
        try:
            await asyncio.wait_for(self._unless_stopped(stream.open()), self._timing.open_timeout_s)
            if self._stopped.is_set():
                return "stopped"
            self._again[watch.name].clear()
            self._tell(watch, up=True, reason="listening")
            return await self._listen(watch, stream)
        except TimeoutError:
            return f"no answer for {self._timing.open_timeout_s:.0f} s"
        except Exception as error:
            return printable(str(error) or type(error).__name__, 120)
        finally:
            watch.failures = 1 if self._loop.time() - begun_s >= self._timing.steady_s else watch.failures + 1
            await _closed(stream)

    async def _listen(self, watch: _Watch, stream: Any) -> str:
        last_s = self._loop.time()
        woken_s = last_s - self._timing.wake_pause_s
        receiving: asyncio.Task[str] | None = None
        pending = ""
        try:
            while not self._stopped.is_set():
                receiving = receiving or self._loop.create_task(stream.receive())
                timeout_s = self._timing.wake_pause_s if pending else self._timing.look_s
                await self._any_of(receiving, self._again[watch.name], timeout_s)
                now_s = self._loop.time()
                if self._again[watch.name].is_set():
                    return "it did not tell what was read"
                if receiving.done():
                    heard, receiving = receiving.result(), None
                    if heard:
                        pending, last_s, watch.silences = heard, now_s, 0
                if pending and now_s - woken_s >= self._timing.wake_pause_s:
                    self._put(Woken(self._now(), watch.name, pending))
                    pending, woken_s = "", now_s
                if watch.silence_s is not None and self._market_open and now_s - last_s > self._patience_s(watch):
                    watch.silences += 1
                    return f"silent for {now_s - last_s:.0f} s"
            return "stopped"
        finally:
            if receiving is not None:
                receiving.cancel()
                await asyncio.gather(receiving, return_exceptions=True)

    def _patience_s(self, watch: _Watch) -> float:
        """A quiet symbol is no fault: each connection that heard nothing makes us wait longer on the next."""
        assert watch.silence_s is not None
        return watch.silence_s * float(2 ** min(watch.silences, 3))

    def _pause_s(self, watch: _Watch) -> float:
        timing = self._timing
        whole = min(timing.backoff_min_s * 2.0 ** min(watch.failures - 1, 10), timing.backoff_max_s)
        return whole * (1.0 - 0.5 * float(self._rng.random()))

    def _tell(self, watch: _Watch, *, up: bool, reason: str) -> None:
        """Each change once, not each attempt."""
        told = f"{up} {reason}"
        if told != watch.told:
            watch.told = told
            self._put(StreamChanged(self._now(), watch.name, up, reason))
        elif up:
            self._put(Woken(self._now(), watch.name, reason))

    async def _unless_stopped(self, work: Awaitable[Any]) -> None:
        task, stop = asyncio.ensure_future(work), self._loop.create_task(self._stopped.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
        finally:
            for left in (task, stop):
                left.cancel()
            await asyncio.gather(task, stop, return_exceptions=True)

    async def _any_of(self, receiving: asyncio.Task[str], again: asyncio.Event, timeout_s: float) -> None:
        waits = {self._loop.create_task(again.wait()), self._loop.create_task(self._stopped.wait())}
        try:
            await asyncio.wait({receiving, *waits}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)


def _socket(url: str) -> dict[str, Any]:
    """TLS by the roots that HTTP goes by: SSL_CERT_FILE moves neither."""
    if not url.lower().startswith("wss:"):
        return dict(_SOCKET)
    return _SOCKET | {"ssl": ssl.create_default_context(cafile=certifi.where())}


async def _ignore(_message: object) -> None:
    """alpaca-py wants a handler before it subscribes; messages are read by `receive`."""


async def _closed(stream: Any) -> None:
    try:
        await stream.close()
    except Exception:  # it is gone either way
        return
