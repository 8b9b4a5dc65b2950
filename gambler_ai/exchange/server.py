"""The exchange on a loopback port: authentication, faults and the routes as one ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import threading
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware

from gambler_ai.errors import ConfigError, GamblerError
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.faults import AFTER, BEFORE, UNHANDLED, Fault, FaultPlan
from gambler_ai.exchange.hashing import make_uuid
from gambler_ai.exchange.routes import CONTROL_PREFIX, EXCEPTION_HANDLERS, ROUTES
from gambler_ai.exchange.streams import MAX_MESSAGE, StreamHub, StreamLimits, stream_routes

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_BODY = 1 << 20  # an order is a few hundred bytes
START_PATIENCE_S = 10.0
#: Requests of which the arrival is remembered.
REQUESTS_KEPT = 1_000
_HTML = b"<html><head><title>503 Service Temporarily Unavailable</title></head><body>nginx</body></html>"
_CANNED: dict[str, tuple[int, bytes, bytes]] = {
    "500": (500, b"application/json", b'{"code":50010000,"message":"internal server error"}'),
    "503_html": (503, b"text/html", _HTML),
    "429": (429, b"application/json", b'{"code":42910000,"message":"rate limit exceeded"}'),
    "garbage": (200, b"application/json", b'{"id": "61e6'),
    "504_after": (504, b"application/json", b'{"code":50410000,"message":"gateway timeout"}'),
}


class HangUp(ConnectionError):
    """The connection ends without an answer; the in-process transport turns it into a client's error."""


class Gate:
    """Around the routes: request ids, the body read once, keys, and the plan of faults."""

    def __init__(self, app: App, exchange: Exchange, token: str, faults: FaultPlan) -> None:
        self._app = app
        self._exchange = exchange
        self._token = token
        self._faults = faults
        self._count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # a websocket: only the streams take one, and they authenticate by message
            await self._app(scope, receive, send)
            return
        self._count += 1
        if not scope["path"].startswith(CONTROL_PREFIX):
            arrived = (self._exchange.clock.monotonic(), scope["method"], scope["path"])
            scope["app"].state.requests.append(arrived)
        request_id = make_uuid(self._exchange.account_id, "request", self._count).encode()

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", request_id)]
            await send(message)

        body = await _read(receive)
        if body is None:
            await _answer(send_named, 413, b"application/json", b'{"code":41310000,"message":"body too large"}')
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        refused = self._refuse(scope["path"], scope["method"], headers)
        if refused is not None:
            await _answer(send_named, 401, b"application/json", refused)
            return
        fault = None
        if not scope["path"].startswith(CONTROL_PREFIX):
            text = " ".join(
                (scope["path"], scope["query_string"].decode(errors="replace"), body.decode(errors="replace"))
            )
            fault = self._faults.take(scope["method"], scope["path"], text)
        await self._handle(scope, body, receive, send_named, fault)

    def _refuse(self, path: str, method: str, headers: dict[bytes, bytes]) -> bytes | None:
        """The body of a 401, or None. The clock of the control routes may be read by anybody on this
        machine.
        """
        if path.startswith(CONTROL_PREFIX):
            given: bytes = headers.get(b"x-exchange-token", b"")
            if (method == "GET" and path.endswith("/clock")) or secrets.compare_digest(given, self._token.encode()):
                return None
            return b'{"code":40110000,"message":"X-Exchange-Token is missing or wrong"}'
        key_id, secret = headers.get(b"apca-api-key-id", b""), headers.get(b"apca-api-secret-key", b"")
        if self._exchange.authorizes(key_id, secret):
            return None
        return b'{"code":40110000,"message":"request is not authorized"}'

    async def _handle(self, scope: Scope, body: bytes, receive: Receive, send: Send, fault: Fault | None) -> None:
        if fault is not None and fault.kind in UNHANDLED:
            self._note_unhandled(scope, body, fault)
            if fault.kind == "reset":
                await _hang_up(scope, receive)
            await _answer(send, *_CANNED[fault.kind])
            return
        if fault is not None and fault.kind in BEFORE:
            await asyncio.to_thread(self._exchange.clock.sleep, fault.seconds)
        scope["gambler.fault"] = fault

        async def again() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        if fault is None or fault.kind not in AFTER:
            await self._app(scope, again, send)
            return
        await self._app(scope, again, _discard)  # handled and committed; only the answer is lost
        if fault.kind == "lost_reply":
            await _hang_up(scope, receive)
        await _answer(send, *_CANNED[fault.kind])

    def _note_unhandled(self, scope: Scope, body: bytes, fault: Fault) -> None:
        """An order that arrived is in the log even when nothing was done with it."""
        if scope["method"] != "POST" or scope["path"] != "/v2/orders":
            return
        try:
            payload = msgspec.json.decode(body)
        except msgspec.DecodeError:
            payload = {}
        wanted = payload if isinstance(payload, dict) else {}
        with self._exchange.step():
            named = wanted.get("client_order_id"), wanted.get("symbol")
            status = _CANNED[fault.kind][0] if fault.kind in _CANNED else 0
            self._exchange.log_post(named, status, f"fault {fault.kind}", None)


