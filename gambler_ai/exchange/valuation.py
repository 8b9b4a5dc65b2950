"""What the account was worth at earlier instants: its fills, splits and cash flows, at the prices of those instants.

Nothing is stored. One pass over what happened, forward in time; a price is asked for once an instant and held symbol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from gambler_ai.exchange.instants import new_york_us
from gambler_ai.exchange.numbers import ZERO
from gambler_ai.exchange.options.contracts import multiplier
from gambler_ai.exchange.prices.sessions import Session

if TYPE_CHECKING:
    from gambler_ai.exchange.exchange import Exchange


class _Move(NamedTuple):
    """Cash and shares or contracts of one symbol change; at one instant fills come first."""

    at_us: int
    place: int
    symbol: str
    cash: Decimal
    qty: Decimal


def _moves(exchange: Exchange) -> Iterator[_Move]:
    for fill in exchange.book.fills:
        value = fill.signed_qty * fill.price * multiplier(fill.symbol)
        yield _Move(fill.at_us, 0, fill.symbol, -value, fill.signed_qty)
    for activity in exchange.annals.activities:  # splits, exercise, expiry
        if activity.account_id == exchange.account_id:
            yield _Move(activity.at_us, activity.seq, activity.symbol, activity.net_amount, activity.qty)


def day_end_us(session: Session) -> int:
    """Midnight in New York after a session."""
    return new_york_us(session.day + timedelta(days=1), 0, 0)


class Valuation:
    """The account, moved from its beginning to now; an instant asked for must not lie before the last one."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._ahead = sorted(_moves(exchange), reverse=True)
        self._cash = exchange.book.account.cash - sum((move.cash for move in self._ahead), ZERO)
        self._held: dict[str, Decimal] = {}
        self._marks: dict[tuple[str, int], Decimal] = {}

    def at(self, us: int, priced_us: int) -> Decimal:
        """The equity of an instant, at the last trades by ``priced_us`` (of contracts, the middle of the quote)."""
        self._move_to(us)
        return self._equity(lambda symbol: self._mark(symbol, priced_us))

    def at_close(self, session: Session) -> Decimal:
        """The equity at the end of a session's day, at its official closes."""
        end_us = day_end_us(session)
        self._move_to(end_us)
        return self._equity(lambda symbol: self._exchange.mark(symbol, us=end_us, close=True))

    def _equity(self, mark: Callable[[str], Decimal]) -> Decimal:
        return self._cash + sum((qty * mark(symbol) * multiplier(symbol) for symbol, qty in self._held.items()), ZERO)

    def _move_to(self, us: int) -> None:
        while self._ahead and self._ahead[-1].at_us <= us:
            move = self._ahead.pop()
            self._cash += move.cash
            qty = self._held.pop(move.symbol, ZERO) + move.qty
            if qty:
                self._held[move.symbol] = qty

    def _mark(self, symbol: str, us: int) -> Decimal:
        found = self._marks.get((symbol, us))
        if found is None:
            found = self._marks[symbol, us] = self._exchange.mark(symbol, us=us)
        return found
