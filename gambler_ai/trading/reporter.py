"""What a runner tells whoever watches. Telling never changes what is done."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from msgspec import Struct

from gambler_ai.core.catchup import CatchUp
from gambler_ai.core.engine import Decisions
from gambler_ai.core.events import MarketReport, StreamChanged
from gambler_ai.core.state import SessionState
from gambler_ai.storage.checkpoints import CheckpointInfo


class DatabaseLost(Struct, frozen=True):
    """The database cannot be used; nothing is decided or sent until it can."""

    reason: str
    hint: str


class DatabaseBack(Struct, frozen=True):
    """It can be used again, after so many wall seconds; what was under way is stored."""

    away_s: float


class Reporter(Protocol):
    """Called on the thread that owns the state, after each commit."""

    def started(self, state: SessionState) -> None:
        """The broker was asked, books and broker agree or are explained; trading begins."""
        ...

    def took(self, decisions: Decisions, state: SessionState) -> None:
        """Facts were committed."""
        ...

    def ticked(self, state: SessionState, at: datetime) -> None:
        """An input was dealt with, if it was only that time has passed; it is ``at`` of session time."""
        ...

    def checkpointed(self, info: CheckpointInfo) -> None: ...

    def caught_up(self, report: CatchUp) -> None:
        """A resume has settled what happened while nobody ran the session."""
        ...

    def waiting(self, market: MarketReport, state: SessionState) -> None:
        """The market is closed and is waited for."""
        ...

    def stream(self, change: StreamChanged) -> None:
        """A stream of the broker's came up or went down."""
        ...

    def noted(self, notice: DatabaseLost | DatabaseBack) -> None:
        """Something that no fact can say, since none can be stored: from inside a commit."""
        ...

    def stopping(self, reason: str) -> None: ...

    def ended(self, state: SessionState, *, created: int, pruned: int) -> None:
        """The last checkpoint is written and the account given back."""
        ...
