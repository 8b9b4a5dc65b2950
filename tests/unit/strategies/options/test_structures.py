"""What each strategy proposes on a chain made for it, and how each of its parameters changes that.

The chain: a share at 100, 45 days, 30 % a year, a strike every 2.50 from 75 to 125, four cents from bid to ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import pytest
from msgspec.structs import replace

from gambler_ai.core.contracts import Right
from gambler_ai.core.structures import (
    ExitRules,
    OptionQuote,
    StructureProposal,
    expiry_value,
    natural_price,
)
from gambler_ai.errors import ConfigError
from gambler_ai.strategies.loader import load
from gambler_ai.strategies.options import Contract
from gambler_ai.strategies.testing import AT, chain_of, structures_of, view_of

D = Decimal
CHAIN = chain_of("A", 100)
EXPIRY = next(iter(CHAIN))[1:7]
ALL = ("straddle", "strangle", "vertical", "iron_condor", "covered_call")
P, C = "P", "C"


def proposed(name: str, quotes: Mapping[str, OptionQuote] = CHAIN, **parameters: object) -> list[StructureProposal]:
    return structures_of(load(name, parameters).strategy, view_of({"A": [100.0]}, quotes=quotes))


def one(name: str, quotes: Mapping[str, OptionQuote] = CHAIN, **parameters: object) -> StructureProposal:
    [found] = proposed(name, quotes, **parameters)
    return found


def legs(proposal: StructureProposal) -> list[str]:
    """As +1 C105: ratio, right, strike."""
    return [
        f"{leg.ratio:+} {'shares' if (c := leg.contract) is None else f'{c.right[0].upper()}{c.strike.normalize():f}'}"
        for leg in proposal.legs
    ]


def symbol(right: str, strike: str) -> str:
    return Contract("A", AT.date().replace(month=2, day=17), Right("call" if right == C else "put"), D(strike)).symbol


@pytest.mark.parametrize(
    ("name", "parameters", "expected"),
    [
        ("straddle", {}, ["+1 C100", "+1 P100"]),
        ("strangle", {}, ["+1 C107.5", "+1 P95"]),
        ("strangle", {"delta": 0.16}, ["+1 C112.5", "+1 P90"]),
        ("strangle", {"distance_pct": 10}, ["+1 C110", "+1 P90"]),
        ("vertical", {}, ["-1 P95", "+1 P90"]),
        ("vertical", {"direction": "bear_call"}, ["-1 C107.5", "+1 C112.5"]),
        ("vertical", {"direction": "bull_call", "delta": 0.5}, ["+1 C100", "-1 C105"]),
        ("vertical", {"direction": "bear_put", "distance_pct": 0}, ["+1 P100", "-1 P95"]),
        ("vertical", {"width_strikes": 1}, ["-1 P95", "+1 P92.5"]),
        ("vertical", {"width": 10}, ["-1 P95", "+1 P85"]),
        ("vertical", {"width": 10, "width_strikes": 1}, ["-1 P95", "+1 P85"]),  # dollars before strikes
        ("iron_condor", {}, ["+1 P87.5", "-1 P92.5", "-1 C107.5", "+1 C112.5"]),
        ("iron_condor", {"delta": 0.16, "width": 2.5}, ["+1 P87.5", "-1 P90", "-1 C112.5", "+1 C115"]),
        ("iron_condor", {"distance_pct": 15, "width_strikes": 1}, ["+1 P82.5", "-1 P85", "-1 C115", "+1 C117.5"]),
        ("covered_call", {}, ["+100 shares", "-1 C107.5"]),
        ("covered_call", {"delta": 0.16}, ["+100 shares", "-1 C112.5"]),
        ("covered_call", {"distance_pct": 5}, ["+100 shares", "-1 C105"]),
    ],
)
def test_these_legs_are_taken(name, parameters, expected):
    assert sorted(legs(one(name, **parameters))) == sorted(expected)


@pytest.mark.parametrize("name", ALL)
def test_a_proposal_says_what_it_would_be(name):
    view = view_of({"A": [100.0]}, quotes=CHAIN)
    found = one(name)
    contracts = [leg for leg in found.legs if leg.contract is not None]
    shares = D(100) if name == "covered_call" else D(0)
    natural = natural_price(contracts, CHAIN)
    assert natural is not None
    assert found.entry_price == natural + shares
    assert (found.strategy, found.underlying, found.signal_at) == (name, "A", view.frame.newest_at(0))
    assert found.greeks == {leg.symbol: CHAIN[leg.symbol].greeks for leg in contracts}
    ends = [(expiry_value(found.legs, D(spot)) - found.entry_price) * 100 for spot in range(400)]
    assert found.max_loss is not None
    assert -found.max_loss <= min(ends)
    assert found.max_profit is None or found.max_profit >= max(ends)
    assert found.confidence is not None
    assert 0 < found.confidence < 1
    assert found.reason.startswith("45 days, ")


@pytest.mark.parametrize(("name", "is_credit"), [("straddle", False), ("strangle", False), ("vertical", True),
                                                 ("iron_condor", True), ("covered_call", False)])  # fmt: skip
def test_it_says_what_is_paid_or_brought(name, is_credit):
    found = one(name)
    assert (found.entry_price < 0) is is_credit
    assert found.confidence is not None
    word = "credit" if is_credit else "debit"
    assert f"{word} {abs(found.entry_price):.2f}, {found.confidence * 100:.0f} % likely" in found.reason


@pytest.mark.parametrize("name", ["straddle", "strangle", "vertical"])
def test_stop_and_target_of_a_debit_are_shares_of_it(name):
    direction: dict[str, object] = {"direction": "bull_call"} if name == "vertical" else {}
    found = one(name, CHAIN, profit_share=0.25, loss_share=0.4, **direction)
    assert found.target_price == (found.entry_price * D("1.25")).quantize(D("0.01"))
    assert found.stop_price == (found.entry_price * D("0.6")).quantize(D("0.01"))
    never = one(name, CHAIN, profit_share=None, loss_share=None, **direction)
    assert (never.stop_price, never.target_price) == (None, None)


@pytest.mark.parametrize("name", ["vertical", "iron_condor"])
def test_stop_and_target_of_a_credit_are_a_multiple_and_a_share_of_it(name):
    credit = -one(name).entry_price
    found = one(name, profit_share=0.25, loss_multiple=1.5)
    assert found.target_price == (-credit * D("0.75")).quantize(D("0.01"))
    assert found.stop_price == (-credit * D("2.5")).quantize(D("0.01"))
    never = one(name, profit_share=None, loss_multiple=None)
    assert (never.stop_price, never.target_price) == (None, None)
    assert one(name, loss_multiple=50).stop_price is None, "the wings hold before that"


def test_stop_and_target_of_a_covered_call():
    found = one("covered_call", profit_share=0.25, loss_share=0.2)
    assert found.max_profit is not None
    most = found.max_profit / 100
    assert found.target_price == (found.entry_price + most / 4).quantize(D("0.01"))
    assert found.stop_price == (found.entry_price * D("0.8")).quantize(D("0.01"))


@pytest.mark.parametrize("name", ALL)
def test_the_other_exits_go_with_it(name):
    default = D("0.05") if name != "covered_call" else None
    assert one(name).exits == ExitRules(days_left=21, time_value=default, max_days=None)
    found = one(name, exit_days_left=7, time_value=0.2, max_days=10)
    assert found.exits == ExitRules(days_left=7, time_value=D("0.2"), max_days=10)
    assert one(name, exit_days_left=None, time_value=None).exits == ExitRules()


def test_a_far_stop_and_a_near_one_are_told_from_the_value_of_now():
    """Bought at the ask it is worth the middle: a stop between the two would end it at once."""
    assert proposed("straddle", loss_share=0.01)
    wide = chain_of("A", 100, spread=0.3)
    assert proposed("straddle", wide, loss_share=0.01) == []
    assert proposed("straddle", wide)


# -- what is too thin ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_without_its_quotes_nothing_is_proposed(name):
    assert proposed(name, {}) == []
    for leg in one(name).legs:
        if leg.contract is None:
            continue
        quote = CHAIN[leg.symbol]
        if leg.ratio < 0:
            assert proposed(name, CHAIN | {leg.symbol: replace(quote, bid=None, ask=D("0.02"))}) == []
        assert proposed(name, CHAIN | {leg.symbol: replace(quote, ask=quote.ask and quote.ask * 2)}) == []


@pytest.mark.parametrize("name", ["strangle", "vertical", "iron_condor", "covered_call"])
def test_strikes_that_end_too_soon_are_too_thin(name):
    narrow = chain_of("A", 100, strikes=(97.5, 100, 102.5))
    assert proposed(name, narrow, delta=0.1) == []


@pytest.mark.parametrize("name", ["vertical", "iron_condor"])
def test_without_a_wing_there_is_no_structure(name):
    ends = {s: q for s, q in CHAIN.items() if D(92) < D(s[-8:]) / 1000 < D(108)}
    assert proposed(name, ends) == []
    assert proposed(name, CHAIN, width=90) == []


def test_a_strangle_or_condor_whose_sides_meet_is_none():
    only = {s: q for s, q in CHAIN.items() if s[-8:] in ("00100000", "00095000", "00105000")}
    assert proposed("strangle", only, delta=0.5) == []
    assert proposed("iron_condor", only, delta=0.5, width_strikes=1) == []


@pytest.mark.parametrize(("name", "leg", "bid", "ask"), [
    ("vertical", (P, "90"), "9.00", "9.02"),  # the wing dearer than what it protects: no credit
    ("vertical", (P, "95"), "8.00", "8.02"),  # more credit than width: it could not lose
    ("straddle", (C, "100"), "0", "0"),
])  # fmt: skip
def test_quotes_that_cannot_be_are_left_alone(name, leg, bid, ask):
    key = symbol(*leg)
    assert key in CHAIN
    assert proposed(name, CHAIN | {key: replace(CHAIN[key], bid=D(bid), ask=D(ask))}) == []


# -- parameters ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(("parameters", "says"), [
    ({"dte_min": 61}, "dte_min (61) must not be above dte_max (60)"),
    ({"dte_min": 21}, "exit_days_left (21) must be below dte_min (21)"),
    ({"iv_rank_min": 60, "iv_rank_max": 50}, "iv_rank_min (60.0) must not be above iv_rank_max (50.0)"),
    ({"iv_rank_min": 101}, "parameter iv_rank_min must be a number from 0 to 100 or null"),
    ({"profit_share": 0}, "parameter profit_share must be a number above 0"),
])  # fmt: skip
def test_parameters_that_make_no_sense_are_refused(name, parameters, says):
    with pytest.raises(ConfigError) as caught:
        load(name, parameters)
    assert says in caught.value.message


def test_a_direction_is_one_of_four():
    with pytest.raises(ConfigError, match="one of bear_call, bear_put, bull_call, bull_put"):
        load("vertical", {"direction": "up"})


def test_levels_of_options_that_the_account_must_have():
    assert {name: load(name, {}).strategy.options_level for name in (*ALL, "momentum")} == {
        "straddle": 3, "strangle": 3, "vertical": 3, "iron_condor": 3, "covered_call": 1, "momentum": 0,
    }  # fmt: skip
    assert {load(name, {}).strategy.universe for name in ALL} == {"options"}
    assert load("momentum", {}).strategy.universe == "shares"
