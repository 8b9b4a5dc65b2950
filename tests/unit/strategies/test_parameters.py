"""Parameters: from text, TOML or JSON to typed fields and back, and one line for what cannot be."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from gambler_ai.errors import ConfigError
from gambler_ai.strategies import Strategy
from gambler_ai.strategies.mean_reversion import MeanReversion
from gambler_ai.strategies.momentum import Momentum
from gambler_ai.strategies.parameters import Parameter, make, parameters, plain


class All(Strategy, frozen=True):
    count: Annotated[int, Meta(ge=1, le=500)] = 5
    ratio: Annotated[float, Meta(gt=0)] = 2.0
    level: Decimal = Decimal("2.5")
    on: bool = False
    word: str = "x"
    names: tuple[str, ...] = ("A",)
    kind: Literal["fast", "slow"] = "fast"
    cap: int | None = None


class Needs(Strategy, frozen=True, kw_only=True):
    level: float


class Odd(Strategy, frozen=True):
    out_of_range: Annotated[int, Meta(le=500)] = 600


class Unstorable(Strategy, frozen=True):
    thing: complex = 1j


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({"count": "8"}, 8),
        ({"count": 8}, 8),
        ({"ratio": "0.5"}, 0.5),
        ({"ratio": 3}, 3.0),
        ({"level": "0.1"}, Decimal("0.1")),
        ({"level": 0.1}, Decimal("0.1")),
        ({"level": 3}, Decimal(3)),
        ({"on": "true"}, True),
        ({"on": "False"}, False),
        ({"on": True}, True),
        ({"word": "8"}, "8"),
        ({"names": "AAPL, MSFT"}, ("AAPL", "MSFT")),
        ({"names": ["AAPL"]}, ("AAPL",)),
        ({"names": ""}, ()),
        ({"kind": "slow"}, "slow"),
        ({"cap": "7"}, 7),
        ({"cap": "null"}, None),
    ],
    ids=str,
)
def test_a_value_comes_as_text_or_as_toml_and_json_have_it(given, value):
    [name] = given
    found = getattr(make(All, given), name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"count": "0"}, "parameter count must be a whole number from 1 to 500 (got '0')"),
        ({"count": "8.5"}, "parameter count must be a whole number from 1 to 500 (got '8.5')"),
        ({"count": "x" * 500}, "(got '" + "x" * 60 + "')"),
        ({"count": True}, "a whole number"),
        ({"ratio": "0"}, "parameter ratio must be a number above 0 (got '0')"),
        ({"ratio": "nan"}, "ratio must be"),
        ({"ratio": "inf"}, "ratio must be"),
        ({"level": "NaN"}, "parameter level must be a number (got 'NaN')"),
        ({"level": "Infinity"}, "level must be"),
        ({"on": "maybe"}, "parameter on must be true or false (got 'maybe')"),
        ({"word": 7}, "parameter word must be text"),
        ({"names": 7}, "parameter names must be a list: A,B (got '7')"),
        ({"names": [1]}, "names must be"),
        ({"kind": "odd"}, "parameter kind must be one of fast, slow (got 'odd')"),
        ({"cap": "none"}, "parameter cap must be a whole number or null"),
        ({"lokback": 1}, "strategy all has no parameter 'lokback'"),
        ({"name": "x"}, "strategy all has no parameter 'name'"),
        ({"history": "9"}, "strategy all has no parameter 'history'"),
    ],
    ids=str,
)
def test_what_cannot_be_is_told_in_one_line(given, says):
    with pytest.raises(ConfigError) as caught:
        make(All, given)
    assert says in caught.value.message
    assert "\n" not in caught.value.message + caught.value.hint


def test_an_unknown_parameter_comes_with_those_there_are():
    with pytest.raises(ConfigError) as caught:
        make(Momentum, {"window": 3})
    assert caught.value.hint == "it has: change_pct, lookback, volume_ratio, volume_bars"


def test_one_that_is_needed_is_named():
    with pytest.raises(ConfigError, match="strategy needs needs its parameter level: a number"):
        make(Needs, {})
    assert make(Needs, {"level": "3"}) == Needs(level=3.0)


def test_what_a_class_says_of_all_its_parameters_together_is_told():
    with pytest.raises(ConfigError, match="strategy mean_reversion: exit_z must be below entry_z"):
        make(MeanReversion, {"entry_z": "1", "exit_z": "1"})


def test_a_default_that_would_be_refused_once_stored_is_refused_at_once():
    with pytest.raises(ConfigError, match="out_of_range must be a whole number at most 500"):
        plain(Odd())
    with pytest.raises(ConfigError, match="thing cannot be stored"):
        plain(Unstorable())


numbers = st.floats(allow_nan=False, allow_infinity=False, min_value=1e-9, max_value=1e9)
decimals = st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-100_000, max_value=100_000)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "count": st.integers(1, 500),
            "ratio": numbers,
            "level": decimals,
            "on": st.booleans(),
            "word": st.text(),
            "names": st.lists(st.text()).map(tuple),
            "kind": st.sampled_from(["fast", "slow"]),
            "cap": st.none() | st.integers(-(2**60), 2**60),
        },
    )
)
def test_what_is_stored_makes_the_same_strategy_again(values: dict[str, Any]):
    strategy = All(**values)
    stored = json.loads(json.dumps(plain(strategy)))
    assert make(All, stored) == strategy
    assert set(stored) == {"count", "ratio", "level", "on", "word", "names", "kind", "cap"}


def test_parameters_are_described_in_words():
    assert parameters(All)[:4] == [
        Parameter("count", "a whole number from 1 to 500", 5, required=False, minimum=1, maximum=500),
        Parameter("ratio", "a number above 0", 2.0, required=False),
        Parameter("level", "a number", "2.5", required=False),
        Parameter("on", "true or false", default=False, required=False),
    ]
    assert parameters(All)[5] == Parameter("names", "a list: A,B", ["A"], required=False)
    assert [(p.name, p.required) for p in parameters(Needs)] == [("level", True)]
