"""Which contracts there are: Fridays, strikes around the price, and nothing that was listed goes away."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gambler_ai.exchange.instants import DAY, MINUTE, to_us
from gambler_ai.exchange.options.contracts import CALL, Contract
from gambler_ai.exchange.options.expiries import first_listed, is_monthly, listed_expiries
from gambler_ai.exchange.options.listing import ContractListing
from gambler_ai.exchange.prices.market import Market

MARKET = Market(7)
LISTING = ContractListing(MARKET)
NOON = to_us(datetime(2008, 3, 10, 16, tzinfo=UTC))
SYMBOLS = ("AAPL", "MSFT", "SPY", "IBM")


def test_expiries_are_fridays_or_the_day_before_a_holiday():
    found = LISTING.expiries(NOON)
    assert found[:3] == [date(2008, 3, 14), date(2008, 3, 20), date(2008, 3, 28)]  # 21 March was Good Friday
    assert is_monthly(found[1])
    assert not is_monthly(found[0])
    assert all(day.weekday() == 4 for day in found if day != date(2008, 3, 20))


def test_weeklies_are_listed_eight_weeks_ahead_and_monthlies_a_year():
    found = LISTING.expiries(NOON)
    weeklies = [day for day in found if not is_monthly(day)]
    monthlies = [day for day in found if is_monthly(day)]
    assert max(weeklies) == date(2008, 5, 2)
    assert len(monthlies) == 12
    assert all(first_listed(day) <= date(2008, 3, 10) for day in found)


def test_nothing_expires_after_the_prices_end():
    days = MARKET.sessions.days
    assert listed_expiries(days, days[-1]) == [date(2013, 3, 1)] == [days[-1]]


def test_the_day_of_expiry_is_active_until_its_close():
    expiry = date(2008, 3, 20)
    close = LISTING.close_us(expiry)
    assert expiry in LISTING.expiries(close - 1)
    assert expiry not in LISTING.expiries(close)
    assert expiry in LISTING.past_expiries(close, date(2008, 3, 1))


def test_strikes_stand_around_the_price_on_a_grid():
    spot = Decimal(MARKET.last_close("AAPL", NOON) or 0) / 10_000
    strikes = LISTING.strikes("AAPL", date(2008, 3, 28), NOON)
    assert strikes[0] < spot * Decimal("0.85")
    assert strikes[-1] > spot * Decimal("1.15")
    assert {later - earlier for earlier, later in pairwise(strikes)} == {Decimal("2.5")}


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SYMBOLS), st.integers(0, 300), st.integers(0, 17), st.integers(1, 60))
def test_what_was_listed_stays_listed_until_it_expires(symbol, offset, number, later):
    now = NOON - 300 * DAY + offset * DAY
    expiries = LISTING.expiries(now)
    expiry = expiries[number % len(expiries)]
    then = min(now + later * DAY, LISTING.close_us(expiry) - 60 * MINUTE)
    assert set(LISTING.strikes(symbol, expiry, now)) <= set(LISTING.strikes(symbol, expiry, then))


def test_strikes_know_nothing_of_the_day_that_has_begun():
    """AAPL fell 9 % on 2008-09-29; the strikes of that day are those of the evening before."""
    expiry = date(2008, 10, 17)
    morning, evening = (to_us(datetime(2008, 9, 29, hour, tzinfo=UTC)) for hour in (14, 21))
    next_day = to_us(datetime(2008, 9, 30, 14, tzinfo=UTC))
    assert LISTING.strikes("AAPL", expiry, morning) == LISTING.strikes("AAPL", expiry, evening)
    assert len(LISTING.strikes("AAPL", expiry, next_day)) >= len(LISTING.strikes("AAPL", expiry, evening))


def test_a_split_halves_the_strikes():
    """AAPL was split two for one before the open of 2005-02-28."""
    expiry = date(2005, 3, 18)
    before, after = (to_us(datetime(2005, 2, day, 20, tzinfo=UTC)) for day in (25, 28))
    old, new = LISTING.strikes("AAPL", expiry, before), LISTING.strikes("AAPL", expiry, after)
    assert {strike / 2 for strike in old} <= set(new)
    assert not LISTING.is_listed(Contract("AAPL", expiry, CALL, max(old)), after)


@pytest.mark.parametrize(
    "contract",
    [
        Contract("ZZZZ", date(2008, 3, 14), CALL, Decimal(100)),
        Contract("AAPL", date(2008, 3, 13), CALL, Decimal(120)),  # a Thursday
        Contract("AAPL", date(2008, 3, 21), CALL, Decimal(120)),  # Good Friday
        Contract("AAPL", date(2008, 3, 14), CALL, Decimal("120.3")),
        Contract("AAPL", date(2008, 3, 14), CALL, Decimal(900)),
        Contract("AAPL", date(2009, 6, 19), CALL, Decimal(120)),  # more than a year ahead
        Contract("FB", date(2008, 3, 14), CALL, Decimal(30)),  # it is 2008
        Contract("BRK.A", date(2008, 3, 14), CALL, Decimal(90_000)),  # nothing on so dear a share
    ],
)
def test_what_is_not_listed(contract):
    assert not LISTING.is_listed(contract, NOON)
