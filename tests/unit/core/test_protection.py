"""Is each position protected at the broker, and if not, what is sent: once, and not again at once."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core import reconcile
from gambler_ai.core.evolution import apply, evolve
from gambler_ai.core.model import Side
from gambler_ai.core.orders import OrderIntent, Purpose, Status
from gambler_ai.core.protection import (
    BY_RULES,
    ENTRY_DEADLINE,
    PENDING_CANCEL_PATIENCE,
    REARM_PAUSE,
    Protection,
    plan,
    protection,
    protections,
    stop_and_target,
)
from gambler_ai.core.state import SessionState
from tests.unit.fakes import (
    AT,
    FIVE,
    SHUT,
    D,
    Desk,
    after,
    bars_closed,
    bracket_of,
    entry,
    fill_of,
    held,
    kinds,
    leg,
    make_state,
    only,
    protect,
    report_of,
    reported,
    wish,
)
from tests.unit.spreads import VERTICAL, covered
from tests.unit.spreads import holding as holding_structure

ENTRY = entry()
PARENT = bracket_of(ENTRY)


def state_of(*facts: ev.Fact, **changes: object) -> SessionState:
    state = make_state(**changes)
    evolve(state, facts)
    return state


def bought(**legs: str) -> SessionState:
    """Ten bought; the legs have these statuses."""
    parent = bracket_of(ENTRY, **{"limit": "new", "stop": "held"} | legs)
    return state_of(
        ev.IntentPlanned(AT, ENTRY), ev.OrderUpdated(AT, parent), ev.FillReported(AT, fill_of(parent, "10"))
    )  # fmt: skip


def bare(qty: str = "10", side: Side = Side.BUY) -> SessionState:
    """So many bought, every leg canceled; nothing decided yet."""
    intent = entry(side=side, qty=qty)
    parent = bracket_of(intent, limit="canceled", stop="canceled")
    return state_of(
        ev.IntentPlanned(AT, intent), ev.OrderUpdated(AT, parent), ev.FillReported(AT, fill_of(parent, qty))
    )  # fmt: skip


def partly(filled: str = "4", *, booked: str | None = None) -> SessionState:
    """An entry of ten that has filled in part; its legs sleep."""
    parent = bracket_of(ENTRY, "partially_filled", filled)
    state = state_of(ev.IntentPlanned(AT, ENTRY), ev.OrderUpdated(AT, parent))
    apply(state, ev.FillReported(AT, fill_of(parent, booked or filled)))
    return state


def shown(state: SessionState) -> tuple[Protection, str]:
    return protection(state, state.positions["AAPL"])


def planned(state: SessionState, at=AT, *, market_open: bool = True) -> list[ev.CancelPlanned | ev.IntentPlanned]:
    return plan(state, at, market_open)


def sent(state: SessionState, **given: Any) -> tuple[OrderIntent, dict[str, Any]]:
    [step] = planned(state, **given)
    assert isinstance(step, ev.IntentPlanned)
    return step.intent, json.loads(step.intent.body)


def test_a_bracket_whose_entry_is_whole_protects():
    assert shown(bought()) == (Protection.PROTECTED, "stop at the broker")
    assert planned(bought()) == []


def test_nothing_is_planned_for_nothing():
    assert planned(make_state()) == []


def test_legs_sleep_while_the_entry_is_partly_filled_and_nothing_is_sent_before_its_deadline():
    state = partly()
    assert shown(state) == (Protection.GUARDED, "entry partly filled; its stop wakes when it is whole")
    assert planned(state, AT + ENTRY_DEADLINE - timedelta(seconds=1)) == []


def test_at_its_deadline_the_rest_of_an_entry_is_canceled_once():
    state = partly()
    steps = planned(state, AT + ENTRY_DEADLINE)
    assert steps == [
        ev.CancelPlanned(AT + ENTRY_DEADLINE, PARENT.order_id, "entry still partly filled at its deadline")
    ]
    evolve(state, steps)
    assert planned(state, AT + ENTRY_DEADLINE + timedelta(seconds=15)) == []


def test_a_cancel_that_came_to_nothing_is_asked_for_again():
    """Lost in a crash after its commit, or unanswered: without a second one the position stays bare for ever."""
    state = partly()
    evolve(state, planned(state, AT + ENTRY_DEADLINE))
    assert planned(state, AT + ENTRY_DEADLINE + REARM_PAUSE - timedelta(seconds=1)) == []
    [again] = planned(state, AT + ENTRY_DEADLINE + REARM_PAUSE)
    assert isinstance(again, ev.CancelPlanned)


def test_the_deadline_counts_from_the_first_part():
    parent = replace(bracket_of(ENTRY, "partially_filled", "4"), submitted_at=AT - timedelta(hours=1))
    state = state_of(
        ev.IntentPlanned(AT, ENTRY), ev.OrderUpdated(after(seconds=50), parent),
        ev.FillReported(AT, fill_of(parent, "4")),
    )  # fmt: skip
    assert planned(state, after(seconds=100)) == []
    assert planned(state, after(seconds=110)) != []


def test_a_canceled_entry_leaves_what_was_filled_to_an_oco():
    state = partly()
    apply(state, ev.OrderUpdated(AT, bracket_of(ENTRY, "canceled", "4", limit="canceled", stop="canceled")))
    assert shown(state) == (Protection.NAKED, "a stop covers 0 of 4")
    intent, body = sent(state)
    assert (intent.purpose, intent.qty, intent.reason) == (Purpose.PROTECT, D(4), "re-armed")
    assert (body["order_class"], body["qty"], body["side"]) == ("oco", "4", "sell")


@pytest.mark.parametrize("stop", ["canceled", "expired", "rejected"])
def test_a_missing_stop_is_rearmed_with_the_prices_of_the_position(stop):
    intent, body = sent(bought(limit="canceled", stop=stop))
    assert intent.decision_id == f"protect|{ENTRY.client_order_id}|0"
    assert intent.position_id == ENTRY.client_order_id
    assert intent.valid_until is None
    assert body == {
        "symbol": "AAPL", "qty": "10", "side": "sell", "type": "limit", "time_in_force": "gtc", "order_class": "oco",
        "take_profit": {"limit_price": "104"}, "stop_loss": {"stop_price": "98"},
        "client_order_id": intent.client_order_id,
    }  # fmt: skip


def test_a_short_is_rearmed_the_other_way_round():
    intent, body = sent(bare(side=Side.SELL))
    assert (intent.side, body["stop_loss"], body["take_profit"]) == (
        Side.BUY, {"stop_price": "102"}, {"limit_price": "96"},
    )  # fmt: skip


def test_a_target_without_its_stop_is_canceled_first():
    state = bought(limit="new", stop="canceled")
    assert shown(state)[0] is Protection.NAKED
    [step] = planned(state)
    assert isinstance(step, ev.CancelPlanned)
    assert (step.order_id, step.reason) == (PARENT.legs[0].order_id, "covers another quantity than is held")
    apply(state, step)
    assert planned(state, AT + REARM_PAUSE - timedelta(seconds=1)) == []
    assert [s.order_id for s in planned(state, AT + REARM_PAUSE) if isinstance(s, ev.CancelPlanned)] == [step.order_id]


@pytest.mark.parametrize("asked_s", [None, 20], ids=["not by us", "by us"])
def test_while_a_cancel_is_pending_nothing_is_sent_until_patience_is_over(asked_s):
    state = bought(limit="canceled", stop="pending_cancel")
    if asked_s is not None:
        apply(state, ev.CancelPlanned(after(seconds=asked_s), PARENT.legs[1].order_id, "?"))
    over = after(seconds=asked_s or 0) + PENDING_CANCEL_PATIENCE
    early = over - timedelta(seconds=1)
    apply(state, ev.Marked(early, {}, {}))
    assert shown(state) == (Protection.GUARDED, "an order for it is on its way")
    assert planned(state, early) == []
    apply(state, ev.Marked(over, {}, {}))
    assert shown(state) == (Protection.NAKED, "a stop covers 0 of 10")
    assert sent(state, at=over)[0].purpose is Purpose.PROTECT


def test_a_fill_that_is_not_booked_yet_is_waited_for():
    state = partly("6", booked="4")
    apply(state, ev.OrderUpdated(AT, bracket_of(ENTRY, "canceled", "6", limit="canceled", stop="canceled")))
    assert shown(state)[0] is Protection.GUARDED
    assert planned(state) == []


@pytest.mark.parametrize(
    ("side", "mark"), [(Side.BUY, "98"), (Side.BUY, "97.5"), (Side.SELL, "102"), (Side.SELL, "110")]
)
def test_a_stop_that_was_crossed_while_bare_means_out_at_market(side, mark):
    state = bare(side=side)
    state.marks["AAPL"] = D(mark)
    intent, body = sent(state)
    assert (intent.purpose, intent.reason) == (Purpose.EXIT, "stop crossed while bare")
    assert (body["type"], body["time_in_force"], body["side"], body["qty"]) == ("market", "day", side.opposite, "10")


@pytest.mark.parametrize(
    ("side", "mark"), [(Side.BUY, "98.01"), (Side.SELL, "101.99"), (Side.BUY, "-1"), (Side.BUY, "NaN")]
)
def test_a_stop_that_was_not_crossed_or_a_mark_that_is_none_rearms(side, mark):
    state = bare(side=side)
    state.marks["AAPL"] = D(mark)
    assert sent(state)[0].purpose is Purpose.PROTECT


def test_a_fraction_takes_a_day_stop_while_the_market_is_open_only():
    state = bare("0.5")
    assert planned(state, market_open=False) == []
    intent, body = sent(state)
    assert (body["type"], body["time_in_force"], body["qty"], body["stop_price"]) == ("stop", "day", "0.5", "98")
    assert intent.reason == "re-armed for the day"


def test_whole_shares_are_rearmed_while_the_market_is_closed_too():
    assert sent(bare(), market_open=False)[1]["order_class"] == "oco"


def test_a_refused_rearm_is_not_answered_with_a_storm():
    state = bare()
    at = AT
    for round_ in range(8):
        intent, _ = sent(state, at=at)
        assert intent.decision_id.endswith(f"|{round_}")
        evolve(state, [ev.IntentPlanned(at, intent), ev.IntentRefused(at, intent.client_order_id, "no")])
        at += timedelta(seconds=30 * 2 ** min(round_, 5))  # it doubles, up to sixteen minutes
        assert planned(state, at - timedelta(seconds=1)) == []


@pytest.mark.parametrize("status", [Status.PLANNED, Status.UNKNOWN])
def test_a_rearm_in_flight_guards(status):
    state = bare()
    apply(state, ev.IntentPlanned(AT, protect(ENTRY.client_order_id)))
    if status is Status.UNKNOWN:
        apply(state, ev.IntentUnknown(AT, protect(ENTRY.client_order_id).client_order_id, "?"))
    assert shown(state) == (Protection.GUARDED, "an order for it is on its way")
    assert planned(state, after(hours=1)) == []


def rearmed(qty: str = "10") -> SessionState:
    state = bare()
    intent = protect(ENTRY.client_order_id, qty)
    parent = report_of(intent, "new")
    evolve(state, [
        ev.IntentPlanned(AT, intent), ev.OrderUpdated(AT, replace(parent, legs=(leg(parent, "stop", "held"),)))
    ])  # fmt: skip
    return state


def test_an_oco_protects_though_its_stop_is_held():
    assert shown(rearmed())[0] is Protection.PROTECTED


def test_a_stop_for_less_than_is_held_is_replaced():
    state = rearmed("4")
    assert shown(state) == (Protection.NAKED, "a stop covers 4 of 10")
    steps = planned(state, after(minutes=1))
    assert [type(s) for s in steps] == [ev.CancelPlanned]  # the parent; its leg goes with it


def test_an_order_the_broker_no_longer_knows_protects_nothing():
    state = bought()
    apply(state, ev.IntentPlanned(AT, replace(ENTRY, client_order_id="ga1-other")))
    record = state.intents[ENTRY.client_order_id]
    state.intents[ENTRY.client_order_id] = replace(record, status=Status.DISPUTED)
    assert shown(state)[0] is Protection.NAKED
    assert sent(state)[1]["order_class"] == "oco"


def test_a_partly_filled_entry_the_broker_no_longer_knows_does_not_keep_its_position_bare():
    """ORDER_GONE disputes it: no cancel will ever be answered, so waiting for one protects nothing."""
    state = partly()
    apply(state, ev.IntentDisputed(AT, ENTRY.client_order_id, "the broker no longer knows it"))
    steps = planned(state, AT + ENTRY_DEADLINE + timedelta(minutes=5))
    assert [s.intent.purpose for s in steps if isinstance(s, ev.IntentPlanned)] == [Purpose.PROTECT]


def test_an_exit_that_works_is_left_to_work():
    state = bare()
    out = replace(protect(ENTRY.client_order_id), purpose=Purpose.EXIT)
    evolve(state, [ev.IntentPlanned(AT, out), ev.OrderUpdated(AT, report_of(out, "new"))])
    assert shown(state)[0] is Protection.GUARDED


@pytest.mark.parametrize(
    ("qty", "stop", "target", "expected"),
    [
        ("10", None, None, ("98.00", "104.00")),
        ("-10", None, None, ("102.00", "96.00")),
        ("10", "97", "110", ("97", "110")),
    ],
)
def test_a_position_without_its_own_prices_takes_those_of_the_plan(qty, stop, target, expected):
    position = replace(
        bare().positions["AAPL"], qty=D(qty), stop_price=D(stop) if stop else None,
        target_price=D(target) if target else None,
    )  # fmt: skip
    assert tuple(str(p) for p in stop_and_target(make_state(), position)) == expected


def test_each_position_is_looked_at():
    state = bare()
    other = replace(state.positions["AAPL"], symbol="MSFT", position_id="p-2")
    state.positions["MSFT"] = other
    assert [s.intent.symbol for s in planned(state) if isinstance(s, ev.IntentPlanned)] == ["AAPL", "MSFT"]


@pytest.mark.parametrize(
    ("theirs", "acts"), [("10", True), ("11", True), ("9", False), ("-10", False), ("0", False), (None, False)]
)
def test_nothing_is_sent_for_a_position_the_broker_does_not_hold_whole(theirs, acts):
    holds = {} if theirs is None else {"AAPL": D(theirs)}
    assert bool(plan(bare(), AT, True, holds)) is acts
    over = bought()
    over.positions["AAPL"] = replace(over.positions["AAPL"], qty=D(4))
    assert plan(over, AT, True, {"AAPL": D(3)}) == []


@pytest.mark.parametrize(("theirs", "acts"), [("-10", True), ("-12", True), ("-9", False), ("10", False)])
def test_a_short_is_held_whole_on_its_own_side_only(theirs, acts):
    assert bool(plan(bare(side=Side.SELL), AT, True, {"AAPL": D(theirs)})) is acts


def test_a_position_that_is_not_there_does_not_keep_another_bare():
    state = bare()
    state.positions["MSFT"] = replace(state.positions["AAPL"], symbol="MSFT", position_id="p-2")
    steps = plan(state, AT, True, {"MSFT": D(10)})
    assert [s.intent.symbol for s in steps if isinstance(s, ev.IntentPlanned)] == ["MSFT"]


def test_a_stop_for_more_than_is_held_is_canceled_and_rearmed():
    """One that sold ten of the four that are left would open a short."""
    state = bought()
    apply(state, ev.Adjusted(AT, "AAPL", D(4), None, "?"))
    steps = planned(state)
    assert [(type(s), s.order_id) for s in steps if isinstance(s, ev.CancelPlanned)] == [
        (ev.CancelPlanned, o.order_id) for o in PARENT.legs
    ]
    evolve(state, steps)
    gone = bracket_of(ENTRY, limit="canceled", stop="canceled")
    apply(state, ev.OrderUpdated(AT, gone))
    assert (sent(state)[0].qty, sent(state)[0].purpose) == (D(4), Purpose.PROTECT)


def test_exits_that_rest_for_nothing_are_canceled_and_asked_again_after_a_pause():
    state = bought()
    apply(state, ev.Adjusted(AT, "AAPL", D(0), None, "?"))
    steps = planned(state)
    assert [(s.order_id, s.reason) for s in steps if isinstance(s, ev.CancelPlanned)] == [
        (o.order_id, "nothing is left for it to protect") for o in PARENT.legs
    ]
    evolve(state, steps)
    assert planned(state, AT + REARM_PAUSE - timedelta(seconds=1)) == []
    assert len(planned(state, AT + REARM_PAUSE)) == 2


def test_exits_are_left_alone_while_their_entry_works_or_its_fills_come():
    working = state_of(ev.IntentPlanned(AT, ENTRY), ev.OrderUpdated(AT, bracket_of(ENTRY, "new")))
    assert planned(working) == []
    coming = state_of(ev.IntentPlanned(AT, ENTRY), ev.OrderUpdated(AT, bracket_of(ENTRY, limit="new")))
    assert planned(coming) == []


def test_an_exit_the_broker_no_longer_knows_is_not_on_its_way():
    state = bare()
    out = replace(protect(ENTRY.client_order_id), purpose=Purpose.EXIT)
    evolve(state, [
        ev.IntentPlanned(AT, out), ev.OrderUpdated(AT, report_of(out, "new")),
        ev.IntentDisputed(AT, out.client_order_id, "the broker no longer knows it"),
    ])  # fmt: skip
    assert shown(state)[0] is Protection.NAKED
    assert sent(state, at=AT + REARM_PAUSE)[0].purpose is Purpose.PROTECT


def test_a_fill_of_a_stop_that_its_order_does_not_tell_of_is_waited_for():
    """Booked above its total: what the stop still covers is not known, so it is not replaced."""
    state = bought(limit="canceled", stop="new")
    apply(state, ev.FillReported(AT, fill_of(PARENT.legs[1], "4", "98")))
    assert state.positions["AAPL"].qty == D(6)
    assert planned(state) == []
    told = bracket_of(ENTRY, limit="canceled", stop="new")
    stop = replace(told.legs[1], filled_qty=D(4), filled_avg_price=D(98), status="partially_filled")
    apply(state, ev.OrderUpdated(AT, replace(told, legs=(told.legs[0], stop))))
    assert shown(state)[0] is Protection.PROTECTED
    assert planned(state) == []


def test_a_pending_cancel_is_not_waited_for_longer_because_nothing_else_happens():
    """No prices come: no fact moves the session's time, but the broker is read and time passes."""
    state = bought(limit="canceled", stop="pending_cancel")
    assert sent(state, at=AT + PENDING_CANCEL_PATIENCE)[0].purpose is Purpose.PROTECT


