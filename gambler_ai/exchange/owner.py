"""What the account's owner does by hand, somewhere else: orders that no runner sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gambler_ai.exchange.desk.accounts import Margins
from gambler_ai.exchange.desk.book import Book
from gambler_ai.exchange.desk.desk import Desk
from gambler_ai.exchange.desk.orders import HELD, PENDING_CANCEL, PENDING_REPLACE, Order
from gambler_ai.exchange.refusal import Refusal, not_found

EVERYTHING = "all"


def act(desk: Desk, book: Book, row: Mapping[str, Any], now_us: int, figures: Callable[[], Margins]) -> str:
    """Do what a line of kind ``hand`` says. Returns what came of it: the owner may be refused like anybody else."""
    try:
        if "order" in row:
            _, order = desk.submit(row["order"], now_us, figures)
            return f"order {order.id}: {order.status}"
        if "cancel" in row:
            return _cancel(desk, book, row["cancel"], now_us)
        if "replace" in row:
            return _replace(desk, book, row, now_us, figures)
        return _close(desk, book, row["close"], now_us, figures)
    except Refusal as refusal:
        return f"refused {refusal.code}: {refusal.message}"


def _named(book: Book, name: str) -> Iterable[Order]:
    """The open orders that a symbol, an id of either kind or "all" stands for, oldest first."""
    found = [o for o in book.open_orders() if name in (EVERYTHING, o.symbol, o.id, o.client_order_id)]
    if not found:
        raise not_found(f"no open order for {name}")
    return sorted(found, key=lambda order: order.seq)


def _cancel(desk: Desk, book: Book, name: str, now_us: int) -> str:
    count = 0
    for order in _named(book, name):
        if order.is_open and order.status not in (PENDING_CANCEL, PENDING_REPLACE):
            desk.cancel(order, now_us)
            count += 1
    return f"canceled {count}"


def _replace(desk: Desk, book: Book, row: Mapping[str, Any], now_us: int, figures: Callable[[], Margins]) -> str:
    """The oldest order that it names and that has the price to be changed."""
    changes = dict(row["changes"])
    orders = [
        order for order in _named(book, row["replace"])
        if ("stop_price" not in changes or order.stop_price is not None)
        and ("limit_price" not in changes or order.limit_price is not None)
    ]  # fmt: skip
    if not orders:
        raise not_found(f"no open order for {row['replace']} has such a price")
    chosen = next((order for order in orders if order.status != HELD), orders[0])
    _, new = desk.replace(chosen, changes, now_us, figures)
    return f"replaced {chosen.id} by {new.id}"


def _close(desk: Desk, book: Book, name: str, now_us: int, figures: Callable[[], Margins]) -> str:
    """Cancel what holds the shares, then sell them at the market."""
    symbols = sorted(book.positions) if name == EVERYTHING else [name.upper()]
    for symbol in symbols:
        if book.open_in(symbol):
            _cancel(desk, book, symbol, now_us)
        desk.submit(desk.close_payload(symbol, None, None), now_us, figures)
    return f"closed {', '.join(symbols)}"
