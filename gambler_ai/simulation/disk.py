"""The database's driver with a mood: commits that fail before or after they are durable, and a process that is dead."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from gambler_ai.simulation.violations import Crash

#: What SQLite says, by kind; the last one is raised after the commit.
MESSAGES = {
    "locked": "database is locked",
    "full": "database or disk is full",
    "io": "disk I/O error",
    "durable": "disk I/O error",
}


class DiskFault(Struct, frozen=True):
    """From the ``commit``-th commit of a process on, ``times`` of them fail as ``kind`` says."""

    kind: str
    commit: int
    times: int


class Disk:
    """What all connections of one process share. Without a fault they only count."""

    def __init__(self, fault: DiskFault | None, note: Callable[[str], None]) -> None:
        self.dead = False
        self.injected = 0
        self._fault = fault
        self._note = note
        self._commits = 0

    def connect(self, *args: Any, **options: Any) -> sqlite3.Connection:
        """Make a connection, as `sqlite3.connect` asks its factory to."""
        return _Connection(self, *args, **options)

    def calm(self) -> None:
        """Nothing fails any more."""
        self._fault = None

    def committing(self) -> str:
        """What becomes of the commit that begins now: a kind of fault, or ""."""
        if self.dead:
            raise Crash
        self._commits += 1
        fault = self._fault
        if fault is None or not fault.commit <= self._commits < fault.commit + fault.times:
            return ""
        self.injected += 1
        self._note(f"database: commit {self._commits} fails ({fault.kind})")
        return fault.kind


class _Connection(sqlite3.Connection):
    def __init__(self, disk: Disk, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._disk = disk

    def commit(self) -> None:
        kind = self._disk.committing() if self.in_transaction else ""
        if not kind or kind == "durable":
            super().commit()
        if kind:
            raise sqlite3.OperationalError(MESSAGES[kind])

    def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
        if self._disk.dead:
            raise Crash
        return super().cursor(factory)