def test_a_day_stop_is_set_again_at_the_open_before_any_entry():
    desk = Desk(wish("MSFT", signal_at=after(hours=18) - FIVE), state=bare("0.5"))
    half = [held("AAPL", "0.5")]
    desk.step(reported(positions=half))
    stop = only(ev.IntentPlanned, desk.facts).intent
    resting = report_of(stop, order_class="simple", type="stop", time_in_force="day", stop_price=D(98))
    desk.step(reported(after(seconds=1), reconcile=True, orders=[resting], positions=half))
    assert protection(desk.state, desk.state.positions["AAPL"])[0] is Protection.PROTECTED
    night = replace(resting, status="expired", updated_at=after(hours=6))
    told = desk.step(reported(after(hours=6), orders=[night], positions=half, market=SHUT))
    assert kinds(told) == ["OrderUpdated", "Reconciled"], "told, and nothing is sent that would be refused"
    morning = after(hours=18)
    late = ev.MarketReport(morning, is_open=True, next_open=after(hours=42), next_close=after(hours=24))
    told = desk.step(reported(morning, orders=[night], positions=half, market=late))
    assert only(ev.IntentPlanned, told).intent.reason == "re-armed for the day"
    entered = desk.step(bars_closed(morning, symbols=("MSFT",)))
    assert only(ev.IntentPlanned, entered).intent.symbol == "MSFT"


def test_no_entry_while_what_is_held_waits_for_its_stop():
    """A refused stop is tried again after a pause; meanwhile nothing else is bought."""
    desk = Desk(wish("MSFT"), state=bare())
    desk.step(reported(positions=[held("AAPL", "10")]))
    desk.step(ev.SubmitRefused(AT, only(ev.IntentPlanned, desk.facts).intent.client_order_id, "no", False))
    denied = only(ev.Denied, desk.step(bars_closed(symbols=("MSFT",))))
    assert (denied.code, denied.context) == ("unprotected", "AAPL without a stop for all of it")


def test_a_stale_price_of_an_order_is_no_protection():
    state = bought()
    apply(state, ev.SplitApplied(AT, "AAPL", 1, 1, D(10), "?"))
    assert shown(state)[0] is Protection.NAKED


@pytest.mark.parametrize("market_open", [True, False])
def test_a_leg_of_a_structure_is_guarded_by_rules_and_never_naked(market_open):
    for state in (holding_structure(VERTICAL), covered()):
        assert {(status, why) for _, status, why in protections(state)} == {(Protection.GUARDED, BY_RULES)}
        assert reconcile.bare(state, market_open=market_open) == []
