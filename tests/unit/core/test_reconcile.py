"""Our books against the broker's: each kind of difference, its cause, what is done, and what is left alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core import reconcile
from gambler_ai.core.evolution import apply, evolve
from gambler_ai.core.model import Fill, Side
from gambler_ai.core.orders import Status
from gambler_ai.core.reconcile import GONE_PATIENCE, UNEXPLAINED_PATIENCE, Kind
from tests.unit.fakes import (
    AT,
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
    report_of,
    reported,
)

COID = entry().client_order_id
PARENT = bracket_of(entry(), limit="new")


def bought():
    state = make_state()
    evolve(state, [
        ev.IntentPlanned(AT, entry()), ev.OrderUpdated(AT, PARENT), ev.FillReported(AT, fill_of(PARENT, "10"))
    ])  # fmt: skip
    return state


def found(state, known=(), **parts):
    return reconcile.diff(state, reading(**parts), known)


def by_hand(side: Side = Side.SELL, minutes: float = 1, qty: str = "10", price: str = "97") -> Fill:
    return Fill("act-hand", "o-hand", "AAPL", side, D(qty), D(price), after(minutes=minutes))


# name -> (our books, the reading) -> the one difference
CASES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "gone": ({}, (Kind.GONE, "10", "0", "no fill explains it", "closed in our books")),
    "gone, explained": (
        {"fills": [by_hand()]}, (Kind.GONE, "10", "0", "filled by order o-hand, not ours", "closed in our books"),
    ),
    "less": (
        {"positions": [held("AAPL", "4")]}, (Kind.QUANTITY, "10", "4", "no fill explains it", "our quantity set to 4"),
    ),
    "more": (
        {"positions": [held("AAPL", "12")]},
        (Kind.QUANTITY, "10", "12", "bought or sold by hand or by another program",
         "2 not ours: left alone, entries blocked"),
    ),
    "other side": (
        {"positions": [held("AAPL", "-5")]},
        (Kind.SIDE, "10", "-5", "no fill explains it", "closed in our books; what the broker holds is not ours"),
    ),
    "price": (
        {"positions": [held("AAPL", "10", "100.02")]},
        (Kind.PRICE, "100", "100.02", "the broker averages in another way", "ours kept: it comes from the fills"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_difference_in_a_position_of_ours(case):
    parts, expected = CASES[case]
    [item] = found(bought(), orders=[PARENT], **parts)
    assert (item.kind, item.ours, item.broker, item.cause, item.action) == expected
    assert item.symbol == "AAPL"


def test_equal_books_differ_in_nothing():
    assert found(bought(), orders=[PARENT], positions=[held("AAPL", "10", "100.01")]) == []
    assert found(make_state()) == []
    assert found(make_state(), positions=[held("IBM", "0")]) == []


def test_a_position_we_never_opened_is_left_alone():
    [item] = found(make_state(), positions=[held("IBM", "-3")])
    assert (item.kind, item.ours, item.broker, item.cause, item.action) == (
        Kind.UNKNOWN_AT_OURS, "0", "-3", "not opened by this session", "left alone; entries in it blocked",
    )  # fmt: skip


def test_fills_under_way_are_no_difference():
    state = make_state()
    evolve(state, [ev.IntentPlanned(AT, entry()), ev.OrderUpdated(AT, PARENT)])
    assert found(state, orders=[PARENT], positions=[held("AAPL", "10")]) == []
    assert reconcile.foreign_quantities(state, AT, reading(positions=[held("AAPL", "10")])) is None


def test_a_missing_leg_is_named():
    state = bought()
    apply(state, ev.OrderUpdated(AT, bracket_of(entry(), limit="canceled", stop="canceled")))
    [item] = found(state, positions=[held("AAPL", "10")])
    assert (item.kind, item.ours, item.broker, item.action) == (
        Kind.LEG_MISSING, "10", "a stop covers 0 of 10", "NAKED: stop and target re-armed",
    )  # fmt: skip


def strange(coid: str, status: str):
    return replace(report_of(entry("IBM"), status), client_order_id=coid, order_id="o-strange")


@pytest.mark.parametrize(
    ("coid", "status", "kind", "action"),
    [
        ("by-hand", "new", Kind.ORDER_UNKNOWN, "left alone"),
        ("by-hand", "filled", None, ""),
        ("by-hand", "canceled", None, ""),
        ("ga1-elsewhere", "new", Kind.OTHER_DATABASE, "halt"),
        ("ga1-elsewhere", "filled", None, ""),
        ("ga1-elsewhere", "canceled", None, ""),
        ("ga1-earlier", "filled", None, ""),
        ("ga1-earlier", "new", None, ""),
        (COID, "filled", None, ""),
    ],
)
def test_an_order_without_an_intent(coid, status, kind, action):
    items = found(bought(), {"ga1-earlier"}, orders=[strange(coid, status)], positions=[held("AAPL", "10")])
    assert [(i.kind, i.action, i.symbol, i.order_id) for i in items] == (
        [(kind, action, "IBM", "o-strange")] if kind else []
    )


@pytest.mark.parametrize(("stop", "halts"), [("held", True), ("new", True), ("canceled", False), ("filled", False)])
def test_a_done_order_of_another_database_halts_while_a_leg_of_it_lives(stop, halts):
    order = replace(bracket_of(entry("IBM"), limit="canceled", stop=stop), client_order_id="ga1-elsewhere")
    items = found(bought(), orders=[order], positions=[held("AAPL", "10")])
    assert [i.kind for i in items] == ([Kind.OTHER_DATABASE] if halts else [])


def test_a_leg_of_ours_that_is_listed_alone_is_no_stranger():
    assert found(bought(), orders=[PARENT.legs[1]], positions=[held("AAPL", "10")]) == []


def test_an_order_the_broker_has_forgotten_is_named_one_never_answered_is_not():
    [item] = found(bought(), lookups={COID: None, "ga1-other": None}, positions=[held("AAPL", "10")])
    assert (item.kind, item.ours, item.order_id, item.action) == (
        Kind.ORDER_GONE, "filled", COID, "not counted as protection",
    )  # fmt: skip
    state = make_state()
    evolve(state, [ev.IntentPlanned(AT, entry()), ev.IntentUnknown(AT, COID, "?")])
    assert found(state, lookups={COID: None}) == []


# -- what explains it -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fills", "explained"),
    [
        ([by_hand()], True),
        ([by_hand(side=Side.BUY)], False),
        ([by_hand(minutes=-1)], False),
        ([replace(by_hand(), symbol="MSFT")], False),
        ([replace(by_hand(), order_id=PARENT.legs[0].order_id)], False),
        ([replace(by_hand(), order_id=PARENT.order_id)], False),
        ([replace(by_hand(), activity_id="1", order_id="o-first"), by_hand()], True),
    ],
    ids=["sold by hand", "bought", "before the entry", "other symbol", "our leg", "our parent", "the newest"],
)
def test_only_a_later_fill_of_anothers_on_the_exit_side_explains(fills, explained):
    fill = reconcile.foreign_fill(bought().positions["AAPL"], reading(orders=[PARENT], fills=fills))
    assert (fill.order_id if fill else None) == ("o-hand" if explained else None)


# -- what is done ---------------------------------------------------------------------------------


def compare(desk: Desk, at=AT, **parts):
    return desk.step(reported(at, reconcile=True, orders=[PARENT], **parts))


def holding() -> Desk:
    desk = Desk()
    desk.holding()
    return desk


def test_one_reading_alone_heals_nothing_and_asks_for_another():
    desk = holding()
    first = compare(desk, fills=[by_hand()])
    assert first.look_again
    assert [d.kind for d in first.discrepancies] == [Kind.GONE]
    assert not {"Adjusted", "Reconciled"} & set(kinds(first))
    second = compare(desk, after(seconds=1), fills=[by_hand()])
    assert not second.look_again
    # The legs that rest for what is gone are asked to go as well.
    assert kinds(second)[-4:] == ["Adjusted", "Reconciled", "CancelPlanned", "CancelPlanned"]
    assert desk.state.positions == {}


def test_what_no_fill_explains_is_told_at_the_second_reading_and_healed_when_patience_is_over():
    desk = holding()
    assert compare(desk).look_again
    assert kinds(compare(desk, after(seconds=1))) == ["Reconciled"]
    assert kinds(compare(desk, AT + UNEXPLAINED_PATIENCE - timedelta(seconds=1))) == []
    assert desk.state.positions["AAPL"].qty == D(10)
    healed = compare(desk, AT + UNEXPLAINED_PATIENCE)
    assert kinds(healed) == ["Adjusted", "CancelPlanned", "CancelPlanned"]
    assert only(ev.Adjusted, healed).price is None


def test_patience_begins_anew_with_a_difference_that_was_away():
    desk = holding()
    compare(desk)
    compare(desk, after(minutes=1), positions=[held("AAPL", "10")])
    compare(desk, after(minutes=2))
    assert "Adjusted" not in kinds(compare(desk, AT + UNEXPLAINED_PATIENCE + timedelta(minutes=1)))
    assert "Adjusted" in kinds(compare(desk, AT + UNEXPLAINED_PATIENCE + timedelta(minutes=2)))


def test_a_fill_that_explains_ends_the_wait():
    """Another cause is the same difference: it was seen before, and now it is known why."""
    desk = holding()
    compare(desk)
    assert only(ev.Adjusted, compare(desk, after(minutes=2), fills=[by_hand()])).price == D(97)


def test_readings_that_disagree_heal_nothing():
    desk = holding()
    compare(desk)
    other = compare(desk, positions=[held("AAPL", "4")])
    assert other.look_again
    assert "Adjusted" not in kinds(other)
    assert compare(desk, positions=[held("AAPL", "10")]).discrepancies == ()
    assert desk.state.positions["AAPL"].qty == D(10)


@pytest.mark.parametrize(
    ("parts", "left", "price"),
    [
        ({}, None, None),
        ({"fills": [by_hand()]}, None, D(97)),
        ({"positions": [held("AAPL", "4")]}, D(4), None),
        ({"positions": [held("AAPL", "4")], "fills": [by_hand(qty="6")]}, D(4), D(97)),
        ({"positions": [held("AAPL", "-5")]}, None, None),
        ({"positions": [held("AAPL", "12")]}, D(10), None),
        ({"positions": [held("AAPL", "10", "50")]}, D(10), None),
    ],
    ids=["gone", "gone with a fill", "less", "less with a fill", "other side", "more", "price"],
)
def test_our_quantity_becomes_the_brokers_but_only_ever_shrinks(parts, left, price):
    desk = holding()
    compare(desk, **parts)
    decisions = compare(desk, after(seconds=1) if "fills" in parts else AT + UNEXPLAINED_PATIENCE, **parts)
    position = desk.state.positions.get("AAPL")
    assert (position.qty if position else None) == left
    adjusted = [f for f in decisions.facts if isinstance(f, ev.Adjusted)]
    assert [f.price for f in adjusted] == ([price] if left != D(10) else [])
    assert only(ev.Reconciled, decisions).discrepancies
    assert "FillReported" not in kinds(decisions)  # fills are never invented
    assert desk.state.fills == 1


def test_a_difference_is_written_down_once_while_it_lasts_and_again_when_it_returns():
    desk = Desk()
    more = {"positions": [held("IBM", "3")]}
    assert "Reconciled" not in kinds(compare(desk, **more))
    assert "Reconciled" in kinds(compare(desk, **more))
    assert "Reconciled" not in kinds(compare(desk, **more))
    compare(desk)
    compare(desk, **more)
    assert "Reconciled" in kinds(compare(desk, **more))


def test_foreign_quantities_are_shown_when_they_change():
    desk = holding()
    assert only(ev.ForeignSeen, compare(desk, positions=[held("AAPL", "12"), held("IBM", "-3")])).qty == {
        "AAPL": D(2), "IBM": D(-3),
    }  # fmt: skip
    assert "ForeignSeen" not in kinds(compare(desk, positions=[held("AAPL", "12"), held("IBM", "-3")]))
    assert only(ev.ForeignSeen, compare(desk, positions=[held("AAPL", "10")])).qty == {}


def test_a_shortage_is_no_foreign_quantity():
    """Six of our ten are gone: nothing in the account is anybody else's."""
    desk = holding()
    for seconds in (0, 1, 2):
        compare(desk, after(seconds=seconds), positions=[held("AAPL", "4")])
        assert desk.state.foreign == {}


