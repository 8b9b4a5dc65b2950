"""How orders meet a tick: pure arithmetic over the book, no I/O and no clock (BEHAVIOUR 3 and 9)."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_DOWN, Decimal
from typing import Protocol

from gambler_ai.exchange.desk.accounts import held_for_orders
from gambler_ai.exchange.desk.book import Book
from gambler_ai.exchange.desk.events import ORDER_REPLACE_REJECTED
from gambler_ai.exchange.desk.orders import (
    ACCEPTED,
    BUY,
    CANCELED,
    CLS,
    ENTRY,
    EXPIRED,
    FILLED,
    FOK,
    HELD,
    IOC,
    LIMIT,
    NEW,
    OPG,
    OTO,
    PENDING_CANCEL,
    PENDING_NEW,
    PENDING_REPLACE,
    REJECTED,
    STOP,
    STOP_LIMIT,
    STOP_LOSS,
    STOPS,
    TRAILING_STOP,
    WORKING,
    Order,
)
from gambler_ai.exchange.desk.succession import succeed
from gambler_ai.exchange.desk.trailing import follow
from gambler_ai.exchange.hashing import chance
from gambler_ai.exchange.numbers import SHARE_STEP, ZERO, to_decimal, to_price

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


def on_tick(book: Book, symbol: str, tick: TickLike, us: int, *, extended: bool = False) -> None:
    """Every open order of the symbol, oldest first; outside regular hours only those that trade there (BEHAVIOUR 3,
    "Time in force, sessions"). Legs that this tick wakes meet the next one.
    """
    for order in book.open_in(symbol):
        if order.extended_hours or not extended:
            meet(book, order, tick, us)


def meet(book: Book, order: Order, tick: TickLike, us: int) -> None:
    """One order against one tick, in hours in which it trades."""
    if not order.is_open:
        return
    if order.status in (PENDING_CANCEL, PENDING_REPLACE):
        settle(book, order, tick, us)
        return
    if not _reaches_venue(book, order, us) or order.time_in_force == CLS:
        return
    if order.type in STOPS and not order.elected:
        if order.type == TRAILING_STOP and follow(order, to_decimal(tick.last)):
            book.touch(order)
        if not _elects(order, tick):
            return
        _elect(book, order, us)
    price = tick.ask if order.side == BUY else tick.bid
    if order.time_in_force != OPG and _marketable(order, price):
        _execute(book, order, to_decimal(price), us)
    if order.time_in_force in (IOC, FOK, OPG) and order.is_open:  # an order for the open that is over, too
        book.move(order, CANCELED, us)


def on_auction(book: Book, symbol: str, time_in_force: str, price: Decimal | None, us: int) -> None:
    """The orders for this auction fill at its print, whole, or are canceled (BEHAVIOUR 3; what paper does is not
    documented: Alpaca's pages say that what an auction leaves is canceled). None: there was no trade.
    """
    for order in book.open_in(symbol):
        if order.time_in_force != time_in_force or order.status in (PENDING_CANCEL, PENDING_REPLACE):
            continue
        if not _reaches_venue(book, order, us):
            continue
        if price is not None and _marketable(order, to_price(price)):
            book.fill(order, order.remaining, price, us)
        else:
            book.move(order, CANCELED, us)


def _reaches_venue(book: Book, order: Order, us: int) -> bool:
    """May it meet the market at all? An order that was on its way arrives."""
    if order.waiting or us < order.fills_from_us or _replaces_a_pending_one(book, order):
        return False
    if order.status in (ACCEPTED, PENDING_NEW):
        book.move(order, NEW, us)
    return True


def _marketable(order: Order, price: int) -> bool:
    limit = _limit_of(order)
    return limit is None or (price <= limit if order.side == BUY else price >= limit)


def settle(book: Book, order: Order, tick: TickLike, us: int) -> None:
    """The end of a pending status: what was asked for (BEHAVIOUR 3), or what a fault has in mind instead."""
    if us < order.pending_until_us:
        return
    new = book.orders[order.replaced_by] if order.status == PENDING_REPLACE and order.replaced_by else None
    if order.pending_ends == FILLED:
        fill_whole(book, order, to_decimal(tick.ask if order.side == BUY else tick.bid), us)
    elif new is None:
        book.move(order, CANCELED, us)
        return
    elif not order.pending_ends:
        grown = (new.qty or ZERO) - order.remaining
        succeed(book, order, new, us)
        for leg in book.legs(new) if new.role == ENTRY else ():
            leg.qty = (leg.qty or ZERO) + grown
        if new.status != HELD:
            book.move(new, NEW, us)
        return
    else:
        book.move(order, order.before_pending, us)
    if new is not None:
        reject_replacement(book, order, new, us)


def reject_replacement(book: Book, order: Order, new: Order, us: int) -> None:
    order.replaced_by, order.pending_ends = None, ""
    book.touch(order)
    book.events.note(order, book.legs(order), ORDER_REPLACE_REJECTED)
    if new.is_open:
        book.move(new, REJECTED, us)


def _replaces_a_pending_one(book: Book, order: Order) -> bool:
    return order.replaces is not None and book.orders[order.replaces].status == PENDING_REPLACE


def fill_whole(book: Book, order: Order, price: Decimal, us: int) -> None:
    """All that is left of an order, whatever its terms."""
    if order.status in (HELD, PENDING_NEW, ACCEPTED):
        book.move(order, NEW, us)
    book.fill(order, order.remaining, price, us)
    _after_fill(book, order, us)


def hold(book: Book, orders: Iterable[Order], status: str, us: int, until_us: int) -> None:
    """The orders come to a pending status, and stay in it until an instant at least."""
    for order in list(orders):
        if order.is_open and order.status != status:
            order.pending_until_us = until_us
            book.move(order, status, us)


def reject(book: Book, order: Order, us: int) -> None:
    """The venue does not take it after all; its legs end with it."""
    for leg in book.legs(order):
        book.move(leg, CANCELED, us)
    book.move(order, REJECTED, us)


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
    """A buy stop turns into a stop limit 4 % (under $50) or 2.5 % above its stop (BEHAVIOUR 9); a trailing stop into a
    market order.
    """
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
    if order.role != ENTRY and order.status != FILLED:
        _shrink_others(book, order, qty)
    else:
        _after_fill(book, order, us)


def _after_fill(book: Book, order: Order, us: int) -> None:
    """A complete fill wakes the legs of an entry, and ends the other exit of a pair."""
    if order.status != FILLED:
        return
    if order.role != ENTRY:
        _end_others(book, order, CANCELED, us)
    elif order.leg_ids:
        _wake_legs(book, order)


def _quantity(book: Book, order: Order, price: Decimal, us: int) -> Decimal:
    """Everything, but one time in ten a random part of the whole shares (BEHAVIOUR 9)."""
    if order.notional is not None and order.qty is None:
        wanted = (order.notional / price).quantize(SHARE_STEP, ROUND_DOWN)
        return wanted if order.reserve_price else min(wanted, _free_for(book, order))
    left = order.remaining
    if order.time_in_force != FOK and left > 1 and chance(book.seed, "part", order.seq, us) < PARTIAL_FILL_CHANCE:
        return Decimal(1 + int(chance(book.seed, "size", order.seq, us) * (int(left) - 1)))
    return left


def _free_for(book: Book, order: Order) -> Decimal:
    """What no other order holds of the position."""
    position = book.position_qty(order.symbol)
    held, _ = held_for_orders(position, [other for other in book.open_in(order.symbol) if other is not order])
    return max(abs(position) - held, ZERO)


def _wake_legs(book: Book, entry: Order) -> None:
    """The entry is complete: the take-profit goes to work, a stop beside it stays held (BEHAVIOUR 3, "Classes"). They
    close what no other exit holds: one may have been set for a part of the entry.
    """
    assert entry.filled_us is not None
    free = _free_for(book, entry)
    for leg in book.legs(entry):
        leg.waiting = False
        leg.qty = min(leg.qty or ZERO, free)
        if not free:
            book.move(leg, CANCELED, entry.filled_us)
        elif leg.role != STOP_LOSS or entry.order_class == OTO:
            book.move(leg, NEW, entry.filled_us)
        book.touch(leg)


def _end_others(book: Book, order: Order, status: str, us: int) -> None:
    """A fault may let the other exit fill with it, in a market too fast for the venue (BEHAVIOUR 10.11)."""
    others = [other for other in book.members(order) if other is not order and other.is_open]
    both = bool(others) and book.exits_race(order.symbol)
    for other in others:
        price = other.limit_price or other.stop_price
        if both and price is not None and other.status in (HELD, *WORKING):
            if other.status == HELD:
                book.move(other, NEW, us)
            book.fill(other, other.remaining, price, us)
        else:
            _finish(book, other, status, us)


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
    if market_open:
        end(book, order, us)
        return
    for member in book.members(order):
        if member.is_open and member.status != PENDING_CANCEL:
            book.move(member, PENDING_CANCEL, us)


def end(book: Book, order: Order, us: int) -> None:
    """The order and the rest of its group are canceled now; what a fault holds is held."""
    for member in book.members(order):
        if member.is_open and member.pending_until_us <= us:
            _finish(book, member, CANCELED, us)


def _finish(book: Book, order: Order, status: str, us: int) -> None:
    """The end of an order that does not come from the market; a replacement that waits for it ends with it."""
    new = book.orders[order.replaced_by] if order.status == PENDING_REPLACE and order.replaced_by else None
    book.move(order, status, us)
    if new is not None and new.is_open:
        order.replaced_by = None
        book.move(new, REJECTED, us)


def expire(book: Book, us: int) -> None:
    """At a close: what has reached its end expires, one whole group at a time."""
    for order in list(book.open_orders()):
        if order.is_open and order.expires_us <= us:
            for member in book.members(order):
                if member.is_open:
                    _finish(book, member, EXPIRED, us)
