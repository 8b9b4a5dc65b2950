"""Shares or options: what a session trades follows from its strategy, and settings of the other kind are refused."""

from pathlib import Path
from typing import Any

import pytest

from gambler_ai.app.assembly import check_learning, plan_of
from gambler_ai.app.desk import Desk
from gambler_ai.app.resuming import changes_of, refuse_conflicts
from gambler_ai.app.strategies import chosen
from gambler_ai.app.universe import expected, refuse_given
from gambler_ai.config import check_together, load
from gambler_ai.core import events as ev
from gambler_ai.core.evolution import evolve
from gambler_ai.core.learning import Confidence, LearningRules
from gambler_ai.core.state import OPTIONS, SHARES, Plan
from gambler_ai.errors import ConfigError
from gambler_ai.storage.sessions import SessionInfo
from tests.unit.cli.analysis.conftest import info_of
from tests.unit.fakes import AT, D, make_plan, make_state

STRADDLE = """
from typing import ClassVar
from gambler_ai.strategies import Strategy

class Straddle(Strategy, frozen=True):
    universe: ClassVar[str] = "options"

    def propose(self, view):
        return ()
"""


@pytest.fixture(autouse=True)
def straddle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A strategy for options, in a working directory of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "straddle.py").write_text(STRADDLE)
    return "straddle.py:Straddle"


def plan(**given: Any) -> Plan:
    return chosen(load(given), given)[0]


def test_what_a_session_trades_is_what_its_strategy_is_for(straddle: str):
    assert plan().universe == SHARES
    found = plan(strategy=straddle, underlyings="aapl,msft", capital_per_trade="2500", max_per_strategy=3)
    assert (found.universe, found.symbols, found.capital_per_trade) == (OPTIONS, ("AAPL", "MSFT"), D(2500))
    assert (found.max_per_strategy, found.max_per_sector) == (3, None)


def test_a_structure_has_its_capital_and_a_position_in_shares_has_none(straddle: str):
    assert plan(strategy=straddle).capital_per_trade == D(10_000)
    assert plan().capital_per_trade is None


@pytest.mark.parametrize(("strategy", "asked"), [("momentum", OPTIONS), ("straddle.py:Straddle", SHARES)])
def test_a_strategy_for_the_other_one_is_refused(strategy: str, asked: str):
    with pytest.raises(ConfigError, match=f"strategy {strategy} trades .*, and --universe is {asked}"):
        plan(strategy=strategy, universe=asked)


@pytest.mark.parametrize(
    ("flag", "value"),
    [("stop_loss_pct", "2"), ("take_profit_pct", "9"), ("position_size", "10000"), ("limit_pct", "0.1"),
     ("learners", "signal"), ("use_learner", ["signal"]), ("confidence", "scale")],
)  # fmt: skip
def test_a_setting_of_shares_is_refused_in_an_options_session_even_at_its_default(straddle: str, flag: str, value: Any):
    said = f"--{flag.replace('_', '-')} has no meaning in a session that trades options"
    with pytest.raises(ConfigError, match=said) as refused:
        plan(strategy=straddle, **{flag: value})
    assert refused.value.hint
    with pytest.raises(ConfigError, match=said):
        refuse_given({flag}, OPTIONS)


@pytest.mark.parametrize(
    ("flag", "value"),
    [("underlyings", "AAPL"), ("capital_per_trade", "10000"), ("max_per_strategy", 2), ("max_per_sector", 2)],
)
def test_a_setting_of_options_is_refused_in_a_session_in_shares(flag: str, value: Any):
    said = f"--{flag.replace('_', '-')} has no meaning in a session that trades shares"
    with pytest.raises(ConfigError, match=said):
        plan(**{flag: value})
    with pytest.raises(ConfigError, match=said):
        refuse_given({flag}, SHARES)


def test_a_copy_of_the_example_file_does_for_options_and_another_value_in_it_does_not(straddle: str, tmp_path: Path):
    file = tmp_path / "gambler.toml"
    file.write_text('stop_loss_pct = 2.0\nposition_size = 10000\nconfidence = "gate"\n')
    assert plan(strategy=straddle).universe == OPTIONS
    file.write_text("stop_loss_pct = 3.0\n")
    with pytest.raises(ConfigError, match="--stop-loss-pct has no meaning"):
        plan(strategy=straddle)


def test_structures_are_sized_by_what_they_can_lose(straddle: str):
    with pytest.raises(ConfigError, match="--risk sizing=atr has no meaning in a session that trades options"):
        plan(strategy=straddle, risk={"sizing": "atr"})
    assert plan(strategy=straddle, risk={"sectors": "AAPL:technology"}).risk.sectors == {"AAPL": "technology"}


