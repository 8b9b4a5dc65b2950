"""A whole session: on the embedded exchange without a socket, and on a fake broker for what an exchange never does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace as replace_report
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gambler_ai.broker.alpaca import AlpacaBroker
from gambler_ai.broker.market_data import AlpacaMarketData
from gambler_ai.clock import ManualClock
from gambler_ai.core import events as ev
from gambler_ai.core import snapshot
from gambler_ai.core.components import Component
from gambler_ai.core.engine import Engine
from gambler_ai.core.evolution import evolve
from gambler_ai.core.model import Instrument, Side
from gambler_ai.core.orders import Status, bracket_body
from gambler_ai.core.ports import Streams
from gambler_ai.core.risk import RiskLimits
from gambler_ai.core.state import FILL_OVERLAP, ORDER_OVERLAP, SessionState
from gambler_ai.errors import BrokerAuthError, BrokerUnreachable, OutcomeUnknown, RecoveryHalted
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.faults import FaultPlan
from gambler_ai.exchange.rest.server import create_app
from gambler_ai.exchange.rest.transport import ExchangeSession
from gambler_ai.storage import checkpoints, journal, lease, sessions, views
from gambler_ai.storage.database import Database
from gambler_ai.strategies.momentum import Momentum
from gambler_ai.trading.door import Door
from gambler_ai.trading.executor import Executor
from gambler_ai.trading.feed import PacedFeed
from gambler_ai.trading.ledger import Ledger
from gambler_ai.trading.recall import recall
from gambler_ai.trading.recovery import restore
from gambler_ai.trading.requesting import expected
from gambler_ai.trading.runner import LOOK_AGAIN_S, ORDERS_LIVE, STOP_PATIENCE_S, Runner
from gambler_ai.trading.wakeups import NoStreams, Wakeups
from tests.unit.fakes import (
    AT,
    LIMITS,
    SESSION,
    SHUT,
    D,
    FakeBroker,
    Told,
    after,
    bracket_of,
    entry,
    fill_of,
    frame_of,
    held,
    make_plan,
    make_state,
    protect,
    reading,
    report_of,
    trades_of,
    wish,
)
from tests.unit.trading.conftest import Notes, insert

ENTRY = entry(qty="100")
COID = ENTRY.client_order_id


# -- on the exchange ------------------------------------------------------------------------------


class Session:
    """One session on an exchange in memory, from 9:30 of the default day."""

    def __init__(
        self, folder: Path, minutes: float, faults: FaultPlan | None = None, at: datetime | None = None, **plan: Any
    ) -> None:
        self.halt_file = folder / "HALT"
        self.database = Database(f"sqlite:///{folder / 'gambler.sqlite3'}")
        self.database.prepare()
        self.exchange = Exchange.open(None)
        if at is not None:
            self.exchange.advance(at)
        self.wire = ExchangeSession(create_app(self.exchange, token="t", faults=faults or FaultPlan()))
        self.broker = AlpacaBroker(self.exchange.key_id, self.exchange.secret_key, self.wire.url, self.wire)
        self.data = AlpacaMarketData(self.exchange.key_id, self.exchange.secret_key, self.wire.url, "iex", self.wire)
        self.feed = PacedFeed(ManualClock(self.exchange.now()), self.exchange.advance, 0.0)
        self.notes = Notes()
        self.components: list[Component] = []
        self.strategy = Momentum()
        self.plan = make_plan(duration_s=minutes * 60.0, **plan)
        now = self.exchange.now()
        self.state = SessionState(
            session_id=SESSION, account_id=self.broker.account_id(), plan=self.plan, started_at=now, last_at=now
        )
        insert(self.database, self.state)

    def runner(self) -> Runner:
        state, plan, wall = self.state, self.plan, ManualClock(AT)
        with self.database.read() as db:
            info = sessions.find(db, SESSION)
        held_ = lease.acquire(self.database, state.account_id, SESSION, "pid 1", wall)
        memory = recall(self.database, state, self.components)
        ledger = Ledger(
            self.database, held_, state, head=info.journal_hash, created=info.checkpoints, wall=wall, memory=memory
        )  # fmt: skip
        strategy = self.strategy
        known = {s: i for s, i in self.broker.instruments(plan.symbols).items() if i is not None}
        limits = RiskLimits(bar_interval=timedelta(seconds=plan.timeframe_s))
        engine = Engine(state, strategy, limits, known, self.known_ids, memory.view)
        executor = Executor(self.broker, self.data, self.feed)
        door = Door(ledger, self.halt_file, self.feed.clock)
        wakeups = Wakeups(NoStreams(), timedelta(seconds=plan.timeframe_s))
        return Runner(engine, ledger, self.feed, executor, self.notes, door, wakeups)

    def known_ids(self, ids: set[str]) -> set[str]:
        with self.database.read() as db:
            return journal.known_ids(db, ids)

    def begun(self, *, resumed: bool = False) -> Runner:
        runner = self.runner()
        left_s = self.state.remaining_s
        runner.begin(ev.RunStarted(self.feed.clock.now(), left_s, resumed=resumed, token=runner.token))
        return runner

    def close(self) -> None:
        self.wire.close()
        self.exchange.close()
        self.database.close()


@pytest.fixture
def on_exchange(tmp_path) -> Iterator[Callable[..., Session]]:
    made: list[Session] = []

    def make(minutes: float, **more) -> Session:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Session(folder, minutes, **more))
        return made[-1]

    yield make
    for session in made:
        session.close()


def whole_run(session: Session) -> str:
    runner = session.begun()
    reason = runner.trade()
    runner.end("finished" if reason == "duration" else "stopped", reason)
    with session.database.read() as db:
        return sessions.find(db, SESSION).journal_hash


def test_a_session_enters_exits_and_checkpoints_and_runs_the_same_again(on_exchange):
    session = on_exchange(60)
    first = whole_run(session)
    with session.database.read() as db:
        trades = views.closed_trades(db, SESSION)
        infos = checkpoints.listed(db, SESSION, 1000)
        info = sessions.find(db, SESSION)
    assert [(t.symbol, t.side, t.reason) for t in trades] == [("AAPL", "long", "stop"), ("MSFT", "short", "target")]
    assert sum(t.pnl for t in trades if t.pnl is not None) == info.realized_pnl
    assert session.broker.account().cash == D(100_000) + info.realized_pnl
    assert (info.status, info.end_reason, info.closed_trades) == ("completed", "duration", 2)
    # One each half minute, and the last one at the end; the hundred newest are kept.
    assert info.checkpoints in (120, 121)
    assert len(infos) == 100
    posts = [row for row in session.exchange.log() if row["status"] == 200]
    assert [row["symbol"] for row in posts] == ["AAPL", "MSFT"]
    assert session.notes.words.count("started") == 1
    assert session.notes.words[-1].startswith("ended completed: ")
    assert whole_run(on_exchange(60)) == first


def test_a_run_cut_in_two_trades_as_if_it_had_not_been(on_exchange):
    """Abandoned with an open position, restored from rows, and gone on with: same trades, no second order."""
    session = on_exchange(60)
    runner = session.begun()
    session.notes.on("FillReported", lambda: session.feed.put(ev.StopRequested(session.feed.clock.now(), "SIGTERM")))
    assert runner.trade() == "signal"
    runner.abandon()
    assert "AAPL" in session.state.positions
    with session.database.read() as db:
        found = restore(session.database, sessions.find(db, SESSION))
    assert snapshot.dump(found.state) == snapshot.dump(session.state)
    session.state = found.state
    resumed = session.begun(resumed=True)
    resumed.end("finished", resumed.trade())
    assert [row["symbol"] for row in session.exchange.log() if row["status"] == 200] == ["AAPL", "MSFT"]
    with session.database.read() as db:
        trades = views.closed_trades(db, SESSION)
    assert [(t.symbol, t.side, t.reason) for t in trades] == [("AAPL", "long", "stop"), ("MSFT", "short", "target")]


@pytest.mark.parametrize("kind", ["lost_reply", "504_after", "500", "429", "garbage", "reset"])
def test_an_order_whose_answer_is_lost_is_placed_once(on_exchange, kind):
    faults = FaultPlan([{"kind": kind, "method": "POST", "path": "/v2/orders"}])
    session = on_exchange(10, faults=faults)
    whole_run(session)
    placed = session.broker.orders(session.state.started_at)
    assert [o.symbol for o in placed] == ["AAPL"]
    assert session.state.positions["AAPL"].qty == placed[0].filled_qty
    assert session.state.intents[placed[0].client_order_id].status is Status.FILLED


# -- on a fake broker -----------------------------------------------------------------------------


class Followed(PacedFeed):
    """A feed that writes down which instants the broker told it."""

    def follow(self, instant: datetime) -> None:
        self.followed = [*getattr(self, "followed", ()), instant]


class Bench:
    """A runner on a fake broker, which fills an entry at once."""

    wall_s = 0.0

    def __init__(
        self, database: Database, state: SessionState, *wishes, streams: Streams | None = None,
        halt_file: Path = Path("nowhere/HALT"),
    ) -> None:  # fmt: skip
        self.broker = FakeBroker()
        self.broker.frame = frame_of({"AAPL": [100.0], "MSFT": []}, AT - timedelta(minutes=5))
        self.broker.prices = trades_of(AAPL="100")
        self.broker.answer = lambda body: bracket_of(ENTRY, "new")
        self.feed = Followed(ManualClock(AT), lambda to: to, 0.0)
        self.notes = Notes()
        held_ = lease.acquire(database, state.account_id, SESSION, "pid 1", ManualClock(AT))
        self.ledger = Ledger(database, held_, state, head=journal.GENESIS, created=0, wall=ManualClock(AT))
        known = {s: Instrument(s) for s in state.plan.symbols}
        self.engine = Engine(state, Told(*wishes), LIMITS, known, lambda ids: set())
        self.executor = Executor(self.broker, self.broker, self.feed)
        door = Door(self.ledger, halt_file, self.feed.clock)
        wakeups = Wakeups(streams or NoStreams(), timedelta(minutes=5))
        self.runner = Runner(self.engine, self.ledger, self.feed, self.executor, self.notes, door, wakeups)

    def begin(self) -> None:
        self.runner.begin(ev.RunStarted(AT, 120.0, resumed=False, token=self.runner.token))


@pytest.fixture
def bench(database, state):
    made: list[Bench] = []

    def make(*wishes, **more) -> Bench:
        made.append(Bench(database, state, *wishes, **more))
        return made[-1]

    yield make
    for one in made:
        one.runner.abandon()


def test_a_start_reads_until_two_readings_agree_and_no_more(bench):
    one = bench()
    one.begin()
    assert len(one.broker.asked("account")) == 2


def test_nothing_is_sent_before_it_is_committed(bench, database):
    one = bench(wish())
    stored: list[str] = []

    def answer(body):
        with database.read() as db:
            stored.extend(journal.known_ids(db, {body["client_order_id"]}))
        return bracket_of(ENTRY, "new")

    one.broker.answer = answer
    one.begin()
    one.runner.trade()
    assert stored == [COID]
    assert one.broker.asked("submit") == [(one.runner.state.intents[COID].intent.body,)]


def test_after_a_restart_what_was_planned_is_looked_up_and_sent_again_with_the_same_bytes(bench):
    one = bench()
    one.ledger.commit(one.engine.record(ev.IntentPlanned(AT, ENTRY)))
    one.begin()
    assert one.broker.asked("order_by_client_id")[0] == (COID,)
    assert one.broker.asked("submit") == [(ENTRY.body,)]
    assert one.runner.state.intents[COID].status is Status.WORKING
    names = [name for name, _ in one.broker.calls]
    assert names.index("order_by_client_id") < names.index("submit")


def test_after_a_restart_what_had_landed_is_found_and_not_sent_again(bench):
    one = bench()
    one.ledger.commit(one.engine.record(ev.IntentPlanned(AT, ENTRY)))
    one.broker.by_id = {COID: bracket_of(ENTRY, "new")}
    one.begin()
    assert one.broker.asked("submit") == []
    assert one.runner.state.intents[COID].status is Status.WORKING


def test_a_cancel_that_was_committed_and_never_sent_is_sent_after_the_restart(bench):
    """Killed between the commit and the request: the entry's rest would stay, and its stop asleep, for ever."""
    one = bench()
    parent = bracket_of(ENTRY, "partially_filled", "40")
    planned = [
        ev.IntentPlanned(AT, ENTRY), ev.OrderUpdated(AT, parent), ev.FillReported(AT, fill_of(parent, "40")),
        ev.CancelPlanned(AT, parent.order_id, "entry still partly filled at its deadline"),
    ]  # fmt: skip
    one.ledger.commit(one.engine.record(*planned))
    one.feed.skip_to(after(minutes=5))
    one.broker.report = reading(orders=[parent], fills=[fill_of(parent, "40")], positions=[held("AAPL", "40")])
    one.begin()
    assert one.broker.asked("cancel") == [(parent.order_id,)]


