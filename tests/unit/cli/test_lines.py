"""Lines: what is told at which detail, and how a long one looks on a terminal and in a pipe."""

import io

import pytest
from rich.console import Console

from gambler_ai.cli.lines import Detail, LineWatcher
from gambler_ai.core import events as ev
from gambler_ai.core.engine import Decisions
from gambler_ai.core.model import Side
from gambler_ai.storage.checkpoints import CheckpointInfo
from tests.unit.fakes import AT, MONEY, entry, make_state

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
