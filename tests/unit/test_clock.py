"""Where time comes from."""

from __future__ import annotations

from datetime import UTC, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gambler_ai.clock import ManualClock, MarketClock, SystemClock
from tests.unit.fakes import AT, after


def test_wall_time_is_aware_and_its_seconds_only_grow():
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    first = clock.monotonic()
    clock.sleep(-5)  # already over
    clock.sleep(0.0)
    assert 0 <= clock.monotonic() - first < 5


@given(st.lists(st.integers(-1000, 1000), max_size=20))
def test_a_market_that_is_moved_never_goes_back(steps):
    clock, seen = ManualClock(AT), AT
    for step in steps:
        clock.move_to(AT + timedelta(seconds=step))
        assert clock.now() >= seen
        seen = clock.now()
    assert seen == max([AT, *(AT + timedelta(seconds=s) for s in steps)])


def test_a_market_that_runs_by_itself_begins_at_its_origin_and_runs_at_its_rate():
    slow, fast = MarketClock(AT, 0.0), MarketClock(AT, 1e6)
    assert slow.now() == AT
    first = fast.now()
    while fast.now() == first:
        pass
    assert after(days=30) > fast.now() > first >= AT


def test_a_market_that_runs_by_itself_is_set_forward_and_never_back():
    clock = MarketClock(AT, 0.0)
    clock.move_to(after(seconds=-1))
    assert clock.now() == AT
    clock.move_to(after(hours=1))
    assert clock.now() == after(hours=1)
    clock.move_to(after(minutes=59))
    assert clock.now() == after(hours=1)
