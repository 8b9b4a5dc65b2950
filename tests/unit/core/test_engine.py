"""One input in, facts out: what is written, in which order, and what is not done."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core import snapshot
from gambler_ai.core.engine import VOID_MISSES, VOID_QUIET, VOID_SPAN, VOID_WATCH
from gambler_ai.core.model import Account, Instrument, Side
from gambler_ai.core.orders import Status, client_order_id, entry_decision_id
from gambler_ai.core.risk import Code
from gambler_ai.core.state import evolve
from tests.unit.fakes import (
    ACCOUNT,
    AT,
    DAY,
    FIVE,
    LIMITS,
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
    make_plan,
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
    assert only(ev.Marked, decisions) == ev.Marked(AT, {"AAPL": D(100)}, {"AAPL": AT - FIVE})


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
    event = bars_closed()
    desk.step(event)
    [view] = desk.strategy.views
    assert (view.at, view.frame, view.trades, view.held) == (AT, event.frame, event.trades, frozenset({"AAPL"}))


def test_frames_without_a_bar_mark_the_trades_only():
    desk = Desk().opened()
    empty = ev.BarsClosed(AT, frame_of({"AAPL": []}), trades_of(AAPL="7"))
    assert only(ev.Marked, desk.step(empty)) == ev.Marked(AT, {"AAPL": D(7)}, {})
    lame = ev.BarsClosed(AT, frame_of({"AAPL": [1.0], "MSFT": []}), {})
    assert only(ev.Marked, desk.step(lame)).bars == {"AAPL": AT - FIVE}


def test_a_strategy_that_raises_is_denied_and_the_session_goes_on():
    desk = Desk(ValueError("x" * 1000)).opened()
    decisions = desk.step(bars_closed(symbols=("AAPL", "MSFT")))
    assert kinds(decisions) == ["Denied", "Marked"]
    denied = only(ev.Denied, decisions)
    assert (denied.symbol, denied.code) == ("*", Code.STRATEGY_FAILED)
    assert denied.context.startswith("strategy momentum: ValueError: xxx")
    assert len(denied.context) == 300
    desk.strategy.proposals = [wish(signal_at=AT)]
    assert "IntentPlanned" in kinds(desk.step(bars_closed(AT + FIVE)))


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
    assert only(ev.IntentVoided, decisions).watch_until == LATE + VOID_SPAN + VOID_WATCH
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
    ("qty", "resent"), [("10", True), ("4", False), (None, False)], ids=["as it was", "less held", "gone"]
)
def test_a_rearm_is_sent_again_while_its_position_is_as_it_was(qty, resent):
    desk = Desk().opened()
    parent = bracket_of(desk.holding(limit="canceled", stop="canceled"), limit="canceled", stop="canceled")
    intent = protect(COID)
    desk.record(ev.IntentPlanned(AT, intent), ev.IntentUnknown(AT, intent.client_order_id, "?"))
    if qty != "10":
        evolve(desk.state, [ev.Adjusted(AT, "AAPL", D(qty or 0), None, "?")])
    again = desk.step(reported(orders=[parent], lookups={intent.client_order_id: None}))
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


# -- halts, limits and exits ----------------------------------------------------------------------


def wishes_exit(symbol: str = "AAPL"):
    return replace(wish(symbol), exit=True)


def asked(kind: str, argument: str = "", at=AT) -> ev.Requested:
    return ev.Requested(at, ev.Request(id=f"r-{kind}", kind=kind, argument=argument, reason="lunch", asked_by="ann"))


def test_a_halted_session_denies_with_who_and_why_and_goes_on_when_resumed():
    desk = Desk(wish()).opened()
    assert kinds(desk.step(asked("halt"))) == ["TradingHalted", "RequestTaken"]
    denied = only(ev.Denied, desk.step(bars_closed()))
    assert (denied.code, denied.context) == (Code.HALTED, "person: lunch (ann)")
    desk.step(asked("resume-trading"))
    desk.strategy.proposals = [wish(signal_at=AT)]
    assert "IntentPlanned" in kinds(desk.step(bars_closed(AT + FIVE)))


def test_what_is_asked_wants_the_broker_to_be_looked_at():
    assert Desk().opened().step(asked("halt")).look_again


def test_the_halt_file_halts_once_and_resumes_once_and_no_other_halt():
    desk = Desk()
    steps = [ev.HaltFileSeen(AT, reason) for reason in (None, "upgrade", "another word", None, None)]
    assert [kinds(desk.step(step)) for step in steps] == [[], ["TradingHalted"], [], ["TradingResumed"], []]
    desk.step(asked("halt"))
    assert kinds(desk.step(ev.HaltFileSeen(AT, None))) == []
    assert desk.state.halts == {"person": "lunch (ann)"}


@pytest.mark.parametrize(
    "stands", [{"halts": {"person": "lunch"}}, {"exits": {"*": "enough"}}, {"stopping": "SIGTERM"}], ids=str
)
def test_an_entry_is_not_sent_again_against_a_persons_word(stands):
    desk = unknown(Desk())
    for name, value in stands.items():
        setattr(desk.state, name, value)
    assert "ResendPlanned" not in kinds(desk.step(missed(after(seconds=15))))


def test_what_a_person_left_to_the_broker_is_never_sent_again():
    desk = unknown(Desk())
    desk.record(ev.IntentResolved(AT, COID, ev.AT_BROKER, "?"))
    for seconds in (1, 6, 11, 31):
        assert "ResendPlanned" not in kinds(desk.step(missed(after(seconds=seconds))))
    assert desk.state.intents[COID].status is Status.VOID


def test_what_a_person_left_to_the_broker_is_taken_though_it_is_another():
    other = replace(report_of(entry(), "filled", "7"), qty=D(7))
    desk = unknown(Desk())
    desk.step(reported(lookups={COID: other}))
    assert desk.state.intents[COID].status is Status.DISPUTED
    desk.step(asked("resolve", f"{COID} broker"))
    found = desk.step(reported(lookups={COID: other}, fills=[fill_of(other, "7")], positions=[held("AAPL", "7")]))
    assert "IntentDisputed" not in kinds(found)
    assert desk.state.positions["AAPL"].qty == D(7)


def exiting(desk: Desk) -> str:
    """An exit of ten AAPL, sent and not answered."""
    desk.opened()
    desk.holding(limit="canceled", stop="canceled")
    desk.record(ev.ExitRequested(AT, "AAPL", "enough"))
    out = only(ev.IntentPlanned, desk.step(reported(after(minutes=1), positions=[held("AAPL", "10")]))).intent
    assert out.purpose == "exit"
    desk.step(ev.SubmitUnanswered(after(minutes=1), out.client_order_id, "timeout"))
    return out.client_order_id


@pytest.mark.parametrize(("market", "again"), [(MARKET, True), (SHUT, False)], ids=["open", "closed"])
def test_an_exit_that_never_arrived_is_sent_again_while_the_market_is_open(market, again):
    """At night it would wait for the open with nothing to protect its shares meanwhile."""
    desk = Desk()
    coid = exiting(desk)
    decisions = desk.step(
        reported(after(minutes=2), lookups={coid: None}, positions=[held("AAPL", "10")], market=market)
    )
    assert ("ResendPlanned" in kinds(decisions)) is again


def test_an_exit_is_done_when_its_fill_is_booked_and_the_symbol_is_free_again():
    desk = Desk(wish(signal_at=after(minutes=5)))
    coid = exiting(desk)
    sold = report_of(desk.state.intents[coid].intent, "filled", "10")
    parent = bracket_of(entry(), limit="canceled", stop="canceled")
    seen = desk.step(reported(after(minutes=2), orders=[parent, sold], positions=[]))
    assert "ExitDone" not in kinds(seen)
    done = desk.step(reported(after(minutes=3), orders=[parent, sold], fills=[fill_of(sold, "10")]))
    assert kinds(done) == ["FillReported", "ExitDone"]
    assert desk.state.exits == {}
    assert "IntentPlanned" in kinds(desk.step(bars_closed(after(minutes=10))))


def test_a_strategy_may_leave_what_it_opened_once_and_nothing_else():
    desk = Desk(wishes_exit()).opened()
    assert kinds(desk.step(bars_closed())) == ["Marked"], "nothing is held"
    desk.holding()
    decisions = desk.step(bars_closed(AT + FIVE))
    assert only(ev.ExitRequested, decisions) == ev.ExitRequested(AT + FIVE, "AAPL", "it moved")
    assert decisions.look_again
    assert kinds(desk.step(bars_closed(AT + 2 * FIVE))) == ["Marked"], "asked for already"
    other = Desk(wishes_exit()).opened()
    other.holding()
    other.state.positions["AAPL"] = replace(other.state.positions["AAPL"], strategy="another")
    assert kinds(other.step(bars_closed())) == ["Marked"]


def test_a_halt_does_not_keep_a_strategy_in():
    desk = Desk(wishes_exit()).opened()
    desk.holding()
    desk.step(asked("halt"))
    assert "ExitRequested" in kinds(desk.step(bars_closed()))


def test_everything_is_asked_to_be_closed_once():
    desk = Desk()
    assert kinds(desk.engine.leave_all(AT, "the end")) == ["ExitRequested"]
    assert kinds(desk.engine.leave_all(AT, "the end")) == []


def test_nothing_of_another_session_is_adopted():
    desk = Desk(limits=replace(LIMITS, elsewhere={"IBM": "s-2"}))
    desk.step(reported(reconcile=True, positions=[held("IBM", "5")]))
    assert "session s-2 has IBM" in only(ev.RequestTaken, desk.step(asked("adopt", "IBM"))).answer


# -- the day and its loss -------------------------------------------------------------------------


def with_loss(limit: str, **changes) -> Desk:
    return Desk(wish(), state=make_state(day=DAY, plan=make_plan(max_daily_loss=D(limit)), **changes))


def money(equity: str, last: str | None = "100000", cash: str = "100000") -> Account:
    return replace(MONEY, equity=D(equity), cash=D(cash), last_equity=None if last is None else D(last))


def test_a_day_is_named_by_its_close_and_begins_with_the_first_reading_of_an_open_market():
    desk = Desk(state=make_state())
    assert "DayOpened" not in kinds(desk.step(reported(market=SHUT)))
    assert only(ev.DayOpened, desk.step(reported())).day == DAY
    assert "DayOpened" not in kinds(desk.step(reported(after(hours=1))))


def test_the_days_loss_halts_at_the_limit_and_not_a_cent_before():
    desk = with_loss("500")
    assert kinds(desk.step(reported(reconcile=True, account=money("99500.01")))) == ["AccountReported"]
    halted = only(ev.TradingHalted, desk.step(reported(reconcile=True, account=money("99500"))))
    assert (halted.source, halted.reason) == ("daily loss", "500.00 lost on 2008-10-07, 500.00 allowed")
    assert kinds(desk.step(reported(reconcile=True, account=money("99000")))) == ["AccountReported"]
    assert only(ev.Denied, desk.step(bars_closed())).code == Code.HALTED


def test_a_loss_that_was_made_good_still_halts_for_the_rest_of_its_day():
    desk = with_loss("500")
    desk.step(reported(reconcile=True, account=money("99000")))
    desk.step(reported(reconcile=True, account=money("100500")))
    assert "daily loss" in desk.state.halts


def test_the_loss_is_against_the_last_close_and_else_against_the_sessions_first_equity():
    """A fresh session that begins with the loss made has its own first equity; the broker's last close stays."""
    assert "TradingHalted" in kinds(
        with_loss("500", initial_equity=D(99_000)).step(reported(reconcile=True, account=money("99000")))
    )
    silent = with_loss("500", initial_equity=D(100_000))
    assert "TradingHalted" in kinds(silent.step(reported(reconcile=True, account=money("99000", None))))