def test_a_broker_that_cannot_be_read_ends_the_start(bench):
    one = bench()
    one.broker.raises["positions"] = BrokerUnreachable("503")
    with pytest.raises(BrokerUnreachable, match="503") as caught:
        one.begin()
    assert caught.value.hint


def test_keys_that_are_refused_end_the_session(bench):
    one = bench()
    one.begin()
    one.broker.raises["trades"] = BrokerAuthError("401")
    with pytest.raises(BrokerAuthError):
        one.runner.trade()


def test_a_part_of_an_entry_that_is_canceled_at_the_end_has_its_stop_before_we_go(bench):
    """The broker takes its time with the cancel: nobody would be there to protect what was bought."""
    one = bench()
    body = bracket_body(COID, "AAPL", Side.BUY, D(100), D(104), D(98), D(100))
    resting = replace(ENTRY, body=body, valid_until=after(minutes=30))
    one.ledger.commit(one.engine.record(ev.IntentPlanned(AT, resting)))
    parent = replace(bracket_of(resting, "new"), type="limit", limit_price=D(100))
    some = replace(parent, status="partially_filled", filled_qty=D(40), filled_avg_price=D(100))
    gone = tuple(replace(leg, status="canceled") for leg in some.legs)
    story = [replace(some, status="pending_cancel")] * 2 + [replace(some, status="canceled", legs=gone)]

    def go_on() -> None:
        if one.broker.asked("cancel"):
            orders = [story.pop(0) if len(story) > 1 else story[0]]
            one.broker.report = replace_report(one.broker.report, orders=tuple(orders))

    def report_partly() -> None:
        one.broker.report = reading(orders=[some], fills=[fill_of(some, "40")], positions=[held("AAPL", "40")])

    one.broker.report = reading(orders=[parent])
    one.runner.begin(ev.RunStarted(AT, 30.0, resumed=False, token=one.runner.token))
    one.broker.on["market"] = go_on
    report_partly()
    one.broker.answer = lambda sent: report_of(protect(COID, "40", client_order_id=sent["client_order_id"]))
    one.runner.end("finished", one.runner.trade())
    assert one.broker.asked("cancel") == [(parent.order_id,)]
    [sent] = one.broker.asked("submit")
    assert '"order_class":"oco"' in sent[0]
    assert '"qty":"40"' in sent[0]


