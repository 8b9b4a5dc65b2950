"""Leaving a position: first what holds its shares, then the shares, and never the shares twice."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core.evolution import apply, evolve
from gambler_ai.core.orders import OrderIntent, Purpose
from gambler_ai.core.protection import REARM_PAUSE, entry_cancels, left, plan, still_open
from gambler_ai.core.state import SessionState
from tests.unit.core.test_protection import ENTRY, PARENT, bare, bought, partly, planned, sent, state_of
from tests.unit.fakes import AT, D, after, bracket_of, fill_of, make_state, report_of

# -- leaving --------------------------------------------------------------------------------------


def leaving(state: SessionState, symbol: str = "AAPL") -> SessionState:
    apply(state, ev.ExitRequested(AT, symbol, "enough"))
    return state


def exit_of(state: SessionState, at=AT) -> OrderIntent:
    intent, body = sent(state, at=at)
    assert (intent.purpose, intent.reason, body["type"], body["side"]) == (Purpose.EXIT, "enough", "market", "sell")
    return intent


@pytest.mark.parametrize("symbol", ["AAPL", "*"])
def test_what_is_left_loses_its_stop_first_and_its_shares_when_the_stop_is_gone(symbol):
    state = leaving(bought(), symbol)
    steps = planned(state)
    assert [(s.order_id, s.reason) for s in steps if isinstance(s, ev.CancelPlanned)] == [
        (leg_.order_id, "enough") for leg_ in PARENT.legs
    ]
    evolve(state, steps)
    assert planned(state) == [], "asked once"
    apply(state, ev.OrderUpdated(AT, bracket_of(ENTRY, limit="canceled", stop="pending_cancel")))
    assert planned(state) == [], "its shares are still held by the stop"
    apply(state, ev.OrderUpdated(AT, bracket_of(ENTRY, limit="canceled", stop="canceled")))
    intent = exit_of(state)
    assert intent.decision_id == f"exit|{ENTRY.client_order_id}|0"
    evolve(state, [ev.IntentPlanned(AT, intent)])
    assert planned(state, after(hours=1)) == [], "never two exits at once"
    evolve(state, [ev.OrderUpdated(AT, report_of(intent, "new"))])
    assert planned(state, after(hours=2)) == []


def test_an_exit_of_another_symbol_leaves_this_one_alone():
    assert planned(leaving(bought(), "MSFT")) == []


def test_a_closed_market_takes_no_exit_so_protection_stays_or_comes_back():
    assert planned(leaving(bought()), market_open=False) == []
    assert sent(leaving(bare()), market_open=False)[0].purpose is Purpose.PROTECT


def test_a_stop_that_filled_under_its_cancel_leaves_nothing_to_sell():
    """Its total is told and its fill is not booked yet: an exit now would sell the shares twice."""
    state = leaving(bought())
    evolve(state, planned(state))
    told = bracket_of(ENTRY, limit="canceled", stop="filled")
    stop = replace(told.legs[1], filled_qty=D(10), filled_avg_price=D(98))
    apply(state, ev.OrderUpdated(AT, replace(told, legs=(told.legs[0], stop))))
    assert planned(state, after(hours=1)) == []
    apply(state, ev.FillReported(AT, fill_of(stop, "10", "98")))
    assert planned(state, after(hours=1)) == []
    assert left(state) == ["AAPL"]


def test_a_fill_that_is_booked_before_its_order_tells_of_it_is_waited_for_too():
    state = leaving(bought())
    apply(state, ev.FillReported(AT, fill_of(PARENT.legs[1], "4", "98")))
    assert planned(state) == []


def test_nothing_is_left_that_the_broker_does_not_hold():
    state = leaving(bare())
    assert plan(state, AT, True, {"AAPL": D(9)}) == []
    assert len(plan(state, AT, True, {"AAPL": D(10)})) == 1


def test_an_entry_that_still_fills_is_canceled_before_its_shares_are_sold():
    state = leaving(partly())
    steps = planned(state)
    assert [(s.order_id, s.reason) for s in steps if isinstance(s, ev.CancelPlanned)] == [(PARENT.order_id, "enough")]
    evolve(state, steps)
    assert planned(state) == []
    apply(state, ev.OrderUpdated(AT, bracket_of(ENTRY, "canceled", "4", limit="canceled", stop="canceled")))
    assert exit_of(state).qty == D(4)


def test_closing_everything_cancels_entries_that_rest_and_closing_one_symbol_does_not():
    resting = state_of(ev.IntentPlanned(AT, ENTRY), ev.OrderUpdated(AT, bracket_of(ENTRY, "new")))
    assert planned(leaving(resting, "MSFT")) == []
    [step] = planned(leaving(resting, "*"))
    assert isinstance(step, ev.CancelPlanned)
    assert (step.order_id, step.reason) == (PARENT.order_id, "enough")
    assert entry_cancels(resting, AT, "why") == [ev.CancelPlanned(AT, PARENT.order_id, "why")]
    apply(resting, step)
    assert entry_cancels(resting, AT, "why") == []


def test_an_exit_that_was_refused_is_tried_again_after_a_pause():
    state = leaving(bare())
    intent = exit_of(state)
    evolve(state, [ev.IntentPlanned(AT, intent), ev.IntentRefused(AT, intent.client_order_id, "no")])
    assert planned(state, AT + REARM_PAUSE - timedelta(seconds=1)) == []
    assert exit_of(state, AT + REARM_PAUSE).decision_id.endswith("|1")


def test_it_is_left_when_nothing_is_held_rests_or_is_on_its_way():
    assert left(make_state()) == []
    assert left(leaving(make_state(), "*")) == ["*"]
    held = leaving(leaving(bought(), "*"), "MSFT")
    assert left(held) == ["MSFT"]
    assert still_open(held) == {"AAPL"}
    resting = state_of(ev.IntentPlanned(AT, ENTRY), ev.OrderUpdated(AT, bracket_of(ENTRY, "new")))
    assert left(leaving(resting, "*")) == []
    state = state_of(ev.IntentPlanned(AT, ENTRY), ev.IntentUnknown(AT, ENTRY.client_order_id, "?"))
    assert left(leaving(state, "*")) == []
    apply(state, ev.IntentDisputed(AT, ENTRY.client_order_id, "?"))  # a person may take for ever
    assert left(state) == ["*"]


def test_a_leg_that_rests_after_its_position_is_gone_is_not_left_yet():
    state = bought()
    apply(state, ev.Adjusted(AT, "AAPL", D(0), None, "?"))
    assert left(leaving(state, "*")) == []
    apply(state, ev.OrderUpdated(AT, bracket_of(ENTRY, limit="canceled", stop="canceled")))
    assert left(state) == ["*"]
