"""What every learner is: a memory that outcomes change, a score before, and a description for people.

An outcome is first held against what was said before it was known, then learned from. Both happen in `apply`, so that a
replay learns the same once more.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

import msgspec
from msgspec import Struct

from gambler_ai.core.components import MSGPACK, check_schema
from gambler_ai.core.events import Fact, LearnerReset, LearnerTaught, OutcomeKnown
from gambler_ai.core.learning import Outcome, Signal
from gambler_ai.core.snapshot import holds_no_number
from gambler_ai.core.text import one_line
from gambler_ai.errors import CheckpointCorrupt
from gambler_ai.learners.yardstick import Yardstick

S = TypeVar("S", bound=Struct)


class Weight(Struct, frozen=True):
    """Something with a name and how much it counts; ``what`` is what it is."""

    name: str
    value: float
    what: str = ""


class Grid(Struct, frozen=True):
    """Values by row and column, each with how often it was tried; None where it never was."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    counts: tuple[tuple[int, ...], ...]


class Description(Struct, frozen=True):
    """A learner as people see it. ``learned`` counts outcomes it has learned from; ``facts`` are lines of its own."""

    name: str
    what: str
    learned: int
    beats: bool
    says: str
    yardstick: Yardstick
    facts: dict[str, str] = {}
    weights: tuple[Weight, ...] = ()
    grid: Grid | None = None


class _Kept(Struct, frozen=True, array_like=True):
    """What is stored of any learner; ``memory`` is its own. ``reset_at`` is when a person last had it begin anew,
    and is not there where nobody did."""

    name: str
    learned: int
    yardstick: Yardstick
    memory: msgspec.Raw
    reset_at: datetime | None = None


class Learner(ABC, Generic[S]):
    """One that predicts whether an entry wins. A class says its name, what it is, and what its memory looks like."""

    name: ClassVar[str]
    #: What it is, in a line.
    what: ClassVar[str]
    #: The frozen Struct that `pack` makes and `unpack` takes.
    memory: ClassVar[type[Any]]
    schema: int = 1
    format: str = MSGPACK
    #: Whether it looks at a signal's window of bars.
    sees_window: ClassVar[bool] = False
    #: What it cannot learn without: the module, its package, and our extra that brings it; None if nothing.
    needs: ClassVar[tuple[str, str, str] | None] = None

    def __init__(self) -> None:
        self.revision = 0
        self.learned = 0
        self.yardstick = Yardstick()
        self._reset_at: datetime | None = None
        self._begin()

    # -- what a learner says for itself -----------------------------------------------------------

    @property
    def libraries(self) -> Mapping[str, str]:
        """Name -> version of what its numbers depend on; read without importing them."""
        return {"msgspec": msgspec.__version__}

    @abstractmethod
    def score(self, signal: Signal) -> float | None:
        """How likely an entry with this signal wins, 0 to 1; None while it knows too little to say."""

    @abstractmethod
    def learn(self, outcome: Outcome) -> bool:
        """Learn from one outcome, whose exit has a price. Whether its signal held what this learner needs."""

    @abstractmethod
    def pack(self) -> S:
        """What it has learned; the same knowledge packs the same."""

    @abstractmethod
    def unpack(self, memory: S) -> None:
        """Know what was packed, and nothing else.

        Raises:
            ValueError: that is no memory of this learner.
        """

    @abstractmethod
    def _begin(self) -> None:
        """Know nothing."""

    @property
    def taught(self) -> str:
        """What it has taken up of another bot (`LearnerTaught.source`), "" if nothing."""
        return ""

    def take_up(self, fact: LearnerTaught) -> None:
        """Begin with what another bot had learned. It is not asked of one that has learned something."""

    def prepare(self) -> None:
        """Import and build now what the first score would need."""

    def facts(self) -> dict[str, str]:
        """Lines about it: what -> its value."""
        return {}

    def weights(self) -> tuple[Weight, ...]:
        """How much each thing counts for it, the most important first."""
        return ()

    # -- what all of them are ---------------------------------------------------------------------

    @property
    def beats(self) -> bool:
        """Whether it has shown that it is better than its baselines."""
        return self.yardstick.contest.beats

    def apply(self, fact: Fact) -> None:
        """Judge, then learn. An exit without a price teaches nothing."""
        if isinstance(fact, OutcomeKnown) and fact.outcome.return_pct is not None:
            self._taught(fact.outcome, fact.outcome.return_pct)
        elif isinstance(fact, LearnerReset) and fact.name == self.name:
            self.learned, self.yardstick, self._reset_at = 0, Yardstick(), fact.at
            self._begin()
            self.revision += 1
        elif isinstance(fact, LearnerTaught) and fact.name == self.name and not self.learned:
            self.take_up(fact)
            self.revision += 1

    def _taught(self, outcome: Outcome, return_pct: float) -> None:
        predicted = outcome.signal.scores.get(self.name)
        if predicted is not None and outcome.signal.is_after(self._reset_at):
            self.yardstick = self.yardstick.after(predicted, outcome.won, return_pct)
            self.revision += 1
        if self.learn(outcome):
            self.learned += 1
            self.revision += 1

    def dump(self) -> bytes:
        """All that is known, with its name."""
        memory = msgspec.Raw(_encoder.encode(self.pack()))
        reset = () if self._reset_at is None else (self._reset_at,)
        return _encoder.encode((self.name, self.learned, self.yardstick, memory, *reset))

    def load(self, payload: bytes, schema: int) -> None:
        """Take what was dumped.

        Raises:
            CheckpointCorrupt: that is no memory of this learner; nothing was taken.
            SchemaMismatch: another version wrote it, which this one does not read.
        """
        check_schema(self.name, schema, self.schema, self.schema)
        try:
            kept = _decoder.decode(payload)
            if kept.name != self.name:
                raise CheckpointCorrupt(f"it is of another component ({kept.name!r:.60})")
            memory = msgspec.msgpack.decode(kept.memory, type=self.memory)
            if holds_no_number(kept.yardstick) or holds_no_number(memory):
                raise CheckpointCorrupt("it holds something that is no number where one belongs")
            self.unpack(memory)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
            raise CheckpointCorrupt(f"it does not decode: {one_line(str(error), 200)}") from error
        self.learned, self.yardstick, self._reset_at = kept.learned, kept.yardstick, kept.reset_at
        self.revision += 1

    def describe(self) -> Description:
        """It as people see it."""
        return Description(
            self.name,
            self.what,
            self.learned,
            self.beats,
            self.yardstick.contest.says,
            self.yardstick,
            self.facts(),
            self.weights(),
        )


_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder = msgspec.msgpack.Decoder(_Kept)
