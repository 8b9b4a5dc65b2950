"""The websockets: /stream for trade updates, /v2/{iex|sip|delayed_sip|test} for market data; a slash may end each.

Options have streams of their own on Alpaca (/v1beta1); here no such path takes a websocket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from starlette.responses import Response
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.faults.plan import CONNECT, DATA, TRADE_UPDATES, FaultPlan
from gambler_ai.exchange.streams.lines import FEEDS, DataLine, Feed, Line, TradeLine
from gambler_ai.exchange.streams.outbox import AT_ONCE, CLOSE, CUT, MAX_QUEUED, SLOW, Outbox

MAX_MESSAGE = 1 << 18  # bytes from a client; eleven thousand symbols are 80 KB
POLICY_VIOLATION = 1008
_GONE = (WebSocketDisconnect, RuntimeError)  # the second while uvicorn closes the connection itself


class StreamLimits(NamedTuple):
    """What a connection may cost. Seconds are wall time."""

    sockets: int = 32  # at one time, authenticated or not
    queued: int = MAX_QUEUED
    auth_s: float = 10.0
    parting_s: float = 1.0  # for a slow reader to take its last message, before the connection is dropped
    look_every_s: float = 0.25  # how often a market that runs by itself is looked at while somebody listens


class StreamHub:
    """Every open connection of one exchange. Lives on the event loop."""

    def __init__(self, exchange: Exchange, faults: FaultPlan, limits: StreamLimits | None = None) -> None:
        self._exchange = exchange
        self._faults = faults
        self._limits = limits or StreamLimits()
        self._lines: set[Line] = set()
        self._data_line: Line | None = None
        self._watch: asyncio.Task[None] | None = None

    async def trade_updates(self, websocket: WebSocket) -> None:
        await self._serve(websocket, TRADE_UPDATES, self._trade_line)

    async def market_data(self, websocket: WebSocket) -> None:
        feed = FEEDS[websocket.url.path.rstrip("/").rpartition("/")[2]]
        await self._serve(websocket, DATA, lambda outbox: self._new_data_line(outbox, feed))

    def _trade_line(self, outbox: Outbox) -> Line:
        return TradeLine(self._exchange, self._faults, outbox)

    def _new_data_line(self, outbox: Outbox, feed: Feed) -> Line:
        def claim() -> bool:
            """One connection an account (BEHAVIOUR 8); the test stream is nobody's."""
            if feed is FEEDS["test"]:
                return True
            if self._data_line is not None:
                return False
            self._data_line = line
            return True

        line = DataLine(self._exchange, self._faults, outbox, claim=claim, feed=feed)
        return line

    async def _serve(self, websocket: WebSocket, stream: str, make_line: Callable[[Outbox], Line]) -> None:
        if len(self._lines) >= self._limits.sockets:
            await websocket.send_denial_response(Response("too many connections", 429))
            return
        if self._faults.take_refusal(stream, CONNECT) is not None:
            await websocket.send_denial_response(Response("service unavailable", 503))
            return
        socket = Socket(websocket, stream, self._limits)
        line = make_line(socket.outbox)
        self._lines.add(line)
        self._exchange.join(line)
        self._faults.watch(line.on_faults)
        if self._exchange.speed and self._watch is None:
            self._watch = asyncio.create_task(self._look())
            self._watch.add_done_callback(_retrieve)
        try:
            await socket.run(line)
        finally:
            self._faults.unwatch(line.on_faults)
            self._exchange.leave(line)
            self._lines.discard(line)
            if self._data_line is line:
                self._data_line = None
            if not self._lines and self._watch is not None:
                self._watch.cancel()
                self._watch = None

    async def _look(self) -> None:
        """Move a market that runs by itself: without requests nobody else would."""
        while True:
            await asyncio.sleep(self._limits.look_every_s)
            if any(line.listening for line in self._lines):
                with self._exchange.step():
                    pass


def _retrieve(task: asyncio.Task[None]) -> None:
    """The exchange has stopped: it tells every request why, so asyncio need not."""
    if not task.cancelled():
        task.exception()


