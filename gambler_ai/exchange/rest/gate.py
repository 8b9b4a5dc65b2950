"""Around the routes: request ids, the body read once, keys, and what a plan of faults does to a request."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from ipaddress import ip_address
from typing import Any, NamedTuple

import msgspec

from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.faults.kinds import AFTER_KINDS, SPOILED_KINDS, UNHANDLED_KINDS
from gambler_ai.exchange.faults.plan import Fault, FaultPlan
from gambler_ai.exchange.faults.replies import CANNED, RATE_LIMITED, Canned, rate_limited
from gambler_ai.exchange.faults.spoil import spoiled
from gambler_ai.exchange.hashing import make_uuid
from gambler_ai.exchange.instants import SECOND
from gambler_ai.exchange.rest.credentials import keys_in
from gambler_ai.exchange.rest.limiting import RateLimit
from gambler_ai.exchange.rest.routes import CONTROL_PREFIX

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY = 1 << 20  # an order is a few hundred bytes
PIECES_OF_A_SLOW_BODY = 8


class HangUp(ConnectionError):
    """The connection ends without an answer; the in-process transport turns it into a client's error."""


class CutShort(ConnectionError):
    """The connection ends in the middle of a body."""


class TimedOut(ConnectionError):
    """The client of an in-process transport would have given up by now."""


class Answer(NamedTuple):
    """A whole reply of the routes."""

    start: Message
    body: bytes


