"""The account, its settings and what happened to it (BEHAVIOUR 2 and 5)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gambler_ai.exchange.rest.handling import exchange_of, reply
from gambler_ai.exchange.rest.queries import (
    list_activities,
)
from gambler_ai.exchange.wire.entities import CONFIGURATIONS
from gambler_ai.exchange.wire.views import account_entity


async def get_account(request: Request) -> Response:
    exchange = exchange_of(request)
    with exchange.step():
        body = account_entity(exchange)
    return reply(body)


async def get_configurations(request: Request) -> Response:
    del request
    return reply(CONFIGURATIONS)


async def get_activities(request: Request) -> Response:
    exchange = exchange_of(request)
    with exchange.step():
        body = list_activities(exchange, request.query_params, request.path_params.get("type"))
    return reply(body)
