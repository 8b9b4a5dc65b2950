"""A structure that a strategy's code returned: what makes sense passes as it is, all else is named."""

from __future__ import annotations

import re
from datetime import UTC, timedelta, timezone
from typing import Any

import pytest
from msgspec.structs import replace

from gambler_ai.core.structure_proposals import checked_structures
from gambler_ai.core.structures import ExitRules, Greeks, Leg, StructureProposal
from tests.unit.fakes import AT, FIVE, D
from tests.unit.structures import CALL, CONDOR, COVERED, GREEKS, PUT, STRADDLE, proposal

OTHER = "MSFT081122C00100000"
CALLS = [Leg(f"AAPL081122C00{strike}000", 1) for strike in range(100, 105)]
NO_SHAPE = "neither 2 to 4 contracts nor 100 shares of AAPL for each contract that is sold on them"


def check(*found: Any) -> list[StructureProposal]:
    return checked_structures(found, ("AAPL", "MSFT"), AT)


@pytest.mark.parametrize("legs", [STRADDLE, CONDOR, COVERED, (Leg(CALL, 1), Leg(PUT, -2)), tuple(CALLS[:4])])
def test_what_makes_sense_passes(legs):
    good = replace(proposal(), legs=legs, greeks={legs[-1].symbol: GREEKS})
    assert check(good) == [good]
    assert check() == []


@pytest.mark.parametrize(("changes", "says"), [
    ({"underlying": "IBM"}, "'IBM' is not one of this session's symbols"),
    ({"underlying": 1}, "1 is not one of this session's symbols"),
    ({"strategy": ""}, "strategy ''"),
    ({"strategy": "a|b"}, "without a bar"),  # it would be read as another decision
    ({"strategy": None}, "strategy None"),
    ({"reason": 7}, "reason 7 is not a str"),
    ({"signal_at": None}, "is not an aware datetime"),
    ({"signal_at": AT.replace(tzinfo=None)}, "is not an aware datetime"),
    ({"signal_at": AT + timedelta(seconds=1)}, "is later than the market's"),
    ({"exits": None}, "exits None are not ExitRules"),
    ({"exits": ExitRules(days_left=-1)}, "days_left of -1"),
    ({"exits": ExitRules(max_days=1.5)}, "max_days of 1.5"),  # type: ignore[arg-type]
    ({"exits": ExitRules(time_value=D("NaN"))}, "time_value of"),
    ({"exits": ExitRules(time_value=D("-0.01"))}, "time_value of"),
    ({"legs": [*STRADDLE]}, "are not a tuple of Legs"),
    ({"legs": (Leg(CALL, 1), "AAPL")}, "are not a tuple of Legs"),
    ({"legs": (Leg(CALL, 1), Leg(PUT, 0))}, "is not a symbol with a whole ratio"),
    ({"legs": (Leg(CALL, 1), Leg(PUT, True))}, "is not a symbol with a whole ratio"),
    ({"legs": (Leg(CALL, 1), Leg(PUT, 1.0))}, "is not a symbol with a whole ratio"),  # type: ignore[arg-type]
    ({"legs": (Leg(CALL, 1), Leg(CALL, -1))}, "two legs are of one symbol"),
    ({"legs": (Leg(CALL, 1), Leg(OTHER, 1))}, f"leg {OTHER} is not on AAPL"),
    ({"legs": (Leg("AAPL081122X00100000", 1), Leg(PUT, 1))}, "leg AAPL081122X00100000 is not on AAPL"),
    ({"legs": (Leg("MSFT", 100), Leg(CALL, -1))}, "leg MSFT is not on AAPL"),
    ({"legs": (Leg(CALL, 2), Leg(PUT, 2))}, "common divisor"),
    ({"legs": ()}, NO_SHAPE),
    ({"legs": (Leg(CALL, 1),)}, NO_SHAPE),
    ({"legs": tuple(CALLS)}, NO_SHAPE),
    ({"legs": (Leg("AAPL", 100),)}, NO_SHAPE),
    ({"legs": (Leg("AAPL", 100), Leg(CALL, 1))}, NO_SHAPE),
    ({"legs": (Leg("AAPL", 99), Leg(CALL, -1))}, NO_SHAPE),
    ({"legs": (Leg("AAPL", 100), Leg(CALL, -1), Leg(PUT, 1))}, NO_SHAPE),
    ({"legs": (Leg("AAPL", 200), Leg(CALL, -2))}, "common divisor"),
    ({"entry_price": None}, "entry_price of None is not a Decimal that can be a net price"),
    ({"entry_price": 9.9}, "entry_price of 9.9"),
    ({"entry_price": D("Infinity")}, "entry_price of"),
    ({"stop_price": D("NaN")}, "stop_price of"),
    ({"target_price": D(10_000_000)}, "target_price of"),
    ({"stop_price": D("9.90")}, "stop_price of 9.90 is not below the entry_price of 9.90"),
    ({"target_price": D("9.90")}, "target_price of 9.90 is not above the entry_price of 9.90"),
    ({"max_loss": 990}, "max_loss of 990"),
    ({"max_loss": D(0)}, "max_loss of 0 is not above zero"),
    ({"max_profit": D("-Infinity")}, "max_profit of"),
    ({"confidence": D("1.01")}, "is not a Decimal from 0 to 1"),
    ({"confidence": D("-0.01")}, "is not a Decimal from 0 to 1"),
    ({"confidence": D("NaN")}, "is not a Decimal from 0 to 1"),
    ({"confidence": 0.7}, "is not a Decimal from 0 to 1"),
    ({"greeks": None}, "are not a dict of Greeks"),
    ({"greeks": {CALL: 0.5}}, "are not a dict of Greeks"),
    ({"greeks": {CALL: Greeks(float("nan"), 0.0, 0.0, 0.0)}}, "not all finite"),
    ({"greeks": {CALL: Greeks(0.5, 0.0, 0.0, 0.0, float("inf"))}}, "not all finite"),
])  # fmt: skip
def test_what_makes_no_sense_is_named(changes, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        check(replace(proposal(), **changes))


@pytest.mark.parametrize("found", [proposal(), None, 5])
def test_what_is_no_list_is_named(found):
    with pytest.raises(ValueError, match="not a list of StructureProposals"):
        checked_structures(found, ("AAPL",), AT)
    with pytest.raises(ValueError, match="is not a StructureProposal"):
        check("a straddle")


def test_what_is_journaled_is_ours():
    class Text(str):
        __slots__ = ()

    odd = proposal(
        (Leg(Text(CALL), 1), Leg(PUT, 1)), strategy=Text("x"), underlying=Text("AAPL"),
        reason="two\nlines" + "." * 300, greeks={CALL: GREEKS, OTHER: GREEKS}, entry_price=D("9.90"),
        signal_at=(AT - FIVE).astimezone(timezone(timedelta(hours=-4))) + timedelta(seconds=7),
    )  # fmt: skip
    [found] = check(odd)
    assert {type(text) for text in (found.strategy, found.underlying, found.legs[0].symbol)} == {str}
    assert (found.signal_at, found.signal_at.tzinfo) == (AT - FIVE, UTC)
    assert found.reason.startswith("two lines.")
    assert len(found.reason) <= 200
    assert found.greeks == {CALL: GREEKS}, "of no leg"
