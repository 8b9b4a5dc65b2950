"""What is due, on the session's own grid: a resume keeps the beat, and what was missed is not made up for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

#: Session time between two looks for history to compress, between two pieces of it, and pieces at the end of a run.
ROLL_UP, NEXT_PIECE, LAST_PIECES = timedelta(minutes=30), timedelta(seconds=1), 10


class Agenda:
    """Names with an interval each, counted from one origin."""

    def __init__(self, origin: datetime, every: Mapping[str, timedelta], now: datetime) -> None:
        self._origin = origin
        self._every = dict(every)
        self._due = {name: self._next(name, now) for name in every}

    def take(self, name: str, now: datetime) -> bool:
        """Whether ``name`` is due; if so its next turn is set."""
        if name not in self._due or now < self._due[name]:
            return False
        self._due[name] = self._next(name, now)
        return True

    def by(self, name: str, at: datetime) -> None:
        """``name`` is due at ``at``, once."""
        if name in self._due:
            self._due[name] = at

    def sooner(self, name: str, at: datetime) -> None:
        """``name`` is due at ``at`` at the latest."""
        if name in self._due:
            self._due[name] = min(at, self._due[name])

    @property
    def next(self) -> datetime:
        """When the first of them is due."""
        return min(self._due.values())

    def _next(self, name: str, after: datetime) -> datetime:
        """The first instant after ``after`` on the grid."""
        every = self._every[name]
        return self._origin + ((after - self._origin) // every + 1) * every


def passed_a_multiple(of: int | None, before: int, now: int) -> bool:
    """Whether counting from ``before`` to ``now`` came to a multiple of ``of``; never for None."""
    return of is not None and before // of != now // of
