"""How contracts end: what of an activity is ours, once; and what is late at the broker is neither gone nor foreign."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from gambler_ai.core import corporate, reconcile, settlement
from gambler_ai.core import events as ev
from gambler_ai.core.evolution import apply, evolve
from gambler_ai.core.model import Fill, Side
from gambler_ai.core.orders import client_order_id
from gambler_ai.core.reconcile import UNEXPLAINED_PATIENCE, Kind
from gambler_ai.core.settlement import settled
from tests.unit.fakes import AT, SHUT, D, Desk, reading, reported
from tests.unit.spreads import (
    C100,
    C105,
    COID,
    P95,
    P100,
    VERTICAL,
    activity,
    covered,
    entry_of,
    fills_of,
    holding,
    positions,
    quantities,
    report_of,
    structure_of,
)

EXPIRY = datetime(2008, 10, 17, 20, tzinfo=UTC)  # 16:00 in New York
NEXT = datetime(2008, 10, 20, 13, tzinfo=UTC)  # the Monday after it, before the open


def shut(at: datetime = NEXT) -> ev.MarketReport:
    return replace(SHUT, at=at, next_open=at + timedelta(minutes=30), next_close=at + timedelta(hours=7))


def facts_of(state, *actions, at=NEXT, held=()):
    return settled(state, at, reading(actions=actions, positions=positions(held), market=shut(at)))


def told(state, at=NEXT, **parts):
    return reconcile.diff(state, reading(market=shut(at), **parts), ())


@pytest.mark.parametrize(
    ("ratios", "type_", "symbol", "how", "shares", "strike"),
    [
        ({C100: 1, C105: -1}, "OPEXC", C100, "exercised", "200", "100"),
        ({C100: 1, C105: -1}, "OPASN", C105, "assigned", "-200", "105"),
        ({P100: 1, P95: -1}, "OPEXC", P100, "exercised", "-200", "100"),
        ({P100: 1, P95: -1}, "OPASN", P95, "assigned", "200", "95"),
        ({C100: 1, C105: -1}, "OPEXP", C100, "expired", "0", "100"),
        ({C100: 1, C105: -1}, "OPEXP", C105, "expired", "0", "105"),
    ],
)
def test_an_end_brings_the_shares_that_the_contract_says(ratios, type_, symbol, how, shares, strike):
    state = holding(ratios, 2)
    [fact] = facts_of(state, activity(type_, symbol, "-2", EXPIRY))
    held = state.positions[symbol].qty
    assert (fact.symbol, fact.qty, fact.how, fact.shares, fact.price) == (symbol, held, how, D(shares), D(strike))
    apply(state, fact)
    assert symbol not in state.positions
    assert D(quantities(state).get("AAPL", "0")) == D(shares)
    assert state.structures[COID].settled


@pytest.mark.parametrize(
    ("qty", "ours"), [("-5", "2"), ("5", "2"), (None, "2"), ("-1", "1"), ("0", None)],
    ids=["more", "more, unsigned", "unsaid", "less", "nothing"],
)  # fmt: skip
def test_of_an_activity_at_most_what_we_hold_is_ours_whatever_its_sign(qty, ours):
    found = facts_of(holding(VERTICAL, 2), activity("OPEXP", C100, qty, EXPIRY))
    assert [f.qty for f in found] == ([] if ours is None else [D(ours)])


def test_several_activities_of_one_contract_end_no_more_than_is_held():
    actions = [activity("OPASN", C105, "1", EXPIRY, number) for number in (1, 2, 3)]
    assert [f.qty for f in facts_of(holding(VERTICAL, 2), *actions)] == [D(-1), D(-1)]


def test_each_activity_is_booked_once_and_the_trade_of_its_shares_with_it():
    state = holding(VERTICAL, 2)
    ended = activity("OPASN", C105, "1", EXPIRY, group="g-1")
    trade = activity("OPTRD", "AAPL", "-100", EXPIRY, group="g-1", price=D(105))
    [fact] = facts_of(state, ended, trade)
    assert fact.activity_ids == (ended.activity_id, trade.activity_id)
    apply(state, fact)
    assert facts_of(state, ended, trade) == []
    assert quantities(state) == {"AAPL": "-100", C100: "2", C105: "-1"}
    assert corporate.noted(state, NEXT, reading(actions=[ended, trade])) == []


def test_an_end_is_never_only_noted_and_a_trade_of_shares_that_shows_late_is_noted_once():
    state = covered()
    ended, late = activity("OPASN", C105, "1", EXPIRY), activity("OPTRD", "AAPL", "-100", EXPIRY)
    both = reading(actions=[ended, late])
    assert [f.action.type for f in corporate.noted(state, NEXT, both)] == ["OPTRD"]
    evolve(state, corporate.noted(state, NEXT, both))
    assert corporate.noted(state, NEXT, both) == []
    assert [f.symbol for f in facts_of(state, ended)] == [C105]
    assert "booked" in corporate.effect(late)


@pytest.mark.parametrize(("type_", "symbol"), [("OPASN", C100), ("OPEXC", C105), ("OPEXP", P95), ("DIV", C100)])
def test_what_cannot_be_of_our_side_or_is_no_end_is_not_ours(type_, symbol):
    assert facts_of(holding(VERTICAL), activity(type_, symbol, "1", EXPIRY)) == []


def test_while_a_fill_is_under_way_nothing_is_settled():
    state = holding(VERTICAL)
    intent = replace(entry_of(structure_of(VERTICAL)), client_order_id=client_order_id("a", "s", "other"))
    parent = report_of(intent, VERTICAL)
    evolve(state, [ev.IntentPlanned(AT, intent), ev.OrderUpdated(AT, parent)])
    expired = activity("OPEXP", C100, "-2", EXPIRY)
    assert facts_of(state, expired) == []
    evolve(state, [ev.FillReported(AT, fill) for fill in fills_of(parent)])
    assert [f.qty for f in facts_of(state, expired)] == [D(2)]


@pytest.mark.parametrize(
    ("at", "shown", "ours"),
    [
        (AT - timedelta(hours=1), 1, False), (AT + timedelta(hours=1), 1, True),
        (datetime(2008, 10, 6, tzinfo=UTC), 0, False),  # a day alone: the one before
        (datetime(2008, 10, 7, tzinfo=UTC), 1, False), (datetime(2008, 10, 7, tzinfo=UTC), 0, True),
        (datetime(2008, 10, 8, tzinfo=UTC), 1, True),
    ],
)  # fmt: skip
def test_what_happened_before_we_held_it_is_not_ours(at, shown, ours):
    found = facts_of(holding(VERTICAL), activity("OPASN", C105, "1", at), held={C105: -shown})
    assert bool(found) is ours


def test_a_day_alone_is_enough_on_the_day_it_expires():
    """Opened and expired on one day: the activity is dated by its midnight."""
    state = holding(VERTICAL)
    state.positions[C100] = replace(state.positions[C100], entry_at=EXPIRY - timedelta(hours=2))
    assert facts_of(state, activity("OPEXP", C100, "-1", datetime(2008, 10, 17, tzinfo=UTC)), held={C100: 1})


# -- what is late ---------------------------------------------------------------------------------


def test_what_is_gone_on_its_expiry_waits_for_its_activity():
    state = holding(VERTICAL)
    found = told(state)
    assert [(d.kind, d.symbol, d.cause, d.action) for d in found] == [
        (Kind.GONE, symbol, reconcile.UNSETTLED, "waits for the activity that says how") for symbol in (C100, C105)
    ]
    item, first = found[0], EXPIRY + timedelta(hours=6)
    assert not reconcile.may_act(item, first, first + UNEXPLAINED_PATIENCE)
    assert not reconcile.may_act(item, first, EXPIRY + settlement.PATIENCE - timedelta(seconds=1))
    assert reconcile.may_act(item, first, EXPIRY + settlement.PATIENCE)
    assert not reconcile.may_act(item, EXPIRY + settlement.PATIENCE, EXPIRY + settlement.PATIENCE), "just seen"


def test_shares_that_show_before_their_activity_are_not_foreign():
    """A long call was exercised and the short one above it has expired: nothing but positions tells so far."""
    state = holding(VERTICAL, 2)
    report = reading(market=shut(), positions=positions({"AAPL": 200}))
    assert {d.symbol for d in reconcile.diff(state, report, ())} == {C100, C105}
    assert reconcile.foreign_quantities(state, NEXT, report) is None


@pytest.mark.parametrize("shares", ["300", "150", "-300", "37"])
def test_shares_that_no_contract_of_ours_brings_are_foreign_at_once(shares):
    state = holding(VERTICAL, 2)
    report = reading(market=shut(), positions=positions({"AAPL": shares}))
    assert Kind.UNKNOWN_AT_OURS in {d.kind for d in reconcile.diff(state, report, ())}
    seen = reconcile.foreign_quantities(state, NEXT, report)
    assert seen is not None
    assert seen.qty == {"AAPL": D(shares)}


def test_foreign_shares_from_before_stay_what_they_are_meanwhile():
    state = holding(VERTICAL)
    apply(state, ev.ForeignSeen(AT, {"AAPL": D(40)}))
    report = reading(market=shut(), positions=positions({"AAPL": 140}))
    assert reconcile.foreign_quantities(state, NEXT, report) is None
    assert "AAPL" not in {d.symbol for d in reconcile.diff(state, report, ())}
    evolve(state, facts_of(state, activity("OPEXC", C100, "-1", EXPIRY), activity("OPEXP", C105, "1", EXPIRY)))
    assert reconcile.foreign_quantities(state, NEXT, report) is None
    beyond, broken = reconcile.diff(state, report, ())
    assert (beyond.kind, beyond.action) == (Kind.QUANTITY, "40 not ours: left alone, entries blocked")
    assert broken.kind == Kind.STRUCTURE_BROKEN, "shares alone are no whole unit"


def test_an_early_assignment_shows_by_its_shares_and_is_not_healed_as_a_loss():
    state, at = holding(VERTICAL), AT + timedelta(days=2)
    [item] = told(state, at, positions=positions({C100: 1, "AAPL": -100}))
    assert (item.kind, item.symbol, item.cause) == (Kind.GONE, C105, reconcile.UNSETTLED)
    assert not reconcile.may_act(item, at, at + UNEXPLAINED_PATIENCE)
    assert reconcile.may_act(item, at, at + timedelta(days=30))


def test_a_leg_that_is_gone_before_its_expiry_without_shares_is_healed_as_any_position():
    [item] = told(holding(VERTICAL), AT + timedelta(days=2), positions=positions({C100: 1}))
    assert (item.kind, item.symbol, item.cause) == (Kind.GONE, C105, reconcile.UNEXPLAINED)


def test_a_leg_that_a_person_bought_back_is_explained_by_its_fill_even_on_its_last_day():
    state = holding(VERTICAL)
    fill = Fill("act-hand", "o-hand", C105, Side.BUY, D(1), D("0.40"), EXPIRY - timedelta(hours=3))
    report = reading(market=shut(), positions=positions({C100: 1}), fills=[fill])
    [item] = reconcile.diff(state, report, ())
    assert (item.symbol, item.cause) == (C105, "filled by order o-hand, not ours")
    [healed] = reconcile.heal(state, NEXT, report, [item])
    assert (healed.symbol, healed.qty, healed.price) == (C105, D(0), D("0.40"))
    apply(state, healed)
    assert state.structures[COID].cash == D(-210) - D(40)


def test_an_activity_that_shows_before_the_position_follows_leaves_nothing_foreign_and_nothing_lost():
    state, at = holding(VERTICAL), AT + timedelta(days=2)
    ended = activity("OPASN", C105, "1", at)
    evolve(state, facts_of(state, ended, at=at, held={C100: 1, C105: -1}))
    lagging = reading(market=shut(at), positions=positions({C100: 1, C105: -1}), actions=[ended])
    assert {d.kind for d in reconcile.diff(state, lagging, ())} == {Kind.STRUCTURE_BROKEN}
    assert reconcile.foreign_quantities(state, at, lagging) is None
    ours = reading(market=shut(at), positions=positions({C100: 1, "AAPL": -100}), actions=[ended])
    kinds = {d.kind for d in reconcile.diff(state, ours, ())}
    assert kinds == {Kind.STRUCTURE_BROKEN, Kind.PRICE}, "the fake broker has another price for the shares"
    assert reconcile.foreign_quantities(state, at, ours) is None


@pytest.mark.parametrize(("calls", "puts"), [(2, 1), (1, 1), (2, 2)])
def test_activities_that_show_first_are_told_together_though_their_shares_even_out(calls, puts):
    """Calls that are assigned take shares and puts bring them: what is not there yet may be less, or nothing."""
    state, at = holding({C105: -1, P95: -1}, 2), AT + timedelta(days=2)
    there = {C105: -2, P95: -2}
    ended = [activity("OPASN", C105, str(calls), at, 1), activity("OPASN", P95, str(puts), at, 2)]
    evolve(state, facts_of(state, *ended, at=at, held=there))
    lagging = reading(market=shut(at), positions=positions(there), actions=ended)
    assert reconcile.foreign_quantities(state, at, lagging) is None
    another = reading(market=shut(at), positions=positions(there | {P95: -5}), actions=ended)
    assert reconcile.foreign_quantities(state, at, another) is not None


def test_contracts_of_anothers_stay_foreign_before_their_expiry():
    state = holding(VERTICAL)
    report = reading(positions=positions({C100: 3, C105: -1}))
    assert reconcile.foreign_quantities(state, AT, report) == ev.ForeignSeen(AT, {C100: D(2)})


def test_the_shares_of_a_covered_call_that_are_called_away_are_not_told_as_gone():
    state = covered()
    [item] = told(state)
    assert (item.symbol, item.cause) == (C105, reconcile.UNSETTLED)
    [fact] = facts_of(state, activity("OPASN", C105, "1", EXPIRY))
    apply(state, fact)
    assert quantities(state) == {}
    assert state.structures[COID].cash == D(-10_000) + D(110) + D(10_500)


def test_the_engine_settles_before_it_compares_and_books_it_once():
    desk = Desk(state=holding(VERTICAL))
    actions = [activity("OPASN", C105, "1", EXPIRY), activity("OPEXC", C100, "-1", EXPIRY)]
    for minutes in (0, 1, 2, 10):
        desk.step(reported(NEXT + timedelta(minutes=minutes), reconcile=True, market=shut(), actions=actions))
    assert [f.symbol for f in desk.facts if isinstance(f, ev.OptionSettled)] == [C105, C100]
    assert not [f for f in desk.facts if isinstance(f, ev.Adjusted | ev.Reconciled | ev.ForeignSeen)]
    assert desk.state.positions == {}
