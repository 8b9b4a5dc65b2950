"""What a restart tells of the time nobody ran the session."""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from gambler_ai.cli.report import catch_up_lines
from gambler_ai.core import events as ev
from gambler_ai.core.catchup import bars_passed, caught_up
from gambler_ai.core.evolution import evolve
from gambler_ai.core.orders import Purpose
from gambler_ai.core.protection import CROSSED
from tests.unit import spreads
from tests.unit.fakes import AT, FIVE, D, Desk, after, bracket_of, entry, fill_of, frame_of, make_state, protect

COID = entry().client_order_id


def test_a_stop_that_filled_meanwhile_is_told_with_its_round_trip():
    desk = Desk()
    desk.holding()
    parent = bracket_of(entry(), limit="canceled", stop="filled")
    stop = replace(parent.legs[1], filled_qty=D(10), filled_avg_price=D(98))
    facts: list[ev.Fact] = [
        ev.OrderUpdated(AT, replace(parent, legs=(parent.legs[0], stop))),
        ev.FillReported(AT, fill_of(stop, "10", "98")), ev.Reconciled(AT, ()),
    ]  # fmt: skip
    changes = evolve(desk.state, facts)
    told = caught_up(AT, after(hours=3), desk.state, facts, changes.closed, (36, True))
    assert (told.fills, told.stops, told.exits, told.rearmed, told.given_up) == (1, ("AAPL",), (), (), ())
    assert [trade.pnl for trade in told.closed] == [D(-20)]
    assert (told.bars, told.more, told.differences, told.down) == (36, True, 1, timedelta(hours=3))


def test_what_was_done_about_it_is_told_by_symbol_once():
    state = make_state()
    out = replace(protect("p-2", symbol="MSFT"), client_order_id="ga1-out", purpose=Purpose.EXIT, reason=CROSSED)
    facts: list[ev.Fact] = [
        ev.IntentPlanned(AT, entry("IBM")), ev.IntentUnknown(AT, entry("IBM").client_order_id, "?"),
        ev.IntentVoided(AT, entry("IBM").client_order_id, "?", AT + timedelta(days=4)),
        ev.IntentPlanned(AT, protect("p-1")), ev.IntentPlanned(AT, protect("p-1", ordinal=1)),
        ev.IntentPlanned(AT, out),
    ]  # fmt: skip
    evolve(state, facts)
    told = caught_up(AT, AT, state, facts, (), None)
    assert (told.rearmed, told.exits, told.given_up) == (("AAPL",), ("MSFT",), ("IBM",))
    assert (told.bars, told.more, told.fills, told.stops) == (None, False, 0, ())


def test_an_exit_that_was_asked_for_is_no_crossed_stop():
    out = replace(protect("p-1"), purpose=Purpose.EXIT, reason="flatten: lunch")
    told = caught_up(AT, AT, make_state(), [ev.IntentPlanned(AT, out)], (), None)
    assert told.exits == told.rearmed == ()


def test_bars_are_counted_by_the_symbol_that_has_most_and_not_for_one_never_decided_on():
    frame = frame_of({"AAPL": [1.0, 2.0, 3.0, 4.0], "MSFT": [1.0, 2.0]})
    newest = AT - FIVE
    assert bars_passed(frame, {"AAPL": newest, "MSFT": newest}) == (0, False)
    assert bars_passed(frame, {"AAPL": newest - 2 * FIVE, "MSFT": newest - FIVE}) == (2, False)
    assert bars_passed(frame, {}) == (0, False)
    assert bars_passed(frame, {"AAPL": newest - 9 * FIVE}) == (4, True)


def test_what_became_of_structures_meanwhile_is_told():
    state = spreads.holding(spreads.VERTICAL)
    facts: list[ev.Fact] = [
        ev.OptionSettled(AT, spreads.C105, D(-1), "assigned", D(-100), D(105), ("nta-1",)),
        ev.ExitRequested(AT, spreads.COID, "a contract of it was assigned"),
        ev.ExitRequested(AT, "MSFT", "flatten"),
    ]  # fmt: skip
    evolve(state, facts)
    told = caught_up(AT, after(hours=14), state, facts, (), None)
    assert (told.settled, told.left, told.unguarded) == ((f"{spreads.C105} assigned",), ("AAPL",), 1)
    lines = [text for _name, text, _style in catch_up_lines(told)]
    assert f"{spreads.C105} assigned  meanwhile" in lines
    assert "AAPL  structure: closing now" in lines
    assert any(line.startswith("1 structure was not guarded for 14") for line in lines)


def test_a_structure_that_ended_meanwhile_was_not_guarded_and_one_that_never_filled_was_none():
    state = spreads.holding(spreads.VERTICAL)
    evolve(state, [
        ev.OptionSettled(AT, symbol, qty, "expired", D(0), D(100), (symbol,))
        for symbol, qty in ((spreads.C100, D(1)), (spreads.C105, D(-1)))
    ])  # fmt: skip
    facts: list[ev.Fact] = [ev.StructureEnded(AT, spreads.COID, "expired")]
    changes = evolve(state, facts)
    assert caught_up(AT, AT, state, facts, changes.closed, None).unguarded == 1
    state = spreads.bare_state()
    evolve(state, [ev.IntentPlanned(AT, spreads.entry_of(spreads.structure_of(spreads.VERTICAL)))])
    changes = evolve(state, facts)
    told = caught_up(AT, AT, state, facts, changes.closed, None)
    assert (told.unguarded, told.left, told.settled) == (0, (), ())


def test_an_exit_of_a_structure_is_told_by_its_underlying():
    state = spreads.holding(spreads.VERTICAL)
    facts: list[ev.Fact] = [ev.IntentPlanned(AT, spreads.exit_of(state.structures[spreads.COID]))]
    evolve(state, facts)
    assert caught_up(AT, AT, state, facts, (), None).left == ("AAPL",)
