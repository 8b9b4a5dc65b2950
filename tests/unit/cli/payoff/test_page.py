"""The payoff as a page and on a terminal: whole, safe, and the same facts on both."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace
from rich.console import Console

from gambler_ai.cli.payoff.curves import Payoff, payoff
from gambler_ai.cli.payoff.facts import facts
from gambler_ai.cli.payoff.page import page, parts_of
from gambler_ai.cli.payoff.terminal import print_payoff
from tests.unit.cli.structures import MARKS, condor, covered_call, holding
from tests.unit.fakes import D


def of_condor(**changes: object) -> Payoff:
    return payoff(holding(condor(**changes)), "gam-condor")


def printed(found: Payoff, width: int = 80) -> list[str]:
    out = io.StringIO()
    print_payoff(Console(file=out, width=width, force_terminal=True, color_system=None, highlight=False), found)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_the_page_loads_nothing_runs_nothing_and_says_what_the_terminal_says():
    found = of_condor()
    text = page(found, dict(MARKS))
    assert "default-src 'none'" in text
    assert not re.search(r"<script|<img|<link|javascript:|https?:|url\(|@import| on\w+=", text)
    for fact in facts(found)[1:]:
        assert fact.value in text
    ElementTree.fromstring(re.search(r"<svg.*?</svg>", text, re.DOTALL)[0])  # type: ignore[index]  # well-formed


@pytest.mark.parametrize("evil", ["<script>alert(1)</script>", "\x1b[2J\u202e"])
def test_what_comes_from_a_strategy_steers_neither_page_nor_terminal(evil: str):
    found = of_condor(strategy=evil, reason=evil)
    for text in (page(found, dict(MARKS)), "\n".join(printed(found, 120))):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "<script" not in page(found, dict(MARKS))


def test_wins_and_losses_are_coloured_apart():
    kinds = [kind for kind, _ in parts_of(of_condor().expiry)]
    assert kinds == ["lose", "win", "lose"]


def test_on_a_terminal_of_80_columns_nothing_of_the_plot_wraps():
    lines = printed(of_condor())
    start = lines.index("Profit")
    assert all(len(line) <= 80 for line in lines[start:])
    assert "^ AAPL 100.00" in "\n".join(lines)
    assert lines[-1].endswith("now, by a model")


def test_without_the_curve_of_now_it_is_said_why_on_both():
    why = "the curve of now needs vollib: pip install 'gambler-ai[options]'"
    found = replace(of_condor(), today=None, why=why)
    assert printed(found, 120)[-1] == why
    assert "needs vollib" in page(found, dict(MARKS))
    assert '"today line"' not in page(found, dict(MARKS))


def test_a_structure_without_prices_has_a_payoff_all_the_same():
    state = holding(covered_call())
    state.marks.clear()
    found = payoff(state, "gam-covered")
    assert found.spot is None
    assert found.breakevens == (D("49.2"),)
    assert page(found, {})
    assert printed(found)
