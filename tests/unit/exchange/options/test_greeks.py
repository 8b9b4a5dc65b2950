"""The exchange's prices and greeks, which are vollib's, against QuantLib's: another library, another author."""

from __future__ import annotations

import math
from itertools import product

import pytest
from QuantLib import BlackCalculator, Option, PlainVanillaPayoff

from gambler_ai.exchange.options.contracts import CALL, PUT
from gambler_ai.exchange.options.pricing import DIVIDENDS, RATE, greeks, value

SPOT = 100.0
#: Dollars a share of a value, and as much of a greek: both libraries are exact to about twelve places.
TOLERANCE = 1e-8
GRID = list(product((CALL, PUT), (50.0, 90.0, 100.0, 115.0, 200.0), (1 / 365, 0.12, 1.0), (0.08, 0.35, 1.5)))


def theirs(kind: str, strike: float, years: float, volatility: float) -> BlackCalculator:
    payoff = PlainVanillaPayoff(Option.Call if kind == CALL else Option.Put, strike)
    forward = SPOT * math.exp((RATE - DIVIDENDS) * years)
    return BlackCalculator(payoff, forward, volatility * math.sqrt(years), math.exp(-RATE * years))


@pytest.mark.parametrize(("kind", "strike", "years", "volatility"), GRID)
def test_values_and_greeks_are_those_of_another_library(kind, strike, years, volatility):
    black = theirs(kind, strike, years, volatility)
    assert value(kind, SPOT, strike, years, volatility) == pytest.approx(black.value(), abs=TOLERANCE)
    found = greeks(kind, SPOT, strike, years, volatility)
    assert found.delta == pytest.approx(black.delta(SPOT), abs=TOLERANCE)
    assert found.gamma == pytest.approx(black.gamma(SPOT), abs=TOLERANCE)
    assert found.theta == pytest.approx(black.theta(SPOT, years) / 365, abs=TOLERANCE)
    assert found.vega == pytest.approx(black.vega(years) / 100, abs=TOLERANCE)
    assert found.rho == pytest.approx(black.rho(years) / 100, abs=TOLERANCE)
