"""The strategies on the embedded exchange's own chain, in process: on its first day each has something to do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache

import pytest

from gambler_ai.core.model import MarketView
from gambler_ai.core.structures import ChainQuery, Greeks, OptionQuote
from gambler_ai.exchange.defaults import DEFAULT_SEED, DEFAULT_START
from gambler_ai.exchange.instants import to_us
from gambler_ai.exchange.numbers import SCALE
from gambler_ai.exchange.options.market import OptionMarket
from gambler_ai.exchange.prices.market import Market
from gambler_ai.strategies.loader import load
from gambler_ai.strategies.testing import structures_of, view_of

D = Decimal
AT = DEFAULT_START + timedelta(minutes=6)
US = to_us(AT)


@cache
def options() -> OptionMarket:
    return OptionMarket(Market(DEFAULT_SEED), DEFAULT_SEED)


@cache
def chain(query: ChainQuery) -> dict[str, OptionQuote]:
    market, spot = options(), options().spot(query.underlying, US)
    reach = query.within_pct / 100
    expiries = [day for day in market.listing.expiries(US) if query.first_expiry <= day <= query.last_expiry]
    found = {}
    for contract in market.listing.contracts(query.underlying, expiries, US):
        if not spot * (1 - reach) <= contract.strike <= spot * (1 + reach):
            continue
        tick, value = market.tick(contract.symbol, US), market.value(contract, US)
        assert tick is not None
        assert value is not None
        made = market.greeks(contract, value)
        greeks = Greeks(made.delta, made.gamma, made.theta, made.vega, value.volatility)
        at = datetime.fromtimestamp(tick.at_us / 1e6, UTC)
        bid = D(tick.bid) / SCALE if tick.bid else None
        found[contract.symbol] = OptionQuote(contract.symbol, bid, D(tick.ask) / SCALE, at, greeks)
    return found


@cache
def view(name: str, rank: bool = False) -> MarketView:
    """What a session would show a strategy of these underlyings; a year of closes with ``rank``."""
    symbols = ("AAPL", "MSFT", "GOOGL")
    quotes: dict[str, OptionQuote] = {}
    for query in load(name, {}).strategy.chains(symbols, AT.date()):
        quotes |= chain(query)
    spots = {symbol: [float(options().spot(symbol, US))] for symbol in symbols}
    return view_of(spots, at=AT, quotes=quotes, daily=daily(symbols) if rank else None)


def daily(symbols: tuple[str, ...]) -> Mapping[str, list[float]]:
    closes = {}
    for symbol in symbols:
        bars = options().underlyings.daily(symbol)
        end = next(n for n, day in enumerate(bars.days) if day >= AT.date())
        closes[symbol] = [price / SCALE for price in bars.ohlcv[end - 272 : end, 3]]
    return closes


@pytest.mark.parametrize("name", ["straddle", "strangle", "vertical", "iron_condor", "covered_call", "options_mix"])
def test_each_strategy_proposes_on_each_underlying_of_the_first_day(name):
    found = structures_of(load(name, {}).strategy, view(name))
    assert [one.underlying for one in found] == ["AAPL", "MSFT", "GOOGL"]
    assert all(one.reason.startswith("45 days, ") for one in found)


def test_the_condor_on_aapl():
    found = structures_of(load("iron_condor", {}).strategy, view("iron_condor"))[0]
    assert sorted(leg.symbol for leg in found.legs) == [
        "AAPL081121C00135000", "AAPL081121C00140000", "AAPL081121P00080000", "AAPL081121P00085000"
    ]  # fmt: skip
    assert found.max_loss is not None
    assert found.max_profit is not None
    assert found.max_loss + found.max_profit == 500
    assert found.max_profit == -found.entry_price * 100
    shorts = [leg.symbol for leg in found.legs if leg.ratio < 0]
    assert all(abs(abs(found.greeks[symbol].delta) - 0.25) < 0.03 for symbol in shorts)
    assert found.confidence is not None
    assert D("0.4") < found.confidence < D("0.7")


def test_in_the_week_the_banks_fell_options_were_dear():
    seen = view("iron_condor", rank=True)
    high = structures_of(load("iron_condor", {"iv_rank_min": 50}).strategy, seen)
    assert {one.underlying for one in high} == {"AAPL", "MSFT", "GOOGL"}
    assert structures_of(load("iron_condor", {"iv_rank_max": 50}).strategy, seen) == []
