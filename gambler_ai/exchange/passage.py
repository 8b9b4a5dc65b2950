"""What the market does to the account between two instants: ticks, auctions, ends of orders, new days."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gambler_ai.exchange.desk import expiry, matching
from gambler_ai.exchange.desk.orders import CLS, OPG
from gambler_ai.exchange.numbers import ZERO, to_decimal
from gambler_ai.exchange.options.grid import tick_instant, ticks_until
from gambler_ai.exchange.prices.market import Tick
from gambler_ai.exchange.prices.sessions import Session

if TYPE_CHECKING:
    from gambler_ai.exchange.exchange import Exchange

_AFTER_STOCKS = "~"  # sorts behind every symbol


class Passage:
    """The passing of time for one exchange. It moves ``now_us``."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def to(self, target: int) -> None:
        """Up to ``target``, that instant included. Orders end at their own instant, which is not always a close."""
        exchange = self._exchange
        while exchange.now_us < target:
            book = exchange.book
            ends = (order.expires_us for order in book.open_orders() if order.expires_us > exchange.now_us)
            stop = min(min(ends, default=target), target)
            index = exchange.market.sessions.first_index_ending_after(exchange.now_us)
            if index is None or not (book.open or book.positions):
                self._skip(stop)
            else:
                self._live_through(exchange.market.sessions.session(index), stop)
            matching.expire(book, exchange.now_us)

    def _skip(self, target: int) -> None:
        """Nothing is open and nothing held (or the data have ended): only the day may change."""
        exchange = self._exchange
        sessions, book = exchange.market.sessions, exchange.book
        index = sessions.last_index_opened_by(target)
        if index is not None and sessions.session(index).start_us > exchange.now_us and not book.positions:
            book.roll_over(book.account.cash, ZERO, ZERO)
        exchange.now_us = target

    def _live_through(self, session: Session, target: int) -> None:
        """From now to the end of the day's after-hours, or to ``target`` if that is sooner; that instant included."""
        exchange = self._exchange
        if exchange.now_us < session.start_us:
            exchange.now_us = min(target, session.start_us)
            if target < session.start_us:
                return
            self._roll_over()
        for edge in (session.open_us - 1, session.open_us, session.close_us - 1, session.close_us, target):
            end = min(edge, target, session.session_close_us)
            if end <= exchange.now_us:
                continue
            if end == session.open_us:
                self._auction(OPG, session, end)
            self._run_ticks(session, end)
            exchange.now_us = end
            if end == session.close_us:
                self._auction(CLS, session, end)
                self._expire_contracts(session)

    def _expire_contracts(self, session: Session) -> None:
        """What is in the money changes hands (`desk.expiry`), when the orders of the day are over."""
        exchange = self._exchange
        matching.expire(exchange.book, session.close_us)
        expiry.settle(exchange.book, exchange.annals, exchange.account_id, session, exchange.options.spot)

    def _roll_over(self) -> None:
        exchange = self._exchange
        found = exchange.margins(closes=True)
        exchange.book.roll_over(found.equity, found.maintenance, found.gross_cost, found.options)

    def _auction(self, time_in_force: str, session: Session, us: int) -> None:
        """The official print of the open or the close, for the orders that are only good for it."""
        exchange = self._exchange
        for symbol in sorted(exchange.book.open):
            if any(order.time_in_force == time_in_force for order in exchange.book.open_in(symbol)):
                bar = exchange.market.daily_bar(symbol, session)
                price = None if bar is None else to_decimal(bar.open if time_in_force == OPG else bar.close)
                matching.on_auction(exchange.book, symbol, time_in_force, price, us)

    def _run_ticks(self, session: Session, end: int) -> None:
        """Each tick in turn, for the symbols with open orders only."""
        book, options = self._exchange.book, self._exchange.desk.options
        stocks = (self._ticks(name, session, end) for name in book.open if name in self._exchange.market.assets)
        contracts = self._contract_ticks(session, end) if options.has_orders else ()
        for at_us, symbol, tick in heapq.merge(*stocks, contracts):
            if isinstance(tick, int):
                options.on_tick(session, tick, at_us)
            elif symbol in book.open:
                matching.on_tick(book, symbol, tick, at_us, extended=not tick.regular)
            if not book.open:
                return

    def _contract_ticks(self, session: Session, end: int) -> Iterator[tuple[int, str, Tick | int]]:
        """The ticks of regular hours by their number, for orders for contracts; after the stocks of that instant."""
        for place in range(ticks_until(session, self._exchange.now_us), ticks_until(session, end)):
            yield tick_instant(session, place), _AFTER_STOCKS, place

    def _ticks(self, symbol: str, session: Session, end: int) -> Iterator[tuple[int, str, Tick | int]]:
        """At one instant the symbols meet their ticks in the order of their names."""
        exchange = self._exchange
        begin = exchange.now_us
        outside = end < session.open_us or begin >= session.close_us
        if outside and not any(order.extended_hours for order in exchange.book.open_in(symbol)):
            return
        for tick in exchange.market.ticks(symbol, session, begin, end):
            yield tick.at_us, symbol, tick
