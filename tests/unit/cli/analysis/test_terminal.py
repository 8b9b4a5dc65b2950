"""A report in a terminal and in a pipe: within its width, and nothing that steers a terminal."""

from __future__ import annotations

import io
from decimal import Decimal

import pytest
from rich.console import Console

from gambler_ai.cli.analysis.terminal import print_analysis
from tests.unit.cli.analysis.conftest import info_of, trade
from tests.unit.fakes import D, after, make_plan


def printed(report, width: int = 200, *, terminal: bool = False) -> str:
    out = io.StringIO()
    console = Console(
        file=out, width=width, highlight=False, markup=False, emoji=False, force_terminal=terminal, color_system=None,
        soft_wrap=not terminal,
    )  # fmt: skip
    print_analysis(console, report)
    return out.getvalue()


def test_it_shows_figures_curve_and_round_trips(make_report):
    text = printed(make_report(trades=(trade(), trade("-5", symbol="MSFT", reason="stop"))))
    for part in ("s-1  completed", "+500.00", "+0.50 %", "-1.00 %", "needs 20 days, has 1", "50.00 %", "1 won, 1 lost",
                 "Equity\n", "Drawdown\n", "MSFT", "stop"):  # fmt: skip
        assert part in text
    assert "⠉" in text


@pytest.mark.parametrize("width", [60, 80, 115, 120, 200])
def test_it_stays_within_the_terminal(make_report, width):
    plan = make_plan(symbols=tuple(f"SYM{index}" for index in range(3)))
    report = make_report(equity=("1234567.89", "1000000", "2234567.89"), trades=(trade(), trade(None)), plan=plan)
    lines = printed(report, width, terminal=True).splitlines()
    figures = [line for line in lines if "│" in line or line.startswith(("Sharpe", "CAGR", "Win rate"))]
    assert len(figures) > 10
    assert max(map(len, figures)) <= min(width, 120)


@pytest.mark.parametrize("width", [80, 100, 120])
def test_a_round_trip_is_one_line(make_report, width):
    trades = (trade("-1234.56", symbol="GOOGL", side="short", reason="target", exit_at=after(hours=67, minutes=48)),)
    text = printed(make_report(trades=trades * 4), width, terminal=True)
    lines = [line for line in text.splitlines() if "-1,234.56" in line and "GOOGL" in line]
    assert len(lines) == 4
    assert all(len(line) <= width and line.rstrip().endswith("target") for line in lines)
    assert ("101.00" in lines[0]) == (width >= 100)


def test_figures_are_not_cut_where_two_columns_stand(make_report):
    text = printed(make_report(equity=("1234567.89", "1000000", "2234567.89")), 120, terminal=True)
    assert "…" not in text


def test_a_session_without_anything_says_so(make_report):
    text = printed(make_report(equity=()))
    assert "No round trip yet" in text
    assert "Equity\n" not in text
    assert "no reading of the account" in text


def test_what_is_left_out_is_said(make_report):
    report = make_report(trades=tuple(trade(end=10 + index) for index in range(5)), shown=2)
    assert "Round trips  the newest 2 of 5; all of them: --csv FILE" in printed(report)
    assert "the newest 0 of 5" in printed(make_report(trades=(trade(),) * 5, shown=0))


def test_what_comes_from_outside_steers_no_terminal(make_report):
    nasty = "\x1b[2J\u202eX"
    plan = make_plan(symbols=(nasty,), strategy=nasty)
    text = printed(
        make_report(trades=(trade(symbol=nasty, side=nasty, reason=nasty),), id=nasty, broker=nasty, plan=plan)
    )
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\x1b[2J" in text


def test_a_curve_that_only_rose_has_no_drawdown(make_report):
    text = printed(make_report(equity=("100", "101", "102")))
    assert "equity never fell" in text
    assert "Drawdown\n" not in text


def test_what_cost_nothing_has_a_dash(make_report):
    assert "  -    -    1h  target" in printed(make_report(trades=(trade(entry_price=Decimal(0)),)))


def test_leverage_stands_where_there_is_room(make_report):
    report = make_report(trades=(trade(leverage=D("1.2345")), trade()))
    wide, narrow = printed(report, 100, terminal=True), printed(report, 80, terminal=True)
    assert "1.23x" in wide
    assert "lev" in wide
    assert "1.23x" not in narrow


def test_an_account_is_its_sessions_together(make_report):
    first, last = info_of(id="s-0", plan=make_plan(symbols=("IBM", "AAPL"))), info_of(id="s-9")
    text = printed(make_report(chain=(first, last)))
    assert text.startswith("Account     acc-1  completed\nBroker      embedded\nSessions    2 sessions, s-0 to s-9\n")
    assert "Symbols     IBM,AAPL,MSFT\n" in text
    assert "Strategy    momentum\n" in text