def test_the_other_side_is_foreign_as_much_as_the_broker_holds_of_it():
    desk = holding()
    compare(desk, positions=[held("AAPL", "-5")])
    compare(desk, positions=[held("AAPL", "-5")])
    assert desk.state.foreign == {"AAPL": D(-5)}


def test_foreign_quantities_are_kept_while_fills_are_under_way():
    state = make_state(foreign={"AAPL": D(2)})
    evolve(state, [ev.IntentPlanned(AT, entry()), ev.OrderUpdated(AT, PARENT)])
    seen = reconcile.foreign_quantities(state, AT, reading(positions=[held("AAPL", "12"), held("IBM", "1")]))
    assert seen is not None
    assert seen.qty == {"AAPL": D(2), "IBM": D(1)}


def test_an_order_that_stays_gone_is_disputed_and_its_position_protected_anew():
    desk = holding()
    parts: dict[str, Any] = {"lookups": {COID: None}, "positions": [held("AAPL", "10")]}
    record = desk.state.intents[COID]
    desk.state.intents[COID] = replace(record, status=Status.WORKING)
    assert desk.step(reported(AT, reconcile=True, **parts)).look_again
    for at in (after(seconds=1), AT + GONE_PATIENCE - timedelta(seconds=1)):
        assert "IntentDisputed" not in kinds(desk.step(reported(at, reconcile=True, **parts)))
    decisions = desk.step(reported(AT + GONE_PATIENCE, reconcile=True, **parts))
    assert "IntentDisputed" in kinds(decisions)
    assert only(ev.IntentPlanned, decisions).intent.purpose == "protect"
    again = desk.step(reported(AT + GONE_PATIENCE + timedelta(seconds=1), reconcile=True, **parts))
    assert "IntentDisputed" not in kinds(again)


