"""Moving a stop or target: the new order counts when the broker says so, and until then the old one does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core.evolution import evolve
from gambler_ai.core.model import MoveStop, Side
from gambler_ai.core.orders import OrderIntent, OrderReport, Purpose, Role, Status, client_order_id
from gambler_ai.core.protection import Protection, protection
from gambler_ai.core.replacing import move
from gambler_ai.core.risk import Code
from gambler_ai.core.state import SessionState
from tests.unit.fakes import (
    ACCOUNT,
    AT,
    FIVE,
    SESSION,
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
    reported,
)

ENTRY = entry()
PARENT = bracket_of(ENTRY, limit="new")
TARGET, STOP = PARENT.legs


def holding(mark: str = "100", side: Side = Side.BUY) -> SessionState:
    """Ten bought (or sold) at 100, the bracket resting."""
    intent = entry(side=side)
    parent = bracket_of(intent, limit="new")
    if side is Side.SELL:
        levels = (replace(parent.legs[0], limit_price=D(96)), replace(parent.legs[1], stop_price=D(102)))
        parent = replace(parent, legs=levels)
    state = make_state()
    evolve(state, [
        ev.IntentPlanned(AT, intent), ev.OrderUpdated(AT, parent), ev.FillReported(AT, fill_of(parent, "10")),
        ev.Marked(AT, {"AAPL": D(mark)}, {}),
    ])  # fmt: skip
    return state


def moved(state: SessionState, price: str = "99", role: Role = Role.STOP) -> OrderIntent:
    fact = move(state, "AAPL", role, D(price), AT, "higher")
    assert isinstance(fact, ev.IntentPlanned), fact
    return fact.intent


def desk_moving(price: str = "99") -> tuple[Desk, OrderIntent]:
    desk = Desk(state=holding()).opened()
    intent = moved(desk.state, price)
    desk.record(ev.IntentPlanned(AT, intent))
    return desk, intent


def successor(intent: OrderIntent, status: str = "held", **changes: Any) -> OrderReport:
    """What the broker says of the order that is to take the stop's place."""
    new = leg(PARENT, "stop", status, order_id="o-new", client_order_id=intent.client_order_id, stop_price=D(99))
    return replace(new, replaces=STOP.order_id, **changes)


REPLACED = replace(STOP, status="replaced", replaced_by="o-new")


def test_a_move_has_an_id_and_bytes_before_it_is_sent():
    state = holding()
    intent = moved(state)
    decision = f"replace|{ENTRY.client_order_id}|0"
    assert intent.decision_id == decision
    assert intent.client_order_id == client_order_id(ACCOUNT, SESSION, decision)
    assert json.loads(intent.body) == {"stop_price": "99", "client_order_id": intent.client_order_id}
    assert (intent.replaces, intent.stop_price, intent.target_price) == (STOP.order_id, D(99), D(104))
    evolve(state, [ev.IntentPlanned(AT, intent)])
    position = state.positions["AAPL"]
    assert (position.decisions, position.decided_at) == (1, None), "the next has another id, and nothing pauses"
    assert position.stop_price == D(98), "asked for is not done"


def test_a_target_moves_by_its_limit():
    intent = moved(holding(), "110.5", Role.TARGET)
    assert json.loads(intent.body)["limit_price"] == "110.5"
    assert (intent.replaces, intent.target_price, intent.stop_price) == (TARGET.order_id, D("110.5"), D(98))


def change(state: SessionState, *facts: ev.Fact) -> SessionState:
    evolve(state, facts)
    return state


REFUSED = {
    "no position": (make_state(), Role.STOP, "99", "no position in AAPL"),
    "no price": (holding(), Role.STOP, "NaN", "NaN is no price"),
    "below zero": (holding(), Role.STOP, "-1", "-1 is no price"),
    "sub-penny": (holding(), Role.STOP, "99.005", "99.005 has too many places; 99.00 would do"),
    "past the price": (holding(), Role.STOP, "100", "a stop at 100 is not behind the last price, 100"),
    "past a short's price": (holding(side=Side.SELL), Role.STOP, "99", "a stop at 99 is not behind the last price"),
    "a target behind": (holding(), Role.TARGET, "100", "a target at 100 is not ahead of the last price, 100"),
    "the same": (holding(), Role.STOP, "98", "the stop of AAPL is at 98 already"),
    "closing": (holding(), Role.STOP, "99", "AAPL is being closed"),
    "on its way": (holding(), Role.STOP, "99", "an order for AAPL is on its way; ask again in a minute"),
    "being canceled": (holding(), Role.STOP, "99", "an order for AAPL is on its way; ask again in a minute"),
    "nothing rests": (holding(), Role.STOP, "99", "no stop of AAPL rests at the broker"),
    "no mark": (holding(), Role.STOP, "99", "no price of AAPL is known yet; ask again in a minute"),
}
change(REFUSED["closing"][0], ev.ExitRequested(AT, "*", "enough"))
change(REFUSED["on its way"][0], ev.IntentPlanned(AT, moved(REFUSED["on its way"][0])))
change(REFUSED["being canceled"][0], ev.OrderUpdated(AT, bracket_of(ENTRY, limit="new", stop="pending_cancel")))
change(REFUSED["nothing rests"][0], ev.OrderUpdated(AT, bracket_of(ENTRY, limit="canceled", stop="canceled")))
REFUSED["no mark"][0].marks.clear()


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_moved_is_refused_with_its_reason(case):
    state, role, price, why = REFUSED[case]
    answer = move(state, "AAPL", role, D(price), AT, "higher")
    assert isinstance(answer, str)
    assert why in answer


