"""What the account may owe on the contracts of an underlying, open orders included, and which shares stand for it."""

from __future__ import annotations

from decimal import Decimal

from gambler_ai.exchange.desk.accounts import held_for_orders
from gambler_ai.exchange.desk.book import Book
from gambler_ai.exchange.desk.collateral import by_underlying, cover_of
from gambler_ai.exchange.desk.orders import MLEG_LEG, SELL, Order
from gambler_ai.exchange.numbers import ZERO
from gambler_ai.exchange.options.contracts import Contract


def exposure(book: Book, underlying: str, *, without: Order | None = None) -> dict[Contract, Decimal]:
    """The contracts of an underlying as if the worst of what is open had filled: all that is sold, and what is bought
    only where it fills together with it.
    """
    holdings = [(position.symbol, position.qty) for position in book.positions.values()]
    for order in book.open_orders():
        if order is without or (without is not None and order.parent_id == without.id):
            continue
        if order.side == SELL:
            holdings.append((order.symbol, -order.remaining))
        elif order.role == MLEG_LEG:
            holdings.append((order.symbol, order.remaining))
    return by_underlying(holdings).get(underlying, {})


def shares_covering(book: Book, symbol: str) -> Decimal:
    """How many shares of a stock cover calls that are short or are being sold."""
    return cover_of(exposure(book, symbol)).shares


def free_shares(book: Book, symbol: str) -> Decimal:
    """Shares that are there to cover a call: those that no open sell order holds."""
    qty = book.position_qty(symbol)
    return max(qty - held_for_orders(qty, book.open_in(symbol))[0], ZERO) if qty > 0 else ZERO
