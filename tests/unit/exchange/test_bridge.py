"""The bridge hits the real day exactly, and looks like a day."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gambler_ai.exchange.prices.bridge import TICKS_A_MINUTE, spread_day
from gambler_ai.exchange.prices.market import Market, quote_around

MARKET = Market(7)


@st.composite
def daily_bars(draw: st.DrawFn) -> tuple[tuple[int, int, int, int], int]:
    low = draw(st.integers(100, 9_000_000))
    high = low + draw(st.integers(0, max(low // 2, 1)))
    open_, close = draw(st.integers(low, high)), draw(st.integers(low, high))
    return (open_, high, low, close), draw(st.integers(0, 10**9))


@settings(max_examples=150, deadline=None)
@given(bar=daily_bars(), seed=st.integers(0, 2**63), minutes=st.sampled_from([210, 390]))
def test_the_minutes_add_up_to_the_day(bar, seed, minutes):
    (open_, high, low, close), volume = bar
    day = spread_day(seed, bar[0], volume, minutes)
    assert day.prices.size == minutes * TICKS_A_MINUTE
    assert (day.prices[0], day.prices[-1]) == (open_, close)
    assert (day.prices.max(), day.prices.min()) == (high, low)
    assert day.volumes.sum() == volume
    assert day.volumes.min() >= 0


@pytest.mark.parametrize("symbol", ["AAPL", "MSFT", "GOOG", "IBM", "FB", "TSLA", "SPY"])
@pytest.mark.parametrize("size", [1, 5, 30, 60])
def test_bars_of_any_size_add_up_to_the_real_day(symbol, size):
    for index in (3100, 3253, 3269):  # 3253 is a day with a high of four decimals; all have every symbol
        session = MARKET.sessions.session(index)
        daily = MARKET.daily_bar(symbol, session)
        bars = MARKET.minute_bars(symbol, session, size)
        assert daily is not None
        assert (bars[0].open, bars[-1].close) == (daily.open, daily.close)
        assert (max(b.high for b in bars), min(b.low for b in bars)) == (daily.high, daily.low)
        assert sum(b.volume for b in bars) == daily.volume
        assert all(b.low <= min(b.open, b.close) and b.high >= max(b.open, b.close) for b in bars)


def test_a_half_day_has_210_minutes():
    session = MARKET.sessions.session(MARKET.sessions.days.index(date(2007, 11, 23)))
    assert len(MARKET.minute_bars("AAPL", session)) == 210


def test_volume_follows_moves_and_the_hours():
    correlations, edges = [], []
    for index in range(1900, 1940):
        session = MARKET.sessions.session(index)
        bars = MARKET.minute_bars("AAPL", session)
        if len(bars) < 390:
            continue
        volume = np.array([bar.volume for bar in bars], dtype=float)
        ranges = np.array([bar.high - bar.low for bar in bars], dtype=float)
        correlations.append(np.corrcoef(volume, ranges)[0, 1])
        edges.append(volume[:30].mean() / volume[150:240].mean())
    assert np.median(correlations) > 0.4
    assert np.median(edges) > 1.5


def test_another_seed_is_another_path_through_the_same_day():
    session = MARKET.sessions.session(2000)
    mine, other, again = (
        MARKET.day("AAPL", session),
        Market(8).day("AAPL", session),
        Market(7).day("AAPL", session),
    )
    assert mine is not None
    assert other is not None
    assert again is not None
    assert (mine.prices != other.prices).any()
    assert (mine.prices == again.prices).all()
    assert (mine.volumes == again.volumes).all()


@given(st.integers(100, 10_000_000))
def test_quotes_are_whole_cents_around_the_trade(last):
    bid, ask = quote_around(last)
    assert bid % 100 == ask % 100 == 0
    assert 100 <= bid < ask
    assert bid <= last < ask


def test_labels():
    assert MARKET.label("AAPL") == MARKET.label("GOOGL") == "real-daily"
    assert MARKET.label("TSLA") == "synthetic"
    with pytest.raises(KeyError):
        MARKET.label("ZZZZ")


def test_googl_answers_from_the_goog_series():
    session = MARKET.sessions.session(3000)
    assert MARKET.daily_bar("GOOGL", session) == MARKET.daily_bar("GOOG", session)
    assert MARKET.minute_bars("GOOGL", session) == MARKET.minute_bars("GOOG", session)
