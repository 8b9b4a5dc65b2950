"""How orders meet a tick: pure arithmetic over the book, no I/O and no clock (BEHAVIOUR 3 and 9)."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import Protocol

from gambler_ai.exchange.book import Book
from gambler_ai.exchange.hashing import chance
from gambler_ai.exchange.numbers import SHARE_STEP, to_decimal, to_price
from gambler_ai.exchange.orders import (
    ACCEPTED,
    BUY,
    CANCELED,
    ENTRY,
    EXPIRED,
    FILLED,
    HELD,
    LIMIT,
    NEW,
    OTO,
    PENDING_CANCEL,
    PENDING_NEW,
    STOP,
    STOP_LIMIT,
    STOP_LOSS,
    Order,
)

PARTIAL_FILL_CHANCE = 0.10  # BEHAVIOUR 9
_COLLAR_EDGE = 50
_COLLAR_LOW, _COLLAR_HIGH = Decimal("1.04"), Decimal("1.025")


class TickLike(Protocol):
    """What matching needs of a tick; prices in ten-thousandths."""

    @property
    def last(self) -> int: ...
    @property
    def bid(self) -> int: ...
    @property
    def ask(self) -> int: ...


def on_tick(book: Book, symbol: str, tick: TickLike, us: int) -> None:
    """Every open order of the symbol, oldest first. Legs that this tick wakes meet the next one."""
    for order in book.open_in(symbol):
        meet(book, order, tick, us)


def meet(book: Book, order: Order, tick: TickLike, us: int) -> None:
    """One order against one tick, in regular hours."""
    if not order.is_open:
        return
    if order.status == PENDING_CANCEL:  # asked for while the market was closed (BEHAVIOUR 3)
        book.move(order, CANCELED, us)
        return
    if order.waiting or us < order.fills_from_us:
        return
    if order.status in (ACCEPTED, PENDING_NEW):
        book.move(order, NEW, us)
    if order.type in (STOP, STOP_LIMIT) and not order.elected:
        if not _elects(order, tick):
            return
        _elect(book, order, us)
    limit = _limit_of(order)
    price = tick.ask if order.side == BUY else tick.bid
    if limit is None or (price <= limit if order.side == BUY else price >= limit):
        _execute(book, order, to_decimal(price), us)
    if order.time_in_force in ("ioc", "fok") and order.is_open:
        book.move(order, CANCELED, us)


def _elects(order: Order, tick: TickLike) -> bool:
    """Stops elect on the last trade (BEHAVIOUR 9)."""
    assert order.stop_price is not None
    stop = to_price(order.stop_price)
    return tick.last >= stop if order.side == BUY else tick.last <= stop


def _elect(book: Book, order: Order, us: int) -> None:
    """A held stop goes to the market; its take-profit ends, so the two can never fill twice over."""
    order.elected = True
    if order.status == HELD:
        book.move(order, NEW, us)
    book.touch(order)
    if order.role == STOP_LOSS:
        _end_others(book, order, CANCELED, us)


def _limit_of(order: Order) -> int | None:
    """A buy stop turns into a stop limit 4 % (under $50) or 2.5 % above its stop (BEHAVIOUR 9)."""
    if order.type in (LIMIT, STOP_LIMIT):
        assert order.limit_price is not None
        return to_price(order.limit_price)
    if order.type == STOP and order.side == BUY:
        assert order.stop_price is not None
        return to_price(order.stop_price * (_COLLAR_LOW if order.stop_price < _COLLAR_EDGE else _COLLAR_HIGH))
    return None


def _execute(book: Book, order: Order, price: Decimal, us: int) -> None:
    qty = _quantity(book, order, price, us)
    if qty <= 0:
        return
    book.fill(order, qty, price, us)
    if order.role == ENTRY:
        if order.status == FILLED and order.leg_ids:
            _wake_legs(book, order)
    elif order.status == FILLED:
        _end_others(book, order, CANCELED, us)
    else:
        _shrink_others(book, order, qty)


def _quantity(book: Book, order: Order, price: Decimal, us: int) -> Decimal:
    """Everything, but one time in ten a random part of the whole shares (BEHAVIOUR 9)."""
    if order.notional is not None:
        return (order.notional / price).quantize(SHARE_STEP, ROUND_DOWN)
    left = order.remaining
    if order.time_in_force != "fok" and left > 1 and chance(book.seed, "part", order.seq, us) < PARTIAL_FILL_CHANCE:
        return Decimal(1 + int(chance(book.seed, "size", order.seq, us) * (int(left) - 1)))
    return left


def _wake_legs(book: Book, entry: Order) -> None:
    """The entry is complete: the take-profit goes to work, a stop beside it stays held (BEHAVIOUR 3,
    "Classes").
    """
    for leg in book.legs(entry):
        leg.waiting = False
        if leg.role != STOP_LOSS or entry.order_class == OTO:
            assert entry.filled_us is not None
            book.move(leg, NEW, entry.filled_us)
        book.touch(leg)


def _end_others(book: Book, order: Order, status: str, us: int) -> None:
    for other in book.members(order):
        if other is not order and other.is_open:
            book.move(other, status, us)


def _shrink_others(book: Book, order: Order, qty: Decimal) -> None:
    """A partly filled take-profit leaves less for the stop to close (BEHAVIOUR 3)."""
    for other in book.members(order):
        if other is not order and other.is_open and other.qty is not None:
            other.qty -= qty
            book.touch(other)


def cancel(book: Book, order: Order, us: int, *, market_open: bool) -> None:
    """The order and the rest of its group end now, or at the next open when the market is closed (BEHAVIOUR
    3).
    """
    for member in book.members(order):
        if member.is_open and member.status != PENDING_CANCEL:
            book.move(member, CANCELED if market_open else PENDING_CANCEL, us)


def expire(book: Book, us: int) -> None:
    """At a close: what has reached its end expires, one whole group at a time."""
    for order in list(book.open_orders()):
        if order.is_open and order.expires_us <= us:
            for member in book.members(order):
                if member.is_open:
                    book.move(member, EXPIRED, us)
