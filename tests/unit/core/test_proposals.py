"""The boundary to a strategy's code: whatever it returns or raises ends in proposals or in one line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from gambler_ai.core.model import MoveStop, Proposal, Side
from gambler_ai.core.orders import entry_decision_id
from gambler_ai.core.proposals import FAILURE_MAX, checked, failure
from tests.unit.fakes import AT, FIVE, D, wish
from tests.unit.structures import CONDOR, proposal

SYMBOLS = ("AAPL", "MSFT")
NOTHING: Any = None


def test_what_makes_sense_passes_as_it_is():
    plain = replace(wish(), stop_loss_pct=None, take_profit_pct=None)
    leaves = replace(wish("MSFT", Side.SELL), exit=True)
    assert checked([wish(), plain, leaves], SYMBOLS, AT) == [wish(), plain, leaves]
    assert checked(iter([wish()]), SYMBOLS, AT) == [wish()]
    assert checked((), SYMBOLS, AT) == []


@pytest.mark.parametrize("returned", [None, 7, wish(), SimpleNamespace()], ids=["None", "7", "one", "object"])
def test_what_is_no_list_is_refused(returned):
    with pytest.raises(ValueError, match="not a list of Proposals"):
        checked(returned, SYMBOLS, AT)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"symbol": "IBM"}, "'IBM' is not one of"),
        ({"symbol": 7}, "7 is not one of"),
        ({"symbol": ["AAPL"]}, "is not one of"),
        ({"side": "sell"}, "side of 'sell'"),  # without the check it would be sent as a buy
        ({"side": None}, "side of None"),
        ({"signal_at": datetime(2008, 10, 7, 13, 55)}, "not an aware datetime"),  # noqa: DTZ001
        ({"signal_at": 1223387700}, "not an aware datetime"),
        ({"signal_at": AT + timedelta(seconds=1)}, "later than the market's"),
        ({"stop_loss_pct": 2.0}, "stop_loss_pct of 2.0"),
        ({"stop_loss_pct": D(0)}, "stop_loss_pct"),
        ({"take_profit_pct": D(100)}, "take_profit_pct"),
        ({"take_profit_pct": D("NaN")}, "take_profit_pct"),
        ({"reason": 7}, "reason 7"),
        ({"reason": None}, "reason None"),
        ({"exit": 1}, "exit 1"),
        ({"limit_price": 99.5}, "limit_price of 99.5"),
        ({"limit_price": D("Infinity")}, "limit_price of"),
        ({"limit_price": D("99.505")}, "has too many places; take round_price"),
        ({"limit_price": D("0.50005")}, "has too many places"),
        ({"share": 0.5}, "share of 0.5 is not a Decimal"),
        ({"share": D(0)}, "share of"),
        ({"share": D("1.0001")}, "share of"),
        ({"share": D("-0.5")}, "share of"),
        ({"share": D("NaN")}, "share of"),
        ({"share": None}, "share of None"),
        ({"context": None}, "context of None is not a dict"),
        ({"context": [("a", "b")]}, "is not a dict"),
        ({"context": {str(i): "x" for i in range(9)}}, "not a dict of 8 words"),
        ({"context": {"a": 1}}, "name and word are texts"),
        ({"context": {1: "a"}}, "name and word are texts"),
        ({"context": {"a": ""}}, "name and word are texts"),
        ({"context": {"": "a"}}, "name and word are texts"),
        ({"context": {"a": "x" * 101}}, "name and word are texts"),
        ({"context": {"a\nb": "x"}}, "name and word are texts"),
        ({"context": {"a": "\x1b[2J"}}, "name and word are texts"),
        ({"context": {"a": "\ud800"}}, "name and word are texts"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_what_makes_no_sense_is_refused_with_its_reason(change, says):
    with pytest.raises(ValueError, match=says):
        checked([wish(), replace(wish(), **change)], SYMBOLS, AT)


@pytest.mark.parametrize("odd", [None, "buy AAPL", ("AAPL", "buy"), {"symbol": "AAPL"}])
def test_what_is_no_proposal_is_refused(odd):
    with pytest.raises(ValueError, match="is not a Proposal"):
        checked([odd], SYMBOLS, AT)


def test_what_is_stored_is_plain():
    class Name(str):
        __slots__ = ()

    there = AT.astimezone(timezone(timedelta(hours=-4))) - FIVE
    odd = replace(wish(), symbol=Name("AAPL"), signal_at=there, reason="a\nb\x1b[2J\x00\ud800" + "x" * 500)
    [proposal] = checked([odd], SYMBOLS, AT)
    assert isinstance(proposal, Proposal)
    assert type(proposal.symbol) is str
    assert proposal.signal_at.isoformat() == "2008-10-07T13:55:00+00:00"
    assert proposal.reason.startswith("a b [2J  xxx")
    assert len(proposal.reason) == 200


def test_words_and_a_share_pass_as_plain_values():
    class Word(str):
        __slots__ = ()

    [found] = checked([replace(wish(), share=D("0.25"), context={Word("regime"): Word("trend")})], SYMBOLS, AT)
    assert isinstance(found, Proposal)
    assert (found.share, found.context) == (D("0.25"), {"regime": "trend"})
    assert {type(text) for pair in found.context.items() for text in pair} == {str}


@pytest.mark.parametrize("late", [timedelta(seconds=59, microseconds=999_999), timedelta(microseconds=1), timedelta()])
def test_a_signal_of_within_a_minute_is_of_the_bar_that_began_it(late):
    """The decision's id has it, and is found again by whole minutes of UTC."""
    odd = replace(wish(), signal_at=AT.astimezone(timezone(timedelta(hours=5, minutes=30))) - FIVE + late)
    [proposal] = checked([odd], SYMBOLS, AT)
    assert isinstance(proposal, Proposal)
    assert entry_decision_id("x", "AAPL", proposal.side, proposal.signal_at).endswith("|2008-10-07T13:55:00+00:00")


