"""The test kit is what a session would show, and refuses what a session would deny."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest
from msgspec import Struct

from gambler_ai.core.contracts import Right, parse
from gambler_ai.core.model import MarketView, Proposal, Side
from gambler_ai.strategies import Strategy, StructComponent
from gambler_ai.strategies.testing import AT, chain_of, proposals_of, structures_of, view_of


class Seen(Struct, frozen=True):
    days: int = 0


def test_a_view_has_the_shape_a_session_gives():
    hour = timedelta(hours=1)
    view = view_of({"A": [1.0, 2.0, 3.0], "B": [7.5]}, volumes={"A": [5, 6, 7]}, held={"B": "-2"}, interval=hour)
    frame = view.frame
    assert (frame.symbols, frame.interval, len(frame)) == (("A", "B"), hour, 3)
    assert frame.close[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert frame.volume[-1].tolist() == [7.0, 1000.0]
    assert np.isnan(frame.close[:2, 1]).all()
    assert frame.newest_at(0) == frame.newest_at(1) == AT - hour
    assert view.trades["B"].price == Decimal("7.5")
    assert dict(view.held) == {"B": Decimal(-2)}
    assert dict(view.entered) == {"B": AT}
    assert dict(view_of({"A": [1.0]}, held={"A": 1}, entered={"A": AT - hour}).entered) == {"A": AT - hour}
    seen = StructComponent("a", Seen(), lambda seen, _fact: seen)
    assert view_of({"A": [1.0]}, memory=[seen]).memory["a"].state == Seen()
    assert not frame.close.flags.writeable
    assert len(view_of({}).frame) == len(view_of({"A": []}).frame) == 0


def test_volumes_of_another_length_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        view_of({"A": [1.0, 2.0]}, volumes={"A": [1.0]})


class Careless(Strategy, frozen=True):
    def propose(self, view: MarketView) -> list[Proposal]:
        return [Proposal("A", "sell", AT, "a side as text")]  # type: ignore[arg-type]


def test_what_a_session_would_deny_fails_the_test():
    with pytest.raises(ValueError, match="side of 'sell' is not"):
        proposals_of(Careless(), view_of({"A": [1.0]}))
    assert Side("sell") is Side.SELL


def test_a_chain_has_the_expiries_strikes_and_quotes_that_are_asked_for():
    quotes = chain_of("A", 100, days=(7, 45), strikes=(95, 100), volatility=0.2, spread=0.1)
    contracts = [contract for symbol in quotes if (contract := parse(symbol)) is not None]
    assert len(contracts) == len(quotes) == 8
    assert {contract.days_left(AT) for contract in contracts} == {7, 45}
    assert {contract.strike for contract in contracts} == {95, 100}
    for symbol, quote in quotes.items():
        contract = parse(symbol)
        assert contract is not None
        assert quote.symbol == symbol == contract.symbol
        assert quote.at == AT
        assert quote.greeks is not None
        assert quote.greeks.iv == 0.2
        assert (quote.greeks.delta > 0) is (contract.right is Right.CALL)
        assert quote.ask is not None
        assert quote.bid is None or quote.ask - quote.bid == Decimal("0.10")
    far = chain_of("A", 100, strikes=(300,), days=(1,))
    assert next((quote.bid, quote.ask) for quote in far.values()) == (None, Decimal("0.02"))
    assert len(chain_of("A", 50)) == 42


def test_a_view_has_quotes_and_daily_closes():
    quotes = chain_of("A", 100)
    view = view_of({"A": [100.0]}, quotes=quotes, daily={"A": [99.0, 101.0], "B": [5.0]})
    assert view.quotes == quotes
    assert view.daily is not None
    assert view.daily.close[:, 0].tolist() == [99.0, 101.0]
    assert view.daily.newest_at(0) < AT - timedelta(days=1)
    assert (view_of({"A": [100.0]}).quotes, view_of({"A": [100.0]}).daily) == ({}, None)


class Odd(Strategy, frozen=True):
    def propose(self, view: MarketView) -> list[Proposal]:
        return ["no structure"]  # type: ignore[list-item]


def test_a_structure_that_a_session_would_deny_fails_the_test():
    with pytest.raises(ValueError, match="'no structure' is not a StructureProposal"):
        structures_of(Odd(), view_of({"A": [1.0]}))
