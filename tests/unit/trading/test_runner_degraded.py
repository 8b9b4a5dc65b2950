"""A session in which something does not work: it is named, it costs entries and nothing else, and it ends."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from gambler_ai.clock import ManualClock
from gambler_ai.core import events as ev
from gambler_ai.core.orders import Status
from gambler_ai.errors import BrokerUnreachable, OutcomeUnknown, ReadFailed
from gambler_ai.exchange.faults import FaultPlan
from gambler_ai.trading.executor import Executor
from tests.unit.fakes import (
    AT,
    D,
    after,
    bracket_of,
    fill_of,
    held,
    leg,
    protect,
    reading,
    report_of,
    trades_of,
    wish,
)
from tests.unit.trading.test_runner import COID, ENTRY, Bench, Session, bench, on_exchange, whole_run
from tests.unit.trading.test_runner_control import Streams, tell, timed

__all__ = ["bench", "on_exchange"]  # fixtures


def journaled(one: Bench | Session, *kinds: type) -> list[str]:
    return [word for word in one.notes.words if word in {kind.__name__ for kind in kinds}]


def test_a_stream_that_is_silent_is_told_until_it_tells_something(bench):
    one = bench(wish(), streams=Streams())
    parent = bracket_of(ENTRY, limit="new")
    one.begin()
    story = {
        2: reading(orders=[replace(parent, status="partially_filled", filled_qty=D(40))]),
        4: reading(orders=[parent], fills=[fill_of(parent, "100")], positions=[held("AAPL", "100")]),
    }
    seen: list[set[str]] = []

    def act(number: int) -> None:
        seen.append(set(one.runner.state.degraded))
        one.broker.report = story.get(number, one.broker.report)
        if number == 7:
            tell(one)

    timed(one, act)
    one.runner.trade()
    name = "stream silent trade updates"
    assert [name in names for names in seen[:7]] == [False] * 4 + [True] * 3
    assert one.runner.state.degraded == {}
    assert journaled(one, ev.Degraded, ev.Restored) == ["Degraded", "Restored"]


def test_a_new_process_knows_nothing_of_the_streams_of_the_one_before(bench):
    one = bench()
    told = ("stream silent prices", "database", "clock skew", "stale prices AAPL")
    one.ledger.commit(one.engine.record(*(ev.Degraded(AT, name, "?") for name in told)))
    before: list[set[str]] = []
    one.broker.on["market"] = lambda: before.append(set(one.runner.state.degraded))
    one.begin()
    assert before[0] == {"clock skew", "stale prices AAPL"}
    assert set(one.runner.state.degraded) == {"stale prices AAPL"}, "until there are prices"


def limited(wait_s: float) -> ReadFailed:
    return ReadFailed("rate limited by the broker", wait_s=wait_s)


def test_a_start_waits_out_a_limit_on_requests(bench):
    """What the run before it had sent may be why."""
    one = bench()
    one.broker.raises["account"] = limited(20.0)
    asked: list[datetime] = []

    def ask() -> None:
        asked.append(one.feed.clock.now())
        if len(asked) > 1:
            one.broker.raises.clear()

    one.broker.on["account"] = ask
    one.begin()
    assert asked[:2] == [AT, asked[1]]
    assert after(seconds=20) <= asked[1] < after(seconds=30)
    assert one.runner.state.degraded == {}


def test_a_resume_that_may_not_send_a_stop_yet_waits_and_sends_it(bench):
    """The broker takes no more requests for 20 s; without a wait the start would end with a position bare."""
    one = bench()
    bought = bracket_of(ENTRY, limit="canceled", stop="canceled")
    stop = protect(COID, "100")
    booked = [ev.IntentPlanned(AT, ENTRY), ev.OrderUpdated(AT, bought), ev.FillReported(AT, fill_of(bought, "100"))]
    one.ledger.commit(one.engine.record(*booked))
    one.feed.skip_to(after(minutes=5))
    one.broker.report = reading(orders=[bought], fills=[fill_of(bought, "100")], positions=[held("AAPL", "100")])
    one.broker.raises["submit"] = OutcomeUnknown("rate limited by the broker", wait_s=20.0)
    oco = report_of(stop, legs=(leg(report_of(stop), "stop"),))
    one.broker.answer = lambda body: oco
    one.broker.on["account"] = lambda: one.broker.raises.clear() if one.broker.asked("submit") else None
    one.begin()
    assert len(one.broker.asked("submit")) == 2
    assert one.runner.state.intents[stop.client_order_id].status is Status.WORKING


def test_a_start_does_not_wait_for_ever(bench):
    one = bench()
    one.broker.raises["account"] = limited(60.0)
    with pytest.raises(BrokerUnreachable, match="wants no request until"):
        one.begin()
    assert after(minutes=2) <= one.feed.clock.now() <= after(minutes=6)


def test_a_start_that_waits_may_be_stopped(bench):
    one = bench()
    one.broker.raises["account"] = limited(60.0)
    one.broker.on["account"] = lambda: one.feed.put(ev.StopRequested(AT, "stopped by SIGTERM"))
    with pytest.raises(BrokerUnreachable):
        one.begin()
    assert one.feed.clock.now() == AT


def test_an_absurd_price_is_neither_traded_on_nor_marked_and_the_next_good_one_is(bench):
    one = bench(wish())
    one.broker.prices = trades_of(AAPL="NaN")
    one.begin()
    marks: list[dict[str, object]] = []

    def again(_number: int) -> None:
        marks.append(dict(one.runner.state.marks))
        if one.feed.clock.now() >= after(seconds=30):
            one.broker.prices = trades_of(after(seconds=30), AAPL="100")

    timed(one, again)
    one.runner.trade()
    assert marks[0] == marks[1] == {}
    assert one.runner.state.marks == {"AAPL": D(100)}
    assert one.broker.asked("submit") == [], "the bar was decided on while its symbol took no entries"
    assert journaled(one, ev.Degraded, ev.Restored) == ["Degraded", "Restored"]
    assert COID not in one.runner.state.intents


class Jumping(ManualClock):
    """A wall clock that somebody sets to and fro: an hour, a day, either way, at each look."""

    def __init__(self) -> None:
        super().__init__(AT)
        self._jumps = iter([timedelta(hours=1), timedelta(hours=-1), timedelta(days=1), timedelta(days=-1)] * 10_000)

    def now(self) -> datetime:
        return super().now() + next(self._jumps)


def test_a_wall_clock_that_jumps_changes_no_decision(on_exchange):
    """The same orders at the same instants as with a right one; only the warning is between them."""
    right, wrong = on_exchange(35), on_exchange(35)
    whole_run(right)
    runner = wrong.runner()
    runner._executor = Executor(wrong.broker, wrong.data, wrong.feed, Jumping())
    runner.begin(ev.RunStarted(wrong.feed.clock.now(), wrong.state.remaining_s, resumed=False, token=runner.token))
    runner.end("finished", runner.trade())
    assert "Degraded" in wrong.notes.words
    skipped = ("Degraded", "Restored")
    assert [w for w in wrong.notes.words if w not in skipped] == [w for w in right.notes.words if w not in skipped]
    assert [dict(r) for r in wrong.exchange.log()] == [dict(r) for r in right.exchange.log()]
    assert len(right.exchange.log()) == 2


def test_a_day_of_real_prices_is_neither_stale_nor_absurd(on_exchange):
    session = on_exchange(60)
    whole_run(session)
    assert "Degraded" not in session.notes.words


def test_a_flatten_that_is_asked_for_while_reading_is_limited_is_done_after_it(on_exchange):
    """What is held has to be seen first: an exit against shares that are gone would open the other side."""
    limited = {"kind": "429", "method": "GET", "path": "/v2/positions", "times": 2}
    passing = {"kind": "position_late", "seconds": 0, "times": 24}
    session = on_exchange(9, faults=FaultPlan([passing, limited]))
    runner = session.begun()
    flatten = ev.Request("r-1", ev.FLATTEN, "AAPL", "enough")
    session.notes.on("Degraded", lambda: session.feed.put(ev.Requested(session.feed.clock.now(), flatten)))
    runner.end("finished", runner.trade())
    words = session.notes.words
    assert words.index("FillReported") < words.index("Degraded") < words.index("ExitRequested")
    assert words.index("ExitRequested") < words.index("Restored") < words.index("ExitDone")
    assert session.state.positions == session.state.degraded == {}
