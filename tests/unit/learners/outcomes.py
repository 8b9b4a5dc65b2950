"""Outcomes to learn from, drawn by seed."""

from __future__ import annotations

import math
import random
from datetime import timedelta
from decimal import Decimal

from gambler_ai.core.learning import Outcome, Signal
from gambler_ai.learners.features import NAMES
from tests.unit.fakes import AT


def outcome(number: int, *, told: float = 2.0, without: float = 0.2, chance: random.Random | None = None) -> Outcome:
    """The n-th of a series: ``along_5`` tells winners from losers by ``told``, each feature may be absent."""
    chance = chance or random.Random(number)
    features = {name: round(chance.gauss(3, 2), 6) for name in NAMES if chance.random() >= without}
    won = chance.random() < 1 / (1 + math.exp(-told * (features.get("along_5", 3.0) - 3) / 2))
    pnl = Decimal(1 if won else -1)
    return Outcome(f"p-{number}", "AAPL", "buy", AT, AT + timedelta(hours=1), pnl, float(pnl), Signal(features))


SERIES = [outcome(number) for number in range(90)]
