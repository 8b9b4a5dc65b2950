"""The limits in the transaction of the intent: the last that is allowed passes, one more undoes all of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core.evolution import evolve
from gambler_ai.core.orders import OrderIntent, Purpose, Status
from gambler_ai.core.state import Changes, SessionState
from gambler_ai.core.structures import Structure
from gambler_ai.errors import LimitBreached
from gambler_ai.storage import journal, limits, sessions
from gambler_ai.storage import tables as t
from tests.unit.condor import condor, legs_of, opening
from tests.unit.fakes import ACCOUNT, AT, DAY, MONEY, SESSION, D, bracket_of, entry, fill_of, make_plan, make_state
from tests.unit.storage.conftest import add
from tests.unit.structures import COVERED

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


# -- structures -----------------------------------------------------------------------------------


def open_structure(
    database, state: SessionState, underlying: str, order: dict[str, Any] | None = None, **changes
) -> Structure:
    """Its entry and its row, in one transaction, as a ledger writes them."""
    coid = f"ga1-{underlying}-{state.session_id}"
    structure = condor(coid, **{"underlying": underlying, "sector": underlying} | changes)
    intent = opening(structure, market_day=DAY, **order or {})
    facts = [ev.IntentPlanned(AT, intent)]
    changes_ = evolve(state, facts)
    state.structures[coid] = structure
    changes_.structures.add(coid)
    try:
        with database.write() as db:
            journal.append(db, state, facts, changes_, journal.GENESIS, 1)
            limits.check(db, state, [intent])
    except LimitBreached:
        del state.structures[coid]
        raise
    return structure


def hold(database, state: SessionState, structure: Structure) -> None:
    """All its legs are held, and its entry is over."""
    held = {position.symbol: position for position in legs_of(structure)}
    state.positions |= held
    with database.write() as db:
        journal.append(db, state, [], Changes(symbols=set(held)), journal.GENESIS, 1)
        db.execute(t.intents.update().where(t.intents.c.structure_id == structure.structure_id).values(status="filled"))


def end(database, state: SessionState, structure: Structure) -> None:
    gone = {structure.structure_id: state.structures.pop(structure.structure_id)}
    held = {s for s, p in state.positions.items() if p.structure_id == structure.structure_id}
    state.positions = {s: p for s, p in state.positions.items() if s not in held}
    facts = [ev.StructureEnded(AT, structure.structure_id, "target")]
    with database.write() as db:
        journal.append(db, state, facts, Changes(symbols=held, ended=gone), journal.GENESIS, 1)
        db.execute(t.intents.update().where(t.intents.c.structure_id.in_(gone)).values(status="canceled"))


def options_of(database, session_id: str = SESSION, **plan) -> SessionState:
    return session_of(database, session_id, universe="options", **plan)


@pytest.mark.parametrize(
    ("plan", "fits", "breaks", "says"),
    [
        (
            {"capital_per_trade": D(760)},
            {},
            {"units": 3},
            r"1,140\.00 dollars in MSFT .*capital_per_trade",
        ),
        (
            {"max_per_strategy": 1},
            {"strategy": "straddle"},
            {"strategy": "straddle"},
            "structure 2 of straddle .*max_per_s",
        ),
        ({"max_per_sector": 1}, {"sector": "banks"}, {"sector": "banks"}, "structure 2 in banks .*max_per_sector"),
        ({"max_positions": 1}, {}, {}, "position 2 goes beyond max_positions"),
        ({"max_order_value": D(760)}, {}, {"units": 3}, r"1,140\.00 dollars in MSFT goes beyond max_order_value"),
    ],
    ids=lambda value: next(iter(value), "") if isinstance(value, dict) else "",
)
def test_a_structure_beyond_a_limit_is_undone_whatever_memory_says(database, plan, fits, breaks, says):
    state = options_of(database, **plan)
    open_structure(database, state, "AAPL", **fits)
    before = rows(database)
    with pytest.raises(LimitBreached, match=says):
        open_structure(database, state, "MSFT", **breaks)
    assert rows(database) == before
    with database.read() as db:
        assert db.execute(sa.select(t.structures.c.underlying)).scalars().all() == ["AAPL"]


@pytest.mark.parametrize(
    ("plan", "says"), [({"max_positions": 2}, "position 3"), ({"max_per_strategy": 2}, "structure 3 of condor")]
)
def test_the_legs_of_a_structure_are_one_position_and_one_that_ended_is_none(database, plan, says):
    state = options_of(database, **plan)
    first = open_structure(database, state, "AAPL")
    hold(database, state, first)
    open_structure(database, state, "MSFT")
    with pytest.raises(LimitBreached, match=says):
        open_structure(database, state, "GE")
    end(database, state, first)
    open_structure(database, state, "GE")


def test_what_sells_the_call_on_shares_that_are_held_is_no_entry(database):
    state = options_of(database, max_positions=1, max_orders_per_day=1)
    structure = open_structure(database, state, "AAPL")
    call = opening(structure, symbol=structure.legs[2].symbol, purpose=Purpose.LEG, structure=None, market_day="")
    call = replace(call, client_order_id="ga1-call", decision_id="ga1-call")
    commit(database, state, ev.IntentPlanned(AT, call))
    with database.read() as db:
        assert journal.taken_symbols(db, ACCOUNT, "s-2") == {"AAPL": SESSION}
        assert used_by(db, "s-2").symbols == {"AAPL": SESSION}


def test_shares_that_are_bought_for_a_covered_call_count_what_the_structure_may_lose(database):
    """They are worth more; review has looked at the loss. An order for more units than that is still refused."""
    plan: dict[str, Any] = {"max_order_value": D(19_500), "capital_per_trade": D(19_500)}
    bought: dict[str, Any] = {"legs": COVERED, "max_loss": D(9_700), "order": {"qty": D(200), "ref_price": D(100)}}
    open_structure(database, options_of(database, **plan), "AAPL", **bought)
    other = options_of(database, "s-2", **plan)
    with pytest.raises(LimitBreached, match=r"29,100\.00 dollars in MSFT goes beyond max_order_value"):
        open_structure(database, other, "MSFT", **bought | {"order": {"qty": D(3), "ref_price": D(1)}})


def test_how_many_are_open_is_counted_in_the_session_whose_plan_it_is(database):
    """One of another session in the same underlying is what review refuses."""
    state, other = options_of(database, max_per_strategy=1, max_per_sector=1), options_of(database, "s-2")
    open_structure(database, other, "GE", sector="banks")
    open_structure(database, state, "AAPL", sector="banks")


def used_by(db, session_id: str) -> limits.Usage:
    return limits.elsewhere(db, ACCOUNT, session_id, AT + MINUTE)


def test_what_structures_of_others_may_lose_is_at_stake_in_their_underlyings(database):
    """Before and after they are filled: their legs are not counted beside them."""
    session_of(database)
    other, stranger = options_of(database, "s-2"), session_of(database, "s-3", "acc-2", universe="options")
    bounded, open_ended = open_structure(database, other, "AAPL"), open_structure(database, other, "GE", max_loss=None)
    open_structure(database, stranger, "KO")
    at_stake = {"AAPL": D(760), "GE": D(240)}  # two units of 380; two at 1.20
    assert used(database).values == at_stake
    hold(database, other, bounded)
    assert used(database).values == at_stake
    assert used(database).symbols == {"AAPL": "s-2", "GE": "s-2"}
    end(database, other, open_ended)
    assert used(database).values == {"AAPL": D(760)}


def test_a_contract_that_belongs_to_no_structure_is_worth_a_hundred_times_its_price(database):
    session_of(database)
    other = options_of(database, "s-2")
    [put, *_] = legs_of(condor())
    other.positions = {put.symbol: replace(put, structure_id="")}
    with database.write() as db:
        journal.append(db, other, [], Changes(symbols={put.symbol}), journal.GENESIS, 1)
    assert used(database) == limits.Usage({"AAPL": "s-2"}, {}, values={"AAPL": D(300)})


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
