"""Structures against the broker's report: orders of several contracts, legs by hand, splits, a reset account."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gambler_ai.core import corporate, reconcile
from gambler_ai.core import events as ev
from gambler_ai.core.evolution import apply, evolve
from gambler_ai.core.model import Fill, Side
from gambler_ai.core.orders import IntentRecord
from gambler_ai.core.reconcile import Kind, is_as_asked
from gambler_ai.core.state import SETTLED_KEPT
from tests.unit.fakes import AT, D, after, reading
from tests.unit.spreads import (
    C100,
    C105,
    COID,
    VERTICAL,
    activity,
    bare_state,
    entry_of,
    exit_of,
    fills_of,
    holding,
    positions,
    report_of,
    structure_of,
)

ENTRY = entry_of(structure_of(VERTICAL, 2))
REPORT = report_of(ENTRY, VERTICAL, "new")
CREDIT = replace(structure_of(VERTICAL, 2), entry_price=D("-1.20"))


def legs(**changes):
    first, second = REPORT.legs
    return {"legs": (replace(first, **changes), second)}


def test_an_order_of_several_contracts_is_as_asked_a_credit_too_and_one_whose_legs_are_not_told():
    assert is_as_asked(IntentRecord(ENTRY), REPORT)
    assert is_as_asked(IntentRecord(ENTRY), replace(REPORT, legs=()))
    assert is_as_asked(IntentRecord(entry_of(CREDIT)), report_of(entry_of(CREDIT), VERTICAL, "new"))
    out = exit_of(structure_of(VERTICAL, 2))
    assert is_as_asked(IntentRecord(out), report_of(out, VERTICAL, "new"))


@pytest.mark.parametrize(
    "changes",
    [
        {"symbol": "MSFT"}, {"side": Side.SELL}, {"qty": D(1)}, {"type": "market"}, {"limit_price": D("-2.10")},
        {"order_class": "simple"}, legs(symbol="AAPL081017C00110000"), legs(side=Side.SELL), legs(qty=D(4)),
        {"legs": REPORT.legs[:1]},
    ],
    ids=["symbol", "side", "units", "type", "credit", "class", "contract", "leg side", "ratio", "a leg less"],
)  # fmt: skip
def test_another_order_of_several_contracts_under_our_id_is_not_what_we_asked_for(changes):
    assert not is_as_asked(IntentRecord(ENTRY), replace(REPORT, **changes))


def test_equal_books_differ_in_nothing_and_no_leg_is_naked():
    state = holding(VERTICAL, 2)
    assert reconcile.diff(state, reading(positions=positions({C100: 2, C105: -2})), ()) == []
    assert reconcile.bare(state, market_open=True) == []


def test_a_structure_of_which_a_leg_is_gone_is_uneven_until_it_is_even_again():
    state = holding(VERTICAL, 2)
    fill = Fill("act-hand", "o-hand", C105, Side.BUY, D(2), D("0.40"), after(minutes=5))
    report = reading(positions=positions({C100: 2}), fills=[fill])
    [gone] = reconcile.diff(state, report, ())
    evolve(state, reconcile.heal(state, after(minutes=6), report, [gone]))
    [item] = reconcile.diff(state, report, ())
    assert (item.kind, item.symbol, item.order_id) == (Kind.STRUCTURE_BROKEN, "AAPL", COID)
    assert (item.ours, item.broker) == (f"2 {C100}, 0 {C105}", f"2 {C100}, 0 {C105}")
    assert "closed by hand" in item.cause
    apply(state, ev.IntentPlanned(after(minutes=7), exit_of(state.structures[COID], symbol=C100)))
    assert reconcile.diff(state, report, ()) == [], "what mends it is on its way"


def test_while_its_entry_fills_leg_by_leg_a_structure_is_not_uneven():
    state, parent = bare_state(), report_of(ENTRY, VERTICAL)
    first, second = fills_of(parent)
    evolve(state, [ev.IntentPlanned(AT, ENTRY), ev.OrderUpdated(AT, parent), ev.FillReported(AT, first)])
    assert reconcile.uneven(state, reading()) == []
    apply(state, ev.FillReported(AT, second))
    assert reconcile.uneven(state, reading()) == []


def test_contracts_beyond_ours_are_anothers():
    state = holding(VERTICAL)
    [item] = reconcile.diff(state, reading(positions=positions({C100: 3, C105: -1})), ())
    assert (item.kind, item.action) == (Kind.QUANTITY, "2 not ours: left alone, entries blocked")


@pytest.mark.parametrize(("price", "told"), [("3.21", False), ("3.22", True)])
def test_an_average_of_a_contract_is_compared_by_the_share(price, told):
    shown = [ev.PositionReport(C100, D(1), D(price), None), *positions({C105: -1})]
    assert [d.kind for d in reconcile.diff(holding(VERTICAL), reading(positions=shown), ())] == [Kind.PRICE] * told


# -- splits ---------------------------------------------------------------------------------------

NEW = {C100: "AAPL081017C00050000", C105: "AAPL081017C00052500"}
AFTER = after(days=1)


def test_contracts_that_a_split_renamed_are_explained_and_what_came_is_named():
    state = holding(VERTICAL)
    actions = [
        activity("OPCA", C100, "-1", AFTER, group="a"), activity("OPCA", NEW[C100], "2", AFTER, group="a"),
        activity("OPCA", C105, "1", AFTER, group="b"), activity("OPCA", NEW[C105], "-2", AFTER, group="b"),
    ]  # fmt: skip
    report = reading(positions=positions({NEW[C100]: 2, NEW[C105]: -2}), actions=actions)
    found = {d.symbol: d for d in reconcile.diff(state, report, ())}
    for old, new in NEW.items():
        assert found[old].cause == f"a corporate action (OPCA); {new} came for it"
        assert found[new].kind == Kind.UNKNOWN_AT_OURS
        assert "a split of AAPL" in found[new].cause
        assert reconcile.may_act(found[old], AFTER, AFTER)
    assert corporate.splits(state, AFTER, report) == []
    noted = corporate.noted(state, AFTER, report)
    assert [f.action.symbol for f in noted] == [C100, C105]
    assert "not ours" in corporate.effect(noted[0].action)
    facts = reconcile.heal(state, AFTER, report, list(found.values()))
    assert {(f.symbol, f.price) for f in facts} == {(C100, None), (C105, None)}


def test_contracts_that_a_split_paid_out_are_closed_at_what_was_paid():
    state = holding(VERTICAL, 2)
    actions = [activity("OPCA", C100, "-2", AFTER, amount=D(500)), activity("OPCA", C105, "2", AFTER, amount=D(-150))]
    report = reading(actions=actions)
    facts = reconcile.heal(state, AFTER, report, reconcile.diff(state, report, ()))
    assert {f.symbol: f.price for f in facts} == {C100: D("2.5"), C105: D("0.75")}
    evolve(state, facts)
    assert state.structures[COID].cash == D(-420) + D(500) - D(150)


# -- an account that is another one ---------------------------------------------------------------


def forgotten():
    """A vertical that is held for so long that its order and fills are let go of."""
    state = holding(VERTICAL)
    apply(state, ev.Marked(AT + SETTLED_KEPT, {}, {}))
    assert (state.intents, state.orders, state.fill_ids) == ({}, {}, {})
    return state


def test_an_account_that_knows_neither_structure_nor_fill_was_reset():
    [item] = [d for d in reconcile.diff(forgotten(), reading(lookups={COID: None}), ()) if d.kind in reconcile.HALTING]
    assert (item.kind, item.ours) == (Kind.ACCOUNT_RESET, "2 fills")


@pytest.mark.parametrize(
    "sign",
    [{"lookups": {}}, {"lookups": {COID: REPORT}}, {"positions": positions({C105: -1})},
     {"fills": fills_of(report_of(ENTRY, VERTICAL))}],
    ids=["not looked up", "its order is there", "a leg is there", "a fill is there"],
)  # fmt: skip
def test_one_sign_of_life_and_the_account_is_ours(sign):
    found = reconcile.diff(forgotten(), reading(**{"lookups": {COID: None}} | sign), ())
    assert not [d for d in found if d.kind in reconcile.HALTING]


def test_an_order_of_a_structure_that_is_done_is_not_missed_when_it_is_looked_up():
    state = holding(VERTICAL)
    found = reconcile.diff(state, reading(lookups={COID: None}, positions=positions({C100: 1, C105: -1})), ())
    assert found == []
