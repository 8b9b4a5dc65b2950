"""Regimes: what they are called, and that a symbol's is its own newest bars' alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gambler_ai.learners.regimes import BARS, LONG, REGIMES, UNKNOWN, WINDOW, efficiency, regimes, volatility
from gambler_ai.strategies.testing import view_of

FALL = [200.0 - i for i in range(BARS)]
SWING = [100.0 + (-1) ** i for i in range(BARS)]
#: Long restless, now calm; and the other way round.
CALMER = [100.0 + (5 if i < LONG - WINDOW else 1) * (-1) ** i for i in range(BARS)]
WILDER = [100.0 + (1 if i < LONG - WINDOW else 5) * (-1) ** i for i in range(BARS)]
QUIET_RISE = [*CALMER[: BARS - WINDOW], *(float(104 + i) for i in range(WINDOW))]
#: Straight up in steps that differ as much as nothing before.
WILD_RISE = [*([100.0] * (BARS - WINDOW)), *np.cumsum([1, 9] * (WINDOW // 2)) + 100.0]


def walk(seed: int, bars: int) -> list[float]:
    steps = np.random.default_rng(seed).normal(0, 0.01, bars)
    return [float(price) for price in 100 * np.exp(np.cumsum(steps))]


@pytest.mark.parametrize(
    ("closes", "regime"),
    [
        (QUIET_RISE, "trend, quiet"), (WILD_RISE, "trend, volatile"), (CALMER, "range, quiet"),
        (WILDER, "range, volatile"), ([100.0] * BARS, "range, quiet"), (FALL[1:], UNKNOWN), ([5.0], UNKNOWN),
    ],
    ids=["straight up", "in leaps", "calmer", "wilder", "still", "a bar short", "one bar"],
)  # fmt: skip
def test_a_market_has_its_regime(closes: list[float], regime: str):
    assert regimes(view_of({"A": closes}).frame) == (regime,)


def test_a_young_symbol_is_unknown_beside_an_old_one():
    assert regimes(view_of({"OLD": CALMER, "NEW": [1.0, 2.0], "NONE": []}).frame) == ("range, quiet", UNKNOWN, UNKNOWN)
    assert regimes(view_of({"NONE": []}).frame) == (UNKNOWN,)


def test_the_two_numbers_are_what_they_are_called():
    fall, swing = np.asarray([FALL]), np.asarray([SWING])
    assert efficiency(fall)[0] == 1.0
    assert efficiency(swing)[0] == 0.0  # an even number of steps to and fro
    changes = np.diff(np.log(WILDER))
    assert volatility(np.asarray([WILDER]))[0] == pytest.approx(changes[-WINDOW:].std() / changes.std())


def test_a_random_walk_is_a_trend_in_about_a_quarter_of_bars():
    close = np.exp(np.cumsum(np.random.default_rng(7).normal(0, 0.01, (4000, BARS)), axis=1))
    found = efficiency(close)
    assert 0.20 < found.mean() < 0.25
    assert 0.2 < (found >= 0.3).mean() < 0.35


@given(st.integers(0, 10_000), st.integers(BARS, BARS + 40), st.integers(0, 5))
def test_neither_older_bars_nor_other_symbols_change_it(seed: int, bars: int, others: int):
    closes = walk(seed, bars)
    alone = regimes(view_of({"A": closes[-BARS:]}).frame)
    beside = {f"X{n}": walk(seed + n + 1, bars + n) for n in range(others)}
    assert regimes(view_of({**beside, "A": closes}).frame)[-1:] == alone
    assert alone[0] in REGIMES
