"""What a tick is measured against decides as the strategies do: else the ratio would compare two things."""

from __future__ import annotations

import pytest

from bench.deciding import market
from bench.rules import PLAIN, STRATEGIES
from gambler_ai.core.model import Proposal


@pytest.mark.parametrize("size", [10, 200])
@pytest.mark.parametrize("name", STRATEGIES)
def test_each_plain_rule_decides_as_the_strategy_does(name, size):
    view, symbols = market(size)
    proposed = [p for p in STRATEGIES[name].propose(view) if isinstance(p, Proposal)]
    found = {p.symbol: "exit" if p.exit else p.side.value for p in proposed}
    assert len(found) >= size // 50
    for rule in PLAIN[name]:
        assert {of.name: what for of in symbols if (what := rule(of)) is not None} == found