def test_a_least_confidence_needs_a_learner_in_shares_and_none_in_options(straddle: str):
    assert plan(strategy=straddle, min_confidence="0.65").learning.min_confidence == D("0.65")
    with pytest.raises(ConfigError, match="--min-confidence: there is nobody to ask"):
        plan(min_confidence="0.65")


@pytest.mark.parametrize(
    "rules", [LearningRules(learners=("signal",)), LearningRules(confidence=Confidence.SCALE)], ids=str
)
def test_rules_for_learners_that_are_stored_with_an_options_session_are_refused_as_well(rules: LearningRules):
    with pytest.raises(ConfigError, match="has no meaning in a session that trades options"):
        check_learning(rules, "iron_condor", OPTIONS)


def test_the_largest_order_is_compared_with_what_the_session_spends(straddle: str):
    settings = load({"strategy": straddle, "max_order_value": "5000", "capital_per_trade": "4000"})
    check_together(settings, OPTIONS)
    with pytest.raises(ConfigError, match="--position-size 10000 is above --max-order-value 5000"):
        check_together(settings, SHARES)
    with pytest.raises(ConfigError, match="--capital-per-trade 10000 is above --max-order-value 5000"):
        check_together(load({"universe": OPTIONS, "max_order_value": "5000"}))


def test_what_is_expected_before_a_strategy_is_loaded(straddle: str):
    assert [expected(load(given)) for given in ({}, {"universe": OPTIONS}, {"strategy": straddle})] == [
        SHARES, OPTIONS, SHARES
    ]  # fmt: skip


def test_the_plan_has_the_checkpoints_by_scans():
    assert plan_of(load({"autosave_iterations": 10})).autosave_iterations == 10


# -- a session that is gone on with ---------------------------------------------------------------


def asked(**given: Any) -> Desk:
    """What a resume is given; nothing of it looks at watcher, database or clock."""
    nobody: Any = None
    return Desk(load(given), given, nobody, nobody, nobody)


def stored(**changes: Any) -> SessionInfo:
    """A session in options on AAPL and MSFT."""
    given: dict[str, Any] = {"universe": OPTIONS, "capital_per_trade": D(2000), "max_per_strategy": 4}
    return info_of(plan=make_plan(**given | changes))


def test_a_resume_changes_limits_and_checkpoints_by_scans_and_says_from_what():
    desk = asked(
        capital_per_trade="3000", max_per_strategy=2, max_per_sector=1, autosave_iterations=10, min_confidence="0.7"
    )
    refuse_conflicts(desk, stored())
    assert changes_of(desk, stored().plan) == {
        "capital_per_trade": ("2000", "3000"), "max_per_strategy": ("4", "2"), "max_per_sector": ("None", "1"),
        "autosave_iterations": ("None", "10"), "learning.min_confidence": ("null", '"0.7"'),
    }  # fmt: skip


def test_what_a_resume_changes_is_what_its_plan_says_from_there_on():
    state = make_state(plan=stored().plan)
    desk = asked(capital_per_trade="3000", autosave_iterations=10, min_confidence="0.7")
    evolve(state, [ev.PlanChanged(AT, changes_of(desk, state.plan))])
    assert (state.plan.capital_per_trade, state.plan.autosave_iterations) == (D(3000), 10)
    assert state.plan.learning.min_confidence == D("0.7")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"universe": SHARES}, "--universe shares differs from what session s-1 trades"),
        ({"underlyings": "IBM"}, "--underlyings IBM differs from what session s-1 trades"),
        ({"symbols": "IBM"}, "--symbols IBM differs from what session s-1 trades"),
        ({"stop_loss_pct": "2"}, "--stop-loss-pct has no meaning in a session that trades options"),
    ],
)
def test_a_resume_changes_neither_universe_nor_underlyings(given: dict[str, str], message: str):
    with pytest.raises(ConfigError, match=message):
        refuse_conflicts(asked(**given), stored())


def test_the_same_universe_and_the_same_underlyings_may_be_said_again():
    refuse_conflicts(asked(universe=OPTIONS, underlyings="AAPL,MSFT"), stored())


def test_a_session_in_shares_takes_no_limit_of_structures_on_a_resume():
    with pytest.raises(ConfigError, match="--capital-per-trade has no meaning in a session that trades shares"):
        refuse_conflicts(asked(capital_per_trade="3000"), info_of())
