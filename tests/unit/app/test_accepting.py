"""The books of a session from what its broker holds: positions, and how many orders were decided for each."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

import pytest
from msgspec.structs import replace

from gambler_ai.app.accepting import accepted
from gambler_ai.app.desk import Desk
from gambler_ai.app.notices import BooksAccepted
from gambler_ai.app.venue import ALPACA, Venue
from gambler_ai.cli import words
from gambler_ai.cli.watchers import Watchers
from gambler_ai.clock import ManualClock
from gambler_ai.config import load
from gambler_ai.core import events as ev
from gambler_ai.core.evolution import evolve
from gambler_ai.core.model import Account
from gambler_ai.core.orders import OrderIntent, Purpose, client_order_id, market_body, position_decision_id
from gambler_ai.core.risk_memory import RiskMemory
from gambler_ai.core.risk_record import Result, RiskRecord, pause_end
from gambler_ai.core.risk_rules import RiskRules
from gambler_ai.core.state import SessionState
from gambler_ai.errors import CheckpointCorrupt
from gambler_ai.storage import components, journal, lease, sessions
from gambler_ai.storage import tables as t
from gambler_ai.storage.database import Database
from gambler_ai.trading.feed import PacedFeed
from tests.unit.fakes import (
    ACCOUNT,
    AT,
    FIVE,
    MARKET,
    MONEY,
    SESSION,
    D,
    FakeBroker,
    after,
    bracket_of,
    entry,
    fill_of,
    held,
    kinds,
    leg,
    make_plan,
    make_state,
    protect,
    reading,
    report_of,
    reported,
)
from tests.unit.fakes import (
    Desk as Bench,
)

ENTRY = entry()
COID = ENTRY.client_order_id
BOUGHT = bracket_of(ENTRY, limit="canceled", stop="canceled")
CLOCK = ManualClock(after(minutes=10))


def rearmed(ordinal: int) -> OrderIntent:
    return protect(COID, ordinal=ordinal, decided_at=after(minutes=1 + ordinal))


def left_at(position_id: str) -> OrderIntent:
    """An exit of a position that is over, which never arrived."""
    decision = position_decision_id(Purpose.EXIT, position_id, 0)
    coid = client_order_id(ACCOUNT, SESSION, decision)
    return replace(
        protect(position_id), client_order_id=coid, decision_id=decision, purpose=Purpose.EXIT,
        body=market_body(coid, "AAPL", ENTRY.side.opposite, D(10)), decided_at=after(minutes=-30),
    )  # fmt: skip


def accept(database: Database, broker: FakeBroker, *intents: OrderIntent) -> SessionState:
    """The session's state, taken from ``broker``, when nothing but ``intents`` can be read of it."""
    store(database, *(ev.IntentPlanned(AT, intent) for intent in intents))
    return taken(database, broker)


def store(database: Database, *facts: ev.Fact, **plan: Any) -> SessionState:
    """A session and what is in its journal."""
    state = make_state(plan=make_plan(**plan))
    with database.write() as db:
        sessions.insert(db, state, broker=ALPACA, trading_url="there", genesis=journal.GENESIS, wall=AT)
        head = journal.append(db, state, facts, evolve(state, facts), journal.GENESIS, token=0)
        sessions.update(db, state, head=head, checkpoints=0, wall=AT)
    return state


def taken(database: Database, broker: FakeBroker) -> SessionState:
    """The state that a person has taken from ``broker``."""
    with database.read() as db:
        info = sessions.find(db, SESSION)
    far = cast(Any, broker)
    venue = Venue(ALPACA, "there", far, far, PacedFeed(CLOCK, lambda to: to, 0.0), "")
    desk = Desk(load({}), {}, Watchers([]), database, CLOCK)
    mine = lease.acquire(database, ACCOUNT, SESSION, "pid 1", CLOCK)
    found = accepted(desk, mine, info, venue, CheckpointCorrupt("row 1 does not verify"))
    mine.close()
    return found.state


def test_the_next_order_for_a_position_has_an_id_that_none_before_it_had(database):
    """The broker takes no id twice: under an old one the position would stay bare."""
    broker = FakeBroker()
    gone = [report_of(rearmed(n), "canceled", submitted_at=rearmed(n).decided_at) for n in (0, 1)]
    gone = [replace(order, legs=(leg(order, "stop", "canceled"),)) for order in gone]
    broker.report = reading(orders=[BOUGHT, *gone], fills=[fill_of(BOUGHT, "10")], positions=[held("AAPL", "10")])
    state = accept(database, broker, ENTRY, rearmed(0), rearmed(1))
    assert state.positions["AAPL"].qty == D(10)
    desk = Bench(state=state)
    step = desk.step(reported(after(minutes=20), orders=broker.report.orders, positions=broker.report.positions))
    [planned] = [fact.intent for fact in step.facts if isinstance(fact, ev.IntentPlanned)]
    assert planned.decision_id == position_decision_id(Purpose.PROTECT, COID, 2)


def test_what_is_held_and_no_order_opened_is_foreign_and_said_to_be_bare(database):
    broker = FakeBroker()
    bought = bracket_of(ENTRY, limit="new")
    positions = [held("AAPL", "10"), held("IBM", "-5")]
    broker.report = reading(orders=[bought], fills=[fill_of(bought, "10")], positions=positions)
    state = accept(database, broker, ENTRY)
    assert (state.foreign, state.account) == ({"IBM": D(-5)}, MONEY)
    text = words.notice(BooksAccepted(SESSION, "row 1 does not verify", "kept", 3, 1, state.foreign))
    assert "-5 IBM are held and none of these orders opened them: NAKED" in text
    assert text.endswith("gambler-ai reconcile --adopt IBM")


