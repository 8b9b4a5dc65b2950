"""Clock, calendar and assets (BEHAVIOUR 2)."""

from __future__ import annotations

from datetime import date, timedelta

from starlette.requests import Request
from starlette.responses import Response

from gambler_ai.exchange.prices.sessions import CALENDAR_FIRST, CALENDAR_LAST
from gambler_ai.exchange.refusal import bad_parameter, not_found
from gambler_ai.exchange.rest.handling import exchange_of, reply
from gambler_ai.exchange.wire.entities import asset_entity, calendar_entity
from gambler_ai.exchange.wire.views import clock_entity


async def get_clock(request: Request) -> Response:
    exchange = exchange_of(request)
    with exchange.step():
        body = clock_entity(exchange)
    return reply(body)


async def get_calendar(request: Request) -> Response:
    """Without bounds it is the days that have prices: the whole real calendar costs a second to open."""
    sessions = exchange_of(request).market.sessions
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
    return reply([calendar_entity(day, settles) for day, settles in pairs if day.day <= last])


async def get_assets(request: Request) -> Response:
    params = request.query_params
    if params.get("status") == "inactive" or params.get("asset_class", "us_equity") not in ("", "us_equity"):
        return reply([])
    venue = params.get("exchange")
    assets = exchange_of(request).market.assets.values()
    return reply([asset_entity(asset) for asset in assets if not venue or asset.exchange == venue])


async def get_asset(request: Request) -> Response:
    name = request.path_params["symbol"]
    asset = exchange_of(request).market.find_asset(name)
    if asset is None:
        raise not_found(f"asset not found for {name}")
    return reply(asset_entity(asset))
