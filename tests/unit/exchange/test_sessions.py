"""The days of the data are the real sessions, and the real calendar answers around them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from gambler_ai.exchange.instants import to_us
from gambler_ai.exchange.prices.daily import market_days
from gambler_ai.exchange.prices.sessions import EARLY_CLOSES, Sessions, _real_calendar

SESSIONS = Sessions(market_days())


def us(text: str) -> int:
    return to_us(datetime.fromisoformat(text).replace(tzinfo=UTC))


def test_days_and_early_closes_are_those_of_the_real_calendar():
    calendar = _real_calendar()
    real = [stamp.date() for stamp in calendar.sessions_in_range(str(SESSIONS.days[0]), str(SESSIONS.days[-1]))]
    assert real == SESSIONS.days
    early = {str(stamp.date()) for stamp in calendar.early_closes if stamp.date() in set(SESSIONS.days)}
    assert early == EARLY_CLOSES
    for index in range(0, len(SESSIONS.days), 50):
        session = SESSIONS.session(index)
        assert session.open_us == to_us(calendar.session_open(str(session.day)).to_pydatetime())
        assert session.close_us == to_us(calendar.session_close(str(session.day)).to_pydatetime())


@pytest.mark.parametrize(
    ("instant", "is_open", "next_open", "next_close"),
    [
        ("2007-11-13T14:29:59", False, "2007-11-13T14:30:00", "2007-11-13T21:00:00"),
        ("2007-11-13T14:30:00", True, "2007-11-14T14:30:00", "2007-11-13T21:00:00"),
        ("2007-11-13T21:00:00", False, "2007-11-14T14:30:00", "2007-11-14T21:00:00"),
        ("2007-11-16T22:00:00", False, "2007-11-19T14:30:00", "2007-11-19T21:00:00"),  # a weekend
        ("2007-11-23T17:59:59", True, "2007-11-26T14:30:00", "2007-11-23T18:00:00"),  # a half day
        ("2007-03-09T22:00:00", False, "2007-03-12T13:30:00", "2007-03-12T20:00:00"),  # summer time begins
        ("2001-09-11T15:00:00", False, "2001-09-17T13:30:00", "2001-09-17T20:00:00"),
        ("2013-03-01T22:00:00", False, "2013-03-04T14:30:00", "2013-03-04T21:00:00"),  # beyond the data
        ("2026-11-27T17:00:00", False, "2026-11-30T14:30:00", "2026-11-27T18:00:00"),
    ],
)
def test_open_and_close(instant, is_open, next_open, next_close):
    assert SESSIONS.is_open(us(instant)) is is_open
    assert SESSIONS.next_open_and_close(us(instant)) == (us(next_open), us(next_close))


def test_dates_no_calendar_knows_do_not_crash():
    for year in (1950, 2099):
        SESSIONS.next_open_and_close(to_us(datetime(year, 6, 1, tzinfo=UTC)))
    assert SESSIONS.between(date(1950, 1, 1), date(1960, 1, 1)) == []


def test_closed_for_good():
    assert not SESSIONS.closed_for_good(us("2013-03-01T20:59:59"))
    assert SESSIONS.closed_for_good(us("2013-03-01T21:00:00"))