def test_a_bracket_that_is_gone_after_its_entry_filled_does_not_count_as_protection():
    """The paper account was wiped of its orders: the legs of a filled entry are gone with it."""
    desk = holding()
    parts: dict[str, Any] = {"lookups": {COID: None}, "positions": [held("AAPL", "10")]}
    for at in (AT, after(seconds=1), AT + GONE_PATIENCE - timedelta(seconds=1)):
        assert not {"IntentDisputed", "IntentPlanned"} & set(kinds(desk.step(reported(at, reconcile=True, **parts))))
    decisions = desk.step(reported(AT + GONE_PATIENCE, reconcile=True, **parts))
    assert {"IntentDisputed", "IntentPlanned"} <= set(kinds(decisions))


def test_a_disputed_order_that_is_reported_as_it_was_asked_for_is_adopted():
    desk = holding()
    desk.record(ev.IntentDisputed(AT, COID, "the broker no longer knows it"))
    other = replace(PARENT, qty=D(11))
    assert kinds(desk.step(reported(orders=[other], positions=[held("AAPL", "10")])))[:1] != ["OrderUpdated"]
    assert desk.state.intents[COID].status is Status.DISPUTED
    decisions = desk.step(reported(orders=[PARENT], positions=[held("AAPL", "10")]))
    assert kinds(decisions)[0] == "OrderUpdated"
    assert desk.state.intents[COID].status is Status.FILLED
    assert kinds(desk.step(reported(orders=[PARENT], positions=[held("AAPL", "10")]))).count("OrderUpdated") == 0


