"""The worker: every outcome of a request is one input, in order, and no error dies on its thread."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from msgspec.structs import replace

from gambler_ai.clock import ManualClock
from gambler_ai.core import events as ev
from gambler_ai.errors import (
    BrokerAuthError,
    BrokerRefused,
    BrokerUnreachable,
    DatabaseOutage,
    OutcomeUnknown,
    ReadFailed,
    SessionLeased,
)
from gambler_ai.trading.executor import (
    HISTORY,
    LOOKUPS_MAX,
    Cancel,
    Executor,
    Read,
    Replace,
    Scan,
    Submit,
    read_broker,
)
from gambler_ai.trading.feed import WallFeed
from tests.unit.fakes import (
    AT,
    FIVE,
    D,
    FakeBroker,
    bracket_of,
    entry,
    fill_of,
    frame_of,
    held,
    reading,
    trades_of,
)

ENTRY = entry()
COID = ENTRY.client_order_id
PATIENCE_S = 10.0


class Bench:
    """An executor at work on a fake broker."""

    def __init__(self, before_send: Callable[[], None] = lambda: None, wall: ManualClock | None = None) -> None:
        self.broker = FakeBroker()
        self.clock = ManualClock(AT)
        self.feed = WallFeed(self.clock)
        self.executor = Executor(self.broker, self.broker, self.feed, wall, before_send)
        self.executor.start()

    def __call__(self, request) -> ev.Input:
        self.executor.ask(request)
        answer = self.feed.poll(PATIENCE_S)
        assert answer is not None
        self.executor.answered()
        return answer


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.executor.stop(PATIENCE_S)


SUBMIT = Submit(COID, ENTRY.body)
SCAN = Scan(("AAPL", "MSFT"), FIVE, 21)


def test_an_order_is_sent_as_it_was_stored_and_its_answer_told(bench):
    report = bracket_of(ENTRY, "pending_new")
    bench.broker.answer = lambda body: report
    assert bench(SUBMIT) == ev.SubmitAnswered(AT, COID, report)
    assert bench.broker.asked("submit") == [(ENTRY.body,)]


REFUSALS = [
    (BrokerRefused("client_order_id must be unique (HTTP 422)", status=422, code=40010001), True),
    (BrokerRefused("client_order_id must be unique (HTTP 409)", status=409), True),
    (BrokerRefused("client_order_id must be unique (HTTP 403)", status=403), False),
    (BrokerRefused("insufficient buying power (HTTP 403)", status=403, code=40310000), False),
    (BrokerRefused("order_id is missing (HTTP 422)", status=422, code=40010001), False),
]


@pytest.mark.parametrize(("error", "duplicate"), REFUSALS, ids=lambda v: str(v)[:40])
def test_a_refusal_is_one_unless_the_broker_has_the_id_already(bench, error, duplicate):
    bench.broker.raises["submit"] = error
    assert bench(SUBMIT) == ev.SubmitRefused(AT, COID, error.message, duplicate)


@pytest.mark.parametrize("error", [OutcomeUnknown("read timeout"), BrokerUnreachable("refused")])
def test_what_was_not_answered_is_unanswered(bench, error):
    bench.broker.raises["submit"] = error
    assert bench(SUBMIT) == ev.SubmitUnanswered(AT, COID, error.message)


def test_an_answer_for_another_order_is_no_answer(bench):
    bench.broker.answer = lambda body: replace(bracket_of(ENTRY), client_order_id="ga1-other")
    assert bench(SUBMIT) == ev.SubmitUnanswered(AT, COID, "the broker answered for ga1-other")


def refuses(error: BaseException) -> Bench:
    """A bench whose lease is not sure."""

    def look() -> None:
        raise error

    return Bench(look)


def test_nothing_leaves_while_the_database_is_away_and_that_is_no_refusal():
    bench = refuses(DatabaseOutage("the database is away"))
    assert bench(SUBMIT) == ev.SubmitUnanswered(AT, COID, "not sent: the database is away")
    assert bench(Cancel("o-1")) == ev.CancelAnswered(AT, "o-1", "the database is away")
    assert (bench.broker.asked("submit"), bench.broker.asked("cancel")) == ([], [])
    bench.executor.stop(PATIENCE_S)


def test_nothing_leaves_from_a_runner_that_was_replaced_and_it_ends():
    bench = refuses(SessionLeased("this runner was replaced: the account is now held by pid 2"))
    for request in (SUBMIT, Cancel("o-1")):
        with pytest.raises(SessionLeased, match="pid 2"):
            bench(request)
    assert (bench.broker.asked("submit"), bench.broker.asked("cancel")) == ([], [])
    bench.executor.stop(PATIENCE_S)


def test_a_signal_that_went_stale_between_commit_and_send_is_not_sent(bench):
    stale = Submit(COID, ENTRY.body, AT - timedelta(seconds=1))
    answer = bench(stale)
    assert isinstance(answer, ev.SubmitRefused)
    assert (answer.duplicate, answer.reason) == (False, "not sent: its signal was good until 2008-10-07 13:59:59 UTC")
    assert bench.broker.asked("submit") == []
    bench.broker.answer = lambda body: bracket_of(ENTRY, "pending_new")
    assert isinstance(bench(Submit(COID, ENTRY.body, AT)), ev.SubmitAnswered)


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (None, ""),
        (BrokerRefused('order is already in "filled" state', status=422), 'order is already in "filled" state'),
        (OutcomeUnknown("reset"), "reset"),
    ],
)
def test_a_cancel_is_answered_whatever_came_of_it(bench, error, refused):
    if error:
        bench.broker.raises["cancel"] = error
    assert bench(Cancel("o-1")) == ev.CancelAnswered(AT, "o-1", refused)
    assert bench.broker.asked("cancel") == [("o-1",)]


READ = Read(AT - timedelta(hours=1), AT - timedelta(hours=2), (COID, "ga1-b"), reconcile=True)


def test_a_reading_is_whole_and_looks_up_what_is_not_listed(bench):
    listed = bracket_of(ENTRY)
    found = replace(listed, client_order_id="ga1-b")
    bench.broker.report = reading(orders=[listed], fills=[fill_of(listed, "10")], positions=[held("AAPL", "10")])
    bench.broker.by_id = {"ga1-b": found}
    answer = bench(READ)
    assert isinstance(answer, ev.BrokerReported)
    assert answer.reconcile
    assert answer.report == replace_lookups(bench.broker.report, {"ga1-b": found})
    assert bench.broker.asked("order_by_client_id") == [("ga1-b",)]
    assert bench.broker.asked("orders") == [(AT - timedelta(hours=1),)]
    assert bench.broker.asked("fills") == [(AT - timedelta(hours=2),)]


def replace_lookups(report: ev.BrokerReport, lookups) -> ev.BrokerReport:
    return ev.BrokerReport(report.market, report.account, report.orders, report.fills, report.positions, lookups)


def test_fills_are_read_after_orders_so_that_each_has_its_order():
    broker = FakeBroker()
    read_broker(broker, READ)
    names = [name for name, _ in broker.calls]
    assert names.index("orders") < names.index("order_by_client_id") < names.index("fills")


@pytest.mark.parametrize("call", ["market", "account", "orders", "order_by_client_id", "fills", "positions"])
def test_a_reading_that_fails_in_part_is_none_at_all(bench, call):
    bench.broker.raises[call] = BrokerUnreachable("503")
    assert bench(READ) == ev.BrokerFailed(AT, "broker", "503")


@pytest.mark.parametrize(
    ("error", "condition"),
    [
        (BrokerUnreachable("refused"), ""),
        (ReadFailed("503"), "broker reads"),
        (BrokerRefused("no such thing", status=404), "broker reads"),
    ],
)
def test_not_reached_is_another_thing_than_not_answered(bench, error, condition):
    bench.broker.raises["positions"] = error
    assert bench(READ) == ev.BrokerFailed(AT, "broker", error.message, condition)


# -- rate limits ----------------------------------------------------------------------------------

LIMITED = ReadFailed("rate limited by the broker", wait_s=40.0)
UNTIL = "the broker wants no request until 2008-10-07 14:00:40 UTC"


def test_a_reading_that_meets_the_limit_is_not_tried_again_before_its_end_and_orders_go_out(bench):
    bench.broker.raises["account"] = LIMITED
    told = ev.BrokerFailed(AT, "broker", UNTIL, "rate limited")
    assert bench(READ) == told
    del bench.broker.raises["account"]
    asked = len(bench.broker.calls)
    assert bench(READ) == told
    assert len(bench.broker.calls) == asked
    bench.broker.answer = lambda body: bracket_of(ENTRY)
    assert isinstance(bench(SUBMIT), ev.SubmitAnswered)
    assert bench(Cancel("o-1")) == ev.CancelAnswered(AT, "o-1", "")
    assert isinstance(bench(SCAN), ev.BarsClosed), "prices have another host"
    bench.clock.move_to(AT + timedelta(seconds=39))
    assert isinstance(bench(READ), ev.BrokerFailed)
    bench.clock.move_to(AT + timedelta(seconds=40))
    assert isinstance(bench(READ), ev.BrokerReported)


def test_an_order_that_meets_the_limit_is_unanswered_and_reading_waits_for_its_end(bench):
    bench.broker.raises["submit"] = OutcomeUnknown("rate limited by the broker", wait_s=40.0)
    until = AT + timedelta(seconds=40)
    assert bench(SUBMIT) == ev.SubmitUnanswered(AT, COID, "rate limited by the broker", until)
    assert bench(READ) == ev.BrokerFailed(AT, "broker", UNTIL, "rate limited")
    assert bench.broker.asked("orders") == []


def test_a_cancel_that_meets_the_limit_makes_reading_wait_as_well(bench):
    bench.broker.raises["cancel"] = OutcomeUnknown("rate limited by the broker", wait_s=40.0)
    assert bench(Cancel("o-1")) == ev.CancelAnswered(AT, "o-1", "rate limited by the broker")
    assert isinstance(bench(READ), ev.BrokerFailed)


def test_a_limit_on_prices_is_told_as_one_and_readings_go_on(bench):
    bench.broker.raises["trades"] = LIMITED
    told = ev.BrokerFailed(AT, "market data", UNTIL, "rate limited prices")
    assert bench(SCAN) == bench(SCAN) == told
    assert len(bench.broker.asked("trades")) == 1
    assert isinstance(bench(READ), ev.BrokerReported)
    bench.broker.raises.clear()
    bench.clock.move_to(AT + timedelta(seconds=40))
    assert isinstance(bench(SCAN), ev.BarsClosed)


# -- clocks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("off_s", [-86_400.0, -3600.0, -31.0, 0.0, 31.0, 3600.0, 86_400.0])
def test_a_wall_clock_that_is_set_wrong_is_measured_and_changes_nothing_else(off_s):
    one, right = Bench(wall=ManualClock(AT + timedelta(seconds=off_s))), Bench(wall=ManualClock(AT))
    found, wanted = one(READ), right(READ)
    assert isinstance(found, ev.BrokerReported)
    assert isinstance(wanted, ev.BrokerReported)
    assert (found.skew_s, wanted.skew_s) == (off_s, 0.0)
    assert (found.at, found.report) == (wanted.at, wanted.report)
    scans = one(SCAN), right(SCAN)
    assert isinstance(scans[0], ev.BarsClosed)
    assert isinstance(scans[1], ev.BarsClosed)
    assert (scans[0].at, scans[0].trades) == (scans[1].at, scans[1].trades)
    for bench in (one, right):
        bench.executor.stop(PATIENCE_S)


def test_a_slow_answer_is_no_wrong_clock():
    wall = ManualClock(AT - timedelta(seconds=20))
    one = Bench(wall=wall)
    one.broker.on["positions"] = lambda: wall.move_to(AT + timedelta(seconds=20))
    found = one(READ)
    assert isinstance(found, ev.BrokerReported)
    assert found.skew_s == 0.0
    one.executor.stop(PATIENCE_S)


def test_a_session_clock_that_ran_ahead_of_the_brokers_is_measured_too():
    one = Bench(wall=ManualClock(AT))
    one.clock.move_to(AT + timedelta(seconds=90))
    found = one(READ)
    assert isinstance(found, ev.BrokerReported)
    assert found.skew_s == 90.0
    one.executor.stop(PATIENCE_S)


def test_where_the_market_keeps_a_time_of_its_own_no_clock_is_wrong(bench):
    bench.clock.move_to(AT + timedelta(hours=1))
    found = bench(READ)
    assert isinstance(found, ev.BrokerReported)
    assert found.skew_s == 0.0


def test_a_scan_asks_for_what_is_new_and_joins_it(bench):
    first = bench(SCAN)
    assert isinstance(first, ev.BarsClosed)
    assert first.trades == trades_of(AAPL="100", MSFT="50")
    bench.clock.move_to(AT + FIVE)
    bench.broker.frame = frame_of({"AAPL": [101.0], "MSFT": [51.0]}, newest=AT)
    second = bench(SCAN)
    assert isinstance(second, ev.BarsClosed)
    assert second.frame.close[:, 0].tolist() == [100.0, 101.0]
    starts = [start for _, _, start, _, _ in bench.broker.asked("bars")]
    assert starts == [AT - HISTORY, AT - FIVE]


def test_a_scan_without_bars_goes_back_as_far_as_ever(bench):
    bench.broker.frame = frame_of({"AAPL": [], "MSFT": []})
    bench(SCAN)
    bench(SCAN)
    assert [start for _, _, start, _, _ in bench.broker.asked("bars")] == [AT - HISTORY] * 2


@pytest.mark.parametrize(
    ("interval_s", "bars", "days"),
    [(300, 21, 5), (3600, 6, 5), (3600, 7, 6), (3600, 21, 9), (7200, 21, 13)],
    ids=str,
)
def test_the_first_scan_reaches_back_as_far_as_the_history_needs(bench, interval_s, bars, days):
    bench(Scan(("AAPL", "MSFT"), timedelta(seconds=interval_s), bars))
    assert [start for _, _, start, _, _ in bench.broker.asked("bars")] == [AT - timedelta(days=days)]


def test_what_cannot_be_is_kept_back_and_said_of_its_symbol_only(bench):
    bench(SCAN)
    bench.broker.prices = trades_of(AAPL="NaN", MSFT="50")
    found = bench(SCAN)
    assert isinstance(found, ev.BarsClosed)
    assert set(found.trades) == {"MSFT"}
    assert found.quarantined == {"AAPL": "the last trade is at NaN"}


def test_the_brokers_own_mark_bears_out_what_two_bars_say(bench):
    bench(SCAN)
    bench.broker.report = reading(positions=[replace(held("AAPL", "10"), current_price=D(10))])
    bench(READ)
    bench.clock.move_to(AT + 2 * FIVE)
    bench.broker.frame = frame_of({"AAPL": [10.0, 10.0], "MSFT": [50.0, 50.0]}, newest=AT + FIVE)
    found = bench(SCAN)
    assert isinstance(found, ev.BarsClosed)
    assert found.frame.close[-2:, 0].tolist() == [10.0, 10.0]


def test_a_gap_is_asked_for_again(bench):
    bench.broker.frame = frame_of({"AAPL": [100.0], "MSFT": [50.0]}, newest=AT - 3 * FIVE)
    bench(SCAN)
    bench.broker.frame = frame_of({"AAPL": [101.0], "MSFT": [51.0]}, newest=AT - FIVE)
    bench(SCAN)
    bench(SCAN)
    assert [start for _, _, start, _, _ in bench.broker.asked("bars")][1:] == [AT - 3 * FIVE] * 2


@pytest.mark.parametrize("call", ["bars", "trades"])
def test_a_scan_that_fails_says_so_and_forgets_nothing(bench, call):
    bench(SCAN)
    bench.broker.raises[call] = BrokerUnreachable("503")
    assert bench(SCAN) == ev.BrokerFailed(AT, "market data", "503")
    del bench.broker.raises[call]
    again = bench(SCAN)
    assert isinstance(again, ev.BarsClosed)
    assert len(again.frame) == 1


@pytest.mark.parametrize(
    ("call", "request_"), [("submit", SUBMIT), ("cancel", Cancel("o")), ("orders", READ), ("bars", SCAN)]
)
@pytest.mark.parametrize(
    "error", [BrokerAuthError("401"), KeyError("a bug"), KeyboardInterrupt()], ids=lambda e: type(e).__name__
)
def test_keys_that_are_refused_and_bugs_reach_the_main_thread(bench, call, request_, error):
    bench.broker.raises[call] = error
    bench.executor.ask(request_)
    with pytest.raises(type(error)):
        bench.feed.poll(PATIENCE_S)
    bench.broker.raises.clear()
    bench.broker.answer = lambda body: bracket_of(ENTRY)
    bench.executor.ask(SUBMIT)  # the worker lives on
    assert isinstance(bench.feed.poll(PATIENCE_S), ev.SubmitAnswered)


def test_requests_are_answered_in_their_order_and_counted(bench):
    bench.broker.answer = lambda body: replace(bracket_of(ENTRY), client_order_id=body["client_order_id"])
    bodies = [json.dumps({"client_order_id": f"ga1-{n}"}) for n in range(20)]
    assert not bench.executor.busy
    for n, body in enumerate(bodies):
        bench.executor.ask(Submit(f"ga1-{n}", body))
    assert bench.executor.busy
    for n in range(20):
        answer = bench.feed.poll(PATIENCE_S)
        assert isinstance(answer, ev.SubmitAnswered)
        assert answer.client_order_id == f"ga1-{n}"
        bench.executor.answered()
    assert not bench.executor.busy
    assert [body for (body,) in bench.broker.asked("submit")] == bodies


def test_one_that_never_started_can_be_stopped():
    broker = FakeBroker()
    Executor(broker, broker, WallFeed(ManualClock(AT))).stop(0.0)


# -- replacements ---------------------------------------------------------------------------------

MOVE = Replace(COID, "o-old", '{"stop_price":"99"}')


def test_a_replacement_is_sent_as_it_was_stored_and_answered_like_an_order(bench):
    report = replace(bracket_of(ENTRY), replaces="o-old")
    bench.broker.answer = lambda body: report
    assert bench(MOVE) == ev.SubmitAnswered(AT, COID, report)
    assert bench.broker.asked("replace") == [("o-old", '{"stop_price":"99"}')]


@pytest.mark.parametrize(("error", "duplicate"), REFUSALS, ids=lambda v: str(v)[:40])
def test_a_replacement_is_refused_like_an_order(bench, error, duplicate):
    bench.broker.raises["replace"] = error
    assert bench(MOVE) == ev.SubmitRefused(AT, COID, error.message, duplicate)


def test_a_replacement_that_was_not_answered_is_unanswered(bench):
    bench.broker.raises["replace"] = OutcomeUnknown("read timeout")
    assert bench(MOVE) == ev.SubmitUnanswered(AT, COID, "read timeout")


def with_orders(*orders: str) -> Read:
    return Read(AT, AT, (), reconcile=False, orders=orders)


def test_an_order_that_no_listing_shows_is_asked_for_by_its_own_id_and_followed():
    listed = bracket_of(ENTRY)
    old = replace(listed, order_id="o-old", legs=(), replaced_by="o-mid")
    mid = replace(old, order_id="o-mid", replaced_by="o-new")
    new = replace(old, order_id="o-new", replaced_by=None)
    broker = FakeBroker()
    broker.report = reading(orders=[listed])
    known = {o.order_id: o for o in (old, mid, new)}
    broker.order = lambda order_id: known.get(order_id)  # type: ignore[method-assign]
    found = read_broker(broker, with_orders(listed.order_id, listed.legs[0].order_id, "o-old", "o-lost")).by_id
    assert found == {"o-old": old, "o-lost": None, "o-mid": mid, "o-new": new}


def test_a_successor_that_is_listed_is_asked_for_no_more():
    new = replace(bracket_of(ENTRY), order_id="o-new")
    old = replace(bracket_of(ENTRY), order_id="o-old", replaced_by="o-new")
    broker = FakeBroker()
    broker.report = reading(orders=[old, new])
    assert read_broker(broker, with_orders("o-old")).by_id == {}
    assert broker.asked("order") == []


def test_a_circle_of_successors_ends():
    one = replace(bracket_of(ENTRY), order_id="o-1", replaced_by="o-2")
    broker = FakeBroker()
    broker.order = lambda order_id: replace(one, order_id=order_id, replaced_by=f"{order_id}1")  # type: ignore[method-assign]
    assert len(read_broker(broker, with_orders("o-1")).by_id) == LOOKUPS_MAX


def test_orders_that_a_reading_has_no_room_for_come_first_in_the_next(bench):
    coids, ids = [f"ga1-{n}" for n in range(LOOKUPS_MAX)], [f"o-{n}" for n in range(LOOKUPS_MAX + 50)]
    read = Read(AT, AT, tuple(coids), reconcile=False, orders=tuple(ids))
    asked: list[str] = []
    for _ in range(3):
        report = bench(read).report
        assert len(report.lookups) + len(report.by_id) == LOOKUPS_MAX
        assert len(report.waiting) == LOOKUPS_MAX + 50
        assert not {*report.lookups, *report.by_id} & {*report.waiting}
        asked += [*report.lookups, *report.by_id]
    assert {*asked} == {*coids, *ids}
    assert bench(Read(AT, AT, tuple(coids), reconcile=False)).report.waiting == ()


def test_activities_are_read_only_when_they_are_wanted():
    broker = FakeBroker()
    read_broker(broker, with_orders())
    assert broker.asked("actions") == []
    read_broker(broker, replace_actions(with_orders()))
    assert broker.asked("actions") == [(AT,)]


def replace_actions(read: Read) -> Read:
    return Read(read.orders_since, read.fills_since, (), reconcile=True, actions_since=AT)


def test_a_leg_that_has_an_id_of_ours_is_not_looked_up():
    moved = bracket_of(ENTRY)
    moved = replace(moved, legs=(moved.legs[0], replace(moved.legs[1], client_order_id="ga1-b")))
    broker = FakeBroker()
    broker.report = reading(orders=[moved])
    assert read_broker(broker, READ).lookups == {}
