"""Bars, trades, quotes and snapshots of contracts (BEHAVIOUR 6). What is listed and not asked for costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.instants import parse_rfc3339
from gambler_ai.exchange.options.bars import Span, bars_between, trades_between
from gambler_ai.exchange.options.chain import select
from gambler_ai.exchange.options.contracts import Contract, parse_symbol
from gambler_ai.exchange.options.pricing import need_library
from gambler_ai.exchange.rest.asked import parse_timeframe
from gambler_ai.exchange.rest.handling import exchange_of, reply
from gambler_ai.exchange.rest.option_queries import (
    SNAPSHOTS_LIMIT,
    SNAPSHOTS_MOST,
    Points,
    bad_data,
    check_feed,
    contract_symbols,
    contract_token,
    instant_of,
    make_token,
    points_of,
    wanted_of,
)
from gambler_ai.exchange.rest.paging import limit_of
from gambler_ai.exchange.wire.market_data import bar_entity
from gambler_ai.exchange.wire.options import (
    CONDITIONS,
    EXCHANGES,
    option_quote_entity,
    option_snapshot_entity,
    option_trade_entity,
)


class _Point(NamedTuple):
    at_us: int
    entity: dict[str, Any]


def _listed(exchange: Exchange, symbol: str) -> Contract | None:
    """Unknown contracts simply have no data."""
    contract = parse_symbol(symbol)
    known = contract is not None and exchange.options.listing.is_listed(contract, exchange.now_us)
    return contract if known else None


def _page(
    exchange: Exchange, points: Points, series: Callable[[Contract, Span], Iterator[_Point]]
) -> tuple[dict[str, list[dict[str, Any]]], str | None]:
    """By symbol and then time; the limit counts all symbols together."""
    found: dict[str, list[dict[str, Any]]] = {}
    count, last = 0, ("", 0)
    for symbol in points.symbols:
        contract, span = _listed(exchange, symbol), points.span
        if contract is None or (points.after is not None and symbol < points.after[0]):
            continue
        if points.after is not None and symbol == points.after[0]:
            at_us = points.after[1]
            span = span._replace(end_us=at_us - 1) if span.newest_first else span._replace(start_us=at_us + 1)
        for point in series(contract, span):
            if count == points.limit:
                return found, make_token(f"{last[0]}|{last[1]}")
            found.setdefault(symbol, []).append(point.entity)
            count, last = count + 1, (symbol, point.at_us)
    return found, None


async def get_bars(request: Request) -> Response:
    exchange = exchange_of(request)
    size, unit = parse_timeframe(request.query_params.get("timeframe"))
    need_library()

    def series(contract: Contract, span: Span) -> Iterator[_Point]:
        for bar in bars_between(exchange.options, contract, size, unit, span):
            yield _Point(bar.start_us, bar_entity(bar))

    with exchange.step():
        found, token = _page(exchange, points_of(request.query_params, exchange.now_us), series)
    return reply({"bars": found, "next_page_token": token})


async def get_trades(request: Request) -> Response:
    exchange = exchange_of(request)
    need_library()

    def series(contract: Contract, span: Span) -> Iterator[_Point]:
        for trade in trades_between(exchange.options, contract, span):
            yield _Point(trade.at_us, option_trade_entity(trade))

    with exchange.step():
        found, token = _page(exchange, points_of(request.query_params, exchange.now_us), series)
    return reply({"trades": found, "next_page_token": token})


async def get_latest_trades(request: Request) -> Response:
    exchange, symbols = exchange_of(request), contract_symbols(request.query_params)
    check_feed(request.query_params)
    need_library()
    found = {}
    with exchange.step():
        for symbol in symbols:
            contract = _listed(exchange, symbol)
            trade = exchange.options.last_trade(contract, exchange.now_us) if contract is not None else None
            if trade is not None:
                found[symbol] = option_trade_entity(trade)
    return reply({"trades": found})


async def get_latest_quotes(request: Request) -> Response:
    exchange, symbols = exchange_of(request), contract_symbols(request.query_params)
    check_feed(request.query_params)
    need_library()
    with exchange.step():
        ticks = {symbol: exchange.options.tick(symbol, exchange.now_us) for symbol in symbols}
    return reply({"quotes": {symbol: option_quote_entity(tick) for symbol, tick in ticks.items() if tick is not None}})


async def get_snapshots(request: Request) -> Response:
    exchange, symbols = exchange_of(request), contract_symbols(request.query_params)
    with exchange.step():
        contracts = (_listed(exchange, symbol) for symbol in symbols)
        after = contract_token(request.query_params)
        wanted = (c for c in contracts if c is not None and (after is None or c.symbol > after.symbol))
        body = _snapshots(exchange, request, wanted)
    return reply(body)


async def get_chain(request: Request) -> Response:
    exchange, underlying = exchange_of(request), request.path_params["underlying_symbol"].upper()
    with exchange.step():
        wanted = wanted_of(request.query_params, [underlying], exchange.market.assets, bad_data)
        after = contract_token(request.query_params)
        body = _snapshots(exchange, request, select(exchange.options, wanted, exchange.now_us, after))
    return reply(body)


def _snapshots(exchange: Exchange, request: Request, contracts: Iterator[Contract]) -> dict[str, Any]:
    params = request.query_params
    check_feed(params)
    need_library()
    limit = limit_of(params, SNAPSHOTS_LIMIT, SNAPSHOTS_MOST, bad_data)
    since_us = instant_of(params, "updated_since", 0)
    found: dict[str, Any] = {}
    token = None
    for contract in contracts:
        entity = option_snapshot_entity(contract, exchange.options, exchange.now_us)
        if entity is None or _updated_us(entity) < since_us:
            continue
        if len(found) == limit:
            token = make_token(next(reversed(found)))
            break
        found[contract.symbol] = entity
    return {"snapshots": found, "next_page_token": token}


def _updated_us(entity: dict[str, Any]) -> int:
    return max(parse_rfc3339(entity[part]["t"]) for part in ("latestQuote", "latestTrade") if part in entity)


async def get_conditions(request: Request) -> Response:
    kind = request.path_params["ticktype"]
    if kind not in CONDITIONS:
        raise bad_data(f"invalid ticktype: {kind}")
    return reply(CONDITIONS[kind])


async def get_exchanges(request: Request) -> Response:
    del request
    return reply(EXCHANGES)
