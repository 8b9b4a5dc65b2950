"""Learners in a terminal and in a pipe: within its width, aligned, and nothing that steers a terminal."""

from __future__ import annotations

import io

import pytest
from msgspec.structs import replace
from rich.console import Console

from gambler_ai.app.learning_view import Standing, without_session
from gambler_ai.cli.learning.terminal import print_learner, print_list
from gambler_ai.learners.base import Weight
from tests.unit.cli.learning.conftest import GRID, learning

NASTY = "\x1b[2J\u202eX"


def written(show, *args, width: int = 200, terminal: bool = False) -> str:
    out = io.StringIO()
    console = Console(
        file=out, width=width, highlight=False, markup=False, emoji=False, force_terminal=terminal, color_system=None,
        soft_wrap=not terminal,
    )  # fmt: skip
    show(console, *args)
    return out.getvalue()


def shown(page, **more) -> str:
    return written(print_learner, learning(page), page, **more)


def test_everything_is_there(make_page):
    text = shown(make_page(grid=GRID))
    for part in (
        "Learner     attention  watching", "Session     s-1  running", "Account     acc-1",
        "from 120 outcomes; 100 were predicted before they were known", "journal row 1,234, 4,221 bytes",
        "Worth       not shown to be better than base rate: ", "Watching    nothing is asked of it", "Mean loss ",
        "Against the baselines", "Learning curve", "Calibration", "Weights", "Values", "rising, calm", "0.610 (12)",
        "not told apart", "⠒⠒⠒ attention   ⠂ ⠂ base rate",
    ):  # fmt: skip
        assert part in text, part
    assert "\x1b" not in text


def test_a_value_that_was_never_tried_is_a_dash_and_no_zero(make_page):
    line = next(line for line in shown(make_page(grid=GRID)).splitlines() if line.startswith("falling, wild"))
    assert line.split() == ["falling,", "wild", "-", "0.250", "(40)", "0.310", "(7)"]


def test_the_two_curves_are_told_from_each_other_without_colours(make_page):
    """The learner's is a line without a gap, the other one is dots."""
    text = shown(make_page(900, 4.0))
    rows = [line[12:] for line in text.splitlines() if "│" in line and "⠀" <= max(line) <= "⣿"]
    columns = ["".join(row[n] if n < len(row) else " " for row in rows) for n in range(max(map(len, rows)))]
    assert sum(1 for column in columns if column.strip()) > 100
    sparse = [row for row in rows if sum(c != " " for c in row) > 0 and " " in row.strip()]
    assert sparse, "a dotted curve leaves gaps"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_it_stays_within_the_terminal(make_page, width):
    text = shown(make_page(900, 4.0, grid=GRID), width=width, terminal=True)
    plots = [line for line in text.splitlines() if "│" in line]
    assert len(plots) >= 8
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("count", [0, 21, 25])
def test_one_that_has_hardly_learned_is_shown_too(make_page, count):
    text = shown(make_page(count))
    assert f"too early to say: {max(0, count - 20)} of 30 judged predictions" in text
    assert ("Learning curve" in text) == (count > 21)
    assert ("too early: " in text) == (count > 20)


def test_one_that_beats_its_baselines_says_so(make_page):
    text = shown(make_page(900, 4.0))
    assert "Worth       beats base rate and always and never" in text
    assert len([line for line in text.splitlines() if line.rstrip().endswith("  better")]) == 3


def test_what_is_damaged_and_a_reset_that_waits_are_said(make_page):
    page = make_page(troubles=("what was stored last is not good: it rotted",), reset_waits=True)
    assert "Damaged     what was stored last is not good: it rotted" in shown(page)
    assert "Reset       a reset is asked for" in shown(page)
    text = written(print_list, learning(page))
    assert "what was stored last is not good: it rotted" in text
    assert "a reset is asked for" in text


def test_a_list_has_a_line_each_and_what_could_be_done(make_page):
    absent = make_page(
        0, standing=Standing.ABSENT, why="learner deep needs torch, which is not installed", hint="install it", says=""
    )  # fmt: skip
    lines = written(print_list, learning(make_page(), absent)).splitlines()
    assert lines[3].split()[:6] == ["learner", "learned", "judged", "won", "loss", "to"]
    assert lines[4].startswith("attention  watching")
    assert lines[5].startswith("attention  not installed")
    assert lines[7].startswith("attention   not shown to be better than base rate: ")
    assert lines[8:] == [
        "            nothing is asked of it", "            gambler-ai --x",
        "attention   learner deep needs torch, which is not installed", "            install it",
    ]  # fmt: skip


def test_what_does_not_fit_a_terminal_goes_on_below_its_own_column(make_page):
    long = "word " * 40
    for text in (
        written(print_list, learning(make_page(why=long)), width=60, terminal=True),
        shown(make_page(why=long), width=60, terminal=True),
    ):
        lines = text.splitlines()
        assert max(map(len, lines)) <= 60
        first = next(n for n, line in enumerate(lines) if "word word" in line)
        assert lines[first + 1].startswith(" " * 12 + "word")


def test_a_command_is_one_line_however_narrow_the_terminal(make_page):
    command = "gambler-ai --resume-session 20081007-093000-abcd --use-learner attention --use-learner signal"
    page = make_page(hint=command)
    assert command in written(print_list, learning(page), width=60, terminal=True)
    assert command in shown(page, width=60, terminal=True)


def test_a_command_is_spelled_as_the_program_was_called(make_page, monkeypatch):
    monkeypatch.setenv("GAMBLER_PROGRAM", "scripts/run")
    page = make_page(hint="gambler-ai --resume-session s-1 --use-learner attention")
    for text in (written(print_list, learning(page)), shown(page)):
        assert "scripts/run --resume-session s-1 --use-learner attention" in text
        assert "gambler-ai" not in text


def test_a_long_name_moves_the_column_of_its_block(make_page):
    page = replace(make_page(), facts={"a signal of no distinction wins": "0.484"})
    lines = shown(page).splitlines()
    (line,) = [line for line in lines if line.startswith("A signal of no distinction")]
    assert line == "A signal of no distinction wins  0.484"
    loss = next(line for line in lines if line.startswith("Mean loss"))
    assert loss.index("0.") == line.index("0.")


def test_without_a_session_it_says_how_to_begin():
    text = written(print_list, without_session())
    assert "Session" not in text
    assert "gambler-ai --symbols AAPL,MSFT --duration 60 --learners attention" in text


def test_what_comes_from_outside_steers_no_terminal(make_page):
    grid = replace(GRID, rows=(NASTY, NASTY), columns=(NASTY,) * 3)
    page = make_page(grid=grid, why=NASTY, hint=NASTY, says=NASTY, troubles=(NASTY,))
    rivals = tuple(replace(rival, name=NASTY) for rival in page.rivals)
    page = replace(page, weights=(Weight(NASTY, 0.5, NASTY),), facts={NASTY: NASTY}, rivals=rivals)
    page = replace(page, row=replace(page.row, name=NASTY, what=NASTY, rival=NASTY))
    found = learning(page, session=NASTY, account=NASTY)
    for text in (written(print_learner, found, page), written(print_list, found)):
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "\\x1b[2J" in text
