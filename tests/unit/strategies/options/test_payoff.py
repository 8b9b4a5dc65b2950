"""Ends and breakevens of structures against a plain walk over many spots."""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gambler_ai.core.contracts import Contract, Right
from gambler_ai.core.structures import Leg
from gambler_ai.strategies.options.payoff import breakevens, payoff, profitable

D = Decimal
EXPIRY = date(2024, 2, 16)


def leg(right: Right, strike: int | str, ratio: int) -> Leg:
    return Leg(Contract("A", EXPIRY, right, D(strike)).symbol, ratio)


def call(strike: int | str, ratio: int = 1) -> Leg:
    return leg(Right.CALL, strike, ratio)


def put(strike: int | str, ratio: int = 1) -> Leg:
    return leg(Right.PUT, strike, ratio)


SHARES = Leg("A", 100)
CONDOR = (put(90), put(95, -1), call(105, -1), call(110))


def worth(legs: tuple[Leg, ...], spots: np.ndarray) -> np.ndarray:
    """A unit at expiry as a person adds it up, a share."""
    total = np.zeros(len(spots))
    for one in legs:
        contract = one.contract
        if contract is None:
            total += one.ratio / 100 * spots
        else:
            sign = 1 if contract.right == "call" else -1
            total += one.ratio * np.maximum(sign * (spots - float(contract.strike)), 0)
    return total


@pytest.mark.parametrize(
    ("legs", "entry", "profit", "loss", "even"),
    [
        ((call(100), put(100)), "8", None, "800", ("92", "108")),
        ((call(105), put(95)), "3", None, "300", ("92", "108")),
        ((put(95, -1), put(90)), "-1.20", "120", "380", ("93.80",)),
        ((call(105, -1), call(110)), "-1.20", "120", "380", ("106.20",)),
        ((call(100), call(105, -1)), "2", "300", "200", ("102",)),
        ((put(100), put(95, -1)), "2", "300", "200", ("98",)),
        (CONDOR, "-1.70", "170", "330", ("93.30", "106.70")),
        ((SHARES, call(105, -1)), "98", "700", "9800", ("98",)),
        ((call(100, -1), put(100, -1)), "-8", "800", None, ("92", "108")),
    ],
)
def test_the_ends_of_what_traders_know(legs, entry, profit, loss, even):
    found = payoff(legs, D(entry))
    assert found.max_profit == (None if profit is None else D(profit))
    assert found.max_loss == (None if loss is None else D(loss))
    assert found.breakevens == tuple(map(D, even))


def test_the_ranges_of_profit_lie_between_the_breakevens():
    condor = [(one.low, one.high) for one in profitable(CONDOR, D("-1.70"))]
    assert condor == [(D("93.30"), D("106.70"))]
    straddle = [(one.low, one.high) for one in profitable((call(100), put(100)), D(8))]
    assert straddle == [(D(0), D(92)), (D(108), None)]
    assert profitable((call(100), call(105, -1)), D(6)) == ()
    # to end where it was paid for is no profit
    assert profitable((put(95, -1), put(90)), D(0)) == ()


strikes = st.integers(1, 12).map(lambda n: n * 10)
ratios = st.integers(-3, 3).filter(bool)
legs_of = st.lists(st.tuples(st.sampled_from(list(Right)), strikes, ratios), min_size=1, max_size=4)


@settings(max_examples=30, deadline=None)
@given(legs_of, st.integers(-2, 2), st.integers(-400, 400))
@example([(Right.CALL, 10, 1), (Right.CALL, 20, -1)], 0, 0)
def test_it_is_the_walk_over_a_fine_grid(made, shares, entry_tenths):
    legs = tuple(leg(*one) for one in made) + ((Leg("A", 100 * shares),) if shares else ())
    entry = D(entry_tenths) / 10
    spots = np.arange(0, 3_000) / 10  # the strikes are on it
    ends = worth(legs, spots) - float(entry)
    found, slope = payoff(legs, entry), ends[-1] - ends[-2]
    assert (found.max_profit is None) == (slope > 1e-9)
    assert (found.max_loss is None) == (slope < -1e-9)
    if found.max_profit is not None:
        assert float(found.max_profit) == pytest.approx(100 * ends.max(), abs=1e-6)
    if found.max_loss is not None:
        assert float(found.max_loss) == pytest.approx(-100 * ends.min(), abs=1e-6)
    even = np.asarray([float(spot) for spot in breakevens(legs, entry)])
    assert worth(legs, even) == pytest.approx(np.full(len(even), float(entry)), abs=1e-9)
    inside = np.zeros(len(spots), dtype=bool)
    for one in profitable(legs, entry):
        inside |= (spots > float(one.low) + 1e-9) & (spots < (math.inf if one.high is None else float(one.high) - 1e-9))
    wins = ends > 1e-9
    apart = np.flatnonzero(inside != wins)
    assert list(apart) in ([], [0]), "only a spot of zero is an edge that may be a win"
