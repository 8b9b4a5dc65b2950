"""Instants are whole microseconds since the epoch inside the exchange; this is the only place that formats
them.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from gambler_ai.errors import ConfigError

NEW_YORK = ZoneInfo("America/New_York")
SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 24 * 60 * MINUTE
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_us(instant: datetime) -> int:
    """Raises ConfigError for a naive datetime: an hour that belongs to no zone is a bug waiting."""
    if instant.tzinfo is None:
        raise ConfigError(f"{instant} has no time zone")
    return (instant - _EPOCH) // _MICROSECOND


def from_us(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)


def new_york(us: int) -> datetime:
    return from_us(us).astimezone(NEW_YORK)


def new_york_us(day: date, hour: int, minute: int) -> int:
    return to_us(datetime(day.year, day.month, day.day, hour, minute, tzinfo=NEW_YORK))


@lru_cache(maxsize=8_192)  # an order's instants are told at each reading of it
def rfc3339(us: int) -> str:
    """UTC, trailing zeros of the fraction trimmed (BEHAVIOUR 1)."""
    whole, fraction = divmod(us, SECOND)
    text = (_EPOCH + timedelta(seconds=whole)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{fraction:06d}".rstrip("0") + "Z" if fraction else text + "Z"


#: Between these all arithmetic on instants and days works; what a client asks for beyond them is drawn in.
FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2199, 12, 31)
_FIRST_US, _LAST_US = new_york_us(FIRST_DAY, 0, 0), new_york_us(LAST_DAY, 0, 0)


def parse_rfc3339(text: str) -> int:
    """RFC3339 with up to nine digits, or a date (midnight in New York); never before 1900 nor after 2199. Raises
    ValueError.
    """
    if len(text) == 10:
        return new_york_us(min(max(date.fromisoformat(text), FIRST_DAY), LAST_DAY), 0, 0)
    # A "+" of an offset that a client forgot to escape arrives as a space.
    instant = datetime.fromisoformat(text.strip().replace(" ", "+") if text[10:11] == "T" else text)
    us = to_us(instant if instant.tzinfo else instant.replace(tzinfo=UTC))
    return min(max(us, _FIRST_US), _LAST_US)
