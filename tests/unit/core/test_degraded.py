"""The table of conditions: whole, in words, and read by name."""

from __future__ import annotations

import pytest

from gambler_ai.core import degraded
from gambler_ai.core import events as ev
from gambler_ai.core.degraded import TABLE, Condition, Entries, named, parts


def test_every_condition_has_its_row_and_every_row_its_words():
    assert set(TABLE) == set(Condition)
    for row in TABLE.values():
        assert all(text and not text.endswith(".") for text in (row.cause, row.goes_on, row.ends))


def test_the_names_of_readings_that_fail_are_conditions():
    assert (ev.BROKER, ev.MARKET_DATA) == (Condition.BROKER, Condition.MARKET_DATA)


@pytest.mark.parametrize("condition", Condition)
@pytest.mark.parametrize("subject", ["", "AAPL", "BRK.B", "trade updates", "reads"])
def test_a_name_is_read_as_it_was_made(condition, subject):
    if (condition, subject) != (Condition.BROKER, "reads"):  # it is `READS`
        assert parts(named(condition, subject)) == (condition, subject)


def test_of_what_another_program_told_nothing_is_known_but_that_it_denies():
    assert parts("phase of the moon") == (None, "")
    assert degraded.entries("phase of the moon") is Entries.NONE
    assert degraded.ends("phase of the moon") == "when it works again"
    assert set(degraded.against({"brokers": "?"}, "AAPL")) == {"brokers"}


def test_what_concerns_a_symbol_denies_entries_in_that_one():
    all_ = {named(c, "AAPL" if TABLE[c].entries is Entries.SYMBOL else ""): "?" for c in Condition}
    everywhere = {
        "broker",
        "broker reads",
        "rate limited",
        "look-ups waiting",
        "market data",
        "option prices",
        "database",
        "restored books",
    }
    assert set(degraded.against(all_, "AAPL")) == everywhere | {
        "stale prices AAPL", "absurd prices AAPL", "unquoted contracts AAPL",
    }  # fmt: skip
    assert set(degraded.against(all_, "AAP")) == everywhere
    assert degraded.against({}, "AAPL") == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("broker", "no entries until it works"),
        ("stale prices AAPL", "no entries in AAPL until then"),
        ("clock skew", "entries go on"),
        ("stream silent prices", "entries go on"),
    ],
)
def test_each_says_what_it_means_for_entries(name, text):
    assert degraded.consequence(name) == text


def test_streams_and_writes_are_of_one_process():
    names = [named(c, "prices" if c is Condition.STREAM else "") for c in Condition]
    assert degraded.of_a_process(names) == ["stream silent prices", "database"]
