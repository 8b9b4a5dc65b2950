"""Several watchers as one: each is told the same, in the order in which they were given."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from gambler_ai.app.desk import Watcher
from gambler_ai.app.notices import Notice
from gambler_ai.app.venue import Venue
from gambler_ai.core.catchup import CatchUp
from gambler_ai.core.engine import Decisions
from gambler_ai.core.events import Discrepancy, Fact, MarketReport, StreamChanged
from gambler_ai.core.state import Plan, SessionState
from gambler_ai.storage.checkpoints import CheckpointInfo
from gambler_ai.storage.sessions import SessionInfo
from gambler_ai.trading.recovery import Restored


class Watchers:
    """A watcher that passes on what it is told."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._all = tuple(watchers)

    def opening(self, venue: Venue, database: str, plan: Plan) -> None:
        for each in self._all:
            each.opening(venue, database, plan)

    def created(self, state: SessionState) -> None:
        for each in self._all:
            each.created(state)

    def resumed(self, info: SessionInfo, restored: Restored) -> None:
        for each in self._all:
            each.resumed(info, restored)

    def noted(self, notice: Notice) -> None:
        for each in self._all:
            each.noted(notice)

    def planned(self, found: Collection[Discrepancy], facts: Collection[Fact]) -> None:
        for each in self._all:
            each.planned(found, facts)

    def started(self, state: SessionState) -> None:
        for each in self._all:
            each.started(state)

    def took(self, decisions: Decisions, state: SessionState) -> None:
        for each in self._all:
            each.took(decisions, state)

    def ticked(self, state: SessionState, at: datetime) -> None:
        for each in self._all:
            each.ticked(state, at)

    def checkpointed(self, info: CheckpointInfo) -> None:
        for each in self._all:
            each.checkpointed(info)

    def caught_up(self, report: CatchUp) -> None:
        for each in self._all:
            each.caught_up(report)

    def waiting(self, market: MarketReport, state: SessionState) -> None:
        for each in self._all:
            each.waiting(market, state)

    def stream(self, change: StreamChanged) -> None:
        for each in self._all:
            each.stream(change)

    def stopping(self, reason: str) -> None:
        for each in self._all:
            each.stopping(reason)

    def ended(self, state: SessionState, *, created: int, pruned: int) -> None:
        for each in self._all:
            each.ended(state, created=created, pruned=pruned)
