"""The limits in the transaction of the intent: the last that is allowed passes, one more undoes all of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core.evolution import evolve
from gambler_ai.core.orders import OrderIntent, Purpose, Status
from gambler_ai.core.state import SessionState
from gambler_ai.errors import LimitBreached
from gambler_ai.storage import journal, limits, sessions
from gambler_ai.storage import tables as t
from tests.unit.fakes import ACCOUNT, AT, DAY, MONEY, SESSION, D, bracket_of, entry, fill_of, make_plan, make_state
from tests.unit.storage.conftest import add

MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)


def planned(symbol: str, session: str = "", **changes) -> OrderIntent:
    intent = entry(symbol, market_day=DAY)
    coid = f"ga1-{symbol}-{session}"
    return replace(intent, client_order_id=coid, position_id=coid, decision_id=coid, **changes)


def session_of(database, session_id: str = SESSION, account: str = ACCOUNT, **plan) -> SessionState:
    state = make_state(plan=make_plan(**plan), day=DAY)
    state.session_id, state.account_id = session_id, account
    add(database, state)
    return state


def commit(database, state: SessionState, *facts: ev.Fact) -> None:
    """As a ledger does it."""
    changes = evolve(state, facts)
    new = [f.intent for f in facts if isinstance(f, ev.IntentPlanned) and f.intent.purpose is Purpose.ENTRY]
    with database.write() as db:
        journal.append(db, state, facts, changes, journal.GENESIS, 1)
        limits.check(db, state, new)


def plan_entry(database, state: SessionState, symbol: str, **changes) -> OrderIntent:
    intent = planned(symbol, state.session_id, **changes)
    commit(database, state, ev.IntentPlanned(AT, intent))
    return intent


def buy(database, state: SessionState, symbol: str) -> None:
    intent = plan_entry(database, state, symbol)
    parent = bracket_of(intent)
    commit(database, state, ev.OrderUpdated(AT, parent), ev.FillReported(AT, fill_of(parent, "10")))


def rows(database) -> tuple[list[str], int]:
    """Symbols of the intents, and how long the journal is."""
    with database.read() as db:
        symbols = sorted(db.execute(sa.select(t.intents.c.symbol)).scalars())
        return symbols, db.execute(sa.select(sa.func.count()).select_from(t.journal)).scalar_one()


def check_undone(database, state: SessionState, symbol: str, limit: str, **changes) -> None:
    before = rows(database)
    with pytest.raises(LimitBreached, match=limit):
        plan_entry(database, state, symbol, **changes)
    assert rows(database) == before


def test_an_order_worth_a_cent_more_than_allowed_is_undone_with_everything_beside_it(database):
    state = session_of(database, max_order_value=D(1000))
    plan_entry(database, state, "AAPL")
    before = rows(database)
    facts: list[ev.Fact] = [
        ev.Marked(AT, {}, {}), ev.IntentPlanned(AT, planned("IBM")),
        ev.IntentPlanned(AT, planned("MSFT", ref_price=D("100.001"))),
    ]  # fmt: skip
    with pytest.raises(LimitBreached, match=r"1,000\.01 dollars in MSFT goes beyond max_order_value"):
        commit(database, state, *facts)
    assert rows(database) == before


def test_the_orders_of_a_day_are_those_of_every_session_of_the_account_and_of_no_other(database):
    state, other = session_of(database, max_orders_per_day=3), session_of(database, "s-2")
    stranger = session_of(database, "s-3", "acc-2")
    plan_entry(database, other, "IBM")
    plan_entry(database, other, "GE", market_day="2008-10-06")
    plan_entry(database, stranger, "KO")
    plan_entry(database, state, "AAPL")
    exit_ = replace(planned("AAPL", "x", purpose=Purpose.EXIT), market_day="")
    commit(database, state, ev.IntentPlanned(AT, exit_))
    plan_entry(database, state, "MSFT")
    check_undone(database, state, "GOOGL", "entry 4 of 2008-10-07 goes beyond max_orders_per_day")
    plan_entry(database, other, "GOOGL")  # it has no limit of its own


def test_the_orders_of_a_minute_are_those_of_every_session_of_the_account_and_of_no_other(database):
    state, other = session_of(database, max_orders_per_minute=2), session_of(database, "s-2")
    plan_entry(database, other, "GE", decided_at=AT - MINUTE)
    plan_entry(database, session_of(database, "s-3", "acc-2"), "KO")
    plan_entry(database, other, "IBM", decided_at=AT - MINUTE + SECOND)
    plan_entry(database, state, "AAPL")
    check_undone(database, state, "MSFT", "entry 3 within a minute goes beyond max_orders_per_minute")
    plan_entry(database, state, "MSFT", decided_at=AT + SECOND)  # of IBM's is a minute ago


LOST = replace(MONEY, last_equity=D(100_000), equity=D(99_500))
HALTED, OPENED = ev.TradingHalted(AT, ev.DAILY_LOSS, "500.00 lost"), ev.DayOpened(AT, DAY)


@pytest.mark.parametrize(
    ("told", "forgotten"),
    [
        ([ev.AccountReported(AT, LOST)], {"account": MONEY}),
        ([ev.AccountReported(AT, replace(LOST, last_equity=None))], {"account": MONEY}),
        ([ev.AccountReported(AT, LOST), OPENED], {"account": MONEY}),
        ([OPENED, HALTED, ev.AccountReported(AT, MONEY), ev.TradingResumed(AT, ev.PERSON, "go on")], {"halts": {}}),
    ],
    ids=["of the last close", "of the session's first", "told before the day began", "a halt that was forgotten"],
)
def test_a_days_loss_is_what_the_journal_says_whatever_is_in_memory(database, told, forgotten):
    state = session_of(database, max_daily_loss=D(500))
    commit(database, state, *told)
    for name, value in forgotten.items():
        setattr(state, name, value)
    check_undone(database, state, "AAPL", f"an entry on {DAY}, which has lost .* goes beyond max_daily_loss")


@pytest.mark.parametrize(
    "told",
    [
        [ev.AccountReported(AT, replace(LOST, equity=D("99500.01")))],
        [ev.AccountReported(AT, LOST), ev.AccountReported(AT, MONEY)],
        [HALTED, OPENED],
        [OPENED, HALTED, ev.TradingResumed(AT, ev.DAILY_LOSS, "the limit was changed")],
        [OPENED, ev.TradingHalted(AT, ev.PERSON, "lunch")],
        [],
    ],
    ids=["a cent less", "made up for", "yesterday's halt", "a halt that was ended", "another halt", "nothing told"],
)
def test_a_loss_within_the_limit_and_a_halt_that_is_over_hold_nothing_back(database, told):
    state = session_of(database, max_daily_loss=D(500))
    commit(database, state, *told)
    plan_entry(database, state, "AAPL")


def test_an_order_that_came_to_nothing_counts_for_its_day(database):
    state = session_of(database, max_orders_per_day=1)
    intent = plan_entry(database, state, "AAPL")
    commit(database, state, ev.IntentRefused(AT, intent.client_order_id, "no"))
    check_undone(database, state, "MSFT", "max_orders_per_day")


def test_positions_held_or_being_opened_in_any_session_count_once_a_symbol(database):
    state, other = session_of(database, max_positions=3), session_of(database, "s-2")
    buy(database, other, "AAPL")
    buy(database, state, "AAPL")
    plan_entry(database, other, "IBM")
    plan_entry(database, state, "MSFT")
    check_undone(database, state, "GOOGL", "position 4 goes beyond max_positions")


def test_an_entry_that_is_over_opens_nothing(database):
    state = session_of(database, max_positions=1)
    intent = plan_entry(database, state, "AAPL")
    commit(database, state, ev.IntentRefused(AT, intent.client_order_id, "no"))
    plan_entry(database, state, "MSFT")


def test_what_is_over_does_not_stand_against_a_stop_or_an_exit(database):
    """Limits hold entries back, never protection."""
    state = session_of(database)
    buy(database, state, "AAPL")
    buy(database, state, "MSFT")
    state.plan = make_plan(max_positions=1, max_orders_per_day=1, max_order_value=D(1))
    commit(database, state, ev.IntentPlanned(AT, planned("AAPL", "x", purpose=Purpose.PROTECT)))


# -- what others of the account use ---------------------------------------------------------------


def used(database) -> limits.Usage:
    with database.read() as db:
        return limits.elsewhere(db, ACCOUNT, SESSION, AT + MINUTE)


def test_what_others_hold_or_are_opening_is_known_with_its_session(database):
    """An entry under way that review does not see would break the limit in the transaction."""
    state, other = session_of(database), session_of(database, "s-2")
    stranger = session_of(database, "s-3", "acc-2")
    for owner in (state, stranger):
        buy(database, owner, "GE")
    buy(database, other, "AAPL")
    plan_entry(database, other, "IBM")
    done = plan_entry(database, other, "KO")
    commit(database, other, ev.IntentRefused(AT, done.client_order_id, "no"))
    at_stake = {"AAPL": D(1000), "IBM": D(1040)}  # at its entry; at the far end of stop and target
    assert used(database) == limits.Usage({"AAPL": "s-2", "IBM": "s-2"}, {DAY: 3}, values=at_stake)


def test_when_others_have_sent_in_the_last_minute_is_known(database):
    session_of(database)
    other = session_of(database, "s-2")
    plan_entry(database, other, "IBM")
    plan_entry(database, other, "GE", decided_at=AT + SECOND)
    plan_entry(database, session_of(database, "s-3", "acc-2"), "KO", decided_at=AT + SECOND)
    assert used(database).recent == (AT + SECOND,)


@pytest.mark.parametrize("status", [s for s in Status if not s.is_final])
def test_an_entry_that_may_still_open_counts_whatever_is_known_of_it(database, status):
    session_of(database)
    other = session_of(database, "s-2")
    intent = plan_entry(database, other, "IBM")
    with database.write() as db:
        where = t.intents.c.client_order_id == intent.client_order_id
        db.execute(t.intents.update().where(where).values(status=status.value))
    assert used(database).symbols == {"IBM": "s-2"}


def test_what_a_closed_session_held_counts_no_more_but_what_it_sent_does(database):
    state, other = session_of(database, max_positions=1), session_of(database, "s-2")
    buy(database, other, "IBM")
    commit(database, other, ev.RunEnded(AT, sessions.CLOSED, "reset"))
    with database.write() as db:
        sessions.update(db, other, head="", checkpoints=0, wall=AT)
    assert used(database) == limits.Usage({}, {DAY: 1})
    plan_entry(database, state, "AAPL")


def test_a_session_from_before_there_were_days_counts_in_none(database):
    other = session_of(database, "s-2")
    plan_entry(database, other, "IBM", market_day="")
    assert used(database).entries == {}
