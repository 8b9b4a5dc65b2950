"""The signal model: what it learns, what it stores, and that one that was stored goes on as if it had not been."""

from __future__ import annotations

import functools
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from gambler_ai import learners
from gambler_ai.core.events import LearnerReset, OutcomeKnown
from gambler_ai.core.learning import LearningRules, Outcome, Signal
from gambler_ai.errors import CheckpointCorrupt, ConfigError, SchemaMismatch
from gambler_ai.learners import arrays, signal_model
from gambler_ai.learners.signal_model import COLUMNS, SignalMemory, SignalModel
from tests.unit.fakes import AT
from tests.unit.learners.outcomes import SERIES, outcome


def taught(outcomes: list[Outcome], model: SignalModel | None = None) -> SignalModel:
    """A model that was told of ``outcomes``, each scored by itself before."""
    model = model or SignalModel()
    for one in outcomes:
        score = model.score(one.signal)
        scores = {} if score is None else {"signal": round(score, 6)}
        model.apply(OutcomeKnown(AT, replace(one, signal=replace(one.signal, scores=scores))))
    return model


def again(payload: bytes) -> SignalModel:
    model = SignalModel()
    model.load(payload, 1)
    return model


@functools.cache
def knowing(count: int) -> SignalMemory:
    """What is known after so many outcomes."""
    return taught(SERIES[:count]).pack()


def of(count: int) -> SignalModel:
    model = SignalModel()
    model.unpack(knowing(count))
    return model


def packed(**changes: Any) -> bytes:
    """What a model of thirty outcomes dumps, with ``changes`` in its memory."""
    kept = msgspec.msgpack.decode(of(30).dump())
    kept[3] = msgspec.to_builtins(replace(knowing(30), **changes), builtin_types=(bytes,))
    return msgspec.msgpack.encode(kept)


def table(memory: SignalMemory) -> Any:
    return arrays.unpack(memory.model, "<f8", (5, 13))


def rows(memory: SignalMemory) -> Any:
    return arrays.unpack(memory.examples, "<f4", memory.examples.shape)


# -- what it learns -------------------------------------------------------------------------------


def test_it_is_what_the_library_makes_of_the_same_examples():
    """Its own arithmetic for a score, against both estimators fed in the plain way."""
    from sklearn.linear_model import SGDClassifier  # here, so that nobody who only collects tests waits for it
    from sklearn.preprocessing import StandardScaler

    series = [outcome(number, without=0.0) for number in range(45)]
    model, scaler = taught(series), StandardScaler()
    classifier = SGDClassifier(
        loss="log_loss", learning_rate="invscaling", alpha=0.001, eta0=0.03, power_t=0.25, shuffle=False, random_state=0
    )
    for one in series:
        row = np.array([[one.signal.features[name] for name in COLUMNS]])
        scaler.partial_fit(row)
        classifier.partial_fit(np.clip(scaler.transform(row), -5, 5), [int(one.won)], classes=[0, 1])
    for one in series:
        row = np.array([[one.signal.features[name] for name in COLUMNS]])
        wanted = classifier.predict_proba(np.clip(scaler.transform(row), -5, 5))[0, 1]
        assert model.score(one.signal) == pytest.approx(wanted, abs=1e-12)


def test_it_finds_the_feature_that_tells_and_beats_its_baselines():
    chance = random.Random(1)
    model = taught([outcome(number, told=5.0, without=0.05, chance=chance) for number in range(350)])
    first = model.weights()[0]
    assert (first.name, first.value > 0.3) == ("along_5", True)
    assert max(model.importance().items(), key=lambda item: item[1])[0] == "along_5"
    assert model.beats
    assert "change in 5 bars, along, % (shuffled: +0." in first.what
    assert model.facts()["examples kept"].startswith("350, 10,000 at most; ")


def test_what_leans_on_a_feature_is_the_loss_that_grows_when_that_one_is_shuffled():
    model = taught(SERIES[:60])
    memory = model.pack()
    coef, mean, _var, scale, _seen = arrays.unpack(memory.model, "<f8", (5, len(COLUMNS)))
    rows = arrays.unpack(memory.examples, "<f4", (60, len(COLUMNS) + 1)).astype(float)
    seen, won = np.clip(np.nan_to_num((rows[:, :-1] - mean) / scale), -signal_model.FAR, signal_model.FAR), rows[:, -1]

    def loss(of: np.ndarray) -> float:
        return float(np.mean((1 / (1 + np.exp(-(of @ coef + memory.intercept))) - won) ** 2))

    chance, least, leaning = np.random.default_rng(0), loss(seen), model.importance()
    for column, name in enumerate(COLUMNS):
        grown = []
        for _ in range(signal_model.SHUFFLES):
            others = seen.copy()
            others[:, column] = chance.permutation(seen[:, column])
            grown.append(loss(others) - least)
        assert leaning[name] == pytest.approx(np.mean(grown), abs=1e-12), name


def test_of_noise_it_claims_nothing():
    chance = random.Random(2)
    model = taught([outcome(number, told=0.0, chance=chance) for number in range(90)])
    assert model.yardstick.count == 90 - signal_model.LEAST
    assert not model.beats


