"""On which days contracts expire, and since when they are listed.

A contract expires at the close of a Friday, or of the session before it if that Friday is a holiday. The third
Friday of a month is a monthly expiry, listed 52 weeks ahead; each other Friday is a weekly one, listed eight weeks
ahead. It is the rule of today, whatever the year: before 2015 the symbol of a monthly contract named the Saturday, and
there were no weekly options before 2005. Nothing expires after the last day that has prices.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import date, timedelta

MONTHLY_AHEAD, WEEKLY_AHEAD = timedelta(weeks=52), timedelta(weeks=8)
_FRIDAY, _WEEK = 4, timedelta(days=7)


def _friday_of(day: date) -> date:
    """The Friday of its week, Monday to Sunday."""
    return day + timedelta(days=_FRIDAY - day.weekday())


def is_monthly(expiry: date) -> bool:
    """Does it stand for the third Friday of its month?"""
    return 15 <= _friday_of(expiry).day <= 21


def first_listed(expiry: date) -> date:
    """The day from which contracts of this expiry are listed."""
    return expiry - (MONTHLY_AHEAD if is_monthly(expiry) else WEEKLY_AHEAD)


def expiry_in_week(days: Sequence[date], friday: date) -> date | None:
    """The session on which the contracts of this Friday expire; None where the data have none."""
    place = bisect_right(days, friday) - 1
    if place < 0 or days[place] <= friday - timedelta(days=_FRIDAY + 1) or friday > _friday_of(days[-1]):
        return None
    if friday > days[-1] and days[-1] == days[place]:  # the data end in the middle of the week
        return None
    return days[place]


def is_expiry(days: Sequence[date], day: date) -> bool:
    return expiry_in_week(days, _friday_of(day)) == day


def listed_expiries(days: Sequence[date], today: date) -> list[date]:
    """The expiries that are listed on a day, that day's own included, in order."""
    found = []
    friday = _friday_of(today)
    while friday <= today + MONTHLY_AHEAD + _WEEK:
        expiry = expiry_in_week(days, friday)
        if expiry is not None and first_listed(expiry) <= today <= expiry:
            found.append(expiry)
        friday += _WEEK
    return found


def expiries_between(days: Sequence[date], first: date, last: date) -> list[date]:
    """All expiries from ``first`` to ``last``, both included."""
    first, last = max(first, days[0]), min(last, days[-1])
    place = bisect_left(days, first)
    if place == len(days) or first > last:
        return []
    fridays = (_friday_of(first) + _WEEK * week for week in range((last - first).days // 7 + 2))
    found = (expiry_in_week(days, friday) for friday in fridays)
    return [expiry for expiry in found if expiry is not None and first <= expiry <= last]
