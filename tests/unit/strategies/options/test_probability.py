"""The probability of profit against QuantLib, an independent library."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product

import numpy as np
import pytest
from QuantLib import BlackCalculator, InverseCumulativeNormal, Option, PlainVanillaPayoff

from gambler_ai.core.contracts import Contract, Right
from gambler_ai.core.structures import Leg
from gambler_ai.strategies.options.made import priced
from gambler_ai.strategies.options.probability import (
    normal,
    probability_below,
    probability_of_profit,
    years_between,
)

D = Decimal
DAY = datetime(2024, 2, 16, tzinfo=UTC).date()
#: Of a probability, where both are exact; and where the other one counts quantiles.
EXACT, COUNTED = 1e-12, 1e-4
QUANTILES = 20_000
INVERSE = InverseCumulativeNormal()
NORMALS = np.asarray([INVERSE((n + 0.5) / QUANTILES) for n in range(QUANTILES)])


def contract(right: Right, strike: int) -> str:
    return Contract("A", DAY, right, D(strike)).symbol


CONDOR = (
    Leg(contract(Right.PUT, 80), 1), Leg(contract(Right.PUT, 90), -1),
    Leg(contract(Right.CALL, 110), -1), Leg(contract(Right.CALL, 120), 1),
)  # fmt: skip
STRADDLE = (Leg(contract(Right.CALL, 100), 1), Leg(contract(Right.PUT, 100), 1))
COVERED = (Leg("A", 100), Leg(contract(Right.CALL, 110), -1))


def black(right: str, strike: float, deviation: float) -> BlackCalculator:
    kind = Option.Call if right == Right.CALL else Option.Put
    return BlackCalculator(PlainVanillaPayoff(kind, strike), 100.0, deviation, 1.0)


@pytest.mark.parametrize(
    ("strike", "volatility", "days"), list(product((40, 90, 100, 110, 250), (0.1, 0.9), (1, 45, 400)))
)
def test_to_end_below_a_price_is_quantlibs_cash_probability(strike, volatility, days):
    years = days / 365
    below = probability_below(D(strike), spot=D(100), volatility=volatility, years=years)
    above = black(Right.CALL, strike, volatility * math.sqrt(years)).itmCashProbability()
    assert below == pytest.approx(1 - above, abs=EXACT)


@pytest.mark.parametrize(
    ("legs", "entry", "volatility", "years"),
    [
        (legs, entry, volatility, years)
        for legs, entry in ((CONDOR, "-2.5"), (STRADDLE, "9"), (COVERED, "97.35"))
        for volatility, years in product((0.2, 0.8), (0.02, 0.12, 1.0))
    ],
)
def test_a_structure_ends_with_a_profit_as_often_as_its_quantiles_do(legs, entry, volatility, years):
    """Each of many equally likely prices at expiry, from QuantLib's inverse of the normal distribution."""
    deviation = volatility * math.sqrt(years)
    spots = 100 * np.exp(deviation * NORMALS - deviation**2 / 2)
    worth = np.zeros(QUANTILES)
    for leg in legs:
        contract = leg.contract
        if contract is None:
            worth += leg.ratio / 100 * spots
        else:
            sign = 1 if contract.right == "call" else -1
            worth += leg.ratio * np.maximum(sign * (spots - float(contract.strike)), 0)
    wins = np.count_nonzero(worth > float(entry))
    found = probability_of_profit(legs, D(entry), spot=D(100), volatility=volatility, years=years)
    assert found == pytest.approx(wins / QUANTILES, abs=COUNTED)


def test_without_time_or_volatility_it_ends_where_it_is():
    for volatility, years in ((0.3, 0.0), (0.0, 1.0)):
        assert probability_of_profit(CONDOR, D(-1), spot=D(100), volatility=volatility, years=years) == 1.0
        assert probability_of_profit(STRADDLE, D(1), spot=D(100), volatility=volatility, years=years) == 0.0
    assert probability_below(D(0), spot=D(100), volatility=0.3, years=1.0) == 0.0
    assert probability_below(None, spot=D(100), volatility=0.3, years=1.0) == 1.0
    assert normal(0.0) == 0.5


def test_a_year_has_365_days_and_none_is_below_zero():
    at = datetime(2024, 1, 3, tzinfo=UTC)
    assert years_between(at, at + timedelta(days=73)) == pytest.approx(0.2)
    assert years_between(at, at - timedelta(days=1)) == 0.0


@pytest.mark.parametrize(("right", "strike", "volatility", "days"),
                         list(product(Right, (70, 100, 130), (0.15, 0.9), (2, 45, 300))))  # fmt: skip
def test_chains_made_for_tests_are_priced_as_quantlib_prices(right, strike, volatility, days):
    years = days / 365
    value, greeks = priced(Contract("A", DAY, right, D(strike)), 100.0, years, volatility)
    theirs = black(right, strike, volatility * math.sqrt(years))
    assert value == pytest.approx(theirs.value(), abs=1e-9)
    assert greeks.delta == pytest.approx(theirs.delta(100.0), abs=1e-9)
    assert greeks.gamma == pytest.approx(theirs.gamma(100.0), abs=1e-9)
    assert greeks.theta == pytest.approx(theirs.theta(100.0, years) / 365, abs=1e-9)
    assert greeks.vega == pytest.approx(theirs.vega(years) / 100, abs=1e-9)
