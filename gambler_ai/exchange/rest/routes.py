"""The table of routes, and the answer to what is on none of them."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ExceptionHandler

from gambler_ai.exchange.refusal import Refusal
from gambler_ai.exchange.rest import (
    account,
    calendar,
    control,
    market_data,
    option_data,
    options,
    orders,
    positions,
    reference,
    watchlists,
)
from gambler_ai.exchange.rest.handling import Handler, reply

CONTROL_PREFIX = "/_exchange/"


async def _refused(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, Refusal)
    return reply(error.body(), error.status)


async def _no_route(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return reply({"code": 40510000, "message": "method not allowed"}, 405)
    return reply({"code": 40410000, "message": "endpoint not found"}, 404)


EXCEPTION_HANDLERS: dict[Any, ExceptionHandler] = {Refusal: _refused, HTTPException: _no_route}

_TABLE: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/v2/account", account.get_account),
    ("GET", "/v2/account/configurations", account.get_configurations),
    ("PATCH", "/v2/account/configurations", account.patch_configurations),
    ("GET", "/v2/account/portfolio/history", account.get_portfolio_history),
    ("GET", "/v2/account/activities", account.get_activities),
    ("GET", "/v2/account/activities/{type}", account.get_activities),
    ("POST", "/v2/orders", orders.post_order),
    ("GET", "/v2/orders", orders.get_orders),
    ("DELETE", "/v2/orders", orders.delete_orders),
    ("GET", "/v2/orders:by_client_order_id", orders.get_order_by_client_id),
    ("GET", "/v2/orders/{order_id}", orders.get_order),
    ("PATCH", "/v2/orders/{order_id}", orders.patch_order),
    ("DELETE", "/v2/orders/{order_id}", orders.delete_order),
    ("GET", "/v2/positions", positions.get_positions),
    ("DELETE", "/v2/positions", positions.delete_positions),
    ("GET", "/v2/positions/{symbol}", positions.get_position),
    ("DELETE", "/v2/positions/{symbol}", positions.delete_position),
    ("POST", "/v2/positions/{symbol}/exercise", options.post_exercise),
    ("POST", "/v2/positions/{symbol}/do-not-exercise", options.post_do_not_exercise),
    ("GET", "/v2/options/contracts", options.get_contracts),
    ("GET", "/v2/options/contracts/{symbol_or_id}", options.get_contract),
    ("GET", "/v1beta1/options/bars", option_data.get_bars),
    ("GET", "/v1beta1/options/trades", option_data.get_trades),
    ("GET", "/v1beta1/options/trades/latest", option_data.get_latest_trades),
    ("GET", "/v1beta1/options/quotes/latest", option_data.get_latest_quotes),
    ("GET", "/v1beta1/options/snapshots", option_data.get_snapshots),
    ("GET", "/v1beta1/options/snapshots/{underlying_symbol}", option_data.get_chain),
    ("GET", "/v1beta1/options/meta/conditions/{ticktype}", option_data.get_conditions),
    ("GET", "/v1beta1/options/meta/exchanges", option_data.get_exchanges),
    ("GET", "/v2/watchlists", watchlists.get_watchlists),
    ("POST", "/v2/watchlists", watchlists.post_watchlist),
    ("GET", "/v2/watchlists:by_name", watchlists.get_watchlist),
    ("PUT", "/v2/watchlists:by_name", watchlists.put_watchlist),
    ("POST", "/v2/watchlists:by_name", watchlists.post_watchlist_asset),
    ("DELETE", "/v2/watchlists:by_name", watchlists.delete_watchlist),
    ("GET", "/v2/watchlists/{watchlist_id}", watchlists.get_watchlist),
    ("PUT", "/v2/watchlists/{watchlist_id}", watchlists.put_watchlist),
    ("POST", "/v2/watchlists/{watchlist_id}", watchlists.post_watchlist_asset),
    ("DELETE", "/v2/watchlists/{watchlist_id}", watchlists.delete_watchlist),
    ("DELETE", "/v2/watchlists/{watchlist_id}/{symbol}", watchlists.delete_watchlist_asset),
    ("GET", "/v2/clock", calendar.get_clock),
    ("GET", "/v2/calendar", calendar.get_calendar),
    ("GET", "/v3/clock", calendar.get_market_clock),
    ("GET", "/v3/calendar/{market}", calendar.get_market_calendar),
    ("GET", "/v2/assets", reference.get_assets),
    ("GET", "/v2/assets/{symbol}", reference.get_asset),
    ("GET", "/v2/corporate_actions/announcements", reference.get_announcements),
    ("GET", "/v2/corporate_actions/announcements/{id}", reference.get_announcement),
    ("GET", "/v2/stocks/bars", market_data.get_bars),
    ("GET", "/v2/stocks/trades", market_data.get_trades),
    ("GET", "/v2/stocks/quotes", market_data.get_quotes),
    ("GET", "/v2/stocks/auctions", market_data.get_auctions),
    ("GET", "/v2/stocks/snapshots", market_data.get_snapshots),
    ("GET", "/v2/stocks/meta/exchanges", market_data.get_exchanges),
    ("GET", "/v2/stocks/meta/conditions/{ticktype}", market_data.get_conditions),
    ("GET", "/v2/stocks/{kind}/latest", market_data.get_latest),
    ("GET", "/v2/stocks/{symbol}/bars", market_data.get_bars),
    ("GET", "/v2/stocks/{symbol}/trades", market_data.get_trades),
    ("GET", "/v2/stocks/{symbol}/quotes", market_data.get_quotes),
    ("GET", "/v2/stocks/{symbol}/auctions", market_data.get_auctions),
    ("GET", "/v2/stocks/{symbol}/snapshot", market_data.get_snapshots),
    ("GET", "/v2/stocks/{symbol}/{kind}/latest", market_data.get_latest),
    ("GET", CONTROL_PREFIX + "clock", control.get_control_clock),
    ("GET", CONTROL_PREFIX + "status", control.get_status),
    ("GET", CONTROL_PREFIX + "orders", control.get_owners_orders),
    ("GET", CONTROL_PREFIX + "log", control.get_log),
    ("GET", CONTROL_PREFIX + "deeds", control.get_deeds),
    ("GET", CONTROL_PREFIX + "faults", control.get_faults),
    ("GET", CONTROL_PREFIX + "requests", control.get_requests),
    ("POST", CONTROL_PREFIX + "advance", control.post_advance),
    ("POST", CONTROL_PREFIX + "reset", control.post_reset),
    ("POST", CONTROL_PREFIX + "faults", control.post_faults),
)
ROUTES = [Route(path, handler, methods=[method]) for method, path, handler in _TABLE]
