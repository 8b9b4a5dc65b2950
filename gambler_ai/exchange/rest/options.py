"""Contracts, and what is done with those that are held (BEHAVIOUR 4 and 5)."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gambler_ai.exchange.desk import expiry
from gambler_ai.exchange.desk.option_tickets import symbol_of
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.instants import new_york
from gambler_ai.exchange.options.chain import select
from gambler_ai.exchange.options.contracts import find
from gambler_ai.exchange.options.pricing import need_library
from gambler_ai.exchange.refusal import bad_parameter, not_found, unprocessable
from gambler_ai.exchange.rest.handling import exchange_of, reply
from gambler_ai.exchange.rest.option_queries import (
    CONTRACTS_LIMIT,
    CONTRACTS_MOST,
    contract_token,
    make_token,
    wanted_contracts,
)
from gambler_ai.exchange.rest.paging import limit_of
from gambler_ai.exchange.rest.params import truth
from gambler_ai.exchange.wire.options import contract_entity


async def get_contracts(request: Request) -> Response:
    exchange, params = exchange_of(request), request.query_params
    limit = limit_of(params, CONTRACTS_LIMIT, CONTRACTS_MOST, bad_parameter)
    deliverables, token = truth(params.get("show_deliverables")), None
    rows: list[dict[str, Any]] = []
    after = contract_token(params)
    need_library()
    with exchange.step():
        wanted = wanted_contracts(params, exchange.market.assets, exchange.now_us)
        for contract in select(exchange.options, wanted, exchange.now_us, after) if wanted is not None else ():
            if len(rows) == limit:
                token = make_token(rows[-1]["symbol"])
                break
            entity = contract_entity(contract, exchange.options, exchange.now_us, deliverables=deliverables)
            rows.append(entity)
    return reply({"option_contracts": rows, "next_page_token": token})


async def get_contract(request: Request) -> Response:
    exchange, name = exchange_of(request), request.path_params["symbol_or_id"]
    need_library()
    with exchange.step():
        contract = find(name)
        if contract is None or not exchange.options.listing.is_listed(contract, exchange.now_us):
            raise not_found(f"option contract {name} not found")
        body = contract_entity(contract, exchange.options, exchange.now_us, deliverables=True)
    return reply(body)


def _held(request: Request) -> str:
    symbol = symbol_of(request.path_params["symbol"])
    if not symbol:
        raise unprocessable("invalid symbol")
    return symbol


async def post_exercise(request: Request) -> Response:
    """At once, but between the close and midnight, when it would be unclear on which day it settles."""
    exchange, symbol = exchange_of(request), _held(request)
    with exchange.step():
        if _is_between_close_and_midnight(exchange):
            raise unprocessable("exercise requests are not accepted between the market close and midnight")
        expiry.exercise(exchange.book, exchange.annals, exchange.account_id, symbol, exchange.now_us, exchange.margins)
    return Response(status_code=200)


def _is_between_close_and_midnight(exchange: Exchange) -> bool:
    sessions = exchange.market.sessions
    index = sessions.last_index_opened_by(exchange.now_us)
    session = sessions.session(index) if index is not None else None
    today = new_york(exchange.now_us).date()
    return session is not None and session.day == today and session.close_us <= exchange.now_us


async def post_do_not_exercise(request: Request) -> Response:
    exchange, symbol = exchange_of(request), _held(request)
    with exchange.step():
        expiry.refuse_exercise(exchange.book, symbol)
    return Response(status_code=200)
