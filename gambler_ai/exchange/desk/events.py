"""What happens to orders, kept until it is committed and may be told (BEHAVIOUR 7)."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from decimal import Decimal
from typing import NamedTuple

from gambler_ai.exchange.desk.orders import FILLED, PARTIALLY_FILLED, TRANSITIONS, Fill, Order
from gambler_ai.exchange.hashing import make_uuid

# What the stream of trade updates calls the arrival in a status: the status, but for fills.
ORDER_REPLACE_REJECTED = "order_replace_rejected"  # and this of an order that works on
EVENTS = {status: status for status in TRANSITIONS} | {PARTIALLY_FILLED: "partial_fill", FILLED: "fill"}


class OrderEvent(NamedTuple):
    """One thing that happened to an order. ``order`` and ``legs`` are copies, as they were just after it.

    ``fill`` is there for executions only, ``position_qty`` (signed) for those of one symbol.
    """

    name: str
    id: str
    at_us: int
    order: Order
    legs: tuple[Order, ...]
    fill: Fill | None = None
    position_qty: Decimal | None = None


class EventLog:
    """The events since the last commit, as they happened."""

    def __init__(self, account_seed: str) -> None:
        self._account_seed = account_seed
        self._events: list[OrderEvent] = []
        self._copies: dict[str, list[tuple[int, Order]]] = {}

    def note(self, order: Order, legs: Iterable[Order], name: str = "") -> None:
        """The order has come to its status; or something of another ``name`` has happened to it."""
        name = name or EVENTS[order.status]
        event_id = make_uuid(self._account_seed, "event", order.seq, name, order.moves)
        self._remember(OrderEvent(name, event_id, order.updated_us, copy(order), tuple(map(copy, legs))))

    def note_fill(self, order: Order, legs: Iterable[Order], fill: Fill, position_qty: Decimal | None) -> None:
        """The order has executed; the event's id is the end of the activity's. An order of several symbols has no
        position.
        """
        name, event_id = EVENTS[order.status], fill.id.rpartition("::")[2]
        copies = copy(order), tuple(map(copy, legs))
        self._remember(OrderEvent(name, event_id, fill.at_us, *copies, fill, position_qty))

    def _remember(self, event: OrderEvent) -> None:
        self._events.append(event)
        self._copies.setdefault(event.order.id, []).append((event.at_us, event.order))

    def as_of(self, order: Order, us: int) -> Order | None:
        """The order as it was at an instant; None before there was one. What an earlier process did is not known: an
        order that it made is as it is now.
        """
        copies = self._copies.get(order.id, [])
        seen = [then for at_us, then in copies if at_us <= us]
        if seen:
            return seen[-1]
        return None if order.created_us > us else order

    def take(self) -> list[OrderEvent]:
        """All of them, once. To be told to others only when they are committed."""
        events, self._events = self._events, []
        return events
