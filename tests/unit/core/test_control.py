"""What a person may ask, what it comes to, and what is refused; each is answered once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from msgspec.structs import replace

from gambler_ai.core import control
from gambler_ai.core import events as ev
from gambler_ai.core.evolution import evolve
from gambler_ai.core.learning import LearningRules
from gambler_ai.core.model import Side
from gambler_ai.core.orders import Status
from gambler_ai.core.state import SessionState
from gambler_ai.core.structures import Leg
from tests.unit import spreads
from tests.unit.fakes import (
    AT,
    SHUT,
    D,
    Desk,
    bracket_of,
    entry,
    fill_of,
    held,
    kinds,
    leg,
    make_plan,
    make_state,
    reading,
)

COID = entry().client_order_id


def asked(kind: str, argument: str = "", reason: str = "lunch") -> ev.Request:
    return ev.Request(id="r-1", kind=kind, argument=argument, reason=reason, asked_by="ann on desk")


def take(state: SessionState, kind: str, argument: str = "", *, at: datetime = AT, **more: Any) -> list[ev.Fact]:
    report = more.pop("report", reading())
    return control.take(state, asked(kind, argument), at, report, **more)


def answer(facts: list[ev.Fact]) -> str:
    """What was answered, in the last fact and in no other."""
    *others, last = facts
    assert isinstance(last, ev.RequestTaken)
    assert not any(isinstance(fact, ev.RequestTaken) for fact in others)
    assert last.request_id == "r-1"
    return last.answer


def check_refused(facts: list[ev.Fact], *words: str) -> None:
    """Nothing but the answer."""
    assert kinds(facts) == ["RequestTaken"]
    assert answer(facts).startswith("refused: ")
    for word in words:
        assert word in answer(facts)


def holding() -> SessionState:
    desk = Desk()
    desk.holding()
    return desk.state


# -- halt and resume-trading ----------------------------------------------------------------------


def test_a_halt_says_who_and_why_and_is_told_once():
    state = make_state()
    facts = take(state, "halt")
    assert facts[0] == ev.TradingHalted(AT, "person", "lunch (ann on desk)")
    evolve(state, facts)
    again = take(state, "halt")
    assert kinds(again) == ["RequestTaken"]
    assert answer(again) == "was halted already: lunch (ann on desk)"


def test_a_halt_without_a_reason_says_so():
    request = ev.Request(id="r-1", kind="halt", argument="", reason="")
    fact = control.take(make_state(), request, AT, None)[0]
    assert isinstance(fact, ev.TradingHalted)
    assert fact.reason == "no reason given"


def test_only_a_persons_halt_is_taken_back_and_the_others_are_named():
    state = make_state(halts={"person": "lunch", "HALT file": "upgrade"})
    facts = take(state, "resume-trading")
    assert kinds(facts) == ["TradingResumed", "RequestTaken"]
    assert answer(facts) == "entries are allowed again; still halted by HALT file: upgrade"
    evolve(state, facts)
    assert state.halts == {"HALT file": "upgrade"}
    assert answer(take(state, "resume-trading")) == "was not halted; still halted by HALT file: upgrade"


def test_trading_is_not_resumed_while_everything_is_being_closed_and_what_is_still_open_is_named():
    state = holding()
    evolve(state, take(state, "flatten"))
    check_refused(take(state, "resume-trading"), "still being closed (AAPL)")
    assert "person" in state.halts


# -- flatten --------------------------------------------------------------------------------------


def test_flatten_halts_first_and_leaves_everything():
    state = holding()
    facts = take(state, "flatten")
    assert kinds(facts) == ["TradingHalted", "ExitRequested", "RequestTaken"]
    assert facts[1] == ev.ExitRequested(AT, "*", "flatten: lunch (ann on desk)")
    assert answer(facts) == "closing 1 position, no entries from here on"
    evolve(state, facts)
    assert kinds(take(state, "flatten")) == kinds(take(state, "flatten", "AAPL")) == ["RequestTaken"]
    assert answer(take(state, "flatten", "AAPL")) == "is being closed already"


def test_flatten_of_what_is_halted_does_not_halt_again():
    assert kinds(take(make_state(halts={"person": "lunch"}), "flatten")) == ["ExitRequested", "RequestTaken"]


def test_flatten_of_one_symbol_halts_nothing_and_wants_a_position():
    state = holding()
    facts = take(state, "flatten", "AAPL")
    assert kinds(facts) == ["ExitRequested", "RequestTaken"]
    assert answer(facts) == "closing 10 AAPL"
    check_refused(take(state, "flatten", "MSFT"), "no position in MSFT")
    evolve(state, facts)
    assert kinds(take(state, "flatten")) == ["TradingHalted", "ExitRequested", "RequestTaken"]


@pytest.mark.parametrize("symbol", ["", "AAPL"])
def test_flatten_while_the_market_is_closed_says_when_it_will_be(symbol):
    text = answer(take(holding(), "flatten", symbol, report=reading(market=SHUT)))
    assert text.endswith("when the market opens (2008-10-07 20:00 UTC); until then stops and targets stay")


# -- adopt ----------------------------------------------------------------------------------------


def test_what_another_opened_is_adopted_at_the_brokers_price():
    facts = take(make_state(), "adopt", "IBM", report=reading(positions=[held("IBM", "-5", "90")]))
    assert facts[0] == ev.Adopted(AT, "IBM", D(-5), D(90), "lunch (ann on desk)")
    assert answer(facts) == "-5 IBM are ours from here on, with a stop and a target"


def test_beside_a_position_of_ours_the_surplus_is_adopted_at_the_price_it_was_bought_for():
    """The broker averages over all it holds: ten of ours at 100 and five at 130 are fifteen at 110."""
    state = holding()
    [fact, _] = take(state, "adopt", "AAPL", report=reading(positions=[held("AAPL", "15", "110")]))
    assert isinstance(fact, ev.Adopted)
    assert (fact.qty, fact.price) == (D(5), D(130))
    evolve(state, [fact])
    assert state.positions["AAPL"].avg_entry_price == D(110)


def test_a_surplus_whose_price_makes_no_sense_has_the_brokers_average():
    [fact, _] = take(holding(), "adopt", "AAPL", report=reading(positions=[held("AAPL", "15", "50")]))
    assert isinstance(fact, ev.Adopted)
    assert fact.price == D(50)


def test_what_is_adopted_is_what_the_last_reading_shows_not_what_an_earlier_one_did():
    state = make_state(foreign={"IBM": D(5)})
    [fact, _] = take(state, "adopt", "IBM", report=reading(positions=[held("IBM", "2")]))
    assert isinstance(fact, ev.Adopted)
    assert fact.qty == D(2)
    check_refused(take(state, "adopt", "IBM", report=reading()), "holds nothing in IBM that is not ours")


@pytest.mark.parametrize(
    ("positions", "why"),
    [
        ([], "holds nothing in AAPL that is not ours"),
        ([held("AAPL", "10")], "holds nothing in AAPL that is not ours"),
        ([held("AAPL", "8")], "holds nothing in AAPL that is not ours"),
        ([held("AAPL", "-3")], "-3 AAPL are on the other side of ours"),
    ],
    ids=["nothing there", "ours only", "less than ours", "other side"],
)
def test_there_must_be_something_of_anothers_on_our_side(positions, why):
    check_refused(take(holding(), "adopt", "AAPL", report=reading(positions=positions)), why)


def test_nothing_is_adopted_before_a_reading_nor_while_a_fill_of_ours_is_on_its_way():
    check_refused(take(make_state(), "adopt", "IBM", report=None), "nothing in IBM")
    desk = Desk()
    desk.record(ev.IntentPlanned(AT, entry()), ev.OrderUpdated(AT, bracket_of(entry())))
    check_refused(
        take(desk.state, "adopt", "AAPL", report=reading(positions=[held("AAPL", "10")])), "fill of ours in AAPL"
    )


def test_shares_that_anothers_order_holds_are_not_adopted():
    stranger = replace(bracket_of(entry("IBM"), "new"), client_order_id="by-hand", order_id="theirs")
    done = replace(stranger, status="filled", legs=(leg(stranger, "stop", "canceled"), leg(stranger, "limit", "new")))
    ibm = [held("IBM", "5")]
    check_refused(take(make_state(), "adopt", "IBM", report=reading(orders=[stranger], positions=ibm)), "cancel theirs")
    # A leg that rests holds them as well; a settled family does not.
    check_refused(take(make_state(), "adopt", "IBM", report=reading(orders=[done], positions=ibm)), "theirs-limit")
    settled = replace(done, legs=(leg(stranger, "stop", "canceled"),))
    assert "Adopted" in kinds(take(make_state(), "adopt", "IBM", report=reading(orders=[settled], positions=ibm)))


def test_our_own_stop_does_not_stand_against_an_adoption_beside_it():
    state, parent = holding(), bracket_of(entry(), limit="new")
    report = reading(orders=[parent], positions=[held("AAPL", "12")])
    assert "Adopted" in kinds(take(state, "adopt", "AAPL", report=report))


def test_what_another_session_of_the_account_has_is_not_adopted():
    report = reading(positions=[held("IBM", "5")])
    check_refused(take(make_state(), "adopt", "IBM", report=report, elsewhere={"IBM": "s-2"}), "session s-2 has IBM")
    assert "Adopted" in kinds(take(make_state(), "adopt", "IBM", report=report, elsewhere={"GE": "s-2"}))


# -- resolve --------------------------------------------------------------------------------------


def unclear(status: Status) -> SessionState:
    """An entry in this status that the broker never showed."""
    desk = Desk()
    desk.record(ev.IntentPlanned(AT, entry()), ev.IntentUnknown(AT, COID, "timeout"))
    if status is Status.VOID:
        desk.record(ev.IntentVoided(AT, COID, "three misses", AT))
    if status is Status.DISPUTED:
        desk.record(ev.IntentDisputed(AT, COID, "another one"))
    return desk.state


@pytest.mark.parametrize("status", [Status.UNKNOWN, Status.VOID, Status.DISPUTED])
@pytest.mark.parametrize(("verdict", "after"), [("gone", Status.VOID), ("broker", Status.UNKNOWN)])
def test_a_persons_word_settles_what_nobody_can_tell_of(status, verdict, after):
    state = unclear(status)
    facts = take(state, "resolve", f"{COID} {verdict}")
    assert facts[0] == ev.IntentResolved(AT, COID, verdict, "lunch (ann on desk)")
    evolve(state, facts)
    assert state.intents[COID].status is after
    assert bool(state.open_intents("AAPL")) is (verdict == "broker")


@pytest.mark.parametrize(
    ("argument", "words"),
    [("ga1-none gone", "it is settled"), (COID, "neither gone nor broker"), (f"{COID} maybe", "'maybe' is neither")],
)
def test_a_word_on_nothing_or_that_is_none_is_refused(argument, words):
    check_refused(take(unclear(Status.UNKNOWN), "resolve", argument), words)


def test_what_the_broker_tells_of_needs_nobodys_word():
    check_refused(take(holding(), "resolve", f"{COID} broker"), "it is filled")


def shown_and_disputed() -> SessionState:
    state = holding()
    evolve(state, [ev.IntentDisputed(AT, COID, "the broker no longer knows it")])
    return state


def test_an_order_the_broker_has_shown_is_not_gone_until_it_says_so_itself():
    state = shown_and_disputed()
    check_refused(take(state, "resolve", f"{COID} gone"), "has shown an order", "say broker")
    check_refused(take(state, "resolve", f"{COID} gone", report=None), "has shown an order")
    found = reading(lookups={COID: bracket_of(entry())})
    check_refused(take(state, "resolve", f"{COID} gone", report=found), "has shown an order")
    facts = take(state, "resolve", f"{COID} gone", report=reading(lookups={COID: None}))
    assert kinds(facts) == ["IntentResolved", "RequestTaken"]


# -- all of them ----------------------------------------------------------------------------------


def test_a_request_of_another_version_is_refused_and_does_not_stop_the_session():
    check_refused(take(make_state(), "double-down"), "does not know how to double-down")


def test_each_kind_there_is_can_be_asked():
    for kind in ev.REQUESTS:
        assert answer(take(make_state(), kind))


def test_a_short_counts_as_held():
    desk = Desk()
    intent = entry(side=Side.SELL)
    parent = bracket_of(intent)
    desk.record(
        ev.IntentPlanned(AT, intent), ev.OrderUpdated(AT, parent), ev.FillReported(AT, fill_of(parent, "10"))
    )  # fmt: skip
    assert answer(take(desk.state, "flatten", "AAPL")) == "closing -10 AAPL"


# -- what must not be believed, and what stands already --------------------------------------------


def test_shares_of_an_entry_that_nobody_can_tell_of_are_not_adopted():
    """They may be ours: booked once as adopted and once as filled they would be held twice."""
    state = make_state()
    intent = entry()
    evolve(state, [ev.IntentPlanned(AT, intent), ev.IntentUnknown(AT, COID, "?")])
    check_refused(take(state, "adopt", "AAPL", report=reading(positions=[held("AAPL", "10")])), "is on its way")


@pytest.mark.parametrize("standing", ["*", "AAPL"])
def test_a_flatten_halts_whatever_is_being_closed_already(standing):
    state = holding()
    evolve(state, [ev.ExitRequested(AT, standing, "the strategy")])
    facts = take(state, "flatten")
    assert kinds(facts) == ["TradingHalted", *(["ExitRequested"] if standing != "*" else []), "RequestTaken"]


# -- learner-reset --------------------------------------------------------------------------------


def learning(*names: str, strategy: str = "momentum") -> SessionState:
    return make_state(plan=make_plan(learning=LearningRules(names), strategy_name=strategy))


def test_a_learner_forgets_for_a_reason():
    facts = take(learning("attention", "signal"), "learner-reset", "signal")
    assert facts[0] == ev.LearnerReset(AT, "signal", "lunch (ann on desk)")
    assert answer(facts) == "signal has forgotten what it had learned"


def test_the_chooser_is_one_where_it_trades():
    assert kinds(take(learning(strategy="chooser"), "learner-reset", "chooser")) == ["LearnerReset", "RequestTaken"]
    check_refused(take(learning("attention"), "learner-reset", "chooser"), "no learner chooser", "it has attention")


@pytest.mark.parametrize("name", ["signal", "", "risk", "*"])
def test_one_that_a_session_does_not_have_is_refused(name):
    check_refused(take(learning("attention"), "learner-reset", name), "has no learner", "it has attention")
    check_refused(take(learning(), "learner-reset", name), "it has none")


# -- move-stop and move-target --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "price", "field"), [("move-stop", "99", "stop_price"), ("move-target", "110", "target_price")]
)
def test_a_level_is_moved_for_a_reason(kind, price, field):
    state = holding()
    state.marks["AAPL"] = D(100)
    facts = take(state, kind, f"AAPL {price}")
    assert kinds(facts) == ["IntentPlanned", "RequestTaken"]
    assert isinstance(facts[0], ev.IntentPlanned)
    assert (getattr(facts[0].intent, field), facts[0].intent.reason) == (D(price), "lunch (ann on desk)")
    assert "stays until then" in answer(facts)


@pytest.mark.parametrize("argument", ["AAPL 101", "AAPL much", "AAPL", "MSFT 99"])
def test_a_level_that_cannot_be_moved_is_refused(argument):
    state = holding()
    state.marks["AAPL"] = D(100)
    check_refused(take(state, "move-stop", argument))


# -- structures -----------------------------------------------------------------------------------

OTHER = "ga1-other0000000000000000000000"


def two_structures() -> SessionState:
    """One on AAPL, another on MSFT whose legs are of no interest."""
    state = spreads.holding(spreads.VERTICAL, 2)
    one = state.structures[spreads.COID]
    state.structures[OTHER] = replace(one, structure_id=OTHER, underlying="MSFT", legs=(Leg(MSFT_CALL, 1),))
    return state


MSFT_CALL = "MSFT081017C00025000"


@pytest.mark.parametrize(
    "name", ["AAPL", spreads.COID, spreads.COID[:12], spreads.COID[4:10], spreads.COID[:9].upper()]
)
def test_a_structure_is_flattened_by_its_underlying_or_its_id(name):
    facts = take(two_structures(), ev.FLATTEN, name)
    assert [f.symbol for f in facts if isinstance(f, ev.ExitRequested)] == [spreads.COID]
    assert answer(facts) == f"closing the structure on AAPL ({spreads.COID[:12]}, 2 units)"
    [taken] = [f for f in facts if isinstance(f, ev.RequestTaken)]
    assert taken.symbol == "AAPL"


def test_everything_is_flattened_with_its_structures():
    facts = take(two_structures(), ev.FLATTEN)
    assert [f.symbol for f in facts if isinstance(f, ev.ExitRequested)] == [ev.ALL]
    assert answer(facts) == "closing 2 structures, no entries from here on"


def test_while_the_market_is_closed_a_structure_waits_for_the_open_and_it_says_so():
    said = answer(take(two_structures(), ev.FLATTEN, "AAPL", report=reading(market=SHUT)))
    assert said.endswith("when the market opens (2008-10-07 20:00 UTC); until then no contract can be closed")
    all_of_it = answer(take(two_structures(), ev.FLATTEN, report=reading(market=SHUT)))
    assert all_of_it.endswith("until then no contract can be closed")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (spreads.C105, "is a leg of a structure, which is closed as a whole: flatten AAPL"),
        ("ga1-", "no position in ga1-"), ("zzzz", "no position in zzzz"), ("IBM", "no position in IBM"),
    ],
)  # fmt: skip
def test_a_leg_alone_or_a_name_of_nothing_is_not_flattened(name, words):
    check_refused(take(two_structures(), ev.FLATTEN, name), words)


def test_letters_that_begin_two_ids_name_neither():
    state = two_structures()
    twin = spreads.COID[:10] + "x" * 20
    state.structures[twin] = replace(state.structures[OTHER], structure_id=twin)
    check_refused(take(state, ev.FLATTEN, spreads.COID[:9]), "begins the ids of 2 structures")


def test_a_structure_is_not_asked_to_be_closed_twice():
    state = two_structures()
    evolve(state, take(state, ev.FLATTEN, "AAPL"))
    assert kinds(take(state, ev.FLATTEN, spreads.COID)) == ["RequestTaken"]
    assert answer(take(state, ev.FLATTEN, "AAPL")) == "is being closed already"


@pytest.mark.parametrize("kind", [ev.MOVE_STOP, ev.MOVE_TARGET])
@pytest.mark.parametrize("symbol", [spreads.C105, "AAPL"])
def test_the_stop_of_a_structure_is_a_rule_and_no_order_that_could_be_moved(kind, symbol):
    words = f"{symbol} is held as part of a structure", "no order of them rests", "flatten AAPL"
    check_refused(take(spreads.holding(spreads.VERTICAL), kind, f"{symbol} 2.00"), *words)
    check_refused(take(spreads.covered(), kind, f"{symbol} 2.00"), *words)


def test_contracts_of_anothers_are_not_adopted_and_shares_not_beside_a_structure():
    state = two_structures()
    strange = reading(positions=[held("AAPL081017P00090000", "1"), held("AAPL", "100"), held("IBM", "10")])
    check_refused(take(state, ev.ADOPT, "AAPL081017P00090000", report=strange), "nothing would guard it by itself")
    check_refused(take(state, ev.ADOPT, "AAPL", report=strange), "a structure on AAPL is held")
    assert "Adopted" in kinds(take(state, ev.ADOPT, "IBM", report=strange))


def test_an_order_of_several_contracts_is_resolved_as_any():
    state = spreads.bare_state()
    intent = spreads.entry_of(spreads.structure_of(spreads.VERTICAL))
    evolve(state, [ev.IntentPlanned(AT, intent), ev.IntentUnknown(AT, intent.client_order_id, "?")])
    facts = take(state, ev.RESOLVE, f"{intent.client_order_id} gone")
    assert answer(facts) == "it never arrived"
    evolve(state, facts)
    assert state.intents[intent.client_order_id].status is Status.VOID
    shown = spreads.holding(spreads.VERTICAL)
    evolve(shown, [ev.IntentDisputed(AT, spreads.COID, "?")])
    check_refused(take(shown, ev.RESOLVE, f"{spreads.COID} gone"), "say broker, and its word is taken")
