"""When options strategies look, at which expiry, and at which underlyings."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from msgspec.structs import replace

from gambler_ai.core.structures import ChainQuery
from gambler_ai.strategies.loader import load
from gambler_ai.strategies.options.iv_rank import CLOSES, iv_rank
from gambler_ai.strategies.testing import AT, chain_of, structures_of, view_of

D = Decimal
TODAY = AT.date()
NEW_YORK = ZoneInfo("America/New_York")


def expiries(*days: int, **parameters: object) -> list[int]:
    """Days to the expiry of what a straddle takes of a chain of these."""
    view = view_of({"A": [100.0]}, quotes=chain_of("A", 100, days=days))
    found = structures_of(load("straddle", parameters).strategy, view)
    return [(contract.expiry - TODAY).days for p in found if (contract := p.legs[0].contract) is not None]


@pytest.mark.parametrize(("days", "taken"), [
    ((31, 44, 50), [44]), ((40, 50), [40]), ((41, 50), [41]), ((39, 50), [50]), ((30,), [30]), ((60,), [60]),
    ((29,), []), ((61,), []), ((7, 400), []),
])  # fmt: skip
def test_the_expiry_nearest_to_the_middle_of_the_window_is_taken(days, taken):
    assert expiries(*days) == taken


def test_the_window_can_be_moved():
    assert expiries(7, 14, 45, dte_min=5, dte_max=15, exit_days_left=1) == [7]
    assert expiries(0, 1, dte_min=0, dte_max=0, exit_days_left=None) == [0]


def test_an_expiry_that_is_too_thin_leaves_it_to_the_next():
    quotes = chain_of("A", 100, days=(45,), strikes=(80, 120)) | chain_of("A", 100, days=(52,))
    [found] = structures_of(load("straddle", {}).strategy, view_of({"A": [100.0]}, quotes=quotes))
    assert found.reason.startswith("52 days")


def test_chains_are_asked_for_by_the_days_of_the_window():
    day = date(2024, 1, 3)
    strategy = load("iron_condor", {"dte_min": 25, "strikes_pct": 12.5}).strategy
    first, last = date(2024, 1, 28), date(2024, 3, 3)
    assert strategy.chains(["A", "B"], day) == [
        ChainQuery("A", first, last, D("12.5")), ChainQuery("B", first, last, D("12.5"))
    ]  # fmt: skip
    assert load("momentum", {}).strategy.chains(["A"], day) == ()


@pytest.mark.parametrize(("clock", "parameters", "proposes"), [
    ((9, 34, 59), {}, False), ((9, 35, 0), {}, True), ((9, 30, 0), {"min_open_minutes": 0}, True),
    ((9, 29, 59), {"min_open_minutes": 0}, False), ((9, 59, 0), {"min_open_minutes": 30}, False),
    ((15, 59, 0), {"min_open_minutes": 30}, True),
])  # fmt: skip
@pytest.mark.parametrize("day", [date(2024, 1, 3), date(2024, 7, 3)])
def test_it_waits_after_the_open(day, clock, parameters, proposes):
    at = datetime.combine(day, time(*clock), NEW_YORK)
    view = view_of({"A": [100.0]}, quotes=chain_of("A", 100, at=at), at=at)
    assert bool(load("straddle", parameters).strategy.propose(view)) is proposes


def test_an_underlying_of_which_something_is_held_is_left_alone():
    quotes = chain_of("A", 100) | chain_of("B", 50)
    strategy = load("straddle", {}).strategy
    for held in ({"A": 100}, {next(iter(quotes)): -1}):
        view = view_of({"A": [100.0], "B": [50.0]}, quotes=quotes, held=held)
        assert [found.underlying for found in structures_of(strategy, view)] == ["B"]


def test_an_underlying_without_a_price_a_bar_or_a_chain_is_left_alone():
    strategy, quotes = load("straddle", {}).strategy, chain_of("A", 100) | chain_of("B", 50)
    view = view_of({"A": [], "B": [50.0], "C": [10.0]}, quotes=quotes)
    assert [found.underlying for found in structures_of(strategy, view)] == ["B"]
    assert structures_of(strategy, view_of({}, quotes=quotes)) == []


@pytest.mark.parametrize(("parameters", "changes", "proposes"), [
    ({}, {"at": AT - timedelta(minutes=15)}, True),
    ({}, {"at": AT - timedelta(minutes=16)}, False),
    ({"max_quote_minutes": 20}, {"at": AT - timedelta(minutes=16)}, True),
    ({}, {"bid": D("3.00")}, False),
    ({"max_spread_pct": 50}, {"bid": D("3.00")}, True),
    ({}, {"greeks": None}, False),
])  # fmt: skip
def test_quotes_must_be_fresh_narrow_and_with_greeks(parameters, changes, proposes):
    quotes = chain_of("A", 100, strikes=(100,))
    symbol = next(iter(quotes))
    quotes[symbol] = replace(quotes[symbol], **changes)
    view = view_of({"A": [100.0]}, quotes=quotes)
    assert bool(structures_of(load("straddle", parameters).strategy, view)) is proposes


# -- the IV rank -----------------------------------------------------------------------------------


def walk() -> list[float]:
    rng = np.random.default_rng(3)
    return list(100 * np.exp(np.cumsum(rng.normal(0, np.linspace(0.005, 0.03, CLOSES)))))


RANK = iv_rank(np.asarray(walk()), 0.30) or 0.0


@pytest.mark.parametrize(("parameters", "proposes"), [
    ({}, True), ({"iv_rank_min": 100}, False), ({"iv_rank_max": 0}, False), ({"iv_rank_min": RANK}, True),
    ({"iv_rank_max": RANK}, True), ({"iv_rank_min": RANK + 0.01}, False), ({"iv_rank_max": RANK - 0.01}, False),
])  # fmt: skip
def test_the_iv_rank_decides_when_it_is_asked_for(parameters, proposes):
    view = view_of({"A": [100.0]}, quotes=chain_of("A", 100), daily={"B": walk()[::-1], "A": walk()})
    found = structures_of(load("straddle", parameters).strategy, view)
    assert bool(found) is proposes
    assert all((f"IV rank {RANK:.0f}" in one.reason) is bool(parameters) for one in found)


def test_the_rank_of_this_test_is_no_end():
    assert 10 < RANK < 90


def test_without_a_year_of_closes_a_rank_that_is_asked_for_proposes_nothing():
    for daily in (None, {"A": walk()[1:]}, {"B": walk()}):
        view = view_of({"A": [100.0]}, quotes=chain_of("A", 100), daily=daily)
        assert structures_of(load("straddle", {"iv_rank_min": 0}).strategy, view) == []
        assert structures_of(load("straddle", {}).strategy, view)


def test_a_year_of_closes_is_asked_for_with_a_rank_only():
    assert load("straddle", {}).strategy.daily_history == 0
    assert load("straddle", {"iv_rank_min": 30}).strategy.daily_history == 272
    assert load("straddle", {"iv_rank_max": 30}).strategy.daily_history == 272
    assert load("momentum", {}).strategy.daily_history == 0
