"""The routes. A handler takes a request apart, does one step of the exchange and puts an answer together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ExceptionHandler

from gambler_ai.errors import ConfigError
from gambler_ai.exchange import bars
from gambler_ai.exchange.assets import ASSETS, find_asset
from gambler_ai.exchange.desk import Fate, refusal_row
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.faults import Fault
from gambler_ai.exchange.instants import SECOND, from_us, parse_rfc3339, rfc3339
from gambler_ai.exchange.queries import (
    CLEAR,
    Sight,
    list_activities,
    list_orders,
    list_positions,
    positions_seen,
    truth,
)
from gambler_ai.exchange.refusal import Refusal, bad_parameter, not_found
from gambler_ai.exchange.sessions import CALENDAR_FIRST, CALENDAR_LAST
from gambler_ai.exchange.views import account_entity, clock_entity, position_entity
from gambler_ai.exchange.wire import CONFIGURATIONS, asset_entity, calendar_entity

CONTROL_PREFIX = "/_exchange/"
Handler = Callable[[Request], Awaitable[Response]]
_JSON = "application/json; charset=UTF-8"


def _reply(body: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type=_JSON)


def _exchange(request: Request) -> Exchange:
    exchange: Exchange = request.app.state.exchange
    return exchange


def _fault(request: Request, kind: str) -> Fault | None:
    """The fault that was planned for this request, if it is of this kind."""
    fault: Fault | None = request.scope.get("gambler.fault")
    return fault if fault is not None and fault.kind == kind else None


def _fate(request: Request) -> Fate:
    """What the fault of this request, if it has one, has in mind for a command."""
    fault: Fault | None = request.scope.get("gambler.fault")
    return Fate(fault.kind, fault.seconds) if fault is not None else Fate()


def _sight(request: Request) -> Sight:
    """What the fault of this request, if it has one, leaves to be seen of the orders."""
    now_us = _exchange(request).deeds.plan_now_us()
    missing, late = _fault(request, "not_found_for"), _fault(request, "orders_late")
    fault = missing or late
    if fault is None:
        return CLEAR
    age_us = now_us + 1 if fault.seconds_or_none is None else round(fault.seconds * SECOND)
    return Sight(now_us - age_us, hides=missing is not None)


def _data_now_us(request: Request) -> int:
    """The instant whose market data are shown."""
    stale = _fault(request, "stale")
    return _exchange(request).now_us - (round(stale.seconds * SECOND) if stale else 0)


async def _json(request: Request) -> Any:
    try:
        return msgspec.json.decode(await request.body())
    except msgspec.DecodeError:
        raise Refusal(400, 40010000, "request body format is invalid") from None


# account, clock, calendar, assets


async def get_account(request: Request) -> Response:
    exchange = _exchange(request)
    with exchange.step():
        body = account_entity(exchange)
    return _reply(body)


async def get_configurations(request: Request) -> Response:
    del request
    return _reply(CONFIGURATIONS)


async def get_clock(request: Request) -> Response:
    exchange = _exchange(request)
    with exchange.step():
        body = clock_entity(exchange)
    return _reply(body)


async def get_calendar(request: Request) -> Response:
    """Without bounds it is the days that have prices: the whole real calendar costs a second to open."""
    sessions = _exchange(request).market.sessions
    try:
        first = date.fromisoformat((request.query_params.get("start") or str(sessions.days[0]))[:10])
        last = date.fromisoformat((request.query_params.get("end") or str(sessions.days[-1]))[:10])
    except ValueError:
        raise bad_parameter("invalid date") from None
    first, last = max(first, CALENDAR_FIRST), min(last, CALENDAR_LAST)
    room = sessions.days[-1] - last  # as many days more as are free: then no day's settlement needs more
    days = sessions.between(first, last + min(max(room, timedelta(0)), timedelta(days=7)))
    if days and days[-1].day <= last:
        days = sessions.between(first, last + timedelta(days=7))
    pairs = zip(days, [*days[1:], *days[-1:]], strict=True)
    return _reply([calendar_entity(day, settles) for day, settles in pairs if day.day <= last])


async def get_assets(request: Request) -> Response:
    params = request.query_params
    if params.get("status") == "inactive" or params.get("asset_class", "us_equity") not in ("", "us_equity"):
        return _reply([])
    venue = params.get("exchange")
    return _reply([asset_entity(asset) for asset in ASSETS.values() if not venue or asset.exchange == venue])


async def get_asset(request: Request) -> Response:
    name = request.path_params["symbol"]
    asset = find_asset(name)
    if asset is None:
        raise not_found(f"asset not found for {name}")
    return _reply(asset_entity(asset))


# orders


async def post_order(request: Request) -> Response:
    exchange, payload = _exchange(request), await _json(request)
    with exchange.step():
        entity, _ = exchange.submit(payload, _fate(request))
    return _reply(entity)


async def get_orders(request: Request) -> Response:
    exchange = _exchange(request)
    with exchange.step():
        body = list_orders(exchange, request.query_params, _sight(request))
    return _reply(body)


async def get_order(request: Request) -> Response:
    exchange, order_id = _exchange(request), request.path_params["order_id"]
    with exchange.step():
        body = _sight(request).entity(exchange, exchange.desk.find(order_id))
    if body is None:
        raise not_found(f"order not found for {order_id}")
    return _reply(body)


async def get_order_by_client_id(request: Request) -> Response:
    exchange, client_id = _exchange(request), request.query_params.get("client_order_id", "")
    with exchange.step():
        body = _sight(request).entity(exchange, exchange.desk.find_by_client_id(client_id))
    if body is None:
        raise not_found(f"order not found for {client_id}")
    return _reply(body)


async def patch_order(request: Request) -> Response:
    exchange, changes = _exchange(request), await _json(request)
    if not isinstance(changes, dict):
        raise Refusal(400, 40010000, "request body format is invalid")
    with exchange.step():
        order = exchange.desk.find(request.path_params["order_id"])
        body, _ = exchange.desk.replace(order, changes, exchange.now_us, exchange.margins, _fate(request))
    return _reply(body)


async def delete_order(request: Request) -> Response:
    exchange = _exchange(request)
    with exchange.step():
        exchange.desk.cancel(exchange.desk.find(request.path_params["order_id"]), exchange.now_us, _fate(request))
    return Response(status_code=204)


async def delete_orders(request: Request) -> Response:
    exchange = _exchange(request)
    with exchange.step():
        rows = exchange.desk.cancel_all(exchange.now_us)
    return _reply(rows, 207)


# positions


def _late(request: Request) -> float | None:
    fault = _fault(request, "position_late")
    return fault.seconds if fault else None


async def get_positions(request: Request) -> Response:
    exchange = _exchange(request)
    with exchange.step():
        body = list_positions(exchange, _late(request))
    return _reply(body)


def _symbol(request: Request) -> str:
    name: str = request.path_params["symbol"]
    asset = find_asset(name)
    if asset is None:
        raise not_found(f"symbol not found: {name}")
    return asset.symbol


async def get_position(request: Request) -> Response:
    exchange, symbol = _exchange(request), _symbol(request)
    with exchange.step():
        position = positions_seen(exchange, _late(request)).get(symbol)
        if position is None:
            raise not_found("position does not exist")
        body = position_entity(exchange, position)
    return _reply(body)


async def delete_position(request: Request) -> Response:
    """Close it with a market order; open exits are not canceled for it and may hold its shares (BEHAVIOUR
    4).
    """
    exchange, symbol, params = _exchange(request), _symbol(request), request.query_params
    with exchange.step():
        payload = exchange.desk.close_payload(symbol, params.get("qty"), params.get("percentage"))
        entity, _ = exchange.submit(payload)
    return _reply(entity)


async def delete_positions(request: Request) -> Response:
    exchange, rows = _exchange(request), []
    with exchange.step():
        if truth(request.query_params.get("cancel_orders")):
            exchange.desk.cancel_all(exchange.now_us)
        for symbol in sorted(exchange.book.positions):
            try:
                entity, _ = exchange.submit(exchange.desk.close_payload(symbol, None, None))
                rows.append({"symbol": symbol, "status": 200, "body": entity})
            except Refusal as refusal:
                rows.append(refusal_row(symbol, refusal))
    return _reply(rows, 207)


async def get_activities(request: Request) -> Response:
    exchange = _exchange(request)
    with exchange.step():
        body = list_activities(exchange, request.query_params, request.path_params.get("type"))
    return _reply(body)


# market data


async def get_bars(request: Request) -> Response:
    exchange, params = _exchange(request), request.query_params
    single = request.path_params.get("symbol")
    with exchange.step():
        symbols = bars.parse_symbols(single or params.get("symbols"))
        now_us = _data_now_us(request)
        query = bars.parse_query(params, symbols, now_us)
        found, token = bars.bars_page(exchange.market, query, now_us)
    if single:
        return _reply({"bars": found.get(symbols[0], []), "symbol": symbols[0], "next_page_token": token})
    return _reply({"bars": found, "next_page_token": token})


async def get_latest(request: Request) -> Response:
    exchange, kind = _exchange(request), request.path_params["kind"]
    if kind not in ("bars", "quotes", "trades"):
        raise not_found("endpoint not found")
    single = request.path_params.get("symbol")
    with exchange.step():
        symbols = bars.parse_symbols(single or request.query_params.get("symbols"))
        now_us = _data_now_us(request)
        found = {symbol: bars.latest(exchange.market, kind, symbol, now_us) for symbol in symbols}
    if single:
        if found[symbols[0]] is None:
            raise Refusal(404, 40410000, f"no {kind[:-1]} found for {symbols[0]}")
        return _reply({"symbol": symbols[0], kind[:-1]: found[symbols[0]]})
    return _reply({kind: {symbol: row for symbol, row in found.items() if row is not None}})


# control


async def get_control_clock(request: Request) -> Response:
    exchange = _exchange(request)
    with exchange.step():
        body = {
            "now": rfc3339(exchange.now_us),
            "speed": exchange.speed,
            "symbols": exchange.market.labels(),
            "last_day": exchange.market.last_day,
            "closed_for_good": exchange.market.sessions.closed_for_good(exchange.now_us),
            "account_id": exchange.account_id,
        }
    return _reply(body)


async def post_advance(request: Request) -> Response:
    exchange, body = _exchange(request), await _json(request)
    try:
        target = from_us(parse_rfc3339(str(body["to"])))
    except (TypeError, KeyError, ValueError, OverflowError):
        raise Refusal(400, 40010000, 'expected {"to": an RFC3339 instant}') from None
    try:
        exchange.advance(target)
    except ConfigError as error:
        return _reply({"code": 40910000, "message": error.message}, 409)
    return _reply({"now": rfc3339(exchange.now_us)})


async def post_faults(request: Request) -> Response:
    rows = await _json(request)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Refusal(400, 40010000, "expected a list of faults")
    try:
        return _reply({"faults": request.app.state.faults.replace(rows)})
    except (ConfigError, TypeError, ValueError) as error:
        raise Refusal(400, 40010000, str(error)) from None


async def get_faults(request: Request) -> Response:
    return _reply(request.app.state.faults.acted())


async def get_deeds(request: Request) -> Response:
    return _reply(_exchange(request).deeds.log())


async def get_log(request: Request) -> Response:
    return _reply(_exchange(request).log())


async def get_requests(request: Request) -> Response:
    """When which request arrived, by the machine's monotonic clock: how long a program took to begin."""
    kept = request.app.state.requests
    return _reply([{"monotonic_s": at_s, "method": method, "path": path} for at_s, method, path in kept])


