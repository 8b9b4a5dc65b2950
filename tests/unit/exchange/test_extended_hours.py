"""Pre-market and after-hours: thin trades around regular hours, which they leave exactly as they were."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pytest

from gambler_ai.exchange.instants import MINUTE, to_us
from gambler_ai.exchange.prices.market import Market, quote_around
from gambler_ai.exchange.prices.sessions import AFTER_HOURS, CLOSED, PRE_MARKET, REGULAR

MARKET = Market(7)
HALF_DAY = date(2007, 11, 23)
SYMBOLS = ("AAPL", "MSFT", "GOOGL", "IBM", "FB", "TSLA", "SPY")


def us(text: str) -> int:
    return to_us(datetime.fromisoformat(text).replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("seed", "known"), [(5, "61afd8bf692eed3a383b6c9c95af3340"), (7, "e54b02b5aafd138226b88e9b3189973d")]
)
def test_regular_hours_are_what_they_were_before_there_were_others(seed, known):
    """The digest was taken of the program without extended hours: daily bars, minute bars, ticks and volumes."""
    market, digest = Market(seed), hashlib.blake2b(digest_size=16)
    for index in (120, 1290, 1990, 2205, 2206, 2207, 3253, 3269):
        session = market.sessions.session(index)
        for symbol in SYMBOLS:
            digest.update(repr(market.daily_bar(symbol, session)).encode())
            for size in (1, 5, 60):
                digest.update(repr(tuple(market.minute_bars(symbol, session, size))).encode())
            day = market.day(symbol, session)
            if day is not None:
                digest.update(day.prices.tobytes())
                digest.update(day.volumes.tobytes())
    assert digest.hexdigest() == known


@pytest.mark.parametrize(
    ("instant", "phase"),
    [
        ("2007-11-13T08:59:59", CLOSED),
        ("2007-11-13T09:00:00", PRE_MARKET),
        ("2007-11-13T14:29:59", PRE_MARKET),
        ("2007-11-13T14:30:00", REGULAR),
        ("2007-11-13T21:00:00", AFTER_HOURS),
        ("2007-11-14T00:59:59", AFTER_HOURS),
        ("2007-11-14T01:00:00", CLOSED),
        ("2007-11-17T15:00:00", CLOSED),  # a Saturday
        ("2007-11-23T18:00:00", AFTER_HOURS),  # a half day
        ("2007-11-23T22:00:00", CLOSED),
        ("2013-03-02T01:00:00", CLOSED),  # the data have ended
    ],
)
def test_phases(instant, phase):
    assert MARKET.sessions.phase(us(instant)) == phase


@pytest.mark.parametrize("day", [date(2007, 11, 13), HALF_DAY, date(2013, 3, 1)])
@pytest.mark.parametrize("symbol", ["AAPL", "TSLA"])
def test_extended_hours_are_thin_and_lie_where_they_should(symbol, day):
    session = MARKET.sessions.on(day)
    trades = MARKET.trades(symbol, session)
    assert trades is not None
    assert (np.diff(trades.at_us) > 0).all()
    early, late = trades.at_us < session.open_us, trades.at_us >= session.close_us
    assert trades.at_us[0] == session.session_open_us
    assert session.close_us < trades.at_us[late].min() <= trades.at_us.max() < session.session_close_us
    for thin, minutes in ((early, 330), (late, 240)):
        assert 20 < thin.sum() < minutes, "fewer than one a minute"
    assert trades.sizes[early | late].sum() < 0.05 * trades.sizes.sum()
    daily = MARKET.daily_bar(symbol, session)
    assert daily is not None
    assert trades.sizes[~early & ~late].sum() == daily.volume
    assert abs(trades.prices[early][-1] / daily.open - 1) < 0.02, "they come to the open"
    assert abs(trades.prices[late][-1] / daily.close - 1) < 0.03, "they wander off the close"


def test_the_morning_begins_where_the_evening_ended_in_new_shares_after_a_split():
    before, after = (MARKET.trades("AAPL", MARKET.sessions.on(date(2005, 2, day))) for day in (25, 28))
    assert before is not None
    assert after is not None
    assert abs(after.prices[0] / (before.prices[-1] / 2) - 1) < 0.001


def test_the_last_trade_at_the_close_is_the_close_and_quotes_are_wider_after_it():
    session = MARKET.sessions.on(date(2007, 11, 13))
    at_close, later = (MARKET.tick("AAPL", session.close_us + wait) for wait in (0, 30 * MINUTE))
    daily = MARKET.daily_bar("AAPL", session)
    assert at_close is not None
    assert later is not None
    assert daily is not None
    assert (at_close.last, at_close.regular) == (daily.close, True)
    assert later.at_us > session.close_us
    assert (later.bid, later.ask) == quote_around(later.last, regular=False)
    assert later.ask - later.bid > 3 * (at_close.ask - at_close.bid)


def test_ticks_are_those_after_an_instant_and_until_another():
    session = MARKET.sessions.on(date(2007, 11, 13))
    every = list(MARKET.ticks("AAPL", session, session.start_us, session.session_close_us))
    for after, until in ((10, 20), (0, 1), (400, 900), (5, 5)):
        between = MARKET.ticks("AAPL", session, every[after].at_us, every[until].at_us)
        assert list(between) == every[after + 1 : until + 1]
    assert all(MARKET.tick("AAPL", tick.at_us) == tick for tick in every[::97])


def test_a_split_of_a_plan_moves_the_morning_of_its_day_and_not_the_evening_before():
    market, sessions = Market(7), MARKET.sessions
    eve, day = sessions.on(date(2007, 11, 13)), sessions.on(date(2007, 11, 14))
    whole = [MARKET.trades("AAPL", of) for of in (eve, day)]
    market.trades("AAPL", day)
    market.split("AAPL", day.day, Decimal(2))
    halves = [market.trades("AAPL", of) for of in (eve, day)]
    before, after = ([found.prices for found in both if found is not None] for both in (whole, halves))
    assert (after[0] == before[0]).all()
    assert np.abs(after[1] / before[1] - 0.5).max() < 0.01