def test_an_order_of_another_database_halts(bench):
    one = bench()
    stranger = replace(bracket_of(entry("IBM"), "new"), client_order_id="ga1-elsewhere")
    one.broker.report = reading(orders=[stranger])
    with pytest.raises(RecoveryHalted, match="IBM: order of another database"):
        one.begin()


def test_a_read_that_fails_while_running_is_endured(bench):
    one = bench()
    one.begin()
    one.broker.raises["orders"] = BrokerUnreachable("503")
    assert one.runner.trade() == "duration"
    assert set(one.runner.state.degraded) == {"broker"}
    assert one.notes.words.count("Degraded") == 1


def test_time_that_passes_is_told_although_nothing_happens(bench):
    one = bench()
    one.begin()
    assert one.runner.trade() == "duration"
    ticks = one.notes.ticks
    assert ticks == sorted(ticks)
    assert ticks[-1] == one.feed.clock.now() > ticks[0]
    assert len(set(ticks)) > 2


def test_a_signal_stops_it(bench):
    one = bench()
    one.begin()
    one.feed.put(ev.StopRequested(AT, "SIGTERM: stopping"))
    assert one.runner.trade() == "signal"
    one.runner.end("stopped", "signal")
    assert (one.runner.state.status, one.runner.state.end_reason) == ("stopped", "signal")
    assert one.notes.words[-1] == "ended stopped: 1 created, 0 pruned"


