"""A structure that a strategy's code returned: what makes sense passes as it is, all else is named."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from gambler_ai.core.structure_proposals import checked_structures
from gambler_ai.core.structures import ExitRules, Greeks, Leg, StructureProposal

D = Decimal
AT = datetime(2024, 1, 3, 16, 0, tzinfo=UTC)
CALL, PUT, OTHER = "A240216C00105000", "A240216P00095000", "B240216C00105000"
GOOD = StructureProposal(
    strategy="strangle", underlying="A", legs=(Leg(CALL, 1), Leg(PUT, 1)), signal_at=AT - timedelta(minutes=5),
    reason="made", entry_price=D("3.10"), stop_price=D("1.55"), target_price=D("4.65"), exits=ExitRules(days_left=21),
    max_loss=D(310), max_profit=None, confidence=D("0.35"), greeks={CALL: Greeks(0.3, 0.02, -0.03, 0.1)},
)  # fmt: skip


def check(*found: Any) -> list[StructureProposal]:
    return checked_structures(found, ("A",), AT)


@pytest.mark.parametrize("legs", [
    (Leg(CALL, 1), Leg(PUT, -2)),
    (Leg("A", 100), Leg(CALL, -1)),
    (Leg("A", 200), Leg(CALL, -2)),
    tuple(Leg(f"A240216C0010{n}000", 1) for n in range(4)),
])  # fmt: skip
def test_what_makes_sense_passes(legs):
    good = replace(GOOD, legs=legs, greeks={})
    assert check(good) == [good]
    assert check() == []


@pytest.mark.parametrize(("changes", "says"), [
    ({"underlying": "B"}, "'B' is not one of this session's symbols"),
    ({"underlying": 1}, "1 is not one of this session's symbols"),
    ({"reason": None}, "reason None is not a str"),
    ({"exits": None}, "exits no ExitRules"),
    ({"signal_at": AT.replace(tzinfo=None)}, "is not an aware datetime"),
    ({"signal_at": AT + timedelta(seconds=1)}, "is later than the market's"),
    ({"legs": [Leg(CALL, 1), Leg(PUT, 1)]}, "are not a tuple of Legs"),
    ({"legs": (Leg(CALL, 1), "A")}, "are not a tuple of Legs"),
    ({"legs": (Leg(CALL, 1), Leg(PUT, 0))}, "is not a whole number, or zero"),
    ({"legs": (Leg(CALL, 1), Leg(PUT, True))}, "is not a whole number, or zero"),
    ({"legs": (Leg(CALL, 1), Leg(CALL, -1))}, "two legs are of one symbol"),
    ({"legs": (Leg(CALL, 1), Leg(OTHER, 1))}, "a leg is on another underlying than A"),
    ({"legs": ()}, "neither 2 to 4 contracts nor 100 shares"),
    ({"legs": (Leg(CALL, 1),)}, "neither 2 to 4 contracts nor 100 shares"),
    ({"legs": tuple(Leg(f"A240216C0010{n}000", 1) for n in range(5))}, "neither 2 to 4 contracts"),
    ({"legs": (Leg("A", 100), Leg(CALL, 1))}, "neither 2 to 4 contracts nor 100 shares"),
    ({"legs": (Leg("A", 99), Leg(CALL, -1))}, "neither 2 to 4 contracts nor 100 shares"),
    ({"legs": (Leg("B", 100), Leg(CALL, -1))}, "neither 2 to 4 contracts nor 100 shares"),
    ({"legs": (Leg("A", 100), Leg("B", 100))}, "neither 2 to 4 contracts nor 100 shares"),
    ({"legs": (Leg("A", 100), Leg(CALL, -1), Leg(PUT, 1))}, "neither 2 to 4 contracts nor 100 shares"),
    ({"entry_price": 3.1}, "entry_price of 3.1 is not a finite Decimal"),
    ({"entry_price": D("nan")}, "is not a finite Decimal"),
    ({"stop_price": 1.5}, "stop_price of 1.5 is neither a finite Decimal nor None"),
    ({"target_price": D("inf")}, "is neither a finite Decimal nor None"),
    ({"max_loss": 300}, "max_loss of 300 is neither a finite Decimal nor None"),
    ({"max_loss": D(0)}, "max_loss of 0 is not above zero"),
    ({"stop_price": D("3.10")}, "stop_price of 3.10 is not below the entry_price of 3.10"),
    ({"target_price": D("3.10")}, "target_price of 3.10 is not above the entry_price of 3.10"),
    ({"confidence": D("1.01")}, "is not a Decimal from 0 to 1"),
    ({"confidence": 0.5}, "is not a Decimal from 0 to 1"),
    ({"greeks": {CALL: 0.5}}, "are not Greeks by symbol"),
    ({"greeks": None}, "are not Greeks by symbol"),
    ({"greeks": {OTHER: Greeks(0.3, 0.02, -0.03, 0.1)}}, f"greeks of {OTHER} are of no leg"),
])  # fmt: skip
def test_what_makes_no_sense_is_named(changes, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        check(replace(GOOD, **changes))


@pytest.mark.parametrize("found", [GOOD, None, 5])
def test_what_is_no_list_is_named(found):
    with pytest.raises(ValueError, match="not a list of StructureProposals"):
        checked_structures(found, ("A",), AT)
    with pytest.raises(ValueError, match="is not a StructureProposal"):
        check("a straddle")


def test_what_is_journaled_is_ours():
    class Name(str):
        pass

    zone = timezone(timedelta(hours=-5))
    odd = replace(
        GOOD, strategy=Name("x"), underlying=Name("A"), reason="two\nlines" + "." * 300,
        signal_at=AT.astimezone(zone) - timedelta(seconds=30),
    )  # fmt: skip
    [found] = check(odd)
    assert type(found.strategy) is type(found.underlying) is str
    assert found.signal_at == datetime(2024, 1, 3, 15, 59, tzinfo=UTC)
    assert found.signal_at.tzinfo is UTC
    assert "\n" not in found.reason
    assert len(found.reason) <= 200
