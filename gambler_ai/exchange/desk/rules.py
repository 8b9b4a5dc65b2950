"""What the prices and the class of an order must be: rules that need no account (BEHAVIOUR 3)."""

from __future__ import annotations

from decimal import Decimal

from gambler_ai.exchange.desk.orders import (
    BRACKET,
    BUY,
    DAY,
    GTC,
    LIMIT,
    MARKET,
    OCO,
    OTO,
    SELL,
    TRAILING_STOP,
)
from gambler_ai.exchange.desk.tickets import Ticket
from gambler_ai.exchange.desk.trailing import stop_behind
from gambler_ai.exchange.numbers import CENT, MARKET_STEP, plain
from gambler_ai.exchange.refusal import bad_parameter, unprocessable

SUB_PENNY = "invalid {} {}. sub-penny increment does not fulfill minimum pricing criteria"
_LASTING = (DAY, GTC)


def check_ticks(ticket: Ticket) -> None:
    """Two decimals from one dollar up, four below; the legs' prices too (BEHAVIOUR 3)."""
    prices = (
        ("limit_price", ticket.limit_price),
        ("stop_price", ticket.stop_price),
        ("take_profit.limit_price", ticket.take_profit),
        ("stop_loss.stop_price", ticket.stop_loss),
        ("stop_loss.limit_price", ticket.stop_loss_limit),
        ("trail_price", ticket.trail_price),
    )
    for name, price in prices:
        if price is None:
            continue
        if price <= 0:
            raise unprocessable(f"{name} must be > 0")
        if price % (CENT if price >= 1 else MARKET_STEP):
            raise unprocessable(SUB_PENNY.format(name, plain(price)))


def with_trail(ticket: Ticket, last: Decimal) -> Ticket:
    """A trailing stop gets the stop that belongs to the last trade. Alpaca's answer to a trail that leaves none above
    zero is not documented.
    """
    if ticket.type != TRAILING_STOP:
        return ticket
    stop = stop_behind(ticket.side, last, ticket.trail_price, ticket.trail_percent)
    if stop <= 0:
        name = "trail_price" if ticket.trail_price is not None else "trail_percent"
        raise unprocessable(f"{name} must leave a stop price > 0", base_price=plain(last))
    return ticket._replace(stop_price=stop)


def check_terms(ticket: Ticket) -> None:
    """Which types, times in force, hours and classes go together."""
    kind, lasting = ticket.type, ticket.time_in_force in _LASTING
    if ticket.extended_hours and ticket.order_class:
        raise unprocessable(f"{ticket.order_class} orders cannot be extended hours orders")
    if ticket.extended_hours and (kind != LIMIT or not lasting):
        raise unprocessable("extended hours order must be DAY or GTC limit orders")
    if ticket.is_fractional:
        if ticket.time_in_force != DAY:
            raise unprocessable("fractional orders must be DAY orders")
        if ticket.order_class:
            raise unprocessable("fractional orders must be simple orders")
        if kind == TRAILING_STOP:
            raise unprocessable("fractional orders must be market, limit, stop, or stop_limit orders")
    if kind == TRAILING_STOP and ticket.order_class:
        raise unprocessable("trailing stop orders must be simple orders")
    if ticket.order_class and not lasting:
        raise unprocessable(f"{ticket.order_class} orders must be DAY or GTC orders")
    if kind not in (MARKET, LIMIT) and not lasting:
        raise unprocessable(f"{kind} orders must be DAY or GTC orders")


def check_legs(ticket: Ticket, base: Decimal) -> None:
    """The legs that a class needs, on their sides of ``base``: the entry's limit or stop price, or the last trade."""
    if not ticket.order_class:
        if ticket.take_profit is not None or ticket.stop_loss is not None:
            raise unprocessable("simple orders cannot have take_profit or stop_loss")
        return
    _check_present(ticket)
    exit_side = BUY if ticket.side == SELL else SELL
    _check_sides(exit_side if ticket.order_class != OCO else ticket.side, ticket, base)


def _check_present(ticket: Ticket) -> None:
    if ticket.stop_loss_limit is not None and ticket.stop_loss is None:
        raise bad_parameter(f"{ticket.order_class} orders require stop_loss.stop_price")
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


def _check_sides(exit_side: str, ticket: Ticket, base: Decimal) -> None:
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
