"""Which features have told winners from losers so far, and how much each is listened to.

Each feature is an expert that votes by how far it lies from its mean, in the direction that has won. Its score is the
running correlation of the feature with winning; its weight is its share of a softmax over the sizes of the scores, so
that a few that tell something are heard above many that tell nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from gambler_ai.core.events import LearnerTaught
from gambler_ai.core.learning import Outcome, Signal
from gambler_ai.learners.base import Learner, Weight
from gambler_ai.learners.features import NAMES

#: Outcomes before it says anything.
LEAST = 20
#: How much louder a score of 1 is than one of 0: e to the power of this.
SHARPNESS = 4.0
#: The row of what another bot had learned that holds its feature weights.
WEIGHTS = "weights"
#: No feature is taken to be further from its mean than so many deviations.
FAR = 3.0


class Watched(Struct, frozen=True):
    """Running sums of one feature: its mean, its spread and its product with winning (B. P. Welford, 1962)."""

    count: int = 0
    mean: float = 0.0
    spread: float = 0.0  # sum of squared distances from the mean
    won: float = 0.0  # mean of winning, over the outcomes that had this feature
    won_spread: float = 0.0
    product: float = 0.0

    def after(self, value: float, won: float) -> Watched:
        """With one more outcome."""
        count = self.count + 1
        step, won_step = value - self.mean, won - self.won
        mean, won_mean = self.mean + step / count, self.won + won_step / count
        return Watched(
            count,
            mean,
            self.spread + step * (value - mean),
            won_mean,
            self.won_spread + won_step * (won - won_mean),
            self.product + step * (won - won_mean),
        )

    @property
    def score(self) -> float:
        """The correlation with winning, -1 to 1; 0 while nothing varied."""
        size = self.spread * self.won_spread
        return max(-1.0, min(1.0, self.product / math.sqrt(size))) if size > 0 else 0.0

    def distance(self, value: float) -> float:
        """Deviations from its mean, at most `FAR`."""
        deviation = math.sqrt(self.spread / self.count) if self.count else 0.0
        return max(-FAR, min(FAR, (value - self.mean) / deviation)) if deviation > 0 else 0.0


class AttentionMemory(Struct, frozen=True):
    """What was seen of each feature, and how many outcomes won. ``prior`` is what another bot gave each feature, and
    ``taught`` names it."""

    watched: dict[str, Watched] = {}
    count: int = 0
    wins: int = 0
    prior: dict[str, float] = {}
    taught: str = ""


class Attention(Learner[AttentionMemory]):
    """Feature weights that are learned over time, and can be read."""

    name = "attention"
    what = "which features tell winners from losers, and a vote by those"
    memory = AttentionMemory
    _memory = AttentionMemory()

    def _begin(self) -> None:
        self._memory = AttentionMemory(taught=self._memory.taught)

    @property
    def taught(self) -> str:
        """What its first weights came from."""
        return self._memory.taught

    def take_up(self, fact: LearnerTaught) -> None:
        """Begin with another bot's weights, as shares that add up to 1."""
        given = fact.values.get(WEIGHTS, {})
        total = sum(given.values())
        shares = {name: value / total for name, value in given.items()} if total > 0 else {}
        self._memory = AttentionMemory(prior=shares, taught=fact.source)

    def score(self, signal: Signal) -> float | None:
        """The base rate, moved by the weighted vote on the scale of log odds."""
        memory = self._memory
        if memory.count < LEAST or not signal.features:
            return None
        base = (memory.wins + 1) / (memory.count + 2)
        weights = _weights(memory, [name for name in signal.features if name in memory.watched])
        vote = sum(
            weight * memory.watched[name].score * memory.watched[name].distance(signal.features[name])
            for name, weight in weights.items()
        )
        return 1 / (1 + (1 - base) / base * math.exp(-vote))

    def learn(self, outcome: Outcome) -> bool:
        """Each feature is seen once more, beside what came of it."""
        features, won = outcome.signal.features, float(outcome.won)
        if not features:
            return False
        before = self._memory.watched
        seen = {name: before.get(name, Watched()).after(value, won) for name, value in features.items()}
        memory = self._memory
        self._memory = replace(
            memory, watched=before | seen, count=memory.count + 1, wins=memory.wins + outcome.won
        )  # fmt: skip
        return True

    def pack(self) -> AttentionMemory:
        """All of it."""
        return self._memory

    def unpack(self, memory: AttentionMemory) -> None:
        """All of it."""
        self._memory = memory

    def facts(self) -> dict[str, str]:
        """How it was so far."""
        memory = self._memory
        return {"won so far": f"{memory.wins} of {memory.count}"}

    def weights(self) -> tuple[Weight, ...]:
        """Weight of each feature, with its correlation with winning."""
        memory = self._memory
        known = sorted(memory.watched.keys() | memory.prior.keys())
        scores = {name: memory.watched.get(name, Watched()).score for name in known}
        found = _weights(memory, known).items()
        ordered = sorted(found, key=lambda item: (-item[1], item[0]))
        return tuple(Weight(name, weight, f"{NAMES.get(name, '')} ({scores[name]:+.2f})") for name, weight in ordered)


def _weights(memory: AttentionMemory, names: Sequence[str]) -> dict[str, float]:
    """Shares by what was learned, times what was taken up; the say of that falls to a half by the first `LEAST`
    outcomes, and fades from there on. A feature that was given nothing keeps half a mean share, so that it can rise."""
    learned = softmax({name: memory.watched.get(name, Watched()).score for name in names})
    if not memory.prior:
        return learned
    fades, mean = LEAST / (LEAST + memory.count), 1 / len(memory.prior)
    sizes = {name: share * ((memory.prior.get(name, 0.0) + mean) / 2) ** fades for name, share in learned.items()}
    total = sum(sizes.values())
    return {name: size / total for name, size in sizes.items()}


def softmax(scores: Mapping[str, float]) -> dict[str, float]:
    """Shares by size, that add up to 1."""
    sizes = {name: math.exp(SHARPNESS * abs(score)) for name, score in scores.items()}
    total = sum(sizes.values())
    return {name: size / total for name, size in sizes.items()}
