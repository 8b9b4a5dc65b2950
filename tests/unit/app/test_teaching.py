"""What another bot had learned: who takes it up, what is only kept, and that both are said before it is done."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gambler_ai.ancestors.learned import QTable, Weights
from gambler_ai.app.ancestry import Reading, read_files
from gambler_ai.app.inheriting import Target, store
from gambler_ai.app.taking_up import becomes
from gambler_ai.app.teaching import taught
from gambler_ai.clock import ManualClock
from gambler_ai.core.components import Component, load
from gambler_ai.core.events import LearnerReset, LearnerTaught, OutcomeKnown
from gambler_ai.core.learning import Outcome, Signal
from gambler_ai.learners.attention import Attention
from gambler_ai.learners.choices import Cell, Choices
from gambler_ai.learners.features import NAMES
from gambler_ai.learners.regimes import REGIMES
from gambler_ai.storage.database import Database
from gambler_ai.strategies.loader import load as load_strategy
from tests.unit.ancestors.make_files import q_table
from tests.unit.fakes import AT, D

FILES = Path(__file__).parents[1] / "ancestors" / "files" / "numpy1"
TREND, RANGE = REGIMES[0], REGIMES[2]
TABLE = QTable({
    TREND: {"momentum": 0.75, "somebody": 0.5}, RANGE: {"somebody": 0.5}, REGIMES[3]: {"momentum": -1.0},
    "trending_low": {"momentum": 0.5},
}, 0.25)  # fmt: skip
SHARES = tuple(float(n) for n in range(len(NAMES)))


def chooser() -> Choices:
    found = load_strategy("chooser", {}).strategy.components()[0]
    assert isinstance(found, Choices)
    return found


def memory_of(*components: Component) -> dict[str, Component]:
    return {component.name: component for component in components}


def weights_file(folder: Path, values: Any) -> Reading:
    np.save(folder / "w.npy", np.asarray(values, dtype=np.float64))
    return read_files([folder / "w.npy"], UTC)


def leave(database: Database, reading: Reading, at: Any = AT) -> None:
    store(database, ManualClock(at), Target("PA1"), reading)


def tabled(folder: Path, table: QTable) -> Reading:
    """A reading as a pickle of that table would give it."""
    reading = read_files([FILES / "q_table.pkl"], UTC)
    return Reading(reading.reports, (type(reading.found[0])("Q-table", table, []),))


def facts(database: Database, memory: dict[str, Component]) -> list[LearnerTaught]:
    return [fact for fact in taught(database, "PA1", memory, AT) if isinstance(fact, LearnerTaught)]


def lesson(learner: str) -> OutcomeKnown:
    words = {"strategy": "momentum", "regime": TREND}
    signal = Signal({"volume": 1.0}, {}, b"", words)
    return OutcomeKnown(AT, Outcome("p", "AAPL", "long", AT, AT, D(1), 1.0, signal))


# -- what is said ---------------------------------------------------------------------------------


def test_of_a_table_it_is_said_what_the_chooser_takes_up_and_what_is_only_kept():
    assert becomes(TABLE) == (
        "--strategy chooser begins with trend, quiet; range, quiet: of momentum, somebody, those that it chooses among",
        "only kept: trending_low, which are no regimes here"
        " (trend, quiet; trend, volatile; range, quiet; range, volatile)",
        "only kept: range, volatile, whose values are no rewards from 0 to 1",
        "its epsilon is not taken up: --set epsilon=0.25",
    )


def test_of_rads_own_table_nothing_is_taken_up_and_its_nine_states_are_named():
    [line] = becomes(QTable(q_table()["q_table"], 0.18))
    assert line.startswith("only kept: neutral_high, neutral_low, neutral_medium, ranging_high, ranging_low and 4 more")


def test_of_weights_it_is_said_whether_attention_takes_them_up_and_why_not():
    def said(values: tuple[float, ...]) -> str:
        [line] = becomes(Weights((len(values),), values))
        return line

    assert said(SHARES) == "--learners attention begins with them, in their order"
    assert said((1.0,) * 31) == (
        f"only kept: attention weighs {len(NAMES)} features, and it is not said which of them these are"
    )
    for bad in ((-1.0, *SHARES[1:]), (0.0,) * len(NAMES)):
        assert said(bad) == "only kept: weights of attention are shares, and one of these is below zero, or none above"


def test_a_report_says_it_before_anything_is_written():
    [table, weights] = read_files([FILES / "q_table.pkl", FILES / "attention_weights.npy"], UTC).reports
    assert table.becomes[0].startswith("only kept: neutral_high")
    assert weights.becomes[0].startswith("only kept: attention weighs")
    [history] = read_files([FILES / "analytics_state.pkl"], UTC).reports
    assert history.becomes == ()


@pytest.mark.parametrize(
    ("data", "what"), [(b"\x89HDF\r\n\x1a\n", "a Keras model in HDF5"), (b"PK\x03\x04", "a zip archive: a model")]
)
def test_a_model_is_refused_and_it_is_said_what_learns_instead(tmp_path: Path, data: bytes, what: str):
    (tmp_path / "deep_signal_model.h5").write_bytes(data)
    [model, pickled] = read_files([tmp_path / "deep_signal_model.h5", FILES / "signal_model.pkl"], UTC).reports
    assert what in model.refused
    assert "names sklearn.ensemble._forest.RandomForestClassifier" in pickled.refused
    for report in (model, pickled):
        assert "--learners" in report.hint


# -- what is done ---------------------------------------------------------------------------------


def test_a_chooser_that_knows_nothing_begins_with_the_table(database: Database, tmp_path: Path):
    leave(database, tabled(tmp_path, TABLE))
    own = chooser()
    [fact] = facts(database, memory_of(own))
    assert (fact.name, fact.values) == ("chooser", {TREND: {"momentum": 0.75}})
    own.apply(fact)
    assert own.state.table == {TREND: {"momentum": Cell(0.75)}}
    assert own.taught == fact.source


def test_it_is_taken_up_once_and_not_after_a_reset(database: Database, tmp_path: Path):
    leave(database, tabled(tmp_path, TABLE))
    own = chooser()
    own.apply(facts(database, memory_of(own))[0])
    assert facts(database, memory_of(own)) == []
    own.apply(LearnerReset(AT, "chooser", "anew"))
    assert facts(database, memory_of(own)) == []
    resumed = chooser()
    load(resumed, own.dump(), 1)
    assert facts(database, memory_of(resumed)) == []


def test_who_has_learned_takes_up_nothing(database: Database, tmp_path: Path):
    leave(database, tabled(tmp_path, TABLE))
    leave(database, weights_file(tmp_path, SHARES), AT.replace(second=9))
    own, attention = chooser(), Attention()
    assert [fact.name for fact in facts(database, memory_of(own, attention))] == ["chooser", "attention"]
    for one in (own, attention):
        one.apply(lesson(one.name))
    assert facts(database, memory_of(own, attention)) == []


def test_who_was_left_nothing_of_use_begins_as_it_is(database: Database, tmp_path: Path):
    own, attention = chooser(), Attention()
    assert facts(database, memory_of(own, attention)) == []
    leave(database, read_files([FILES / "q_table.pkl", FILES / "attention_weights.npy"], UTC))
    assert facts(database, memory_of(own, attention)) == []
    assert facts(database, {}) == []


def test_attention_begins_with_the_weights_and_its_own_say_grows(database: Database, tmp_path: Path):
    leave(database, weights_file(tmp_path, SHARES))
    attention = Attention()
    [fact] = facts(database, memory_of(attention))
    attention.apply(fact)
    first = {weight.name: weight.value for weight in attention.weights()}
    assert sum(first.values()) == pytest.approx(1)
    assert list(first)[:2] == ["short", "time_of_day"]  # the last two of the file are the heaviest
    for n in range(400):
        won = n % 2 == 0
        signal = Signal({name: float(won) if name == "along_1" else (n % 3) * 1.0 for name in NAMES})
        attention.apply(OutcomeKnown(AT, Outcome("p", "A", "long", AT, AT, D(1 if won else -1), 1.0, signal)))
    assert attention.weights()[0].name == "along_1"
    again = Attention()
    load(again, attention.dump(), 1)
    assert (again.dump(), again.weights(), again.taught) == (attention.dump(), attention.weights(), fact.source)
    again.apply(LearnerReset(AT, "attention", "anew"))
    assert (again.taught, again.weights()) == (fact.source, ())


def test_what_was_taken_up_says_half_after_twenty_outcomes():
    attention = Attention()
    attention.apply(LearnerTaught(AT, "attention", {"weights": dict(zip(NAMES, SHARES, strict=True))}, "a"))

    def ratio() -> float:
        found = {weight.name: weight.value for weight in attention.weights()}
        return found["short"] / found["along_1"]

    first = ratio()
    for _ in range(20):  # features that never vary tell nothing
        signal = Signal(dict.fromkeys(NAMES, 1.0))
        attention.apply(OutcomeKnown(AT, Outcome("p", "A", "long", AT, AT, D(1), 1.0, signal)))
    assert first > 2
    assert ratio() == pytest.approx(first**0.5)
