"""What a reading asks for in a session of options: activities, by which contracts end, and what opened a structure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gambler_ai.core import events as ev
from gambler_ai.core.evolution import apply
from gambler_ai.trading.requesting import reading, scanning
from tests.unit.fakes import AT, Desk, after, make_state
from tests.unit.spreads import C100, C105, COID, VERTICAL, bare_state, holding

SINCE = AT - timedelta(days=2)


def test_activities_are_asked_for_while_a_structure_is_held():
    state = holding(VERTICAL)
    assert reading(state, reconcile=True, read_to=AT).actions_since == SINCE
    assert reading(state, reconcile=False, read_to=AT).actions_since is None
    state.positions.clear()
    assert reading(state, reconcile=True, read_to=AT).actions_since == SINCE, "it has not ended"


def test_at_a_resume_they_are_asked_for_whatever_is_held():
    assert reading(bare_state(), reconcile=True).actions_since == SINCE
    assert reading(bare_state(), reconcile=True, read_to=AT).actions_since is None
    assert reading(make_state(), reconcile=True).actions_since is None, "shares do not end by them"


def test_from_the_first_reading_of_a_day_on_they_are_asked_for_by_each_until_the_day_is_known():
    state = bare_state()
    apply(state, ev.Marked(after(days=1), {}, {}))
    assert reading(state, reconcile=False, read_to=AT).actions_since == SINCE + timedelta(days=1)
    apply(state, ev.DayOpened(after(days=1), "2008-10-08"))
    assert reading(state, reconcile=False, read_to=AT).actions_since is None


def test_what_opened_a_structure_is_looked_up_at_a_resume():
    state = holding(VERTICAL)
    assert COID in reading(state, reconcile=True).expect
    assert reading(state, reconcile=True, read_to=AT).expect == ()
    assert reading(state, reconcile=False).expect == ()


def test_no_quote_is_asked_for_of_a_contract_that_has_expired():
    """It waits for its activity, over a weekend perhaps; a broker that refuses its symbol would cost all others."""
    desk = Desk(state=holding(VERTICAL))
    for day, held in ((17, (C100, C105)), (18, ())):
        wanted = scanning(desk.engine, datetime(2008, 10, day, 14, tzinfo=UTC)).options
        assert wanted is not None
        assert wanted.held == held