def raised(call: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception, match="not") as caught:
        call()
    error: BaseException = caught.value
    return error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)  # without this frame


def test_a_failure_names_the_line_of_the_strategy_that_led_to_it():
    def inner() -> int:
        return [1].index(7)

    line = inner.__code__.co_firstlineno + 1
    assert failure(raised(inner)) == f"ValueError: 7 is not in list (line {line})"
    assert failure(raised(lambda: checked((inner() for _ in range(1)), SYMBOLS, AT))).endswith(f"(line {line})")


def test_our_own_check_is_no_line_of_theirs():
    error = raised(partial(checked, NOTHING, SYMBOLS, AT))
    assert failure(error) == "ValueError: propose returned None, not a list of Proposals"


class Unreadable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize("error", [ValueError("x" * 5000), ValueError("a\nb\ud800"), Unreadable(), SystemExit(3)])
def test_a_failure_is_one_line_that_can_be_stored(error):
    text = failure(error)
    assert text.startswith(type(error).__name__)
    assert len(text) < FAILURE_MAX
    assert text.isprintable()


def test_a_limit_is_a_price_an_order_may_have():
    for price in ("99.50", "0.5005", "100"):
        limited = replace(wish(), limit_price=D(price))
        assert checked([limited], SYMBOLS, AT) == [limited]


MOVE = MoveStop("AAPL", D("98.50"), "it rose\n")


def test_a_wish_to_move_a_stop_passes_beside_proposals():
    assert checked([wish(), MOVE], SYMBOLS, AT) == [wish(), replace(MOVE, reason="it rose ")]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"symbol": "IBM"}, "'IBM' is not one of"),
        ({"stop_price": 98.5}, "stop_price of 98.5"),
        ({"stop_price": D(0)}, "stop_price of"),
        ({"stop_price": D("98.501")}, "too many places"),
        ({"reason": None}, "reason None"),
    ],
    ids=["symbol", "float", "zero", "places", "reason"],
)
def test_a_move_that_makes_no_sense_is_refused_with_its_reason(change, says):
    with pytest.raises(ValueError, match=says):
        checked([replace(MOVE, **change)], SYMBOLS, AT)


def test_structures_pass_beside_them_and_are_checked_too():
    """How, test_structure_proposals.py shows."""
    assert checked([proposal(), wish(), proposal(CONDOR)], SYMBOLS, AT) == [proposal(), wish(), proposal(CONDOR)]
    with pytest.raises(ValueError, match=r"confidence of 0\.7"):
        checked([proposal(confidence=0.7)], SYMBOLS, AT)
    with pytest.raises(ValueError, match="not a list of Proposals"):
        checked(proposal(), SYMBOLS, AT)
