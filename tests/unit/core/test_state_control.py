"""What halts, exits, days and a person's word do to a state; and what version 1 wrote."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core import snapshot
from gambler_ai.core.evolution import apply, evolve
from gambler_ai.core.model import Side
from gambler_ai.core.orders import Status
from gambler_ai.core.state import SETTLED_KEPT, Changes, SessionState
from tests.unit.core.test_state import COID, ENTRY, bought, evolved, planned
from tests.unit.fakes import AT, D, after, bracket_of, fill_of, make_state, protect, report_of

# -- halts, exits, days, and a person's word ------------------------------------------------------


def test_a_halt_stands_until_its_own_source_takes_it_back_and_a_stop_ends_with_its_run():
    state, _ = evolved(
        ev.TradingHalted(AT, ev.PERSON, "lunch"), ev.TradingHalted(AT, ev.HALT_FILE, "upgrade"),
        ev.StopRequested(AT, "SIGTERM"), ev.RunStarted(AT, 600.0, resumed=True, token=2),
        ev.TradingResumed(AT, ev.HALT_FILE, "gone"), ev.TradingResumed(AT, ev.DAILY_LOSS, "another day"),
    )  # fmt: skip
    assert (state.halts, state.stopping) == ({"person": "lunch"}, "")


def test_an_exit_stands_until_it_is_done():
    state, _ = evolved(ev.ExitRequested(AT, "AAPL", "a"), ev.ExitRequested(AT, ev.ALL, "b"), ev.ExitDone(AT, "AAPL"))
    assert state.exits == {"*": "b"}


def test_entries_of_a_day_are_counted_and_begin_anew_with_the_next():
    again = replace(protect(COID), client_order_id="ga1-protect")
    state, _ = evolved(ev.DayOpened(AT, "d-1"), planned(), ev.IntentPlanned(AT, again))
    assert (state.day, state.day_entries) == ("d-1", 1)
    apply(state, ev.DayOpened(AT, "d-2"))
    assert (state.day, state.day_entries) == ("d-2", 0)


def test_a_run_that_is_paused_loses_no_time_whatever_happens_meanwhile():
    """A halt in the night, a signal: the day after has as much left as the evening had."""
    state, _ = evolved(ev.RunStarted(AT, 600.0, resumed=False, token=1), ev.RunPaused(after(minutes=6), 240.0))
    evolve(state, [ev.TradingHalted(after(hours=9), ev.PERSON, "?"), ev.RunEnded(after(hours=9), "stopped", "SIGTERM")])
    assert state.remaining_s == 240.0
    apply(state, ev.RunStarted(after(hours=18), 240.0, resumed=True, token=2))
    apply(state, ev.Marked(after(hours=18, minutes=1), {}, {}))
    assert state.remaining_s == 180.0


def test_an_answer_is_written_for_its_request():
    state, changes = evolved(ev.RequestTaken(AT, "r-1", "halt", "no entries"))
    assert changes.answers == {"r-1": "no entries"}
    merged = Changes(answers={"r-0": "a"})
    merged.merge(changes)
    assert merged.answers == {"r-0": "a", "r-1": "no entries"}
    assert state == make_state()


def test_what_is_adopted_is_a_position_without_an_order_of_ours_and_no_longer_foreign():
    foreign = {"IBM": D(-5), "GE": D(1)}
    state, changes = evolved(ev.Adopted(AT, "IBM", D(-5), D(90), "ann"), foreign=foreign)
    position = state.positions["IBM"]
    assert (position.qty, position.avg_entry_price, position.entry_at) == (D(-5), D(90), AT)
    assert (position.position_id, position.strategy, position.reason) == (
        "adopted-IBM-20081007T140000", "momentum", "ann",
    )  # fmt: skip
    assert (position.stop_price, position.target_price) == (D("91.80"), D("86.40"))
    assert state.foreign == {"GE": D(1)}
    assert changes.symbols == {"IBM"}


def test_what_is_adopted_beside_ours_keeps_our_stop():
    state, _ = evolved(*bought(), ev.Adopted(AT, "AAPL", D(5), D(130), "ann"))
    position = state.positions["AAPL"]
    assert (position.qty, position.stop_price, position.position_id) == (D(15), D(98), COID)


def unclear(*more: ev.Fact) -> tuple[SessionState, Changes]:
    return evolved(planned(), ev.IntentUnknown(AT, COID, "?"), ev.LookupMissed(AT, COID), *more)


def test_an_order_that_a_person_says_is_gone_keeps_its_symbol_no_longer_and_is_let_go():
    state, changes = unclear(ev.IntentVoided(AT, COID, "?", after(days=4)))
    assert state.open_intents("AAPL")
    changes = apply(state, ev.IntentResolved(AT, COID, ev.GONE, "I looked"))
    record = state.intents[COID]
    assert (record.status, record.watch_until, record.settled_at, record.note) == (
        Status.VOID, None, AT, "gone: I looked",
    )  # fmt: skip
    assert not record.resolved, "what comes all the same has to be what was asked for"
    assert not state.open_intents("AAPL")
    assert set(changes.intents) == {COID}
    apply(state, ev.Marked(AT + SETTLED_KEPT, {}, {}))
    assert COID not in state.intents


def test_an_order_that_a_person_leaves_to_the_broker_is_looked_up_from_the_beginning():
    state, _ = unclear(ev.IntentVoided(AT, COID, "?", after(days=4)), ev.IntentResolved(AT, COID, ev.AT_BROKER, "?"))
    record = state.intents[COID]
    assert (record.status, record.resolved, record.misses, record.first_miss_at) == (Status.UNKNOWN, True, 0, None)
    assert state.open_intents("AAPL")


def test_the_orders_of_one_that_is_gone_protect_nothing_and_rest_no_more():
    state, _ = evolved(*bought(), ev.IntentDisputed(AT, COID, "not found"))
    assert state.live_orders("AAPL")
    changes = apply(state, ev.IntentResolved(AT, COID, ev.GONE, "I looked"))
    assert not state.live_orders("AAPL")
    assert {o.status for o in changes.orders.values()} == {Status.VOID}
    assert state.positions["AAPL"].qty == D(10)
    assert state.intents[COID].settled_at == AT
    # If it comes all the same, it is alive again.
    moved = bracket_of(ENTRY, limit="new")
    legs = tuple(replace(o, updated_at=after(hours=1)) for o in moved.legs)
    apply(state, ev.OrderUpdated(AT, replace(moved, updated_at=after(hours=1), legs=legs)))
    assert len(state.live_orders("AAPL")) == 2


@pytest.mark.parametrize("change", [{"side": Side.SELL}, {"symbol": "MSFT"}])
def test_an_order_that_is_not_the_one_we_asked_for_does_not_get_our_stop_and_target(change):
    other = replace(report_of(ENTRY, "filled", "10"), **change)
    state, _ = unclear(
        ev.IntentDisputed(AT, COID, "?"), ev.IntentResolved(AT, COID, ev.AT_BROKER, "?"), ev.OrderUpdated(AT, other),
        ev.FillReported(AT, fill_of(other, "10")),
    )  # fmt: skip
    [position] = state.positions.values()
    assert (position.symbol, position.stop_price, position.target_price) == (other.symbol, None, None)


# -- what version 1 wrote -------------------------------------------------------------------------


def version_1() -> bytes:
    """A checkpoint of before there were halts, exits, days and limits."""
    state, _ = evolved(*bought())
    document = msgspec.json.decode(snapshot.dump(state))
    for name in ("stopping", "halts", "exits", "day", "day_entries"):
        del document[name]
    document["halted"] = "stopped by SIGTERM"
    for name in ("on_exit", "when_closed", "max_positions", "max_order_value", "max_orders_per_day", "max_daily_loss",
                 "max_orders_per_minute", "strategy_parameters", "strategy_sha256"):  # fmt: skip
        document["plan"].pop(name, None)
    del document["account"]["last_equity"]
    for record in document["intents"].values():
        del record["resolved"]
        del record["intent"]["market_day"]
    return msgspec.json.encode(document)


def test_a_checkpoint_of_version_1_is_read_and_a_stop_of_then_is_no_halt_of_now():
    state = snapshot.load(version_1(), 1)
    assert (state.halts, state.exits, state.stopping, state.day, state.day_entries) == ({}, {}, "", "", 0)
    assert (state.plan.when_closed, state.plan.on_exit, state.plan.max_positions) == ("exit", "keep", None)
    expected, _ = evolved(*bought())
    assert (state.positions, state.orders, state.remaining_s) == (expected.positions, expected.orders, 3600.0)
    assert not state.intents[COID].resolved


def test_a_stop_of_a_version_1_journal_is_replayed_as_one():
    state, _ = evolved(ev.HaltRequested(AT, "stopped by SIGTERM"))
    assert (state.stopping, state.halts) == ("stopped by SIGTERM", {})
