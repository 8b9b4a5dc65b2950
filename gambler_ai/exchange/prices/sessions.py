"""When the market is open. The days of the shipped bars are the sessions; outside them the real calendar
answers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from datetime import date, timedelta
from functools import cache
from typing import Any, NamedTuple

from gambler_ai.exchange.instants import MINUTE, new_york, new_york_us

# 13:00 closes between the first and the last shipped day, taken from exchange_calendars once (a test
# compares), because opening that calendar costs a second that every start of the embedded exchange would
# pay.
_EARLY = """
    2000-07-03 2000-11-24 2001-07-03 2001-11-23 2001-12-24 2002-07-05 2002-11-29 2002-12-24
    2003-07-03 2003-11-28 2003-12-24 2003-12-26 2004-11-26 2005-11-25 2006-07-03 2006-11-24
    2007-07-03 2007-11-23 2007-12-24 2008-07-03 2008-11-28 2008-12-24 2009-11-27 2009-12-24
    2010-11-26 2011-11-25 2012-07-03 2012-11-23 2012-12-24
"""
EARLY_CLOSES = frozenset(_EARLY.split())
CALENDAR_FIRST, CALENDAR_LAST = (
    date(2000, 1, 3),
    date(2029, 12, 31),
)  # sessions both; what /v2/calendar can tell


PRE_MARKET, REGULAR, AFTER_HOURS, CLOSED = "pre-market", "regular", "after-hours", "closed"
REGULAR_MINUTES, EARLY_MINUTES = 390, 210
_PRE_MARKET = 330 * MINUTE  # from 4:00 to 9:30
_AFTER_HOURS = 240 * MINUTE  # from 16:00 to 20:00; after a 13:00 close to 17:00, as Alpaca's calendar has it


class Session(NamedTuple):
    """One trading day; ``start_us`` is midnight in New York, when its figures roll over. The regular session opens at
    ``open_us`` and closes at ``close_us``; ``session_open_us`` and ``session_close_us`` are the edges of what is around
    it, pre-market and after-hours (BEHAVIOUR 2, "calendar").
    """

    day: date
    start_us: int
    open_us: int
    close_us: int
    minutes: int

    @property
    def session_open_us(self) -> int:
        return self.open_us - _PRE_MARKET

    @property
    def session_close_us(self) -> int:
        return self.close_us + _AFTER_HOURS

    def phase(self, us: int) -> str:
        """``pre-market``, ``regular``, ``after-hours`` or ``closed``. An edge belongs to what begins there."""
        if self.open_us <= us < self.close_us:
            return REGULAR
        if us < self.session_open_us or us >= self.session_close_us:
            return CLOSED
        return PRE_MARKET if us < self.open_us else AFTER_HOURS


def make_session(day: date, *, early: bool) -> Session:
    open_us = new_york_us(day, 9, 30)
    minutes = EARLY_MINUTES if early else REGULAR_MINUTES
    return Session(day, new_york_us(day, 0, 0), open_us, open_us + minutes * MINUTE, minutes)


@cache
def _real_calendar() -> Any:
    """XNYS; imported here because it takes a second. The bounds keep it from reading the wall clock."""
    import exchange_calendars

    return exchange_calendars.get_calendar("XNYS", start=str(CALENDAR_FIRST), end=str(CALENDAR_LAST))


def real_sessions(first: date, last: date) -> list[Session]:
    """New York's trading days from ``first`` to ``last``, both included, as the real calendar has them."""
    calendar = _real_calendar()
    early = {stamp.date() for stamp in calendar.early_closes}
    found = [stamp.date() for stamp in calendar.sessions_in_range(str(first), str(last))]
    return [make_session(day, early=day in early) for day in found]


class Sessions:
    """The sessions that have prices, in order, and the real calendar around them."""

    def __init__(self, days: Sequence[date], early: Collection[str] = EARLY_CLOSES) -> None:
        """``early`` are the days, as ISO text, that close at 13:00."""
        self.days = list(days)
        self._early = early
        self._cache: dict[int, Session] = {}

    def session(self, index: int) -> Session:
        found = self._cache.get(index)
        if found is None:
            day = self.days[index]
            found = self._cache[index] = make_session(day, early=day.isoformat() in self._early)
        return found

    def on(self, day: date) -> Session:
        """Raises ValueError when there is none that day."""
        index = bisect_left(self.days, day)
        if self.days[index : index + 1] != [day]:
            raise ValueError(f"{day} is no trading day of this market")
        return self.session(index)

    def first_index_closing_after(self, us: int) -> int | None:
        """The session under way or next at ``us``; None when the prices have ended."""
        index = bisect_left(self.days, new_york(us).date())
        if index < len(self.days) and self.session(index).close_us <= us:
            index += 1
        return index if index < len(self.days) else None

    def first_index_ending_after(self, us: int) -> int | None:
        """As ``first_index_closing_after``, but a day lasts until the end of its after-hours."""
        index = bisect_left(self.days, new_york(us).date())
        if index < len(self.days) and self.session(index).session_close_us <= us:
            index += 1
        return index if index < len(self.days) else None

    def last_index_opened_by(self, us: int, *, extended: bool = False) -> int | None:
        """The newest session that has opened by ``us``, or its pre-market if ``extended``; None before the first."""
        index = bisect_left(self.days, new_york(us).date() + timedelta(days=1)) - 1
        if index >= 0:
            session = self.session(index)
            if (session.session_open_us if extended else session.open_us) > us:
                index -= 1
        return index if index >= 0 else None

    def is_open(self, us: int) -> bool:
        """In regular hours?"""
        return self.phase(us) == REGULAR

    def phase(self, us: int) -> str:
        """What part of a trading day ``us`` lies in: see ``Session.phase``."""
        index = self.first_index_ending_after(us)
        return CLOSED if index is None else self.session(index).phase(us)

    def closed_for_good(self, us: int) -> bool:
        """No regular session comes any more."""
        return us >= self.session(len(self.days) - 1).close_us

    def between(self, first: date, last: date) -> list[Session]:
        """The sessions from ``first`` to ``last``, both included, wherever they are."""
        first, last = max(first, CALENDAR_FIRST), min(last, CALENDAR_LAST)
        if first > last:
            return []
        if self.days[0] <= first and last <= self.days[-1]:
            low, high = bisect_left(self.days, first), bisect_left(self.days, last + timedelta(days=1))
            return [self.session(index) for index in range(low, high)]
        return real_sessions(first, last)

    def next_open_and_close(self, us: int) -> tuple[int, int]:
        """Strictly after ``us``. Beyond the prices these are the real calendar's (BEHAVIOUR 2)."""
        today = new_york(us).date()
        ahead = self.between(today, today + timedelta(days=14))
        if not ahead:  # before or after everything the calendar knows
            edge = max(CALENDAR_FIRST, min(today, CALENDAR_LAST - timedelta(days=14)))
            ahead = self.between(edge, edge + timedelta(days=14))
        opens = [session.open_us for session in ahead if session.open_us > us]
        closes = [session.close_us for session in ahead if session.close_us > us]
        return (opens or [ahead[-1].open_us])[0], (closes or [ahead[-1].close_us])[0]
