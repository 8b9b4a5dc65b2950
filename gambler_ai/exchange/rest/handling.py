"""What every handler does: reach the exchange, take a body apart, answer, and look for a planned fault."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gambler_ai.exchange.desk.fates import Fate
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.faults import Fault
from gambler_ai.exchange.instants import SECOND
from gambler_ai.exchange.refusal import Refusal
from gambler_ai.exchange.rest.queries import (
    CLEAR,
    Sight,
)

Handler = Callable[[Request], Awaitable[Response]]
_JSON = "application/json; charset=UTF-8"


def reply(body: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type=_JSON)


def exchange_of(request: Request) -> Exchange:
    exchange: Exchange = request.app.state.exchange
    return exchange


def fault_of(request: Request, kind: str) -> Fault | None:
    """The fault that was planned for this request, if it is of this kind."""
    fault: Fault | None = request.scope.get("gambler.fault")
    return fault if fault is not None and fault.kind == kind else None


def fate_of(request: Request) -> Fate:
    """What the fault of this request, if it has one, has in mind for a command."""
    fault: Fault | None = request.scope.get("gambler.fault")
    return Fate(fault.kind, fault.seconds) if fault is not None else Fate()


def sight_of(request: Request) -> Sight:
    """What the fault of this request, if it has one, leaves to be seen of the orders."""
    now_us = exchange_of(request).deeds.plan_now_us()
    missing, late = fault_of(request, "not_found_for"), fault_of(request, "orders_late")
    fault = missing or late
    if fault is None:
        return CLEAR
    age_us = now_us + 1 if fault.seconds_or_none is None else round(fault.seconds * SECOND)
    return Sight(now_us - age_us, hides=missing is not None)


async def json_of(request: Request) -> Any:
    try:
        return msgspec.json.decode(await request.body())
    except msgspec.DecodeError:
        raise Refusal(400, 40010000, "request body format is invalid") from None
