"""Lines: what is told at which detail, and how a long one looks on a terminal and in a pipe."""

import io

import pytest
from rich.console import Console

from gambler_ai.cli.lines import Detail, LineWatcher
from gambler_ai.cli.show import learners_line
from gambler_ai.core import events as ev
from gambler_ai.core.engine import Decisions
from gambler_ai.core.learning import Confidence, LearningRules
from gambler_ai.core.model import Side
from gambler_ai.storage.checkpoints import CheckpointInfo
from gambler_ai.trading.recovery import Restored
from tests.unit.cli.analysis.conftest import info_of
from tests.unit.fakes import AT, MONEY, D, entry, make_plan, make_state

LONG = "it was not there " * 12
FACTS: list[ev.Fact] = [
    ev.IntentPlanned(AT, entry()),
    ev.Denied(AT, "MSFT", Side.BUY, "position_open", "10 held"),
    ev.Reconciled(AT, tuple(ev.Discrepancy("leg missing", s, "10", "0", "gone", "re-armed") for s in ("AAPL", "IBM"))),
    ev.Degraded(AT, "broker", LONG),
]


def told(detail: Detail = Detail.FULL, *, terminal: bool = False) -> list[str]:
    out = io.StringIO()
    width = 80 if terminal else 200
    console = Console(
        file=out, width=width, soft_wrap=not terminal, force_terminal=terminal, color_system=None, highlight=False
    )
    watcher = LineWatcher(console, lambda _session: [], resume_command="run --resume-session", detail=detail)
    watcher.took(Decisions(list(FACTS)), make_state())
    watcher.checkpointed(CheckpointInfo(10, AT, AT, 40, MONEY, 2, 0, 900, "ab" * 32))
    return out.getvalue().splitlines()


@pytest.mark.parametrize(
    ("detail", "kinds"),
    [
        (Detail.FULL, ["signal", "entry", "denied", "differs", "differs", "degraded", "Checkpoint"]),
        (Detail.BESIDE_LIVE, ["signal", "entry", "differs", "differs", "degraded"]),
        (Detail.QUIET, ["differs", "differs", "degraded"]),
    ],
)
def test_what_is_told_at_which_detail(detail: Detail, kinds: list[str]):
    assert [line.split()[1] for line in told(detail)] == kinds


def test_in_a_pipe_a_line_is_as_long_as_it_is():
    assert f"broker: {LONG}; no entries until it works" in told()[-2]


def test_on_a_terminal_a_long_one_goes_on_below_its_own_column():
    lines = [line.rstrip() for line in told(Detail.BESIDE_LIVE, terminal=True)]
    start = next(n for n, line in enumerate(lines) if "degraded" in line)
    column = lines[start].index("broker:")
    assert len(lines) - start > 2
    assert all(len(line) <= 80 for line in lines)
    assert all(line[:column].isspace() and not line[column].isspace() for line in lines[start + 1 :])
    assert "".join(line[column:] for line in lines[start:]).replace(" ", "").endswith("noentriesuntilitworks")


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        (LearningRules(("attention",)), "attention (watching)"),
        (
            LearningRules(("attention", "signal"), (), D("0.55")),
            "attention, signal (entries below 0.55 are denied, by those that beat their baselines)",
        ),
        (
            LearningRules(("attention", "signal"), ("signal",), D("0.55"), Confidence.SCALE),
            "attention, signal (entries below 0.55 are made smaller, by signal and by those that beat their baselines)",
        ),
        (
            LearningRules(("attention",), ("attention", "chooser"), D("0.5")),
            "attention (entries below 0.5 are denied, by attention)",
        ),
    ],
)
def test_a_session_with_learners_says_what_they_may_do(rules: LearningRules, says: str):
    assert learners_line(make_plan(learning=rules)) == says
    out = io.StringIO()
    watcher = LineWatcher(
        Console(file=out, width=200, color_system=None), lambda _session: [], resume_command="r", detail=Detail.FULL
    )
    state = make_state(plan=make_plan(learning=rules))
    watcher.created(state)
    watcher.resumed(info_of(), Restored(state, "", None, (), 0))
    watcher.ended(state, created=1, pruned=0)
    lines = out.getvalue().splitlines()
    assert f"Learners    {says}" in lines
    assert f"  Learners: {says}" in lines
    assert f"Learners    {says}; what they know: gambler-ai learners list" in lines


def test_a_strategy_that_learns_is_among_them():
    plan = make_plan(strategy_name="chooser", learning=LearningRules(("attention",)))
    assert learners_line(plan) == "attention (watching); chooser (heard once it has beaten its rivals)"
    plan = make_plan(strategy_name="chooser", learning=LearningRules((), ("chooser",)))
    assert learners_line(plan) == "chooser (heard)"


def test_a_session_without_learners_says_nothing_of_them():
    out = io.StringIO()
    watcher = LineWatcher(
        Console(file=out, width=200, color_system=None), lambda _session: [], resume_command="r", detail=Detail.FULL
    )
    watcher.created(make_state())
    watcher.ended(make_state(), created=1, pruned=0)
    assert "Strategy" in out.getvalue()
    assert "earner" not in out.getvalue()
