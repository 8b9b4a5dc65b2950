"""Orders of ours from after a backup: found by their ids, taken back once, and nobody else's is taken for one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core import recalling
from gambler_ai.core.degraded import Condition
from gambler_ai.core.model import Side
from gambler_ai.core.orders import OrderIntent, OrderReport, Purpose, Status, client_order_id, position_decision_id
from gambler_ai.core.reconcile import HALTING, Kind
from gambler_ai.core.state import SessionState
from tests.unit import spreads
from tests.unit import structures as pits
from tests.unit.fakes import (
    ACCOUNT,
    AT,
    DAY,
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
    make_state,
    only,
    protect,
    report_of,
    reported,
    wish,
)

ENTRY = entry()
PARENT = bracket_of(ENTRY, limit="new")
ASKED = ev.Requested(AT, ev.Request("r-1", ev.RECALL, "", "restored from a backup"))


def restored(state: SessionState | None = None, known: tuple[str, ...] = ()) -> Desk:
    """A session whose database was just restored."""
    desk = Desk(wish(), state=state if state is not None else make_state(day=DAY), known=known)
    desk.step(ASKED)
    return desk


def exit_of(position_id: str, ordinal: int = 0, purpose: Purpose = Purpose.EXIT) -> OrderIntent:
    decision = position_decision_id(purpose, position_id, ordinal)
    coid = client_order_id(ACCOUNT, SESSION, decision)
    return replace(protect(position_id), client_order_id=coid, decision_id=decision, purpose=purpose)


def test_the_books_of_a_backup_deny_entries_until_they_were_compared():
    desk = restored()
    assert recalling.is_on(desk.state)
    desk.step(reported())
    assert only(ev.Denied, desk.step(bars_closed())).code == "degraded"


def test_an_entry_the_backup_does_not_know_is_taken_back_with_its_fills_and_its_legs():
    desk = restored()
    facts = desk.step(reported(orders=[PARENT], fills=[fill_of(PARENT, "10")], positions=[held("AAPL", "10")])).facts
    intent = only(ev.IntentRecalled, facts).intent
    assert intent.decision_id == ENTRY.decision_id
    assert (intent.purpose, intent.qty, intent.stop_price, intent.target_price) == (Purpose.ENTRY, D(10), D(98), D(104))
    assert desk.state.positions["AAPL"].position_id == ENTRY.client_order_id
    assert desk.state.intents[ENTRY.client_order_id].status is Status.FILLED
    assert desk.state.day_entries == 1
    assert only(ev.Reconciled, facts).discrepancies[0].kind == Kind.NOT_IN_BACKUP
    assert "IntentPlanned" not in kinds(facts), "nothing is sent for it"


def test_it_is_taken_back_once_and_its_decision_is_not_made_again():
    desk = restored()
    reading = reported(orders=[PARENT], fills=[fill_of(PARENT, "10")], positions=[held("AAPL", "10")], reconcile=True)
    desk.step(reading)
    assert "IntentRecalled" not in kinds(desk.step(reading))
    desk.record(ev.Restored(AT, Condition.BOOKS))
    assert desk.state.bars["AAPL"] == AT - FIVE
    assert kinds(desk.step(bars_closed())) == ["Marked"]


def test_without_a_restore_an_order_nobody_knows_is_a_strangers():
    desk = Desk()
    decisions = desk.step(reported(orders=[PARENT], reconcile=True))
    assert "IntentRecalled" not in kinds(decisions)
    assert [d.kind for d in decisions.discrepancies if d.kind in HALTING] == [Kind.OTHER_DATABASE]


@pytest.mark.parametrize(
    "stranger",
    [
        replace(PARENT, client_order_id="ga1-" + "a" * 26),
        replace(PARENT, symbol="MSFT"),
        replace(PARENT, side=Side.SELL),
        replace(PARENT, submitted_at=AT + timedelta(days=1)),
    ],
    ids=["another id", "another symbol", "another side", "another day"],
)
def test_an_order_that_no_decision_of_ours_explains_is_not_taken(stranger: OrderReport):
    desk = restored()
    decisions = desk.step(reported(orders=[stranger], reconcile=True))
    assert "IntentRecalled" not in kinds(decisions)
    assert Kind.OTHER_DATABASE in [d.kind for d in decisions.discrepancies]


def test_an_order_of_an_earlier_session_of_this_database_is_left_alone():
    desk = restored(known=(ENTRY.client_order_id,))
    assert "IntentRecalled" not in kinds(desk.step(reported(orders=[PARENT])))


def test_orders_for_its_position_are_found_by_their_ordinals_and_the_next_has_one_of_its_own():
    desk = restored()
    rest = replace(PARENT, legs=tuple(replace(leg, status="canceled") for leg in PARENT.legs))
    oco = report_of(protect(ENTRY.client_order_id, ordinal=2), submitted_at=after(minutes=1))
    oco = replace(oco, legs=(replace(PARENT.legs[1], order_id="o-new-stop", client_order_id="theirs-9"),))
    desk.step(reported(orders=[oco, rest], fills=[fill_of(PARENT, "10")], positions=[held("AAPL", "10")]))
    assert desk.state.intents[oco.client_order_id].intent.purpose is Purpose.PROTECT
    assert desk.state.positions["AAPL"].decisions == 3
    assert not [f for f in desk.facts if isinstance(f, ev.IntentPlanned)], "it is protected"


@pytest.mark.parametrize("purpose", [Purpose.EXIT, Purpose.REPLACE])
def test_what_ended_or_moved_its_protection_is_found_as_well(purpose: Purpose):
    desk = restored()
    later = replace(
        report_of(exit_of(ENTRY.client_order_id, 0, purpose)), type="market" if purpose is Purpose.EXIT else "stop",
        order_class="simple", submitted_at=after(minutes=1), updated_at=after(minutes=1), stop_price=None
        if purpose is Purpose.EXIT else D(99), limit_price=None, replaces=None
        if purpose is Purpose.EXIT else PARENT.legs[1].order_id,
    )  # fmt: skip
    desk.step(reported(orders=[PARENT, later], fills=[fill_of(PARENT, "10")], positions=[held("AAPL", "10")]))
    assert desk.state.intents[later.client_order_id].intent.purpose is purpose


def test_one_in_flight_that_never_arrived_makes_room_for_the_one_that_was_sent_after_it():
    """There is one open entry a symbol, in the database too."""
    state = make_state(day=DAY)
    first = entry(side=Side.SELL, decided_at=AT - FIVE)
    desk = restored(state)
    desk.record(ev.IntentPlanned(AT - FIVE, first), ev.IntentUnknown(AT, first.client_order_id, "restarted"))
    desk.step(reported(orders=[replace(PARENT, status="new", filled_qty=D(0))], lookups={first.client_order_id: None}))
    assert desk.state.intents[first.client_order_id].status is Status.VOID
    assert desk.state.intents[ENTRY.client_order_id].status is Status.WORKING


# -- structures -----------------------------------------------------------------------------------


def options(state: SessionState | None = None) -> Desk:
    return restored(state if state is not None else spreads.bare_state())


def booked(desk: Desk) -> dict[str, str]:
    return spreads.quantities(desk.state)


def test_a_structure_the_backup_does_not_know_is_taken_back_and_closed_since_nothing_would_guard_it():
    desk, intent = options(), spreads.entry_of(spreads.structure_of(spreads.VERTICAL, 2))
    order = spreads.report_of(intent, spreads.VERTICAL)
    shown = spreads.positions({spreads.C100: 2, spreads.C105: -2})
    facts = desk.step(reported(orders=[order], fills=spreads.fills_of(order), positions=shown)).facts
    found = only(ev.IntentRecalled, facts).intent
    assert (found.decision_id, found.structure_id, found.qty) == (intent.decision_id, spreads.COID, D(2))
    assert booked(desk) == {spreads.C100: "2", spreads.C105: "-2"}
    structure = desk.state.structures[spreads.COID]
    assert structure.legs == spreads.structure_of(spreads.VERTICAL).legs
    assert (structure.units, structure.entry_price, structure.stop_price) == (2, D("2.10"), None)
    assert structure.cash == D(-420)
    assert only(ev.ExitRequested, facts).symbol == spreads.COID
    [item] = [f.discrepancies[0] for f in facts if isinstance(f, ev.Reconciled)]
    assert item.kind == Kind.NOT_IN_BACKUP
    assert item.action.endswith("closed at market, since what was to guard it is not known")
    assert desk.state.intents[spreads.COID].status is Status.FILLED, "it is as asked"


def test_one_that_came_to_nothing_is_taken_back_and_nothing_is_closed():
    desk, intent = options(), spreads.entry_of(spreads.structure_of(spreads.VERTICAL))
    order = spreads.report_of(intent, spreads.VERTICAL, "canceled")
    facts = desk.step(reported(orders=[order])).facts
    assert only(ev.IntentRecalled, facts).intent.structure is not None
    assert "ExitRequested" not in kinds(facts)


def test_an_exit_of_a_structure_is_taken_back_with_its_fills_and_its_ordinal():
    desk = options(spreads.holding(spreads.VERTICAL))
    intent = spreads.exit_of(desk.state.structures[spreads.COID], ordinal=2, decided_at=after(minutes=1))
    order = spreads.report_of(intent, spreads.VERTICAL)
    facts = desk.step(reported(after(minutes=2), orders=[order], fills=spreads.fills_of(order))).facts
    found = only(ev.IntentRecalled, facts).intent
    assert (found.purpose, found.structure_id, found.structure) == (Purpose.EXIT, spreads.COID, None)
    assert booked(desk) == {}
    assert not [s for s in desk.state.structures.values() if s.decisions != 3]


def test_the_call_of_a_covered_call_is_taken_back_as_part_of_it():
    state = spreads.covered()
    [call] = [r.intent for r in state.intents.values() if r.intent.purpose is Purpose.LEG]
    desk = options(spreads.bare_state())
    shares = replace(spreads.report_of(spreads.entry_of(spreads.structure_of(spreads.COVERED)), {}),
                     order_class="simple", type="market", limit_price=None)  # fmt: skip
    sold = replace(spreads.report_of(call, {}), order_class="simple", type="market", limit_price=None,
                   submitted_at=after(seconds=5))  # fmt: skip
    fills = [fill_of(shares, "100"), fill_of(sold, "1", "1.10", at=after(seconds=6))]
    shown = spreads.positions({"AAPL": 100, spreads.C105: -1})
    facts = desk.step(reported(orders=[shares, sold], fills=fills, positions=shown)).facts
    recalled = [f.intent.purpose for f in facts if isinstance(f, ev.IntentRecalled)]
    assert recalled == [Purpose.ENTRY, Purpose.LEG]
    assert {p.structure_id for p in desk.state.positions.values()} == {spreads.COID}
    assert booked(desk) == {"AAPL": "100", spreads.C105: "-1"}
    assert [f.symbol for f in facts if isinstance(f, ev.ExitRequested)] == [spreads.COID]


def test_a_structure_that_a_member_of_a_mix_proposed_is_taken_back():
    """It is filed under the member; the session knows its own name only, so that is what names the decision."""
    plan = replace(pits.options_state().plan, strategy_name="options_mix")
    pit = pits.Pit(pits.proposal(), plan=plan)
    pit.scan()
    [intent] = pit.intents()
    assert intent.structure is not None
    assert (intent.strategy, intent.structure.strategy) == ("straddle", "straddle")
    pit.fill_all()
    desk = restored(pits.options_state(plan=plan))
    shown = [held(symbol, "5") for symbol in (pits.CALL, pits.PUT)]
    facts = desk.step(reported(orders=pit.floor.orders.values(), fills=pit.floor.fills, positions=shown)).facts
    assert only(ev.IntentRecalled, facts).intent.decision_id == intent.decision_id
    assert {p.structure_id for p in desk.state.positions.values()} == {intent.client_order_id}
