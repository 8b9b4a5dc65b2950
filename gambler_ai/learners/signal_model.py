"""Whether an entry with these features wins: a logistic regression that takes one step for each closed trade.

scikit-learn's `StandardScaler` and `SGDClassifier`, by `partial_fit`. Both are handed one example at a time, so nothing
is shuffled and nothing is left to chance; what they hold is numbers, and those are what is stored. The library is
imported when something is learned: to score takes the numbers alone.

The step is not the library's usual one ("optimal"), whose first is 10 and which comes to rest after tens of thousands
of examples: a bot has hundreds. Ours begins small and shrinks slowly, so that it still follows a market that changes.
"""

from __future__ import annotations

import functools
import math
from collections import deque
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gambler_ai.core.learning import Outcome, Signal
from gambler_ai.errors import SchemaMismatch
from gambler_ai.learners import arrays
from gambler_ai.learners.arrays import Array
from gambler_ai.learners.base import Learner, Weight
from gambler_ai.learners.features import NAMES

#: Examples that are kept, the newest.
KEPT = 10_000
#: Outcomes before it says anything.
LEAST = 20
#: No feature is taken to be further from its mean than so many deviations: early deviations are small by chance.
FAR = 5.0
#: No feature is larger: one that is, is an error of the data, and must not take the sums to infinity.
BOUND = 1e6
#: Log odds are no further from 0: six places tell no more.
ODDS = 30.0
#: The step is FIRST_STEP / t ** DECAY; SHRINK is the L2 penalty.
FIRST_STEP, DECAY, SHRINK = 0.03, 0.25, 0.001
#: How often each column is shuffled to see how much leans on it.
SHUFFLES = 3

COLUMNS = tuple(NAMES)
#: The rows of the stored model: the classifier's weights, then what the scaler knows of each feature.
COEF, MEAN, VAR, SCALE, SEEN = range(5)
_UNSEEN = np.array([[0.0], [0.0], [0.0], [1.0], [0.0]])

Numbers = NDArray[Any]


class SignalMemory(Struct, frozen=True):
    """What is stored. ``names`` are the columns of both arrays; ``steps`` is the classifier's `t_`.

    ``model``: 5 rows of <f8 (weight, mean, variance, scale, examples that had the feature). ``examples``: <f4, a row
    each, oldest first: the features (NaN: absent), then 1 if it won, else 0.
    """

    names: tuple[str, ...]
    steps: float
    intercept: float
    model: Array
    examples: Array