def test_until_the_old_one_is_replaced_it_is_the_protection_and_the_two_are_one():
    desk, intent = desk_moving()
    desk.step(ev.SubmitAnswered(AT, intent.client_order_id, successor(intent)))
    pending = replace(PARENT, legs=(TARGET, replace(STOP, status="pending_replace")))
    told = desk.step(reported(orders=[pending], positions=[held("AAPL", "10")]))
    state = desk.state
    assert protection(state, state.positions["AAPL"])[0] is Protection.PROTECTED
    assert not {"CancelPlanned", "IntentPlanned"} & set(kinds(told)), "not twice as many as are held"
    assert state.positions["AAPL"].stop_price == D(98)


def test_a_new_one_that_does_not_say_what_it_replaces_is_still_one_with_the_old():
    """Counted as two they would cover twice what is held, and both would be canceled."""
    desk, intent = desk_moving()
    desk.step(ev.SubmitAnswered(AT, intent.client_order_id, replace(successor(intent), replaces=None)))
    decisions = desk.step(reported(after(seconds=15), orders=[PARENT], positions=[held("AAPL", "10")]))
    assert "CancelPlanned" not in kinds(decisions)
    assert protection(desk.state, desk.state.positions["AAPL"])[0] is Protection.PROTECTED


def test_when_it_is_replaced_the_new_one_protects_at_its_price_as_a_leg_of_the_same_order():
    desk, intent = desk_moving()
    desk.step(ev.SubmitAnswered(AT, intent.client_order_id, successor(intent)))
    told = desk.step(reported(
        orders=[replace(PARENT, legs=(TARGET, successor(intent)))], by_id={STOP.order_id: REPLACED},
        positions=[held("AAPL", "10")],
    ))  # fmt: skip
    assert "Reconciled" not in kinds(told), "nobody has to be told of what we asked for"
    state = desk.state
    new = state.orders["o-new"]
    assert (new.role, new.parent_id, new.intent_id) == (Role.STOP, PARENT.order_id, intent.client_order_id)
    assert state.orders[STOP.order_id].status is Status.REPLACED
    assert protection(state, state.positions["AAPL"])[0] is Protection.PROTECTED
    assert (state.positions["AAPL"].stop_price, state.positions["AAPL"].target_price) == (D(99), D(104))


def test_a_replacement_that_is_refused_leaves_the_order_that_rests():
    desk, intent = desk_moving()
    desk.step(ev.SubmitRefused(AT, intent.client_order_id, "cannot replace order in pending_new status", False))
    assert desk.state.intents[intent.client_order_id].status is Status.REJECTED
    assert protection(desk.state, desk.state.positions["AAPL"])[0] is Protection.PROTECTED
    assert desk.state.positions["AAPL"].stop_price == D(98)
    assert kinds(desk.step(reported(orders=[PARENT], positions=[held("AAPL", "10")]))) == []


def test_a_replacement_that_is_taken_and_then_refused_is_told_and_leaves_the_order_that_rests():
    """Success does not guarantee it (BEHAVIOUR 3, replace)."""
    desk, intent = desk_moving()
    desk.step(ev.SubmitAnswered(AT, intent.client_order_id, successor(intent)))
    late = replace(successor(intent, "rejected"), updated_at=after(seconds=1))
    told = desk.step(reported(orders=[PARENT], lookups={intent.client_order_id: late}, positions=[held("AAPL", "10")]))
    assert kinds(told) == ["OrderUpdated", "IntentRefused"]
    assert protection(desk.state, desk.state.positions["AAPL"])[0] is Protection.PROTECTED
    assert desk.state.positions["AAPL"].stop_price == D(98)


