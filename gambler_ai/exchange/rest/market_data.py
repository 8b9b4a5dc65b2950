"""Bars, quotes and trades of stocks (BEHAVIOUR 6).

Not built, because nothing here would give them: the screener (``/v1beta1/screener``), news, logos, corporate action
announcements, forex rates, crypto and fixed income. Their paths answer 404 as every unknown one does.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gambler_ai.exchange.instants import SECOND
from gambler_ai.exchange.refusal import not_found
from gambler_ai.exchange.rest import asked, latest, prints
from gambler_ai.exchange.rest.asked import Asked, DataRefusal
from gambler_ai.exchange.rest.bars import Timeframe, bars_page
from gambler_ai.exchange.rest.handling import exchange_of, fault_of, reply
from gambler_ai.exchange.wire.codes import CONDITIONS, EXCHANGES


def _data_now_us(request: Request) -> int:
    """The instant whose market data are shown."""
    stale = fault_of(request, "stale")
    return exchange_of(request).now_us - (round(stale.seconds * SECOND) if stale else 0)


def _symbols(request: Request) -> list[str]:
    return asked.parse_symbols(request.path_params.get("symbol") or request.query_params.get("symbols"))


def _history(request: Request, feeds: tuple[str, ...] = asked.HISTORICAL_FEEDS) -> Asked:
    """Raises DataRefusal, 403 for what the data plan has not (a fault)."""
    found = asked.parse_history(request.query_params, _symbols(request), _data_now_us(request), feeds)
    if found.feed == asked.SIP and fault_of(request, "no_sip") and found.end_us > found.now_us - asked.DELAY_US:
        raise DataRefusal(403, "subscription does not permit querying recent SIP data")
    return found


def _page(request: Request, kind: str, wanted: Asked, found: dict[str, list[Any]], token: str | None) -> Response:
    """Several symbols: an object of lists; a single one in the path: its list."""
    if "symbol" not in request.path_params:
        return reply({kind: found, "next_page_token": token} | wanted.more)
    symbol = wanted.symbols[0]
    return reply({kind: found.get(symbol, []), "symbol": symbol, "next_page_token": token} | wanted.more)


async def get_bars(request: Request) -> Response:
    exchange, params = exchange_of(request), request.query_params
    with exchange.step():
        timeframe = Timeframe(*asked.parse_timeframe(params.get("timeframe")), asked.parse_adjustment(params))
        wanted = _history(request)
        found, token = bars_page(exchange.market, wanted, timeframe)
    return _page(request, "bars", wanted, found, token)


async def _get_prints(request: Request, kind: str) -> Response:
    exchange = exchange_of(request)
    with exchange.step():
        wanted = _history(request)
        found, token = prints.prints_page(exchange.market, wanted, kind)
    return _page(request, kind, wanted, found, token)


async def get_trades(request: Request) -> Response:
    return await _get_prints(request, "trades")


async def get_quotes(request: Request) -> Response:
    return await _get_prints(request, "quotes")


async def get_auctions(request: Request) -> Response:
    exchange = exchange_of(request)
    with exchange.step():
        wanted = _history(request, prints.AUCTION_FEEDS)
        found, token = prints.auctions_page(exchange.market, wanted)
    return _page(request, "auctions", wanted, found, token)


def _latest_us(request: Request) -> int | None:
    """The instant whose latest is asked for; None for a feed that has nothing. Raises DataRefusal."""
    feed, now_us = asked.parse_feed(request.query_params, asked.LATEST_FEEDS), _data_now_us(request)
    if feed == asked.SIP and fault_of(request, "no_sip"):
        raise DataRefusal(403, "subscription does not permit querying recent SIP data")
    return None if feed in asked.SILENT_FEEDS else now_us - asked.DELAY_US if feed == asked.DELAYED else now_us


async def get_latest(request: Request) -> Response:
    exchange, kind = exchange_of(request), request.path_params["kind"]
    if kind not in latest.KINDS:
        raise not_found("endpoint not found")
    with exchange.step():
        symbols, more = _symbols(request), asked.parse_currency(request.query_params)
        at_us = _latest_us(request)
        rows = {s: None if at_us is None else latest.latest(exchange.market, kind, s, at_us) for s in symbols}
    found = {symbol: row for symbol, row in rows.items() if row is not None}
    currency = {"currency": more} if more else {}
    if "symbol" not in request.path_params:
        return reply({kind: found} | currency)
    name = latest.KINDS[kind]
    if not found:
        raise DataRefusal(404, f"no {name} found for {symbols[0]}")
    return reply({"symbol": symbols[0], name: found[symbols[0]]} | currency)


async def get_snapshots(request: Request) -> Response:
    """A bare map; one symbol in the path: its parts beside its name."""
    exchange = exchange_of(request)
    with exchange.step():
        symbols, more = _symbols(request), asked.parse_currency(request.query_params)
        at_us = _latest_us(request)
        rows = {s: None if at_us is None else latest.snapshot(exchange.market, s, at_us) for s in symbols}
    found = {symbol: row for symbol, row in rows.items() if row is not None}
    if "symbol" not in request.path_params:
        return reply(found)
    if not found:
        raise DataRefusal(404, f"no snapshot found for {symbols[0]}")
    return reply({"symbol": symbols[0]} | found[symbols[0]] | ({"currency": more} if more else {}))


async def get_conditions(request: Request) -> Response:
    kind, tape = request.path_params["ticktype"], request.query_params.get("tape") or ""
    if kind not in CONDITIONS:
        raise asked.invalid(f"invalid ticktype: {kind:.40}")
    if tape not in ("A", "B", "C"):
        raise asked.invalid(f"invalid tape: {tape:.40}")
    return reply(CONDITIONS[kind])


async def get_exchanges(request: Request) -> Response:
    del request
    return reply(EXCHANGES)
