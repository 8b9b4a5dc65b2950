"""One input in, facts out: what is written, in which order, and what is not done."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core import snapshot
from gambler_ai.core.evolution import evolve
from gambler_ai.core.missing import LOCK_DELAY, VOID_MISSES, VOID_QUIET, VOID_SPAN, watched_until
from gambler_ai.core.model import REGULAR_SESSION, Account, Instrument, Side
from gambler_ai.core.orders import Status, bracket_body, client_order_id, entry_decision_id
from gambler_ai.core.risk import Code
from gambler_ai.trading.requesting import expected
from tests.unit.fakes import (
    ACCOUNT,
    AT,
    DAY,
    FIVE,
    MARKET,
    MONEY,
    SESSION,
    SHUT,
    D,
    Desk,
    after,
    bars_closed,
    bracket_of,
    entry,
    fill_of,
    frame_of,
    held,
    kinds,
    leg,
    make_state,
    only,
    protect,
    report_of,
    reported,
    trades_of,
    wish,
)

COID = entry().client_order_id


# -- prices ---------------------------------------------------------------------------------------


def test_a_signal_becomes_an_intent_and_then_a_mark():
    desk = Desk(wish()).opened()
    decisions = desk.step(bars_closed())
    assert kinds(decisions) == ["IntentPlanned", "Marked"]
    intent = only(ev.IntentPlanned, decisions).intent
    decision = entry_decision_id("momentum", "AAPL", Side.BUY, AT - FIVE)
    assert intent.decision_id == decision
    assert intent.client_order_id == intent.position_id == client_order_id(ACCOUNT, SESSION, decision)
    assert (intent.qty, intent.stop_price, intent.target_price, intent.ref_price) == (D(100), D(98), D(104), D(100))
    assert (intent.valid_until, intent.decided_at, intent.attempt) == (AT + 2 * FIVE, AT, 0)
    assert json.loads(intent.body)["client_order_id"] == intent.client_order_id
    assert only(ev.Marked, decisions) == ev.Marked(AT, {"AAPL": D(100)}, {"AAPL": AT - FIVE}, 1)


def test_a_bar_is_decided_on_once():
    desk = Desk(wish()).opened()
    desk.step(bars_closed())
    assert kinds(desk.step(bars_closed())) == ["Marked"]


def test_a_bar_decided_on_before_a_crash_is_not_decided_on_after_it():
    desk = Desk(wish()).opened()
    desk.step(bars_closed())
    again = Desk(wish(), state=snapshot.load(snapshot.dump(desk.state), snapshot.STATE_VERSION)).opened()
    assert kinds(again.step(bars_closed())) == ["Marked"]


def test_the_same_decision_after_a_crash_before_its_commit_has_the_same_id():
    one, two = (Desk(wish()).opened().step(bars_closed()) for _ in range(2))
    assert only(ev.IntentPlanned, one).intent == only(ev.IntentPlanned, two).intent


def test_a_symbol_proposed_twice_is_entered_once():
    decisions = Desk(wish(), wish(side=Side.SELL)).opened().step(bars_closed())
    assert kinds(decisions) == ["IntentPlanned", "Denied", "Marked"]
    assert only(ev.Denied, decisions).code == Code.ORDER_OPEN


def test_two_symbols_share_the_buying_power():
    state = make_state(account=Account(buying_power=D(15_000)))
    desk = Desk(wish(), wish("MSFT"), state=state).opened()
    state.account = Account(buying_power=D(15_000))
    decisions = desk.step(bars_closed(symbols=("AAPL", "MSFT")))
    assert [f.intent.qty for f in decisions.facts if isinstance(f, ev.IntentPlanned)] == [D(100), D(44)]


def test_a_proposal_for_a_symbol_without_a_new_bar_is_nothing():
    desk = Desk(wish("MSFT")).opened()
    assert kinds(desk.step(bars_closed(symbols=("AAPL",)))) == ["Marked"]


def test_the_strategy_sees_the_bars_the_trades_and_what_is_held():
    desk = Desk().opened()
    desk.holding()
    event = bars_closed(after(minutes=5))
    desk.step(event)
    [view] = desk.strategy.views
    assert (view.at, view.frame, view.trades) == (after(minutes=5), event.frame, event.trades)
    assert (view.held, view.entered) == ({"AAPL": D(10)}, {"AAPL": AT})


def test_frames_without_a_bar_mark_the_trades_only():
    desk = Desk().opened()
    empty = ev.BarsClosed(AT, frame_of({"AAPL": []}), trades_of(AAPL="7"))
    assert only(ev.Marked, desk.step(empty)) == ev.Marked(AT, {"AAPL": D(7)}, {}, 1)
    lame = ev.BarsClosed(AT, frame_of({"AAPL": [1.0], "MSFT": []}), {})
    assert only(ev.Marked, desk.step(lame)).bars == {"AAPL": AT - FIVE}


def test_a_strategy_that_raises_is_denied_and_the_session_goes_on():
    desk = Desk(ValueError("x" * 1000)).opened()
    decisions = desk.step(bars_closed(symbols=("AAPL", "MSFT")))
    assert kinds(decisions) == ["Denied", "Marked"]
    denied = only(ev.Denied, decisions)
    assert (denied.symbol, denied.code) == ("*", Code.STRATEGY_FAILED)
    assert denied.context.startswith("strategy momentum: ValueError: xxx")
    assert len(denied.context) < 300
    assert re.search(r"xxx \(line \d+\)$", denied.context)
    desk.strategy.proposals = [wish(signal_at=AT)]
    assert "IntentPlanned" in kinds(desk.step(bars_closed(AT + FIVE)))


@pytest.mark.parametrize("odd", [SystemExit(0), StopIteration(), RecursionError()])
def test_nothing_a_strategy_raises_ends_a_session(odd):
    desk = Desk(odd).opened()
    assert only(ev.Denied, desk.step(bars_closed())).code == Code.STRATEGY_FAILED


def test_a_strategy_cannot_change_what_the_engine_goes_by():
    desk = Desk(wish()).opened()
    desk.holding()
    event = bars_closed(symbols=("AAPL", "MSFT"))
    desk.step(event)
    [view] = desk.strategy.views
    mappings: tuple[Any, ...] = (view.trades, view.held, view.entered)
    for mapping in mappings:
        with pytest.raises(TypeError):
            mapping["AAPL"] = None
        with pytest.raises(TypeError):
            del mapping["AAPL"]


@pytest.mark.parametrize(
    ("disturb", "code"),
    [
        (ev.StopRequested(AT, "SIGTERM"), Code.HALTED),
        (ev.BrokerFailed(AT, "broker", "502"), Code.DEGRADED),
        (reported(market=SHUT), Code.MARKET_CLOSED),
    ],
    ids=["halted", "degraded", "closed"],
)
def test_no_entries_while_something_stands_against_it(disturb, code):
    desk = Desk(wish()).opened()
    desk.step(disturb)
    decisions = desk.step(bars_closed())
    assert kinds(decisions) == ["Denied", "Marked"]
    assert only(ev.Denied, decisions).code == code


def test_no_entries_before_the_broker_was_read_nor_on_stale_data_nor_beside_foreign_shares():
    assert only(ev.Denied, Desk(wish()).step(bars_closed())).code == Code.MARKET_CLOSED
    stale = Desk(wish(signal_at=AT - 4 * FIVE)).opened().step(bars_closed())
    assert only(ev.Denied, stale).code == Code.STALE_DATA
    desk = Desk(wish())
    desk.step(reported(reconcile=True, positions=[held("AAPL", "3")]))
    assert only(ev.Denied, desk.step(bars_closed())).code == Code.FOREIGN_POSITION
    unknown = Desk(wish(), instruments={"AAPL": Instrument("AAPL", tradable=False)}).opened()
    assert only(ev.Denied, unknown.step(bars_closed())).code == Code.NOT_TRADABLE


# -- failing and working again --------------------------------------------------------------------


def test_a_failure_is_told_once_and_so_is_its_end():
    desk = Desk().opened()
    assert kinds(desk.step(ev.BrokerFailed(AT, "broker", "502"))) == ["Degraded"]
    assert kinds(desk.step(ev.BrokerFailed(AT, "broker", "503"))) == []
    assert kinds(desk.step(ev.BrokerFailed(AT, "market data", "timeout"))) == ["Degraded"]
    assert kinds(desk.step(bars_closed())) == ["Restored", "Marked"]
    assert set(desk.state.degraded) == {"broker"}
    assert kinds(desk.step(reported())) == ["Restored"]
    assert desk.state.degraded == {}


def test_a_halt_is_told_once_and_a_timer_and_a_cancel_answer_tell_nothing():
    desk = Desk()
    assert kinds(desk.step(ev.StopRequested(AT, "SIGINT"))) == ["StopRequested"]
    assert kinds(desk.step(ev.StopRequested(AT, "SIGTERM"))) == []
    assert desk.state.stopping == "SIGINT"
    assert desk.step(ev.TimerElapsed(AT)).facts == []
    assert desk.step(ev.CancelAnswered(AT, "o", "no")).facts == []


def test_the_clock_of_the_broker_is_as_of_the_last_reading():
    markets = [Desk().engine.market, Desk().opened().engine.market]
    assert markets == [None, reported().report.market]


def test_money_is_written_when_it_changed():
    desk = Desk()
    assert kinds(desk.step(reported())) == []
    assert kinds(desk.step(reported(account=replace(MONEY, cash=D(5))))) == ["AccountReported"]


def test_a_comparison_that_finds_nothing_new_writes_nothing():
    """What is written makes a start read again: it would never come to rest before its rounds are used up."""
    desk = Desk()
    desk.step(reported(reconcile=True))
    assert kinds(desk.step(reported(reconcile=True))) == []


# -- how far back fills are read -------------------------------------------------------------------


def test_only_books_that_were_compared_and_agreed_are_not_read_again():
    desk = Desk()
    assert desk.engine.read_to is None
    desk.step(reported())
    assert desk.engine.read_to is None, "read, and not compared"
    desk.step(reported(after(minutes=1), reconcile=True))
    assert desk.engine.read_to == MARKET.at
    desk.step(reported(after(minutes=2), reconcile=True, positions=[held("IBM", "5")]))
    assert desk.engine.read_to == MARKET.at, "what is not ours has no fill of ours"
    desk.holding()
    desk.step(reported(after(minutes=3), reconcile=True, orders=[bracket_of(entry())]))
    assert desk.engine.read_to is None, "what explains it may be older"
    desk.step(reported(after(minutes=3, seconds=15), orders=[bracket_of(entry())]))
    assert desk.engine.read_to is None
    desk.step(reported(after(minutes=4), reconcile=True, orders=[bracket_of(entry())], positions=[held("AAPL", "10")]))
    assert desk.engine.read_to == MARKET.at


# -- the life of a submit -------------------------------------------------------------------------


def test_an_answer_is_taken():
    desk = Desk().opened()
    intent = desk.entered()
    decisions = desk.step(ev.SubmitAnswered(AT, COID, bracket_of(intent, "pending_new")))
    assert kinds(decisions) == ["OrderUpdated"]
    assert desk.state.intents[COID].status is Status.WORKING
    assert len(desk.state.orders) == 3


def test_a_refusal_ends_the_intent_and_the_symbol_is_free_again():
    desk = Desk(wish(signal_at=AT)).opened()
    desk.entered()
    assert kinds(desk.step(ev.SubmitRefused(AT, COID, "no money", duplicate=False))) == ["IntentRefused"]
    assert desk.state.intents[COID].status is Status.REJECTED
    assert desk.state.open_intents("AAPL") == []
    assert "IntentPlanned" in kinds(desk.step(bars_closed(AT + FIVE)))


@pytest.mark.parametrize(
    "event",
    [ev.SubmitUnanswered(AT, COID, "timeout"), ev.SubmitRefused(AT, COID, "must be unique", duplicate=True)],
    ids=["unanswered", "duplicate"],
)
def test_what_may_have_landed_is_looked_up_and_found(event):
    desk = Desk().opened()
    intent = desk.entered()
    assert kinds(desk.step(event)) == ["IntentUnknown"]
    found = desk.step(reported(after(seconds=15), lookups={COID: bracket_of(intent, "filled")}))
    assert kinds(found) == ["OrderUpdated"]
    assert desk.state.intents[COID].status is Status.FILLED


@pytest.mark.parametrize(
    "event",
    [
        ev.SubmitUnanswered(AT, "ga1-of-long-ago", "timeout"),
        ev.SubmitRefused(AT, "ga1-of-long-ago", "must be unique", duplicate=True),
    ],
    ids=["unanswered", "duplicate"],
)
def test_an_answer_about_an_order_that_was_settled_and_forgotten_meanwhile_changes_nothing(event):
    assert kinds(Desk().opened().step(event)) == []


def unknown(desk: Desk) -> Desk:
    desk.opened()
    desk.entered()
    desk.step(ev.SubmitUnanswered(AT, COID, "timeout"))
    return desk


def missed(at, **more):
    return reported(at, lookups={COID: None}, **more)


def test_a_look_up_that_missed_sends_the_same_bytes_again_under_the_same_id():
    desk = unknown(Desk())
    body = desk.state.intents[COID].intent.body
    decisions = desk.step(missed(after(seconds=15)))
    assert kinds(decisions) == ["LookupMissed", "ResendPlanned"]
    assert only(ev.ResendPlanned, decisions).client_order_id == COID
    assert desk.state.intents[COID].intent.body == body
    answered = desk.step(ev.SubmitAnswered(after(seconds=16), COID, bracket_of(entry(), "new")))
    assert kinds(answered) == ["OrderUpdated"]
    assert desk.state.intents[COID].status is Status.WORKING


def test_an_order_that_landed_is_adopted_though_its_resend_was_refused():
    """A refusal of the second sending is no proof that the first did not arrive."""
    desk = unknown(Desk(known={COID}))
    desk.step(missed(after(seconds=15)))
    desk.step(ev.SubmitRefused(after(seconds=16), COID, "insufficient buying power", duplicate=False))
    desk.step(reported(after(seconds=30), orders=[bracket_of(entry())], lookups={COID: bracket_of(entry())}))
    assert COID in desk.state.intents
    assert len(desk.state.orders) == 3


def taken(desk: Desk) -> Desk:
    """The broker has refused the id as one that it knows."""
    desk.opened()
    desk.entered()
    desk.step(ev.SubmitRefused(AT, COID, "client_order_id must be unique", duplicate=True))
    return desk


def test_an_order_whose_id_is_taken_is_there_however_long_look_ups_miss_it():
    desk = taken(Desk(wish(signal_at=LATE - FIVE)))
    for seconds in range(0, 300, 15):
        assert kinds(desk.step(missed(LATE + timedelta(seconds=seconds)))) == ["LookupMissed"]
    assert desk.state.intents[COID].status is Status.UNKNOWN
    assert only(ev.Denied, desk.step(bars_closed(LATE))).code == Code.ORDER_OPEN
    late = LATE + timedelta(minutes=5)
    assert kinds(desk.step(missed(late))) == ["LookupMissed", "IntentDisputed"]
    assert "21 look-ups missed it" in desk.state.intents[COID].note
    found = desk.step(reported(late + timedelta(hours=1), lookups={COID: bracket_of(entry(), "filled")}))
    assert "OrderUpdated" in kinds(found)
    assert desk.state.intents[COID].status is Status.FILLED


def test_an_order_whose_id_is_taken_is_not_sent_again_and_no_restart_forgets_that():
    desk = taken(Desk())
    again = Desk(state=snapshot.load(snapshot.dump(desk.state), snapshot.STATE_VERSION)).opened()
    assert kinds(again.step(missed(after(seconds=15)))) == ["LookupMissed"]
    assert expected(again.state) == [COID]
    again.record(ev.IntentDisputed(AT, COID, "missing"))
    assert expected(again.state) == [COID]


LATE = AT + 2 * FIVE + timedelta(seconds=1)  # the signal has expired


@pytest.mark.parametrize(
    "wanted",
    [
        {"market": SHUT, "at": after(minutes=1)},
        {"stopping": "SIGTERM", "at": after(minutes=1)},
        {"at": LATE},
    ],
    ids=["closed", "halted", "expired"],
)
def test_nothing_is_sent_again_that_is_no_longer_wanted(wanted):
    desk = unknown(Desk())
    desk.state.stopping = str(wanted.pop("stopping", ""))
    assert kinds(desk.step(missed(wanted.pop("at"), **wanted))) == ["LookupMissed"]


def test_it_is_sent_again_up_to_the_last_instant_of_its_signal():
    assert "ResendPlanned" in kinds(unknown(Desk()).step(missed(AT + 2 * FIVE)))


def test_it_is_given_up_after_all_three_criteria_and_no_sooner():
    desk = unknown(Desk())
    for n in range(VOID_MISSES - 1):
        assert kinds(desk.step(missed(LATE + n * timedelta(seconds=1)))) == ["LookupMissed"]
    early = LATE + VOID_SPAN - timedelta(seconds=1)
    assert kinds(desk.step(missed(early))) == ["LookupMissed"]  # three misses, but within less than ten seconds
    decisions = desk.step(missed(LATE + VOID_SPAN))
    assert kinds(decisions) == ["LookupMissed", "IntentVoided"]
    assert only(ev.IntentVoided, decisions).watch_until == MARKET.next_open + REGULAR_SESSION
    assert desk.state.intents[COID].status is Status.VOID


def test_it_is_not_given_up_before_it_was_quiet_long_enough():
    desk = unknown(Desk())
    desk.state.stopping = "SIGTERM"
    for seconds in (1, 6, 11, 29):
        assert kinds(desk.step(missed(after(seconds=seconds)))) == ["LookupMissed"]
    assert "IntentVoided" in kinds(desk.step(missed(AT + VOID_QUIET)))


def test_it_is_not_given_up_after_two_misses():
    desk = unknown(Desk())
    for minutes in (0, 30):
        assert kinds(desk.step(missed(LATE + timedelta(minutes=minutes)))) == ["LookupMissed"]


def test_a_found_order_starts_the_count_of_misses_anew():
    desk = unknown(Desk())
    desk.step(missed(LATE))
    desk.step(reported(LATE, lookups={COID: bracket_of(entry(), "new")}))
    assert (desk.state.intents[COID].misses, desk.state.intents[COID].first_miss_at) == (0, None)


def voided(desk: Desk) -> Desk:
    unknown(desk)
    for seconds in (0, 5, 10):
        desk.step(missed(LATE + timedelta(seconds=seconds)))
    assert desk.state.intents[COID].status is Status.VOID
    return desk


def test_the_late_arrival_of_a_given_up_order_is_adopted_with_its_fill():
    desk = voided(Desk(known={COID}))
    parent = bracket_of(entry(), limit="new")
    decisions = desk.step(
        reported(after(hours=1), orders=[parent], fills=[fill_of(parent, "10")], positions=[held("AAPL", "10")])
    )
    assert kinds(decisions) == ["Reconciled", "OrderUpdated", "FillReported"]
    [item] = only(ev.Reconciled, decisions).discrepancies
    assert (item.kind, item.cause) == ("order status odd", "arrived after it was given up")
    assert desk.state.positions["AAPL"].stop_price == D(98)


def test_no_entry_in_a_symbol_whose_order_was_given_up():
    desk = voided(Desk(wish(signal_at=after(hours=1))))
    desk.step(reported(after(hours=1)))
    assert only(ev.Denied, desk.step(bars_closed(AT + timedelta(hours=1) + FIVE))).code == Code.SYMBOL_BLOCKED


@pytest.mark.parametrize("change", [{"qty": D(11)}, {"symbol": "MSFT"}, {"side": Side.SELL}])
def test_another_order_under_our_id_is_disputed_once_and_not_taken(change):
    desk = unknown(Desk())
    other = replace(bracket_of(entry(), "new"), **change)
    decisions = desk.step(reported(lookups={COID: other}))
    assert kinds(decisions) == ["IntentDisputed"]
    assert desk.state.orders == {}
    assert kinds(desk.step(reported(lookups={COID: other}))) == []
    desk.strategy.proposals = [wish()]
    assert only(ev.Denied, desk.step(bars_closed())).code == Code.SYMBOL_BLOCKED


def test_a_report_that_says_nothing_new_writes_nothing():
    desk = Desk().opened()
    intent = desk.entered()
    report = bracket_of(intent, "new")
    assert kinds(desk.step(reported(orders=[report]))) == ["OrderUpdated"]
    assert kinds(desk.step(reported(orders=[report], lookups={COID: report}))) == []
    moved = replace(report, legs=(replace(report.legs[0], status="new"), report.legs[1]))
    assert kinds(desk.step(reported(orders=[moved]))) == ["OrderUpdated"]


def test_an_answer_for_an_intent_that_is_gone_is_nothing():
    assert kinds(Desk().step(ev.SubmitAnswered(AT, COID, bracket_of(entry())))) == []


def test_an_odd_status_is_written_down_once_and_the_order_kept_alive():
    desk = Desk().opened()
    intent = desk.entered()
    desk.step(reported(orders=[bracket_of(intent, "new")]))
    decisions = desk.step(reported(orders=[bracket_of(intent, "teleported")]))
    assert kinds(decisions) == ["Reconciled", "OrderUpdated"]
    assert desk.state.intents[COID].status is Status.WORKING
    assert kinds(desk.step(reported(orders=[bracket_of(intent, "teleported")]))) == []


@pytest.mark.parametrize(
    ("qty", "theirs", "resent"),
    [("10", "10", True), ("4", "10", False), (None, "10", False), ("10", None, False), ("10", "4", False),
     ("10", "-10", False)],
    ids=["as it was", "less held", "gone", "gone at the broker", "less at the broker", "turned at the broker"],
)  # fmt: skip
def test_a_rearm_is_sent_again_while_its_position_is_as_it_was(qty, theirs, resent):
    desk = Desk().opened()
    parent = bracket_of(desk.holding(limit="canceled", stop="canceled"), limit="canceled", stop="canceled")
    intent = protect(COID)
    desk.record(ev.IntentPlanned(AT, intent), ev.IntentUnknown(AT, intent.client_order_id, "?"))
    if qty != "10":
        evolve(desk.state, [ev.Adjusted(AT, "AAPL", D(qty or 0), None, "?")])
    positions = [held("AAPL", theirs)] if theirs else []
    again = desk.step(reported(orders=[parent], lookups={intent.client_order_id: None}, positions=positions))
    assert ("ResendPlanned" in kinds(again)) is resent


# -- fills ----------------------------------------------------------------------------------------


def test_a_fill_is_booked_once_however_often_it_is_reported():
    desk = Desk().opened()
    intent = desk.entered()
    parent = bracket_of(intent, limit="new")
    fills = [fill_of(parent, "4"), fill_of(parent, "6", number=2)]
    first = desk.step(reported(orders=[parent], fills=fills[:1]))
    assert kinds(first) == ["OrderUpdated", "FillReported"]
    assert kinds(desk.step(reported(orders=[parent], fills=[*fills, fills[0]]))) == ["FillReported"]
    assert desk.state.positions["AAPL"].qty == D(10)
    assert kinds(desk.step(reported(orders=[parent], fills=fills))) == []


def test_a_fill_of_an_order_of_anothers_is_never_booked():
    stranger = fill_of(bracket_of(entry("MSFT")), "5")
    assert kinds(Desk().step(reported(fills=[stranger]))) == []


def test_a_bare_position_is_told_and_protected_in_the_same_step():
    desk = Desk().opened()
    desk.holding(limit="canceled", stop="canceled")
    decisions = desk.step(reported(after(minutes=1), positions=[held("AAPL", "10")]))
    assert kinds(decisions) == ["Reconciled", "IntentPlanned"]
    assert only(ev.IntentPlanned, decisions).intent.purpose == "protect"
    assert not decisions.look_again


@pytest.mark.parametrize("qty", [None, "9", "-10"], ids=["gone", "less", "other side"])
def test_a_bare_position_the_broker_does_not_hold_whole_gets_no_order_but_another_look(qty):
    desk = Desk().opened()
    desk.holding(limit="canceled", stop="canceled")
    decisions = desk.step(reported(after(minutes=1), positions=[held("AAPL", qty)] if qty else []))
    assert not {"IntentPlanned", "CancelPlanned"} & set(kinds(decisions))
    assert decisions.look_again
    again = desk.step(reported(after(minutes=2), positions=[held("AAPL", "11")]))
    assert only(ev.IntentPlanned, again).intent.qty == D(10)


def test_a_fill_that_comes_after_its_order_was_canceled_is_booked_and_protected():
    desk = Desk().opened()
    intent = desk.entered()
    canceled = bracket_of(intent, "canceled", limit="canceled", stop="canceled")
    desk.step(reported(orders=[canceled]))
    late = after(minutes=14)
    decisions = desk.step(
        reported(late, orders=[canceled], fills=[fill_of(canceled, "4")], positions=[held("AAPL", "4")])
    )
    assert kinds(decisions) == ["FillReported", "Reconciled", "IntentPlanned"]
    assert desk.state.positions["AAPL"].qty == D(4)
    assert only(ev.IntentPlanned, decisions).intent.qty == D(4)


def test_a_comparison_takes_the_brokers_prices_for_what_is_held():
    desk = Desk().opened()
    desk.holding()
    positions = [held("AAPL", "10"), held("IBM", "1")]
    marked = only(ev.Marked, desk.step(reported(reconcile=True, positions=positions)))
    assert marked == ev.Marked(AT, {"AAPL": D(100)}, {})
    assert "Marked" not in kinds(desk.step(reported(reconcile=True, positions=positions)))
    silent = [ev.PositionReport("AAPL", D(10), D(100), None)]
    assert "Marked" not in kinds(desk.step(reported(reconcile=True, positions=silent)))


# -- the whole story is the journal ---------------------------------------------------------------


def test_a_replay_of_everything_an_engine_wrote_is_its_state():
    desk = voided(Desk(wish(), known={COID}))
    parent = bracket_of(entry(), limit="new")
    desk.step(reported(after(hours=1), reconcile=True, orders=[parent], fills=[fill_of(parent, "10")]))
    for seconds in (0, 1):
        desk.step(reported(after(hours=1, seconds=seconds), reconcile=True, orders=[parent]))
    desk.step(bars_closed(after(hours=1)))
    replayed = make_state(day=DAY)
    evolve(replayed, desk.facts)
    assert snapshot.dump(replayed) == snapshot.dump(desk.state)


def test_a_broker_that_keeps_failing_is_sent_the_same_bytes_ever_less_often():
    """At once after the first miss, then after 15, 30 and 60 seconds, and not more rarely."""
    desk = Desk(wish()).opened()
    desk.record(ev.IntentPlanned(AT, entry(valid_until=after(hours=1))), ev.IntentUnknown(AT, COID, "HTTP 500"))
    sent = []
    for second in range(1, 300):
        desk.step(reported(after(seconds=second), lookups={COID: None}))
        if desk.facts[-1] == ev.ResendPlanned(after(seconds=second), COID):
            sent.append(second)
            desk.record(ev.IntentUnknown(after(seconds=second), COID, "HTTP 500"))
    assert sent == [1, 16, 46, 106, 166, 226, 286]


# -- limit entries --------------------------------------------------------------------------------


def test_a_limit_entry_is_a_bracket_at_its_limit():
    desk = Desk(replace(wish(), limit_price=D("99.50"))).opened()
    intent = only(ev.IntentPlanned, desk.step(bars_closed())).intent
    body = json.loads(intent.body)
    assert (body["type"], body["limit_price"], body["order_class"]) == ("limit", "99.50", "bracket")
    assert intent.ref_price == D("99.50")


def limit_entry(status: str = "new", filled: str = "0") -> tuple[Any, Any]:
    limit = D("99.50")
    body = bracket_body(COID, "AAPL", Side.BUY, D(10), D(104), D(98), limit)
    intent = entry(body=body, ref_price=limit)
    return intent, replace(bracket_of(intent, status, filled), type="limit", limit_price=limit)


def resting_limit() -> Desk:
    intent, report = limit_entry()
    desk = Desk().opened()
    desk.record(ev.IntentPlanned(AT, intent))
    desk.step(reported(orders=[report]))
    return desk


def test_a_limit_entry_that_did_not_fill_is_canceled_when_its_signal_expires_and_asked_for_once():
    desk, (_, report) = resting_limit(), limit_entry()
    assert kinds(desk.step(reported(AT + 2 * FIVE, orders=[report]))) == []
    late = AT + 2 * FIVE + timedelta(seconds=1)
    canceled = only(ev.CancelPlanned, desk.step(reported(late, orders=[report])))
    assert canceled.reason == "entry not filled: its signal has expired"
    assert kinds(desk.step(reported(late + timedelta(seconds=15), orders=[report]))) == []
    assert kinds(desk.step(reported(late + timedelta(seconds=31), orders=[report]))) == ["CancelPlanned"]


def test_an_entry_the_market_has_closed_over_is_canceled():
    _, report = limit_entry()
    told = resting_limit().step(reported(after(minutes=1), orders=[report], market=SHUT))
    assert only(ev.CancelPlanned, told).reason == "entry not filled: the market has closed over it"


def test_a_part_of_a_limit_entry_is_protected_when_the_rest_is_gone():
    desk = resting_limit()
    _, part = limit_entry("partially_filled", "4")
    fills, positions = [fill_of(part, "4")], [held("AAPL", "4")]
    assert "CancelPlanned" not in kinds(desk.step(reported(orders=[part], fills=fills, positions=positions)))
    told = desk.step(reported(after(seconds=60), orders=[part], positions=positions))
    assert only(ev.CancelPlanned, told).reason == "entry still partly filled at its deadline"
    _, rest = limit_entry("canceled", "4")
    rest = replace(rest, legs=tuple(replace(o, status="canceled") for o in rest.legs))
    told = desk.step(reported(after(seconds=75), orders=[rest], positions=positions))
    assert only(ev.IntentPlanned, told).intent.qty == D(4)
    assert json.loads(only(ev.IntentPlanned, told).intent.body)["order_class"] == "oco"


def test_a_late_arrival_of_a_given_up_entry_is_canceled_unless_it_has_filled():
    desk = voided(Desk(known={COID}))
    told = desk.step(reported(after(hours=1), orders=[bracket_of(entry(), "new")]))
    assert kinds(told) == ["Reconciled", "OrderUpdated", "CancelPlanned"]


@pytest.mark.parametrize(
    "change", [{"type": "limit"}, {"limit_price": D("99.51"), "type": "limit"}], ids=["type", "limit"]
)
def test_another_way_in_under_our_id_is_disputed(change):
    intent, _ = limit_entry() if "limit_price" in change else (entry(), None)
    desk = Desk().opened()
    desk.record(ev.IntentPlanned(AT, intent), ev.IntentUnknown(AT, COID, "timeout"))
    other = replace(bracket_of(intent, "new"), **change)
    assert kinds(desk.step(reported(lookups={COID: other}))) == ["IntentDisputed"]


@pytest.mark.parametrize("qty", [7, 10])  # the fill of the other leg taken off, and not yet
def test_what_a_part_filled_stop_left_of_an_oco_is_not_another_order(qty):
    desk = Desk().opened()
    desk.holding(limit="canceled", stop="canceled")
    intent = protect(COID)
    desk.record(ev.IntentPlanned(AT, intent))
    shrunk = replace(report_of(intent), qty=D(qty))
    stop = replace(leg(report_of(intent), "stop", "partially_filled"), filled_qty=D(3))
    told = desk.step(reported(orders=[replace(shrunk, legs=(stop,))], positions=[held("AAPL", "7")]))
    assert "IntentDisputed" not in kinds(told)


# -- VOID -----------------------------------------------------------------------------------------


def test_a_new_owner_gives_nothing_up_for_a_while():
    """Its last owner may have sent it in the moment before (RECOVERY_PROTOCOL 2.2, lock-delay)."""
    desk = unknown(Desk())
    began = LATE + timedelta(hours=1)
    desk.record(ev.RunStarted(began, 600.0, resumed=True, token=2))
    for seconds in (1, 15, 29):
        assert kinds(desk.step(missed(began + timedelta(seconds=seconds)))) == ["LookupMissed"]
    assert "IntentVoided" in kinds(desk.step(missed(began + LOCK_DELAY)))


def test_a_given_up_order_is_watched_to_the_end_of_the_next_session_day():
    assert watched_until(MARKET) == MARKET.next_open + timedelta(hours=6, minutes=30)
    assert watched_until(SHUT) == SHUT.next_close


# -- what can go wrong with exits -----------------------------------------------------------------


def test_a_cancel_that_came_too_late_is_looked_into_at_once():
    desk = Desk()
    assert desk.step(ev.CancelAnswered(AT, "o-1", 'order is already in "filled" state')).look_again
    assert not desk.step(ev.CancelAnswered(AT, "o-1", "")).look_again


def test_both_exits_filling_is_told_and_taken_out():
    """Ten held, ten sold by the target and ten by the stop: the account is short."""
    desk = Desk().opened()
    desk.holding()
    both = replace(bracket_of(entry()), legs=tuple(
        replace(o, status="filled", filled_qty=D(10)) for o in bracket_of(entry()).legs
    ))  # fmt: skip
    fills = [fill_of(both.legs[0], "10", "104"), fill_of(both.legs[1], "10", "98")]
    told = desk.step(reported(after(seconds=15), orders=[both], fills=fills, positions=[held("AAPL", "-10")]))
    [item] = only(ev.Reconciled, told).discrepancies
    assert (item.kind, item.broker) == ("exit filled twice", "-10")
    assert only(ev.ExitRequested, told).symbol == "AAPL"
    out = only(ev.IntentPlanned, told).intent
    assert (out.purpose, out.side, out.qty) == ("exit", Side.BUY, D(10))
    assert desk.state.closed_trades == 1


def test_one_exit_for_more_than_is_held_is_told_as_well():
    desk = Desk().opened()
    desk.holding()
    stop = replace(bracket_of(entry()).legs[1], status="filled", qty=D(12), filled_qty=D(12))
    parent = replace(bracket_of(entry()), legs=(replace(bracket_of(entry()).legs[0], status="canceled"), stop))
    told = desk.step(reported(orders=[parent], fills=[fill_of(stop, "12", "98")], positions=[held("AAPL", "-2")]))
    assert {"ExitRequested", "IntentPlanned"} <= set(kinds(told))
    assert desk.state.positions["AAPL"].qty == D(-2)


def test_what_is_being_closed_already_is_not_asked_for_twice():
    desk = Desk().opened()
    desk.holding()
    desk.record(ev.ExitRequested(AT, "*", "enough"))
    stop = replace(bracket_of(entry()).legs[1], status="filled", qty=D(12), filled_qty=D(12))
    told = desk.step(reported(orders=[replace(bracket_of(entry()), legs=(stop,))], fills=[fill_of(stop, "12", "98")]))
    assert "ExitRequested" not in kinds(told)


# -- what is told late ----------------------------------------------------------------------------


def test_an_earlier_moment_that_is_told_late_is_nothing():
    """A reading served from an older copy: neither an order nor a leg of it goes back."""
    desk = Desk().opened()
    intent = desk.holding()
    now = replace(bracket_of(intent, limit="canceled", stop="filled"), updated_at=after(seconds=9))
    now = replace(now, legs=tuple(replace(o, updated_at=after(seconds=9)) for o in now.legs))
    desk.record(ev.OrderUpdated(after(seconds=9), now))
    old = bracket_of(intent, limit="new", stop="held")
    assert "OrderUpdated" not in kinds(desk.step(reported(after(seconds=15), orders=[old])))
    desk.record(ev.OrderUpdated(after(seconds=15), replace(now, legs=old.legs)))
    assert [o.broker_status for o in desk.state.orders.values()] == ["filled", "canceled", "filled"]


def test_only_entries_that_wait_for_a_price_are_taken_back_at_the_end():
    desk = resting_limit()
    market = entry("MSFT")
    desk.record(ev.IntentPlanned(AT, market), ev.OrderUpdated(AT, bracket_of(market, "new")))
    [canceled] = desk.engine.cancel_limit_entries(AT, "the session ends").facts
    assert isinstance(canceled, ev.CancelPlanned)
    assert desk.state.orders[canceled.order_id].symbol == "AAPL"
