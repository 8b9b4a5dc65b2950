"""A session that is halted, left, ended and kept waiting; and streams, which only change how soon it looks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from gambler_ai.clock import ManualClock
from gambler_ai.core import events as ev
from gambler_ai.core.orders import Status
from gambler_ai.errors import BrokerUnreachable, OutcomeUnknown
from gambler_ai.exchange.faults import FaultPlan
from gambler_ai.storage import requests, sessions
from gambler_ai.storage.database import Database
from gambler_ai.trading.executor import Read
from gambler_ai.trading.feed import PacedFeed
from gambler_ai.trading.runner import WIND_DOWN
from tests.unit.fakes import AT, CLOSE, SESSION, SHUT, D, bracket_of, fill_of, held, make_plan, reading, wish
from tests.unit.trading.test_runner import COID, ENTRY, Bench, Session, bench, on_exchange

__all__ = ["bench", "on_exchange"]  # fixtures

NEARLY_FOUR = datetime(2008, 10, 7, 19, 55, tzinfo=UTC)
HALF_PAST_NINE = datetime(2008, 10, 8, 13, 30, tzinfo=UTC)


def ask(database: Database, kind: str, argument: str = "") -> None:
    with database.write() as db:
        requests.add(db, sessions.find(db, SESSION), kind, argument, "lunch", "ann", AT)


def sigterm(session: Session | Bench) -> Callable[[], None]:
    return lambda: session.feed.put(ev.StopRequested(session.feed.clock.now(), "SIGTERM"))


def ended(session: Session) -> str:
    """As the app ends a run."""
    runner = session.begun()
    reason = runner.trade()
    runner.wind_down(reason)
    runner.end("finished" if reason == "duration" else "stopped", runner.state.stopping or reason)
    return reason


# -- a closed market ------------------------------------------------------------------------------


def test_a_market_that_closes_is_waited_for_and_its_time_does_not_count(on_exchange):
    session = on_exchange(10, at=NEARLY_FOUR, when_closed="wait")
    assert ended(session) == "duration"
    words = session.notes.words
    told = [word for word in words if word in ("RunStarted", "RunPaused", "waiting", "DayOpened")]
    assert told == ["RunStarted", "DayOpened", "RunPaused", "waiting", "DayOpened", "RunStarted"]
    assert session.feed.clock.now() == HALF_PAST_NINE + timedelta(minutes=5)
    assert session.state.day == "2008-10-08"
    assert words[-1].startswith("ended completed")


def test_a_session_that_waits_when_it_begins_begins_at_the_open(on_exchange):
    session = on_exchange(10, at=NEARLY_FOUR + timedelta(hours=1), when_closed="wait")
    assert ended(session) == "duration"
    assert session.feed.clock.now() == HALF_PAST_NINE + timedelta(minutes=10)


def test_a_signal_while_the_market_is_waited_for_ends_it_with_what_was_left(on_exchange):
    """The night has moved the session's last instant; what is left to run has not moved."""
    session = on_exchange(10, at=NEARLY_FOUR, when_closed="wait")
    session.notes.on("waiting", sigterm(session))
    assert ended(session) == "signal"
    assert session.state.last_at >= HALF_PAST_NINE
    assert 290 <= session.state.remaining_s <= 300
    assert session.state.status == "stopped"


class Deaf:
    """An exchange's control that fails twice at the night, and lets whoever waits go on at once."""

    def __init__(self, session: Session, meanwhile: Callable[[], ev.Input]) -> None:
        self.session = session
        self.meanwhile = meanwhile
        self.asked: list[datetime] = []

    def advance(self, to: datetime) -> datetime:
        if to > NEARLY_FOUR + timedelta(minutes=10):
            self.asked.append(to)
            if len(self.asked) <= 2:
                self.session.feed.put(self.meanwhile())
                raise BrokerUnreachable("the exchange is silent")
        return self.session.exchange.advance(to)


def with_a_deaf_control(session: Session, meanwhile: Callable[[], ev.Input]) -> Deaf:
    deaf = Deaf(session, meanwhile)
    session.feed = PacedFeed(ManualClock(session.exchange.now()), deaf.advance, 0.0)
    return deaf


