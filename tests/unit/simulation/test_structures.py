"""The judge of structures: a life in order breaks no rule, and each broken promise has its own."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core.evolution import apply
from gambler_ai.core.model import Side
from gambler_ai.core.orders import Purpose
from gambler_ai.simulation.structures import Structures
from tests.unit.structures import CONDOR, WINGS, Pit, options_state, proposal

D = Decimal


def condor() -> Pit:
    return Pit(proposal(CONDOR, strategy="iron condor")).entered()


def closed() -> Pit:
    pit = condor()
    pit.facts += pit.engine.record(ev.ExitRequested(pit.at, "AAPL", "asked")).facts
    pit.read()
    pit.fill_all()
    pit.read()
    return pit


def rules(facts: Iterable[ev.Fact], *, cash: Decimal = D(0)) -> list[str]:
    """The rules that the facts of a session break; ``cash`` is put into its structures at the end."""
    nobody: Any = None
    audit, state, found = Structures(nobody), options_state(), []
    for fact in facts:
        found += list(audit.before(state, fact))
        found += list(audit.take(fact, apply(state, fact)))
        state.seq += 1
    state.structures = {key: replace(one, cash=one.cash + cash) for key, one in state.structures.items()}
    return [violation.rule for violation in (*found, *audit.always(state))]


def exits(pit: Pit, **changes: Any) -> ev.IntentPlanned:
    """An order to sell one wing, or another."""
    intent = pit.intents(Purpose.ENTRY)[0]
    made = {"purpose": Purpose.EXIT, "symbol": WINGS[0], "side": Side.SELL, "qty": pit.state.positions[WINGS[0]].qty}
    made |= {"client_order_id": "ga1-another", "structure": None, "reason": "asked"}
    return ev.IntentPlanned(pit.at, replace(intent, **made | changes))


def test_a_structure_that_is_opened_and_closed_breaks_no_rule() -> None:
    pit = closed()
    assert not pit.state.structures
    assert any(isinstance(fact, ev.StructureEnded) for fact in pit.facts)
    assert rules(pit.facts) == []


def test_money_that_no_fill_brought_is_found() -> None:
    assert rules(condor().facts, cash=D("0.01")) == ["structure cash"]


def test_a_second_entry_of_a_structure_is_found() -> None:
    pit = condor()
    [entry] = [f for f in pit.facts if isinstance(f, ev.IntentPlanned)]
    assert "entry twice" in rules([*pit.facts, entry])


def test_what_covers_a_short_may_not_go_before_it() -> None:
    pit = condor()
    assert "long first" in rules([*pit.facts, exits(pit)])


def test_no_more_may_go_than_is_held() -> None:
    pit = condor()
    assert "exit" in rules([*pit.facts, exits(pit, qty=pit.state.positions[WINGS[0]].qty + 1)])
    assert "order of nothing" in rules([*pit.facts, exits(pit, structure_id="of nobody")])


def test_a_structure_may_not_end_while_it_is_held() -> None:
    pit = condor()
    assert "ended too soon" in rules([*pit.facts, ev.StructureEnded(pit.at, pit.structure.structure_id, "too soon")])


def test_what_is_due_may_not_wait_while_nothing_is_done_about_it() -> None:
    pit = condor()
    asked = ev.ExitRequested(pit.at, "AAPL", "asked")
    scans = [ev.Marked(pit.at + timedelta(minutes=m), {}, {}, m) for m in range(1, 24)]
    assert rules([*pit.facts, *scans]) == []
    assert "structure undone" in rules([*pit.facts, asked, *scans])
    assert rules([*pit.facts, asked, *scans[:15]]) == []


def test_what_is_uneven_is_told_in_time() -> None:
    pit = condor()
    gone = ev.Adjusted(pit.at, WINGS[0], D(0), D(1), "closed by hand")
    scans = [ev.Marked(pit.at + timedelta(minutes=m), {}, {}, m) for m in range(1, 9)]
    assert "structure untold" in rules([*pit.facts, gone, *scans])
