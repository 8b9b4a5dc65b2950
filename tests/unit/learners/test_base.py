"""What all learners share, and each that there is: judged before it learns, reset, stored, and stored wrongly."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec import Struct
from msgspec.structs import replace

from gambler_ai import learners
from gambler_ai.core import events as ev
from gambler_ai.core.learning import Outcome, Signal
from gambler_ai.errors import CheckpointCorrupt, SchemaMismatch
from gambler_ai.learners.base import Learner
from gambler_ai.learners.features import NAMES
from gambler_ai.learners.yardstick import Yardstick
from tests.unit.fakes import AT, D
from tests.unit.learners.series import everybody, fresh, installed, known, series


class Heard(Struct, frozen=True):
    """How many were learned, and what the last of them was scored."""

    outcomes: int = 0
    odd: float = 0.0


class Counting(Learner[Heard]):
    """Scores by how many outcomes it has learned from."""

    name = "counting"
    what = "counts"
    memory = Heard

    def _begin(self) -> None:
        self._memory = Heard()

    def score(self, signal: Signal) -> float | None:
        return min(1.0, self._memory.outcomes / 10)

    def learn(self, outcome: Outcome) -> bool:
        if "skip" in outcome.signal.context:
            return False
        self._memory = Heard(self._memory.outcomes + 1)
        return True

    def pack(self) -> Heard:
        return self._memory

    def unpack(self, memory: Heard) -> None:
        if memory.outcomes < 0:
            raise ValueError("fewer than none")
        self._memory = memory


def outcome(pnl: str | None = "1", scores: dict[str, float] | None = None, **context: str) -> ev.OutcomeKnown:
    share = None if pnl is None else float(pnl)
    signal = Signal({"along_1": 1.0}, scores or {}, b"", context)
    money = None if pnl is None else D(pnl)
    return ev.OutcomeKnown(AT, Outcome("p", "AAPL", "long", AT, AT + timedelta(hours=1), money, share, signal))


def test_it_is_judged_by_what_was_stored_and_then_it_learns():
    """Were it asked again after it has learned, it would know the answer."""
    learner = Counting()
    learner.apply(outcome(scores={"counting": 0.25}))
    assert learner.yardstick == Yardstick().after(0.25, True, 1.0)
    assert (learner.learned, learner.score(Signal())) == (1, 0.1)


def test_one_whose_entry_it_did_not_score_is_learned_and_not_judged():
    learner = Counting()
    learner.apply(outcome(scores={"another": 0.25}))
    assert (learner.yardstick, learner.learned) == (Yardstick(), 1)


def test_one_that_it_cannot_learn_from_is_judged_and_not_counted():
    learner = Counting()
    learner.apply(outcome(scores={"counting": 0.25}, skip="yes"))
    assert (learner.yardstick.count, learner.learned) == (1, 0)


def test_an_exit_without_a_price_and_any_other_fact_change_nothing():
    learner = Counting()
    before = learner.dump(), learner.revision
    learner.apply(outcome(None, scores={"counting": 0.25}))
    learner.apply(ev.DayOpened(AT, "2008-10-07"))
    learner.apply(ev.LearnerReset(AT, "another", "why not"))
    assert (learner.dump(), learner.revision) == before


def test_its_revision_moves_with_its_bytes():
    learner = Counting()
    seen = {learner.revision: learner.dump()}
    for fact in (outcome(), outcome(scores={"counting": 0.5}), outcome(skip="yes"), outcome(None)):
        learner.apply(fact)
        assert seen.setdefault(learner.revision, learner.dump()) == learner.dump()
    assert len(seen) == 3


def test_a_reset_forgets_all_of_it():
    learner = Counting()
    learner.apply(outcome(scores={"counting": 0.25}))
    before = learner.revision
    learner.apply(ev.LearnerReset(AT, "counting", "why not"))
    assert (learner.learned, learner.yardstick, learner.pack()) == (0, Yardstick(), Heard())
    assert learner.revision > before


@pytest.mark.parametrize("is_stored", [False, True])
@pytest.mark.parametrize(("decided_after_s", "judged"), [(-1, 0), (0, 0), (1, 1)])
def test_what_was_said_before_a_reset_is_learned_from_and_not_judged(decided_after_s, judged, is_stored):
    """It was said by what a person has thrown away; whichever came first at one instant."""
    learner = Counting()
    learner.apply(ev.LearnerReset(AT, "counting", "why not"))
    if is_stored:
        payload, learner = learner.dump(), Counting()
        learner.load(payload, 1)
    fact = outcome(scores={"counting": 0.25})
    signal = replace(fact.outcome.signal, decided_at=AT + timedelta(seconds=decided_after_s))
    learner.apply(replace(fact, outcome=replace(fact.outcome, signal=signal)))
    assert (learner.yardstick.count, learner.learned) == (judged, 1)


# -- stored ---------------------------------------------------------------------------------------


def stored(learner: Learner[Any], **changes: Any) -> bytes:
    """What it dumps, with some of it changed: name, learned, yardstick, memory."""
    fields = ["name", "learned", "yardstick", "memory"]
    values = msgspec.msgpack.decode(learner.dump())
    for name, value in changes.items():
        values[fields.index(name)] = value
    return msgspec.msgpack.encode(values)


def test_it_goes_on_from_its_bytes_with_its_yardstick():
    learner, again = Counting(), Counting()
    for n in range(5):
        learner.apply(outcome("1" if n % 2 else "-1", {"counting": n / 10}))
    before = again.revision
    again.load(learner.dump(), 1)
    assert again.dump() == learner.dump()
    assert (again.learned, again.yardstick, again.score(Signal())) == (5, learner.yardstick, 0.5)
    assert again.revision > before


BAD = [
    (b"", "does not decode"),
    (b"\xc1", "does not decode"),
    (b"\x80\x04N.", "does not decode"),
    (b"\x91" * 100_000, "does not decode"),
    (msgspec.msgpack.encode(["counting", 1]), "does not decode"),
    (stored(Counting(), name="risk"), "of another component .'risk'."),
    (stored(Counting(), memory={"outcomes": "many"}), "does not decode"),
    (stored(Counting(), memory={"outcomes": -1}), "fewer than none"),
    (stored(Counting(), memory={"outcomes": 1, "odd": float("nan")}), "no number"),
    (stored(Counting(), yardstick={"log_loss": float("inf")}), "no number"),
    (stored(Counting(), learned="x"), "does not decode"),
]


@pytest.mark.parametrize(("payload", "says"), BAD, ids=range(len(BAD)))
def test_what_is_no_memory_of_it_is_refused_and_nothing_is_taken(payload, says):
    learner = Counting()
    learner.apply(outcome(scores={"counting": 0.25}))
    before = learner.dump(), learner.revision
    with pytest.raises(CheckpointCorrupt, match=says):
        learner.load(payload, 1)
    assert (learner.dump(), learner.revision) == before


@pytest.mark.parametrize("schema", [0, 2, 99])
def test_another_schema_is_refused_and_not_thrown_away(schema):
    with pytest.raises(SchemaMismatch, match=f"component counting: what is stored has schema {schema}"):
        Counting().load(Counting().dump(), schema)


# -- each that there is ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", known())
class TestEachLearner:
    def test_it_says_what_it_is(self, name):
        learner = installed(name)
        described = learner.describe()
        assert (described.name, learner.name, described.learned, described.beats) == (name, name, 0, False)
        assert described.what
        assert described.says.startswith("too early to say")
        assert learner.score(Signal()) is None, "it knows nothing yet"
        assert all(version for version in learner.libraries.values())

    def test_the_same_outcomes_give_the_same_bytes(self, name):
        one, two = installed(name), installed(name)
        for fact in series(name, 40):
            one.apply(fact)
            two.apply(fact)
        assert one.dump() == two.dump()

    @pytest.mark.parametrize("cut", [0, 1, 25, 39])
    def test_one_that_was_stored_goes_on_as_if_it_had_not_been(self, name, cut):
        """Its facts come from the journal, so from JSON."""
        whole, first, second = installed(name), installed(name), installed(name)
        facts = series(name, 45)
        for fact in facts:
            whole.apply(fact)
        for fact in facts[:cut]:
            first.apply(fact)
        second.load(first.dump(), first.schema)
        assert second.dump() == first.dump(), "as it was loaded, with nothing of its library imported"
        for fact in facts[cut:]:
            second.apply(msgspec.json.decode(msgspec.json.Encoder(order="deterministic").encode(fact), type=ev.Fact))
        assert second.dump() == whole.dump()
        probe = facts[0].outcome.signal
        assert second.score(probe) == whole.score(probe)

    def test_a_reset_is_a_new_one(self, name):
        learner = installed(name)
        for fact in series(name, 25):
            learner.apply(fact)
        assert learner.dump() != installed(name).dump()
        new = installed(name)
        for one in (learner, new):
            one.apply(ev.LearnerReset(AT, name, "why not"))
        assert learner.dump() == new.dump()
        assert learner.pack() == installed(name).pack()

    def test_a_score_asks_and_changes_nothing(self, name):
        learner = installed(name)
        for fact in series(name, 30):
            learner.apply(fact)
        before = learner.dump(), learner.revision
        signal = series(name, 1)[0].outcome.signal
        assert learner.score(signal) == learner.score(signal)
        assert (learner.dump(), learner.revision) == before

    @pytest.mark.parametrize("share", [25, pytest.param(1, marks=pytest.mark.nightly)])
    def test_bytes_that_rot_are_refused_or_are_a_memory(self, name, share):
        """Nothing else may come of them: no other error, and no number that is none."""
        learner = installed(name)
        for fact in series(name, 22):
            learner.apply(fact)
        payload = learner.dump()
        for place in range(0, len(payload), max(1, share * len(payload) // 2_000)):
            bad = bytearray(payload)
            bad[place] ^= 1 << (place % 8)
            again = installed(name)
            try:
                again.load(bytes(bad), learner.schema)
            except (CheckpointCorrupt, SchemaMismatch):
                continue
            again.dump()

    def test_a_signal_of_nothing_and_features_of_nothing_are_no_fault(self, name):
        learner = installed(name)
        for fact in series(name, 25):
            learner.apply(fact)
        odd: tuple[dict[str, float], ...] = ({}, {"short": 1.0}, dict.fromkeys(NAMES, 0.0), {"unheard_of": 3.0})
        for signal in map(Signal, odd):
            score = learner.score(signal)
            assert score is None or 0 <= score <= 1
            learner.apply(ev.OutcomeKnown(AT, Outcome("p", "AAPL", "long", AT, AT, Decimal(1), 1.0, signal)))

    def test_far_values_stay_numbers(self, name):
        learner = installed(name)
        rng = np.random.default_rng(1)
        for _ in range(40):
            values = {n: float(v) for n, v in zip(NAMES, rng.choice([-1e12, 1e12, 0.0], len(NAMES)), strict=True)}
            signal = Signal(values)
            learner.apply(ev.OutcomeKnown(AT, Outcome("p", "AAPL", "long", AT, AT, Decimal(1), 1.0, signal)))
            score = learner.score(signal)
            assert score is None or 0 <= score <= 1
        again = installed(name)
        again.load(learner.dump(), learner.schema)


@pytest.mark.parametrize("name", everybody())
def test_a_series_teaches_each_of_them_something(name):
    """Else the tests that compare what was learned would compare nothing."""
    component = fresh(name)
    sizes = []
    for fact in series(name, 45):
        before = component.revision
        component.apply(fact)
        sizes.append(component.revision > before)
    assert all(sizes)
    judged = [fact for fact in series(name, 45) if name in fact.outcome.signal.scores]
    assert name not in known() or len(judged) > 15


def test_each_that_is_registered_is_tried_here():
    assert set(known()) <= set(learners.KNOWN)
    assert "attention" in known()