def test_an_exchange_that_fails_at_night_is_waited_for(on_exchange):
    session = on_exchange(10, at=NEARLY_FOUR, when_closed="wait")
    deaf = with_a_deaf_control(session, lambda: ev.TimerElapsed(session.feed.clock.now()))
    assert ended(session) == "duration"
    assert deaf.asked[:3] == [HALF_PAST_NINE] * 3, "the night is skipped, not walked through"
    assert session.feed.clock.now() == HALF_PAST_NINE + timedelta(minutes=5)


def test_a_signal_ends_the_wait_for_an_exchange_that_fails_at_night(on_exchange):
    session = on_exchange(10, at=NEARLY_FOUR, when_closed="wait")
    deaf = with_a_deaf_control(session, lambda: ev.StopRequested(session.feed.clock.now(), "SIGTERM"))
    assert ended(session) == "signal"
    assert deaf.asked == [HALF_PAST_NINE]
    assert session.feed.clock.now() < HALF_PAST_NINE


def test_people_are_heard_while_the_market_is_waited_for(bench, database, state):
    state.plan = make_plan(when_closed="wait")
    one = bench()
    one.begin()
    one.broker.report = reading(market=SHUT)
    one.notes.on("waiting", lambda: ask(database, "halt"))
    one.notes.on("TradingHalted", lambda: setattr(one.broker, "report", reading()))
    assert one.runner.trade() == "duration"
    assert one.runner.state.halts == {"person": "lunch (ann)"}
    assert one.feed.clock.now() >= CLOSE


# -- halts ----------------------------------------------------------------------------------------


def test_the_halt_file_comes_and_goes(bench, tmp_path):
    halt = tmp_path / "HALT"
    one = bench(halt_file=halt)
    one.runner.begin(ev.RunStarted(AT, 300.0, resumed=False, token=one.runner.token))
    halt.write_text("upgrade")
    one.notes.on("TradingHalted", halt.unlink)
    one.runner.trade()
    words = [word for word in one.notes.words if word.startswith("Trading")]
    assert words == ["TradingHalted", "TradingResumed"]


@pytest.mark.parametrize("how", ["file", "request"])
def test_a_halt_is_heard_before_the_first_reading_sends_again_what_it_forbids(bench, database, tmp_path, how):
    one = bench(halt_file=tmp_path / "HALT")
    one.ledger.commit(one.engine.record(ev.IntentPlanned(AT, ENTRY)))
    if how == "file":
        (tmp_path / "HALT").write_text("upgrade")
    else:
        ask(database, "halt")
    one.begin()
    assert one.broker.asked("submit") == []
    assert one.runner.state.intents[COID].status is Status.UNKNOWN


def test_what_needs_a_reading_is_taken_after_the_first_one(bench, database):
    """A position that a fill of meanwhile brought can be flattened though our books did not know of it."""
    one = bench()
    parent = bracket_of(ENTRY, limit="new")
    one.ledger.commit(one.engine.record(ev.IntentPlanned(AT, ENTRY), ev.IntentUnknown(AT, COID, "?")))
    one.broker.report = reading(orders=[parent], fills=[fill_of(parent, "100")], positions=[held("AAPL", "100")])
    ask(database, "flatten", "AAPL")
    one.begin()
    assert {given[0] for given in one.broker.asked("cancel")} == {leg.order_id for leg in parent.legs}
    with database.read() as db:
        assert requests.waiting(db, SESSION) == []


# -- the end --------------------------------------------------------------------------------------


def test_on_exit_flatten_leaves_nothing_at_the_broker(on_exchange):
    session = on_exchange(8, on_exit="flatten")
    assert ended(session) == "duration"
    assert session.broker.positions() == []
    assert session.state.positions == {}
    assert [o.status for o in session.state.orders.values() if o.is_live] == []
    assert session.notes.words[-1].startswith("ended completed")
    assert session.state.halts == {}


