"""A structure's payoff: exact at the expiry, and now it meets the marks."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gambler_ai.cli.payoff import pricing
from gambler_ai.cli.payoff.curves import bounds, breakevens, payoff, profit
from gambler_ai.core.contracts import parse
from gambler_ai.core.structures import Leg, Structure
from tests.unit.cli.structures import CALL_110, CALL_115, CONDOR_LEGS, PUT_90, condor, covered_call, holding
from tests.unit.fakes import AT, D


def long_call() -> Structure:
    return condor(legs=(Leg(CALL_110, 1),), units=2, entry_price=D(3), cash=D(-600), max_profit=None, max_loss=D(300))


def short_straddle() -> Structure:
    legs = (Leg("AAPL081220P00100000", -1), Leg("AAPL081220C00100000", -1))
    return condor(legs=legs, units=1, entry_price=D(-8), cash=D(800), max_loss=None, max_profit=D(800))


@pytest.mark.parametrize(
    ("structure", "roots", "most", "least"),
    [
        (condor(), ("88.55", "111.45"), "435", "-1065"),
        (covered_call(), ("49.2",), "580", "-4920"),
        (long_call(), ("113",), None, "-600"),
        (short_straddle(), ("92", "108"), "800", None),
    ],
    ids=["iron condor", "covered call", "long call", "short straddle"],
)
def test_where_it_breaks_even_and_what_it_wins_and_loses_at_most(
    structure: Structure, roots: tuple[str, ...], most: str | None, least: str | None
):
    assert breakevens(structure) == tuple(map(Decimal, roots))
    assert bounds(structure) == (most and D(most), least and D(least))


@given(
    strikes=st.lists(st.integers(50, 150), min_size=4, max_size=4, unique=True).map(sorted),
    ratios=st.lists(st.integers(-2, 2), min_size=4, max_size=4), paid=st.integers(-2000, 2000),
)  # fmt: skip
def test_between_two_places_where_it_breaks_even_its_sign_does_not_change(
    strikes: list[int], ratios: list[int], paid: int
):
    rights = "PPCC"
    legs = tuple(
        Leg(f"AAPL081220{right}{strike:05d}000", ratio)
        for right, strike, ratio in zip(rights, strikes, ratios, strict=True) if ratio
    )  # fmt: skip
    if not legs:
        return
    structure = condor(legs=legs, cash=D(paid), units=1)
    roots = breakevens(structure)
    assert [abs(profit(structure, root)) < D("0.0001") for root in roots] == [True] * len(roots)
    edges = [D(0), *roots, D(400)]
    for a, b in pairwise(edges):
        signs = {(v > 0) - (v < 0) for part in range(1, 20) if abs(v := profit(structure, a + (b - a) * part / 20)) > 1}
        assert len(signs) <= 1, f"between {a} and {b}"
    most, least = bounds(structure)
    for price in (0, *strikes, 400, 10_000):
        assert least is None or profit(structure, D(price)) >= least
        assert most is None or profit(structure, D(price)) <= most


def test_the_curve_of_now_meets_what_it_is_worth_by_its_marks():
    found = payoff(holding(condor()), "gam-condor")
    assert found.today is not None
    price, value = min(found.today, key=lambda point: abs(point[0] - 100))
    assert price == pytest.approx(100)
    assert found.row.gain == D(210)
    assert value == pytest.approx(210, abs=0.5)


def test_at_the_expiry_the_curve_of_now_is_that_of_the_expiry():
    state = holding(condor())
    state.last_at = (parse(PUT_90) or pytest.fail("no contract")).expires_at
    found = payoff(state, "gam-condor")
    assert found.today is not None
    for price, value in found.today:
        assert value == pytest.approx(float(profit(found.structure, Decimal(repr(price)))), abs=0.01)


def test_a_contract_without_a_mark_has_the_volatility_of_its_entry_and_without_either_there_is_no_curve():
    state = holding(condor())
    del state.marks[CALL_115]
    assert payoff(state, "gam-condor").today is not None
    state.structures["gam-condor"] = condor(greeks={})
    found = payoff(state, "gam-condor")
    assert (found.today, found.probability) == (None, None)
    assert found.why == "no curve of now: the volatility of a contract is not known"
    assert found.expiry


def test_the_probability_is_that_of_ending_between_the_places_where_it_breaks_even():
    state = holding(condor())
    assert payoff(state, "gam-condor").probability == pytest.approx(0.754, abs=0.001)
    state.marks["AAPL"] = D(60)
    for leg in CONDOR_LEGS:
        del state.marks[leg.symbol]
    assert (payoff(state, "gam-condor").probability or 0) < 0.05


def test_the_probability_of_a_price_is_even_at_the_median_and_certain_at_the_end():
    assert pricing.below(100, 100, 1.0, 0.2) == pytest.approx(0.5398, abs=0.0001)  # N(0.1)
    assert (pricing.below(99, 100, 0.0, 0.2), pricing.below(101, 100, 0.0, 0.2)) == (0.0, 1.0)
    assert pricing.below(0, 100, 1.0, 0.2) == 0.0


def test_a_price_below_what_exercise_is_worth_stands_for_no_volatility():
    call = parse(CALL_110)
    assert call is not None
    assert pricing.implied(call, D("9.00"), D(120), AT) is None
    assert pricing.implied(call, D("130"), D(120), AT) is None
    assert pricing.implied(call, D("12.00"), D(120), AT) is not None
    assert pricing.implied(call, D("12.00"), D(120), call.expires_at + timedelta(seconds=1)) is None


def test_before_it_is_filled_the_payoff_is_that_of_the_price_it_was_decided_at():
    found = payoff(holding(condor(filled=False, cash=D(0))), "gam-condor")
    assert (found.most, found.least, found.row.gain) == (D(435), D(-1065), None)
