"""Regular hours end at 13:00 on a half day: by the rule, by the real calendar, and in what a strategy is shown."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import exchange_calendars
import pytest

from gambler_ai.broker.hours import closes_early, in_regular_hours
from gambler_ai.broker.market_data import AlpacaMarketData
from gambler_ai.core.model import NEW_YORK, BarFrame
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.faults import FaultPlan
from gambler_ai.exchange.rest.server import create_app
from gambler_ai.exchange.rest.transport import ExchangeSession

FIVE = timedelta(minutes=5)
MONDAY = datetime(2008, 12, 1, 10, 0, tzinfo=NEW_YORK)  # after the half day that follows Thanksgiving
HALF_DAY = date(2008, 11, 28)


def test_the_rule_is_the_real_calendar():
    """Each trading day of 36 years."""
    calendar = exchange_calendars.get_calendar("XNYS", start="1994-01-01", end="2029-12-31")
    real = {stamp.date() for stamp in calendar.early_closes}
    assert len(real) > 70
    odd = {day for stamp in calendar.sessions if closes_early(day := stamp.date()) != (day in real)}
    assert odd == set()


@pytest.mark.parametrize(
    ("at", "minutes", "regular"),
    [
        ("2008-11-28T12:59", 1, True), ("2008-11-28T13:00", 1, False), ("2008-11-28T12:00", 60, True),
        ("2008-11-28T15:00", 60, False), ("2008-11-26T15:59", 1, True), ("2008-07-03T13:00", 5, False),
        ("2012-12-24T13:00", 5, False), ("2024-07-03T13:00", 5, False), ("2008-11-28T04:00", 24 * 60, True),
    ],
)  # fmt: skip
def test_a_half_day_ends_at_one(at, minutes, regular):
    start = datetime.fromisoformat(at).replace(tzinfo=NEW_YORK)
    assert in_regular_hours(int(start.timestamp()), timedelta(minutes=minutes)) is regular


@pytest.fixture
def frame() -> Iterator[BarFrame]:
    """Five-minute bars as a strategy gets them on the morning after, from an exchange."""
    exchange = Exchange.open(None, start=MONDAY)
    session = ExchangeSession(create_app(exchange, "", FaultPlan()))
    data = AlpacaMarketData(exchange.key_id, exchange.secret_key, session.url, "iex", session)
    yield data.bars(["AAPL"], FIVE, MONDAY - timedelta(days=5), MONDAY, 60)
    session.close()
    exchange.close()


def test_after_a_half_day_its_last_regular_bar_is_the_neighbour_of_the_next_open(frame):
    times = [datetime.fromtimestamp(int(t), UTC).astimezone(NEW_YORK) for t in frame.times[:, 0]]
    short = [at.time().isoformat("minutes") for at in times if at.date() == HALF_DAY]
    assert (short[0], short[-1], len(short)) == ("09:30", "12:55", 42)
    assert [at.date() for at in times if at.date() > HALF_DAY] == [MONDAY.date()] * 6
    assert len(times) == 60, "and what was before it fills the history"
