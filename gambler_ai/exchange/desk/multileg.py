"""Orders of class ``mleg``: a parent that has no symbol, and legs that fill with it or not at all (BEHAVIOUR 3).

A unit's net price is what its legs cost at the quotes, buys at the ask and sells at the bid: above zero a debit, below
zero a credit. The order is marketable when the net is at or under its limit, and when somebody bids for each leg that
is sold. Each leg executes at its own quote; the parent's price is the net.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from gambler_ai.exchange.desk import matching
from gambler_ai.exchange.desk.book import Book
from gambler_ai.exchange.desk.orders import (
    ACCEPTED,
    BUY,
    CANCELED,
    FILLED,
    NEW,
    PARTIALLY_FILLED,
    PENDING_CANCEL,
    PENDING_NEW,
    PENDING_REPLACE,
    Fill,
    Order,
)
from gambler_ai.exchange.hashing import chance, make_uuid
from gambler_ai.exchange.numbers import ZERO, to_decimal
from gambler_ai.exchange.prices.market import Tick

Ticks = Mapping[str, Tick | None]
_NO_TICK = Tick(0, 0, 0, 0, 0)  # for the ends of a pending status that need no price


def ratio_of(leg: Order) -> Decimal:
    assert leg.ratio_qty is not None
    return leg.ratio_qty


def net_price(legs: list[Order], ticks: Ticks) -> Decimal | None:
    """Of one unit, dollars a share; None when a leg has no quote or nobody bids for what it sells."""
    net = ZERO
    for leg in legs:
        tick = ticks.get(leg.symbol)
        if tick is None or (leg.side != BUY and not tick.bid):
            return None
        net += ratio_of(leg) * (to_decimal(tick.ask) if leg.side == BUY else -to_decimal(tick.bid))
    return net


def meet(book: Book, order: Order, ticks: Ticks, us: int) -> None:
    """One parent against the quotes of its legs at one instant."""
    if order.status in (PENDING_CANCEL, PENDING_REPLACE):
        settle(book, order, ticks, us)
    if not order.is_open or order.status in (PENDING_CANCEL, PENDING_REPLACE) or us < order.fills_from_us:
        return
    if order.replaces is not None and book.orders[order.replaces].status == PENDING_REPLACE:
        return
    for member in (order, *book.legs(order)):
        if member.status in (ACCEPTED, PENDING_NEW):
            book.move(member, NEW, us)
    net = net_price(book.legs(order), ticks)
    if net is not None and (order.limit_price is None or net <= order.limit_price):
        fill(book, order, _units(book, order, us), ticks, us)


def _units(book: Book, order: Order, us: int) -> Decimal:
    """All that are left, but one time in ten some of them (BEHAVIOUR 9)."""
    left = order.remaining
    if left > 1 and chance(book.seed, "part", order.seq, us) < matching.PARTIAL_FILL_CHANCE:
        return Decimal(1 + int(chance(book.seed, "size", order.seq, us) * (int(left) - 1)))
    return left


def fill(book: Book, order: Order, units: Decimal, ticks: Ticks, us: int) -> None:
    """Execute so many units: each leg at its quote, then the parent at the net."""
    legs = book.legs(order)
    net = net_price(legs, ticks)
    assert net is not None
    for leg in legs:
        tick = ticks[leg.symbol]
        assert tick is not None
        book.fill(leg, units * ratio_of(leg), to_decimal(tick.ask if leg.side == BUY else tick.bid), us)
    order.filled_qty += units
    order.filled_value += units * net
    order.move(PARTIALLY_FILLED if order.remaining else FILLED, us)
    book.touch(order)
    execution = Fill(
        seq=0, id=make_uuid(book.account_seed, "units", order.seq, order.moves), order_id=order.id, symbol="", side="",
        at_us=us, qty=units, price=net, cum_qty=order.filled_qty, leaves_qty=order.remaining, status=order.status,
    )  # fmt: skip
    book.events.note_fill(order, legs, execution, None)  # its legs' executions are the activities


def settle(book: Book, order: Order, ticks: Ticks, us: int) -> None:
    """The end of a pending status, as `matching.settle` has it for others."""
    if us < order.pending_until_us:
        return
    if order.pending_ends == FILLED:
        if net_price(book.legs(order), ticks) is None:
            return
        new = book.orders[order.replaced_by] if order.replaced_by else None
        fill(book, order, order.remaining, ticks, us)
        if new is not None:
            matching.reject_replacement(book, order, new, us)
    elif order.status == PENDING_CANCEL:
        for member in book.members(order):
            if member.is_open:
                book.move(member, CANCELED, us)
    else:
        matching.settle(book, order, _NO_TICK, us)
