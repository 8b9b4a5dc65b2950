"""A split: positions change, open orders as the plan says, and the list of activities gets two rows a position.

FINRA's rule 5330, as Alpaca's documents follow it: resting orders of a forward split are adjusted (an order that was
"updated due to a market event" is `replaced`), those of a reverse split are canceled. DNR does not exist there. Real
accounts have seen quantities changed and prices left (alpaca-py issue 469): ``qty_only``.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal

from msgspec.structs import replace

from gambler_ai.exchange.annals import Activity, Annals
from gambler_ai.exchange.desk import matching
from gambler_ai.exchange.desk.book import Book
from gambler_ai.exchange.desk.orders import CANCELED, PENDING_CANCEL, PENDING_REPLACE, Order
from gambler_ai.exchange.desk.succession import announce, succeed
from gambler_ai.exchange.desk.trailing import stop_behind
from gambler_ai.exchange.faults.deeds import ADJUST, CANCEL, LEAVE
from gambler_ai.exchange.hashing import make_uuid
from gambler_ai.exchange.instants import new_york
from gambler_ai.exchange.numbers import CENT, MARKET_STEP, ZERO, plain, rounded


def split_account(book: Book, annals: Annals, account_id: str, symbol: str, ratio: Decimal, us: int) -> None:
    """The position, and its two activities. Cash does not move: parts of a share stay."""
    position = book.positions.get(symbol)
    if position is None:
        return
    old = position.qty
    position.split(ratio)
    book.changed_positions.add(symbol)
    if not position.qty:
        del book.positions[symbol]
    stamp = new_york(us)
    group = make_uuid(account_id, "split", symbol, us)
    for qty in (-old, position.qty):
        seq = len(annals.activities) + 1
        annals.activities.append(
            Activity(
                seq=seq, id=f"{stamp:%Y%m%d%H%M%S}{stamp.microsecond // 1000:03d}::{make_uuid(group, seq)}",
                group=group, account_id=account_id, at_us=us, type="SPLIT",
                sub_type="FSPLIT" if ratio > 1 else "RSPLIT", symbol=symbol, qty=qty,
                description=f"{symbol} split {plain(ratio)} for 1",
            )
        )  # fmt: skip


def split_orders(book: Book, symbol: str, ratio: Decimal, treatment: str, us: int) -> None:
    """Open orders, as ``treatment`` says; "" is the rule for splits of this direction."""
    treatment = treatment or (ADJUST if ratio > 1 else CANCEL)
    if treatment == LEAVE:
        return
    for order in book.open_in(symbol):
        if not order.is_open:
            continue
        if order.qty is None:  # an amount of money is what it was
            order.hold_qty *= ratio
            book.touch(order)
            continue
        if treatment == CANCEL or order.status in (PENDING_CANCEL, PENDING_REPLACE):
            matching.end(book, order, us)
        else:
            _adjust(book, order, ratio, ratio if treatment == ADJUST else Decimal(1), us)


def _adjust(book: Book, order: Order, ratio: Decimal, by: Decimal, us: int) -> None:
    """A new order of as many more shares, at prices that ``by`` divides, in the place of the old one."""
    whole = Decimal(1) if order.remaining % 1 == 0 else Decimal("0.000000001")
    qty = (order.remaining * ratio).quantize(whole, ROUND_DOWN)
    if not qty:
        book.move(order, CANCELED, us)
        return
    seq = book.next_seq
    new = replace(
        order, seq=seq, id=book.new_id("order", seq), client_order_id=book.new_id("client", seq), created_us=us,
        updated_us=us, qty=qty, filled_qty=ZERO, filled_value=ZERO, limit_price=_price(order.limit_price, by),
        stop_price=_price(order.stop_price, by), reserve_price=order.reserve_price / by,
        trail_price=_price(order.trail_price, by),
    )  # fmt: skip
    if order.hwm is not None:
        new.hwm = rounded(order.hwm / by, MARKET_STEP)
        new.stop_price = stop_behind(new.side, new.hwm, new.trail_price, new.trail_percent)
    announce(book, order, new)
    succeed(book, order, new, us)


def _price(price: Decimal | None, by: Decimal) -> Decimal | None:
    if price is None or by == 1:
        return price
    return rounded(price / by, CENT if price / by >= 1 else MARKET_STEP)
