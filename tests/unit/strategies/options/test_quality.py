"""Quotes that are not to be traded on, and the levels at which a structure is left."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from gambler_ai.core.structures import Greeks, Leg, OptionQuote
from gambler_ai.strategies.options.exits import levels
from gambler_ai.strategies.options.payoff import Payoff
from gambler_ai.strategies.options.quality import Quality, flaw
from gambler_ai.strategies.testing import AT

D = Decimal
RULE = Quality(D(20), timedelta(minutes=15))
GOOD = OptionQuote("A240216C00100000", D("1.80"), D("2.20"), AT, Greeks(0.5, 0.02, -0.03, 0.1, 0.3))
LONG, SHORT = Leg(GOOD.symbol, 1), Leg(GOOD.symbol, -1)


@pytest.mark.parametrize(("changes", "bought", "sold"), [
    ({}, None, None),
    ({"bid": D("1.79")}, "spread too wide", "spread too wide"),
    ({"bid": D("0.01"), "ask": D("0.06")}, None, None),  # five cents
    ({"bid": D("0.01"), "ask": D("0.07")}, "spread too wide", "spread too wide"),
    ({"bid": None, "ask": D("0.05")}, None, "no bid for what is sold"),
    ({"bid": D(0), "ask": D("0.05")}, None, "no bid for what is sold"),
    ({"bid": D("2.30")}, "bid above ask", "bid above ask"),
    ({"ask": None}, "no ask", "no ask"),
    ({"bid": None, "ask": D(0)}, "no ask", "no ask"),
    ({"at": AT - timedelta(minutes=15)}, None, None),
    ({"at": AT - timedelta(minutes=15, seconds=1)}, "quote too old", "quote too old"),
    ({"greeks": None}, "no greeks", "no greeks"),
])  # fmt: skip
def test_a_quote_has_this_flaw(changes, bought, sold):
    quote = replace(GOOD, **changes)
    assert flaw(LONG, quote, RULE, AT) == bought
    assert flaw(SHORT, quote, RULE, AT) == sold
    assert flaw(LONG, None, RULE, AT) == "no quote"


def ends(profit: str | None, loss: str | None) -> Payoff:
    return Payoff(None if profit is None else D(profit), None if loss is None else D(loss), ())


@pytest.mark.parametrize(("entry", "worst_best", "gain", "loss", "stop", "target"), [
    ("-1.20", ("120", "380"), "0.60", "2.40", "-3.60", "-0.60"),
    ("-1.20", ("120", "240"), "0.60", "2.40", None, "-0.60"),  # the wings hold first
    ("-1.20", ("120", "241"), "0.60", "2.40", "-3.60", "-0.60"),
    ("-1.20", ("120", "380"), "1.20", None, None, None),
    ("-1.20", ("120", "380"), "1.19", None, None, "-0.01"),
    ("8", (None, "800"), "4", "4", "4.00", "12.00"),
    ("8", (None, "800"), None, "8", None, None),
    ("-8", ("800", None), "4", "400", "-408.00", "-4.00"),
    ("0.03", (None, "3"), "0.003", "0.003", "0.02", "0.04"),  # a tenth of a few cents is a cent
])  # fmt: skip
def test_levels_are_reckoned_from_the_entry_unless_they_cannot_be_passed(entry, worst_best, gain, loss, stop, target):
    found = levels(D(entry), ends(*worst_best), gain=gain and D(gain), loss=loss and D(loss))
    assert (found.stop, found.target) == (stop and D(stop), target and D(target))


def test_what_stands_at_a_level_is_left():
    found = levels(D(8), ends(None, "800"), gain=D(4), loss=D(4))
    assert [found.hold(D(value)) for value in ("4", "4.01", "11.99", "12")] == [False, True, True, False]
    assert levels(D(8), ends(None, "800"), gain=None, loss=None).hold(D(0))
