"""The attention learner against NumPy: running sums, shares, and a vote by hand."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gambler_ai.core.events import OutcomeKnown
from gambler_ai.core.learning import Outcome, Signal
from gambler_ai.learners.attention import FAR, LEAST, SHARPNESS, Attention, Watched, softmax
from tests.unit.fakes import AT


def told(features: dict[str, float], *, won: bool) -> OutcomeKnown:
    pnl = 1.0 if won else -1.0
    trade = Outcome("p", "AAPL", "long", AT, AT + timedelta(hours=1), Decimal(str(pnl)), pnl, Signal(features))
    return OutcomeKnown(AT, trade)


pairs = st.lists(st.tuples(st.floats(-1e6, 1e6), st.booleans()), min_size=1, max_size=60)


@settings(max_examples=25)
@given(pairs)
def test_running_sums_are_those_of_the_whole_series(seen):
    watched = Watched()
    for value, won in seen:
        watched = watched.after(value, float(won))
    values, wins = np.array([v for v, _ in seen]), np.array([float(w) for _, w in seen])
    size = max(1.0, float(np.abs(values).max()))
    assert watched.count == len(seen)
    assert watched.mean == pytest.approx(values.mean(), abs=1e-9 * size)
    assert watched.spread == pytest.approx(((values - values.mean()) ** 2).sum(), rel=1e-6, abs=1e-6 * size)
    assert watched.won == pytest.approx(wins.mean())
    assert watched.won_spread == pytest.approx(((wins - wins.mean()) ** 2).sum())
    product = ((values - values.mean()) * (wins - wins.mean())).sum()
    assert watched.product == pytest.approx(product, rel=1e-6, abs=1e-6 * size)
    assert -1 <= watched.score <= 1


def test_its_score_is_the_correlation_with_winning():
    rng = np.random.default_rng(1)
    values = rng.normal(0, 3, 200)
    wins = (values + rng.normal(0, 3, 200) > 0).astype(float)
    watched = Watched()
    for value, won in zip(values, wins, strict=True):
        watched = watched.after(float(value), float(won))
    assert watched.score == pytest.approx(float(np.corrcoef(values, wins)[0, 1]), rel=1e-9)
    assert watched.distance(7.0) == pytest.approx((7.0 - values.mean()) / values.std(), rel=1e-9)


def test_what_never_varied_tells_nothing():
    same, always = Watched(), Watched()
    for n in range(10):
        same, always = same.after(5.0, float(n % 2)), always.after(float(n), 1.0)
    assert (same.score, same.distance(9.0), always.score) == (0.0, 0.0, 0.0)
    assert (Watched().score, Watched().distance(1.0)) == (0.0, 0.0)


def test_nothing_is_further_than_three_deviations():
    watched = Watched().after(0.0, 1.0).after(2.0, 0.0)
    assert (watched.distance(1e9), watched.distance(-1e9)) == (FAR, -FAR)


@settings(max_examples=25)
@given(st.dictionaries(st.text(max_size=3), st.floats(-1, 1), min_size=1, max_size=8))
def test_shares_add_up_and_go_by_size_not_by_sign(scores):
    shares = softmax(scores)
    assert sum(shares.values()) == pytest.approx(1)
    assert shares == pytest.approx(softmax({name: -score for name, score in scores.items()}))


def test_shares_by_hand():
    shares = softmax({"a": 0.5, "b": -0.25, "c": 0.0})
    total = math.exp(2) + math.exp(1) + 1
    assert SHARPNESS == 4
    assert shares == pytest.approx({"a": math.exp(2) / total, "b": math.exp(1) / total, "c": 1 / total})
    assert softmax({}) == {}


def test_a_score_is_the_base_rate_moved_by_the_weighted_vote():
    """Two features over forty outcomes, all of it once more with NumPy."""
    rng, learner = np.random.default_rng(2), Attention()
    rows = rng.normal(0, 1, (40, 2))
    wins = rows[:, 0] + 0.3 * rng.normal(0, 1, 40) > 0.3
    for row, won in zip(rows, wins, strict=True):
        learner.apply(told({"good": float(row[0]), "noise": float(row[1])}, won=bool(won)))
    r = np.array([np.corrcoef(rows[:, i], wins)[0, 1] for i in (0, 1)])
    weight = np.exp(4 * np.abs(r)) / np.exp(4 * np.abs(r)).sum()
    distance = np.clip((np.array([1.0, -1.0]) - rows.mean(0)) / rows.std(0), -3, 3)
    odds = (wins.sum() + 1) / (40 - wins.sum() + 1) * math.exp(float((weight * r * distance).sum()))
    expected = odds / (1 + odds)
    found = learner.score(Signal({"good": 1.0, "noise": -1.0}))
    assert found is not None
    assert found == pytest.approx(expected, rel=1e-9)
    assert found > (learner.score(Signal({"good": -1.0, "noise": -1.0})) or 1.0)
    assert [w.name for w in learner.weights()] == ["good", "noise"]
    assert sum(w.value for w in learner.weights()) == pytest.approx(1)
    assert learner.facts() == {"won so far": f"{wins.sum()} of 40"}


def test_it_says_nothing_before_twenty_outcomes():
    learner = Attention()
    for n in range(LEAST):
        assert learner.score(Signal({"a": 1.0})) is None
        learner.apply(told({"a": float(n % 3)}, won=bool(n % 2)))
    assert learner.score(Signal({"a": 1.0})) is not None
    assert learner.score(Signal()) is None


def test_a_feature_that_is_absent_now_and_then_is_known_by_the_outcomes_that_had_it():
    learner = Attention()
    for n in range(30):
        learner.apply(told({"a": float(n)} | ({"b": float(n)} if n % 3 == 0 else {}), won=n % 2 == 0))
    watched = learner.pack().watched
    assert (watched["a"].count, watched["b"].count, learner.learned) == (30, 10, 30)
    assert watched["b"].won == 0.5


def test_an_outcome_without_features_teaches_nothing():
    learner = Attention()
    learner.apply(told({}, won=True))
    assert (learner.learned, learner.pack().count) == (0, 0)


def test_its_memory_does_not_grow_with_what_it_has_learned():
    learner, sizes = Attention(), []
    for n in range(3_000):
        learner.apply(told({"a": math.sin(n), "b": math.cos(3 * n)}, won=n % 3 == 0))
        sizes.append(len(learner.dump()) if n % 500 == 499 else 0)
    assert max(sizes) - sizes[499] < 40, "numbers of more digits, and no more of them"
