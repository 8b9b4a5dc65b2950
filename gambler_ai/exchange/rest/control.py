"""What is not Alpaca's: the market clock, faults, and what the exchange has seen."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gambler_ai.errors import ConfigError
from gambler_ai.exchange.faults.deeds import cash_of
from gambler_ai.exchange.faults.kinds import ACCOUNT_RESET
from gambler_ai.exchange.instants import from_us, parse_rfc3339, rfc3339
from gambler_ai.exchange.numbers import money, plain
from gambler_ai.exchange.refusal import Refusal
from gambler_ai.exchange.rest.handling import exchange_of, json_of, reply
from gambler_ai.exchange.wire.entities import order_entity
from gambler_ai.exchange.wire.views import account_entity, clock_entity, position_entity


async def get_control_clock(request: Request) -> Response:
    exchange = exchange_of(request)
    with exchange.step():
        body = {
            "now": rfc3339(exchange.now_us),
            "speed": exchange.speed,
            "symbols": exchange.market.labels(),
            "last_day": exchange.market.last_day,
            "closed_for_good": exchange.market.sessions.closed_for_good(exchange.now_us),
            "account_id": exchange.account_id,
        }
    return reply(body)


async def get_status(request: Request) -> Response:
    exchange = exchange_of(request)
    with exchange.step():
        body = _status(request)
    return reply(body)


async def get_owners_orders(request: Request) -> Response:
    """Every order there is, legs too, oldest first; only the open ones for ``status=open``."""
    exchange, only_open = exchange_of(request), request.query_params.get("status") == "open"
    with exchange.step():
        found = exchange.book.open_orders() if only_open else exchange.book.orders.values()
        body = [order_entity(order) for order in sorted(found, key=lambda order: order.seq)]
    return reply(body)


async def post_reset(request: Request) -> Response:
    """A new account with ``cash``, or as much as the last one began with."""
    exchange, body = exchange_of(request), await json_of(request)
    row = {"cash": body["cash"]} if isinstance(body, dict) and body.get("cash") is not None else {}
    try:
        cash_of(row, exchange.initial_cash)
    except (ConfigError, ValueError, TypeError) as error:
        raise Refusal(400, 40010000, str(error)) from None
    exchange.deeds.do(ACCOUNT_RESET, row)
    with exchange.step():
        return reply(_status(request))


def _status(request: Request) -> dict[str, Any]:
    """Inside a step."""
    exchange = exchange_of(request)
    found, book = exchange.margins(), exchange.book
    hours = clock_entity(exchange)
    return {
        "now": rfc3339(exchange.now_us),
        "is_open": exchange.is_open,
        "next_open": hours["next_open"],
        "next_close": hours["next_close"],
        "speed": exchange.speed,
        "seed": exchange.seed,
        "file": str(exchange.path) if exchange.path else None,
        "account_id": exchange.account_id,
        "account_number": exchange.account_number,
        "created_at": rfc3339(exchange.created_us),
        "begun_with": plain(exchange.deeds.begun_with),
        "cash": money(book.account.cash),
        "equity": money(found.equity),
        "buying_power": account_entity(exchange)["buying_power"],
        "positions": [position_entity(exchange, book.positions[symbol]) for symbol in sorted(book.positions)],
        "orders_open": sum(1 for _ in book.open_orders()),
        "orders": len(book.orders),
        "fills": len(book.fills),
        "posts": exchange.posts,
        "faults": sum(row["acted"] for row in request.app.state.faults.acted()),
    }


async def post_advance(request: Request) -> Response:
    exchange, body = exchange_of(request), await json_of(request)
    try:
        target = from_us(parse_rfc3339(str(body["to"])))
    except (TypeError, KeyError, ValueError, OverflowError):
        raise Refusal(400, 40010000, 'expected {"to": an RFC3339 instant}') from None
    try:
        exchange.advance(target)
    except ConfigError as error:
        return reply({"code": 40910000, "message": error.message}, 409)
    return reply({"now": rfc3339(exchange.now_us)})


async def post_faults(request: Request) -> Response:
    rows = await json_of(request)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Refusal(400, 40010000, "expected a list of faults")
    try:
        return reply({"faults": request.app.state.faults.replace(rows)})
    except (ConfigError, TypeError, ValueError) as error:
        raise Refusal(400, 40010000, str(error)) from None


async def get_faults(request: Request) -> Response:
    return reply(request.app.state.faults.acted())


async def get_deeds(request: Request) -> Response:
    return reply(exchange_of(request).deeds.log())


async def get_log(request: Request) -> Response:
    return reply(exchange_of(request).log())


async def get_requests(request: Request) -> Response:
    """When which request arrived, by the machine's monotonic clock: how long a program took to begin."""
    kept = request.app.state.requests
    return reply([{"monotonic_s": at_s, "method": method, "path": path} for at_s, method, path in kept])