def test_fills_are_booked_in_the_order_they_happened():
    state = bought()
    one = fill_of(PARENT.legs[1], "1", number=3, at=after(seconds=1))
    two = fill_of(PARENT.legs[1], "1", number=1, at=after(seconds=2))
    three = fill_of(PARENT.legs[1], "1", number=2, at=after(seconds=2))
    fills = reconcile.unbooked_fills(state, reading(fills=[three, two, fill_of(PARENT, "10"), one]))
    assert fills == [one, two, three]


quantities = st.integers(-20, 20).map(D)


@given(quantities.filter(bool), quantities, st.booleans())
def test_after_two_readings_or_the_patience_our_books_never_hold_more_than_the_broker(ours, theirs, filled):
    side = Side.BUY if ours > 0 else Side.SELL
    intent = entry(side=side, qty=str(abs(ours)))
    parent = bracket_of(intent, limit="new")
    desk = Desk()
    desk.record(
        ev.IntentPlanned(AT, intent), ev.OrderUpdated(AT, parent),
        ev.FillReported(AT, fill_of(parent, str(abs(ours)))),
    )  # fmt: skip
    positions = [held("AAPL", str(theirs))] if theirs else []
    fills = [by_hand(side.opposite)] if filled else []

    def seen(at) -> D:
        desk.step(reported(at, reconcile=True, orders=[parent], positions=positions, fills=fills))
        position = desk.state.positions.get("AAPL")
        return position.qty if position else D(0)

    assert seen(AT) == ours
    if not filled:
        assert seen(AT + UNEXPLAINED_PATIENCE - timedelta(seconds=1)) == ours
    left = min(abs(theirs), abs(ours)) * side.sign if theirs * ours > 0 else D(0)
    assert seen(after(seconds=1) if filled else AT + UNEXPLAINED_PATIENCE) == left
    assert desk.state.fills == 1


