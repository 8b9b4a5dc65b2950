"""What is not Alpaca's: the market clock, faults, and what the exchange has seen."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gambler_ai.errors import ConfigError
from gambler_ai.exchange.instants import from_us, parse_rfc3339, rfc3339
from gambler_ai.exchange.refusal import Refusal
from gambler_ai.exchange.rest.handling import exchange_of, json_of, reply


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