def test_an_order_that_was_replaced_is_alive_again_when_the_one_in_its_place_is_refused():
    """It rests at its old price, protects, and is told; the id that was refused stands for nothing."""
    desk, intent = desk_moving()
    desk.step(ev.SubmitAnswered(AT, intent.client_order_id, successor(intent)))
    shown = replace(PARENT, legs=(TARGET, successor(intent)))
    desk.step(reported(orders=[shown], by_id={STOP.order_id: REPLACED}, positions=[held("AAPL", "10")]))
    assert desk.state.positions["AAPL"].stop_price == D(99)
    late = after(seconds=20)
    back = replace(PARENT, legs=(TARGET, replace(STOP, updated_at=late)))
    refused = replace(successor(intent, "rejected"), updated_at=late)
    parts: dict[str, Any] = {
        "orders": [back],
        "lookups": {intent.client_order_id: refused},
        "positions": [held("AAPL", "10")],
    }
    told = desk.step(reported(late, **parts))
    [item] = only(ev.Reconciled, told).discrepancies
    assert (item.kind, item.ours, item.broker) == ("order status odd", "replaced", "held")
    assert not {"IntentPlanned", "CancelPlanned"} & set(kinds(told))
    state = desk.state
    assert state.orders[STOP.order_id].status is Status.WORKING
    assert protection(state, state.positions["AAPL"])[0] is Protection.PROTECTED
    assert (state.positions["AAPL"].stop_price, state.positions["AAPL"].target_price) == (D(98), D(104))
    assert state.intents[ENTRY.client_order_id].settled_at is None
    assert kinds(desk.step(reported(after(seconds=35), **parts))) == []


def test_an_earlier_moment_of_an_order_that_was_replaced_revives_nothing():
    desk, intent = desk_moving()
    desk.step(ev.SubmitAnswered(AT, intent.client_order_id, successor(intent)))
    gone = replace(REPLACED, updated_at=after(seconds=5))
    desk.step(missed(orders=[replace(PARENT, legs=(TARGET, successor(intent)))], by_id={STOP.order_id: gone}))
    desk.step(missed(after(seconds=15), by_id={STOP.order_id: replace(STOP, updated_at=after(seconds=5))}))
    assert desk.state.orders[STOP.order_id].status is Status.REPLACED


def test_an_order_that_took_the_place_of_one_we_know_is_not_forgotten_before_it():
    """A listing shows it for as long: it would be taken for a new one, and its fills booked once more."""
    desk, intent = desk_moving()
    done = replace(successor(intent, "canceled"), filled_qty=D(4), updated_at=after(seconds=5))
    sold = fill_of(done, "4", "99")
    gone = replace(REPLACED, updated_at=after(seconds=5))
    desk.record(
        ev.OrderUpdated(AT, successor(intent)), ev.OrderUpdated(AT, replace(PARENT, legs=(TARGET, gone))),
        ev.OrderUpdated(after(seconds=5), done), ev.FillReported(after(seconds=5), sold),
    )  # fmt: skip
    assert desk.state.intents[intent.client_order_id].settled_at is not None
    late = after(minutes=30)
    desk.step(bars_closed(late))
    told = desk.step(reported(
        late, orders=[replace(PARENT, legs=(TARGET, done))], fills=[sold], positions=[held("AAPL", "6")]
    ))  # fmt: skip
    assert "FillReported" not in kinds(told)
    assert desk.state.positions["AAPL"].qty == D(6)


def test_when_both_are_gone_the_position_is_protected_anew():
    desk, intent = desk_moving()
    desk.step(ev.SubmitAnswered(AT, intent.client_order_id, successor(intent)))
    gone = replace(successor(intent, "rejected"), updated_at=after(seconds=1))
    bare = replace(PARENT, legs=(replace(TARGET, status="canceled"), REPLACED))
    told = desk.step(reported(
        after(seconds=1), orders=[bare], lookups={intent.client_order_id: gone}, positions=[held("AAPL", "10")]
    ))  # fmt: skip
    assert only(ev.IntentPlanned, told).intent.purpose is Purpose.PROTECT


def missed(at=AT, **parts):
    return reported(at, positions=[held("AAPL", "10")], **{"orders": [PARENT]} | parts)


def test_one_without_an_answer_is_sent_again_with_the_same_bytes_while_the_old_one_rests():
    desk, intent = desk_moving()
    coid = intent.client_order_id
    desk.step(ev.SubmitUnanswered(AT, coid, "timeout"))
    assert kinds(desk.step(missed(lookups={coid: None}))) == ["LookupMissed", "ResendPlanned"]
    desk.step(ev.SubmitRefused(AT, coid, "order parameters are not changed", False))
    assert desk.state.intents[coid].status is Status.UNKNOWN, "the first may be why"
    assert "ResendPlanned" not in kinds(desk.step(missed(lookups={coid: None})))


