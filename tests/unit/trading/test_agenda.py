"""What is due, and when: on the session's own grid, whatever was missed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gambler_ai.trading.agenda import Agenda, passed_a_multiple
from tests.unit.fakes import AT, after

EVERY = {"poll": timedelta(seconds=15), "reconcile": timedelta(seconds=60)}


def test_the_first_turn_is_the_next_on_the_grid_never_now():
    assert Agenda(AT, EVERY, AT).next == after(seconds=15)
    assert Agenda(AT, EVERY, after(seconds=14)).next == after(seconds=15)
    assert Agenda(AT, EVERY, after(seconds=15)).next == after(seconds=30)


def test_a_resume_keeps_the_beat_of_the_session():
    agenda = Agenda(AT, EVERY, after(hours=3, seconds=50))
    assert agenda.next == after(hours=3, seconds=60)
    assert agenda.take("poll", after(hours=3, seconds=60))
    assert agenda.take("reconcile", after(hours=3, seconds=60))


def test_it_is_taken_once_when_it_is_due():
    agenda = Agenda(AT, EVERY, AT)
    assert not agenda.take("poll", after(seconds=14))
    assert agenda.take("poll", after(seconds=15))
    assert not agenda.take("poll", after(seconds=15))
    assert agenda.take("poll", after(seconds=30))


def test_what_was_missed_is_not_made_up_for():
    agenda = Agenda(AT, EVERY, AT)
    assert agenda.take("poll", after(minutes=10, seconds=7))
    assert not agenda.take("poll", after(minutes=10, seconds=7))
    assert agenda.take("poll", after(minutes=10, seconds=15))


def test_sooner_is_never_later_and_by_may_be():
    agenda = Agenda(AT, EVERY, AT)
    agenda.sooner("poll", after(seconds=20))
    assert agenda.next == after(seconds=15)
    agenda.sooner("poll", after(seconds=3))
    assert agenda.next == after(seconds=3)
    agenda.by("poll", after(seconds=40))
    assert not agenda.take("poll", after(seconds=39))
    assert agenda.take("poll", after(seconds=40))
    assert agenda.next == after(seconds=45), "back on the grid"


@pytest.mark.parametrize("name", ["scan", "look"])
def test_what_is_not_on_it_is_never_due_and_cannot_be_put_there(name):
    agenda = Agenda(AT, EVERY, AT)
    agenda.by(name, AT)
    agenda.sooner(name, AT)
    assert not agenda.take(name, after(hours=1))
    assert agenda.next == after(seconds=15)


def test_a_session_whose_origin_is_yet_to_come_is_on_the_same_grid():
    assert Agenda(after(minutes=1), EVERY, AT).next == after(seconds=15)


def test_a_multiple_is_passed_once():
    passed = [n for n in range(1, 13) if passed_a_multiple(4, n - 1, n)]
    assert passed == [4, 8, 12]
    assert not passed_a_multiple(4, 4, 4), "what is no scan counts nothing"
    assert not any(passed_a_multiple(None, n - 1, n) for n in range(1, 13))
    assert all(passed_a_multiple(1, n - 1, n) for n in range(1, 13))
