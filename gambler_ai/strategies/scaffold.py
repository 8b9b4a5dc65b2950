"""A first strategy of one's own, and its test: text to be written to a file and changed."""

from __future__ import annotations

_STRATEGY = '''\
"""CLASS: in when a fast average crosses above a slow one, out when it falls below. Change it."""

from typing import Annotated

from msgspec import Meta

from gambler_ai.strategies import MarketView, Proposal, Side, Strategy


class CLASS(Strategy):
    """Long while the average of ``fast`` bars is above that of ``slow`` bars."""

    # Parameters: --set fast=5 on the command line, or [parameters] in gambler.toml.
    fast: Annotated[int, Meta(ge=1, le=100)] = 3
    slow: Annotated[int, Meta(ge=2, le=500)] = 8

    @property
    def history(self) -> int:
        return self.slow + 1  # closed bars of each symbol it wants to see

    def propose(self, view: MarketView) -> list[Proposal]:
        close = view.frame.close  # shape (bars, symbols), oldest bar first; NaN where a symbol has none
        if len(close) < self.history:
            return []
        gap = close[-self.fast :].mean(axis=0) - close[-self.slow :].mean(axis=0)  # of all symbols at once
        before = close[-self.fast - 1 : -1].mean(axis=0) - close[-self.slow - 1 : -1].mean(axis=0)
        proposals = []
        for i, symbol in enumerate(view.frame.symbols):
            at = view.frame.newest_at(i)  # a signal is dated by its bar, so that it is acted upon once
            if symbol in view.held and gap[i] < 0:
                proposals.append(Proposal(symbol, Side.SELL, at, "fast average below slow", exit=True))
            elif symbol not in view.held and before[i] <= 0 < gap[i]:
                proposals.append(Proposal(symbol, Side.BUY, at, "fast average crossed above slow"))
        return proposals  # size, stop and target are the session's: --position-size, --stop-loss-pct
'''

_TEST = '''\
"""CLASS on bars made for it."""

from pathlib import Path

from gambler_ai.strategies.loader import load
from gambler_ai.strategies.testing import proposals_of, view_of

FILE = Path(__file__).with_name("MODULE.py")
FALLS = [100.0 - i for i in range(10)]


def made(**parameters):
    return load(str(FILE), parameters).strategy


def test_it_buys_when_the_fast_average_crosses_above_the_slow_one():
    (proposal,) = proposals_of(made(fast=1, slow=4), view_of({"AAPL": [*FALLS, 99.0]}))
    assert (proposal.symbol, proposal.side, proposal.exit) == ("AAPL", "buy", False)


def test_it_leaves_what_it_holds_when_the_fast_average_is_below():
    (proposal,) = proposals_of(made(), view_of({"AAPL": FALLS}, held={"AAPL": 10}))
    assert proposal.exit


def test_it_waits_otherwise():
    assert proposals_of(made(), view_of({"AAPL": FALLS})) == []
    assert proposals_of(made(), view_of({"AAPL": [100.0]})) == []
'''


def class_name(name: str) -> str:
    """``dip_buyer`` to ``DipBuyer``."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def files(name: str) -> dict[str, str]:
    """File name to text: the strategy ``name`` and its test."""

    def filled(text: str) -> str:
        return text.replace("MODULE", name).replace("CLASS", class_name(name))

    return {f"{name}.py": filled(_STRATEGY), f"test_{name}.py": filled(_TEST)}
