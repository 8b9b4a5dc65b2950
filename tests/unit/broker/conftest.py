"""The far end of the wire: an adapter that answers as it is told, and a server on a loopback port."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from gambler_ai.broker.alpaca import AlpacaBroker
from gambler_ai.broker.fence import FencedSession
from gambler_ai.broker.market_data import AlpacaMarketData

#: A status with a body (text, or what becomes JSON), or what is raised instead.
Reply = tuple[int, Any] | BaseException


class Wire(BaseAdapter):
    """Takes what would leave the process. ``replies`` are given in turn, the last one for ever."""

    def __init__(
        self, *replies: Reply | Callable[[requests.PreparedRequest], Reply], headers: dict[str, str] | None = None
    ) -> None:
        """``headers`` are those of every reply."""
        super().__init__()
        self.headers = headers or {}
        self.replies = list(replies)
        self.sent: list[requests.PreparedRequest] = []
        self.options: list[dict[str, Any]] = []

    def send(
        self, request: requests.PreparedRequest, stream: bool = False, timeout: Any = None, verify: Any = True,
        cert: Any = None, proxies: Any = None,
    ) -> requests.Response:  # fmt: skip
        self.sent.append(request)
        self.options.append({"timeout": timeout, "verify": verify, "proxies": dict(proxies or {})})
        reply = self.replies[min(len(self.sent), len(self.replies)) - 1]
        answer = reply(request) if callable(reply) else reply
        if isinstance(answer, BaseException):
            raise answer
        status, body = answer
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        response = requests.Response()
        response.status_code, response.url, response.request = status, request.url or "", request
        response.headers.update(self.headers)
        response.raw = HTTPResponse(io.BytesIO(data), status=status, preload_content=False)
        if status in (301, 302, 307):
            response.headers["Location"] = "http://127.0.0.1:1/elsewhere"
        return response

    def close(self) -> None:
        pass

    def queries(self) -> list[dict[str, str]]:
        return [{k: v[0] for k, v in parse_qs(urlsplit(str(r.url)).query).items()} for r in self.sent]

    def paths(self) -> list[str]:
        return [f"{r.method} {urlsplit(str(r.url)).path}" for r in self.sent]


def fenced(wire: Wire) -> FencedSession:
    session = FencedSession()
    session.mount("http://", wire)
    return session


def broker_on(wire: Wire) -> AlpacaBroker:
    return AlpacaBroker("KEY", "SECRET", "http://far.invalid", fenced(wire))


def data_on(wire: Wire) -> AlpacaMarketData:
    return AlpacaMarketData("KEY", "SECRET", "http://far.invalid", "iex", fenced(wire))


class Server(ThreadingHTTPServer):
    """Answers 200 with ``body``, a redirect to itself, or hangs up; keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.body = b"{}"
        self.status = 200
        self.hang_up = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((self.command, self.path, dict(self.headers), body))
        if self.server.hang_up:
            self.close_connection = True
            return
        self.send_response(self.server.status)
        self.send_header("Location", f"{self.server.url}/elsewhere")
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    do_GET = do_POST = do_DELETE = answer  # noqa: N815 (http.server asks for these names)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()
