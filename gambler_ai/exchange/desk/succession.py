"""One order in the place of another: ids, links and statuses of both (BEHAVIOUR 3, "Cancel / replace")."""

from __future__ import annotations

from gambler_ai.exchange.desk.book import Book
from gambler_ai.exchange.desk.orders import REPLACED, Order


def announce(book: Book, order: Order, new: Order) -> None:
    """The new order is there, and each of the two knows the other."""
    new.replaces, order.replaced_by = order.id, new.id
    book.add(new)
    book.events.note(new, book.legs(new))


def succeed(book: Book, order: Order, new: Order, us: int) -> None:
    """The old order ends as ``replaced``, and the new one takes its legs, or its place among them."""
    new.leg_ids, order.leg_ids = order.leg_ids, []
    for leg in book.legs(new):
        leg.parent_id = new.id
        book.touch(leg)
    if order.parent_id is not None:
        head = book.orders[order.parent_id]
        head.leg_ids = [new.id if leg == order.id else leg for leg in head.leg_ids]
        book.touch(head)
    book.touch(new)
    book.move(order, REPLACED, us)
