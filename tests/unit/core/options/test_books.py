"""Structures in the books: one thing, one closed trade, and money that adds up at each moment."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core import snapshot
from gambler_ai.core.evolution import apply
from gambler_ai.core.model import Fill, Side
from gambler_ai.core.orders import Purpose, Role
from gambler_ai.core.structures import Leg
from tests.unit.fakes import AT
from tests.unit.structures import CALL, CONDOR, COVERED, PUT, STRADDLE, Pit, proposal

D = Decimal


def test_an_entry_is_one_order_and_its_legs_are_positions_of_one_structure():
    pit = Pit(proposal()).entered()
    [entry] = pit.intents()
    structure = pit.structure
    assert entry.structure is not None
    assert (entry.structure_id, entry.structure.legs, structure.units) == (structure.structure_id, STRADDLE, 5)
    assert set(pit.state.positions) == {CALL, PUT}
    for position in pit.state.positions.values():
        assert (position.qty, position.structure_id, position.multiplier) == (D(5), structure.structure_id, 100)
        assert (position.strategy, position.greeks) == ("straddle", structure.greeks[position.symbol])
        assert (position.stop_price, position.target_price) == (structure.stop_price, structure.target_price)
    assert (structure.cash, structure.filled) == (D(-5 * 990), True)
    assert structure.uneven_since is None
    assert {o.role for o in pit.state.orders.values()} == {Role.ENTRY}


def test_a_parent_is_booked_as_far_as_all_of_its_legs_are():
    pit = Pit(proposal())
    pit.scan()
    [coid] = pit.floor.orders
    pit.floor.fill(coid, pit.at, 3, only=[CALL])
    pit.read()
    parent = next(o for o in pit.state.orders.values() if o.parent_id is None)
    assert (parent.filled_qty, parent.booked_qty) == (D(3), D(0))
    assert "AAPL" in pit.state.filling()
    assert pit.structure.uneven_since is not None
    order = pit.floor.orders[coid]
    pit.floor.fill(coid, pit.at, 3, only=[PUT])
    pit.floor.orders[coid] = replace(pit.floor.orders[coid], filled_qty=order.filled_qty, updated_at=pit.at)
    pit.read()
    parent = pit.state.orders[parent.order_id]
    assert (parent.filled_qty, parent.booked_qty) == (D(3), D(3))
    assert pit.state.filling() == set()
    assert pit.structure.uneven_since is None


def test_a_structure_that_was_filled_in_part_has_as_many_units_as_were_filled():
    pit = Pit(proposal())
    pit.scan()
    [coid] = pit.floor.orders
    pit.floor.fill(coid, pit.at, 2)
    pit.read()
    assert pit.structure.units == 5
    pit.floor.end(coid, "canceled", pit.at)
    pit.read()
    assert pit.structure.units == 2
    assert pit.state.intents[coid].settled_at is not None


def test_a_closed_structure_is_one_round_trip_with_all_of_its_money():
    pit = Pit(proposal(CONDOR, strategy="iron condor")).entered()
    units = pit.structure.units
    pit.scan(quotes=None, price="100")
    pit.step(ev.BrokerFailed(pit.at, ev.BROKER, "away"))
    pit.facts += pit.engine.record(ev.ExitRequested(pit.at, "AAPL", "asked")).facts
    pit.read()
    pit.fill_all()
    pit.read()
    assert pit.state.positions == {}
    [trade] = _closed(pit)
    entry, exit_ = D("-2.1"), D("-2.5")  # sold at 4.20 for 2.10; bought back at 4.40 for 1.90
    assert (trade.symbol, trade.side, trade.qty, trade.multiplier) == ("AAPL", "short", units, 100)
    assert (trade.entry_price, trade.exit_price) == (entry, exit_)
    assert trade.pnl == (exit_ - entry) * 100 * units == pit.state.realized_pnl == pit.floor.cash
    assert (trade.strategy, trade.reason) == ("iron condor", "asked")
    assert (pit.state.closed_trades, pit.state.structures, pit.state.exits) == (1, {}, {})
    assert (pit.state.risk.losses, pit.state.risk.lost) == (1, -trade.pnl)


def _closed(pit):
    """The closed trades of all facts, evolved anew: a replay comes to the same."""
    again = Pit(state=snapshot.load(snapshot.dump(START), snapshot.STATE_VERSION))
    state, found = again.state, []
    for fact in pit.facts:
        found += apply(state, fact).closed
    assert snapshot.dump(state) == snapshot.dump(pit.state)
    return found


START = Pit().state


def test_an_entry_that_was_refused_leaves_nothing_and_is_no_trade():
    pit = Pit(proposal())
    pit.sends = False
    pit.scan()
    [intent] = pit.intents()
    pit.step(ev.SubmitRefused(pit.at, intent.client_order_id, "no", duplicate=False))
    pit.read()
    [ended] = pit.of(ev.StructureEnded)
    assert ended.reason == "never filled: no"
    assert (pit.state.structures, pit.state.closed_trades) == ({}, 0)


def test_a_fill_that_comes_after_its_end_begins_it_anew():
    pit = Pit(proposal())
    pit.scan()
    [coid] = pit.floor.orders
    pit.floor.end(coid, "canceled", pit.at)
    pit.read()
    assert pit.state.structures == {}
    pit.floor.fill(coid, pit.at, 1)
    pit.floor.end(coid, "canceled", pit.at)
    pit.read()
    assert set(pit.state.positions) == {CALL, PUT}
    assert all(p.structure_id == coid for p in pit.state.positions.values())
    assert (pit.structure.units, pit.structure.cash) == (1, D(-200))


def settled(symbol: str, qty: str, shares: str, price: str = "100", how: str = "assigned") -> ev.OptionSettled:
    return ev.OptionSettled(AT, symbol, D(qty), how, D(shares), D(price), ("x1", "x2"))


def test_a_parent_that_has_ended_still_waits_for_the_fills_of_its_legs():
    """Its own word that it is filled is ahead of the activities: until all are booked, what is held is not known."""
    pit = Pit(proposal())
    pit.scan()
    [coid] = pit.floor.orders
    pit.floor.fill(coid, pit.at, 3)
    pit.floor.end(coid, "canceled", pit.at)
    late = [fill for fill in pit.floor.fills if fill.symbol == PUT]
    pit.floor.fills = [fill for fill in pit.floor.fills if fill.symbol == CALL]
    pit.read()
    parent = next(o for o in pit.state.orders.values() if o.parent_id is None)
    assert (parent.filled_qty, parent.booked_qty, "AAPL" in pit.state.filling()) == (D(3), D(0), True)
    assert pit.structure.units == 5
    pit.floor.fills += late
    pit.read()
    assert pit.state.orders[parent.order_id].booked_qty == 3
    assert (pit.state.filling(), pit.structure.units) == (set(), 3)


def test_an_assigned_call_takes_the_shares_of_its_structure_at_the_strike():
    pit = _covered()
    cash = pit.structure.cash
    pit.engine.record(settled(CALL, "-1", "-100"))
    assert pit.state.positions == {}
    assert (pit.structure.settled, pit.structure.cash) == (True, cash + 10_000)
    assert pit.state.realized_pnl == pit.structure.cash
    assert pit.state.actions == ["x1", "x2"]
    pit.floor.held = {}
    pit.read()
    [ended] = pit.of(ev.StructureEnded)
    assert ended.reason == "expired, or exercised"
    assert pit.state.closed_trades == 1


def _covered() -> Pit:
    plan = replace(START.plan, capital_per_trade=D(10_000))
    pit = Pit(proposal(COVERED, strategy="covered call"), plan=plan).entered()
    pit.fill_all()
    pit.read()
    assert {s: p.qty for s, p in pit.state.positions.items()} == {"AAPL": 100, CALL: -1}
    return pit


def test_an_exercised_call_leaves_shares_in_its_structure():
    pit = Pit(proposal()).entered()
    cash = pit.structure.cash
    pit.engine.record(settled(CALL, "5", "500", how="exercised"))
    shares = pit.state.positions["AAPL"]
    assert (shares.qty, shares.avg_entry_price, shares.structure_id) == (D(500), D(100), pit.structure.structure_id)
    assert CALL not in pit.state.positions
    assert (pit.structure.cash, pit.structure.uneven_since is not None) == (cash - 50_000, True)


def test_one_that_expires_worthless_closes_at_nothing():
    pit = Pit(proposal()).entered()
    for symbol in (CALL, PUT):
        pit.engine.record(settled(symbol, "5", "0", how="expired"))
    assert pit.state.realized_pnl == pit.structure.cash == -5 * 990
    assert pit.structure.settled


def test_what_left_without_a_price_makes_the_profit_unknown():
    pit = Pit(proposal()).entered()
    pit.engine.record(
        ev.Adjusted(AT, CALL, D(0), None, "gone"), ev.Adjusted(AT, PUT, D(0), D(3), "by another's fill"),
        ev.StructureEnded(AT, pit.structure.structure_id, "gone"),
    )  # fmt: skip
    assert (pit.state.closed_trades, pit.state.unpriced_closes) == (1, 1)


def test_orders_of_a_structure_count_its_decisions_and_no_positions():
    pit = _covered()
    [leg] = pit.intents(Purpose.LEG)
    assert pit.structure.decisions == 1
    assert {p.decisions for p in pit.state.positions.values()} == {0}
    again = ev.IntentRecalled(AT, leg)
    pit.engine.record(again)
    assert pit.structure.decisions == 1


def test_a_recalled_entry_brings_its_structure():
    [entry] = Pit(proposal()).entered().intents()
    other = Pit()
    other.engine.record(ev.IntentRecalled(AT, entry))
    assert other.structure == entry.structure


# -- the money adds up ----------------------------------------------------------------------------

PRICED = st.decimals("0.01", "60", places=2)
STEPS = st.lists(st.tuples(st.sampled_from(["fill", "adjust", "settle", "mark"]), st.integers(0, 5), st.integers(1, 4),
                           PRICED), max_size=14)  # fmt: skip


@pytest.mark.parametrize("legs", [STRADDLE, CONDOR, COVERED, (Leg(CALL, 2), Leg(PUT, -3))], ids=range(4))
@settings(max_examples=30)
@given(steps=STEPS)
def test_profit_is_the_sum_of_the_legs_and_what_the_cash_says(legs, steps):
    """Whatever is filled, in whatever pieces and order, closed by hand or settled."""
    pit = Pit()
    whole = replace(Pit(proposal()).entered().structure, structure_id="s", legs=legs, cash=D(0), filled=False)
    [template] = Pit(proposal()).entered().intents()
    intent = replace(template, client_order_id="s", position_id="s", structure_id="s", structure=whole)
    pit.engine.record(ev.IntentPlanned(AT, intent))
    cash, number = D(0), 0
    for what, which, qty, price in steps:
        symbol = legs[which % len(legs)].symbol
        held = pit.state.positions.get(symbol)
        if what == "mark":
            pit.engine.record(ev.Marked(AT, {symbol: price}, {}))
        elif what == "fill":
            number += 1
            cash += _filled(pit, number, symbol, Side.BUY if which % 2 else Side.SELL, D(qty), price)
        elif held is not None and what == "adjust":
            after = held.qty - min(D(qty), abs(held.qty)) * (1 if held.qty > 0 else -1)
            pit.engine.record(ev.Adjusted(AT, symbol, after, price, "by hand"))
            cash += (held.qty - after) * price * held.multiplier
        elif held is not None and held.multiplier == 100:
            part = min(D(qty), abs(held.qty)) * (1 if held.qty > 0 else -1)
            pit.engine.record(settled(symbol, str(part), str(part * 100), str(price)))
            cash -= part * 100 * price
        _adds_up(pit, cash)
    for symbol, position in list(pit.state.positions.items()):
        pit.engine.record(ev.Adjusted(AT, symbol, D(0), D(7), "by hand"))
        cash += position.qty * 7 * position.multiplier
    assert pit.state.realized_pnl == pit.structure.cash == cash
    pit.engine.record(ev.StructureEnded(AT, "s", "done"))
    assert pit.state.pnl == cash


def _filled(pit: Pit, number: int, symbol: str, side: Side, qty: Decimal, price: Decimal) -> Decimal:
    pit.sends = False
    intent = replace(next(iter(pit.state.intents.values())).intent, body='{"type":"market","qty":"9"}')
    report = replace(
        pit.floor.take(intent, AT), order_id=f"o{number}", client_order_id=f"theirs{number}", symbol=symbol, side=side,
        qty=qty, filled_qty=qty, status="filled", replaces=None if number == 1 else "o1",
    )  # fmt: skip
    first = replace(report, client_order_id=intent.client_order_id) if number == 1 else report
    pit.engine.record(ev.OrderUpdated(AT, first))
    pit.engine.record(ev.FillReported(AT, Fill(f"f{number}", f"o{number}", symbol, side, qty, price, AT)))
    return -qty * side.sign * price * (1 if symbol == "AAPL" else 100)


def _adds_up(pit: Pit, cash: Decimal) -> None:
    """At marks of ours, or at cost where there is none, profit is cash and what the legs are worth."""
    state = pit.state
    assert pit.structure.cash == cash
    worth = sum((p.value(state.marks.get(s, p.avg_entry_price)) for s, p in state.positions.items()), D(0))
    assert abs(state.pnl - (cash + worth)) < D("0.0001")
    legs = sum((p.unrealized(state.marks[s]) for s, p in state.positions.items() if s in state.marks), D(0))
    assert state.pnl == state.realized_pnl + legs
    assert all(p.structure_id == "s" for p in state.positions.values())


def test_a_structure_was_opened_by_its_first_fill_whatever_follows():
    """Its days are counted from then."""
    pit = Pit(proposal()).entered()
    opened = pit.structure.opened_at
    pit.at += timedelta(days=3)
    pit.engine.record(ev.Adjusted(pit.at, CALL, D(4), D(5), "by hand"))
    assert pit.structure.opened_at == opened
