"""The chooser: who is asked, who is heard, and that the same view always gives the same."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gambler_ai.core import bars
from gambler_ai.core.components import Component
from gambler_ai.core.engine import Engine
from gambler_ai.core.events import DayOpened, Denied, IntentPlanned, OutcomeKnown
from gambler_ai.core.learning import Outcome, Signal
from gambler_ai.core.model import Failed, Instrument, MarketView, MoveStop, Proposal
from gambler_ai.errors import ConfigError
from gambler_ai.learners.choices import Cell, ChooserMemory
from gambler_ai.learners.chooser import Chooser
from gambler_ai.learners.regimes import BARS, REGIMES, UNKNOWN
from gambler_ai.strategies import Strategy
from gambler_ai.strategies.loader import load
from gambler_ai.strategies.testing import view_of
from tests.unit.fakes import AT, DAY, FIVE, LIMITS, bars_closed, make_plan, make_state, reported

FILE = Path(__file__).with_name("opinions.py")
UP, DOWN = f"{FILE}:Up", f"{FILE}:Down"
SYMBOLS = tuple(f"S{n}" for n in range(40))
TREND, RANGE = REGIMES[0], REGIMES[2]


def made(*specs: str, **more: Any) -> Chooser:
    chooser = load("chooser", {"strategies": specs or (UP, DOWN), **more}).strategy
    assert isinstance(chooser, Chooser)
    return chooser


def seen(chooser: Strategy, symbols: tuple[str, ...] = SYMBOLS, bars: int = 3, **more: Any) -> MarketView:
    """A view with what the chooser remembers."""
    return view_of({symbol: [100.0] * bars for symbol in symbols}, **{"memory": chooser.components(), **more})


def knowing(chooser: Chooser, table: dict[str, dict[str, float]]) -> list[Component]:
    own, *others = chooser.components()
    cells = {regime: {name: Cell(value, 9) for name, value in row.items()} for regime, row in table.items()}
    own.state = replace(ChooserMemory(), table=cells)  # type: ignore[attr-defined]
    return [own, *others]


def insisting(view: MarketView) -> MarketView:
    return MarketView(
        view.at, view.frame, view.trades, view.held, view.entered, view.memory, view.contexts, frozenset({"chooser"})
    )


def holding(view: MarketView, contexts: dict[str, dict[str, str]]) -> MarketView:
    return MarketView(view.at, view.frame, view.trades, view.held, view.entered, view.memory, contexts)


def opened(chooser: Strategy, view: MarketView) -> dict[str, Proposal]:
    return {wish.symbol: wish for wish in chooser.propose(view) if isinstance(wish, Proposal) and not wish.exit}


def failures(chooser: Strategy, view: MarketView) -> dict[str, str]:
    return {wish.name: wish.text for wish in chooser.propose(view) if isinstance(wish, Failed)}


def names(found: dict[str, Proposal]) -> dict[str, str]:
    return {symbol: wish.context["strategy"] for symbol, wish in found.items()}


# -- choosing -------------------------------------------------------------------------------------


def test_each_symbol_is_one_strategys_by_lot_and_the_order_says_whose():
    chooser = made()
    found = opened(chooser, seen(chooser))
    assert set(found) == set(SYMBOLS)
    assert set(names(found).values()) == {"up", "down"}
    for wish in found.values():
        name = wish.context["strategy"]
        assert wish.reason == f"{name} (by lot): {name}"
        assert wish.context == {
            "strategy": name, "regime": UNKNOWN, "predicted": "0.500000 0.500000 0.500000",
        }  # fmt: skip


def test_the_lot_is_even_and_another_one_for_each_bar_symbol_and_seed():
    chooser = made("momentum", UP, DOWN)
    view = seen(chooser, tuple(f"S{n}" for n in range(600)))
    drawn = Counter(choice.name for choice in chooser._choices(view, ChooserMemory()).values())
    assert min(drawn.values()) > 160
    one = names(opened(made(), seen(made())))
    assert one == names(opened(made(), seen(made())))
    assert one != names(opened(made(seed=1), seen(made())))
    assert one != names(opened(made(), seen(made(), at=seen(made()).at + timedelta(minutes=5))))


def test_who_has_not_beaten_its_rivals_is_not_heard_and_who_is_insisted_on_is():
    chooser = made(epsilon=0.0)
    view = seen(chooser, memory=knowing(chooser, {UNKNOWN: {"up": 0.4, "down": 0.6}}))
    assert set(names(opened(chooser, view)).values()) == {"up", "down"}
    found = opened(chooser, insisting(view))
    assert set(names(found).values()) == {"down"}
    assert found["S0"].reason == "down (best so far): down"
    assert found["S0"].context["predicted"] == "0.600000 0.500000 0.500000"


def test_who_has_beaten_its_rivals_is_heard():
    chooser = made(epsilon=0.0)
    memory = knowing(chooser, {UNKNOWN: {"up": 0.9, "down": 0.1}})
    contest = ChooserMemory().contest
    for _ in range(200):
        contest = contest.after(0.0, {"each": 0.5, "all": 0.5})
    memory[0].state = replace(memory[0].state, contest=contest)  # type: ignore[attr-defined]
    assert set(names(opened(chooser, seen(chooser, memory=memory))).values()) == {"up"}


def test_epsilon_tries_any_of_them():
    chooser = made(epsilon=0.25)
    view = insisting(seen(chooser, memory=knowing(chooser, {UNKNOWN: {"up": 0.9, "down": 0.1}})))
    found = opened(chooser, view)
    tried = [wish for wish in found.values() if "(tried)" in wish.reason]
    assert 0 < len(tried) < 20
    assert {wish.context["strategy"] for wish in tried} == {"up", "down"}
    assert {w.context["strategy"] for w in found.values() if w not in tried} == {"up"}


def test_of_equals_one_is_drawn():
    chooser = made(epsilon=0.0)
    assert set(names(opened(chooser, insisting(seen(chooser)))).values()) == {"up", "down"}


def test_the_best_is_that_of_the_symbols_own_regime():
    chooser = made(epsilon=0.0)
    rise, swing = [100.0 + i for i in range(BARS)], [100.0 + (5 if i < 40 else 1) * (-1) ** i for i in range(BARS)]
    rise[:40] = [100.0 + 5 * (-1) ** i for i in range(40)]
    memory = knowing(chooser, {TREND: {"up": 0.9}, RANGE: {"down": 0.9}})
    found = opened(chooser, insisting(view_of({"A": rise, "B": swing}, memory=memory)))
    assert {s: (w.context["regime"], w.context["strategy"]) for s, w in found.items()} == {
        "A": (TREND, "up"), "B": (RANGE, "down"),
    }  # fmt: skip


def test_proposals_come_in_the_order_of_the_symbols():
    chooser = made()
    assert list(opened(chooser, seen(chooser))) == list(SYMBOLS)


def test_a_symbol_without_a_bar_is_not_chosen_for():
    chooser = made("momentum", "breakout")
    assert chooser._choices(view_of({"A": [1.0], "B": []}), ChooserMemory()).keys() == {"A"}
    assert chooser.propose(view_of({"A": []}, memory=chooser.components())) == []


@settings(max_examples=10)
@given(st.integers(0, 1000), st.integers(1, 20), st.booleans())
def test_the_same_view_gives_the_same_and_later_bars_change_no_earlier_choice(seed: int, later: int, heard: bool):
    dice = np.random.default_rng(seed)
    closes = 100 * np.exp(np.cumsum(dice.normal(0, 0.01, (BARS + later, 3)), axis=0))
    one, other = (
        made("momentum", "mean_reversion", UP, seed=seed, settings={"momentum.change_pct": 0.1}) for _ in range(2)
    )
    memory = knowing(one, {regime: {"up": float(dice.random()), "momentum": 0.5} for regime in REGIMES})

    def view(prices: np.ndarray[Any, Any], ago: int) -> MarketView:
        found = view_of(
            {s: prices[:, i].tolist() for i, s in enumerate("ABC")}, at=AT - ago * timedelta(minutes=5), memory=memory
        )
        return insisting(found) if heard else found

    then = list(one.propose(view(closes[:BARS], later)))
    whole = view(closes, 0).frame
    cut = bars.from_columns(whole.symbols, whole.interval, {
        s: bars.column(whole, i)[:BARS] for i, s in enumerate(whole.symbols)
    }, BARS)  # fmt: skip
    again = view(closes[:BARS], later)
    seen_later = MarketView(
        again.at, cut, again.trades, again.held, again.entered, again.memory, again.contexts, again.insisted
    )
    assert list(one.propose(seen_later)) == then
    assert list(other.propose(again)) == then


# -- what is held ---------------------------------------------------------------------------------


def test_of_what_is_held_only_who_opened_it_is_heard():
    chooser = made()
    view = holding(
        seen(chooser, ("A", "B", "C", "D"), held={"A": 1, "B": -1, "C": 1}),
        {"A": {"strategy": "up", "regime": TREND}, "B": {"strategy": "down"}},
    )
    found = chooser.propose(view)
    exits = {wish.symbol: wish.reason for wish in found if isinstance(wish, Proposal) and wish.exit}
    moves = {wish.symbol: wish.reason for wish in found if isinstance(wish, MoveStop)}
    assert exits == {"A": "up: enough", "B": "down: enough"}
    assert moves == {"A": "up: closer", "B": "down: closer"}
    assert set(opened(chooser, view)) == {"D"}


def test_who_meddles_with_what_others_hold_is_not_heard():
    chooser = made(UP, f"{FILE}:Meddler")
    view = holding(
        seen(chooser, ("A", "B", "C", "D"), held={"A": 1, "B": 1, "C": 1}),
        {"A": {"strategy": "up"}, "B": {"strategy": "meddler"}},
    )
    wishes = [wish for wish in chooser.propose(view) if isinstance(wish, MoveStop) or wish.exit]  # type: ignore[union-attr]
    assert [(wish.symbol, wish.reason) for wish in wishes] == [  # type: ignore[union-attr]
        ("A", "up: enough"), ("A", "up: closer"), ("B", "meddler: out of it"), ("B", "meddler: moved"),
    ]  # fmt: skip


def test_what_a_strategy_opened_that_is_not_there_any_more_is_left_to_its_stop():
    chooser = made()
    view = holding(seen(chooser, ("A",), held={"A": 1}), {"A": {"strategy": "momentum"}})
    assert chooser.propose(view) == []


def test_a_strategy_sees_the_market_as_if_it_were_alone():
    chooser = made(UP, f"{FILE}:Nosy", settings={"nosy.bars": 4})
    memory = list(chooser.components())
    for one in memory:
        one.apply(DayOpened(AT, "2008-10-07"))
    symbols = ("A", "B", *SYMBOLS)
    words = {"own": "word", "strategy": "nosy", "regime": TREND, "predicted": "0.5 0.5 0.5"}
    view = holding(
        seen(chooser, symbols, bars=9, held={"A": 1, "B": 1}, memory=memory), {"A": words, "B": {"strategy": "up"}}
    )
    [said] = {wish.reason for wish in opened(chooser, view).values() if wish.context["strategy"] == "nosy"}
    assert said == "nosy (by lot): 4 bars, 1 days, ['A'] ['A'] {'A': {'own': 'word'}} ['nosy.days']"


def test_the_words_of_the_strategy_itself_stay_with_its_order():
    chooser = made(UP, f"{FILE}:Nosy")
    found = [wish for wish in opened(chooser, seen(chooser)).values() if wish.context["strategy"] == "nosy"]
    assert found[0].context.keys() == {"own", "mine", "third", "strategy", "regime", "predicted"}


# -- what fails -----------------------------------------------------------------------------------


def test_one_that_fails_is_told_and_silences_nobody_else():
    chooser = made(f"{FILE}:Broken", UP)
    view = seen(chooser)
    assert "ZeroDivisionError: no opinion (line " in failures(chooser, view)["broken"]
    found = names(opened(chooser, view))
    assert set(found.values()) == {"up"}
    assert 0 < len(found) < len(SYMBOLS)


@pytest.mark.parametrize("parameters", [{"wordy.words": 6}, {"wordy.stolen": True, "wordy.words": 1}])
def test_words_that_leave_no_room_for_ours_fail_their_strategy_alone(parameters: dict[str, Any]):
    chooser = made(f"{FILE}:Wordy", UP, settings=parameters)
    view = seen(chooser)
    assert "a chooser takes 5 words, and gives predicted, regime, strategy" in failures(chooser, view)["wordy"]
    assert set(names(opened(chooser, view)).values()) == {"up"}
    full = made(f"{FILE}:Wordy", UP, settings={"wordy.words": 5})
    assert failures(full, seen(full)) == {}


def test_a_session_tells_it_and_enters_what_the_others_want():
    chooser = made(f"{FILE}:Broken", UP)
    symbols = SYMBOLS[:8]
    state = make_state(day=DAY, plan=make_plan(symbols=symbols))
    engine = Engine(state, chooser, LIMITS, {symbol: Instrument(symbol) for symbol in symbols}, lambda ids: set())
    engine.step(reported())
    decisions = engine.step(bars_closed(symbols=symbols))
    denied = [fact for fact in decisions.facts if isinstance(fact, Denied) and fact.symbol == "*"]
    assert [fact.code for fact in denied] == ["strategy_failed"]
    assert denied[0].context.startswith("strategy broken: ZeroDivisionError: no opinion")
    planned = [fact.intent for fact in decisions.facts if isinstance(fact, IntentPlanned)]
    assert planned
    assert {intent.strategy for intent in planned} == {"chooser"}
    assert {intent.signal.context["strategy"] for intent in planned if intent.signal} == {"up"}


def test_without_its_memory_it_goes_on_by_lot_and_if_it_is_insisted_on_enters_nothing():
    chooser = made()
    view = holding(seen(chooser, ("A", *SYMBOLS), memory=(), held={"A": 1}), {"A": {"strategy": "up"}})
    found = opened(chooser, view)
    assert set(names(found).values()) == {"up", "down"}
    assert "predicted" not in found["S0"].context
    assert opened(chooser, insisting(view)) == {}
    assert failures(chooser, insisting(view)) == {
        "chooser": "its memory has failed, and nothing is entered without its word",
    }  # fmt: skip
    assert [wish.symbol for wish in chooser.propose(insisting(view)) if isinstance(wish, MoveStop)] == ["A"]


# -- what it is made of ---------------------------------------------------------------------------


def test_it_has_its_own_memory_and_theirs_and_sees_as_many_bars_as_any_wants():
    chooser = made("momentum", f"{FILE}:Nosy", settings={"nosy.bars": 300})
    assert [one.name for one in chooser.components()] == ["chooser", "nosy.days"]
    assert chooser.history == 300
    assert made().history == BARS


def test_their_parameters_are_given_by_name():
    chooser = made("momentum", UP, settings={"momentum.lookback": "8", "momentum.volume_ratio": 3})
    momentum = chooser.members[0].loaded.strategy
    assert (momentum.lookback, momentum.volume_ratio) == (8, 3.0)  # type: ignore[attr-defined]
    loaded = load("chooser", {"settings": "momentum.lookback:8,breakout.channel:10"})
    again = load("chooser", loaded.parameters)
    assert again.strategy == loaded.strategy
    assert again.strategy.members[0].loaded.parameters["lookback"] == 8  # type: ignore[attr-defined]


def test_a_file_is_found_again_from_anywhere_and_noticed_when_it_changes(tmp_path: Path, monkeypatch: Any):
    (tmp_path / "mine.py").write_text(FILE.read_text().partition("class Down")[0])
    monkeypatch.chdir(tmp_path)
    first = load("chooser", {"strategies": "momentum,mine.py"})
    assert first.parameters["strategies"] == ["momentum", f"{tmp_path}/mine.py:Up"]
    monkeypatch.chdir("/")
    assert load("chooser", first.parameters) == first
    assert len(first.sha256) == 64
    (tmp_path / "mine.py").write_text((tmp_path / "mine.py").read_text() + "\n# changed\n")
    assert load("chooser", first.parameters).sha256 not in ("", first.sha256)
    assert load("chooser", {}).sha256 == ""


HOSTILE = {
    "none": ({"strategies": []}, "name 2 to 10 to choose among, not 0"),
    "one": ({"strategies": "momentum"}, "name 2 to 10 to choose among, not 1"),
    "eleven": ({"strategies": ["momentum"] * 11}, "name 2 to 10 to choose among, not 11"),
    "twice": ({"strategies": "momentum,momentum"}, "two of them are called momentum"),
    "one name": ({"strategies": ["momentum", "gambler_ai.strategies.momentum:Momentum"]}, "two of them are called"),
    "itself": ({"strategies": "momentum,chooser"}, "chooser is a chooser, and cannot be chosen"),
    "by its module": ({"strategies": ["momentum", "gambler_ai.learners.chooser:Chooser"]}, "cannot be chosen"),
    "nobody": ({"strategies": "momentum,nobody"}, "no strategy 'nobody'"),
    "a file that is gone": ({"strategies": "momentum,/nowhere/x.py"}, "strategy file /nowhere/x.py cannot be read"),
    "nobody's setting": ({"settings": "nobody.lookback:8"}, "'nobody.lookback' is not NAME.PARAMETER of momentum"),
    "a setting without a name": ({"settings": "lookback:8"}, "'lookback' is not NAME.PARAMETER"),
    "no such parameter": ({"settings": "momentum.look:8"}, "strategy momentum has no parameter 'look'"),
    "not allowed": ({"settings": "momentum.lookback:0"}, "parameter lookback must be a whole number from 1 to 500"),
    "no table": ({"settings": "momentum"}, "parameter settings must be a table"),
    "epsilon": ({"epsilon": "1.1"}, "epsilon must be a number from 0 to 1"),
    "no number": ({"epsilon": "nan"}, "epsilon must be a number from 0 to 1"),
    "rate": ({"learning_rate": -0.1}, "learning_rate must be a number from 0 to 1"),
    "seed": ({"seed": 1 << 63}, "seed must be a whole number"),
}


@pytest.mark.parametrize(("values", "says"), HOSTILE.values(), ids=HOSTILE.keys())
def test_what_cannot_be_is_refused_in_one_line(values: dict[str, Any], says: str):
    with pytest.raises(ConfigError) as raised:
        load("chooser", values)
    assert says in raised.value.message
    assert "\n" not in raised.value.message


def test_a_strategy_may_not_keep_anothers_memory(tmp_path: Path):
    stolen = FILE.read_text().replace('"nosy.days"', '"chooser"')
    (tmp_path / "thief.py").write_text(stolen)
    with pytest.raises(ConfigError, match="a component of it is called chooser"):
        load("chooser", {"strategies": ["momentum", f"{tmp_path}/thief.py:Nosy"]})


# -- a world --------------------------------------------------------------------------------------


def test_in_a_world_with_two_regimes_it_learns_who_wins_where_and_is_heard():
    """Prices that run in one half of the symbols, and swing in the other; a trade lasts one bar."""
    chooser = made(f"{FILE}:Up", "mean_reversion", epsilon=0.1, settings={"mean_reversion.entry_z": 0.1})
    memory = list(chooser.components())
    dice, rounds = np.random.default_rng(2), 60
    count = BARS + rounds + 1
    runs = np.cumsum(2.0 + dice.normal(0, 1.0, (count, 10)), axis=0)
    swings = np.cumsum(np.resize([2.0, -2.0], (count, 1)) + np.zeros((count, 10)), axis=0)
    noise = np.repeat(dice.choice([-1.0, 1.0], (1, 10)), count, axis=0)
    closes = 100 * np.exp(np.hstack([runs, swings * noise]) / 100)
    symbols = tuple(f"S{n}" for n in range(20))
    heard: Counter[tuple[str, str]] = Counter()
    for row in range(BARS, BARS + rounds):
        prices = closes[row - BARS : row]
        view = view_of({s: prices[:, i].tolist() for i, s in enumerate(symbols)}, at=AT + row * FIVE, memory=memory)
        for wish in opened(chooser, view).values():
            move = closes[row, symbols.index(wish.symbol)] / prices[-1, symbols.index(wish.symbol)] - 1
            gained = round(float(move) * wish.side.sign * 100, 6)
            outcome = Outcome(
                "p", wish.symbol, "long", AT, AT, Decimal(str(gained)), gained, Signal(context=wish.context)
            )
            memory[0].apply(OutcomeKnown(view.at, outcome))
            if "best so far" in wish.reason:
                heard[wish.context["regime"].split(",")[0], wish.context["strategy"]] += 1
    found = memory[0].describe()  # type: ignore[attr-defined]
    assert found.beats, found.says
    values = dict(zip(found.grid.rows, found.grid.values, strict=True))
    assert values[TREND][0] > values[TREND][1]
    assert values[RANGE][1] > values[RANGE][0]
    assert heard["trend", "up"] > heard["trend", "mean_reversion"]
    assert heard["range", "mean_reversion"] > heard["range", "up"]
