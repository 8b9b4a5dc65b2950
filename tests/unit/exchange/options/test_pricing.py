"""The formula against published values, against itself, and against the arithmetic of what it must be."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gambler_ai.exchange.options import pricing
from gambler_ai.exchange.options.contracts import CALL, PUT
from gambler_ai.exchange.options.pricing import RATE, greeks, need_library, value
from gambler_ai.exchange.refusal import Refusal

spots = st.floats(5, 500)
ratios = st.floats(0.5, 1.8)
terms = st.floats(0.01, 2)
volatilities = st.floats(0.1, 1.5)


def normal(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def by_hand(kind: str, spot: float, strike: float, years: float, volatility: float) -> float:
    """Black and Scholes as Hull prints it, with nothing of the library."""
    spread = volatility * math.sqrt(years)
    d1 = (math.log(spot / strike) + (RATE + volatility**2 / 2) * years) / spread
    d2 = d1 - spread
    sign = 1 if kind == CALL else -1
    return sign * (spot * normal(sign * d1) - strike * math.exp(-RATE * years) * normal(sign * d2))


def test_hulls_example():
    """Options, Futures and Other Derivatives, "Black-Scholes-Merton": six months, 10 %, volatility 20 %."""
    assert value(CALL, 42, 40, 0.5, 0.2, rate=0.1) == pytest.approx(4.76, abs=0.005)
    assert value(PUT, 42, 40, 0.5, 0.2, rate=0.1) == pytest.approx(0.81, abs=0.005)


@given(spots, ratios, terms, volatilities, st.sampled_from([CALL, PUT]))
def test_the_library_and_the_formula_agree(spot, ratio, years, volatility, kind):
    strike = spot * ratio
    assert value(kind, spot, strike, years, volatility) == pytest.approx(
        by_hand(kind, spot, strike, years, volatility), abs=1e-7 * spot
    )


@given(spots, ratios, terms, volatilities)
def test_put_and_call_are_worth_the_forward(spot, ratio, years, volatility):
    strike = spot * ratio
    call, put = value(CALL, spot, strike, years, volatility), value(PUT, spot, strike, years, volatility)
    assert call - put == pytest.approx(spot - strike * math.exp(-RATE * years), abs=1e-7 * spot)


@given(spots, ratios, terms, volatilities, st.sampled_from([CALL, PUT]))
def test_the_greeks_are_differences_of_the_value(spot, ratio, years, volatility, kind):
    strike = spot * ratio

    def at(**changed: float) -> float:
        given = {"spot": spot, "years": years, "volatility": volatility} | changed
        return value(kind, given["spot"], strike, given["years"], given["volatility"])

    found, step = greeks(kind, spot, strike, years, volatility), spot * 1e-3
    up, down = at(spot=spot + step), at(spot=spot - step)
    assert found.delta == pytest.approx((up - down) / (2 * step), abs=5e-3)
    assert found.gamma == pytest.approx((up - 2 * at() + down) / step**2, abs=5e-2 / spot + 2e-2 * found.gamma)
    vega = (at(volatility=volatility + 1e-4) - at(volatility=volatility - 1e-4)) / 2e-4
    assert found.vega == pytest.approx(vega / 100, rel=1e-2, abs=1e-6 * spot)
    theta = (at(years=years - 1e-5) - at(years=years + 1e-5)) / 2e-5
    assert found.theta == pytest.approx(theta / 365, rel=2e-2, abs=1e-6 * spot)
    assert (found.rho > 0) == (kind == CALL) or abs(found.rho) < 1e-9


def test_without_the_library_the_answer_says_what_to_install():
    """The import is the far end: a name that is None in `sys.modules` cannot be imported."""
    kept = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "vollib"}
    pricing._library.cache_clear()
    for name in kept or ("vollib",):
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        with pytest.raises(Refusal, match=r"gambler-ai\[options\]") as caught:
            need_library()
        assert caught.value.status == 501
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "vollib"]:
            del sys.modules[name]
        sys.modules.update(kept)
        pricing._library.cache_clear()
    need_library()


def test_an_exchange_starts_without_the_library():
    """It and what it needs take most of a second to load: a session with stocks does not pay for it."""
    ask = "import sys, gambler_ai.exchange.rest.server as s; from gambler_ai.exchange.exchange import Exchange as E;"
    ask += "E.open(None).close(); print({'vollib', 'scipy'} & set(sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", ask], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[4]
    )
    assert ran.stdout.strip() == "set()"
