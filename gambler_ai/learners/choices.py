"""What the chooser remembers: for each regime and strategy, what a trade of it has brought. A Q-table without a next
state, since what was chosen does not change the regime.

A reward is between 0 and 1: the return of a round trip in percent, cut off at `REWARD_PCT` to both sides, with 0.5 for
nothing won or lost. A new reward moves a value by a step of 1/(n + 2) after n rewards, so that it is their mean with
one more of 0.5 before them; the step never falls below the learning rate, so that what was long ago is forgotten
(R. Sutton and A. Barto, Reinforcement Learning, 2018, chapter 2).

The yardstick is the squared error of these values as predictions of the reward. Two rivals predict each reward too, by
the same rule of learning: one value for each strategy, whatever the regime, and one value for all. So what tells them
apart is what they look at. All three predictions are stored with the order, six decimals each, and are held against the
outcome before anything is learned from it.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from gambler_ai.core.components import StructComponent
from gambler_ai.core.events import Fact, LearnerReset, LearnerTaught, OutcomeKnown
from gambler_ai.core.learning import CHOOSER, Outcome
from gambler_ai.learners.base import Description, Grid, Weight
from gambler_ai.learners.regimes import REGIMES
from gambler_ai.learners.yardstick import Contest, Yardstick

#: The return, in percent, that is a full reward; and as a loss, none.
REWARD_PCT = 4.0
#: The reward of a trade that brought nothing.
NEUTRAL = 0.5
#: Decimal places of a prediction as it is stored and judged.
PLACES = 6
#: The words of an order's context: who proposed it, in which regime, and what was predicted.
STRATEGY, REGIME, PREDICTED = "strategy", "regime", "predicted"
#: What the values have to beat.
EACH, ALL = "one value for each strategy", "one value for all"


class Cell(Struct, frozen=True, array_like=True):
    """A value between 0 and 1, and how many rewards are in it."""

    value: Annotated[float, Meta(ge=0, le=1)] = NEUTRAL
    count: Annotated[int, Meta(ge=0)] = 0

    def after(self, reward: float, rate: float) -> Cell:
        """With one more reward, in steps of at least ``rate``."""
        step = max(rate, 1 / (self.count + 2))
        return Cell(min(1.0, max(0.0, self.value + step * (reward - self.value))), self.count + 1)


class ChooserMemory(Struct, frozen=True):
    """Regime -> strategy -> what its trades brought; the rivals' values; and how well all of them predicted.

    ``taught`` names what was taken up of another bot, "" if nothing was; ``reset_at`` is when it last began anew.
    """

    table: dict[str, dict[str, Cell]] = {}
    each: dict[str, Cell] = {}
    all: Cell = Cell()
    learned: Annotated[int, Meta(ge=0)] = 0
    contest: Contest = Contest()
    taught: str = ""
    reset_at: datetime | None = None

    def cell(self, regime: str, strategy: str) -> Cell:
        """What is known of a strategy in a regime; neutral where it was never tried."""
        return self.table.get(regime, {}).get(strategy, Cell())

    def predicted(self, regime: str, strategy: str) -> str:
        """What the table and its two rivals expect, as it is stored with an order."""
        found = (self.cell(regime, strategy), self.each.get(strategy, Cell()), self.all)
        return " ".join(f"{cell.value:.{PLACES}f}" for cell in found)


def reward(return_pct: float) -> float:
    """A return in percent as a reward, 0 to 1."""
    return (max(-REWARD_PCT, min(REWARD_PCT, return_pct)) / REWARD_PCT + 1) / 2


class Choices(StructComponent[ChooserMemory]):
    """The chooser's memory as a component, and as people see it."""

    what = "what each strategy has brought in each regime"

    def __init__(self, strategies: tuple[str, ...], epsilon: float, learning_rate: float, seed: int) -> None:
        """``strategies`` by name; the three numbers are the chooser's parameters."""
        super().__init__(CHOOSER, ChooserMemory(), lambda memory, fact: _evolved(memory, fact, learning_rate))
        self.strategies = strategies
        self._facts = {"epsilon": f"{epsilon:g}", "learning rate": f"{learning_rate:g}", "seed": f"{seed}"}

    @property
    def learned(self) -> int:
        """Outcomes it has learned from."""
        return self.state.learned

    @property
    def taught(self) -> str:
        """What it has taken up of another bot."""
        return self.state.taught

    @property
    def beats(self) -> bool:
        """Whether the values have shown that they predict better than their rivals."""
        return self.state.contest.beats

    def describe(self) -> Description:
        """It as people see it."""
        memory = self.state
        heard = "the best in its regime, but for epsilon" if self.beats else "by lot, unless --use-learner insists"
        mean = {name: memory.each.get(name, Cell()) for name in self._columns()}
        weights = tuple(Weight(name, cell.value, _trades(cell.count)) for name, cell in mean.items())
        return Description(
            CHOOSER, self.what, memory.learned, self.beats, memory.contest.says, Yardstick(contest=memory.contest),
            {"chooses": heard, **self._facts}, tuple(sorted(weights, key=lambda w: (-w.value, w.name))), self._grid(),
        )  # fmt: skip

    def _grid(self) -> Grid:
        table, columns = self.state.table, self._columns()
        rows = (*REGIMES, *sorted(table.keys() - set(REGIMES)))
        cells = [[table.get(row, {}).get(name) for name in columns] for row in rows]
        return Grid(
            rows, columns, tuple(tuple(cell.value if cell else None for cell in line) for line in cells),
            tuple(tuple(cell.count if cell else 0 for cell in line) for line in cells),
        )  # fmt: skip

    def _columns(self) -> tuple[str, ...]:
        """Those that are chosen among, then what else was once."""
        known = {name for row in self.state.table.values() for name in row} | self.state.each.keys()
        return (*self.strategies, *sorted(known - set(self.strategies)))