def test_a_market_that_closes_stops_it(bench):
    one = bench()
    one.begin()
    one.broker.report = reading(market=SHUT)
    assert one.runner.trade() == "market closed"


def test_an_order_left_unknown_is_found_by_the_next_reading_and_not_sent_again(bench):
    one = bench(wish())
    one.begin()
    one.broker.raises["submit"] = OutcomeUnknown("read timeout")
    one.broker.by_id = {COID: bracket_of(ENTRY, "new")}
    assert one.runner.trade() == "duration"
    assert len(one.broker.asked("submit")) == 1
    assert one.runner.state.intents[COID].status is Status.WORKING


def test_an_order_left_unknown_at_a_signal_is_looked_up_before_the_end(bench):
    one = bench(wish())
    one.begin()
    one.broker.raises["submit"] = OutcomeUnknown("read timeout")
    one.broker.by_id = {COID: bracket_of(ENTRY, "new")}

    def then_a_signal(*given):
        one.feed.put(ev.StopRequested(AT, "SIGTERM"))

    one.notes.on("IntentUnknown", then_a_signal)
    assert one.runner.trade() == "signal"
    assert one.runner.state.intents[COID].status is Status.UNKNOWN
    one.runner.end("stopped", "signal")
    assert one.runner.state.intents[COID].status is Status.WORKING


