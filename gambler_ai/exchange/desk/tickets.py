"""The body of POST /v2/orders -> a checked Ticket. Shape and price rules only; the account is asked
elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from gambler_ai.exchange.desk.orders import BRACKET, BUY, LIMIT, MARKET, OCO, OTO, SELL, STOP, STOP_LIMIT
from gambler_ai.exchange.numbers import CENT, SHARE_STEP, parse_decimal, plain
from gambler_ai.exchange.refusal import Refusal, bad_parameter, unprocessable

MAX_CLIENT_ID = 128
TYPES = (MARKET, LIMIT, STOP, STOP_LIMIT)
TIMES_IN_FORCE = ("day", "gtc", "ioc", "fok")
CLASSES = ("", BRACKET, OCO, OTO)
SUB_PENNY = "invalid {} {}. sub-penny increment does not fulfill minimum pricing criteria"


class Ticket(NamedTuple):
    """An order as it was asked for. ``take_profit`` and ``stop_loss`` are the legs' prices."""

    client_order_id: str
    symbol: str
    side: str
    type: str
    time_in_force: str
    order_class: str
    qty: Decimal | None
    notional: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    take_profit: Decimal | None
    stop_loss: Decimal | None
    stop_loss_limit: Decimal | None
    extended_hours: bool
    position_intent: str


def parse_ticket(payload: object) -> Ticket:
    """Raises Refusal. Null and "" mean absent; numbers may come as strings (BEHAVIOUR 1)."""
    if not isinstance(payload, Mapping):
        raise Refusal(400, 40010000, "request body format is invalid")
    take_profit, stop_loss = _part(payload, "take_profit"), _part(payload, "stop_loss")
    order_class = _text(payload, "order_class")
    ticket = Ticket(
        client_order_id=_text(payload, "client_order_id"),
        symbol=_text(payload, "symbol").upper(),
        side=_text(payload, "side"),
        type=_text(payload, "type") or _text(payload, "order_type"),
        time_in_force=_text(payload, "time_in_force"),
        order_class="" if order_class == "simple" else order_class,
        qty=_number(payload, "qty"),
        notional=_number(payload, "notional"),
        limit_price=_number(payload, "limit_price"),
        stop_price=_number(payload, "stop_price"),
        take_profit=_number(take_profit, "limit_price"),
        stop_loss=_number(stop_loss, "stop_price"),
        stop_loss_limit=_number(stop_loss, "limit_price"),
        extended_hours=payload.get("extended_hours") in (True, "true", "True"),
        position_intent=_text(payload, "position_intent"),
    )
    if ticket.order_class == OCO and ticket.limit_price is None:
        ticket = ticket._replace(limit_price=ticket.take_profit)  # alpaca-py sends it inside take_profit only
    for check in (_check_required, _check_amount, _check_prices_present):
        check(ticket)
    return ticket


