"""Positions, and how they are closed (BEHAVIOUR 4)."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from gambler_ai.exchange.desk.desk import refusal_row
from gambler_ai.exchange.desk.option_tickets import symbol_of
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.options.contracts import is_option
from gambler_ai.exchange.refusal import Refusal, not_found
from gambler_ai.exchange.rest.handling import exchange_of, fault_of, reply
from gambler_ai.exchange.rest.params import truth
from gambler_ai.exchange.rest.queries import (
    list_positions,
    positions_seen,
)
from gambler_ai.exchange.wire.views import position_entity


def _late(request: Request) -> float | None:
    fault = fault_of(request, "position_late")
    return fault.seconds if fault else None


async def get_positions(request: Request) -> Response:
    exchange = exchange_of(request)
    with exchange.step():
        body = list_positions(exchange, _late(request))
    return reply(body)


def _symbol(request: Request) -> str:
    name: str = request.path_params["symbol"]
    asset, contract = exchange_of(request).market.find_asset(name), symbol_of(name)
    if asset is None and not contract:
        raise not_found(f"symbol not found: {name}")
    return asset.symbol if asset is not None else contract


async def get_position(request: Request) -> Response:
    exchange, symbol = exchange_of(request), _symbol(request)
    with exchange.step():
        position = positions_seen(exchange, _late(request)).get(symbol)
        if position is None:
            raise not_found("position does not exist")
        body = position_entity(exchange, position)
    return reply(body)


async def delete_position(request: Request) -> Response:
    """Close it with a market order; open exits are not canceled for it and may hold its shares (BEHAVIOUR
    4).
    """
    exchange, symbol, params = exchange_of(request), _symbol(request), request.query_params
    with exchange.step():
        payload = exchange.desk.close_payload(symbol, params.get("qty"), params.get("percentage"))
        entity, _ = exchange.submit(payload)
    return reply(entity)


def _closing_turn(exchange: Exchange, symbol: str) -> tuple[int, str]:
    """Short contracts first, then long ones, then shares: what covers something goes after it."""
    short = exchange.book.position_qty(symbol) < 0
    return (0 if short else 1) if is_option(symbol) else 2, symbol


async def delete_positions(request: Request) -> Response:
    exchange, rows = exchange_of(request), []
    with exchange.step():
        if truth(request.query_params.get("cancel_orders")):
            exchange.desk.cancel_all(exchange.now_us)
        for symbol in sorted(exchange.book.positions, key=partial(_closing_turn, exchange)):
            try:
                entity, _ = exchange.submit(exchange.desk.close_payload(symbol, None, None))
                rows.append({"symbol": symbol, "status": 200, "body": entity})
            except Refusal as refusal:
                rows.append(refusal_row(symbol, refusal))
    return reply(rows, 207)
