"""PATCH: what may be asked of which order, and the ticket of the order that takes its place (BEHAVIOUR 3, "Cancel /
replace").
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from gambler_ai.exchange.desk.orders import ACCEPTED, ENTRY, HELD, REPLACED, TRAILING_STOP, WORKING, Order
from gambler_ai.exchange.desk.rules import check_terms, check_ticks
from gambler_ai.exchange.desk.tickets import Ticket, parse_ticket
from gambler_ai.exchange.desk.trailing import stop_behind
from gambler_ai.exchange.numbers import ZERO, plain
from gambler_ai.exchange.refusal import bad_parameter, unprocessable

_GIVEN = ("qty", "limit_price", "stop_price", "time_in_force")


def check_replaceable(order: Order) -> None:
    """Not before it works, nor after. Raises Refusal 422."""
    if order.status == REPLACED:
        raise unprocessable("order already replaced")
    if order.status == ACCEPTED:
        raise unprocessable("unable to replace order, order isn't sent to exchange yet")
    if order.status not in WORKING and order.status != HELD:
        raise unprocessable(f"cannot replace order in {order.status} status")
    if order.notional is not None:
        raise unprocessable("cannot replace notional orders")


def changed_ticket(order: Order, changes: Mapping[str, Any]) -> Ticket:
    """The order as it would be asked for with the changes; its class, but no legs. ``qty`` is the total, what has
    filled included. Raises Refusal.
    """
    if changes.get("notional") not in (None, ""):
        raise bad_parameter("notional cannot be replaced")
    ticket = parse_ticket(_body(order, changes))
    ticket = ticket._replace(
        order_class=order.order_class, extended_hours=order.extended_hours, stop_price=_stop(order, ticket)
    )
    check_ticks(ticket if ticket.type != TRAILING_STOP else ticket._replace(stop_price=None))
    _check_changed(order, ticket)
    check_terms(ticket)
    return ticket


def _body(order: Order, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a POST: what is not said stays. ``trail`` is of the kind that the order has."""
    prices = {
        "qty": order.qty, "limit_price": order.limit_price, "stop_price": order.stop_price,
        "trail_price": order.trail_price, "trail_percent": order.trail_percent,
    }  # fmt: skip
    if order.type == TRAILING_STOP:
        del prices["stop_price"]
    body: dict[str, Any] = {name: plain(value) for name, value in prices.items() if value is not None}
    body |= {"symbol": order.symbol, "side": order.side, "type": order.type, "time_in_force": order.time_in_force}
    body |= {name: changes[name] for name in _GIVEN if changes.get(name) not in (None, "")}
    trail = changes.get("trail")
    if trail not in (None, ""):
        if order.type == TRAILING_STOP and order.elected:
            raise unprocessable("cannot replace trail of a triggered order")
        body["trail_percent" if order.trail_percent is not None else "trail_price"] = trail
    return body | {"client_order_id": changes.get("client_order_id")}


def _stop(order: Order, ticket: Ticket) -> Decimal | None:
    if order.type != TRAILING_STOP:
        return ticket.stop_price
    assert order.hwm is not None
    stop = stop_behind(order.side, order.hwm, ticket.trail_price, ticket.trail_percent)
    if stop <= 0:
        raise unprocessable("trail must leave a stop price > 0", base_price=plain(order.hwm))
    return stop


def _check_changed(order: Order, ticket: Ticket) -> None:
    terms = (ticket.qty, ticket.limit_price, ticket.time_in_force, ticket.trail_price, ticket.trail_percent)
    old = (order.qty, order.limit_price, order.time_in_force, order.trail_price, order.trail_percent)
    if terms == old and (ticket.stop_price == order.stop_price or order.type == TRAILING_STOP):
        raise unprocessable("order parameters are not changed")
    qty, before = ticket.qty or ZERO, order.qty or ZERO
    if qty <= order.filled_qty:
        raise unprocessable("qty must be > filled_qty")
    if qty != before and (qty % 1 or before % 1):
        raise unprocessable("qty of fractional orders cannot be replaced")
    if qty != before and order.order_class and order.role != ENTRY:
        raise unprocessable("the qty of a leg cannot be replaced")


def inherit(new: Order, old: Order) -> None:
    """The new order continues the old one: its place in its class, what of it has filled, how far its stop has come."""
    new.role, new.parent_id, new.waiting = old.role, old.parent_id, old.waiting
    new.replaces, new.position_intent, new.hwm = old.id, old.position_intent, old.hwm
    new.elected = old.elected and (new.stop_price == old.stop_price or old.type == TRAILING_STOP)
    new.qty = (new.qty or ZERO) - old.filled_qty
