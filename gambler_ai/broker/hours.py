"""Which bars are of regular hours. Alpaca's minute and hour bars run from 4:00 to 20:00 in New York."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from gambler_ai.core.model import NEW_YORK

OPEN, CLOSE, EARLY_CLOSE = time(9, 30), time(16, 0), time(13, 0)
#: Half days that no rule gives.
_ONCE = frozenset({date(1997, 12, 26), date(1999, 12, 31), date(2003, 12, 26)})
#: With the Fourth on a Thursday the Wednesday before it is short; until then it was the Friday after it.
_WEDNESDAY_SINCE = 2013
_WED, _THU, _FRI = 2, 3, 4
_DAY_S = 86_400


def closes_early(day: date) -> bool:
    """Is this trading day a half day of New York's exchanges, which closes at 13:00?

    Before the Fourth of July, after Thanksgiving, before Christmas: by rule, from 1994 on. The broker's calendar says
    the same, but bars of the past are read when it does not answer, too.
    """
    weekday = day.weekday()
    if day.month == 7:
        around_thursday = (3, _WED) if day.year >= _WEDNESDAY_SINCE else (5, _FRI)
        return (day.day, weekday) == around_thursday or (day.day == 3 and weekday <= _THU and weekday != _WED)
    if day.month == 11:
        return weekday == _FRI and 23 <= day.day <= 29
    return ((day.month, day.day) == (12, 24) and weekday <= _THU) or day in _ONCE


@lru_cache(maxsize=4_096)
def _regular_s(day: int) -> tuple[int, int]:
    """The open and the close in New York on a day, both in epoch seconds. They are of one date there and in UTC."""
    found = datetime.fromtimestamp(day * _DAY_S, UTC).date()
    edges = OPEN, EARLY_CLOSE if closes_early(found) else CLOSE
    opens, closes = (int(datetime.combine(found, edge, NEW_YORK).timestamp()) for edge in edges)
    return opens, closes


def in_regular_hours(start_s: int, interval: timedelta) -> bool:
    """Does a bar that starts at ``start_s`` (epoch seconds) share time with the hours in which the exchanges are open,
    9:30 to 16:00 or, on a half day, 13:00? A day's bar always does.
    """
    opens, closes = _regular_s(start_s // _DAY_S)
    length_s = int(interval.total_seconds())
    return length_s >= _DAY_S or (start_s < closes and start_s + length_s > opens)
