"""What comes next, on a market that moves by itself and on one that we move."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest

from gambler_ai.clock import ManualClock, MarketClock
from gambler_ai.core.events import StopRequested, TimerElapsed
from gambler_ai.errors import BrokerUnreachable, TryAgainLater
from gambler_ai.storage.lease import LEASE_TTL, RENEW_EVERY_S, SEND_MAX_S
from gambler_ai.trading.feed import LAG, PATIENCE_S, WAIT_MAX_S, PacedFeed, WallFeed
from tests.unit.fakes import AT, after


class Stepped(ManualClock):
    """A market clock whose wall seconds are moved by hand too."""

    wall_s = 1000.0

    def monotonic(self) -> float:
        return self.wall_s


class Market:
    """The exchange's end of `advance`."""

    def __init__(self) -> None:
        self.asked: list[datetime] = []
        self.down = False
        self.holds_at: datetime | None = None
        self.signals: PacedFeed | None = None

    def __call__(self, to: datetime) -> datetime:
        self.asked.append(to)
        if self.down:
            if self.signals is not None:
                self.signals.put(HALT)
            raise BrokerUnreachable("connection refused")
        return min(to, self.holds_at) if self.holds_at else to


HALT = StopRequested(AT, "SIGTERM")


def paced(speed: float = 0.0) -> tuple[PacedFeed, Stepped, Market]:
    clock, market = Stepped(AT), Market()
    return PacedFeed(clock, market, speed), clock, market


# -- a market that moves by itself ----------------------------------------------------------------


def test_on_the_wall_what_came_in_goes_before_the_timer():
    feed = WallFeed(Stepped(AT))
    feed.put(HALT)
    feed.put(TimerElapsed(after(seconds=9)))
    assert feed.next(AT, busy=False) == HALT
    assert feed.next(AT, busy=True) == TimerElapsed(after(seconds=9))


@pytest.mark.parametrize("until", [AT, AT - timedelta(hours=1), AT + timedelta(milliseconds=1)])
def test_on_the_wall_a_due_instant_is_told_never_before_the_clock(until):
    assert WallFeed(Stepped(AT), rate=1000.0).next(until, busy=False) == TimerElapsed(max(until, AT))


def test_an_error_put_in_is_raised_where_it_is_taken():
    feed = WallFeed(Stepped(AT))
    feed.put(KeyError("on the worker"))
    with pytest.raises(KeyError, match="on the worker"):
        feed.next(AT, busy=False)
    assert feed.poll(0) is None


def test_one_who_waits_for_a_stop_takes_nothing_else_away():
    feed = WallFeed(ManualClock(AT))
    first, second = TimerElapsed(after(seconds=1)), TimerElapsed(after(seconds=2))
    feed.put(first)
    assert not feed.stop_asked(0.0)
    feed.put(KeyError("on the worker"))
    feed.put(second)
    assert not feed.stop_asked(0.01)
    feed.put(HALT)
    assert feed.stop_asked(10.0)
    assert feed.poll(0) == first
    with pytest.raises(KeyError):
        feed.poll(0)
    assert [feed.poll(0) for _ in range(3)] == [second, HALT, None]


@pytest.mark.parametrize("busy", [True, False])
def test_nobody_waits_for_longer_than_a_lease_may_go_unrenewed(busy):
    waits: list[float | None] = []

    class Slow(WallFeed):
        def poll(self, timeout_s: float | None) -> None:
            waits.append(timeout_s)

    feed = Slow(Stepped(AT))
    until = AT if busy else after(hours=9)
    assert feed.next(until, busy=busy) == TimerElapsed(AT)
    assert waits == [WAIT_MAX_S]
    assert LEASE_TTL.total_seconds() > WAIT_MAX_S + RENEW_EVERY_S + SEND_MAX_S


# -- a market that we move ------------------------------------------------------------------------


def test_the_market_is_moved_to_the_due_instant_and_the_clock_with_it():
    feed, clock, market = paced()
    assert feed.next(after(minutes=1), busy=False) == TimerElapsed(after(minutes=1))
    assert market.asked == [after(minutes=1)]
    assert clock.now() == after(minutes=1)


def test_a_market_that_gets_less_far_is_where_it_is():
    feed, clock, market = paced()
    market.holds_at = after(seconds=30)
    assert feed.next(after(minutes=1), busy=False) == TimerElapsed(after(seconds=30))
    assert clock.now() == after(seconds=30)


def test_the_market_stands_while_a_request_is_in_flight():
    feed, clock, market = paced(speed=1.0)
    feed.put(HALT)
    assert feed.next(after(hours=1), busy=True) == HALT
    assert (market.asked, clock.now()) == ([], AT)


def test_what_came_in_goes_before_the_market_moves():
    feed, _, market = paced(speed=60.0)
    feed.put(HALT)
    assert feed.next(after(hours=1), busy=False) == HALT
    assert market.asked == []


