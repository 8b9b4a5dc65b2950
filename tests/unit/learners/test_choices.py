"""What the chooser remembers: judged before it is learned from, the same whenever it was stored, and honest."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest
from msgspec.structs import replace

from gambler_ai.core.components import load
from gambler_ai.core.events import Fact, LearnerReset, LearnerTaught, OutcomeKnown
from gambler_ai.core.learning import Outcome, Signal
from gambler_ai.errors import CheckpointCorrupt
from gambler_ai.learners.choices import ALL, EACH, Cell, Choices, ChooserMemory, reward
from gambler_ai.learners.regimes import REGIMES
from tests.unit.fakes import AT

TREND, RANGE = REGIMES[0], REGIMES[2]
RESET = LearnerReset(AT, "chooser", "anew")
TAUGHT = LearnerTaught(AT, "chooser", {TREND: {"up": 0.75}}, "a" * 64)


def made(rate: float = 0.05) -> Choices:
    return Choices(("up", "down"), 0.1, rate, 7)


def known(return_pct: float | None, **context: str) -> OutcomeKnown:
    pnl = None if return_pct is None else Decimal(str(return_pct))
    outcome = Outcome("p", "AAPL", "long", AT, AT + timedelta(minutes=5), pnl, return_pct, Signal(context=context))
    return OutcomeKnown(AT, outcome)


def closed(choices: Choices, strategy: str, regime: str, return_pct: float) -> OutcomeKnown:
    """A trade that was entered with what is known now."""
    predicted = choices.state.predicted(regime, strategy)
    return known(return_pct, strategy=strategy, regime=regime, predicted=predicted)


def life(count: int, seed: int, *, lesson: float = 0.0) -> list[Fact]:
    """Trades by lot; ``lesson`` is the percent that "up" wins in a trend and loses in a range, and "down" not."""
    dice, choices = np.random.default_rng(seed), made()
    facts: list[Fact] = []
    for _ in range(count):
        strategy, regime = ("up", "down")[dice.integers(2)], (TREND, RANGE)[dice.integers(2)]
        sign = 1 if (strategy == "up") == (regime == TREND) else -1
        fact = closed(choices, strategy, regime, round(float(sign * lesson + dice.normal(0, 1.5)), 4))
        choices.apply(fact)
        facts.append(fact)
    return facts


def after(facts: list[Fact], rate: float = 0.05) -> Choices:
    choices = made(rate)
    for fact in facts:
        choices.apply(fact)
    return choices


@pytest.mark.parametrize(
    ("return_pct", "expected"), [(0, 0.5), (4, 1), (-4, 0), (1, 0.625), (-2, 0.25), (50, 1), (-100, 0)]
)
def test_a_reward_is_the_return_cut_off_and_scaled(return_pct: float, expected: float):
    assert reward(return_pct) == expected


def test_a_value_is_a_mean_with_one_neutral_reward_and_then_moves_by_the_rate():
    cell = Cell()
    for got in (1.0, 0.0, 0.25):
        cell = cell.after(got, 0.0)
    assert cell.value == pytest.approx((0.5 + 1.0 + 0.0 + 0.25) / 4)
    assert cell.count == 3
    assert Cell(0.5, 98).after(1.0, 0.05).value == pytest.approx(0.525)
    assert Cell(0.5, 98).after(1.0, 0.0).value == pytest.approx(0.505)


def test_a_trade_is_judged_by_what_was_stored_with_it_and_learned_in_its_cell():
    choices = made()
    choices.apply(known(4, strategy="up", regime=TREND, predicted="0.900000 0.600000 0.500000"))
    memory = choices.state
    assert memory.table == {TREND: {"up": Cell(0.75, 1)}}
    assert (memory.each, memory.all, memory.learned) == ({"up": Cell(0.75, 1)}, Cell(0.75, 1), 1)
    assert memory.contest.loss == pytest.approx(0.1**2)
    assert memory.contest.rivals == pytest.approx({EACH: 0.4**2, ALL: 0.5**2})
    assert memory.predicted(TREND, "up") == "0.750000 0.750000 0.750000"
    assert memory.predicted(RANGE, "up") == "0.500000 0.750000 0.750000"
    assert memory.predicted(RANGE, "down") == "0.500000 0.500000 0.750000"


@pytest.mark.parametrize("said", ["", "x y z", "0.5 0.5", "nan 0.5 0.5", "inf 0.5 0.5", "9 0.5 0.5", "0 0 0 0"])
def test_what_was_not_predicted_is_learned_and_not_judged(said: str):
    choices = made()
    choices.apply(known(4, strategy="up", regime=TREND, predicted=said))
    assert (choices.learned, choices.state.contest.count) == (1, 0)


def test_what_teaches_nothing_changes_nothing():
    choices = made()
    choices.apply(known(None, strategy="up", regime=TREND, predicted="0.5 0.5 0.5"))
    choices.apply(known(2.0))
    choices.apply(known(2.0, strategy="up"))
    choices.apply(LearnerReset(AT, "attention", "anew"))
    assert (choices.revision, choices.state) == (0, ChooserMemory())


def test_it_is_the_same_wherever_it_was_cut():
    facts = [TAUGHT, *life(40, 3, lesson=1), RESET, *life(30, 4)]
    whole = after(facts).dump()
    for cut in range(len(facts) + 1):
        stored, resumed = after(facts[:cut]).dump(), made()
        load(resumed, stored, 1)
        assert resumed.dump() == stored
        for fact in facts[cut:]:
            resumed.apply(fact)
        assert resumed.dump() == whole


def test_where_one_wins_in_a_trend_and_the_other_in_a_range_it_learns_which_and_shows_it():
    choices = after(life(900, 5, lesson=1.5))
    table = choices.state.table
    assert table[TREND]["up"].value > 0.6 > 0.5 > table[TREND]["down"].value
    assert table[RANGE]["down"].value > 0.6 > 0.5 > table[RANGE]["up"].value
    assert choices.beats
    assert choices.describe().says.startswith("beats one value for ")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_in_noise_it_does_not_claim_to_know(seed: int):
    choices = made()
    for fact in life(900, seed):
        choices.apply(fact)
        assert not choices.beats
    assert choices.state.contest.count == 900
    assert "better than" in choices.describe().says or "worse than" in choices.describe().says


def test_that_a_strategy_is_better_everywhere_is_no_knowledge_of_regimes():
    dice, choices = np.random.default_rng(11), made()
    for _ in range(900):
        strategy, regime = ("up", "down")[dice.integers(2)], (TREND, RANGE)[dice.integers(2)]
        choices.apply(closed(choices, strategy, regime, 2.0 if strategy == "up" else -2.0))
    gaps = choices.state.contest.gaps
    assert gaps[ALL].interval[0] > 0 > gaps[EACH].interval[0]
    assert not choices.beats


def test_a_reset_forgets_all_but_that_it_was_taught():
    choices = after([TAUGHT, *life(5, 1), RESET])
    assert choices.state == ChooserMemory(taught="a" * 64, reset_at=AT)
    assert (choices.learned, choices.taught) == (0, "a" * 64)


@pytest.mark.parametrize(("decided_after_s", "judged"), [(-1, 0), (0, 0), (1, 1)])
def test_what_was_predicted_before_a_reset_is_learned_from_and_not_judged(decided_after_s, judged):
    fact = closed(made(), "up", TREND, 1.0)
    signal = replace(fact.outcome.signal, decided_at=AT + timedelta(seconds=decided_after_s))
    choices = after([RESET, replace(fact, outcome=replace(fact.outcome, signal=signal))])
    assert (choices.state.contest.count, choices.learned) == (judged, 1)


def test_it_is_taught_only_while_it_has_learned_nothing():
    assert after([TAUGHT]).state.table == {TREND: {"up": Cell(0.75)}}
    facts = life(1, 1)
    assert after([*facts, TAUGHT]).dump() == after(facts).dump()
    assert after([LearnerTaught(AT, "attention", {TREND: {"up": 0.75}}, "a")]).state == ChooserMemory()


def test_what_was_taught_weighs_as_much_as_one_trade():
    choices = after([TAUGHT, known(-4, strategy="up", regime=TREND)])
    assert choices.state.cell(TREND, "up") == Cell(0.375, 1)


@pytest.mark.parametrize(
    "memory",
    [
        ChooserMemory(table={TREND: {"up": Cell(1.5, 1)}}), ChooserMemory(all=Cell(-0.1)),
        ChooserMemory(all=Cell(0.5, -1)), ChooserMemory(learned=-1),
    ],
    ids=["a value above 1", "below 0", "a count below 0", "less than nothing learned"],
)  # fmt: skip
def test_a_memory_that_cannot_be_is_not_taken(memory: ChooserMemory):
    lying, choices = made(), made()
    lying.state = memory
    with pytest.raises(CheckpointCorrupt):
        load(choices, lying.dump(), 1)
    assert choices.state == ChooserMemory()


def test_people_see_values_by_regime_and_strategy_and_what_it_does():
    choices = after([known(4, strategy="up", regime=TREND), known(-4, strategy="old", regime="unknown")])
    found = choices.describe()
    assert found.grid is not None
    assert (found.grid.rows, found.grid.columns) == ((*REGIMES, "unknown"), ("up", "down", "old"))
    assert found.grid.values[0] == (0.75, None, None)
    assert found.grid.counts[0] == (1, 0, 0)
    assert found.grid.values[-1] == (None, None, 0.25)
    assert found.facts == {
        "chooses": "by lot, unless --use-learner insists", "epsilon": "0.1", "learning rate": "0.05", "seed": "7",
    }  # fmt: skip
    assert [(w.name, w.value, w.what) for w in found.weights] == [
        ("up", 0.75, "mean reward of 1 trade"), ("down", 0.5, "mean reward of 0 trades"),
        ("old", 0.25, "mean reward of 1 trade"),
    ]  # fmt: skip
    assert (found.learned, found.beats, found.says) == (2, False, "too early to say: 0 of 30 judged predictions")