@pytest.mark.parametrize("on_exit", ["keep", "flatten"])
def test_a_stop_while_everything_is_being_closed_sees_it_through(on_exchange, on_exit):
    """Its stops are canceled and its exits not sent: a session that ended there would leave it bare."""
    session = on_exchange(60, on_exit=on_exit)
    session.notes.on("FillReported", lambda: ask(session.database, "flatten"))
    session.notes.on("CancelPlanned", sigterm(session))
    assert ended(session) == "signal"
    assert session.broker.positions() == []
    assert (session.state.exits, session.state.status) == ({}, "stopped")


def test_on_exit_keep_asks_the_broker_for_nothing(on_exchange):
    session = on_exchange(8)
    ended(session)
    assert [p.symbol for p in session.broker.positions()] == ["AAPL"]
    assert "CancelPlanned" not in session.notes.words


def test_an_exit_is_seen_through_a_broker_that_loses_replies(on_exchange):
    out = '"type":"market","time_in_force":"day"'
    faults = FaultPlan([{"kind": "lost_reply", "method": "POST", "path": "/v2/orders", "contains": out}])
    session = on_exchange(8, on_exit="flatten", faults=faults)
    ended(session)
    assert session.broker.positions() == []
    exits = [o for o in session.broker.orders(session.state.started_at) if o.order_class == "simple"]
    assert len(exits) == 1


def resting(one: Bench) -> None:
    """An entry that the broker took and does not fill."""
    one.begin()
    one.broker.report = reading(orders=[bracket_of(ENTRY, "new")])
    one.runner.trade()


def test_on_exit_cancel_cancels_entries_and_waits_until_they_are_gone(bench, state):
    state.plan = make_plan(on_exit="cancel")
    one = bench(wish())
    resting(one)

    def gone(_order_id: str) -> None:
        one.broker.report = reading(orders=[bracket_of(ENTRY, "canceled", limit="canceled", stop="canceled")])

    one.broker.on["cancel"] = gone
    before = one.feed.clock.now()
    one.runner.wind_down("duration")
    assert len(one.broker.asked("cancel")) == 1
    assert one.runner.state.intents[COID].status is Status.CANCELED
    assert one.feed.clock.now() - before < timedelta(seconds=15)


def test_on_exit_cancel_takes_back_an_entry_that_turns_up_meanwhile_and_sends_none_again(bench, state):
    state.plan = make_plan(on_exit="cancel")
    one = bench(wish())
    one.broker.raises["submit"] = OutcomeUnknown("timeout")
    one.begin()
    one.notes.on("IntentUnknown", sigterm(one))
    assert one.runner.trade() == "signal"

    def found() -> None:
        one.broker.by_id = {COID: bracket_of(ENTRY, "new")}

    one.notes.on("LookupMissed", found)
    one.runner.wind_down("signal")
    assert len(one.broker.asked("submit")) == 1
    assert {given[0] for given in one.broker.asked("cancel")} == {bracket_of(ENTRY).order_id}


def test_nothing_is_sent_again_once_a_session_ends_with_cancel(bench, state):
    state.plan = make_plan(on_exit="cancel")
    one = bench(wish())
    one.broker.raises["submit"] = OutcomeUnknown("timeout")
    one.begin()
    one.notes.on("IntentUnknown", lambda: one.broker.raises.update(account=OutcomeUnknown("?")))
    one.runner.trade()
    del one.broker.raises["account"]
    one.runner.wind_down("duration")
    assert len(one.broker.asked("submit")) == 1


def test_what_does_not_end_is_not_waited_for_for_ever(bench, state):
    state.plan = make_plan(on_exit="cancel")
    one = bench(wish())
    resting(one)
    before = one.feed.clock.now()
    one.runner.wind_down("duration")
    assert WIND_DOWN <= one.feed.clock.now() - before < WIND_DOWN + timedelta(seconds=15)