def test_an_exit_that_never_arrived_does_not_close_another_position(database):
    broker = FakeBroker()
    bought = bracket_of(ENTRY, limit="new")
    broker.report = reading(orders=[bought], fills=[fill_of(bought, "10")], positions=[held("AAPL", "10")])
    late = left_at("another")
    state = accept(database, broker, late, ENTRY)
    assert state.positions["AAPL"].position_id == COID
    desk = Bench(state=state)
    lookups = {late.client_order_id: None}
    parts: dict[str, Any] = {
        "orders": [bought],
        "positions": broker.report.positions,
        "lookups": lookups,
        "market": MARKET,
    }
    for minutes in (20, 21, 22):
        assert "ResendPlanned" not in kinds(desk.step(reported(after(minutes=minutes), **parts)))


# -- what was remembered of risk ------------------------------------------------------------------

PAUSES = RiskRules(max_loss_streak=2, loss_pause_min=D(90), max_drawdown_pct=D(5))
LOST = after(minutes=-20)
HALTED = ev.TradingHalted(AT, ev.DRAWDOWN, "6 % below the peak")
#: Two losses in a row, a peak of 200,000 and a halt: as the journal says it.
REMEMBERED = RiskRecord(
    equity=D(188_000), peak=D(200_000), peak_at=AT, worst_pct=D(6), losses=2, lost=D(40), streak=-2, longest_losses=2,
    recent=(Result("IBM", D(-30), LOST - FIVE), Result("IBM", D(-10), LOST)), lost_at=LOST,
)  # fmt: skip
BROKEN = {
    "a row of no matter": "UPDATE journal SET payload = '{}' WHERE kind = 'RunStarted'",
    "the halt": "UPDATE journal SET payload = '{}' WHERE kind = 'TradingHalted'",
}


def spoiled(database: Database, what: str, *more: ev.Fact) -> None:
    """A session that remembers, whose journal does not verify; the component is all that is left of its memory."""
    planned = ev.IntentPlanned(AT, ENTRY)
    begun = ev.RunStarted(AT, 60.0, resumed=False, token=0)
    state = store(database, begun, ev.RiskCarried(AT, "s-0", REMEMBERED), HALTED, planned, *more, risk=PAUSES)
    memory = RiskMemory(state)
    memory.apply(planned)
    with database.write() as db:
        components.save(
            db, SESSION, ACCOUNT, memory.name, payload=memory.dump(), schema=memory.schema, format=memory.format,
            libraries=memory.libraries, seq=state.seq, at=AT, wall=AT, token=0,
        )  # fmt: skip
        db.exec_driver_sql(BROKEN[what])


@pytest.mark.parametrize("what", BROKEN)
def test_peak_streak_pause_and_halt_are_taken_over_from_what_is_set_aside(database, what):
    spoiled(database, what)
    broker = FakeBroker()
    broker.report = reading(orders=[bracket_of(ENTRY, limit="new")], account=Account(equity=D(199_000)))
    state = taken(database, broker)
    record = state.risk
    assert (record.peak, record.worst_pct, record.streak, record.losses) == (D(200_000), D(6), -2, 2)
    assert (record.carried_from, record.paused_until) == (f"{SESSION}-broken-1", LOST + timedelta(minutes=90))
    assert "below the peak" in state.halts[ev.DRAWDOWN]
    with database.read() as db:
        kinds = db.execute(t.journal.select().where(t.journal.c.session_id == SESSION)).mappings().all()
    assert [row["kind"] for row in kinds][-2:] == ["RiskCarried", "TradingHalted"]


def test_a_halt_that_had_ended_is_none(database):
    ended = ev.TradingResumed(AT, ev.DRAWDOWN, "the limit was changed")
    spoiled(database, "a row of no matter", ended, ev.TradingHalted(AT, ev.DAILY_LOSS, "much"))
    broker = FakeBroker()
    broker.report = reading(orders=[bracket_of(ENTRY, limit="new")])
    state = taken(database, broker)
    assert state.halts == {}
    assert state.risk.peak == D(200_000)


def test_a_loss_that_only_the_broker_knows_of_is_counted_and_none_is_counted_twice(database):
    spoiled(database, "the halt")
    late, broker = after(minutes=5), FakeBroker()
    stopped = bracket_of(ENTRY, stop="filled", limit="canceled")
    stop = next(one for one in stopped.legs if one.type == "stop")
    fills = [fill_of(stopped, "10"), fill_of(stop, "10", price="90", at=late)]
    broker.report = reading(orders=[stopped], fills=fills)
    record = taken(database, broker).risk
    assert (record.streak, record.losses, record.lost) == (-3, 3, D(140))
    assert pause_end(record, PAUSES) == late + timedelta(minutes=90)


def test_an_account_that_remembers_nothing_is_handed_nothing(database):
    store(database, ev.IntentPlanned(AT, ENTRY))
    broker = FakeBroker()
    broker.report = reading(orders=[bracket_of(ENTRY, limit="new")])
    state = taken(database, broker)
    assert (state.risk.carried_from, state.halts) == ("", {})
