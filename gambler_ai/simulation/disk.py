"""The database's driver with a mood: commits that fail before or after they are durable, a database that is away for a
while, and a process that is dead.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from gambler_ai.simulation.endings import Crash

DURABLE, AWAY = "durable", "away"
#: What SQLite says and its code, by kind; that of ``durable`` is raised after the commit.
MESSAGES = {
    "locked": ("database is locked", sqlite3.SQLITE_BUSY),
    "full": ("database or disk is full", sqlite3.SQLITE_FULL),
    "io": ("disk I/O error", sqlite3.SQLITE_IOERR),
    DURABLE: ("disk I/O error", sqlite3.SQLITE_IOERR),
    AWAY: ("unable to open database file", sqlite3.SQLITE_CANTOPEN),
}


class DiskFault(Struct, frozen=True):
    """From the ``commit``-th commit of a process on, ``times`` of them fail as ``kind`` says.

    ``away``: from that commit on nothing works for ``away_s`` wall seconds.
    """

    kind: str
    commit: int
    times: int = 1
    away_s: float = 0.0


class Disk:
    """What all connections of one process share. Without a fault they only count."""

    def __init__(self, fault: DiskFault | None, note: Callable[[str], None], monotonic: Callable[[], float]) -> None:
        self.dead = False
        self.injected = 0
        self.longest_away_s = 0.0
        self._fault = fault
        self._note = note
        self._monotonic = monotonic
        self._back_s = -math.inf
        self._commits = 0

    def connect(self, *args: Any, **options: Any) -> sqlite3.Connection:
        """Make a connection, as `sqlite3.connect` asks its factory to."""
        self.look()
        return _Connection(self, *args, **options)

    def calm(self) -> None:
        """Nothing fails any more."""
        self._fault = None
        self._back_s = -math.inf

    def look(self) -> None:
        """Pass if the database can be reached.

        Raises:
            Crash: the process is dead.
            sqlite3.OperationalError: it is away.
        """
        if self.dead:
            raise Crash
        if self._monotonic() < self._back_s:
            raise failure(AWAY)

    def committing(self) -> str:
        """What becomes of the commit that begins now: a kind of fault, or "". Raises as `look` does."""
        self.look()
        self._commits += 1
        fault = self._fault
        if fault is None or not fault.commit <= self._commits < fault.commit + fault.times:
            return ""
        self.injected += 1
        self._note(
            f"database: commit {self._commits} fails ({fault.kind}{f' for {fault.away_s:g} s' * (fault.away_s > 0)})"
        )
        if fault.kind == AWAY:
            self.longest_away_s = fault.away_s
            self._back_s = self._monotonic() + fault.away_s
        return fault.kind


def failure(kind: str) -> sqlite3.OperationalError:
    """What the driver raises."""
    text, code = MESSAGES[kind]
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


class _Connection(sqlite3.Connection):
    def __init__(self, disk: Disk, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._disk = disk

    def commit(self) -> None:
        kind = self._disk.committing() if self.in_transaction else ""
        if not kind or kind == DURABLE:
            super().commit()
        if kind:
            raise failure(kind)

    def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
        self._disk.look()
        return super().cursor(factory)
