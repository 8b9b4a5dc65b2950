"""The pattern-day-trader rule that ended in June 2026 (BEHAVIOUR 2), for accounts that are to meet it still.

A day trade is what was opened and, later on the same day of New York, closed: in one symbol as often as the executions
turn from opening to closing (FINRA 21-13). What was held overnight may be sold, until more of it is bought. All of it
follows from the fills, so no crash loses a count.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from gambler_ai.exchange.desk.book import Book
from gambler_ai.exchange.instants import new_york
from gambler_ai.exchange.prices.sessions import Sessions
from gambler_ai.exchange.refusal import Refusal

EQUITY_MIN = Decimal(25_000)  # at the last close; who has it may trade as often as he likes
TRADES_MAX, SESSIONS = 3, 5  # so many day trades in so many sessions, today's among them; the next one is a pattern
_OPENING = "_to_open"


class DayTrades:
    """The day trades of one account. Where the rule is not ``enforced`` there are none, and nothing is refused."""

    def __init__(self, book: Book, sessions: Sessions, *, enforced: bool = False) -> None:
        self.enforced = enforced
        self._book = book
        self._sessions = sessions
        self._made: list[date] = []  # the day of each, oldest first
        self._opened: dict[str, date] = {}  # symbol -> when it was last opened and not closed since
        self._seen = 0

    def count(self, now_us: int) -> int:
        """How many were made in the last five sessions, today's included."""
        today = new_york(now_us).date()
        return sum(self._apart(day, today) < SESSIONS for day in self._follow())

    @property
    def is_pattern(self) -> bool:
        """Have there ever been more than three in five sessions?"""
        made = self._follow()
        return any(self._apart(*pair) < SESSIONS for pair in zip(made, made[TRADES_MAX:], strict=False))

    def check(self, moves: Iterable[tuple[str, str]], now_us: int, *, brings_exits: bool = False) -> None:
        """The symbols of an order and what it does to each. An entry could be closed today, so it counts as one; of
        what rests, each symbol that an entry of today and an open exit could make a day trade of (BEHAVIOUR 2 has the
        number only; what counts is Alpaca's page of the time). An order that takes another's place makes no more of
        them, and is not asked. Raises Refusal.
        """
        account = self._book.account
        if not self.enforced or account.last_equity >= EQUITY_MIN:
            return
        made, today = self.count(now_us), new_york(now_us).date()
        entered, leaving = self._resting()
        entered |= {symbol for symbol, day in self._opened.items() if day == today}
        entries = {symbol for symbol, intent in moves if intent.endswith(_OPENING)}
        exits = ({symbol for symbol, _ in moves} - entries) & entered
        could = len(entered & (leaving | exits)) + len(entries)
        setting = account.settings.pdt_check
        looked_at = (setting != "exit" and entries) or (setting != "entry" and (exits or brings_exits))
        if looked_at and made + could > TRADES_MAX:
            raise Refusal(403, 40310100, "trade denied due to pattern day trading protection")

    def _resting(self) -> tuple[set[str], set[str]]:
        """The symbols that open orders enter, and those that they leave."""
        entered: set[str] = set()
        leaving: set[str] = set()
        for order in self._book.open_orders():
            (entered if order.position_intent.endswith(_OPENING) else leaving).add(order.symbol)
        return entered, leaving

    def _follow(self) -> list[date]:
        """Take in the fills that are new since the last look."""
        book = self._book
        for fill in book.fills[self._seen :] if self.enforced else ():
            day = new_york(fill.at_us).date()
            if book.orders[fill.order_id].position_intent.endswith(_OPENING):
                self._opened[fill.symbol] = day
            elif self._opened.pop(fill.symbol, None) == day:
                self._made.append(day)
        self._seen = len(book.fills)
        return self._made

    def _apart(self, first: date, last: date) -> int:
        """How many sessions lie between the two days; 0 for the same."""
        days = self._sessions.days
        return bisect_right(days, last) - bisect_right(days, first)