def test_a_limit_that_was_lowered_is_held_though_the_account_did_not_move():
    desk = with_loss("5000")
    desk.step(reported(reconcile=True, account=money("99000")))
    desk.record(ev.PlanChanged(AT, {"max_daily_loss": ("5000", "500")}))
    assert kinds(desk.step(reported(reconcile=True, account=money("99000")))) == ["TradingHalted"]


def test_another_day_begins_without_the_loss_of_the_last_one_and_with_its_own_money():
    desk = with_loss("500")
    desk.step(reported(reconcile=True, account=money("99000")))
    tomorrow = replace(MARKET, next_close=MARKET.next_close + timedelta(days=1))
    account = money("99000", "99000")  # its cash is yesterday's: only the last close has moved
    decisions = desk.step(reported(after(days=1), market=tomorrow, account=account))
    assert kinds(decisions) == ["AccountReported", "DayOpened", "TradingResumed"]
    assert desk.state.halts == {}


def test_another_day_takes_back_no_halt_of_a_person():
    desk = Desk(state=make_state(day="2008-10-06", halts={"person": "lunch", "HALT file": "x"}))
    assert kinds(desk.step(reported())) == ["DayOpened"]
    assert set(desk.state.halts) == {"person", "HALT file"}


def test_no_loss_is_judged_while_the_market_is_closed_or_without_a_limit():
    assert kinds(with_loss("500").step(reported(reconcile=True, market=SHUT, account=money("1")))) == ["AccountReported"]
    assert kinds(Desk().step(reported(reconcile=True, account=money("1")))) == ["AccountReported"]


def test_an_entry_carries_the_day_its_limits_count():
    assert only(ev.IntentPlanned, Desk(wish()).opened().step(bars_closed())).intent.market_day == DAY
