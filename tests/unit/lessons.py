"""Outcomes that learners learn from: seeded, some with a feature that tells winners, some with none that does."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import numpy as np

from gambler_ai.core import events as ev
from gambler_ai.core.learning import Outcome, Signal
from gambler_ai.learners.attention import Attention
from tests.unit.fakes import AT, after


def outcome(number: int, *, won: bool, features: dict[str, float], scores: dict[str, float] | None = None) -> Outcome:
    """The ``number``-th round trip of AAPL: a minute each."""
    pnl = Decimal(10 if won else -8)
    return Outcome(
        f"p-{number}", "AAPL", "long", after(minutes=number), after(minutes=number) + timedelta(seconds=30), pnl,
        float(pnl) / 1_000, Signal(features, scores or {}),
    )  # fmt: skip


def taught(learner: Attention, count: int, *, tells: float = 0.0, seed: int = 0, start: int = 0) -> list[ev.Fact]:
    """``count`` outcomes as facts, each scored by ``learner`` before it is told of it. ``tells``: how much the feature
    ``along_1`` says of winning, from 0 (nothing)."""
    dice, facts = np.random.default_rng(seed), list[ev.Fact]()
    for number in range(start, start + count):
        value = float(dice.normal())
        won = bool(dice.random() < 1 / (1 + np.exp(-tells * value)))
        features = {"along_1": round(value, 6), "volume": round(float(dice.normal()), 6)}
        score = learner.score(Signal(features))
        scores = {} if score is None else {learner.name: round(score, 6)}
        fact = ev.OutcomeKnown(AT, outcome(number, won=won, features=features, scores=scores))
        learner.apply(fact)
        facts.append(fact)
    return facts
