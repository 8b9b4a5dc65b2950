"""Several options strategies in one session: who is asked, in which order, and what comes of one that fails."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from gambler_ai.core.model import Failed
from gambler_ai.core.structures import ChainQuery, OptionQuote, StructureProposal
from gambler_ai.errors import ConfigError
from gambler_ai.strategies.loader import load
from gambler_ai.strategies.options.mix import OptionsMix, joined
from gambler_ai.strategies.testing import chain_of, structures_of, view_of

D = Decimal
SPOTS = {"A": 100.0, "B": 50.0, "C": 200.0, "D": 80.0}
BROKEN = """
from gambler_ai.strategies.options import OptionsStrategy

class Broken(OptionsStrategy):
    '''Raises.'''
    def propose(self, view):
        raise RuntimeError("no luck")
"""
MINE = """
from gambler_ai.strategies.options import Leg, OptionsStrategy, Right, levels

class Butterfly(OptionsStrategy):
    '''Sells two at the money between one on each side.'''
    def legs(self, expiry, spot):
        middle = expiry.at_the_money(spot)
        if middle is None:
            return ()
        below, above = expiry.further(Right.PUT, middle, 2), expiry.further(Right.CALL, middle, 2)
        if below not in expiry.calls or above not in expiry.calls:
            return ()
        strikes = ((below, 1), (middle, -2), (above, 1))
        return [Leg(expiry.symbol(Right.CALL, strike), ratio) for strike, ratio in strikes]
    def levels(self, entry, ends):
        return levels(entry, ends, gain=entry / 2, loss=entry / 2)
"""


def view(*without: str):
    quotes: dict[str, OptionQuote] = {}
    for symbol, spot in SPOTS.items():
        quotes |= {} if symbol in without else chain_of(symbol, spot)
    return view_of({symbol: [spot] for symbol, spot in SPOTS.items()}, quotes=quotes)


def mix(**parameters: object) -> OptionsMix:
    strategy = load("options_mix", parameters).strategy
    assert isinstance(strategy, OptionsMix)
    return strategy


def chosen(strategy: OptionsMix, seen) -> list[tuple[str, str]]:
    return [(found.underlying, found.strategy) for found in structures_of(strategy, seen)]


def test_each_underlying_begins_with_another_strategy():
    assert chosen(mix(of="iron_condor,straddle,vertical"), view()) == [
        ("A", "iron_condor"), ("B", "straddle"), ("C", "vertical"), ("D", "iron_condor")
    ]  # fmt: skip
    # the turn is the underlying's place in the session, whatever the others have
    assert chosen(mix(of="iron_condor,straddle,vertical"), view("A")) == [
        ("B", "straddle"), ("C", "vertical"), ("D", "iron_condor")
    ]  # fmt: skip


def test_what_one_has_nothing_for_goes_to_the_next():
    strategy = mix(of=["iron_condor", "straddle"], settings="iron_condor.width:900")
    assert chosen(strategy, view()) == [(symbol, "straddle") for symbol in SPOTS]
    none = mix(of=["iron_condor", "vertical"], settings={"iron_condor.width": 900, "vertical.width": 900})
    assert chosen(none, view()) == []


def test_settings_are_those_of_the_members():
    strategy = mix(of="vertical,straddle", settings="vertical.direction:bear_call,straddle.iv_rank_min:30")
    assert [member.parameters["iv_rank_min"] for member in strategy.members] == [None, 30.0]
    assert strategy.daily_history == 272
    assert mix().daily_history == 0
    assert chosen(strategy, view())[0] == ("A", "vertical")  # the straddle has no closes to rank


@pytest.mark.parametrize(("parameters", "says"), [
    ({"of": "straddle"}, "name 2 to 10 strategies, not 1"),
    ({"of": "straddle,momentum"}, "momentum is no strategy of options structures"),
    ({"of": "straddle,options_mix"}, "options_mix is no strategy of options structures"),
    ({"of": "straddle,straddle"}, "two of them are called straddle"),
    ({"of": "straddle,vertical", "settings": "strangle.delta:0.2"}, "'strangle.delta' is not NAME.PARAMETER"),
    ({"of": "straddle,vertical", "settings": "vertical.delta:2"}, "parameter delta must be a number from 0.01 to 0.99"),
    ({"of": "straddle,nothing"}, "no strategy 'nothing'"),
])  # fmt: skip
def test_a_mix_that_cannot_be_is_refused(parameters, says):
    with pytest.raises(ConfigError) as caught:
        load("options_mix", parameters)
    assert says in caught.value.message


def test_a_chooser_takes_no_options():
    with pytest.raises(ConfigError, match="straddle trades options; several of these are an options_mix"):
        load("chooser", {"strategies": "momentum,straddle"})


def test_one_that_fails_is_told_and_the_others_are_heard(tmp_path: Path):
    file = tmp_path / "broken.py"
    file.write_text(BROKEN)
    strategy = mix(of=[str(file), "straddle"])
    told, *found = strategy.propose(view("C", "D"))
    assert told == Failed("broken", "RuntimeError: no luck (line 7)")
    assert [one.strategy for one in found if isinstance(one, StructureProposal)] == ["straddle", "straddle"]


def test_a_strategy_of_ones_own_says_which_legs(tmp_path: Path):
    file = tmp_path / "butterfly.py"
    file.write_text(MINE)
    strategy = mix(of=[str(file), "straddle"])
    assert load("options_mix", {"of": list(strategy.of)}).sha256
    first = structures_of(strategy, view())[0]
    assert first.strategy == "butterfly"
    assert [leg.ratio for leg in first.legs] == [1, -2, 1]
    assert first.max_loss == first.entry_price * 100
    assert first.max_profit == 500 - first.entry_price * 100


def query(underlying: str, first: int, last: int, pct: int = 10) -> ChainQuery:
    return ChainQuery(underlying, date(2024, 1, first), date(2024, 1, last), D(pct))


def test_queries_that_overlap_are_one():
    asked = [query("B", 5, 9), query("A", 5, 9, 20), query("A", 9, 12, 10), query("A", 20, 22), query("A", 21, 21, 40)]
    assert joined(asked) == [query("A", 5, 12, 20), query("A", 20, 22, 40), query("B", 5, 9)]
    assert joined([query("A", 5, 9), query("A", 10, 12)]) == [query("A", 5, 9), query("A", 10, 12)]
    assert joined([query("A", 1, 20), query("A", 3, 5), query("A", 15, 16)]) == [query("A", 1, 20)]
    [found] = mix(settings="iron_condor.dte_max:80,straddle.dte_min:25").chains(["A"], date(2024, 1, 1))
    assert (found.first_expiry, found.last_expiry, found.within_pct) == (date(2024, 1, 26), date(2024, 3, 21), D(40))
