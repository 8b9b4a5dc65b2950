"""Mean reversion against a plain reading of its rule, on any bars."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gambler_ai.core.model import Side
from gambler_ai.strategies.mean_reversion import MeanReversion
from gambler_ai.strategies.testing import proposals_of, view_of

STEADY = [100.0, 101.0] * 10


def proposed(closes, held=None, **changes) -> list[tuple[str, str]]:
    found = proposals_of(MeanReversion(**changes), view_of(closes, held=held))
    return [(p.symbol, "exit" if p.exit else p.side.value) for p in found]


def plainly(closes: list[float], held: int, lookback: int, entry_z: float, exit_z: float) -> str | None:
    """The rule as a person would work it out, one symbol at a time."""
    window = closes[-lookback:]
    if len(window) < lookback or max(window) == min(window):
        return None
    z = (window[-1] - statistics.fmean(window)) / statistics.pstdev(window)
    assume(all(abs(abs(z) - limit) > 1e-6 for limit in (entry_z, exit_z)))  # a hair's breadth is not the rule
    if held:
        back = z >= -exit_z if held > 0 else z <= exit_z
        return "exit" if back else None
    if abs(z) < entry_z:
        return None
    return "buy" if z < 0 else "sell"


prices = st.lists(st.integers(95, 105).map(float), max_size=12)


@given(a=prices, b=prices, held_a=st.integers(-1, 1), lookback=st.integers(5, 8), exit_z=st.sampled_from([0.0, 0.5]))
def test_it_is_the_rule_on_any_bars(a, b, held_a, lookback, exit_z):
    expected = [("A", plainly(a, held_a, lookback, 1.5, exit_z)), ("B", plainly(b, 0, lookback, 1.5, exit_z))]
    held = {"A": held_a} if held_a else {}
    found = proposed({"A": a, "B": b}, held, lookback=lookback, entry_z=1.5, exit_z=exit_z)
    assert found == [(symbol, what) for symbol, what in expected if what is not None]


def test_far_out_is_entered_against_and_left_at_the_mean():
    assert proposed({"A": [*STEADY, 90.0]}) == [("A", "buy")]
    assert proposed({"A": [*STEADY, 110.0]}) == [("A", "sell")]
    assert proposed({"A": [*STEADY, 90.0]}, {"A": 10}) == []
    assert proposed({"A": [*STEADY, 90.0, 101.0]}, {"A": 10}) == [("A", "exit")]
    assert proposed({"A": [*STEADY, 110.0, 99.0]}, {"A": -10}) == [("A", "exit")]
    assert proposed({"A": [*STEADY, 110.0]}, {"A": 10}) == [("A", "exit")]  # past it


@pytest.mark.parametrize("price", [0.1, 33.33, 101.01, 999.99])
def test_a_price_that_does_not_move_is_no_signal(price):
    """Floats that are all the same have a deviation of a rounding error, and everything is far out by that."""
    assert proposed({"A": [price] * 21}) == []
    assert proposed({"A": [price] * 21}, {"A": 10}) == []


def test_short_history_and_holes_are_no_signal():
    assert proposed({"A": [*STEADY[:18], 50.0]}) == []
    assert proposed({"A": [], "B": [*STEADY, 90.0]}) == [("B", "buy")]


def test_a_proposal_says_what_it_saw():
    view = view_of({"A": [*STEADY, 90.0]})
    [proposal] = proposals_of(MeanReversion(), view)
    assert proposal.reason == "-4.3 deviations from the mean of 20 bars"
    assert proposal.signal_at.timestamp() == view.frame.times[-1, 0]
    assert (proposal.side, proposal.stop_loss_pct, proposal.take_profit_pct) == (Side.BUY, None, None)


def test_all_symbols_at_once_are_each_by_itself():
    rng = np.random.default_rng(7)
    closes = {f"S{i}": list(100 + rng.normal(0, 3, 30)) for i in range(50)}
    together = proposed(closes, entry_z=1.5)
    assert together == [row for name in closes for row in proposed({name: closes[name]}, entry_z=1.5)]
    assert together
