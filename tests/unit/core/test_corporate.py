"""Splits are found in the broker's own row of a position, applied once and exactly; what else happens is told once."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gambler_ai.core import corporate, snapshot
from gambler_ai.core import events as ev
from gambler_ai.core.evolution import apply, evolve
from gambler_ai.core.model import Activity, Side
from gambler_ai.core.protection import Protection, plan, protection
from gambler_ai.core.state import SessionState
from tests.unit.fakes import (
    AT,
    DAY,
    SHUT,
    D,
    Desk,
    after,
    bracket_of,
    entry,
    fill_of,
    held,
    kinds,
    make_state,
    only,
    reading,
    reported,
)

NIGHT = after(hours=12)


def holding(qty: str = "10", side: Side = Side.BUY) -> SessionState:
    """So many at 100, stop 98 and target 104 (or 102 and 96), the bracket resting, the last trade at 100."""
    intent = entry(side=side, qty=qty)
    parent = bracket_of(intent, limit="new")
    state = make_state(day=DAY)
    evolve(state, [
        ev.IntentPlanned(AT, intent), ev.OrderUpdated(AT, parent), ev.FillReported(AT, fill_of(parent, qty)),
        ev.Marked(AT, {"AAPL": D(100)}, {}),
    ])  # fmt: skip
    return state


PARENT = bracket_of(entry(), limit="new")
CANCELED = bracket_of(entry(), limit="canceled", stop="canceled")


def activity(kind: str = "SPLIT", sub: str = "FSPLIT", at: datetime = NIGHT, **changes: Any) -> Activity:
    found = Activity("a-1", kind, sub, "AAPL", D(20), None, at)
    return replace(found, **changes)


def found(state: SessionState, qty: str, price: str, **parts: Any) -> list[ev.SplitApplied]:
    return corporate.splits(state, NIGHT, reading(positions=[held("AAPL", qty, price)], **parts))


# -- finding --------------------------------------------------------------------------------------

SHOWN = {
    "2 for 1": ("10", "20", "50", (2, 1)),
    "10 for 1": ("10", "100", "10", (10, 1)),
    "3 for 2": ("10", "15", "66.67", (3, 2)),
    "1 for 4": ("20", "5", "400", (1, 4)),
    "1 for 4, a fraction": ("10", "2.5", "400", (1, 4)),
    "7 for 1, an average of more places": ("10", "70", "14.2857142857", (7, 1)),
    "a stock dividend of 5 %": ("20", "21", "95.24", (21, 20)),
}


@pytest.mark.parametrize("case", SHOWN)
def test_a_split_shows_in_a_quantity_that_cost_the_same(case):
    ours, theirs, price, ratio = SHOWN[case]
    [split] = found(holding(ours), theirs, price)
    assert ((split.new, split.old), split.qty) == (ratio, D(theirs))


def test_a_short_is_split_as_well():
    [split] = found(holding(side=Side.SELL), "-20", "50")
    assert (split.new, split.old, split.qty) == (2, 1, D(-20))


NO_SPLIT = {
    "nothing changed": ("10", "100"),
    "sold by hand": ("5", "100"),
    "bought by hand": ("20", "99"),
    "bought by hand, far below": ("20", "75"),
    "one of many bought by hand": ("10.1", "100"),
    "turned": ("-20", "50"),
    "no price": ("20", "0"),
    "none held": ("0", "50"),
}


@pytest.mark.parametrize("case", NO_SPLIT)
def test_what_somebody_bought_or_sold_is_no_split(case):
    assert found(holding(), *NO_SPLIT[case]) == []


def test_two_hundred_and_one_more_by_hand_are_no_split():
    """The cost moves by half a percent only, as rounding might."""
    assert found(holding("200"), "201", "100") == []


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1_100, 20_000))
def test_no_purchase_at_any_sane_price_looks_like_a_split(ours, more, cents):
    price = D(cents) / 100
    average = (D(100) * ours + price * more) / (ours + more)
    assert found(holding(str(ours)), str(ours + more), f"{average:.4f}") == []


@given(st.integers(1, 500), st.integers(1, 20), st.integers(1, 20))
def test_every_split_without_a_fraction_is_found_to_its_ratio(shares, new, old):
    qty = shares * old
    if new == old:
        return
    ratio = D(new) / old
    [split] = found(holding(str(qty)), str(shares * new), f"{D(100) / ratio:.6f}")
    assert split.new * old == split.old * new


def test_a_part_paid_out_in_cash_needs_the_activity_and_is_booked_at_cost():
    assert found(holding(), "2", "400") == [], "eight may have been sold by hand"
    state = holding()
    [split] = found(state, "2", "400", actions=[activity(sub="RSPLIT")])
    assert (split.new, split.old, split.qty, split.activity_ids) == (1, 4, D(2), ("a-1",))
    apply(state, split)
    position = state.positions["AAPL"]
    assert (position.qty, position.avg_entry_price, position.exit_qty) == (D(2), D(400), D("0.5"))
    assert position.realized == 0
    assert position.exit_priced


def test_an_announced_split_that_is_none_is_none():
    assert found(holding(), "4", "100", actions=[activity()]) == []
    assert found(holding(), "1", "400", actions=[activity()]) == [], "more than a part of a share is missing"


def test_a_stop_that_filled_after_the_split_and_before_we_looked_is_told_from_it():
    """A leg of ten at the price before the split goes off at the open: ten of twenty are sold (alpaca-py#469)."""
    desk = Desk(state=holding())
    stopped = replace(PARENT.legs[1], status="filled", filled_qty=D(10), updated_at=NIGHT)
    orders = [replace(PARENT, legs=(replace(PARENT.legs[0], status="canceled", updated_at=NIGHT), stopped))]
    told = desk.step(reported(
        NIGHT, orders=orders, fills=[fill_of(stopped, "10", "49.50", at=NIGHT)], positions=[held("AAPL", "10", "50")]
    ))  # fmt: skip
    assert kinds(told)[:3] == ["SplitApplied", "OrderUpdated", "FillReported"]
    assert (desk.state.positions["AAPL"].qty, desk.state.realized_pnl) == (D(10), D(-5))


def test_a_fill_that_is_on_its_way_is_no_split():
    """The position shows ten, of which four are booked and six come with this very reading."""
    state = make_state(day=DAY)
    part = bracket_of(entry(), "partially_filled", "4")
    evolve(state, [ev.IntentPlanned(AT, entry()), ev.OrderUpdated(AT, part), ev.FillReported(AT, fill_of(part, "4"))])
    assert found(state, "10", "100", fills=[fill_of(part, "4"), fill_of(part, "6", number=2)]) == []
    assert found(state, "10", "100", fills=[fill_of(part, "4")]) == [], "nor one that is not told yet"


# -- what it does ---------------------------------------------------------------------------------


def test_prices_go_through_the_ratio_to_the_penny_and_what_it_cost_stays():
    state = holding()
    apply(state, ev.SplitApplied(NIGHT, "AAPL", 3, 1, D(30), "?"))
    position = state.positions["AAPL"]
    assert (position.qty, position.entry_qty, position.entry_value) == (D(30), D(30), D(1000))
    assert (position.stop_price, position.target_price) == (D("32.67"), D("34.67"))
    assert position.avg_entry_price == D("33.333333333")
    assert "AAPL" not in state.marks, "nobody knows of which side of the split it is"
    assert snapshot.load(snapshot.dump(state), snapshot.STATE_VERSION) == state


def test_a_round_trip_through_a_split_is_worth_what_it_was_worth():
    state = holding()
    apply(state, ev.SplitApplied(NIGHT, "AAPL", 2, 1, D(20), "?"))
    stop = replace(PARENT.legs[1], status="filled", filled_qty=D(20), qty=D(20))
    apply(state, ev.OrderUpdated(NIGHT, replace(PARENT, legs=(PARENT.legs[0], stop))))
    changes = apply(state, ev.FillReported(NIGHT, fill_of(stop, "20", "49", at=NIGHT)))
    [trade] = changes.closed
    assert (trade.qty, trade.entry_price, trade.exit_price, trade.pnl) == (D(20), D(50), D(49), D(-20))


def test_what_rests_from_before_is_canceled_and_both_prices_are_set_anew():
    desk = Desk(state=holding())
    two = [held("AAPL", "20", "50")]
    told = desk.step(reported(NIGHT, orders=[PARENT], positions=two))
    assert [f.order_id for f in told.facts if isinstance(f, ev.CancelPlanned)] == [o.order_id for o in PARENT.legs]
    assert only(ev.CancelPlanned, told.facts[-1:]).reason == "priced before the split"
    assert "IntentPlanned" not in kinds(told), "the shares are held by what rests"
    again = desk.step(reported(after(hours=12, seconds=1), orders=[CANCELED], positions=two))
    assert "SplitApplied" not in kinds(again)
    body = json.loads(only(ev.IntentPlanned, again).intent.body)
    assert (body["qty"], body["stop_loss"], body["take_profit"]) == (
        "20", {"stop_price": "49.00"}, {"limit_price": "52.00"}
    )  # fmt: skip


def test_a_leg_whose_quantity_the_broker_scaled_is_no_protection_at_its_old_price():
    """Twenty at 98 when the market is at 50: it would go off at once (alpaca-py#469)."""
    state = holding()
    scaled = replace(PARENT, legs=tuple(replace(o, qty=D(20), updated_at=NIGHT) for o in PARENT.legs))
    desk = Desk(state=state)
    told = desk.step(reported(NIGHT, orders=[scaled], positions=[held("AAPL", "20", "50")]))
    assert "IntentDisputed" not in kinds(told)
    assert protection(state, state.positions["AAPL"])[0] is not Protection.PROTECTED
    assert kinds(told).count("CancelPlanned") == 2


def test_in_the_night_what_is_being_canceled_is_waited_for():
    """It ends at the open, and holds the shares until then: an order now would be refused again and again."""
    desk = Desk(state=holding())
    shut: dict[str, Any] = {"market": SHUT, "positions": [held("AAPL", "20", "50")]}
    desk.step(reported(NIGHT, orders=[PARENT], **shut))
    pending = bracket_of(entry(), limit="pending_cancel", stop="pending_cancel")
    for minutes in (1, 5, 60):
        told = desk.step(reported(after(hours=12, minutes=minutes), orders=[pending], **shut))
        assert not {"IntentPlanned", "CancelPlanned"} & set(kinds(told))
    told = desk.step(reported(after(hours=23), orders=[CANCELED], positions=[held("AAPL", "20", "50")]))
    assert only(ev.IntentPlanned, told).intent.qty == D(20)


def test_an_old_price_closes_nothing_after_a_split():
    """A short of ten at 100, split two for one, with the last trade at 100: its stop at 51 is not crossed."""
    desk = Desk(state=holding(side=Side.SELL))
    short = [ev.PositionReport("AAPL", D(-20), D(50), D(50))]
    gone = bracket_of(entry(side=Side.SELL), limit="canceled", stop="canceled")
    told = desk.step(reported(NIGHT, reconcile=True, orders=[gone], positions=short))
    assert "SplitApplied" in kinds(told)
    assert only(ev.IntentPlanned, told).intent.purpose == "protect"


# -- announced ------------------------------------------------------------------------------------


def test_while_a_split_is_announced_and_does_not_show_nothing_is_sent_in_its_symbol():
    state = holding()
    evolve(state, [ev.OrderUpdated(NIGHT, CANCELED)])
    desk = Desk(state=state)
    parts: dict[str, Any] = {"positions": [held("AAPL", "10")], "orders": [CANCELED], "actions": [activity()]}
    assert not {"IntentPlanned", "ActionNoted"} & set(kinds(desk.step(reported(NIGHT, **parts))))
    told = desk.step(reported(NIGHT + corporate.FREEZE, **parts))
    assert only(ev.ActionNoted, told).action.activity_id == "a-1"
    assert "IntentPlanned" in kinds(told)


def test_one_that_was_applied_freezes_nothing():
    desk = Desk(state=holding())
    parts: dict[str, Any] = {"positions": [held("AAPL", "20", "50")], "actions": [activity()]}
    assert only(ev.SplitApplied, desk.step(reported(NIGHT, orders=[PARENT], **parts))).activity_ids == ("a-1",)
    told = desk.step(reported(after(hours=12, seconds=1), orders=[CANCELED], **parts))
    assert "IntentPlanned" in kinds(told)
    assert desk.state.actions == ["a-1"]


@pytest.mark.parametrize(
    ("kind", "sub", "says"),
    [("DIV", "CDIV", "cash"), ("NC", "SNC", "look"), ("SPIN", "", "look"), ("SPLIT", "FSPLIT", "shows nothing")],
)
def test_what_else_happens_to_what_is_held_is_told_once(kind, sub, says):
    desk = Desk(state=holding())
    late = NIGHT + corporate.FREEZE
    parts: dict[str, Any] = {"orders": [PARENT], "positions": [held("AAPL", "10")], "actions": [activity(kind, sub)]}
    told = desk.step(reported(late, **parts))
    assert says in corporate.effect(only(ev.ActionNoted, told).action)
    assert "ActionNoted" not in kinds(desk.step(reported(late, **parts)))
    again = Desk(state=snapshot.load(snapshot.dump(desk.state), snapshot.STATE_VERSION))
    assert "ActionNoted" not in kinds(again.step(reported(late, **parts)))


def test_what_happened_before_we_held_it_or_to_others_is_not_ours():
    desk = Desk(state=holding())
    parts = [activity(at=after(minutes=-1)), activity(symbol="MSFT", activity_id="a-2")]
    assert kinds(desk.step(reported(NIGHT, orders=[PARENT], positions=[held("AAPL", "10")], actions=parts))) == []


def test_a_position_that_a_company_took_away_is_explained_by_it():
    desk = Desk(state=holding())
    merged = [activity("MA", "CMA")]
    desk.step(reported(NIGHT, reconcile=True, actions=merged))
    told = desk.step(reported(NIGHT, reconcile=True, actions=merged))
    [item] = [i for f in told.facts if isinstance(f, ev.Reconciled) for i in f.discrepancies if "gone" in i.kind]
    assert item.cause == "a corporate action (MA)"
    assert only(ev.Adjusted, told).qty == 0


def test_a_dividend_explains_no_quantity():
    desk = Desk(state=holding())
    paid = reported(NIGHT, reconcile=True, actions=[activity("DIV", "CDIV")])
    desk.step(paid)
    assert "Adjusted" not in kinds(desk.step(paid))


def test_a_replay_is_the_state():
    desk = Desk(state=holding())
    desk.step(reported(NIGHT, orders=[PARENT], positions=[held("AAPL", "20", "50")], actions=[activity("DIV")]))
    again = holding()
    evolve(again, desk.facts)
    assert snapshot.dump(again) == snapshot.dump(desk.state)
    assert plan(again, NIGHT, True) == []


# -- a broker that adjusts what rests -------------------------------------------------------------


def adjusted(qty: str, stop: str, target: str) -> dict[str, Any]:
    """The legs were replaced at the split, as an order "updated due to a market event" is."""
    new = tuple(
        replace(
            o, order_id=f"{o.order_id}-2", client_order_id=f"{o.client_order_id}-2", replaces=o.order_id, qty=D(qty),
            submitted_at=NIGHT, updated_at=NIGHT, stop_price=o.stop_price and D(stop),
            limit_price=o.limit_price and D(target),
        )
        for o in PARENT.legs
    )  # fmt: skip
    old = {o.order_id: replace(o, status="replaced", replaced_by=f"{o.order_id}-2") for o in PARENT.legs}
    return {"orders": [replace(PARENT, legs=new)], "by_id": old, "positions": [held("AAPL", qty, "50")]}


def test_orders_that_the_broker_adjusted_protect_and_nothing_is_sent():
    desk = Desk(state=holding())
    told = desk.step(reported(NIGHT, **adjusted("20", "49", "52")))
    assert not {"CancelPlanned", "IntentPlanned", "Reconciled"} & set(kinds(told))
    assert protection(desk.state, desk.state.positions["AAPL"])[0] is Protection.PROTECTED
    assert desk.state.positions["AAPL"].stop_price == D("49.00")


def test_orders_of_which_it_adjusted_the_quantity_only_are_canceled():
    """As accounts have seen it: twenty to be sold at 98 when the market is at 50 (alpaca-py#469)."""
    desk = Desk(state=holding())
    told = desk.step(reported(NIGHT, **adjusted("20", "98", "104")))
    assert kinds(told).count("CancelPlanned") == 2
    assert desk.state.positions["AAPL"].stop_price == D("49.00"), "not the one of before"


def test_an_adjusted_stop_that_has_filled_before_we_looked_closes_it_all():
    """Activities only tell it: the position is gone."""
    desk = Desk(state=holding())
    parts = adjusted("20", "49", "52")
    [parent] = parts["orders"]
    done = replace(parent.legs[1], status="filled", filled_qty=D(20))
    parts["orders"] = [replace(parent, legs=(replace(parent.legs[0], status="canceled"), done))]
    parts["positions"] = []
    rows = [activity(qty=D(-10)), activity(activity_id="a-2", qty=D(20))]
    desk.step(reported(NIGHT, fills=[fill_of(done, "20", "49")], actions=rows, **parts))
    assert desk.state.positions == {}
    assert (desk.state.closed_trades, desk.state.realized_pnl) == (1, D(-20))
    assert desk.state.actions == ["a-1", "a-2"]


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
def test_what_is_gone_is_no_split_however_little_would_be_left(side):
    """One share in a reverse split is less than one: that it is gone is a difference, and no position of nothing."""
    sign = side.sign
    told = [
        activity(activity_id="a-1", qty=D(-1) * sign),
        activity(activity_id="a-2", qty=D("0.1") * sign),
    ]
    assert corporate.splits(holding("1", side), NIGHT, reading(actions=told)) == []


def test_two_activities_that_the_position_does_not_bear_out_are_waited_for():
    rows = [activity(qty=D(-10)), activity(activity_id="a-2", qty=D(20))]
    assert found(holding(), "10", "100", actions=rows) == []
    assert found(holding(), "15", "66.67", actions=[*rows])[0].new == 3, "its own row knows better"


def test_an_entry_that_filled_before_the_split_and_is_booked_after_it():
    state = make_state(day=DAY)
    part = bracket_of(entry(), "partially_filled", "4")
    evolve(state, [ev.IntentPlanned(AT, entry()), ev.OrderUpdated(AT, part), ev.FillReported(AT, fill_of(part, "4"))])
    desk = Desk(state=state)
    told = desk.step(reported(
        NIGHT, orders=[PARENT], fills=[fill_of(part, "6", number=2)], positions=[held("AAPL", "20", "50")]
    ))  # fmt: skip
    assert [k for k in kinds(told) if k in ("FillReported", "SplitApplied")] == ["FillReported", "SplitApplied"]
    assert desk.state.positions["AAPL"].stop_price == D("49.00")
