"""Learners at the moment of an entry: they all score it; those that may, have a say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from gambler_ai.core.learning import Advice, Confidence, LearningRules, Signal
from gambler_ai.core.model import MarketView, Proposal
from gambler_ai.core.proposals import failure
from gambler_ai.core.state import SessionState
from gambler_ai.learners import features, window
from gambler_ai.learners.base import Learner

#: Decimal places of a score as it is stored and judged.
PLACES = 6
#: The smallest part of its size that is left to an entry of low confidence.
SHARE_STEP = Decimal("0.0001")


class Panel:
    """The learners of a session (`core.ports.Adviser`). Of the session's state it reads the rules, as they stand."""

    def __init__(self, state: SessionState, memory: Mapping[str, Any]) -> None:
        """``memory`` has the learners by name; one that failed is not there."""
        self._state = state
        self._memory = memory

    @property
    def _rules(self) -> LearningRules:
        return self._state.plan.learning

    @property
    def bars(self) -> int:
        """Closed bars that the features and a window want."""
        return max(features.BARS, window.BARS)

    def prepare(self) -> None:
        """Have every learner build its model."""
        for learner in self._learners().values():
            learner.prepare()

    def advise(self, proposal: Proposal, view: MarketView) -> Advice:
        """Score the entry, and say what those that may have against it."""
        learners = self._learners()
        bars = (view.frame, proposal.symbol, proposal.side)
        looked = window.window(*bars) if any(learner.sees_window for learner in learners.values()) else b""
        seen = Signal(features.features(*bars), {}, looked, proposal.context, view.at)
        scores: dict[str, float | None] = {}
        for name, learner in learners.items():
            try:
                scores[name] = _rounded(learner.score(seen))
            except (Exception, SystemExit) as error:  # a library's; the name says whose
                return Advice(seen, denial=f"{name}: {failure(error)}", failed=True)
        known = {name: score for name, score in scores.items() if score is not None}
        signal = replace(seen, scores=known)
        return self._weighed(signal, learners, scores)

    def _weighed(
        self, signal: Signal, learners: Mapping[str, Learner[Any]], scores: Mapping[str, float | None]
    ) -> Advice:  # fmt: skip
        """The least sure of those that have a say decides; one that cannot say yet is not asked."""
        rules = self._rules
        gone = [name for name in rules.use if name in rules.learners and name not in learners]
        if rules.min_confidence is None:
            return Advice(signal)
        if gone:
            return Advice(signal, denial=f"{gone[0]} has failed, and nothing is entered without its word", failed=True)
        heard = {
            name: score for name, score in scores.items()
            if score is not None and (name in rules.use or learners[name].beats)
        }  # fmt: skip
        name = min(heard, key=lambda name: heard[name], default="")
        least = rules.min_confidence
        if not name or _exactly(heard[name]) >= least:
            return Advice(signal)
        if rules.confidence is Confidence.GATE:
            return Advice(signal, denial=f"{name} gives it {heard[name]:.3f}, {least} wanted")
        share = max(SHARE_STEP, (_exactly(heard[name]) / least).quantize(SHARE_STEP))
        return Advice(signal, min(share, Decimal(1)))

    def _learners(self) -> dict[str, Learner[Any]]:
        found = ((name, self._memory.get(name)) for name in self._rules.learners)
        return {name: learner for name, learner in found if isinstance(learner, Learner)}


def _exactly(score: float) -> Decimal:
    """As it is written: 0.6 is not below 0.6."""
    return Decimal(str(score))


def _rounded(score: float | None) -> float | None:
    if score is None:
        return None
    if not math.isfinite(score):  # which min and max would make a 0 of
        raise ValueError(f"a score of {score} is no number")
    return round(min(1.0, max(0.0, score)), PLACES)