def test_a_session_with_a_position_left_is_finished_but_not_completed(bench, state):
    parent = bracket_of(ENTRY, limit="new")
    one = bench(wish())
    one.broker.answer = lambda body: parent
    one.begin()
    one.broker.report = reading(orders=[parent], positions=[held("AAPL", "100")])
    one.runner.trade()
    one.runner.end("finished", "duration")
    assert one.runner.state.status == "finished"


def test_what_has_to_be_in_a_reading_is_what_is_unknown_or_not_done():
    state = make_state()
    assert expected(state) == []
    evolve(state, [ev.IntentPlanned(AT, ENTRY)])
    assert expected(state) == []  # its request is still to be answered
    evolve(state, [ev.IntentUnknown(AT, COID, "?")])
    assert expected(state) == [COID]
    evolve(state, [ev.OrderUpdated(AT, bracket_of(ENTRY, "new"))])
    assert expected(state) == [COID]


def test_it_acts_before_it_tells(bench):
    """A reporter that is slow, or whose pipe is gone, keeps no order from the broker."""
    one = bench(wish())
    one.begin()
    asked: list[bool] = []
    one.notes.on("IntentPlanned", lambda: asked.append(one.executor.busy))
    one.runner.trade()
    assert asked == [True]


def test_the_clock_follows_the_brokers_with_each_reading(bench):
    one = bench()
    one.begin()
    assert one.feed.followed == [AT, AT]


def test_the_first_reading_goes_back_as_long_as_an_order_can_rest(bench):
    one = bench()
    one.begin()
    assert {given for [given] in one.broker.asked("orders")} == {AT - ORDERS_LIVE}
    one.runner.trade()
    assert min(given for [given] in one.broker.asked("orders")[2:]) >= AT - ORDER_OVERLAP


def test_fills_are_read_from_the_oldest_that_may_be_missing_once_and_then_from_the_last_reading(bench):
    one = bench()
    one.runner.state.last_fill_at = AT - timedelta(days=3)
    one.begin()
    first, *later = [given for [given] in one.broker.asked("fills")]
    assert first == AT - timedelta(days=3) - FILL_OVERLAP
    assert later
    assert set(later) == {AT - FILL_OVERLAP}


def test_an_order_that_stays_unknown_at_a_signal_is_looked_up_at_the_brokers_pace(bench):
    one = bench(wish())
    one.begin()
    one.broker.raises["submit"] = OutcomeUnknown("read timeout")
    one.notes.on("IntentUnknown", lambda: one.feed.put(ev.StopRequested(AT, "SIGTERM")))
    assert one.runner.trade() == "signal"
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        one.wall_s += seconds

    one.feed.clock.sleep, one.feed.clock.monotonic = sleep, lambda: one.wall_s
    before = len(one.broker.asked("order_by_client_id"))
    one.runner.end("stopped", "signal")
    looks = len(one.broker.asked("order_by_client_id")) - before
    assert sum(pauses) == STOP_PATIENCE_S
    assert set(pauses) == {LOOK_AGAIN_S}
    assert len(pauses) <= looks <= len(pauses) + 1
