"""Limit entries, moved stops and orders replaced by hand, in whole sessions on the exchange."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gambler_ai.core import events as ev
from gambler_ai.core.orders import Purpose, Status
from gambler_ai.core.protection import Protection, protections
from gambler_ai.exchange.faults import FaultPlan
from gambler_ai.storage import requests, sessions
from gambler_ai.trading.requesting import reading, sending
from tests.unit.fakes import AT, SESSION, D, after, entry, make_state
from tests.unit.trading.test_runner import Session, on_exchange, whole_run

__all__ = ["on_exchange"]  # a fixture

CHEAP: dict[str, Any] = {"interval_s": 300.0, "checkpoint_interval_s": 300.0, "symbols": ("AAPL",)}
WIDE: dict[str, Any] = CHEAP | {"stop_loss_pct": D(30), "take_profit_pct": D(60)}


def facts_of(session: Session, kind: type) -> list[Any]:
    from gambler_ai.storage import journal

    with session.database.read() as db:
        return [f for f, _ in journal.read(db, SESSION, 0, journal.GENESIS) if isinstance(f, kind)]


def on_fill(session: Session, act) -> None:
    session.notes.on("FillReported", act)


def ask(session: Session, kind: str, argument: str) -> None:
    with session.database.write() as db:
        requests.add(db, sessions.find(db, SESSION), kind, argument, "lunch", "ann", AT)


def stop_of(session: Session) -> Any:
    [order] = [o for o in session.broker.orders(session.state.started_at) if o.symbol == "AAPL"]
    [stop] = [leg for leg in order.legs if leg.type == "stop"]
    return stop


def check_protected(session: Session) -> None:
    assert session.state.positions
    assert {status for _, status, _ in protections(session.state)} == {Protection.PROTECTED}


def test_entries_by_limit_orders_fill_at_the_limit_or_better(on_exchange):
    session = on_exchange(10, limit_pct=D("0.2"), **CHEAP)
    whole_run(session)
    [order] = [o for o in session.broker.orders(session.state.started_at) if o.symbol == "AAPL"]
    assert (order.type, order.status) == ("limit", "filled")
    assert order.filled_avg_price <= order.limit_price
    check_protected(session)


def test_a_limit_entry_that_waits_in_vain_is_canceled_at_its_deadline(on_exchange):
    session = on_exchange(17, limit_pct=D(-15), **CHEAP)
    whole_run(session)
    [order] = session.broker.orders(session.state.started_at)
    assert (order.status, order.filled_qty) == ("canceled", 0)
    [intent] = session.state.intents.values() or [None]
    assert intent.status is Status.CANCELED
    assert "its signal has expired" in facts_of(session, ev.CancelPlanned)[0].reason
    assert session.state.positions == {}


def test_a_session_that_ends_leaves_no_limit_entry_behind(on_exchange):
    session = on_exchange(7, limit_pct=D(-15), **CHEAP)
    whole_run(session)
    [order] = session.broker.orders(session.state.started_at)
    assert order.status == "canceled"
    assert "the session ends" in facts_of(session, ev.CancelPlanned)[0].reason


@pytest.mark.parametrize(("kind", "price", "leg_type"), [("move-stop", "80", "stop"), ("move-target", "170", "limit")])
def test_a_level_that_a_person_moves_rests_at_its_new_price(on_exchange, kind, price, leg_type):
    session = on_exchange(8, **WIDE)
    on_fill(session, lambda: ask(session, kind, f"AAPL {price}"))
    whole_run(session)
    [taken] = facts_of(session, ev.RequestTaken)
    assert "is being moved" in taken.answer
    [order] = session.broker.orders(session.state.started_at)
    [leg] = [o for o in order.legs if o.type == leg_type]
    assert (leg.stop_price or leg.limit_price) == D(price)
    position = session.state.positions["AAPL"]
    assert D(price) in (position.stop_price, position.target_price)
    assert leg.client_order_id.startswith("ga1-")
    check_protected(session)


@pytest.mark.parametrize("fault", ["lost_reply", "500"])
def test_a_move_whose_answer_is_lost_is_made_once(on_exchange, fault):
    faults = FaultPlan([{"kind": fault, "method": "PATCH", "path": "/v2/orders"}])
    session = on_exchange(8, faults=faults, **WIDE)
    on_fill(session, lambda: ask(session, "move-stop", "AAPL 80"))
    whole_run(session)
    assert session.state.positions["AAPL"].stop_price == D(80)
    assert stop_of(session).stop_price == D(80)
    moves = [r for r in session.state.intents.values() if r.intent.purpose is Purpose.REPLACE]
    assert [r.status for r in moves] == [Status.WORKING]
    check_protected(session)


@pytest.mark.parametrize("leg_type", ["stop", "limit"])
def test_a_leg_that_a_person_replaces_in_the_dashboard_is_ours_at_its_new_price(on_exchange, leg_type):
    session = on_exchange(8, **WIDE)

    def by_hand() -> None:
        [order] = session.broker.orders(session.state.started_at)
        [leg] = [o for o in order.legs if o.type == leg_type]
        price = '{"stop_price":"81"}' if leg_type == "stop" else '{"limit_price":"171"}'
        session.broker.replace(leg.order_id, price)

    on_fill(session, by_hand)
    whole_run(session)
    moved = [d for f in facts_of(session, ev.Reconciled) for d in f.discrepancies]
    assert [d.kind for d in moved] == ["leg moved"]
    position = session.state.positions["AAPL"]
    assert D(81 if leg_type == "stop" else 171) in (position.stop_price, position.target_price)
    check_protected(session)
    assert not [i for i in session.state.intents.values() if i.intent.purpose is Purpose.PROTECT], "nothing anew"


def test_a_moved_stop_goes_off_and_its_fill_is_booked(on_exchange):
    session = on_exchange(16, **WIDE)
    on_fill(session, lambda: ask(session, "move-stop", "AAPL 100.40"))
    whole_run(session)
    assert session.state.positions == {}
    assert session.state.closed_trades == 1
    assert session.broker.positions() == []


# -- what is asked of the broker ------------------------------------------------------------------


def test_an_intents_bytes_go_where_its_purpose_says():
    assert type(sending(entry())).__name__ == "Submit"
    moved = entry(purpose=Purpose.REPLACE, replaces="o-1")
    assert (type(sending(moved)).__name__, getattr(sending(moved), "order_id", "")) == ("Replace", "o-1")


def test_activities_are_of_interest_while_something_is_held():
    state = make_state()
    assert reading(state, reconcile=True).actions_since is None
    assert reading(state, reconcile=True, at_least=after(days=-90)).orders_since == after(days=-90)
    from tests.unit.fakes import Desk

    desk = Desk()
    desk.holding()
    assert reading(desk.state, reconcile=True).actions_since == AT - timedelta(days=2)
    assert reading(desk.state, reconcile=False).actions_since is None
    assert len(reading(desk.state, reconcile=False).orders) == 2, "the legs; the entry is settled"
