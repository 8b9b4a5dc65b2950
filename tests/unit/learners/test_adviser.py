"""Who is heard before an entry, and what they can do to it."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from gambler_ai.core.learning import Advice, Confidence, LearningRules, Outcome, Signal
from gambler_ai.core.model import MarketView, Side
from gambler_ai.learners.adviser import PLACES, SHARE_STEP, Panel
from gambler_ai.learners.base import Learner
from gambler_ai.learners.features import BARS, features
from gambler_ai.learners.yardstick import Yardstick
from tests.unit.fakes import AT, FIVE, D, make_plan, make_state, wish
from tests.unit.learners.series import frame_at

GATE, SCALE = Confidence.GATE, Confidence.SCALE


class Empty(Struct, frozen=True):
    """Nothing."""


@cache
def proven() -> Yardstick:
    """Of one that was always right."""
    yardstick = Yardstick()
    for n in range(400):
        yardstick = yardstick.after(float(n % 2), bool(n % 2), 0.0)
    assert yardstick.contest.beats
    return yardstick


class Says(Learner[Empty]):
    """Gives each entry the score it was made with, or raises it."""

    name = "says"
    what = "says what it was told to say"
    memory = Empty

    def __init__(self, score: float | BaseException | None, *, beats: bool = True) -> None:
        super().__init__()
        self._score, self._asked, self.prepared = score, 0, 0
        if beats:
            self.yardstick = proven()

    def _begin(self) -> None:
        """Nothing."""

    def prepare(self) -> None:
        self.prepared += 1

    def score(self, signal: Signal) -> float | None:
        if isinstance(self._score, BaseException):
            raise self._score
        return self._score

    def learn(self, outcome: Outcome) -> bool:
        return False

    def pack(self) -> Empty:
        return Empty()

    def unpack(self, memory: Empty) -> None:
        """Nothing."""


FRAME = frame_at(200)
VIEW = MarketView(FRAME.newest_at(0) + FIVE, FRAME, {}, {})


def panel_of(rules: LearningRules, **memory: Any) -> Panel:
    names = tuple(memory) if not rules.learners else rules.learners
    state = make_state(plan=make_plan(learning=replace(rules, learners=names)))
    return Panel(state, {name: learner for name, learner in memory.items() if learner is not None})


def advised(rules: LearningRules, side: Side = Side.BUY, **memory: Any) -> Advice:
    return panel_of(rules, **memory).advise(replace(wish(side=side), context={"regime": "trend"}), VIEW)


def gate(least: str = "0.6", how: Confidence = GATE, use: tuple[str, ...] = (), **memory: Any) -> Advice:
    return advised(LearningRules(use=use, min_confidence=D(least), confidence=how), **memory)


def test_a_signal_has_the_features_the_scores_and_the_strategys_words():
    advice = advised(LearningRules(), Side.SELL, one=Says(0.123456789), two=Says(None))
    assert advice.signal.features == features(FRAME, "AAPL", Side.SELL)
    assert advice.signal.features["short"] == 1.0
    assert advice.signal.scores == {"one": 0.123457}, "who cannot say yet has no score"
    assert advice.signal.context == {"regime": "trend"}
    assert PLACES == 6


@pytest.mark.parametrize(("said", "stored"), [(-0.5, 0.0), (1.7, 1.0), (0.0, 0.0), (1.0, 1.0), (1e-9, 0.0)])
def test_a_score_is_stored_between_0_and_1(said, stored):
    assert advised(LearningRules(), one=Says(said)).signal.scores == {"one": stored}


def test_without_a_least_confidence_they_only_watch():
    advice = advised(LearningRules(use=("one",)), one=Says(0.0), two=Says(0.1))
    assert (advice.share, advice.denial) == (D(1), "")


@pytest.mark.parametrize(("score", "passes"), [(0.599999, False), (0.6, True), (0.9, True), (0.0, False)])
def test_a_gate_denies_what_is_below_and_nothing_else(score, passes):
    advice = gate(one=Says(score))
    assert (advice.denial == "") is passes
    assert advice.share == 1
    if not passes:
        assert advice.denial == f"one gives it {score:.3f}, 0.6 wanted"
        assert not advice.failed


def test_one_that_does_not_beat_its_baselines_is_left_out_unless_somebody_insists():
    assert gate(one=Says(0.1, beats=False)).denial == ""
    assert gate(one=Says(0.1, beats=False), use=("one",)).denial != ""
    assert gate(one=Says(0.1, beats=False)).signal.scores == {"one": 0.1}, "it watches all the same"


def test_one_that_cannot_say_yet_is_not_asked():
    assert gate(one=Says(None)).denial == ""
    assert gate(one=Says(None), use=("one",)).denial == ""
    assert gate(one=Says(None), two=Says(0.2)).denial == "two gives it 0.200, 0.6 wanted"


def test_the_least_sure_of_those_that_are_heard_decides():
    assert gate(one=Says(0.9), two=Says(0.4), three=Says(0.5)).denial.startswith("two gives it 0.400")
    assert gate(one=Says(0.9), two=Says(0.4, beats=False), three=Says(0.5)).denial.startswith("three gives it 0.500")


@pytest.mark.parametrize(
    ("score", "share"), [(0.6, "1"), (0.9, "1"), (0.3, "0.5"), (0.45, "0.75"), (0.2, "0.3333"), (0.0, "0.0001")]
)
def test_scaled_it_is_made_smaller_in_proportion_and_never_denied(score, share):
    advice = gate(how=SCALE, one=Says(score))
    assert (advice.share, advice.denial) == (D(share), "")
    assert SHARE_STEP <= advice.share <= 1


def test_a_share_is_exact_whatever_the_score_looks_like_in_binary():
    shares = {gate("0.7", SCALE, one=Says(n / 1000)).share for n in range(0, 700, 7)}
    assert all(share == share.quantize(SHARE_STEP) and isinstance(share, Decimal) for share in shares)


# -- failing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyError("x"), ZeroDivisionError(), SystemExit(2), MemoryError()])
def test_one_that_raises_is_named_and_the_entry_denied(error):
    advice = gate(good=Says(0.9), bad=Says(error))
    assert advice.failed
    assert advice.denial.startswith(f"bad: {type(error).__name__}")
    assert advice.signal.scores == {}


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_no_number_is_a_failure_and_not_a_0(score):
    advice = gate(one=Says(score))
    assert advice.failed
    assert advice.denial.startswith(f"one: ValueError: a score of {score} is no number")


def test_one_that_was_insisted_on_and_has_failed_lets_nothing_pass():
    """It is not in the memory any more (`trading.memory`)."""
    advice = gate(one=None, two=Says(0.9), use=("one",))
    assert advice.failed
    assert advice.denial == "one has failed, and nothing is entered without its word"


def test_one_that_only_watched_and_has_failed_is_missing_and_no_more():
    advice = gate(one=None, two=Says(0.9))
    assert (advice.denial, advice.signal.scores) == ("", {"two": 0.9})


def test_what_is_no_learner_is_not_asked():
    advice = gate(one=object(), two=Says(0.9))
    assert advice.signal.scores == {"two": 0.9}


# -- rules that change ----------------------------------------------------------------------------


def test_rules_are_read_as_they_stand():
    """A resume changes them by a fact after the panel was made."""
    state = make_state(plan=make_plan(learning=LearningRules(("one",))))
    panel = Panel(state, {"one": Says(0.1), "two": Says(0.2)})
    assert panel.advise(wish(), VIEW).denial == ""
    state.plan = make_plan(learning=LearningRules(("one", "two"), (), D("0.6")))
    assert panel.advise(wish(), VIEW).denial == "one gives it 0.100, 0.6 wanted"
    state.plan = make_plan(learning=LearningRules(("two",), (), D("0.2")))
    assert panel.advise(wish(), VIEW) == Advice(
        Signal(features(FRAME, "AAPL", Side.BUY), {"two": 0.2}, decided_at=VIEW.at)
    )


def test_it_wants_the_bars_of_the_features_and_prepares_each():
    one, two = Says(0.5), Says(0.5)
    panel = panel_of(LearningRules(), one=one, two=two)
    assert panel.bars == BARS
    panel.prepare()
    assert (one.prepared, two.prepared) == (1, 1)


def test_advice_depends_on_the_bars_and_on_nothing_of_the_clock():
    later = replace_at(VIEW)
    advice = panel_of(LearningRules(), one=Says(0.5)).advise(replace(wish(), context={"regime": "trend"}), later)
    assert (advice.signal.decided_at, later.at) == (later.at, AT), "which it only notes"
    same = replace(advice, signal=replace(advice.signal, decided_at=VIEW.at))
    assert same == advised(LearningRules(), one=Says(0.5))


def replace_at(view: MarketView) -> MarketView:
    return MarketView(AT, view.frame, view.trades, view.held)
