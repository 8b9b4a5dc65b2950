"""What learners see and are told: a signal as it was stored with its entry, advice on it, and what came of it.

Learners live in `learners/`; here are the words that the kernel has for them. A signal is stored with the intent and
stays with the position, so that what is learned from a closed trade is what was known when it was decided.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

#: The component of the strategy that chooses among others; it learns as the learners do.
CHOOSER = "chooser"


class Confidence(StrEnum):
    """What a confidence below the least does to an entry."""

    GATE = "gate"  # it is denied
    SCALE = "scale"  # it is made smaller, in proportion


class LearningRules(Struct, frozen=True, forbid_unknown_fields=True):
    """Which learners a session has, and what they may do.

    ``learners`` watch and learn. With ``min_confidence`` those that have shown that they beat their baselines, and
    those of ``use``, have a say in entries.
    """

    learners: tuple[str, ...] = ()
    use: tuple[str, ...] = ()
    min_confidence: Decimal | None = None
    confidence: Confidence = Confidence.GATE


class Signal(Struct, frozen=True, omit_defaults=True):
    """What was known when an entry was decided. ``features`` by name, those that could be reckoned; finite.

    ``scores`` is what each learner gave for it: how likely it wins, 0 to 1. ``window`` is the newest bars as a
    sequence model takes them (`learners/window.py`), "" where none does. ``context`` is the strategy's own.
    ``decided_at`` is session time; None where nobody scores, and in rows of older versions.
    """

    features: dict[str, float] = {}
    scores: dict[str, float] = {}
    window: bytes = b""
    context: dict[str, str] = {}
    decided_at: datetime | None = None

    def is_after(self, reset_at: datetime | None) -> bool:
        """Whether it was decided after a reset: what was said before that is not what a learner knows now."""
        return reset_at is None or self.decided_at is None or self.decided_at > reset_at


class Outcome(Struct, frozen=True):
    """What came of a signal. ``return_pct`` is of what was paid, by the fills; None where an exit has no price."""

    position_id: str
    symbol: str
    side: str
    entry_at: datetime
    exit_at: datetime
    pnl: Decimal | None
    return_pct: float | None
    signal: Signal

    @property
    def won(self) -> bool:
        """Whether it brought something."""
        return self.pnl is not None and self.pnl > 0


class Advice(Struct, frozen=True):
    """What learners make of a proposal. ``share`` is the part of its size that is left to it; "" denies nothing.

    ``failed``: it is denied since one of them could not be asked.
    """

    signal: Signal
    share: Decimal = Decimal(1)
    denial: str = ""
    failed: bool = False
