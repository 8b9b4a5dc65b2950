"""The body of POST /v2/orders -> a Ticket of the right shape. What prices and classes must be is in ``rules``; the
account is asked elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from gambler_ai.exchange.desk.orders import (
    BRACKET,
    BUY,
    CLS,
    DAY,
    FOK,
    GTC,
    IOC,
    LIMIT,
    MARKET,
    OCO,
    OPG,
    OTO,
    SELL,
    STOP,
    STOP_LIMIT,
    TRAILING_STOP,
)
from gambler_ai.exchange.numbers import SHARE_STEP, parse_decimal
from gambler_ai.exchange.refusal import Refusal, bad_parameter

MAX_CLIENT_ID = 128
TYPES = (MARKET, LIMIT, STOP, STOP_LIMIT, TRAILING_STOP)
TIMES_IN_FORCE = (DAY, GTC, OPG, CLS, IOC, FOK)
CLASSES = ("", BRACKET, OCO, OTO)
INTENTS = ("", "buy_to_open", "buy_to_close", "sell_to_open", "sell_to_close")
TRAIL_PERCENT_MIN = Decimal("0.1")


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
    trail_price: Decimal | None
    trail_percent: Decimal | None
    take_profit: Decimal | None
    stop_loss: Decimal | None
    stop_loss_limit: Decimal | None
    extended_hours: bool
    position_intent: str

    @property
    def is_fractional(self) -> bool:
        """Parts of a share, or an amount of money."""
        return self.qty is None or bool(self.qty % 1)


def parse_ticket(payload: object) -> Ticket:
    """Raises Refusal. Null and "" mean absent; numbers may come as strings (BEHAVIOUR 1)."""
    if not isinstance(payload, Mapping):
        raise Refusal(400, 40010000, "request body format is invalid")
    take_profit, stop_loss = _part(payload, "take_profit"), _part(payload, "stop_loss")
    order_class = _text(payload, "order_class")
    ticket = Ticket(
        client_order_id=_text(payload, "client_order_id"),
        symbol=_text(payload, "symbol"),
        side=_text(payload, "side"),
        type=_text(payload, "type") or _text(payload, "order_type"),
        time_in_force=_text(payload, "time_in_force"),
        order_class="" if order_class == "simple" else order_class,
        qty=_number(payload, "qty"),
        notional=_number(payload, "notional"),
        limit_price=_number(payload, "limit_price"),
        stop_price=_number(payload, "stop_price"),
        trail_price=_number(payload, "trail_price"),
        trail_percent=_number(payload, "trail_percent"),
        take_profit=_number(take_profit, "limit_price"),
        stop_loss=_number(stop_loss, "stop_price"),
        stop_loss_limit=_number(stop_loss, "limit_price"),
        extended_hours=_flag(payload, "extended_hours"),
        position_intent=_text(payload, "position_intent"),
    )
    if ticket.order_class == OCO and ticket.limit_price is None:
        ticket = ticket._replace(limit_price=ticket.take_profit)  # alpaca-py sends it inside take_profit only
    for check in (_check_required, _check_amount, _check_prices_present, _check_trail):
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


def _flag(payload: Mapping[str, Any], name: str) -> bool:
    value = payload.get(name)
    if value not in (None, "", True, False, "true", "True", "false", "False"):
        raise bad_parameter(f"invalid {name}")
    return value in (True, "true", "True")


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
    if ticket.position_intent not in INTENTS:
        raise bad_parameter("invalid position_intent")
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
    if ticket.notional is not None and ticket.notional < 1:
        raise bad_parameter("notional must be >= 1.00")
    if ticket.notional is not None and ticket.notional % SHARE_STEP:
        raise bad_parameter("notional must be limited to 9 decimal places")


def _check_prices_present(ticket: Ticket) -> None:
    """Those that a type needs, and no others. BEHAVIOUR 3 has a message for market orders that carry one; the other
    types' is made after it.
    """
    has_limit, has_stop = ticket.limit_price is not None, ticket.stop_price is not None
    if ticket.type == MARKET and (has_limit or has_stop):
        raise bad_parameter("market orders require no stop or limit price")
    if ticket.type == LIMIT and not has_limit:
        raise bad_parameter("limit orders require a limit price")
    if ticket.type == LIMIT and has_stop:
        raise bad_parameter("limit orders require no stop price")
    if ticket.type == STOP and not has_stop:
        raise bad_parameter("stop orders require a stop price")
    if ticket.type == STOP and has_limit:
        raise bad_parameter("stop orders require no limit price")
    if ticket.type == STOP_LIMIT and not (has_limit and has_stop):
        raise bad_parameter("stop limit orders require both stop and limit price")
    if ticket.type == TRAILING_STOP and (has_limit or has_stop):
        raise bad_parameter("trailing stop orders require no stop or limit price")
    for name, price in (("limit", ticket.limit_price), ("stop", ticket.stop_price)):
        if price is not None and price <= 0:
            raise bad_parameter(f"{name} price must be > 0")


def _check_trail(ticket: Ticket) -> None:
    price, percent = ticket.trail_price, ticket.trail_percent
    if ticket.type != TRAILING_STOP:
        if price is not None or percent is not None:
            raise bad_parameter("only trailing stop orders have a trail_price or trail_percent")
        return
    if (price is None) == (percent is None):
        raise bad_parameter("trailing stop orders must specify one of trail_price or trail_percent")
    if price is not None and price <= 0:
        raise bad_parameter("trail_price must be > 0")
    if percent is not None and percent < TRAIL_PERCENT_MIN:
        raise bad_parameter("trail_percent must be >= 0.1")
