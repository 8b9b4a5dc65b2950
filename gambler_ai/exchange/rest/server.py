"""The exchange on a port: the gate and the routes as one ASGI application."""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
from collections import deque
from ipaddress import ip_address
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware

from gambler_ai.clock import Clock, SystemClock
from gambler_ai.errors import ConfigError, GamblerError
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.faults import FaultPlan
from gambler_ai.exchange.rest.gate import App, Gate, HangUp, Receive, Scope, Send
from gambler_ai.exchange.rest.limiting import RateLimit
from gambler_ai.exchange.rest.routes import EXCEPTION_HANDLERS, ROUTES
from gambler_ai.exchange.streams.sockets import MAX_MESSAGE, StreamHub, StreamLimits, stream_routes

#: What all addresses of a machine are called, and how this machine reaches itself then.
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (where somebody asked for it)
START_PATIENCE_S = 10.0
#: Requests of which the arrival is remembered.
REQUESTS_KEPT = 1_000


def create_app(
    exchange: Exchange,
    token: str,
    faults: FaultPlan,
    limits: StreamLimits | None = None,
    rate_limit: RateLimit | None = None,
) -> Starlette:
    """The whole API. ``token`` opens the control routes. Raises ConfigError for a plan that cannot be done here."""
    faults.bind(exchange.deeds)
    exchange.book.exits_race = faults.take_both_exits
    streams = stream_routes(StreamHub(exchange, faults, limits))
    gate = Middleware(Gate, exchange=exchange, token=token, faults=faults, rate_limit=rate_limit)
    app = Starlette(routes=[*ROUTES, *streams], middleware=[gate], exception_handlers=EXCEPTION_HANDLERS)
    # A path with a slash at its end is another path (404): a redirect would cost a client its body or its keys.
    app.router.redirect_slashes = False
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
    """Serve an exchange from a daemon thread. It neither opens nor closes the exchange.

    On another ``host`` than this machine's own whoever has the keys can trade; the control routes stay this machine's.
    """

    def __init__(
        self,
        exchange: Exchange,
        *,
        token: str | None = None,
        faults: FaultPlan | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        limits: StreamLimits | None = None,
        rate_limit: int | None = None,
        wall: Clock | None = None,
    ) -> None:
        """``rate_limit`` is requests a minute, None for none; Alpaca has 200. ``wall`` is the clock it goes by, the
        machine's unless told otherwise.
        """
        self.exchange = exchange
        self.token = token or secrets.token_hex(16)
        self.faults = faults or FaultPlan()
        self._host, self._port = host, port
        self._limits = limits
        self._rate_limit = None if rate_limit is None else RateLimit(rate_limit, wall or SystemClock())
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def prepare(self) -> None:
        """Bind the plan of faults to the exchange. Raises ConfigError for one that cannot be done here."""
        self.faults.bind(self.exchange.deeds)

    def start(self) -> None:
        """Bind and serve; returns when requests are answered. Raises ConfigError when the port is taken."""
        family, address = self._resolved()
        # asyncio switches Nagle off only for sockets that say they are TCP; with it a reply takes 40 ms.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(128)
        except OSError as error:
            listener.close()
            raise ConfigError(f"cannot bind {self._host}:{self._port}: {error.strerror}") from error
        app = create_app(self.exchange, self.token, self.faults, self._limits, self._rate_limit)
        config = uvicorn.Config(
            _with_abort(app), http="h11", ws="websockets-sansio", ws_max_size=MAX_MESSAGE, lifespan="off",
            loop="asyncio", log_config=None, log_level="critical", access_log=False, proxy_headers=False,
            server_header=False, date_header=False, timeout_keep_alive=300, timeout_graceful_shutdown=2,
        )  # fmt: skip
        self._socket, self._server = listener, uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="exchange", daemon=True)
        self._thread.start()
        # The socket listens already, so a request sent now waits in the backlog: nothing to wait for.

    def _resolved(self) -> tuple[int, tuple[Any, ...]]:
        """Family and address of the host. Raises ConfigError for a name that nobody knows."""
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError as error:
            raise ConfigError(f"cannot bind {self._host}:{self._port}: {error.strerror}") from error
        return found[0][0], found[0][4]

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
        host = EVERYWHERE.get(host, host)
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it. Raises GamblerError before ``start``."""
        if self._socket is None:
            raise GamblerError("the exchange server is not started")
        return ip_address(self._socket.getsockname()[0]).is_loopback

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
