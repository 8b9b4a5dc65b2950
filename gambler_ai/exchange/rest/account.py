"""The account, its settings and what happened to it (BEHAVIOUR 2 and 5)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gambler_ai.exchange.rest.activities import list_activities
from gambler_ai.exchange.rest.handling import exchange_of, json_of, reply
from gambler_ai.exchange.rest.history import portfolio_history
from gambler_ai.exchange.wire.views import account_entity


async def get_account(request: Request) -> Response:
    exchange = exchange_of(request)
    with exchange.step():
        body = account_entity(exchange)
    return reply(body)


async def get_configurations(request: Request) -> Response:
    exchange = exchange_of(request)
    with exchange.step():
        settings = exchange.book.account.settings
    return reply(settings)


async def patch_configurations(request: Request) -> Response:
    exchange, changes = exchange_of(request), await json_of(request)
    with exchange.step():
        settings = exchange.desk.configure(changes)
    return reply(settings)


async def get_portfolio_history(request: Request) -> Response:
    exchange = exchange_of(request)
    with exchange.step():
        body = portfolio_history(exchange, request.query_params)
    return reply(body)


async def get_activities(request: Request) -> Response:
    exchange = exchange_of(request)
    with exchange.step():
        body = list_activities(exchange, request.query_params, request.path_params.get("type"))
    return reply(body)