def test_one_that_was_refused_when_it_was_sent_again_is_given_up_for_that():
    desk, intent = desk_moving()
    coid = intent.client_order_id
    desk.step(ev.SubmitUnanswered(AT, coid, "timeout"))
    desk.step(missed(lookups={coid: None}))
    desk.step(ev.SubmitRefused(AT, coid, "order parameters are not changed", False))
    told: Any = None
    for seconds in (10, 20, 40):
        told = desk.step(missed(after(seconds=seconds), lookups={coid: None}))
    reason = only(ev.IntentVoided, told).reason
    assert reason.endswith("it was refused when it was sent again (order parameters are not changed)")


def test_one_without_an_answer_that_was_taken_is_found_as_a_leg():
    desk, intent = desk_moving()
    desk.step(ev.SubmitUnanswered(AT, intent.client_order_id, "timeout"))
    new = replace(PARENT, legs=(TARGET, successor(intent)))
    desk.step(missed(orders=[new], by_id={STOP.order_id: REPLACED}))
    assert desk.state.intents[intent.client_order_id].status is Status.WORKING
    assert desk.state.positions["AAPL"].stop_price == D(99)


@pytest.mark.parametrize("why", ["crossed", "closing", "sold", "the stop is gone"])
def test_it_is_not_sent_again_when_it_is_not_wanted_any_more(why):
    desk, intent = desk_moving()
    coid = intent.client_order_id
    desk.step(ev.SubmitUnanswered(AT, coid, "timeout"))
    parts: dict[str, Any] = {}
    if why == "crossed":
        desk.state.marks["AAPL"] = D("98.5")
    elif why == "closing":
        desk.state.exits["AAPL"] = "enough"
    elif why == "the stop is gone":
        parts = {"orders": [bracket_of(ENTRY, limit="new", stop="canceled")]}
    else:
        sold = bracket_of(ENTRY, limit="canceled", stop="filled")
        sold = replace(sold, legs=(sold.legs[0], replace(sold.legs[1], filled_qty=D(10))))
        parts = {"orders": [sold], "fills": [fill_of(sold.legs[1], "10", "98")]}
    assert "ResendPlanned" not in kinds(desk.step(missed(lookups={coid: None}, **parts)))


def test_one_whose_order_is_done_is_given_up_and_blocks_its_symbol_for_no_day():
    desk, intent = desk_moving()
    coid = intent.client_order_id
    desk.step(ev.SubmitUnanswered(AT, coid, "timeout"))
    sold = bracket_of(ENTRY, limit="canceled", stop="filled")
    sold = replace(sold, legs=(sold.legs[0], replace(sold.legs[1], filled_qty=D(10))))
    told: Any = None
    for seconds in (1, 20, 40):
        told = desk.step(reported(
            after(seconds=seconds), orders=[sold], lookups={coid: None}, fills=[fill_of(sold.legs[1], "10", "98")]
        ))  # fmt: skip
    voided = only(ev.IntentVoided, told)
    assert voided.reason.endswith("what it replaces is done")
    desk.step(bars_closed(after(minutes=1)))
    assert desk.state.open_intents("AAPL") == []


def test_one_whose_order_rests_is_watched_when_it_is_given_up():
    desk, intent = desk_moving()
    coid = intent.client_order_id
    desk.step(ev.SubmitUnanswered(AT, coid, "timeout"))
    desk.state.marks["AAPL"] = D("98.5")
    told: Any = None
    for seconds in (1, 20, 40):
        told = desk.step(missed(after(seconds=seconds), lookups={coid: None}))
    assert only(ev.IntentVoided, told).watch_until > after(hours=6)
    assert desk.state.open_intents("AAPL") != []


# -- by hand --------------------------------------------------------------------------------------


def by_hand(price: str = "95", **changes: Any) -> OrderReport:
    return replace(
        leg(PARENT, "stop", "new"), order_id="o-hand", client_order_id="uuid", replaces=STOP.order_id,
        stop_price=D(price), submitted_at=after(minutes=1), updated_at=after(minutes=1), **changes,
    )  # fmt: skip


