"""The arithmetic behind the table. What is measured is never a test."""

from __future__ import annotations

import json

import pytest

from bench import report
from bench.rows import Row, medians, percentile, row, skipped, spread, tails


@pytest.mark.parametrize(("share", "value"), [(0.01, 1), (0.5, 50), (0.505, 51), (0.99, 99), (0.991, 100), (1.0, 100)])
def test_a_percentile_is_a_value_that_was_seen(share, value):
    assert percentile([float(n) for n in range(100, 0, -1)], share) == value


def test_one_value_is_every_percentile():
    assert [percentile([7.0], share) for share in (0.01, 0.5, 1.0)] == [7.0] * 3


@pytest.mark.parametrize(("ours", "met"), [(3.9, True), (4.0, True), (4.1, False)])
def test_a_goal_is_the_most_the_ratio_may_be(ours, met):
    found = row("save", ours, 2.0, "ms", goal=2.0)
    assert (found.ratio, found.met) == (ours / 2.0, met)


def test_without_a_goal_nothing_is_judged():
    assert row("save", 9.0, 3.0, "ms") == Row("save", 9.0, 3.0, "ms", 3.0)


def test_what_was_not_measured_is_neither_met_nor_missed():
    found = skipped("save on Postgres", "psycopg is not installed", 2.5)
    assert (found.ratio, found.goal, found.met) == (None, 2.5, None)
    assert found.note == "not measured: psycopg is not installed"


def test_medians_are_of_each_side_and_one_outlier_moves_neither():
    found = medians("save", [2.0, 2.0, 900.0], [1.0, 1.0, 1.0], "ms", 2.0)
    assert (found.ours, found.floor, found.ratio, found.met) == (2.0, 1.0, 2.0, True)


def test_tails_are_the_99th_percentiles():
    found = tails("save", [float(n) for n in range(1, 101)], [3.0] * 100, "ms", 2.0)
    assert (found.ours, found.floor, found.met) == (99.0, 3.0, False)


def test_the_spread_is_the_lowest_and_highest_ratio_of_the_parts():
    ours = [1.0] * 10 + [2.0] * 10 + [3.0] * 10 + [2.0] * 20
    assert spread(ours, [1.0] * 50) == "1.00-3.00"
    assert spread(ours[:14], [1.0] * 14) == ""


def test_the_document_holds_rows_machine_and_versions(tmp_path):
    found = json.loads(report.document([row("save", 3.0, 2.0, "ms", 2.0)], tmp_path))
    assert found["rows"] == [
        {"name": "save", "ours": 3.0, "floor": 2.0, "unit": "ms", "ratio": 1.5, "goal": 2.0, "met": True, "note": ""}
    ]
    assert {"cores", "system"} <= found["machine"].keys()
    assert {"python", "sqlite", "SQLAlchemy"} <= found["versions"].keys()


def test_the_table_says_what_was_met_missed_and_left_out():
    text = report.table([row("a", 1.0, 1.0, "ms", 2.0), row("b", 3.0, 1.0, "ms", 2.0), skipped("c", "why", 1.0)])
    assert "missed" in text
    assert text.splitlines()[-1] == "3 goals: 1 met, 1 missed, 1 not measured"


@pytest.mark.parametrize(("value", "shown"), [(None, "-"), (0.01234, "0.0123"), (12.345, "12.3"), (12345.6, "12,346")])
def test_figures_have_three_digits_that_count(value, shown):
    assert report.figure(value) == shown