def test_an_account_is_not_taken_to_be_empty_by_a_reading_of_the_last_minutes_only():
    """The fills that we booked are older; the next reading goes back to the first of them."""
    desk = holding()
    shown = [bracket_of(entry(), limit="new")]
    desk.step(reported(reconcile=True, orders=shown, positions=[held("AAPL", "10")]))
    assert desk.engine.read_to == AT
    parts: dict[str, Any] = {"lookups": {COID: None}, "reconcile": True}
    decisions = desk.step(reported(after(seconds=15), **parts))
    assert not [d for d in decisions.discrepancies if d.kind in reconcile.HALTING]
    assert decisions.look_again
    decisions = desk.step(reported(after(seconds=16), **parts))
    assert [d.kind for d in decisions.discrepancies if d.kind in reconcile.HALTING] == ["account reset"]


def test_an_account_that_was_emptied_halts_and_closes_nothing():
    desk = holding()
    parts: dict[str, Any] = {"lookups": {COID: None}, "reconcile": True}
    decisions = desk.step(reported(**parts))
    assert [d.kind for d in decisions.discrepancies if d.kind in reconcile.HALTING] == ["account reset"]
    assert "AAPL" in desk.state.positions


@pytest.mark.parametrize(
    "sign",
    [{"lookups": {}}, {"lookups": {COID: PARENT}}, {"positions": [held("AAPL", "1")]},
     {"fills": [fill_of(PARENT, "10")]}],
    ids=["not looked up", "an order is there", "a position is there", "a fill is there"],
)  # fmt: skip
def test_one_sign_of_life_and_the_account_is_ours(sign):
    decisions = holding().step(reported(**{"lookups": {COID: None}, "reconcile": True} | sign))
    assert not [d for d in decisions.discrepancies if d.kind in reconcile.HALTING]


def test_a_leg_that_only_its_own_id_finds_no_more_is_gone():
    desk = holding()
    lost = PARENT.legs[1].order_id
    parts: dict[str, Any] = {"orders": [replace(PARENT, legs=(PARENT.legs[0],))], "positions": [held("AAPL", "10")]}
    decisions = desk.step(reported(reconcile=True, by_id={lost: None, "o-other": None}, **parts))
    assert [(d.kind, d.order_id) for d in decisions.discrepancies] == [("order gone", COID)]