# what goes wrong


async def _refused(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, Refusal)
    return _reply(error.body(), error.status)


async def _no_route(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return _reply({"code": 40510000, "message": "method not allowed"}, 405)
    return _reply({"code": 40410000, "message": "endpoint not found"}, 404)


EXCEPTION_HANDLERS: dict[Any, ExceptionHandler] = {Refusal: _refused, HTTPException: _no_route}

_TABLE: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/v2/account", get_account),
    ("GET", "/v2/account/configurations", get_configurations),
    ("GET", "/v2/account/activities", get_activities),
    ("GET", "/v2/account/activities/{type}", get_activities),
    ("POST", "/v2/orders", post_order),
    ("GET", "/v2/orders", get_orders),
    ("DELETE", "/v2/orders", delete_orders),
    ("GET", "/v2/orders:by_client_order_id", get_order_by_client_id),
    ("GET", "/v2/orders/{order_id}", get_order),
    ("PATCH", "/v2/orders/{order_id}", patch_order),
    ("DELETE", "/v2/orders/{order_id}", delete_order),
    ("GET", "/v2/positions", get_positions),
    ("DELETE", "/v2/positions", delete_positions),
    ("GET", "/v2/positions/{symbol}", get_position),
    ("DELETE", "/v2/positions/{symbol}", delete_position),
    ("GET", "/v2/clock", get_clock),
    ("GET", "/v2/calendar", get_calendar),
    ("GET", "/v2/assets", get_assets),
    ("GET", "/v2/assets/{symbol}", get_asset),
    ("GET", "/v2/stocks/bars", get_bars),
    ("GET", "/v2/stocks/{kind}/latest", get_latest),
    ("GET", "/v2/stocks/{symbol}/bars", get_bars),
    ("GET", "/v2/stocks/{symbol}/{kind}/latest", get_latest),
    ("GET", CONTROL_PREFIX + "clock", get_control_clock),
    ("GET", CONTROL_PREFIX + "log", get_log),
    ("GET", CONTROL_PREFIX + "deeds", get_deeds),
    ("GET", CONTROL_PREFIX + "faults", get_faults),
    ("GET", CONTROL_PREFIX + "requests", get_requests),
    ("POST", CONTROL_PREFIX + "advance", post_advance),
    ("POST", CONTROL_PREFIX + "faults", post_faults),
)
ROUTES = [Route(path, handler, methods=[method]) for method, path, handler in _TABLE]
