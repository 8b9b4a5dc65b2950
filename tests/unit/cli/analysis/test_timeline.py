"""The time axis: only while the session ran."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gambler_ai.cli.analysis.timeline import Timeline
from gambler_ai.core.performance import Span
from tests.unit.cli.analysis.conftest import minutes
from tests.unit.fakes import AT, after


def timeline(*runs: Span) -> Timeline:
    return Timeline(runs, AT, after(minutes=60))


def test_what_lies_between_two_runs_takes_no_room():
    time = timeline(minutes(0, 30), minutes(90, 120))
    places = [time.place(after(minutes=minute)) for minute in (-5, 0, 15, 30, 60, 90, 105, 120, 500)]
    assert places == [0.0, 0.0, 0.25, 0.5, 0.5, 0.5, 0.75, 1.0, 1.0]


def test_a_session_that_never_ran_has_the_time_of_its_readings():
    assert timeline().place(after(minutes=15)) == 0.25
    assert Timeline([], AT, AT).place(AT) == 0.0


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(1, 500)), min_size=1, max_size=8), st.integers(2, 14))
def test_marks_go_right_within_the_axis_and_are_no_more_than_asked_for(lengths, count):
    runs, at = [], 0
    for gap, length in lengths:
        runs.append(minutes(at + gap, at + gap + length))
        at += gap + length
    places = [place for place, _ in timeline(*runs).marks(count)]
    assert 0 < len(places) <= count + 1
    assert all(0.0 <= place <= 1.0 for place in places)
    assert places == sorted(places)


def test_one_day_is_marked_by_round_times_of_new_york():
    time = timeline(minutes(-30, 360))
    assert [text for _, text in time.marks(8)] == ["10:00", "11:00", "12:00", "13:00", "14:00", "15:00", "16:00"]
    assert [text for _, text in timeline(minutes(1, 2)).marks(9)] == ["10:01", "10:02"]


def test_days_are_marked_where_each_begins():
    days = [Span(AT + timedelta(days=day), AT + timedelta(days=day, hours=6)) for day in range(4)]
    marks = timeline(*days).marks(10)
    assert [text for _, text in marks] == ["Oct 07", "Oct 08", "Oct 09", "Oct 10"]
    assert [place for place, _ in marks] == pytest.approx([0.0, 0.25, 0.5, 0.75])
    assert [text for _, text in timeline(*days).marks(2)] == ["Oct 07", "Oct 09"]
    years = [Span(AT, after(hours=1)), Span(AT + timedelta(days=100), AT + timedelta(days=100, hours=1))]
    assert [text for _, text in timeline(*years).marks(4)] == ["2008-10-07", "2009-01-15"]


def test_a_run_over_several_days_is_marked_at_each_midnight():
    marks = timeline(Span(AT, AT + timedelta(days=2))).marks(5)
    assert [text for _, text in marks] == ["Oct 07", "Oct 08", "Oct 09"]
    assert [place for place, _ in marks] == pytest.approx([0.0, 14 / 48, 38 / 48])


def test_an_outage_is_a_break_and_a_night_is_not():
    time = timeline(minutes(0, 30), minutes(30, 60), minutes(90, 120), minutes(1440, 1500))
    assert time.breaks() == [minutes(60, 90)]
    assert all(one.end <= other.begin for one, other in pairwise(time.runs))