def _trades(count: int) -> str:
    return f"mean reward of {count:,} trade{'' if count == 1 else 's'}"


def _evolved(memory: ChooserMemory, fact: Fact, rate: float) -> ChooserMemory:
    if isinstance(fact, OutcomeKnown) and fact.outcome.return_pct is not None:
        return _learned(memory, fact.outcome, reward(fact.outcome.return_pct), rate)
    if isinstance(fact, LearnerReset) and fact.name == CHOOSER:
        return ChooserMemory(taught=memory.taught, reset_at=fact.at)
    if isinstance(fact, LearnerTaught) and fact.name == CHOOSER and not memory.learned:
        table = {regime: {name: Cell(value) for name, value in row.items()} for regime, row in fact.values.items()}
        return ChooserMemory(table=table, taught=fact.source, reset_at=memory.reset_at)
    return memory


def _learned(memory: ChooserMemory, outcome: Outcome, got: float, rate: float) -> ChooserMemory:
    """Judged by what was said before, then learned from."""
    words = outcome.signal.context
    strategy, regime = words.get(STRATEGY), words.get(REGIME)
    if strategy is None or regime is None:
        return memory
    said = words.get(PREDICTED, "") if outcome.signal.is_after(memory.reset_at) else ""
    row = memory.table.get(regime, {})
    return replace(
        memory, table=memory.table | {regime: row | {strategy: row.get(strategy, Cell()).after(got, rate)}},
        each=memory.each | {strategy: memory.each.get(strategy, Cell()).after(got, rate)},
        all=memory.all.after(got, rate), learned=memory.learned + 1,
        contest=_judged(memory.contest, said, got),
    )  # fmt: skip


def _judged(contest: Contest, said: str, got: float) -> Contest:
    """An order that was chosen without a memory, or by one that was reset since, has no predictions."""
    try:
        table, each, everything = ((float(word) - got) ** 2 for word in said.split())
    except ValueError:
        return contest
    losses = (table, each, everything)
    if not all(math.isfinite(loss) and loss <= 1 for loss in losses):
        return contest
    return contest.after(table, {EACH: each, ALL: everything})
