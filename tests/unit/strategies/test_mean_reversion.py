"""Mean reversion against a plain reading of its rule, on any bars."""

from __future__ import annotations

import statistics
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from gambler_ai.core.model import MarketView, Proposal, Side
from gambler_ai.strategies.loader import load
from gambler_ai.strategies.mean_reversion import MeanReversion
from gambler_ai.strategies.testing import AT, proposals_of, view_of

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


# -- strength, volume and time, when they are asked for -------------------------------------------


def strength(closes: list[float], period: int) -> float:
    """Wilder's index as his book works it out, value by value."""
    changes = [b - a for a, b in pairwise(closes)]
    up, down = (statistics.fmean(max(s * c, 0.0) for c in changes[:period]) for s in (1, -1))
    for change in changes[period:]:
        up = (up * (period - 1) + max(change, 0.0)) / period
        down = (down * (period - 1) + max(-change, 0.0)) / period
    return 100.0 - 100.0 / (1.0 + up / down) if down else 100.0


def z_of(window: list[float]) -> float:
    spread = statistics.pstdev(window)
    return (window[-1] - statistics.fmean(window)) / spread if spread else 0.0


def with_conditions(closes: list[float], volumes: list[float]) -> str | None:
    """Entries at one deviation of five bars, RSI(2) 30, volume x1.5, and a time stop, one symbol at a time."""
    if len(closes) < 23:  # where RSI(2) has forgotten its beginning to a millionth, and the bar before that
        return None
    z, before, rsi = z_of(closes[-5:]), z_of(closes[-6:-1]), strength(closes[-23:], 2)
    ratio = volumes[-1] / statistics.fmean(volumes[-6:-1])
    near = (abs(abs(z) - 1), abs(abs(before) - 1), abs(rsi - 30), abs(rsi - 70), abs(ratio - 1.5))
    assume(min(near) > 1e-6)
    if abs(z) < 1 or abs(before) >= 1 or ratio < 1.5 or (rsi if z < 0 else 100 - rsi) > 30:
        return None
    return "buy" if z < 0 else "sell"


CONDITIONS = MeanReversion(lookback=5, entry_z=1.0, rsi_max=30.0, rsi_period=2, volume_ratio=1.5, max_bars=4)
bars = st.tuples(st.integers(95, 105).map(float), st.integers(1, 40).map(lambda v: v * 100.0))
calm = st.tuples(st.integers(99, 101).map(float), st.just(500.0))
ends = st.tuples(st.sampled_from([90.0, 96.0, 104.0, 110.0]), st.sampled_from([700.0, 800.0, 4_000.0]))


wild = st.lists(bars, min_size=16, max_size=20)


@given(rows=st.builds(lambda a, b, c: [*a, *b, c], wild, st.lists(calm, min_size=4, max_size=6), ends))
def test_with_all_conditions_it_is_the_rule_on_any_bars(rows):
    closes, volumes = [close for close, _ in rows], [volume for _, volume in rows]
    turned = [200.0 - close for close in closes]
    view = view_of({"B": [50.0], "A": closes, "C": turned}, volumes={"A": volumes, "C": volumes})
    found = [(p.symbol, p.side.value) for p in proposals_of(CONDITIONS, view)]
    expected = [("A", with_conditions(closes, volumes)), ("C", with_conditions(turned, volumes))]
    event(str(expected))
    assert found == [(symbol, side) for symbol, side in expected if side is not None]


FALL = [*STEADY, 90.0]
RISE = [*STEADY, 110.0]


@pytest.mark.parametrize("closes", [FALL, RISE])
def test_a_bar_on_usual_volume_is_no_entry_when_volume_is_asked_for(closes):
    def found(last: float) -> list[Proposal]:
        view = view_of({"A": closes}, volumes={"A": [100.0] * 20 + [last]})
        return proposals_of(MeanReversion(volume_ratio=2.0), view)

    assert found(199.0) == []
    assert len(found(200.0)) == 1
    assert len(proposals_of(MeanReversion(), view_of({"A": closes}, volumes={"A": [0.0] * 21}))) == 1  # not asked for


