"""Watchlists, by id and by name (BEHAVIOUR 5)."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from gambler_ai.exchange.annals import Watchlist
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.rest.handling import exchange_of, json_of, reply
from gambler_ai.exchange.watchlists import Watchlists
from gambler_ai.exchange.wire.views import watchlist_entity


def _lists(exchange: Exchange) -> Watchlists:
    return Watchlists(exchange.annals, exchange.account_id, exchange.market.find_asset)


def _asked(request: Request, lists: Watchlists) -> Watchlist:
    """The list that the path or the query names. Raises Refusal."""
    watchlist_id = request.path_params.get("watchlist_id")
    return lists.find(watchlist_id) if watchlist_id else lists.named(request.query_params.get("name"))


async def get_watchlists(request: Request) -> Response:
    """All of them, without their assets."""
    exchange = exchange_of(request)
    with exchange.step():
        rows = [watchlist_entity(exchange, row, assets=False) for row in _lists(exchange).all()]
    return reply(rows)


async def post_watchlist(request: Request) -> Response:
    exchange, body = exchange_of(request), await json_of(request)
    with exchange.step():
        row = _lists(exchange).create(body, exchange.now_us)
        entity = watchlist_entity(exchange, row)
    return reply(entity)


async def get_watchlist(request: Request) -> Response:
    exchange = exchange_of(request)
    with exchange.step():
        entity = watchlist_entity(exchange, _asked(request, _lists(exchange)))
    return reply(entity)


def _changed(request: Request, change: Callable[[Watchlists, Watchlist, int], None]) -> Response:
    """The list that is asked for, after ``change``; it is told the market's instant."""
    exchange = exchange_of(request)
    with exchange.step():
        lists = _lists(exchange)
        row = _asked(request, lists)
        change(lists, row, exchange.now_us)
        entity = watchlist_entity(exchange, row)
    return reply(entity)


async def put_watchlist(request: Request) -> Response:
    body = await json_of(request)
    return _changed(request, lambda lists, row, us: lists.update(row, body, us))


async def post_watchlist_asset(request: Request) -> Response:
    body = await json_of(request)
    return _changed(request, lambda lists, row, us: lists.add(row, body, us))


async def delete_watchlist_asset(request: Request) -> Response:
    return _changed(request, lambda lists, row, us: lists.remove(row, request.path_params["symbol"], us))


async def delete_watchlist(request: Request) -> Response:
    exchange = exchange_of(request)
    with exchange.step():
        lists = _lists(exchange)
        lists.delete(_asked(request, lists), exchange.now_us)
    return Response(status_code=204)
