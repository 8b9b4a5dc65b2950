"""Which bars are of regular hours. Alpaca's minute and hour bars run from 4:00 to 20:00 in New York."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from gambler_ai.core.model import NEW_YORK

_DAY_S = 86_400


@lru_cache(maxsize=4_096)
def _regular_s(day: int) -> tuple[int, int]:
    """9:30 and 16:00 in New York on a day, both in epoch seconds. Those hours are one date there and in UTC."""
    date = datetime.fromtimestamp(day * _DAY_S, UTC).date()
    edges = (datetime(date.year, date.month, date.day, *at, tzinfo=NEW_YORK) for at in ((9, 30), (16, 0)))
    opens, closes = (int(edge.timestamp()) for edge in edges)
    return opens, closes


def in_regular_hours(start_s: int, interval: timedelta) -> bool:
    """Does a bar that starts at ``start_s`` (epoch seconds) share time with 9:30 to 16:00? A day's bar always does.

    Thin bars after a 13:00 close are let through: what a strategy decides on them is denied, the market is closed.
    """
    opens, closes = _regular_s(start_s // _DAY_S)
    length_s = int(interval.total_seconds())
    return length_s >= _DAY_S or (start_s < closes and start_s + length_s > opens)
