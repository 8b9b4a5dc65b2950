"""Facts in words: what they mean for a person."""

from __future__ import annotations

import pytest

from gambler_ai.cli import words
from gambler_ai.cli.render import BAD, GOOD, WARN
from gambler_ai.cli.view import Watched, view_of
from gambler_ai.core import events as ev
from tests.unit.fakes import AT, make_state

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