def test_a_span_takes_at_least_its_seconds_by_the_speed():
    feed, clock, market = paced(speed=60.0)
    clock.wall_s += 0.5  # the tick before was slow: the pace is kept, not the pause
    assert feed.next(after(seconds=30), busy=False) == TimerElapsed(after(seconds=30))
    clock.wall_s += 3600  # the laptop slept: no time is made up for by rushing
    assert feed.next(after(seconds=60), busy=False) == TimerElapsed(after(seconds=60))
    assert market.asked == [after(seconds=30), after(seconds=60)]


def test_the_night_is_skipped_without_a_pause():
    feed, clock, market = paced(speed=0.001)
    feed.skip_to(after(hours=17))
    assert (clock.now(), market.asked) == (after(hours=17), [after(hours=17)])
    market.down = True
    with pytest.raises(BrokerUnreachable):
        feed.move_to(after(hours=18))
    assert clock.now() == after(hours=17)


def test_a_night_that_cannot_be_skipped_yet_is_waited_for_as_any_outage():
    feed, clock, market = paced()
    market.down, market.signals = True, feed
    for waited_s in (0.0, 60.0, PATIENCE_S):
        clock.wall_s = 1000.0 + waited_s
        assert feed.skip_to(after(hours=17)) == HALT
    assert clock.now() == AT
    market.down = False
    assert feed.skip_to(after(hours=17)) is None
    assert clock.now() == after(hours=17)
    market.down = True
    clock.wall_s += PATIENCE_S + 1
    assert feed.skip_to(after(hours=18)) == HALT, "patience begins anew"
    clock.wall_s += PATIENCE_S + 1
    with pytest.raises(TryAgainLater, match="silent for 120 s: connection refused"):
        feed.skip_to(after(hours=18))


def test_an_exchange_that_is_down_is_waited_for_and_time_stands_still():
    feed, clock, market = paced()
    market.down = True
    feed.put(HALT)
    assert feed.next(after(minutes=1), busy=False) == HALT  # taken by the pace
    for waited_s in (0.0, 60.0, PATIENCE_S):
        clock.wall_s = 1000.0 + waited_s
        answer_while_waiting(feed, market)
    assert clock.now() == AT
    clock.wall_s = 1000.0 + PATIENCE_S + 1
    with pytest.raises(TryAgainLater, match="silent for 120 s: connection refused"):
        feed.next(after(minutes=1), busy=False)


def answer_while_waiting(feed: PacedFeed, market: Market) -> None:
    """A signal that comes in after the market failed to move ends the pause before the next try."""
    market.signals = feed
    assert feed.next(after(minutes=1), busy=False) == HALT
    market.signals = None


def test_patience_begins_anew_with_each_answer():
    feed, clock, market = paced()
    for _ in range(3):
        market.down = True
        answer_while_waiting(feed, market)
        clock.wall_s += PATIENCE_S - 1
        market.down = False
        feed.next(clock.now() + timedelta(seconds=1), busy=False)
        clock.wall_s += PATIENCE_S


def test_a_poll_with_nothing_there_is_nothing():
    feed, _, _ = paced()
    assert feed.poll(0) is None
    assert feed.poll(0.001) is None
    feed.put(HALT)
    assert feed.poll(None) == HALT


# -- keeping up with the broker's clock -------------------------------------------------------------


@pytest.mark.parametrize("rate", [1.0, 60.0])
def test_a_market_clock_that_lags_is_set_forward_and_one_that_leads_is_left(rate):
    clock = Frozen(AT)
    feed = WallFeed(clock, rate)
    feed.follow(AT + LAG * rate)
    assert clock.now() == AT
    feed.follow(AT - timedelta(hours=1))
    assert clock.now() == AT
    ahead = AT + LAG * rate + timedelta(milliseconds=1)
    feed.follow(ahead)
    assert clock.now() == ahead


def test_a_market_that_we_move_and_a_wall_clock_follow_nobody():
    feed, clock, _ = paced()
    feed.follow(after(hours=1))
    assert clock.now() == AT
    stands = Stepped(AT)
    WallFeed(stands).follow(after(hours=1))
    assert stands.now() == AT


def test_on_the_wall_what_is_due_waits_for_the_answer_that_is_under_way():
    """Told again and again that it is due, the loop would spin until the answer came."""
    feed = WallFeed(Stepped(AT))
    timer = threading.Timer(0.2, feed.put, [HALT])
    timer.start()
    for busy, answer in ((False, TimerElapsed(AT)), (True, HALT)):
        assert feed.next(AT, busy=busy) == answer
    timer.join()


class Frozen(MarketClock):
    """A market clock that moves only when it is set."""

    def __init__(self, origin: datetime) -> None:
        super().__init__(origin, 0.0)