@pytest.mark.parametrize("on_exit", ["cancel", "flatten"])
def test_a_closed_market_is_not_asked_to_end_anything(bench, state, on_exit):
    """Closing everything stands until it opens, and says so; entries of the day are gone with it."""
    state.plan = make_plan(on_exit=on_exit)
    one = bench()
    one.begin()
    one.broker.report = reading(market=SHUT)
    assert one.runner.trade() == "market closed"
    one.runner.wind_down("market closed")
    assert [("market is closed" in why) for why in one.runner.state.exits.values()] == [True] * (on_exit == "flatten")
    assert one.broker.asked("cancel") == []
    assert one.runner.state.stopping == ""


# -- streams --------------------------------------------------------------------------------------


class Streams:
    """Streams that write down what they are told."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def start(self) -> None:
        self.words.append("start")

    def stop(self) -> None:
        self.words.append("stop")

    def suspect(self, stream: str) -> None:
        self.words.append(stream)

    def market(self, *, is_open: bool) -> None:
        """Not looked at here."""


def timed(one: Bench, act: Callable[[int], None] = lambda _: None) -> list[datetime]:
    """When each reading was begun; ``act`` is called in the middle of the n-th."""
    times: list[datetime] = []

    def called() -> None:
        times.append(one.feed.clock.now())
        act(len(times))

    one.broker.on["account"] = called
    return times


def tell(one: Bench, stream: str = ev.TRADE_UPDATES, count: int = 1) -> None:
    for _ in range(count):
        one.feed.put(ev.Woken(one.feed.clock.now(), stream, "fill AAPL"))


def test_a_word_of_the_stream_leads_to_a_reading_at_once(bench):
    streams = Streams()
    one = bench(streams=streams)
    one.begin()
    times = timed(one)
    tell(one)
    one.runner.trade()
    assert times[:2] == [AT, AT + timedelta(seconds=15)]
    one.runner.end("stopped", "?")
    assert streams.words == ["start", "stop"]


def test_words_while_a_reading_is_in_flight_lead_to_one_more_and_never_to_two_at_once(bench):
    one = bench(streams=Streams())
    one.begin()
    asked: list[int] = []
    ask_for = one.executor.ask

    def counted(request) -> None:
        if isinstance(request, Read):
            in_flight.append(1)
            asked.append(len(in_flight))
        ask_for(request)

    in_flight: list[int] = []
    one.executor.ask = counted
    take = one.engine.step

    def stepped(event):
        if isinstance(event, ev.BrokerReported):
            in_flight.clear()
        return take(event)

    one.engine.step = stepped
    times = timed(one, lambda n: tell(one, count=3) if n == 1 else None)
    one.runner.trade()
    assert times.count(AT + timedelta(seconds=15)) == 2
    assert max(asked) == 1
    assert len(times) == 8  # seven polls before 120 s are over, and the one


def test_a_stream_that_comes_up_is_followed_by_a_reading_and_told_and_prices_by_a_scan(bench):
    one = bench(streams=Streams())
    one.begin()
    times = timed(one)
    one.feed.put(ev.StreamChanged(AT, ev.TRADE_UPDATES, True, "listening"))
    one.feed.put(ev.StreamChanged(AT, ev.PRICES, False, "silent"))
    one.notes.on("Marked", lambda: one.feed.put(ev.Woken(AT + timedelta(minutes=5), ev.PRICES, "bar AAPL")))
    one.runner.trade()
    assert times[0] == AT
    assert [w for w in one.notes.words if w.endswith((" up", " down"))] == ["trade updates up", "prices down"]
    assert len(one.broker.asked("trades")) == 3  # at 0 and 60 s of the grid, and for the bar


def test_a_stream_that_twice_does_not_tell_what_is_read_is_suspected(bench):
    streams = Streams()
    one = bench(wish(), streams=streams)
    parent = bracket_of(ENTRY, limit="new")
    one.begin()
    story = {
        2: reading(orders=[replace(parent, status="partially_filled", filled_qty=D(40))]),
        4: reading(orders=[parent], fills=[fill_of(parent, "100")], positions=[held("AAPL", "100")]),
    }

    def act(number: int) -> None:
        one.broker.report = story.get(number, one.broker.report)

    timed(one, act)
    one.runner.trade()
    assert streams.words == ["start", ev.TRADE_UPDATES]
    assert one.runner.state.positions["AAPL"].qty == D(100)
