"""What a learner is worth: baselines by hand, an interval that holds at all times, and a curve that stays small."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gambler_ai.learners.yardstick import (
    ALPHA,
    ALWAYS,
    BASE_RATE,
    BASELINES,
    LEAST,
    NEVER,
    POINTS_MAX,
    Contest,
    Gap,
    Yardstick,
)


def after(told: Iterable[tuple[float, bool]], yardstick: Yardstick = Yardstick()) -> Yardstick:  # noqa: B008
    for predicted, won in told:
        yardstick = yardstick.after(predicted, won, 1.0 if won else -1.0)
    return yardstick


# -- sums by hand ---------------------------------------------------------------------------------


def test_the_losses_of_three_predictions_and_their_baselines_by_hand():
    found = after([(0.8, True), (0.4, False), (0.3, True)])
    contest = found.contest
    assert (found.count, found.wins, found.returns) == (3, 2, 1.0)
    assert contest.loss == pytest.approx(0.04 + 0.16 + 0.49)
    # one win in no outcomes is a half, then 2 of 3, then 2 of 4
    assert contest.rivals == pytest.approx({BASE_RATE: 0.25 + 4 / 9 + 0.25, ALWAYS: 1.0, NEVER: 2.0})
    assert found.log_loss == pytest.approx(-math.log(0.8) - math.log(0.6) - math.log(0.3))
    assert found.base_log_loss == pytest.approx(-math.log(1 / 2) - math.log(1 / 3) - math.log(1 / 2))
    assert contest.gaps[NEVER].mean == pytest.approx((1 - 0.04 + 0 - 0.16 + 1 - 0.49) / 3)
    assert set(contest.gaps) == set(BASELINES)


def test_what_was_predicted_is_judged_before_the_outcome_counts_for_the_base_rate():
    """A base rate that knew the outcome would be a better rival than anybody can be."""
    first = after([(0.5, True)])
    assert first.contest.rivals[BASE_RATE] == pytest.approx(0.25)
    assert first.contest.gaps[BASE_RATE].mean == 0.0


def test_certainty_that_was_wrong_costs_much_and_not_everything():
    assert after([(1.0, False)]).log_loss == pytest.approx(-math.log(1e-6))
    assert after([(0.0, True)]).contest.loss == 1.0


def test_tenths_hold_what_was_said_and_what_came():
    found = after([(0.0, False), (0.05, True), (0.1, True), (0.55, False), (0.95, True), (1.0, True)])
    counts = {place: tuple(b.__getattribute__(n) for n in ("count", "predicted", "won"))
              for place, b in enumerate(found.bins) if b.count}  # fmt: skip
    assert counts == {0: (2, 0.05, 1), 1: (1, 0.1, 1), 5: (1, 0.55, 0), 9: (2, 1.95, 2)}
    assert sum(b.count for b in found.bins) == found.count


@settings(max_examples=25)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=60))
def test_sums_are_those_of_a_plain_loop(told):
    found = after(told)
    truth = [(p, float(w)) for p, w in told]
    assert found.contest.loss == pytest.approx(sum((p - w) ** 2 for p, w in truth))
    assert found.wins == sum(w for _p, w in told)
    assert sum(b.won for b in found.bins) == found.wins
    for name, says in ((ALWAYS, 1.0), (NEVER, 0.0)):
        assert found.contest.rivals.get(name, 0.0) == pytest.approx(sum((says - w) ** 2 for _p, w in truth))


def test_it_goes_through_bytes_and_on_as_if_it_had_not():
    rng = np.random.default_rng(3)
    told = [(round(float(p), 6), bool(w)) for p, w in zip(rng.uniform(0, 1, 300), rng.random(300) < 0.5, strict=True)]
    whole = after(told)
    encoder = msgspec.msgpack.Encoder(order="deterministic")
    half = msgspec.msgpack.decode(encoder.encode(after(told[:137])), type=Yardstick)
    assert encoder.encode(after(told[137:], half)) == encoder.encode(whole)
    assert after(told[137:], half) == whole


# -- the curve ------------------------------------------------------------------------------------


def test_the_curve_stays_small_and_ends_near_the_end():
    contest = Contest()
    for n in range(1, 5_001):
        contest = contest.after(0.2, {"rival": 0.3})
        assert len(contest.curve) <= POINTS_MAX
        if n >= POINTS_MAX:
            assert contest.curve[-1].count > n - contest.stride
    assert len(contest.curve) > POINTS_MAX // 2 - 1
    counts = [point.count for point in contest.curve]
    assert counts == list(range(contest.stride, counts[-1] + 1, contest.stride)), "evenly spaced, from the beginning"
    assert {(round(p.learner, 9), round(p.rival, 9)) for p in contest.curve} == {(0.2, 0.3)}


def test_its_size_in_bytes_does_not_grow():
    rng = np.random.default_rng(1)
    contest, sizes = Contest(), []
    for loss in rng.uniform(0, 1, 4_000):
        contest = contest.after(float(loss), {"rival": 0.25})
        sizes.append(len(msgspec.msgpack.encode(contest.curve)))
    assert max(sizes) < POINTS_MAX * 25


def test_the_rival_of_the_curve_is_the_first_through_bytes_as_well():
    rivals = {"b": 0.5, "a": 0.25}
    contest = Contest().after(0.1, rivals)
    encoder = msgspec.msgpack.Encoder(order="deterministic")
    again = msgspec.msgpack.decode(encoder.encode(contest), type=Contest)
    assert again.after(0.1, rivals) == contest.after(0.1, rivals)
    assert again.after(0.1, rivals).curve[-1].rival == 0.5
    assert again.says == contest.says


# -- the interval ---------------------------------------------------------------------------------


def looked_at(differences: np.ndarray) -> list[tuple[float, float]]:
    gap, seen = Gap(), []
    for value in differences:
        gap = gap.after(float(value))
        seen.append(gap.interval)
    return seen


def plainly(differences: np.ndarray) -> tuple[float, float]:
    """Theorem 2 as it is written, from the whole series at once."""
    x = (np.asarray(differences) + 1) / 2
    t = np.arange(1, len(x) + 1)
    mean = (0.5 + np.cumsum(x)) / (t + 1)
    before = np.concatenate([[0.5], mean[:-1]])
    variance = (0.25 + np.cumsum((x - mean) ** 2)) / (t + 1)
    known = np.concatenate([[0.25], variance[:-1]])
    bet = np.minimum(np.sqrt(2 * np.log(2 / ALPHA) / (known * t * np.log(t + 1))), 0.5)
    psi = (-np.log(1 - bet) - bet) / 4
    centre, reach = (bet * x).sum(), np.log(2 / ALPHA) + (4 * (x - before) ** 2 * psi).sum()
    low, high = (centre - reach) / bet.sum(), (centre + reach) / bet.sum()
    return max(-1.0, 2 * low - 1), min(1.0, 2 * high - 1)


@settings(max_examples=25)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=80))
def test_the_running_sums_are_the_theorem_as_it_is_written(differences):
    assert looked_at(np.array(differences))[-1] == pytest.approx(plainly(np.array(differences)), abs=1e-9)


def test_so_are_they_where_the_bet_is_below_its_cap():
    """Which takes differences that are wide, and many of them: short series all bet the most."""
    rng = np.random.default_rng(3)
    differences = np.where(rng.random(400) < 0.6, 1.0, -1.0)
    gap = Gap()
    for difference in differences:
        gap = gap.after(float(difference))
    assert gap.bets < 0.4 * len(differences)
    assert gap.interval == pytest.approx(plainly(differences), abs=1e-9)


def test_nothing_known_is_anything():
    assert (Gap().interval, Gap().mean) == ((-1.0, 1.0), 0.0)


def missed(runs: int, looks: int) -> float:
    """The part of series whose interval left the truth out at any look, of differences of several shapes."""
    rng, left = np.random.default_rng(20), 0
    for run in range(runs):
        rate = rng.uniform(0.1, 0.9)
        kind = run % 3
        if kind == 0:  # two sure rivals: nothing between -1 and 1
            values, truth = np.where(rng.random(looks) < rate, 1.0, -1.0), 2 * rate - 1
        elif kind == 1:
            values, truth = rng.uniform(-0.3, 0.1, looks), -0.1
        else:
            values, truth = rng.beta(rate * 2, 2 - rate * 2, looks) * 2 - 1, 2 * rate - 1
        left += any(not low <= truth <= high for low, high in looked_at(values))
    return left / runs


def falsely_beaten(runs: int, looks: int) -> float:
    """The part of learners that know nothing and are said to beat their baselines at any look."""
    rng, beats = np.random.default_rng(21), 0
    for _ in range(runs):
        rate = rng.uniform(0.2, 0.8)
        said = np.clip(rate + rng.normal(0, 0.1, looks), 0.01, 0.99)
        yardstick, once = Yardstick(), False
        for predicted, won in zip(said, rng.random(looks) < rate, strict=True):
            yardstick = yardstick.after(float(predicted), bool(won), 0.0)
            once = once or yardstick.contest.beats
        beats += once
    return beats / runs


def test_the_truth_stays_inside_at_all_looks():
    assert missed(40, 300) <= ALPHA


def test_who_knows_nothing_is_not_said_to_beat_however_often_it_is_looked_at():
    assert falsely_beaten(15, 300) == 0.0


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_the_same_of_many_and_long(count):
    count("looks at an interval", 600 * 2_000 + 200 * 3_000)
    assert missed(600, 2_000) <= ALPHA
    assert falsely_beaten(200, 3_000) <= ALPHA


def test_who_knows_something_is_said_to_beat_soon():
    """Right four times in five where the coin is fair: as sure as that."""
    rng = np.random.default_rng(22)
    won = rng.random(400) < 0.5
    right = rng.random(400) < 0.8
    said = [(0.8 if w == r else 0.2, bool(w)) for w, r in zip(won, right, strict=True)]
    found = after(said)
    assert found.contest.beats
    assert found.contest.says.startswith("beats ")
    assert after(said[: LEAST - 1]).contest.says == "too early to say: 29 of 30 judged predictions"


def test_the_base_rate_itself_never_beats_the_base_rate():
    yardstick = Yardstick()
    for n in range(500):
        yardstick = yardstick.after((yardstick.wins + 1) / (yardstick.count + 2), n % 10 < 7, 0.0)
    assert not yardstick.contest.beats
    low, high = yardstick.contest.gaps[BASE_RATE].interval
    assert low < 0 < high
    assert yardstick.contest.says.startswith("not shown to be better than base rate")


def test_fewer_than_thirty_say_nothing_whatever_the_interval():
    contest = Contest()
    for _ in range(LEAST - 1):
        contest = contest.after(0.0, {"rival": 1.0})
    assert contest.gaps["rival"].interval[0] > 0
    assert not contest.beats
    assert contest.after(0.0, {"rival": 1.0}).beats


def test_who_is_worse_is_told_so():
    contest = Contest()
    for _ in range(200):
        contest = contest.after(0.9, {"rival": 0.1})
    assert contest.says.startswith("worse than rival: -0.8000 of loss, between ")
    assert not contest.beats


def test_every_rival_has_to_be_beaten():
    contest = Contest()
    for _ in range(200):
        contest = contest.after(0.1, {"weak": 0.9, "strong": 0.1})
    assert contest.gaps["weak"].interval[0] > 0
    assert not contest.beats
    assert "strong" in contest.says