def test_it_says_nothing_before_it_has_seen_enough_and_nothing_of_features_that_are_not_its_own():
    model = taught(SERIES[: signal_model.LEAST - 1])
    assert model.score(SERIES[0].signal) is None
    model = taught(SERIES[signal_model.LEAST - 1 : signal_model.LEAST], model)
    assert model.score(SERIES[0].signal) is not None
    strange = replace(SERIES[0], signal=Signal({"moon": 1.0}))
    assert model.score(strange.signal) is None
    before = model.dump()
    assert not model.learn(strange)
    assert model.dump() == before


def test_an_absent_feature_counts_as_its_mean_and_moves_nothing_of_its_column():
    model = of(40)
    features = SERIES[41].signal.features | {"volatility": 3.0}
    mean = float(table(model.pack())[signal_model.MEAN, COLUMNS.index("volatility")])
    without = {name: value for name, value in features.items() if name != "volatility"}
    assert model.score(Signal(without)) == pytest.approx(model.score(Signal(without | {"volatility": mean})), abs=1e-12)
    before = model._model[1:, COLUMNS.index("volatility")].copy()
    taught([replace(SERIES[41], signal=Signal(without))], model)
    assert (model._model[1:, COLUMNS.index("volatility")] == before).all()


def test_a_feature_that_was_never_there_and_one_beyond_all_bounds_leave_it_sound():
    without = [replace(o, signal=Signal({k: v for k, v in o.signal.features.items() if k != "short"})) for o in SERIES]
    wild = replace(SERIES[0], signal=Signal(SERIES[0].signal.features | {"volume": 1e300}))
    model = taught([*without[:30], wild, *without[30:60]])
    score = model.score(SERIES[1].signal)
    assert score is not None
    assert 0 <= score <= 1
    assert again(model.dump()).dump() == model.dump()


# -- what it stores -------------------------------------------------------------------------------


@pytest.mark.parametrize("places", [(1, 7, 19, 20, 21, 33, 44), pytest.param(range(90), marks=pytest.mark.nightly)])
def test_one_that_was_stored_anywhere_goes_on_bit_for_bit(places):
    series = SERIES[: places[-1] + 1]
    whole, model = taught(series).dump(), SignalModel()
    for place, one in enumerate(series):
        if place in places:
            assert taught(series[place:], again(model.dump())).dump() == whole, f"stored after {place}"
        model = again(taught([one], model).dump())  # and one that is stored after each
    assert model.dump() == whole


def test_nothing_is_left_of_what_it_knew_before_a_load():
    model = taught(SERIES[50:60])
    model.load(of(30).dump(), 1)
    assert taught(SERIES[30:33], model).pack() == taught(SERIES[30:33], of(30)).pack()


OTHER_PROCESS = """
import sys
from pathlib import Path
import msgspec
from gambler_ai.core.events import OutcomeKnown
from gambler_ai.core.learning import Outcome
from gambler_ai.learners import make
stored, series, learned = map(Path, sys.argv[1:])
[model] = make(["signal"])
model.load(stored.read_bytes(), 1)
assert model.dump() == stored.read_bytes()
outcomes = msgspec.msgpack.decode(series.read_bytes(), type=list[OutcomeKnown])
assert model.score(outcomes[0].outcome.signal) is not None
assert model.describe().weights and model.libraries["scikit-learn"]
assert "sklearn" not in sys.modules, "nothing was learned yet"
model.prepare()
assert "sklearn" in sys.modules
for fact in outcomes:
    model.apply(fact)
learned.write_bytes(model.dump())
"""


def test_another_process_goes_on_bit_for_bit_and_imports_the_library_when_it_has_to(tmp_path: Path):
    facts, model = [OutcomeKnown(AT, one) for one in SERIES[:40]], of(30)
    stored, series, learned = (tmp_path / name for name in ("stored", "series", "learned"))
    stored.write_bytes(model.dump())
    series.write_bytes(msgspec.msgpack.encode(facts[30:]))
    subprocess.run([sys.executable, "-c", OTHER_PROCESS, stored, series, learned], check=True)
    for fact in facts[30:]:
        model.apply(fact)
    assert learned.read_bytes() == model.dump()


def test_the_oldest_example_goes_and_the_ring_is_stored_in_one_order():
    model = SignalModel()
    model._kept = type(model._kept)(maxlen=8)
    for one in SERIES[:20]:
        model.learn(one)
    wanted = [[one.signal.features.get(name, np.nan) for name in COLUMNS] + [one.won] for one in SERIES[12:20]]
    np.testing.assert_array_equal(rows(model.pack()), np.array(wanted, "<f4"))


def test_it_keeps_ten_thousand_examples_and_loads_them_again():
    model = SignalModel()
    full = np.tile(rows(knowing(30)), (334, 1))[:10_000]
    told = replace(knowing(30), steps=10_001.0, examples=arrays.pack(full, "<f4"))
    model.unpack(told)
    assert model.pack() == told
    model.learn(SERIES[40])
    assert len(model._kept) == signal_model.KEPT == 10_000
    newest, before = model._examples()[-1], model._examples()[:-1]
    assert newest[COLUMNS.index("along_5")] == np.float32(SERIES[40].signal.features["along_5"])
    np.testing.assert_array_equal(before, full[1:])
    assert len(model.dump()) < 600_000


