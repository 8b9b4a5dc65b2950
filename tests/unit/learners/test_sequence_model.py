"""The sequence model as far as it goes without torch: what is stored is looked at, and torch is asked for late."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
import pytest

from gambler_ai import learners
from gambler_ai.core.learning import LearningRules, Signal
from gambler_ai.core.model import MarketView, Side
from gambler_ai.core.state import Plan
from gambler_ai.errors import CheckpointCorrupt, ConfigError, SchemaMismatch
from gambler_ai.learners import sequence_model as sm
from gambler_ai.learners import window
from gambler_ai.learners.adviser import Panel
from gambler_ai.learners.attention import Attention
from gambler_ai.learners.sequence_model import SequenceMemory, SequenceModel
from tests.unit.fakes import AT, frame_of, make_plan, make_state, wish
from tests.unit.learners.sequences import drawn, fact, signal, stored

SEEN = drawn(np.random.default_rng(1))


def blob(tensors: bytes) -> bytes:
    """What a sequence model dumps that has these tensors."""
    kept = msgspec.msgpack.decode(SequenceModel().dump())
    return msgspec.msgpack.encode([*kept[:3], {"tensors": tensors}])


def loaded(tensors: bytes) -> SequenceModel:
    model = SequenceModel()
    model.load(blob(tensors), 1)
    return model


@pytest.fixture
def _no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch is not installed, wherever this runs."""
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "gambler_ai.learners.network", raising=False)  # another test had it


# -- without torch --------------------------------------------------------------------------------


@pytest.mark.usefixtures("_no_torch")
def test_without_torch_a_session_with_it_is_one_clear_line_and_others_go_on():
    with pytest.raises(ConfigError) as told:
        learners.check(LearningRules(("attention", "sequence")), "momentum")
    assert told.value.message == "learner sequence needs torch, which is not installed"
    assert told.value.hint == "install the extra: pip install 'gambler-ai[deep]'; or leave sequence out of --learners"
    assert [type(learner) for learner in learners.make(["attention"])] == [Attention]


@pytest.mark.usefixtures("_no_torch")
def test_without_torch_what_it_learned_can_be_looked_at_and_is_not_lost():
    model = loaded(stored(200))
    assert model.dump() == blob(stored(200))
    assert model.describe().facts["outcomes kept to be learned from again"] == "128, 128 at most"
    for use in (model.prepare, lambda: model.score(signal(SEEN)), lambda: model.apply(fact(SEEN, won=True))):
        with pytest.raises(ConfigError, match="learner sequence: what it needs cannot be imported") as told:
            use()
        assert "gambler-ai[deep]" in str(told.value.hint)
    assert model.dump() == blob(stored(200))


LAZY = """
import sys
from pathlib import Path
from gambler_ai.learners.sequence_model import SequenceModel
stored = Path(sys.argv[1]).read_bytes()
fresh, loaded = SequenceModel(), SequenceModel()
fresh.load(fresh.dump(), 1)
loaded.load(stored, 1)
assert loaded.dump() == stored
assert loaded.describe().facts and loaded.libraries and not loaded.beats
assert fresh.score(__import__("gambler_ai.core.learning", fromlist=["Signal"]).Signal(window=bytes(512))) is None
heavy = {"torch", "safetensors", "sklearn", "pandas"} & set(sys.modules)
assert not heavy, heavy
"""


def test_to_make_load_dump_and_describe_one_imports_no_library(tmp_path: Path):
    kept = tmp_path / "kept"
    kept.write_bytes(blob(stored()))
    subprocess.run([sys.executable, "-c", LAZY, kept], check=True)


def test_before_it_knows_enough_and_of_what_is_no_window_it_says_nothing():
    """None of these needs torch, which need not be here."""
    assert loaded(stored(sm.LEAST - 1)).score(signal(SEEN)) is None
    model = loaded(stored(sm.LEAST))
    before, odd = model.dump(), SEEN.copy()
    odd[4, 2] = np.nan
    for nothing in (Signal(), Signal(window=b"x" * 512 + b"y"), signal(odd)):
        assert model.score(nothing) is None
    assert not model.learn(fact(odd, won=True).outcome)
    model.apply(fact(odd, won=True))
    assert (model.learned, model.dump()) == (0, before)


