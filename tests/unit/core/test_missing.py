"""Orders of structures that the broker does not know: sent again while they still do what they were decided for."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core import missing
from gambler_ai.core.evolution import evolve
from gambler_ai.core.model import Side
from gambler_ai.core.orders import OrderIntent, Purpose, client_order_id, contract_body, position_decision_id
from gambler_ai.core.state import SessionState
from tests.unit.fakes import ACCOUNT, AT, SESSION, SHUT, D, after, kinds, reading
from tests.unit.spreads import (
    C100,
    C105,
    COID,
    COVERED,
    VERTICAL,
    bare_state,
    covered,
    entry_of,
    exit_of,
    holding,
    positions,
    structure_of,
)

WHOLE = {C100: 2, C105: -2}


def asked(state: SessionState, intent: OrderIntent, at: Any = AT, **parts: Any) -> list[str]:
    """What comes of an intent that was perhaps sent and is not found."""
    coid = intent.client_order_id
    evolve(state, [ev.IntentPlanned(AT, intent), ev.IntentUnknown(AT, coid, "?")])
    facts = []
    for fact in missing.settle(state, at, reading(**{"lookups": {coid: None}} | parts)):
        facts.append(fact)
        evolve(state, [fact])
    return kinds(facts)


def out(symbol: str, side: Side, qty: int) -> OrderIntent:
    coid = exit_of(structure_of(VERTICAL)).client_order_id
    body = contract_body(coid, symbol, side, D(qty), opening=False)
    return exit_of(structure_of(VERTICAL), symbol=symbol, side=side, qty=D(qty), body=body)


@pytest.mark.parametrize(
    ("intent", "shown", "market", "again"),
    [
        (exit_of(structure_of(VERTICAL, 2)), WHOLE, None, True),
        (exit_of(structure_of(VERTICAL, 2)), WHOLE, SHUT, False),
        (exit_of(structure_of(VERTICAL, 2)), {C100: 2, C105: -1}, None, False),
        (exit_of(structure_of(VERTICAL, 3)), WHOLE, None, False),
        (out(C105, Side.BUY, 1), WHOLE, None, True),
        (out(C105, Side.BUY, 3), WHOLE, None, False),
        (out(C105, Side.SELL, 1), WHOLE, None, False),
        (out("AAPL", Side.SELL, 1), WHOLE, None, False),
    ],
    ids=["whole", "closed market", "a leg is gone", "more units", "a leg", "more of a leg", "other side", "not held"],
)
def test_an_exit_goes_out_again_while_it_takes_out_what_is_held_and_no_more(intent, shown, market, again):
    parts = {"positions": positions(shown)} | ({} if market is None else {"market": market})
    facts = asked(holding(VERTICAL, 2), intent, **parts)
    assert facts == ["LookupMissed"] + ["ResendPlanned"] * again


def test_an_entry_goes_out_again_while_its_signal_is_fresh():
    intent = entry_of(structure_of(VERTICAL))
    assert asked(bare_state(), intent) == ["LookupMissed", "ResendPlanned"]
    assert asked(bare_state(), intent, after(minutes=11)) == ["LookupMissed"]


def leg_of(state: SessionState) -> OrderIntent:
    decision = position_decision_id(Purpose.LEG, COID, 9)
    return replace(
        entry_of(structure_of(COVERED)), client_order_id=client_order_id(ACCOUNT, SESSION, decision),
        decision_id=decision, purpose=Purpose.LEG, symbol=C105, side=Side.SELL, qty=D(1), structure=None,
        valid_until=after(minutes=1),
    )  # fmt: skip


def bare_shares() -> SessionState:
    """The shares of a covered call, before its call is sold."""
    state = covered()
    del state.positions[C105]
    return state


def test_the_call_of_a_covered_call_goes_out_again_in_its_time_and_while_the_shares_are_kept():
    shares = positions({"AAPL": 100})
    state = bare_shares()
    assert asked(state, leg_of(state), positions=shares) == ["LookupMissed", "ResendPlanned"]
    assert asked(bare_shares(), leg_of(state), after(minutes=2), positions=shares) == ["LookupMissed"]
    assert asked(bare_shares(), leg_of(state), positions=[]) == ["LookupMissed"], "its shares are gone"
    left = bare_shares()
    left.exits[COID] = "flatten"
    assert asked(left, leg_of(state), positions=shares) == ["LookupMissed"]
    whole = covered()
    assert asked(whole, leg_of(state), positions=positions({"AAPL": 100, C105: -1})) == ["LookupMissed"]


def test_of_a_structure_that_has_ended_nothing_is_sent_again():
    state = holding(VERTICAL, 2)
    intent = exit_of(structure_of(VERTICAL, 2))
    state.structures.clear()
    assert asked(state, intent, positions=positions(WHOLE)) == ["LookupMissed"]
