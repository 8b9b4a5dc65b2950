"""Quotes and trades of contracts: never free money, never what is still to come, the same each time."""

from __future__ import annotations

import math
import statistics
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gambler_ai.exchange.instants import DAY, MINUTE, SECOND, to_us
from gambler_ai.exchange.options.bars import Span, bars_between, trades_between
from gambler_ai.exchange.options.contracts import CALL, PUT, Contract
from gambler_ai.exchange.options.market import OptionMarket, quote_around, tick_of
from gambler_ai.exchange.options.surface import Surface
from gambler_ai.exchange.prices.market import Market

MARKET = Market(7)
OPTIONS = OptionMarket(MARKET, 7)
MORNING = to_us(datetime(2008, 3, 10, 14, 30, tzinfo=UTC))
NEAR = Contract("AAPL", date(2008, 4, 18), CALL, Decimal(120))


@given(st.integers(0, 5_000_000))
def test_bid_and_ask_stand_on_ticks_around_the_middle(middle):
    bid, ask = quote_around(middle)
    tick = tick_of(middle)
    assert 0 <= bid <= middle <= ask
    assert bid < ask
    assert bid % tick == ask % tick == 0


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 380), st.integers(0, 17), st.integers(0, 60), st.sampled_from([CALL, PUT]))
def test_no_contract_is_worth_less_than_its_exercise(minute, number, place, kind):
    now = MORNING + minute * MINUTE
    expiries = OPTIONS.listing.expiries(now)
    expiry = expiries[number % len(expiries)]
    strikes = OPTIONS.listing.strikes("AAPL", expiry, now)
    contract = Contract("AAPL", expiry, kind, strikes[place % len(strikes)])
    tick, value = OPTIONS.tick(contract.symbol, now), OPTIONS.value(contract, now)
    spot = OPTIONS.spot("AAPL", now)
    assert tick is not None
    assert value is not None
    assert Decimal(value.middle) / 10_000 >= contract.intrinsic(spot)
    assert Decimal(tick.ask) / 10_000 >= contract.intrinsic(spot)
    assert tick.at_us <= now


def test_a_higher_strike_makes_a_call_cheaper_and_a_put_dearer():
    strikes = OPTIONS.listing.strikes("AAPL", NEAR.expiry, MORNING)
    for kind in (CALL, PUT):
        middles = [OPTIONS.value(NEAR._replace(kind=kind, strike=strike), MORNING) for strike in strikes]
        prices = [value.middle for value in middles if value is not None]
        assert prices == sorted(prices, reverse=kind == CALL)


def test_what_comes_later_changes_no_quote():
    """Two markets that agree until an evening agree on every quote until then, whatever the next morning brings."""
    other = Market(7)
    other.split("AAPL", date(2008, 3, 11), Decimal(10))  # tomorrow all is different
    options = OptionMarket(other, 7)
    for minutes in (0, 60, 300):
        now = MORNING + minutes * MINUTE
        assert options.tick(NEAR.symbol, now) == OPTIONS.tick(NEAR.symbol, now)
    assert options.tick(NEAR.symbol, MORNING + DAY) != OPTIONS.tick(NEAR.symbol, MORNING + DAY)


def test_the_volatility_of_a_day_is_that_of_the_closes_before_it():
    day = date(2008, 9, 30)  # the day after AAPL fell by 18 %
    bars, surface = MARKET.daily("AAPL"), Surface(MARKET, 7)
    closes = [bars.ohlcv[row, 3] for row in range(bars.index_of[day] - 21, bars.index_of[day])]
    moves = [math.log(later / earlier) for earlier, later in pairwise(closes)]
    factor = surface.level("AAPL", day).short / (statistics.pstdev(moves) * math.sqrt(252))
    assert 1.08 * 0.95 <= factor <= 1.08 * 1.10
    assert surface.level("AAPL", day).short > 1.5 * surface.level("AAPL", date(2008, 9, 29)).short


def test_another_seed_has_another_level_of_volatility():
    values = [OptionMarket(MARKET, seed).value(NEAR, MORNING) for seed in (1, 2, 3)]
    assert len({value.volatility for value in values if value is not None}) == 3


def test_the_smile_lifts_low_strikes_most():
    spot = OPTIONS.spot("AAPL", MORNING)
    strikes = OPTIONS.listing.strikes("AAPL", NEAR.expiry, MORNING)
    level = {strike: OPTIONS.value(NEAR._replace(strike=strike), MORNING) for strike in strikes}
    volatility = {strike: value.volatility for strike, value in level.items() if value is not None}
    middle = min(strikes, key=lambda strike: abs(strike - spot))
    assert volatility[strikes[0]] > volatility[middle]
    assert volatility[strikes[0]] > volatility[strikes[-1]]


def test_contracts_trade_in_regular_hours_only():
    day = MARKET.sessions.on(date(2008, 3, 10))
    late = OPTIONS.tick(NEAR.symbol, day.close_us + 60 * MINUTE)
    assert late is not None
    assert late.at_us == day.close_us - SECOND
    assert OPTIONS.tick(NEAR.symbol, day.close_us + 200 * MINUTE) == late


@pytest.mark.parametrize(
    ("size", "unit", "days"),
    [(1, "Min", 1), (7, "Min", 1), (1, "Hour", 3), (1, "Day", 8), (1, "Week", 16), (1, "Month", 50)],
)
def test_bars_hold_the_trades_of_their_time(size, unit, days):
    end = MORNING + 5 * DAY
    span = Span(end - days * DAY, end, end, False)
    trades = list(trades_between(OPTIONS, NEAR, span))
    bars = list(bars_between(OPTIONS, NEAR, size, unit, span))
    assert bars
    for bar in bars[1:]:
        held = [trade for trade in trades if bar.start_us <= trade.at_us < bar.end_us]
        prices = [trade.price for trade in held]
        figures = (prices[0], max(prices), min(prices), prices[-1], sum(trade.size for trade in held), len(held))
        assert (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.trades) == figures
        assert bar.low <= bar.vwap <= bar.high
    backwards = list(bars_between(OPTIONS, NEAR, size, unit, span._replace(newest_first=True)))
    assert backwards == bars[::-1]


def test_the_last_trade_is_the_last_of_the_trades():
    now = MORNING + 100 * MINUTE
    trades = list(trades_between(OPTIONS, NEAR, Span(MORNING - DAY, now, now, False)))
    tick = OPTIONS.tick(NEAR.symbol, now)
    assert tick is not None
    assert OPTIONS.last_trade(NEAR, now) == trades[-1]
    assert tick.last == trades[-1].price
