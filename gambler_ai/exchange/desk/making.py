"""Orders from tickets: one, or one with the legs of its class (BEHAVIOUR 3, "Classes")."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from gambler_ai.exchange.desk.book import Book
from gambler_ai.exchange.desk.checks import intent
from gambler_ai.exchange.desk.orders import (
    BUY,
    HELD,
    LIMIT,
    OCO,
    SELL,
    STOP,
    STOP_LIMIT,
    STOP_LOSS,
    TAKE_PROFIT,
    TRAILING_STOP,
    Order,
)
from gambler_ai.exchange.desk.tickets import Ticket
from gambler_ai.exchange.numbers import ZERO


class Terms(NamedTuple):
    """What the desk adds to a ticket. ``reserve`` is what a share blocks, 0 for an exit; ``hold`` the shares that a
    notional exit is taken to sell; ``last`` the trade from which a trailing stop begins.
    """

    status: str
    expires_us: int
    reserve: Decimal
    hold: Decimal = ZERO
    last: Decimal = ZERO


def make_order(book: Book, ticket: Ticket, terms: Terms, now_us: int) -> Order:
    """Not in the book yet."""
    seq = book.next_seq
    return Order(
        seq=seq,
        id=book.new_id("order", seq),
        client_order_id=ticket.client_order_id or book.new_id("client", seq),
        symbol=ticket.symbol,
        side=ticket.side,
        type=ticket.type,
        time_in_force=ticket.time_in_force,
        order_class=ticket.order_class,
        status=terms.status,
        position_intent=intent(ticket.side, book.position_qty(ticket.symbol)),
        created_us=now_us,
        updated_us=now_us,
        expires_us=terms.expires_us,
        qty=ticket.qty,
        notional=ticket.notional,
        limit_price=ticket.limit_price,
        stop_price=ticket.stop_price,
        trail_price=ticket.trail_price,
        trail_percent=ticket.trail_percent,
        hwm=terms.last if ticket.type == TRAILING_STOP else None,
        extended_hours=ticket.extended_hours,
        reserve_price=terms.reserve,
        hold_qty=terms.hold,
    )


def add_order(book: Book, ticket: Ticket, terms: Terms, now_us: int) -> Order:
    """The order and its legs, in the book. An OCO is its own take-profit, and its stop waits for nothing."""
    order = make_order(book, ticket, terms, now_us)
    book.add(order)
    waiting = ticket.order_class != OCO
    if not waiting:
        order.role = TAKE_PROFIT
    elif ticket.take_profit is not None:
        _add_leg(book, order, (TAKE_PROFIT, LIMIT), ticket.take_profit, None)
    if ticket.stop_loss is not None:
        kind = STOP if ticket.stop_loss_limit is None else STOP_LIMIT
        leg = _add_leg(book, order, (STOP_LOSS, kind), ticket.stop_loss_limit, ticket.stop_loss)
        leg.waiting = waiting
    return order


def _add_leg(
    book: Book, parent: Order, role_and_type: tuple[str, str], limit: Decimal | None, stop: Decimal | None
) -> Order:
    """A leg inherits the parent's time in force, and waits, held, for its entry."""
    side = parent.side if parent.order_class == OCO else (SELL if parent.side == BUY else BUY)
    seq = book.next_seq
    leg = Order(
        seq=seq,
        id=book.new_id("order", seq),
        client_order_id=book.new_id("client", seq),
        symbol=parent.symbol,
        side=side,
        type=role_and_type[1],
        time_in_force=parent.time_in_force,
        order_class=parent.order_class,
        status=HELD,
        position_intent="sell_to_close" if side == SELL else "buy_to_close",
        created_us=parent.created_us,
        updated_us=parent.created_us,
        expires_us=parent.expires_us,
        qty=parent.qty,
        limit_price=limit,
        stop_price=stop,
        role=role_and_type[0],
        parent_id=parent.id,
        waiting=True,
    )
    parent.leg_ids = [*parent.leg_ids, leg.id]
    book.add(leg)
    return leg