def test_a_stop_moved_by_hand_is_ours_at_its_new_price_and_told_once():
    desk = Desk(state=holding()).opened()
    parts: dict[str, Any] = {
        "orders": [replace(PARENT, legs=(TARGET, by_hand()))], "positions": [held("AAPL", "10")],
        "by_id": {STOP.order_id: replace(REPLACED, replaced_by="o-hand")},
    }  # fmt: skip
    told = desk.step(reported(after(minutes=2), **parts))
    [item] = only(ev.Reconciled, told).discrepancies
    assert (item.kind, item.ours, item.broker) == ("leg moved", "10 at 98", "10 at 95")
    assert desk.state.positions["AAPL"].stop_price == D(95)
    assert protection(desk.state, desk.state.positions["AAPL"])[0] is Protection.PROTECTED
    assert "IntentPlanned" not in kinds(told), "not armed anew at the old price"
    assert kinds(desk.step(reported(after(minutes=3), reconcile=True, **parts))) in ([], ["Marked"])


def test_its_fill_is_booked_as_the_stops():
    desk = Desk(state=holding()).opened()
    done = by_hand(status="filled", filled_qty=D(10))
    orders = [replace(PARENT, legs=(replace(TARGET, status="canceled"), done))]
    desk.step(reported(
        after(minutes=2), orders=orders, by_id={STOP.order_id: REPLACED}, fills=[fill_of(done, "10", "95")]
    ))  # fmt: skip
    assert desk.state.positions == {}
    assert desk.state.closed_trades == 1


def test_an_order_replaced_by_hand_is_no_strangers_when_it_is_listed_by_itself():
    """The target of an OCO is the order of the intent: its successor has an id of Alpaca's and the stop below it."""
    desk = Desk(state=holding()).opened()
    new = replace(
        TARGET, order_id="o-hand", client_order_id="uuid", replaces=TARGET.order_id, limit_price=D(120), legs=(STOP,),
        submitted_at=after(minutes=1),
    )  # fmt: skip
    gone = replace(PARENT, legs=(replace(TARGET, status="replaced", replaced_by="o-hand"),))
    told = desk.step(reported(after(minutes=2), reconcile=True, orders=[gone, new], positions=[held("AAPL", "10")]))
    assert {i.kind for f in told.facts if isinstance(f, ev.Reconciled) for i in f.discrepancies} == {"leg moved"}
    assert desk.state.positions["AAPL"].target_price == D(120)
    assert protection(desk.state, desk.state.positions["AAPL"])[0] is Protection.PROTECTED


def test_a_chain_of_moves_is_followed_to_its_end():
    desk = Desk(state=holding()).opened()
    first = by_hand("95", status="replaced", replaced_by="o-last")
    last = replace(by_hand("94"), order_id="o-last", replaces="o-hand", submitted_at=after(minutes=2))
    desk.step(reported(
        after(minutes=3), orders=[replace(PARENT, legs=(TARGET, last))],
        by_id={STOP.order_id: replace(REPLACED, replaced_by="o-hand"), "o-hand": first},
        positions=[held("AAPL", "10")],
    ))  # fmt: skip
    desk.step(reported(
        after(minutes=4), orders=[replace(PARENT, legs=(TARGET, last))], positions=[held("AAPL", "10")]
    ))  # fmt: skip
    assert desk.state.positions["AAPL"].stop_price == D(94)
    assert protection(desk.state, desk.state.positions["AAPL"])[0] is Protection.PROTECTED


# -- a strategy -----------------------------------------------------------------------------------


def wishing(price: str) -> list[ev.Fact]:
    desk = Desk(state=holding()).opened()
    desk.strategy.proposals = [MoveStop("AAPL", D(price), "it rose")]
    return list(desk.step(bars_closed()).facts)


def test_a_strategy_brings_a_stop_closer():
    facts = wishing("99.50")
    intent = only(ev.IntentPlanned, facts).intent
    assert (intent.purpose, intent.stop_price, intent.reason) == (Purpose.REPLACE, D("99.50"), "it rose")


@pytest.mark.parametrize("price", ["97", "101"], ids=["further away", "past the price"])
def test_a_strategy_moves_no_stop_away_nor_past_the_price(price):
    denied = only(ev.Denied, wishing(price))
    assert (denied.code, denied.side) == (Code.BAD_STOP, Side.SELL)


def test_the_same_wish_again_is_nothing():
    assert kinds(wishing("98")) == ["Marked"]


def test_a_strategy_moves_the_stop_of_no_other():
    desk = Desk(state=holding()).opened()
    desk.strategy.proposals = [MoveStop("MSFT", D(99), "?"), MoveStop("AAPL", D(99), "?")]
    desk.strategy.name = "another"
    assert kinds(desk.step(bars_closed(AT + FIVE, symbols=("AAPL", "MSFT")))) == ["Marked"]