async def _read(receive: Receive) -> bytes | None:
    body: bytes = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            return None
        if not message.get("more_body"):
            return body


async def _discard(message: Message) -> None:
    del message


async def _answer(send: Send, status: int, kind: bytes, body: bytes) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _hang_up(scope: Scope, receive: Receive) -> None:
    """Drop the connection; without one (in process) raise HangUp."""
    abort: Callable[[], None] | None = scope.get("gambler.abort")
    if abort is None:
        raise HangUp("the exchange hung up")
    abort()
    # uvicorn learns of it in a later turn of the loop; until then it would answer 500 for us.
    while (await receive())["type"] != "http.disconnect":
        pass


def create_app(exchange: Exchange, token: str, faults: FaultPlan, limits: StreamLimits | None = None) -> Starlette:
    """The whole API. ``token`` opens the control routes."""
    streams = stream_routes(StreamHub(exchange, faults, limits))
    gate = Middleware(Gate, exchange=exchange, token=token, faults=faults)
    app = Starlette(routes=[*ROUTES, *streams], middleware=[gate], exception_handlers=EXCEPTION_HANDLERS)
    app.state.exchange = exchange
    app.state.requests = deque(maxlen=REQUESTS_KEPT)
    app.state.faults = faults
    return app


def _with_abort(app: App) -> App:
    """Give the application a way to drop the connection: ASGI has none, uvicorn's request cycle holds the
    socket.
    """

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        transport = getattr(getattr(send, "__self__", None), "transport", None)
        if transport is not None:
            scope["gambler.abort"] = transport.abort
        # The client went away, which is what a test for a lost reply is about.
        with contextlib.suppress(HangUp):
            await app(scope, receive, send)

    return outer


class ExchangeServer:
    """Serve an exchange on 127.0.0.1 from a daemon thread. It neither opens nor closes the exchange."""

    def __init__(
        self,
        exchange: Exchange,
        *,
        token: str | None = None,
        faults: FaultPlan | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        limits: StreamLimits | None = None,
    ) -> None:
        if host not in LOOPBACK:
            raise ConfigError(f"the exchange binds to loopback only, not to {host}")
        self.exchange = exchange
        self.token = token or secrets.token_hex(16)
        self.faults = faults or FaultPlan()
        self._host, self._port = host, port
        self._limits = limits
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Bind and serve; returns when requests are answered. Raises ConfigError when the port is taken."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        # asyncio switches Nagle off only for sockets that say they are TCP; with it a reply takes 40 ms.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self._host, self._port))
            listener.listen(128)
        except OSError as error:
            listener.close()
            raise ConfigError(f"cannot bind {self._host}:{self._port}: {error.strerror}") from error
        app = create_app(self.exchange, self.token, self.faults, self._limits)
        config = uvicorn.Config(
            _with_abort(app), http="h11", ws="websockets-sansio", ws_max_size=MAX_MESSAGE, lifespan="off",
            loop="asyncio", log_config=None, log_level="critical", access_log=False, proxy_headers=False,
            server_header=False, date_header=False, timeout_keep_alive=300, timeout_graceful_shutdown=2,
        )  # fmt: skip
        self._socket, self._server = listener, uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="exchange", daemon=True)
        self._thread.start()
        # The socket listens already, so a request sent now waits in the backlog: nothing to wait for.

    def _serve(self) -> None:
        assert self._server is not None
        assert self._socket is not None
        # Outside the main thread uvicorn leaves the signal handlers alone: they are the runner's.
        self._server.run(sockets=[self._socket])

    @property
    def url(self) -> str:
        """Raises GamblerError before ``start``."""
        if self._socket is None:
            raise GamblerError("the exchange server is not started")
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def port(self) -> int:
        if self._socket is None:
            raise GamblerError("the exchange server is not started")
        return int(self._socket.getsockname()[1])

    def stop(self) -> None:
        """Finish what is being answered and end the thread."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(START_PATIENCE_S)
        if self._socket is not None:
            self._socket.close()
        self._server, self._thread, self._socket = None, None, None