class Codec(NamedTuple):
    """How messages are written on one connection, and whether in text frames."""

    encode: Callable[[Any], bytes]
    text: bool


def decoder_for(data: bytes) -> Callable[..., Any]:
    """A client may send either codec in either kind of frame, whatever its header asked for: a JSON object begins with
    a brace or a blank, which no map of msgpack does.
    """
    return msgspec.json.decode if data[:1] in (b"{", b"[", b" ", b"\t", b"\r", b"\n", b"") else msgspec.msgpack.decode


def codec_for(stream: str, content_type: str) -> Codec:
    """msgpack for who asks for it; else JSON, in binary frames on Alpaca's paper trade stream (BEHAVIOUR 7, 8)."""
    if content_type.partition(";")[0].strip() == "application/msgpack":
        return Codec(msgspec.msgpack.encode, text=False)
    return Codec(msgspec.json.encode, text=stream == DATA)


class Socket:
    """One connection: what comes in goes to its line, what its outbox holds goes out."""

    def __init__(self, websocket: WebSocket, stream: str, limits: StreamLimits) -> None:
        self._websocket = websocket
        self._codec = codec_for(stream, websocket.headers.get("content-type", ""))
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._sending = False
        self._work, self._ended = asyncio.Event(), asyncio.Event()
        self.outbox = Outbox(self._wake, limits.queued)

    def _wake(self) -> None:
        self._loop.call_soon_threadsafe(self._look_at_outbox)

    def _look_at_outbox(self) -> None:
        self._work.set()
        if self.outbox.ending in AT_ONCE:
            self._ended.set()

    async def run(self, line: Line) -> None:
        """Until either side ends it."""
        await self._websocket.accept()
        line.greet()
        deadline = self._loop.call_later(self._limits.auth_s, line.expire)
        jobs = [asyncio.create_task(job) for job in (self._receive(line), self._send(), self._ended.wait())]
        try:
            await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
        finally:
            deadline.cancel()
            for job in jobs:
                job.cancel()
            results = await asyncio.gather(*jobs, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result
        await self._part(line)

    async def _receive(self, line: Line) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            data = message.get("bytes")
            if data is None:
                data = (message.get("text") or "").encode()
            line.hear(data, decoder_for(data))

    async def _send(self) -> None:
        """Ends when the client is gone, or when all is sent and nothing more will come."""
        while True:
            await self._work.wait()
            self._work.clear()
            while (message := self.outbox.take()) is not None:
                try:
                    await self._send_one(message)
                except _GONE:
                    return
                await asyncio.sleep(0)  # a fast reader never makes send wait; the other requests must get their turn
            if self.outbox.ending == CLOSE:
                return

    async def _send_one(self, message: object) -> None:
        data = self._codec.encode(message)
        self._sending = True
        if self._codec.text:
            await self._websocket.send_text(data.decode())
        else:
            await self._websocket.send_bytes(data)
        self._sending = False

    async def _part(self, line: Line) -> None:
        """Say goodbye where the ending is one for that, and drop the connection where it is not."""
        ending = self.outbox.ending
        if not ending and self._sending:  # the server stops, and a reader that does not read would hold it up
            ending = CUT
        if ending in (SLOW, CLOSE):
            try:
                async with asyncio.timeout(self._limits.parting_s):
                    if ending == SLOW and line.farewell is not None:
                        await self._send_one(line.farewell)
                    await self._websocket.close(POLICY_VIOLATION)
            except (TimeoutError, *_GONE):
                ending = CUT
        abort: Callable[[], None] | None = self._websocket.scope.get("gambler.abort")
        if ending == CUT and abort is not None:
            abort()


def stream_routes(hub: StreamHub) -> list[WebSocketRoute]:
    """Nothing else takes a websocket."""
    streams = {"/stream": hub.trade_updates} | {f"/v2/{feed}": hub.market_data for feed in FEEDS}
    return [WebSocketRoute(path + end, take) for path, take in streams.items() for end in ("", "/")]
