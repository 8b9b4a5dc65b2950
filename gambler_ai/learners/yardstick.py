"""What a learner is worth: each prediction was stored before its outcome was known, and is held against simple ones.

Prequential: predict, then learn (A. P. Dawid, Present Position and Potential Developments, 1984). The loss is Brier's:
(p - won)^2, between 0 and 1. Three baselines predict each outcome too: ``always`` wins (1), ``never`` (0), and the
``base rate`` of the outcomes before it, (wins + 1) / (count + 2).

A learner beats a baseline when the interval of the mean difference of their losses lies above zero. We look after each
trade, and an ordinary interval looked at so often is left by chance sooner or later; this one holds at all times at
once with 95 %: the predictable plug-in empirical Bernstein confidence sequence (I. Waudby-Smith and A. Ramdas,
Estimating means of bounded random variables by betting, 2023, theorem 2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

#: What a learner has to beat, every one of them.
ALWAYS, NEVER, BASE_RATE = "always", "never", "base rate"
BASELINES = (BASE_RATE, ALWAYS, NEVER)
#: Fewer judged predictions than this say nothing, whatever the interval.
LEAST = 30
#: The part of the time in which an interval may be wrong.
ALPHA = 0.05
#: Points of the learning curve that are kept; when there are more, every second one goes.
POINTS_MAX = 200
BINS = 10
#: The bet of one step is no larger: c of the theorem.
_BET_MAX = 0.5


class Gap(Struct, frozen=True):
    """Running sums of differences of loss, each brought from [-1, 1] to [0, 1] as the theorem wants it."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0  # of the distance from the mean as it was known
    bets: float = 0.0
    weighted: float = 0.0  # bet times value
    width: float = 0.0  # the sum in the numerator of the width

    def after(self, difference: float) -> Gap:
        """With one more difference, -1 to 1, above zero where the learner lost less."""
        value = (difference + 1) / 2
        count = self.count + 1
        mean, variance = (0.5 + self.total) / count, (0.25 + self.squares) / count  # as known before it
        bet = min(_BET_MAX, math.sqrt(2 * math.log(2 / ALPHA) / (variance * count * math.log(1 + count))))
        known = (0.5 + self.total + value) / (count + 1)
        return Gap(
            count=count, total=self.total + value, squares=self.squares + (value - known) ** 2, bets=self.bets + bet,
            weighted=self.weighted + bet * value,
            width=self.width + 4 * (value - mean) ** 2 * (-math.log1p(-bet) - bet) / 4,
        )  # fmt: skip

    @property
    def interval(self) -> tuple[float, float]:
        """Where the mean difference lies, -1 to 1, with 95 % at all times at once."""
        if not self.bets:
            return -1.0, 1.0
        centre, reach = self.weighted / self.bets, (math.log(2 / ALPHA) + self.width) / self.bets
        return max(-1.0, 2 * (centre - reach) - 1), min(1.0, 2 * (centre + reach) - 1)

    @property
    def mean(self) -> float:
        """The mean difference so far."""
        return 2 * self.total / self.count - 1 if self.count else 0.0


class Point(Struct, frozen=True, array_like=True):
    """A point of the learning curve: after ``count`` judged predictions, the mean losses until then."""

    count: int
    learner: float
    rival: float  # the first of those it is held against


class Contest(Struct, frozen=True):
    """A learner's losses, each 0 to 1, against those of rivals that predicted the same; sums by name.

    ``first`` is the rival of the curve, by name: what is stored keeps no order.
    """

    count: int = 0
    loss: float = 0.0
    rivals: dict[str, float] = {}
    gaps: dict[str, Gap] = {}
    curve: tuple[Point, ...] = ()
    stride: int = 1
    first: str = ""

    def after(self, loss: float, rivals: Mapping[str, float]) -> Contest:
        """With one more prediction and its rivals'."""
        found = Contest(
            count=self.count + 1, loss=self.loss + loss,
            rivals={name: self.rivals.get(name, 0.0) + theirs for name, theirs in rivals.items()},
            gaps={name: self.gaps.get(name, Gap()).after(theirs - loss) for name, theirs in rivals.items()},
            curve=self.curve, stride=self.stride, first=self.first or next(iter(rivals)),
        )  # fmt: skip
        return found._charted()

    @property
    def names(self) -> tuple[str, ...]:
        """Its rivals, the one of the curve first."""
        return tuple(sorted(self.rivals, key=lambda name: (name != self.first, name)))

    @property
    def beats(self) -> bool:
        """Whether it is surely better than every rival."""
        return self.count >= LEAST and all(gap.interval[0] > 0 for gap in self.gaps.values())

    @property
    def says(self) -> str:
        """What it is worth, in a sentence."""
        if self.count < LEAST:
            return f"too early to say: {self.count} of {LEAST} judged predictions"
        for name in self.names:
            gap = self.gaps[name]
            low, high = gap.interval
            if low <= 0:
                how = "not shown to be better than" if high > 0 else "worse than"
                return f"{how} {name}: {gap.mean:+.4f} of loss, between {low:+.4f} and {high:+.4f}"
        least = min(gap.interval[0] for gap in self.gaps.values())
        return f"beats {' and '.join(self.names)}, by {least:+.4f} of loss at least"

    def _charted(self) -> Contest:
        """Every ``stride``-th state is a point; too many, and every second goes."""
        if self.count % self.stride:
            return self
        rival = self.rivals[self.first]
        curve, stride = (*self.curve, Point(self.count, self.loss / self.count, rival / self.count)), self.stride
        if len(curve) > POINTS_MAX:
            curve, stride = curve[1::2], stride * 2
        return replace(self, curve=curve, stride=stride)


class Bin(Struct, frozen=True, array_like=True):
    """Predictions within a tenth: how many, their sum, and how many of them won."""

    count: int = 0
    predicted: float = 0.0
    won: int = 0


class Yardstick(Struct, frozen=True):
    """What is known of predictions that something wins. Sums; ``returns`` are in percent."""

    contest: Contest = Contest()
    wins: int = 0
    log_loss: float = 0.0
    base_log_loss: float = 0.0
    returns: float = 0.0
    bins: tuple[Bin, ...] = (Bin(),) * BINS

    @property
    def count(self) -> int:
        """Judged predictions."""
        return self.contest.count

    def after(self, predicted: float, won: bool, return_pct: float) -> Yardstick:
        """With one more outcome, of which ``predicted`` was said before it was known."""
        truth, base = float(won), (self.wins + 1) / (self.count + 2)
        rivals = {BASE_RATE: (base - truth) ** 2, ALWAYS: (1 - truth) ** 2, NEVER: truth**2}
        return Yardstick(
            contest=self.contest.after((predicted - truth) ** 2, rivals), wins=self.wins + won,
            log_loss=self.log_loss + _log_loss(predicted, won), base_log_loss=self.base_log_loss + _log_loss(base, won),
            returns=self.returns + return_pct, bins=_binned(self.bins, predicted, won),
        )  # fmt: skip


def _log_loss(predicted: float, won: bool) -> float:
    """Of the probability that was given to what came; one of zero counts as one in a million."""
    return -math.log(max(1e-6, predicted if won else 1 - predicted))


def _binned(bins: tuple[Bin, ...], predicted: float, won: bool) -> tuple[Bin, ...]:
    place = min(BINS - 1, int(predicted * BINS))
    found = bins[place]
    after = Bin(found.count + 1, found.predicted + predicted, found.won + won)
    return (*bins[:place], after, *bins[place + 1 :])
