"""What the account was worth at earlier instants: its fills, splits and cash flows, at the prices of those instants.

Nothing is stored. One pass over what happened, forward in time; a price is asked for once an instant and held symbol.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING, NamedTuple

from gambler_ai.exchange.desk.expiry import moves_position
from gambler_ai.exchange.instants import new_york_us
from gambler_ai.exchange.numbers import SHARE_STEP, ZERO, to_decimal
from gambler_ai.exchange.options.contracts import is_option, multiplier
from gambler_ai.exchange.prices.sessions import Session

if TYPE_CHECKING:
    from gambler_ai.exchange.exchange import Exchange

_ONE = Decimal(1)


class _Move(NamedTuple):
    """Cash and shares of one symbol change; ``ratio`` is a split's. A fill of the same instant comes before a split."""

    at_us: int
    rank: int
    symbol: str
    cash: Decimal = ZERO
    qty: Decimal = ZERO
    ratio: Decimal = _ONE


def _moves(exchange: Exchange) -> Iterator[_Move]:
    for fill in exchange.book.fills:
        cash = -fill.signed_qty * fill.price * multiplier(fill.symbol)
        yield _Move(fill.at_us, 0, fill.symbol, cash, fill.signed_qty)
    for at_us, series, ratio in exchange.deeds.splits():
        for asset in exchange.market.assets.values():
            if asset.series == series:
                yield _Move(at_us, 1, asset.symbol, ratio=ratio)
    for activity in exchange.annals.activities:
        if activity.account_id == exchange.account_id:
            moved = activity.qty if moves_position(activity) else ZERO
            yield _Move(activity.at_us, 1, activity.symbol, activity.net_amount, moved)


def day_end_us(session: Session) -> int:
    """Midnight in New York after a session."""
    return new_york_us(session.day + timedelta(days=1), 0, 0)


class Valuation:
    """The account, moved from its beginning to now; an instant asked for must not lie before the last one."""

    def __init__(self, exchange: Exchange) -> None:
        self._market, self._options = exchange.market, exchange.options
        self._ahead = sorted(_moves(exchange), reverse=True)
        self._cash = exchange.book.account.cash - sum((move.cash for move in self._ahead), ZERO)
        self._held: dict[str, Decimal] = {}
        self._prices: dict[tuple[str, int], Decimal] = {}

    def at(self, us: int, priced_us: int) -> Decimal:
        """The equity of an instant, at the last trades by ``priced_us``."""
        self._move_to(us)
        return self._worth({symbol: self._price(symbol, priced_us) for symbol in self._held})

    def at_close(self, session: Session) -> Decimal:
        """The equity at the end of a session's day, at its official closes."""
        end_us = day_end_us(session)
        self._move_to(end_us)
        return self._worth({symbol: self._close(symbol, end_us) for symbol in self._held})

    def _worth(self, prices: Mapping[str, Decimal]) -> Decimal:
        held = ((qty * multiplier(symbol), symbol) for symbol, qty in self._held.items())
        return self._cash + sum((units * prices[symbol] for units, symbol in held), ZERO)

    def _close(self, symbol: str, end_us: int) -> Decimal:
        if is_option(symbol):
            return self._options.last_close(symbol, end_us)
        return to_decimal(self._market.last_close(symbol, end_us) or 0)

    def _move_to(self, us: int) -> None:
        while self._ahead and self._ahead[-1].at_us <= us:
            move = self._ahead.pop()
            self._cash += move.cash
            qty = self._held.pop(move.symbol, ZERO) + move.qty
            if move.ratio != 1:
                qty = (qty * move.ratio).quantize(SHARE_STEP, ROUND_DOWN)
            if qty:
                self._held[move.symbol] = qty

    def _price(self, symbol: str, us: int) -> Decimal:
        found = self._prices.get((symbol, us))
        if found is None:
            tick = None if is_option(symbol) else self._market.tick(symbol, us)
            price = self._options.mark(symbol, us) if is_option(symbol) else to_decimal(tick.last if tick else 0)
            found = self._prices[symbol, us] = price
        return found
