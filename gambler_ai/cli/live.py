"""The live view: a region at the bottom of the terminal; what has happened scrolls into its history above."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from rich.text import Text

from gambler_ai import __version__
from gambler_ai.app.notices import Notice
from gambler_ai.app.venue import Venue
from gambler_ai.cli import screen, words
from gambler_ai.cli.region import REFRESH_HZ, Region, RegionConsole
from gambler_ai.cli.view import Place, View, Watched, view_of
from gambler_ai.clock import Clock
from gambler_ai.core import events as ev
from gambler_ai.core.catchup import CatchUp
from gambler_ai.core.engine import Decisions
from gambler_ai.core.state import Plan, SessionState
from gambler_ai.errors import StorageError
from gambler_ai.storage.checkpoints import CheckpointInfo
from gambler_ai.storage.sessions import SessionInfo
from gambler_ai.trading.recovery import Restored

#: Up to this pace every tick takes a new picture: the next may be seconds away. Above it they follow so closely that
#: one picture a redraw will do.
SLOW = 60.0
#: Decisions that are kept to be shown.
LAST_MAX = 50


class LiveWatcher:
    """Shows a running session from `started` to `ended`. The state is only looked at when it is handed in."""

    def __init__(self, console: RegionConsole, stored: Callable[[str], int], wall: Clock) -> None:
        """``stored`` counts a session's checkpoints; ``wall`` says how long ago the last picture was taken."""
        self._console = console
        self._stored = stored
        self._wall = wall
        self._place = Place(__version__, "", "", 0.0)
        self._clock: Clock = wall
        self._watched = Watched()
        self._last: deque[tuple[datetime, words.Told]] = deque(maxlen=LAST_MAX)
        self._newest: words.Told | None = None
        self._repeats = 0
        self._view: View | None = None
        self._taken_s = 0.0
        self._began: tuple[float, datetime] = (0.0, wall.now())
        self._region: Region | None = None

    # -- before it is shown -----------------------------------------------------------------------

    def opening(self, venue: Venue, database: str, plan: Plan) -> None:
        self._place = Place(__version__, venue.note, database, venue.speed)
        self._clock = venue.clock

    def created(self, state: SessionState) -> None: ...

    def resumed(self, info: SessionInfo, restored: Restored) -> None:
        self._watched = replace(self._watched, checkpoint=restored.checkpoint)
        self._count(info.id)

    def noted(self, notice: Notice) -> None: ...

    def planned(self, found: Collection[ev.Discrepancy], facts: Collection[ev.Fact]) -> None: ...

    def caught_up(self, report: CatchUp) -> None: ...

    # -- while it is shown ------------------------------------------------------------------------

    def started(self, state: SessionState) -> None:
        self._began = (self._wall.monotonic(), self._clock.now())
        self._take_picture(state, self._clock.now())
        self._region = Region(self._console, self._draw)
        self._region.start()

    def took(self, decisions: Decisions, state: SessionState) -> None:
        if decisions.quotes is not None:
            self._watched = replace(self._watched, quotes=decisions.quotes)
        for fact in decisions.facts:
            if isinstance(fact, ev.RunStarted):
                self._watched = replace(self._watched, opens=None)
            if words.is_decision(fact):
                for told in words.told(fact, state):
                    self._keep(words.instant(fact), told)

    def _keep(self, at: datetime, told: words.Told) -> None:
        """The same again and again is one line with a count."""
        self._repeats = self._repeats + 1 if told == self._newest else 1
        if self._repeats > 1:
            self._last.pop()
        self._newest = told
        shown = told if self._repeats == 1 else told._replace(text=f"{told.text} ({self._repeats} times)")
        self._last.append((at, shown))

    def ticked(self, state: SessionState, at: datetime) -> None:
        if self._region is not None and (self._is_slow or self._wall.monotonic() - self._taken_s >= 1 / REFRESH_HZ):
            self._take_picture(state, at)

    def checkpointed(self, info: CheckpointInfo) -> None:
        self._watched = replace(self._watched, checkpoint=info, checkpoint_at=self._clock.now())

    def waiting(self, market: ev.MarketReport, state: SessionState) -> None:
        self._watched = replace(self._watched, opens=market.next_open, left_s=state.remaining_s)

    def stream(self, change: ev.StreamChanged) -> None:
        others = [s for s in self._watched.streams if s[0] != change.stream]
        streams = sorted([*others, (change.stream, change.up, change.reason)])
        self._watched = replace(self._watched, streams=tuple(streams))

    def stopping(self, reason: str) -> None:
        if self._view is not None:
            self._view = self._view.stopping(reason)

    # -- when it is over --------------------------------------------------------------------------

    def ended(self, state: SessionState, *, created: int, pruned: int) -> None:
        self._stop()

    def close(self, error: BaseException | None) -> None:
        """Take the region away; after an error its last picture stays, for it says what is held."""
        if self._region is not None:
            self._stop()
            if error is not None:
                for line in self._draw():
                    self._console.print(line)

    def _stop(self) -> None:
        if self._region is not None:
            region, self._region = self._region, None
            region.stop()

    def _take_picture(self, state: SessionState, at: datetime) -> None:
        self._taken_s = self._wall.monotonic()
        before, info = self._view, self._watched.checkpoint
        if info is not None and (before is None or before.watched.checkpoint != info):
            self._count(state.session_id)
        self._watched = replace(self._watched, last=tuple(self._last))
        self._view = view_of(state, at, self._watched)

    def _count(self, session_id: str) -> None:
        """Count the checkpoints; a database that cannot be read now is no reason to end a session."""
        with suppress(StorageError):
            self._watched = replace(self._watched, stored=self._stored(session_id))

    def _draw(self) -> list[Text]:
        assert self._view is not None
        size = self._console.size
        now = max(self._clock.now(), self._view.at) if self._is_slow else self._view.at
        return screen.draw(self._view, self._place, now, self._pace(now), size.width, size.height - 1)

    @property
    def _is_slow(self) -> bool:
        return 0 < self._place.pace <= SLOW

    def _pace(self, now: datetime) -> float:
        """Session seconds a wall second: what was asked for, or what it turned out to be."""
        if self._place.pace:
            return self._place.pace
        began_s, began = self._began
        wall_s = self._wall.monotonic() - began_s
        return (now - began).total_seconds() / wall_s if wall_s > 1 else 0.0
