"""Bars, quotes and trades of stocks (BEHAVIOUR 6)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gambler_ai.exchange.instants import SECOND
from gambler_ai.exchange.refusal import Refusal, not_found
from gambler_ai.exchange.rest import bars
from gambler_ai.exchange.rest.handling import exchange_of, fault_of, reply


def _data_now_us(request: Request) -> int:
    """The instant whose market data are shown."""
    stale = fault_of(request, "stale")
    return exchange_of(request).now_us - (round(stale.seconds * SECOND) if stale else 0)


async def get_bars(request: Request) -> Response:
    exchange, params = exchange_of(request), request.query_params
    single = request.path_params.get("symbol")
    with exchange.step():
        symbols = bars.parse_symbols(single or params.get("symbols"))
        now_us = _data_now_us(request)
        query = bars.parse_query(params, symbols, now_us)
        found, token = bars.bars_page(exchange.market, query, now_us)
    if single:
        return reply({"bars": found.get(symbols[0], []), "symbol": symbols[0], "next_page_token": token})
    return reply({"bars": found, "next_page_token": token})


async def get_latest(request: Request) -> Response:
    exchange, kind = exchange_of(request), request.path_params["kind"]
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
        return reply({"symbol": symbols[0], kind[:-1]: found[symbols[0]]})
    return reply({kind: {symbol: row for symbol, row in found.items() if row is not None}})
