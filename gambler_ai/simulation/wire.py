"""The network between a simulated process and its exchange: no socket, no thread, no HTTP encoding; and its faults.

It is below alpaca-py and above the exchange's own gate, so that the plan of faults is the exchange's. What takes time
takes virtual time.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any
from urllib.parse import unquote, urlencode

import requests
from requests.exceptions import ChunkedEncodingError
from requests.structures import CaseInsensitiveDict
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from gambler_ai.broker.fence import READ_TIMEOUT_S
from gambler_ai.broker.reply import Reply
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.faults.plan import FaultPlan, Met
from gambler_ai.exchange.refusal import Refusal
from gambler_ai.exchange.rest.gate import CutShort, Gate, HangUp, TimedOut
from gambler_ai.exchange.rest.routes import EXCEPTION_HANDLERS, ROUTES
from gambler_ai.exchange.rest.server import create_app
from gambler_ai.simulation.endings import Crash
from gambler_ai.simulation.universe import Universe

Answer = tuple[int, list[tuple[str, str]], bytes]

#: Kinds that make a client wait for their seconds, or for as long as it waits at all.
_WAITED_FOR = frozenset({"hang", "hang_unhandled", "slow"})


class Router:
    """The exchange's routes, with the ones that have no parameters looked up by their path."""

    def __init__(self) -> None:
        self._fixed: dict[tuple[str, str], Any] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        handler, parameters = self._find(scope)
        scope["path_params"] = parameters
        request = Request(scope, receive)
        try:
            response: Response = await handler(request)
        except Refusal as refusal:
            told: Any = EXCEPTION_HANDLERS[Refusal]
            response = await told(request, refusal)
        await response(scope, receive, send)

    def _find(self, scope: Any) -> tuple[Any, dict[str, Any]]:
        name = scope["method"], scope["path"]
        if name in self._fixed:
            return self._fixed[name], {}
        for route in ROUTES:
            match, child = route.matches(scope)
            if match is Match.FULL:
                if not child["path_params"]:
                    self._fixed[name] = child["endpoint"]
                return child["endpoint"], child["path_params"]
        raise Refusal(404, 40410000, "endpoint not found")


class _Plan(FaultPlan):
    """The exchange's own plan; what a request meets is told, and what is waited for takes virtual time."""

    def __init__(self, universe: Universe, note: Callable[[str], None]) -> None:
        super().__init__()
        self._universe = universe
        self._note = note

    def meet(self, method: str, path: str, text: str) -> Met:
        met = super().meet(method, path, text)
        for fault in (*met.deeds, *(() if met.fault is None else (met.fault,))):
            self._note(f"broker: {method} {path} meets {fault.row}")
        if met.fault is not None and met.fault.kind in _WAITED_FOR:
            self._universe.wait(min(met.fault.seconds, READ_TIMEOUT_S))
        return met


class Wire:
    """Brings requests to an exchange, whoever sends them and however many processes have died meanwhile."""

    def __init__(self, exchange: Exchange, universe: Universe, note: Callable[[str], None]) -> None:
        self.universe = universe
        self._plan = _Plan(universe, note)
        self._gate = Gate(Router(), exchange, "simulation", self._plan)
        self._app = create_app(exchange, "simulation", self._plan)

    def plan(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """What the broker does from here on, instead of what was planned."""
        self._plan.replace(rows)

    def calm(self) -> None:
        """No fault from now on."""
        self._plan.replace([])

    def carry(self, method: str, path: str, query: str, headers: list[tuple[bytes, bytes]], body: bytes) -> Answer:
        """One request and its answer.

        Raises:
            HangUp, CutShort: the connection ended without one, or in the middle of it.
            TimedOut: it did not come in time.
        """
        scope = {
            "type": "http", "method": method, "scheme": "http", "path": path, "raw_path": path.encode(),
            "query_string": query.encode(), "root_path": "", "headers": headers, "client": ("127.0.0.1", 0),
            "server": ("127.0.0.1", 80), "http_version": "1.1", "app": self._app,
            "gambler.timeout_s": READ_TIMEOUT_S,
        }  # fmt: skip
        status, answered, chunks = 0, [], []  # type: int, list[tuple[str, str]], list[bytes]

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = [(name.decode(), value.decode()) for name, value in message["headers"]]
            else:
                chunks.append(message["body"])

        run(self._gate(scope, receive, send))
        return status, answered, b"".join(chunks)


def run(call: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that never waits: the exchange computes its answers."""
    try:
        call.send(None)
    except StopIteration:
        return
    raise AssertionError("the exchange waited for something in the middle of an answer")


class Line(requests.Session):
    """One process's way to the exchange. ``watch`` sees each request before it leaves and after it was handled."""

    url = "http://exchange.invalid"

    def __init__(
        self, wire: Wire, latency_s: Callable[[], float], watch: Callable[[str, str, bytes, Answer | None], None]
    ) -> None:
        super().__init__()
        self.dead = False
        self._wire = wire
        self._latency_s = latency_s
        self._watch = watch

    def request(self, method: Any, url: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        """Raises requests.ReadTimeout, ConnectionError and ChunkedEncodingError, as a socket would."""
        if self.dead:
            raise Crash
        given = {name: value for name, value in (options.get("params") or {}).items() if value is not None}
        path, query = unquote(str(url)[len(self.url) :]), urlencode(given, doseq=True)
        body = options["json"].text.encode() if options.get("json") is not None else b""
        headers = [(name.lower().encode(), value.encode()) for name, value in options["headers"].items()]
        latency_s = self._latency_s()
        self._watch(method, path, body, None)
        self._wire.universe.wait(latency_s / 2)
        asked = requests.PreparedRequest()
        asked.method, asked.url = method, str(url)
        try:
            answer = self._wire.carry(method, path, query, headers, body)
        except TimedOut as error:
            raise requests.ReadTimeout(str(error), request=asked) from None
        except CutShort as error:
            raise ChunkedEncodingError(str(error), request=asked) from None
        except HangUp as error:
            raise requests.ConnectionError(str(error), request=asked) from None
        self._watch(method, path, body, answer)
        self._wire.universe.wait(latency_s / 2)
        return _response(asked, *answer)


def _response(
    asked: requests.PreparedRequest, status: int, headers: list[tuple[str, str]], body: bytes
) -> requests.Response:
    response = _Response()
    response.status_code, response.url, response.request = status, asked.url or "", asked
    response.headers = CaseInsensitiveDict(headers)
    response._content = body
    return response


class _Response(Reply):
    """A reply whose body is here already; what a real one builds for its connection is left out."""

    def __init__(self) -> None:
        self._content: Any = b""
        self._content_consumed = True
        self.encoding = "utf-8"
        self.reason: Any = ""
        self.history = []
        self.raw = None
