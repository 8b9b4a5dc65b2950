"""The books of a session from what its broker holds: positions, and how many orders were decided for each."""

from __future__ import annotations

from typing import Any, cast

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
from gambler_ai.core.orders import OrderIntent, Purpose, client_order_id, market_body, position_decision_id
from gambler_ai.core.state import SessionState
from gambler_ai.errors import CheckpointCorrupt
from gambler_ai.storage import journal, lease, sessions
from gambler_ai.storage.database import Database
from gambler_ai.trading.feed import PacedFeed
from tests.unit.fakes import (
    ACCOUNT,
    AT,
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
    state = make_state()
    with database.write() as db:
        sessions.insert(db, state, broker=ALPACA, trading_url="there", genesis=journal.GENESIS, wall=AT)
        facts = [ev.IntentPlanned(AT, intent) for intent in intents]
        journal.append(db, state, facts, evolve(state, facts), journal.GENESIS, token=0)
    with database.read() as db:
        info = sessions.find(db, SESSION)
    far = cast(Any, broker)
    venue = Venue(ALPACA, "there", far, far, PacedFeed(CLOCK, lambda to: to, 0.0), "")
    desk = Desk(load({}), {}, Watchers([]), database, CLOCK)
    taken = lease.acquire(database, ACCOUNT, SESSION, "pid 1", CLOCK)
    found = accepted(desk, taken, info, venue, CheckpointCorrupt("row 1 does not verify"))
    taken.close()
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
