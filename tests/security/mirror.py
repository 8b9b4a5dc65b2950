# ruff: noqa: E501 (tables of input are easier to read in long lines)
"""A broker that says everything it was told: in front of an exchange, with keys that we chose, and hostile on demand."""

import base64
import html
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.faults import FaultPlan
from gambler_ai.exchange.rest.server import create_app
from gambler_ai.exchange.rest.transport import ExchangeSession

#: No part of these may be found anywhere. What each spelling would change is in them.
KEY = "PKMARKER0KEY0ID"
SECRET = 'zQ7vX/kW3pJ+ö9fB&"gH5\'yN2"mR8c=='
TOKEN = 'wT4sD/hL6uZ+x1aE&"nC9bK3q=='

Answer = tuple[int, str, bytes]
Mood = Callable[[str, str, dict[str, str]], Answer | None]


def spellings(text: str) -> list[str]:
    """``text`` as pages, addresses, logs and headers write it."""
    coded = base64.b64encode(text.encode()).decode()
    return [text, json.dumps(text), quote(text, safe=""), html.escape(text), coded, repr(text)]


def _everything(method: str, path: str, headers: dict[str, str]) -> str:
    told = [f"{method} {path}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*told, *spellings(SECRET), *spellings(TOKEN)])


def well(method: str, path: str, headers: dict[str, str]) -> Answer | None:
    return None


def page(method: str, path: str, headers: dict[str, str]) -> Answer | None:
    """A proxy's debug page: 500, with all that it was sent."""
    return 500, "text/html", f"<html><pre>{_everything(method, path, headers)}</pre></html>".encode()


def error(method: str, path: str, headers: dict[str, str]) -> Answer | None:
    """A JSON error whose message is the request."""
    return (
        500,
        "application/json",
        json.dumps({"code": 50010000, "message": _everything(method, path, headers)}).encode(),
    )


def refusal(method: str, path: str, headers: dict[str, str]) -> Answer | None:
    """Orders are refused in the words of the request."""
    if method != "POST" or path != "/v2/orders":
        return None
    return (
        422,
        "application/json",
        json.dumps({"code": 42210000, "message": _everything(method, path, headers)}).encode(),
    )


def unknown_keys(method: str, path: str, headers: dict[str, str]) -> Answer | None:
    return 401, "application/json", json.dumps({"code": 40110000, "message": SECRET}).encode()


def garbage(method: str, path: str, headers: dict[str, str]) -> Answer | None:
    return 200, "application/json", ('{"id": "' + SECRET).encode()


def named(method: str, path: str, headers: dict[str, str]) -> Answer | None:
    """Positions whose fields are the secret: what is taken in as data is shown and stored."""
    if path != "/v2/positions":
        return None
    row = {"symbol": SECRET, "qty": "1", "avg_entry_price": "1", "side": SECRET, "exchange": SECRET}
    return 200, "application/json", json.dumps([row]).encode()


class Mirror(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.mood: Mood = well
        self.from_order: Mood | None = None  # the mood that the first order brings
        self.seen: list[dict[str, str]] = []
        self.on_request: Callable[[], None] = lambda: None
        self.exchange = Exchange.open(None)
        self.far = ExchangeSession(create_app(self.exchange, "far-token", FaultPlan()))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def env(self) -> dict[str, str]:
        return {
            "ALPACA_API_KEY": KEY, "ALPACA_API_SECRET": SECRET, "GAMBLER_EXCHANGE_TOKEN": TOKEN,
            "ALPACA_TRADING_URL": self.url, "ALPACA_DATA_URL": self.url, "GAMBLER_STREAMS": "off",
        }  # fmt: skip

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is none of ours."""


class _Handler(BaseHTTPRequestHandler):
    server: Mirror
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        headers = dict(self.headers)
        self.server.seen.append(headers)
        self.server.on_request()
        if self.command == "POST" and path == "/v2/orders" and self.server.from_order is not None:
            self.server.mood = self.server.from_order
        control = path.startswith("/_exchange")
        status, kind, data = (None if control else self.server.mood(self.command, path, headers)) or self._asked(body)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("X-Request-Headers", " ".join(quote(value) for value in headers.values()))
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = do_PATCH = answer  # noqa: N815 (http.server asks for these names)

    def _asked(self, body: bytes) -> Answer:
        far = self.server.exchange
        keys = {"APCA-API-KEY-ID": far.key_id, "APCA-API-SECRET-KEY": far.secret_key, "X-Exchange-Token": "far-token"}
        reply = self.server.far.request(
            self.command, self.server.far.url + self.path, data=body or None,
            headers=keys | {"Content-Type": "application/json"},
        )  # fmt: skip
        return reply.status_code, reply.headers.get("Content-Type", "application/json"), reply.content

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@contextmanager
def parrot() -> Iterator[str]:
    """The address of a stream that sends back what it is sent, the keys first, and hangs up."""

    def answer(line: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            line.send(line.recv())

    with serve(answer, "127.0.0.1", 0) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{running.socket.getsockname()[1]}/stream"
        running.shutdown()
        thread.join()


@contextmanager
def mirror() -> Iterator[Mirror]:
    running = Mirror()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield running
    finally:
        running.shutdown()
        thread.join()
        running.server_close()
        running.far.close()
        running.exchange.close()