def test_a_feature_that_came_later_is_new_to_an_old_blob():
    """As an older program stored it: without the last two columns."""
    old = COLUMNS[:-2]
    lacking = [replace(o, signal=Signal({n: v for n, v in o.signal.features.items() if n in old})) for o in SERIES]
    memory = taught(lacking[:25]).pack()
    older = SignalMemory(
        old, memory.steps, memory.intercept, arrays.pack(table(memory)[:, :-2], "<f8"),
        arrays.pack(np.delete(rows(memory), [11, 12], axis=1), "<f4"),
    )  # fmt: skip
    model = SignalModel()
    model.unpack(older)
    assert model.pack() == memory, "the columns that it lacked are as if they had always been absent"
    taught(SERIES[40:45], model)
    assert again(model.dump()).dump() == model.dump()


def test_columns_in_another_order_are_found_by_their_names():
    memory = knowing(30)
    turned = list(range(12, -1, -1))
    model = SignalModel()
    model.unpack(
        SignalMemory(
            tuple(COLUMNS[place] for place in turned), memory.steps, memory.intercept,
            arrays.pack(table(memory)[:, turned], "<f8"),
            arrays.pack(rows(memory)[:, [*turned, 13]], "<f4"),
        )
    )  # fmt: skip
    assert model.pack() == memory


def test_a_feature_of_a_newer_program_is_refused_and_not_thrown_away():
    with pytest.raises(SchemaMismatch, match="'along_99', a feature that this program does not know"):
        again(packed(names=(*COLUMNS[:-1], "along_99")))


def model_with(place: tuple[int, int], value: float) -> dict[str, Any]:
    values = table(knowing(30))
    values[place] = value
    return {"model": arrays.pack(values, "<f8")}


def examples_with(place: tuple[int, int], value: float) -> dict[str, Any]:
    values = rows(knowing(30))
    values[place] = value
    return {"examples": arrays.pack(values, "<f4")}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (lambda: model_with((0, 0), float("nan")), "none that can be learned"),
        (lambda: model_with((1, 2), float("inf")), "none that can be learned"),
        (lambda: model_with((3, 2), 0.0), "cannot be"),
        (lambda: model_with((2, 2), -1.0), "cannot be"),
        (lambda: model_with((4, 2), 31.0), "has not counted"),
        (lambda: {"model": arrays.pack(table(knowing(30))[:4], "<f8")}, "an array is"),
        (lambda: {"model": arrays.pack(table(knowing(30)), "<f4")}, "an array is <f4"),
        (lambda: {"model": arrays.Array("<f8", (5, 13), bytes(8))}, "has 8 bytes"),
        (lambda: examples_with((3, 3), float("inf")), "an example in it"),
        (lambda: examples_with((3, 13), 0.5), "an example in it"),
        (lambda: examples_with((3, 13), float("nan")), "an example in it"),
        (lambda: {"examples": arrays.pack(rows(knowing(30))[1:], "<f4")}, "has not counted"),
        (lambda: {"examples": arrays.Array("<f4", (-1, 14), b"")}, "not what is kept"),
        (lambda: {"examples": arrays.Array("<f4", (), b"")}, "an array is"),
        (lambda: {"intercept": 1e300}, "none that can be learned"),
        (lambda: {"intercept": float("nan")}, "no number"),
        (lambda: {"steps": 31.5}, "has not counted"),
        (lambda: {"names": (*COLUMNS[:-1], "along_1")}, "not distinct"),
        (lambda: {"names": ()}, "not distinct"),
    ],
)
def test_what_is_no_model_of_ours_is_refused_and_nothing_is_taken(changes: Callable[[], dict[str, Any]], says: str):
    model = of(40)
    before = model.dump()
    with pytest.raises(CheckpointCorrupt, match=says):
        model.load(packed(**changes()), 1)
    assert model.dump() == before


def test_a_person_has_it_forget_all():
    model = taught(SERIES[:10])
    model.apply(LearnerReset(AT, "signal", "begin anew"))
    assert model.pack() == SignalModel().pack()
    assert taught(SERIES[:10], model).pack() == taught(SERIES[:10]).pack()


# -- the library ----------------------------------------------------------------------------------


def test_without_the_library_a_start_says_what_to_install_and_what_is_stored_can_be_read(
    monkeypatch: pytest.MonkeyPatch,
):
    stored = of(30).dump()
    monkeypatch.setitem(sys.modules, "sklearn", None)  # as Python marks a module that is not to be had
    with pytest.raises(ConfigError) as refused:
        learners.check(LearningRules(learners=("attention", "signal")), "momentum")
    assert refused.value.message == "learner signal needs scikit-learn, which is not installed"
    assert "pip install 'gambler-ai[ml]'" in str(refused.value.hint)
    [model] = learners.make(["signal"])
    model.load(stored, 1)
    assert (model.describe().weights[0].value != 0, model.dump()) == (True, stored)