class Gate:
    """The middleware. In process (``gambler.timeout_s`` in the scope, the client's patience) nothing waits."""

    def __init__(
        self, app: App, exchange: Exchange, token: str, faults: FaultPlan, rate_limit: RateLimit | None = None
    ) -> None:
        self._app = app
        self._exchange = exchange
        self._token = token
        self._faults = faults
        self._rate_limit = rate_limit
        self._count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # a websocket: only the streams take one, and they authenticate by message
            await self._app(scope, receive, send)
            return
        self._count += 1
        if not scope["path"].startswith(CONTROL_PREFIX):
            arrived = (self._exchange.clock.monotonic(), scope["method"], scope["path"])
            scope["app"].state.requests.append(arrived)
        named = [(b"x-request-id", make_uuid(self._exchange.account_id, "request", self._count).encode())]

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = {name.lower() for name, _ in message["headers"]}  # a fault may speak of a limit of its own
                message["headers"] = [*message["headers"], *(header for header in named if header[0] not in said)]
            await send(message)

        body = await _read(receive)
        if body is None:
            too_large = Canned(413, b"application/json", b'{"code":41310000,"message":"body too large"}')
            await _answer(send_named, too_large)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        refused = self._refuse(scope, headers)
        if refused is not None:
            await _answer(send_named, Canned(401, b"application/json", refused))
            return
        if self._rate_limit is not None and not scope["path"].startswith(CONTROL_PREFIX):
            allowed, counted = self._rate_limit.take(scope["path"])
            named += counted
            if not allowed:
                self._note_unhandled(scope, body, 429, "rate limit exceeded")
                await _answer(send_named, Canned(429, b"application/json", RATE_LIMITED))
                return
        fault = None if scope["path"].startswith(CONTROL_PREFIX) else self._meet(scope, body)
        await self._handle(scope, body, receive, send_named, fault)

    def _refuse(self, scope: Scope, headers: dict[bytes, bytes]) -> bytes | None:
        """The body of a 401, or None. The control routes are this machine's; their clock may be read by anybody on
        it.
        """
        path, method = scope["path"], scope["method"]
        if path.startswith(CONTROL_PREFIX):
            if not _is_here(scope):
                return b'{"code":40110000,"message":"control is for the machine of the exchange"}'
            given: bytes = headers.get(b"x-exchange-token", b"")
            if (method == "GET" and path.endswith("/clock")) or secrets.compare_digest(given, self._token.encode()):
                return None
            return b'{"code":40110000,"message":"X-Exchange-Token is missing or wrong"}'
        if self._exchange.authorizes(*keys_in(headers, self._exchange.key_id)):
            return None
        return b'{"code":40110000,"message":"request is not authorized"}'

    def _meet(self, scope: Scope, body: bytes) -> Fault | None:
        """The fault of this request; deeds that it sets off are done before it is handled."""
        query = scope["query_string"].decode(errors="replace")
        text = " ".join((scope["path"], query, body.decode(errors="replace")))
        met = self._faults.meet(scope["method"], scope["path"], text)
        for deed in met.deeds:
            self._exchange.deeds.do(deed.kind, deed.row)
        return met.fault

    async def _handle(self, scope: Scope, body: bytes, receive: Receive, send: Send, fault: Fault | None) -> None:
        if fault is not None and fault.kind in UNHANDLED_KINDS:
            await self._leave_unhandled(scope, body, receive, send, fault)
            return
        scope["gambler.fault"] = fault
        timeout_s: float | None = scope.get("gambler.timeout_s")
        if fault is not None and fault.kind == "hang" and timeout_s is None:
            await asyncio.to_thread(self._exchange.clock.sleep, fault.seconds)

        async def again() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        if fault is None:
            await self._app(scope, again, send)
            return
        answer = await self._answer_of(scope, again)
        if fault.kind == "hang" and timeout_s is not None and fault.seconds >= timeout_s:
            raise TimedOut("the exchange did not answer in time")
        await self._answer_badly(scope, receive, send, fault, answer)

    async def _answer_of(self, scope: Scope, receive: Receive) -> Answer:
        """Handled and committed; who asked has heard nothing yet."""
        start: list[Message] = []
        parts: list[bytes] = []

        async def keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.append(message)
            else:
                parts.append(message.get("body", b""))

        await self._app(scope, receive, keep)
        return Answer(start[0], b"".join(parts))

    async def _answer_badly(self, scope: Scope, receive: Receive, send: Send, fault: Fault, answer: Answer) -> None:
        kind, body = fault.kind, answer.body
        if kind == "lost_reply":
            await _hang_up(scope, receive)
        elif kind in ("truncated", "truncated_chunk"):
            await _cut_short(scope, receive, send, answer, chunked=kind == "truncated_chunk")
        elif kind == "slow":
            await self._dribble(scope, send, answer, fault.seconds)
        elif kind == "cut_json":
            await _resend(send, answer, body[: len(body) // 2])
        elif kind in AFTER_KINDS:
            await _answer(send, CANNED[kind])
        elif kind in SPOILED_KINDS and answer.start["status"] == 200:
            changed = spoiled(
                kind, body, seconds=fault.seconds, price=fault.price, seed=self._exchange.seed,
                now_us=self._exchange.now_us,
            )  # fmt: skip
            await _resend(send, answer, changed)
        else:
            await _resend(send, answer, body)

    async def _dribble(self, scope: Scope, send: Send, answer: Answer, seconds: float) -> None:
        pause_s, timeout_s = seconds / PIECES_OF_A_SLOW_BODY, scope.get("gambler.timeout_s")
        if timeout_s is not None:
            if pause_s >= timeout_s:
                raise TimedOut("the exchange did not answer in time")
            await _resend(send, answer, answer.body)
            return
        await send(answer.start)
        size = max(1, -(-len(answer.body) // PIECES_OF_A_SLOW_BODY))
        for first in range(0, len(answer.body), size):
            await asyncio.to_thread(self._exchange.clock.sleep, pause_s)
            piece = answer.body[first : first + size]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _leave_unhandled(self, scope: Scope, body: bytes, receive: Receive, send: Send, fault: Fault) -> None:
        payload = _order_in(scope, body)
        status = 429 if fault.kind == "429_headers" else CANNED[fault.kind].status if fault.kind in CANNED else 0
        self._note_unhandled(scope, body, status, f"fault {fault.kind}")
        if fault.kind == "late_arrival" and payload is not None:
            self._exchange.deeds.submit_later(payload, round(fault.seconds * SECOND))
        if fault.kind == "hang_unhandled":
            timeout_s = scope.get("gambler.timeout_s")
            if timeout_s is not None and fault.seconds >= timeout_s:
                raise TimedOut("the exchange did not answer in time")
            if timeout_s is None:
                await asyncio.to_thread(self._exchange.clock.sleep, fault.seconds)
        if fault.kind in ("reset", "hang_unhandled"):
            await _hang_up(scope, receive)
        elif fault.kind == "429_headers":
            await _answer(send, rate_limited(fault.seconds, self._exchange.deeds.plan_now_us()))
        else:
            await _answer(send, CANNED[fault.kind])

    def _note_unhandled(self, scope: Scope, body: bytes, status: int, outcome: str) -> None:
        """An order that arrived is in the log even when nothing was done with it."""
        payload = _order_in(scope, body)
        if payload is None:
            return
        with self._exchange.step():
            named = payload.get("client_order_id"), payload.get("symbol")
            self._exchange.log_post(named, status, outcome, None)


def _is_here(scope: Scope) -> bool:
    """Whether who asks is on this machine, or in this process."""
    client = scope.get("client")
    return client is None or ip_address(client[0]).is_loopback


def _order_in(scope: Scope, body: bytes) -> dict[str, Any] | None:
    """What a POST of an order asks for; None for other requests."""
    if scope["method"] != "POST" or scope["path"] != "/v2/orders":
        return None
    try:
        payload = msgspec.json.decode(body)
    except msgspec.DecodeError:
        payload = {}
    return payload if isinstance(payload, dict) else {}


async def _read(receive: Receive) -> bytes | None:
    body: bytes = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            return None
        if not message.get("more_body"):
            return body


async def _answer(send: Send, canned: Canned) -> None:
    headers = [(b"content-type", canned.content_type), (b"content-length", str(len(canned.body)).encode())]
    await send({"type": "http.response.start", "status": canned.status, "headers": [*headers, *canned.headers]})
    await send({"type": "http.response.body", "body": canned.body})


def _headers(answer: Answer, length: int | None) -> Message:
    """The start of an answer whose body has become another; None for one in chunks."""
    kept = [(name, value) for name, value in answer.start["headers"] if name.lower() != b"content-length"]
    size = [] if length is None else [(b"content-length", str(length).encode())]
    return {**answer.start, "headers": [*kept, *size]}


async def _resend(send: Send, answer: Answer, body: bytes) -> None:
    await send(answer.start if body == answer.body else _headers(answer, len(body)))
    await send({"type": "http.response.body", "body": body})


async def _cut_short(scope: Scope, receive: Receive, send: Send, answer: Answer, *, chunked: bool) -> None:
    """Half of the body, then nothing; an answer without a body is not sent at all."""
    if not answer.body:
        await _hang_up(scope, receive)
    if scope.get("gambler.abort") is None:
        raise CutShort("the exchange hung up in the middle of its answer")
    await send(_headers(answer, None if chunked else len(answer.body)))
    await send({"type": "http.response.body", "body": answer.body[: len(answer.body) // 2], "more_body": True})
    await _hang_up(scope, receive)


async def _hang_up(scope: Scope, receive: Receive) -> None:
    """Drop the connection; without one (in process) raise HangUp."""
    abort: Callable[[], None] | None = scope.get("gambler.abort")
    if abort is None:
        raise HangUp("the exchange hung up")
    abort()
    # uvicorn learns of it in a later turn of the loop; until then it would answer 500 for us.
    while (await receive())["type"] != "http.disconnect":
        pass
