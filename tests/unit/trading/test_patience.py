"""How long a far end is left alone: as long as it says, else longer each time; in session time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gambler_ai.clock import ManualClock
from gambler_ai.errors import BrokerError, OutcomeUnknown, ReadFailed
from gambler_ai.trading.feed import PacedFeed, WallFeed
from gambler_ai.trading.patience import PAUSE_MAX_S, PAUSE_S, Patience
from tests.unit.fakes import AT


def limited(wait_s: float | None) -> BrokerError:
    return ReadFailed("rate limited by the broker", wait_s=wait_s)


def at(seconds: float) -> object:
    return AT + timedelta(seconds=seconds)


def test_what_failed_for_another_reason_is_asked_again_at_once():
    patience = Patience(WallFeed(ManualClock(AT)))
    assert patience.take(limited(None)) is None
    assert patience.take(OutcomeUnknown("504")) is None
    assert patience.until is None


def test_it_waits_as_long_as_it_is_told_and_no_longer():
    clock = ManualClock(AT)
    patience = Patience(WallFeed(clock))
    assert patience.take(limited(17.0)) == patience.until == at(17)
    clock.move_to(AT + timedelta(seconds=16))
    assert patience.until == at(17)
    clock.move_to(AT + timedelta(seconds=17))
    assert patience.until is None


def test_a_shorter_wait_does_not_end_a_longer_one():
    patience = Patience(WallFeed(ManualClock(AT)))
    patience.take(limited(17.0))
    assert patience.take(limited(3.0)) == at(17)


def test_without_a_word_each_wait_is_twice_the_one_before_until_it_answers():
    clock = ManualClock(AT)
    patience = Patience(WallFeed(clock))
    waits = []
    for _ in range(8):
        until = patience.take(limited(0.0))
        assert until is not None
        waits.append((until - clock.now()).total_seconds())
        clock.move_to(until)
    assert waits[:3] == [PAUSE_S, 2 * PAUSE_S, 4 * PAUSE_S]
    assert waits[-2:] == [PAUSE_MAX_S, PAUSE_MAX_S]
    patience.answered()
    assert patience.take(limited(0.0)) == clock.now() + timedelta(seconds=PAUSE_S)


@pytest.mark.parametrize(("speed", "seconds"), [(0.0, 10.0), (0.5, 10.0), (1.0, 10.0), (60.0, 600.0)])
def test_on_a_market_that_runs_faster_so_many_seconds_are_more_of_its_own(speed, seconds):
    clock = ManualClock(AT)
    patience = Patience(PacedFeed(clock, lambda instant: instant, speed))
    assert patience.take(limited(10.0)) == at(seconds)
