"""Orders: taken, listed, replaced, canceled (BEHAVIOUR 3)."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from gambler_ai.exchange.desk.desk import Desk
from gambler_ai.exchange.desk.orders import Order
from gambler_ai.exchange.refusal import Refusal, not_found
from gambler_ai.exchange.rest.handling import exchange_of, fate_of, json_of, reply, sight_of
from gambler_ai.exchange.rest.queries import list_orders


async def post_order(request: Request) -> Response:
    exchange, payload = exchange_of(request), await json_of(request)
    with exchange.step():
        entity, _ = exchange.submit(payload, fate_of(request))
    return reply(entity)


async def get_orders(request: Request) -> Response:
    exchange = exchange_of(request)
    with exchange.step():
        body = list_orders(exchange, request.query_params, sight_of(request))
    return reply(body)


def _shown(request: Request, name: str, find: Callable[[Desk, str], Order]) -> Response:
    """One order, unless a fault hides it."""
    exchange = exchange_of(request)
    with exchange.step():
        body = sight_of(request).entity(exchange, find(exchange.desk, name))
    if body is None:
        raise not_found(f"order not found for {name}")
    return reply(body)


async def get_order(request: Request) -> Response:
    return _shown(request, request.path_params["order_id"], Desk.find)


async def get_order_by_client_id(request: Request) -> Response:
    return _shown(request, request.query_params.get("client_order_id", ""), Desk.find_by_client_id)


async def patch_order(request: Request) -> Response:
    exchange, changes = exchange_of(request), await json_of(request)
    if not isinstance(changes, dict):
        raise Refusal(400, 40010000, "request body format is invalid")
    with exchange.step():
        order = exchange.desk.find(request.path_params["order_id"])
        body, _ = exchange.desk.replace(order, changes, exchange.now_us, exchange.margins, fate_of(request))
    return reply(body)


async def delete_order(request: Request) -> Response:
    exchange = exchange_of(request)
    with exchange.step():
        exchange.desk.cancel(exchange.desk.find(request.path_params["order_id"]), exchange.now_us, fate_of(request))
    return Response(status_code=204)


async def delete_orders(request: Request) -> Response:
    exchange = exchange_of(request)
    with exchange.step():
        rows = exchange.desk.cancel_all(exchange.now_us)
    return reply(rows, 207)
