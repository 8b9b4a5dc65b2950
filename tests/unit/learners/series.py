"""Series of outcomes as the program makes them, and what learns from them: each that is registered joins by itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import numpy as np
from msgspec.structs import replace

from gambler_ai import learners
from gambler_ai.core import bars
from gambler_ai.core.components import Component
from gambler_ai.core.events import OutcomeKnown
from gambler_ai.core.learning import CHOOSER, LearningRules, Outcome
from gambler_ai.core.model import BarFrame, MarketView, Proposal, Side
from gambler_ai.errors import ConfigError
from gambler_ai.learners.adviser import Panel
from gambler_ai.learners.base import Learner
from gambler_ai.strategies import loader
from tests.unit.fakes import AT, FIVE, make_plan, make_state

#: Rows of a walk; each outcome is of a later bar of it.
ROWS = 400
#: What a chooser says of an entry (`learners/choices.py`).
WORDS = ("momentum", "mean_reversion", "breakout")
REGIMES = ("trend", "range", "volatile")


@cache
def known() -> tuple[str, ...]:
    """Names of registered learners whose library is installed."""
    found = []
    for name in learners.KNOWN:
        try:
            learners.check(LearningRules((name,)), "momentum")
        except ConfigError:  # an extra that is not there
            continue
        found.append(name)
    return tuple(found)


def installed(name: str) -> Learner[Any]:
    [learner] = learners.make([name])
    return learner


def everybody() -> tuple[str, ...]:
    """All that learn: the chooser too, which is a strategy's component."""
    return (*known(), *([CHOOSER] if CHOOSER in loader.BUILT_INS else []))


def fresh(name: str) -> Component:
    """One of them, as it is before it has learned."""
    if name != CHOOSER:
        return installed(name)
    own: Sequence[Component] = loader.load(CHOOSER, {}).strategy.components()
    return own[0]


@cache
def market() -> np.ndarray:
    """Bars of one symbol: a walk that leans on its own last moves a little."""
    rng = np.random.default_rng(8)
    moves = rng.normal(0, 0.003, ROWS)
    moves[1:] += 0.3 * moves[:-1]
    close = 80 * np.exp(np.cumsum(moves))
    start = np.append(80.0, close[:-1])
    spread = rng.uniform(0, 0.002, ROWS)
    times = [(AT + (i - ROWS) * FIVE).timestamp() for i in range(ROWS)]
    volume = rng.integers(100, 9_000, ROWS).astype(float)
    high, low = np.maximum(start, close) * (1 + spread), np.minimum(start, close) * (1 - spread)
    return np.column_stack([times, start, high, low, close, volume])


def frame_at(last: int) -> BarFrame:
    """The market as it was when the row ``last`` had closed."""
    return bars.from_columns(("AAPL",), FIVE, {"AAPL": market()[: last + 1]}, 300)


def proposal_at(number: int, frame: BarFrame) -> Proposal:
    words = {"strategy": WORDS[number % 3], "regime": REGIMES[number % 2], "predicted": "0.500000 0.480000 0.510000"}
    return Proposal("AAPL", Side.BUY if number % 3 else Side.SELL, frame.newest_at(0), "it moved", context=words)


@cache
def series(name: str, count: int, seed: int = 4) -> tuple[OutcomeKnown, ...]:
    """The facts of a session whose learner is ``name``: scored by what it had learned from those before."""
    learner = None if name == CHOOSER else installed(name)
    memory = {} if learner is None else {name: learner}
    panel = Panel(make_state(plan=make_plan(learning=LearningRules(tuple(memory)))), memory)
    rng, facts = np.random.default_rng(seed), []
    for number in range(count):
        frame = frame_at(100 + number * 5 % (ROWS - 100))
        at = frame.newest_at(0) + FIVE
        signal = panel.advise(proposal_at(number, frame), MarketView(at, frame, {}, {})).signal
        lean = signal.features.get("along_5", 0.0)
        share = round(float(rng.normal(0.5 * np.sign(lean), 1.0)), 6)
        told = Outcome(
            f"p-{number}", "AAPL", "long", at, at + timedelta(hours=1), Decimal(str(share)), share,
            replace(signal, scores=dict(signal.scores)),
        )  # fmt: skip
        facts.append(OutcomeKnown(AT + number * FIVE, told))
        if learner is not None:
            learner.apply(facts[-1])
    return tuple(facts)
