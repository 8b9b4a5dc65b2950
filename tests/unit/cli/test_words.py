"""Facts in words: what they mean for a person."""

from __future__ import annotations

import pytest

from gambler_ai.app.notices import StrategyChanged
from gambler_ai.cli import words
from gambler_ai.cli.render import BAD, GOOD, WARN
from gambler_ai.cli.view import Watched, view_of
from gambler_ai.core import control
from gambler_ai.core import events as ev
from gambler_ai.core.learning import LearningRules
from gambler_ai.core.model import Side
from gambler_ai.core.risk import Code
from tests.unit.fakes import AT, make_plan, make_state

BEGUN = {
    "broker": ("broker: 503; no entries until it works", BAD, "broker works again"),
    "stale prices AAPL": ("stale prices AAPL: 503; no entries in AAPL until then", BAD, "stale prices AAPL: over"),
    "clock skew": ("clock skew: 503; entries go on", WARN, "clock skew: over"),
    "stream silent prices": ("stream silent prices: 503; entries go on", WARN, "stream silent prices: over"),
}


@pytest.mark.parametrize("name", BEGUN)
def test_what_does_not_work_is_told_with_what_it_means_for_entries_and_so_is_its_end(name):
    text, style, over = BEGUN[name]
    assert words.told(ev.Degraded(AT, name, "503")) == [words.Told("degraded", "", text, style)]
    assert words.told(ev.Restored(AT, name)) == [words.Told("restored", "", over, GOOD)]


@pytest.mark.parametrize("name", BEGUN)
def test_the_live_view_says_the_same(name):
    text, style, _over = BEGUN[name]
    (notice,) = view_of(make_state(degraded={name: "503"}), AT, Watched()).notices
    assert (notice.name, notice.text, notice.style) == ("Degraded", text, style)


def test_a_reason_that_begins_with_the_name_of_what_is_wrong_is_told_once():
    (told,) = words.told(ev.Degraded(AT, "database", "database sqlite is locked"))
    assert told.text == "database sqlite is locked; no entries until it works"


def test_a_difference_is_told_in_sentences():
    item = ev.Discrepancy(
        kind="gone at the broker", symbol="AAPL", ours="10", broker="0", cause="no fill explains it",
        action="closed in our books",
    )  # fmt: skip
    assert words.discrepancy(item) == (
        "AAPL gone at the broker: ours 10, broker 0. No fill explains it. Closed in our books."
    )


def test_a_request_that_was_refused_is_told_in_its_column_of_symbols():
    request = ev.Request("r-1", ev.MOVE_STOP, "AAPL 99", "higher", "ann")
    taken = control.take(make_state(), request, AT, None)
    (told,) = words.told(taken[-1])
    assert (told.word, told.symbol, told.text) == ("asked", "AAPL", "move-stop: refused: no position in AAPL")


def test_a_denial_for_low_confidence_reads_as_a_sentence():
    fact = ev.Denied(AT, "AAPL", Side.BUY, Code.LOW_CONFIDENCE, "attention gives it 0.412, 0.55 wanted")
    (told,) = words.told(fact)
    assert (told.symbol, told.text) == ("AAPL", "buy: low confidence (attention gives it 0.412, 0.55 wanted)")


def test_a_reset_of_a_learner_says_who_forgets_and_why():
    request = ev.Request("r-1", ev.LEARNER_RESET, "attention", "another market", "ann")
    state = make_state(plan=make_plan(learning=LearningRules(("attention",))))
    lines = [told for fact in control.take(state, request, AT, None) for told in words.told(fact)]
    assert [(told.word, told.text) for told in lines] == [
        ("learner", "attention begins anew: another market (ann)"),
        ("asked", "learner-reset: attention has forgotten what it had learned"),
    ]
    assert all(words.is_needed(fact) for fact in control.take(state, request, AT, None))


@pytest.mark.parametrize(
    ("strategy", "said"),
    [("/home/me/dips.py:Dips", "/home/me/dips.py is"), ("chooser", "a file that chooser chooses among is")],
)
def test_code_that_changed_is_named(strategy: str, said: str):
    assert words.notice(StrategyChanged(make_plan(strategy=strategy))).startswith(f"{said} not the code")
