"""The body of POST /v2/orders for contracts -> a checked ticket: one contract, or the legs of an ``mleg`` order.

What the wire knows without the account is refused here (BEHAVIOUR 3, "mleg"). Words that BEHAVIOUR does not have are
ours; the codes are those of its neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from math import gcd
from typing import Any, NamedTuple

from gambler_ai.exchange.desk.orders import BUY, LIMIT, MARKET, MLEG, SELL, STOP, STOP_LIMIT
from gambler_ai.exchange.desk.rules import SUB_PENNY
from gambler_ai.exchange.desk.tickets import MAX_CLIENT_ID, Ticket, parse_ticket
from gambler_ai.exchange.numbers import CENT, parse_decimal, plain
from gambler_ai.exchange.options.contracts import is_option, parse_id
from gambler_ai.exchange.refusal import Refusal, bad_parameter, unprocessable

LEGS_LEAST, LEGS_MOST = 2, 4
INTENTS = {"buy_to_open": BUY, "buy_to_close": BUY, "sell_to_open": SELL, "sell_to_close": SELL}
_TIMES_IN_FORCE = ("day", "gtc", "opg", "cls", "ioc", "fok")
_SINGLE_TYPES, _MLEG_TYPES = (MARKET, LIMIT, STOP, STOP_LIMIT), (MARKET, LIMIT)


class Leg(NamedTuple):
    """One leg: ``ratio`` contracts for each unit of the order."""

    symbol: str
    side: str
    intent: str
    ratio: Decimal


class MultiTicket(NamedTuple):
    """An ``mleg`` order. ``limit_price`` is the net of a unit: above zero is paid, below zero received."""

    client_order_id: str
    type: str
    qty: Decimal
    limit_price: Decimal | None
    legs: tuple[Leg, ...]


def is_option_request(payload: object) -> bool:
    """Is it an order for contracts: of class ``mleg``, or for a contract's symbol or id?"""
    if not isinstance(payload, Mapping):
        return False
    symbol = payload.get("symbol")
    return payload.get("order_class") == MLEG or (isinstance(symbol, str) and bool(symbol_of(symbol)))


def symbol_of(text: str) -> str:
    """The symbol that a contract's symbol or id names; "" for anything else."""
    if is_option(text.upper()):
        return text.upper()
    contract = parse_id(text) if len(text) == 36 else None
    return contract.symbol if contract is not None else ""


def check_request(payload: Mapping[str, Any]) -> None:
    """Raises Refusal for a body that no account could have taken."""
    if payload.get("order_class") == MLEG:
        parse_multi(payload)
    else:
        parse_single(payload)


def parse_single(payload: Mapping[str, Any]) -> Ticket:
    """Raises Refusal."""
    kind = payload.get("type") or payload.get("order_type")
    if kind == "trailing_stop":
        raise unprocessable("order type not supported for options trading")
    order_class = payload.get("order_class")
    if order_class not in (None, "", "simple"):
        raise unprocessable("complex orders not supported for options trading")
    ticket = parse_ticket({**payload, "symbol": symbol_of(payload["symbol"])})
    if ticket.notional is not None:
        raise unprocessable("notional orders not supported for options trading")
    if ticket.type not in _SINGLE_TYPES:
        raise unprocessable("order type not supported for options trading")
    _check_terms(ticket.time_in_force, extended=ticket.extended_hours)
    assert ticket.qty is not None
    _check_whole(ticket.qty)
    for name, price in (("limit_price", ticket.limit_price), ("stop_price", ticket.stop_price)):
        _check_cents(name, price)
    if ticket.position_intent and INTENTS.get(ticket.position_intent) is None:
        raise bad_parameter("invalid position_intent")
    return ticket


def _check_terms(time_in_force: str, *, extended: bool) -> None:
    if time_in_force not in _TIMES_IN_FORCE:
        raise bad_parameter("invalid time_in_force")
    if time_in_force != "day":
        raise unprocessable("order_time_in_force provided not supported for options trading")
    if extended:
        raise unprocessable("extended hours not supported for options trading")


def _check_whole(qty: Decimal) -> None:
    if qty % 1:
        raise unprocessable("qty must be an integer for options trading")


def _check_cents(name: str, price: Decimal | None) -> None:
    if price is not None and price % CENT:
        raise unprocessable(SUB_PENNY.format(name, plain(price)))


def parse_multi(payload: Mapping[str, Any]) -> MultiTicket:
    """Raises Refusal. Null and "" mean absent; numbers may come as strings (BEHAVIOUR 1)."""
    client_id = payload.get("client_order_id") or ""
    if not isinstance(client_id, str):
        raise bad_parameter("invalid client_order_id")
    if len(client_id) > MAX_CLIENT_ID:
        raise bad_parameter("client_order_id must be no more than 128 characters")
    kind = payload.get("type") or payload.get("order_type")
    if kind not in _MLEG_TYPES:
        raise bad_parameter("invalid order type")
    if payload.get("notional") not in (None, ""):
        raise unprocessable("notional orders not supported for options trading")
    _check_terms(str(payload.get("time_in_force") or ""), extended=payload.get("extended_hours") in (True, "true"))
    qty, limit = _number(payload, "qty"), _number(payload, "limit_price")
    if qty is None:
        raise bad_parameter("qty is required")
    if qty <= 0:
        raise bad_parameter("qty must be > 0")
    _check_whole(qty)
    if kind == LIMIT and limit is None:
        raise bad_parameter("limit orders require a limit price")
    if kind == MARKET and limit is not None:
        raise bad_parameter("market orders require no stop or limit price")
    _check_cents("limit_price", limit)
    return MultiTicket(client_id, str(kind), qty, limit, _legs(payload.get("legs")))


def _number(payload: Mapping[str, Any], name: str) -> Decimal | None:
    try:
        return parse_decimal(payload.get(name))
    except ValueError:
        raise bad_parameter(f"invalid {name}") from None


def _legs(rows: object) -> tuple[Leg, ...]:
    if rows is None or rows == "":
        raise bad_parameter("legs are required for mleg orders")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise Refusal(400, 40010000, "request body format is invalid")
    if not LEGS_LEAST <= len(rows) <= LEGS_MOST:
        raise unprocessable(f"mleg orders have {LEGS_LEAST} to {LEGS_MOST} legs")
    legs = tuple(_leg(number, row) for number, row in enumerate(rows))
    if len({leg.symbol for leg in legs}) < len(legs):
        raise unprocessable("the legs of an mleg order must be unique")
    if gcd(*(int(leg.ratio) for leg in legs)) > 1:
        raise unprocessable("the ratio_qty of the legs must be coprime")
    return legs


def _leg(number: int, row: Mapping[str, Any]) -> Leg:
    text = row.get("symbol")
    if not isinstance(text, str) or not text:
        raise bad_parameter(f"leg.{number} symbol is required")
    symbol = symbol_of(text)
    if not symbol:
        raise unprocessable(f'contract "{text}" not found')
    intent, side = row.get("position_intent") or "", row.get("side") or ""
    if not intent:
        raise unprocessable(f"leg.{number} position intent is required")
    if intent not in INTENTS:
        raise bad_parameter(f"invalid leg.{number} position_intent")
    if side and side != INTENTS[intent]:
        raise unprocessable(f"leg.{number} side does not fit its position intent")
    ratio = _number(row, "ratio_qty")
    if ratio is None or ratio <= 0 or ratio % 1:
        raise bad_parameter(f"leg.{number} ratio_qty must be a whole number > 0")
    return Leg(symbol, INTENTS[intent], intent, ratio)