def _part(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = payload.get(name)
    if value is None or value == "":
        return {}
    if not isinstance(value, Mapping):
        raise Refusal(400, 40010000, "request body format is invalid")
    return value


def _text(payload: Mapping[str, Any], name: str) -> str:
    value = payload.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise bad_parameter(f"invalid {name}")
    return value


def _number(payload: Mapping[str, Any], name: str) -> Decimal | None:
    try:
        return parse_decimal(payload.get(name))
    except ValueError:
        raise bad_parameter(f"invalid {name}") from None


def _check_required(ticket: Ticket) -> None:
    if not ticket.symbol:
        raise bad_parameter("symbol is required")
    if ticket.side not in (BUY, SELL):
        raise bad_parameter("invalid side")
    if ticket.type not in TYPES:
        raise bad_parameter("invalid order type")
    if ticket.time_in_force not in TIMES_IN_FORCE:
        raise bad_parameter("invalid time_in_force")
    if ticket.order_class not in CLASSES:
        raise bad_parameter("invalid order_class")
    if len(ticket.client_order_id) > MAX_CLIENT_ID:
        raise bad_parameter("client_order_id must be no more than 128 characters")


def _check_amount(ticket: Ticket) -> None:
    if ticket.qty is None and ticket.notional is None:
        raise bad_parameter("qty or notional is required")
    if ticket.qty is not None and ticket.notional is not None:
        raise bad_parameter("only one of qty or notional is accepted")
    if ticket.qty is not None and ticket.qty <= 0:
        raise bad_parameter("qty must be > 0")
    if ticket.qty is not None and ticket.qty % SHARE_STEP:
        raise bad_parameter("qty must be limited to 9 decimal places")
    if ticket.notional is not None and (ticket.notional < 1 or ticket.notional % CENT):
        raise bad_parameter("notional must be >= 1.00 and limited to 2 decimal places")


def _check_prices_present(ticket: Ticket) -> None:
    has_limit, has_stop = ticket.limit_price is not None, ticket.stop_price is not None
    if ticket.type == MARKET and (has_limit or has_stop):
        raise bad_parameter("market orders require no stop or limit price")
    if ticket.type == LIMIT and not has_limit:
        raise bad_parameter("limit orders require a limit price")
    if ticket.type == STOP and not has_stop:
        raise bad_parameter("stop orders require a stop price")
    if ticket.type == STOP_LIMIT and not (has_limit and has_stop):
        raise bad_parameter("stop limit orders require both stop and limit price")
    for name, price in (("limit", ticket.limit_price), ("stop", ticket.stop_price)):
        if price is not None and price <= 0:
            raise bad_parameter(f"{name} price must be > 0")


def check_ticks(ticket: Ticket) -> None:
    """Two decimals from one dollar up, four below; the legs' prices too (BEHAVIOUR 3)."""
    prices = (
        ("limit_price", ticket.limit_price),
        ("stop_price", ticket.stop_price),
        ("take_profit.limit_price", ticket.take_profit),
        ("stop_loss.stop_price", ticket.stop_loss),
        ("stop_loss.limit_price", ticket.stop_loss_limit),
    )
    for name, price in prices:
        if price is None:
            continue
        if price <= 0:
            raise unprocessable(f"{name} must be > 0")
        if price % (CENT if price >= 1 else Decimal("0.0001")):
            raise unprocessable(SUB_PENNY.format(name, plain(price)))


def check_class(ticket: Ticket, base: Decimal) -> None:
    """Class rules. ``base`` is the entry's limit or stop price, or the last trade."""
    if ticket.extended_hours and (ticket.type != LIMIT or ticket.time_in_force not in ("day", "gtc")):
        raise unprocessable("extended hours order must be DAY or GTC limit orders")
    if ticket.notional is not None or (ticket.qty is not None and ticket.qty % 1):
        if ticket.time_in_force != "day":
            raise unprocessable("fractional orders must be DAY orders")
        if ticket.order_class:
            raise unprocessable("fractional orders must be simple orders")
    if not ticket.order_class:
        return
    if ticket.time_in_force not in ("day", "gtc") or ticket.extended_hours:
        raise unprocessable(f"{ticket.order_class} orders must be DAY or GTC orders in regular hours")
    _check_legs_present(ticket)
    exit_side = BUY if ticket.side == SELL else SELL
    _check_legs(exit_side if ticket.order_class != OCO else ticket.side, ticket, base)


def _check_legs_present(ticket: Ticket) -> None:
    if ticket.order_class == OTO:
        if (ticket.take_profit is None) == (ticket.stop_loss is None):
            raise unprocessable("oto orders require exactly one of take_profit.limit_price and stop_loss.stop_price")
        return
    if ticket.order_class == BRACKET and ticket.take_profit is None:
        raise bad_parameter("bracket orders require take_profit.limit_price")
    if ticket.stop_loss is None:
        raise bad_parameter(f"{ticket.order_class} orders require stop_loss.stop_price")
    if ticket.order_class == OCO and ticket.type != LIMIT:
        raise unprocessable("oco orders must be limit orders")


def _check_legs(exit_side: str, ticket: Ticket, base: Decimal) -> None:
    """Both legs on their side of the base price, a cent away at least; mirrored for short entries."""
    profit = ticket.take_profit if ticket.order_class != OCO else ticket.limit_price
    stop = ticket.stop_loss
    up = exit_side == SELL
    if profit is not None and stop is not None and (profit <= stop if up else profit >= stop):
        sign = ">" if up else "<"
        raise unprocessable(f"take_profit.limit_price must be {sign} stop_loss.stop_price")
    if ticket.order_class == OCO:
        profit = None  # an exit's limit may already be marketable
    context = {"base_price": plain(base)}
    if profit is not None and (profit < base + CENT if up else profit > base - CENT):
        rule = ">= base_price + 0.01" if up else "<= base_price - 0.01"
        raise unprocessable(f"take_profit.limit_price must be {rule}", **context)
    if stop is not None and (stop > base - CENT if up else stop < base + CENT):
        rule = "<= base_price - 0.01" if up else ">= base_price + 0.01"
        raise unprocessable(f"stop_loss.stop_price must be {rule}", **context)
