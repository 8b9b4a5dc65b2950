"""One connection's socket, with the far end swapped for a fake ASGI server."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from gambler_ai.exchange.rest.server import create_app
from gambler_ai.exchange.streams.sockets import POLICY_VIOLATION, StreamLimits, codec_for
from tests.unit.exchange.conftest import World

PATIENCE_S = 20.0


class FarEnd:
    """What a server gives an application for one websocket; the reader can stop reading."""

    def __init__(self, path: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        self.inbound: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.outbound: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.reads = asyncio.Event()
        self.reads.set()
        self.aborted = asyncio.Event()
        self.scope = {
            "type": "websocket", "path": path, "headers": headers or [], "query_string": b"", "root_path": "",
            "scheme": "ws", "server": ("127.0.0.1", 80), "subprotocols": [], "gambler.abort": self.aborted.set,
            "extensions": {"websocket.http.response": {}},
        }  # fmt: skip
        self.inbound.put_nowait({"type": "websocket.connect"})

    async def receive(self) -> Any:
        return await self.inbound.get()

    async def send(self, message: Any) -> None:
        await self.reads.wait()
        self.outbound.put_nowait(message)

    def say(self, **message: Any) -> None:
        self.inbound.put_nowait({"type": "websocket.receive", "text": msgspec.json.encode(message).decode()})

    async def next(self) -> Any:
        """A control message, a decoded one, or the code of a close."""
        message = await self.outbound.get()
        if message["type"] != "websocket.send":
            return message.get("code", message.get("status", message["type"]))
        return msgspec.json.decode(message.get("bytes") or message["text"])

    async def rest(self) -> list[Any]:
        """All that came and was not read."""
        return [await self.next() for _ in range(self.outbound.qsize())]


def run(coroutine: Any) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, PATIENCE_S))


async def serve(world: World, far: FarEnd, **limits: Any) -> asyncio.Task[None]:
    """The connection, accepted."""
    app = create_app(world.exchange, "token", world.faults, StreamLimits(**limits))
    task = asyncio.create_task(app(far.scope, far.receive, far.send))
    assert await far.next() == "websocket.accept"
    return task


async def listen(world: World, far: FarEnd) -> None:
    far.say(action="auth", key=world.exchange.key_id, secret=world.exchange.secret_key)
    far.say(action="listen", data={"streams": ["trade_updates"]})
    assert [(await far.next())["stream"] for _ in range(2)] == ["authorization", "listening"]


async def subscribe(world: World, far: FarEnd) -> None:
    far.say(action="auth", key=world.exchange.key_id, secret=world.exchange.secret_key)
    far.say(action="subscribe", trades=["AAPL"])
    assert [(await far.next())[0]["T"] for _ in range(3)] == ["success", "success", "subscription"]


def move(world: World, times: int = 1) -> None:
    for _ in range(times):
        world.exchange.advance(world.exchange.now() + timedelta(minutes=1))


@pytest.mark.parametrize("path", ["/stream", "/v2/iex"])
def test_who_does_not_authenticate_in_time_is_closed(world, path):
    async def scene() -> list[Any]:
        far = FarEnd(path)
        await (await serve(world, far, auth_s=0.0))
        return await far.rest()

    *_, code = run(scene())
    assert code == POLICY_VIOLATION


def test_a_slow_reader_of_market_data_that_wakes_up_is_told_why_it_is_closed(world):
    async def scene() -> list[Any]:
        far = FarEnd("/v2/iex")
        task = await serve(world, far, queued=8, parting_s=PATIENCE_S)
        await subscribe(world, far)
        far.reads.clear()
        move(world, 10)
        far.reads.set()
        await task
        return await far.rest()

    *_, told, code = run(scene())
    assert told == [{"T": "error", "code": 407, "msg": "slow client"}]
    assert code == POLICY_VIOLATION


@pytest.mark.parametrize("path", ["/stream", "/v2/iex"])
def test_a_slow_reader_that_stays_asleep_is_dropped(world, path):
    async def scene() -> bool:
        far = FarEnd(path)
        task = await serve(world, far, queued=8, parting_s=0.0)
        await (listen if path == "/stream" else subscribe)(world, far)
        far.reads.clear()
        for _ in range(10):
            world.order(qty=1)
            move(world)
        await task
        return far.aborted.is_set()

    assert run(scene())


def test_a_cut_drops_the_connection_without_a_goodbye(world):
    async def scene() -> tuple[bool, int]:
        far = FarEnd("/stream")
        task = await serve(world, far)
        await listen(world, far)
        world.faults.replace([{"kind": "stream_cut"}])
        await task
        return far.aborted.is_set(), far.outbound.qsize()

    assert run(scene()) == (True, 0)


def test_a_client_that_goes_away_frees_its_place(world):
    async def scene() -> None:
        app = create_app(world.exchange, "token", world.faults, StreamLimits(sockets=1))
        for _ in range(2):
            far = FarEnd("/v2/iex")
            task = asyncio.create_task(app(far.scope, far.receive, far.send))
            assert await far.next() == "websocket.accept"
            await subscribe(world, far)
            refused = FarEnd("/stream")
            await app(refused.scope, refused.receive, refused.send)
            assert await refused.next() == 429
            far.inbound.put_nowait({"type": "websocket.disconnect", "code": 1006})
            await task

    run(scene())


def test_a_connection_can_be_refused(world):
    world.faults.replace([{"kind": "stream_refuse", "stream": "data"}])

    async def scene() -> int:
        far = FarEnd("/v2/sip")
        app = create_app(world.exchange, "token", world.faults)
        await app(far.scope, far.receive, far.send)
        status: int = await far.next()
        await serve(world, FarEnd("/v2/sip"))
        return status

    assert run(scene()) == 503


def test_a_market_that_runs_by_itself_hangs_up_when_the_exchange_stops(make_world):
    world = make_world(speed=60.0)

    async def scene() -> list[Any]:
        far = FarEnd("/stream")
        task = await serve(world, far, look_every_s=0.0)
        await listen(world, far)
        world.exchange.close()
        await task
        return await far.rest()

    assert run(scene()) == [POLICY_VIOLATION]


@pytest.mark.parametrize("content_type", ["application/msgpack", "application/msgpack; charset=x"])
@pytest.mark.parametrize("stream", ["trade_updates", "data"])
def test_msgpack_is_for_who_asks_for_it(stream, content_type):
    at = datetime(2007, 11, 13, 15, 0, tzinfo=UTC)
    packed, plain = codec_for(stream, content_type), codec_for(stream, "")
    assert (packed.text, plain.text) == (False, stream == "data")
    assert packed.encode(at) == b"\xd6\xff" + int(at.timestamp()).to_bytes(4, "big")  # the timestamp extension, -1
    assert plain.encode({"t": at}) == b'{"t":"2007-11-13T15:00:00Z"}'