def test_a_fall_that_is_not_stretched_is_no_entry_when_strength_is_asked_for():
    """Up for a long time, one step down: below the band, and yet most of the moves were up."""
    closes = [100.0 + i for i in range(300)]
    closes += [closes[-1]] * 20 + [closes[-1] - 2]
    assert proposed({"A": closes}) == [("A", "buy")]
    assert proposed({"A": closes}, rsi_max=30) == []
    assert proposed({"A": closes}, rsi_max=60) == [("A", "buy")]
    assert proposed({"A": [500 - c for c in closes]}, rsi_max=30) == []
    assert proposed({"A": [500 - c for c in closes]}, rsi_max=60) == [("A", "sell")]


def test_strength_waits_for_the_history_that_makes_it_sure():
    closes = [100.0, 101.0] * 101
    assert MeanReversion(rsi_max=30).history == 202
    assert proposed({"A": [*closes[-201:], 90.0]}, rsi_max=30) == [("A", "buy")]
    assert proposed({"A": [*closes[-200:], 90.0]}, rsi_max=30) == []
    assert proposed({"A": [*closes[-200:], 90.0], "B": [1.0] * 300}, rsi_max=30) == []


@pytest.mark.parametrize(("qty", "closes"), [(10, [*STEADY, 90.0]), (-10, [*STEADY, 110.0])])
def test_what_does_not_come_back_is_left_for_its_time(qty, closes):
    def found(minutes: int, **changes) -> list[Proposal]:
        view = view_of({"B": [5.0] * 21, "A": closes}, held={"A": qty}, entered={"A": AT - timedelta(minutes=minutes)})
        return proposals_of(MeanReversion(**changes), view)

    assert found(5 * 21 - 1) == []
    assert found(14, max_bars=4) == []  # closed since: now, and 5 and 10 minutes ago
    assert found(15, max_bars=4) == []  # the fourth closed as it was entered: not since
    [proposal] = found(16, max_bars=4)
    assert (proposal.symbol, proposal.exit, proposal.reason) == ("A", True, "not back after 4 bars")
    assert proposal.side is (Side.SELL if qty > 0 else Side.BUY)
    assert proposal.signal_at == AT - timedelta(minutes=5)


def test_the_night_does_not_age_a_position():
    """Bars are counted, not hours."""
    frame = view_of({"A": [*STEADY, 90.0]}).frame
    times = frame.times.copy()
    times[:-2] -= 17 * 3600
    evening = datetime.fromtimestamp(int(times[-3, 0]), UTC)
    view = MarketView(AT, replace(frame, times=times), {}, {"A": Decimal(1)}, {"A": evening})
    assert proposals_of(MeanReversion(max_bars=4), view) == []
    assert [p.reason for p in proposals_of(MeanReversion(max_bars=3), view)] == ["not back after 3 bars"]


def test_time_runs_while_history_is_short():
    def found(bars: int) -> list[Proposal]:
        view = view_of({"A": [100.0] * bars}, held={"A": 1}, entered={"A": AT - timedelta(hours=1)})
        return proposals_of(MeanReversion(max_bars=3), view)

    assert found(2) == []
    assert [p.exit for p in found(3)] == [True]
    assert MeanReversion(max_bars=70).history == 70


def test_what_was_left_for_its_time_is_not_bought_again_where_it_is():
    falls = [*STEADY, 90.0, 89.0]
    assert proposed({"A": falls}) == [("A", "buy")]
    assert proposed({"A": falls}, max_bars=5) == []
    assert proposed({"A": falls[:-1]}, max_bars=5) == [("A", "buy")]
    assert proposed({"A": [*STEADY, 90.0, 100.0, 85.0]}, max_bars=5) == [("A", "buy")]
    assert proposed({"A": [100.0] * 20 + [90.0]}, max_bars=5) == [("A", "buy")]  # from bars that did not move


def test_a_session_stored_before_these_conditions_goes_on_as_it_began():
    stored = {"lookback": 20, "entry_z": 2.0, "exit_z": 0.0}
    loaded = load("mean_reversion", stored)
    assert loaded.strategy == MeanReversion()
    assert loaded.strategy.history == 20
    assert {name: loaded.parameters[name] for name in stored} == stored
    assert load("mean_reversion", loaded.parameters) == loaded


def test_exits_and_entries_come_in_the_order_of_the_symbols():
    closes = {"A": FALL, "B": [*STEADY, 90.0, 101.0], "C": RISE, "D": [*STEADY, 110.0, 99.0]}
    assert proposed(closes, {"B": 1, "D": -1}) == [("A", "buy"), ("B", "exit"), ("C", "sell"), ("D", "exit")]
