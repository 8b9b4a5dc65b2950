"""What every verb works with: the settings, the database, the wall clock, and somebody who watches."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol

from gambler_ai.app.notices import Notice
from gambler_ai.app.venue import Venue
from gambler_ai.clock import Clock
from gambler_ai.config import Settings
from gambler_ai.core import events as ev
from gambler_ai.core.state import Plan, SessionState
from gambler_ai.storage.database import Database
from gambler_ai.storage.sessions import SessionInfo
from gambler_ai.trading.recovery import Restored
from gambler_ai.trading.reporter import Reporter


class Watcher(Reporter, Protocol):
    """A reporter that is also told how a session came to be."""

    def opening(self, venue: Venue, database: str, plan: Plan) -> None: ...

    def created(self, state: SessionState) -> None: ...

    def resumed(self, info: SessionInfo, restored: Restored) -> None: ...

    def noted(self, notice: Notice) -> None:
        """Something that a person should know before the session goes on."""
        ...

    def planned(self, found: Collection[ev.Discrepancy], facts: Collection[ev.Fact]) -> None:
        """What a reconciliation would come to: the differences it found, and everything it would write and send."""
        ...


@dataclass(frozen=True)
class Desk:
    """One invocation. ``given`` is what the command line itself said."""

    settings: Settings
    given: dict[str, Any]
    watcher: Watcher
    database: Database
    wall: Clock