# -- what is stored -------------------------------------------------------------------------------


def test_a_fresh_one_stores_that_it_knows_nothing():
    model = SequenceModel()
    assert model.pack() == SequenceMemory()
    assert loaded(b"").dump() == model.dump()


NAME = "dense.weight"
SHAPE = sm.WEIGHTS[NAME]


@pytest.mark.parametrize(
    "bad",
    [
        stored()[:-1], stored()[:100], stored() + b"x", b"x", b"\xff" * 9, (1 << 40).to_bytes(8, "little") + b"{}",
        stored(**{NAME: None}), stored(other=np.zeros(1, np.float32)),
        stored(**{NAME: np.zeros(SHAPE, np.float64)}), stored(**{NAME: np.zeros((*SHAPE, 1), np.float32)}),
        stored(**{NAME: np.full(SHAPE, np.nan, np.float32)}), stored(**{NAME: np.full(SHAPE, 1e7, np.float32)}),
        stored(**{sm.MEAN + NAME: np.full(SHAPE, np.inf, np.float32)}),
        stored(**{sm.SQUARE + NAME: np.full(SHAPE, -1e-9, np.float32)}),
        stored(steps=np.array([4])), stored(steps=np.array([0])), stored(steps=np.array([1 << 60])),
        stored(rng=np.array([-1])), stored(won=np.array([0, 1, 2], np.uint8)), stored(won=None),
        stored(won=np.array(1, np.uint8)), stored(won=np.zeros(2, np.uint8)),
        stored(windows=np.full((3, *window.SHAPE), 5.1, np.float32)),
        stored(windows=np.zeros((2, *window.SHAPE), np.float32)),
        stored(200, won=np.zeros(200, np.uint8), windows=np.zeros((200, *window.SHAPE), np.float32)),
    ],
)  # fmt: skip
def test_what_is_no_memory_of_it_is_corrupt_and_nothing_is_taken(bad: bytes):
    model = loaded(stored(30))
    before = model.dump()
    with pytest.raises(CheckpointCorrupt, match="it does not decode"):
        model.load(blob(bad), 1)
    assert model.dump() == before
    assert model._steps == 30


@pytest.mark.parametrize("bad", [None, 3, "text", {"tensors": 4}, [], {"tensors": None}])
def test_neither_is_what_has_another_shape(bad: Any):
    kept = msgspec.msgpack.decode(SequenceModel().dump())
    with pytest.raises(CheckpointCorrupt):
        SequenceModel().load(msgspec.msgpack.encode([*kept[:3], bad]), 1)


def test_every_cut_and_other_schemas_are_refused():
    whole = blob(stored())
    for length in range(0, len(whole), 997):
        with pytest.raises(CheckpointCorrupt):
            SequenceModel().load(whole[:length], 1)
    with pytest.raises(SchemaMismatch):
        SequenceModel().load(whole, 2)


# -- at an entry ----------------------------------------------------------------------------------


def panel(*names: str) -> Panel:
    plan: Plan = make_plan(learning=LearningRules(names))
    made = {"attention": Attention, "sequence": SequenceModel}
    return Panel(make_state(plan=plan), {name: made[name]() for name in names})


def test_a_window_is_stored_with_an_entry_where_somebody_looks_at_it_and_else_not():
    frame = frame_of({"AAPL": np.linspace(100, 101, 80).tolist(), "MSFT": [100.0] * 80})
    view = MarketView(AT, frame, MappingProxyType({}), MappingProxyType({}))
    wanted = window.window(frame, "AAPL", Side.SELL)
    assert len(wanted) == 512
    told = panel("attention", "sequence").advise(wish("AAPL", Side.SELL), view).signal
    assert (told.window, told.scores) == (wanted, {})
    assert panel("attention").advise(wish("AAPL", Side.SELL), view).signal == msgspec.structs.replace(told, window=b"")


def test_a_panel_asks_for_as_many_bars_as_a_window_is_made_of():
    frame = frame_of({"AAPL": np.linspace(100, 101, panel("sequence").bars).tolist()})
    assert window.window(frame, "AAPL", Side.BUY)