class SignalModel(Learner[SignalMemory]):
    """An online classifier of "this signal wins"."""

    name = "signal"
    what = "a logistic regression over the features of a signal, taught by each closed trade"
    memory = SignalMemory
    needs = ("sklearn", "scikit-learn", "ml")

    def _begin(self) -> None:
        self._model: Numbers = np.repeat(_UNSEEN, len(COLUMNS), axis=1)
        self._intercept, self._steps = 0.0, 1.0
        self._kept: deque[bytes] = deque(maxlen=KEPT)
        self._fitted: tuple[Any, Any] | None = None

    @property
    def libraries(self) -> Mapping[str, str]:
        """What its numbers come from; one that is not installed is not there."""
        return {**super().libraries, **_versions()}

    def prepare(self) -> None:
        """Import scikit-learn, and hand it what was learned."""
        self._fitted = self._fitted or self._estimators()

    def score(self, signal: Signal) -> float | None:
        """The classifier's probability that it wins; an absent feature counts as its mean."""
        row = _row(signal.features)
        if self._steps <= LEAST or row is None:
            return None
        return float(self._probability(self._scaled(row)))

    def learn(self, outcome: Outcome) -> bool:
        """One step; the scaler sees the example first."""
        row = _row(outcome.signal.features)
        if row is None:
            return False
        self._fit(row, outcome.won)
        self._kept.append(np.append(row, float(outcome.won)).astype("<f4").tobytes())
        return True

    def pack(self) -> SignalMemory:
        """The numbers of both estimators, and the examples."""
        shape = (len(self._kept), len(COLUMNS) + 1)
        examples = Array("<f4", shape, b"".join(self._kept))
        return SignalMemory(COLUMNS, self._steps, self._intercept, arrays.pack(self._model, "<f8"), examples)

    def unpack(self, memory: SignalMemory) -> None:
        """Take them; features that are new here begin unseen.

        Raises:
            ValueError: that is no model of ours.
            SchemaMismatch: it was made by a program that knows more features.
        """
        places = _places(memory.names)
        model, examples = _checked(memory)
        self._begin()
        self._model[:, places] = model
        wide = np.full((len(examples), len(COLUMNS) + 1), np.nan, "<f4")
        wide[:, [*places, len(COLUMNS)]] = examples
        self._kept.extend(row.tobytes() for row in wide)
        self._intercept, self._steps = memory.intercept, memory.steps

    def facts(self) -> dict[str, str]:
        """What it was taught."""
        rows = self._examples()
        won = int(rows[:, -1].sum())
        middling = float(self._probability(np.zeros(len(COLUMNS))))
        return {
            "examples kept": f"{len(rows):,}, {KEPT:,} at most; {won:,} of them won",
            "a signal of no distinction wins": f"{middling:.3f}",
        }

    def weights(self) -> tuple[Weight, ...]:
        """What a deviation of each feature does to the log odds; beside it, what leans on the feature."""
        leaning = self.importance()
        found = [
            Weight(name, float(weight), f"{NAMES[name]} (shuffled: {leaning[name]:+.4f} of loss)")
            for name, weight in zip(COLUMNS, self._model[COEF], strict=True)
        ]
        return tuple(sorted(found, key=lambda weight: (-abs(weight.value), weight.name)))

    def importance(self) -> dict[str, float]:
        """How much the mean loss over the kept examples grows when a feature is shuffled among them.

        Those examples are what it learned from: this says what it leans on, not what it is worth.
        """
        rows, chance = self._examples(), np.random.default_rng(0)
        if not len(rows):
            return dict.fromkeys(COLUMNS, 0.0)
        scaled, won = self._scaled(rows[:, :-1]), rows[:, -1]
        least, found = self._loss(scaled, won), {}
        for column, name in enumerate(COLUMNS):
            other, grown = scaled.copy(), 0.0
            for _ in range(SHUFFLES):
                other[:, column] = chance.permutation(scaled[:, column])
                grown += self._loss(other, won) - least
            found[name] = grown / SHUFFLES
        return found

    # -- the estimators ---------------------------------------------------------------------------

    def _fit(self, row: Numbers, won: bool) -> None:
        """Each estimator takes a step. What is absent leaves what is known of its column as it was.

        (The scaler's own way with one example that lacks a number makes its variance NaN for good.)
        """
        self.prepare()
        assert self._fitted is not None
        scaler, classifier = self._fitted
        before, absent = self._model.copy(), np.isnan(row)
        with np.errstate(divide="ignore", invalid="ignore"):
            scaler.partial_fit(row[None])
        for place, values in ((MEAN, scaler.mean_), (VAR, scaler.var_), (SCALE, scaler.scale_)):
            values[absent] = before[place][absent]
            self._model[place] = values
        self._model[SEEN] = scaler.n_samples_seen_
        classifier.partial_fit(self._scaled(row)[None], np.array([int(won)]), classes=np.array([0, 1]))
        self._model[COEF] = classifier.coef_[0]
        self._intercept, self._steps = float(classifier.intercept_[0]), float(classifier.t_)

    def _estimators(self) -> tuple[Any, Any]:
        """The two as they were when these numbers were theirs."""
        from sklearn.linear_model import SGDClassifier
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler()
        classifier = SGDClassifier(
            loss="log_loss", penalty="l2", alpha=SHRINK, learning_rate="invscaling", eta0=FIRST_STEP, power_t=DECAY,
            shuffle=False, random_state=0,
        )  # fmt: skip
        if self._steps > 1:
            scaler.mean_, scaler.var_, scaler.scale_ = (self._model[row].copy() for row in (MEAN, VAR, SCALE))
            scaler.n_samples_seen_ = self._model[SEEN].copy()
            classifier.coef_, classifier.intercept_ = self._model[COEF : COEF + 1].copy(), np.array([self._intercept])
            classifier.t_, classifier.classes_ = self._steps, np.array([0, 1])
            scaler.n_features_in_ = classifier.n_features_in_ = len(COLUMNS)
        return scaler, classifier

    def _scaled(self, rows: Numbers) -> Numbers:
        """In deviations from the mean; 0 where absent."""
        distances = (rows - self._model[MEAN]) / self._model[SCALE]
        scaled: Numbers = np.clip(np.nan_to_num(distances, nan=0.0), -FAR, FAR)
        return scaled

    def _probability(self, scaled: Numbers) -> Numbers:
        odds = np.clip(scaled @ self._model[COEF] + self._intercept, -ODDS, ODDS)
        found: Numbers = 1 / (1 + np.exp(-odds))
        return found

    def _loss(self, scaled: Numbers, won: Numbers) -> float:
        return float(((self._probability(scaled) - won) ** 2).mean())

    def _examples(self) -> Numbers:
        return np.frombuffer(b"".join(self._kept), "<f4").reshape(-1, len(COLUMNS) + 1).astype(float)


def _row(features: Mapping[str, float]) -> Numbers | None:
    """The features in the order of the columns, NaN where absent; None if none of them is ours."""
    row = np.array([features.get(name, math.nan) for name in COLUMNS])
    return None if np.isnan(row).all() else np.clip(row, -BOUND, BOUND)


def _places(names: tuple[str, ...]) -> list[int]:
    """Where the stored columns are here."""
    if unknown := [name for name in names if name not in NAMES]:
        raise SchemaMismatch(
            f"component signal: it has learned of {unknown[0]!r:.40}, a feature that this program does not know",
            hint="nothing was changed: use the version of gambler-ai that wrote it",
        )
    if not names or len(set(names)) != len(names):
        raise ValueError("its columns are not distinct")
    return [COLUMNS.index(name) for name in names]


def _checked(memory: SignalMemory) -> tuple[Numbers, Numbers]:
    """Its two arrays.

    Raises:
        ValueError: they hold what no model of ours holds.
    """
    width, count = len(memory.names), (memory.examples.shape or (0,))[0]
    model = arrays.unpack(memory.model, "<f8", (5, width))
    if not 0 <= count <= KEPT:
        raise ValueError(f"{count} examples are not what is kept")
    examples = arrays.unpack(memory.examples, "<f4", (count, width + 1))
    if not (np.abs(model) <= BOUND**2).all() or not abs(memory.intercept) <= BOUND:
        raise ValueError("a number in its model is none that can be learned")
    if np.isinf(examples).any() or not np.isin(examples[:, -1], (0, 1)).all():
        raise ValueError("an example in it is none that could be kept")
    if (model[SCALE] <= 0).any() or (model[VAR] < 0).any() or (model[SEEN] < 0).any():
        raise ValueError("a scale, a variance or a count in it cannot be")
    learned = memory.steps - 1
    if not learned.is_integer() or count != min(KEPT, learned) or (model[SEEN] > learned).any():
        raise ValueError("it has not counted what it learned from")
    return model, examples


@functools.cache
def _versions() -> dict[str, str]:
    try:
        return {"scikit-learn": metadata.version("scikit-learn")}
    except metadata.PackageNotFoundError:
        return {}
