"""The real program in processes of its own, the exchange in another, and the books of both laid side by side.

What a user's machine needs of it is `gambler_ai.proving`; here is what only tests do. Nothing waits for time to pass:
a process ends, a line arrives, or a deadline is missed and the test fails.
"""

import atexit
import json
import os
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from gambler_ai.proving import audit as proving
from gambler_ai.proving import exchange as far_end
from gambler_ai.proving import processes, world
from gambler_ai.proving.audit import GENESIS, ZERO, story
from gambler_ai.proving.books import connected
from gambler_ai.proving.exchange import FINAL, Fill
from gambler_ai.proving.processes import KILLED, PATIENCE_S, Ended, Surprise
from gambler_ai.proving.zygote import PROGRAM, ROOT, Zygote
from gambler_ai.storage.lease import LEASE_TTL

__all__ = [
    "FINAL", "FORKED", "GENESIS", "GIVES_UP_S", "KILLED", "PATIENCE_S", "PROGRAM", "ROOT", "SCRIPT", "ZERO", "Ended",
    "Exchange", "Fill", "Running", "Surprise", "World", "audit", "base_env", "connected", "entries", "story", "utc",
]  # fmt: skip

#: Wall seconds in which one that is refused has ended, however busy the machine: it waits for no lease to run out.
GIVES_UP_S = LEASE_TTL.total_seconds()
#: The program, forked where that will do.
FORKED = (*PROGRAM[:2], PROGRAM[2] + " ")
SCRIPT = (sys.executable, str(ROOT / "scripts/alpaca_paper_trading_recovery.py"))


def may_fork() -> bool:
    """Not where each process must measure itself, or is to be started for real (`scripts/nightly`)."""
    return not os.environ.get("TESTS_EXEC") and not any(n.startswith("COVERAGE_") for n in os.environ)


@cache
def zygote() -> Zygote:
    """The one of this test process."""
    made = Zygote()
    atexit.register(made.close)
    return made


class Running(processes.Running):
    """A process under way; `FORKED` is forked where that will do."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], cwd: Path) -> None:
        if tuple(command[: len(FORKED)]) == FORKED and may_fork():
            super().__init__(zygote().start(command[len(FORKED) :], env, cwd))
            return
        super().__init__(subprocess.Popen(
            command, env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ))  # fmt: skip


def start(args: Sequence[str], env: Mapping[str, str], cwd: Path) -> Running:
    return Running([*FORKED, *args], env, cwd)


class Exchange(far_end.Exchange):
    """`exchange serve`, paused: the market moves only when a runner (or the test) moves it."""

    def __init__(self, env: Mapping[str, str], folder: Path, *options: str, paused: bool = True) -> None:
        super().__init__(start, env, folder, *options, paused=paused)


class World(world.World):
    """A home of the program's own, and the exchange that its keys belong to (none: the embedded one)."""

    def __init__(self, folder: Path, base_env: Mapping[str, str], exchange: far_end.Exchange | None = None) -> None:
        super().__init__(folder, base_env, exchange, start)

    @property
    def database(self) -> Path:
        return self.home / "gambler.sqlite3"

    @property
    def url(self) -> str:
        """The Postgres database of this world; "" when it is the file."""
        return self.base_env.get("GAMBLER_DATABASE_URL", "")

    def start(self, *args: str, crash_at: str = "", program: Sequence[str] = FORKED, **env: str) -> Running:
        return Running([*program, *args], self.env(crash_at, **env), self.folder)

    def trade(self, *args: str, duration: float = 30, symbols: str = "AAPL,MSFT", **more: Any) -> Ended:
        """A fresh session, as fast as it goes."""
        return self.run("--symbols", symbols, "--duration", str(duration), "--speed", "0", *args, **more)

    def resume(self, *args: str, **more: Any) -> Ended:
        return self.run("--resume", *args, **more)

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Read the program's database, without the program. Numbers and instants as text, as SQLite keeps them."""
        return self.books.rows(query, *values)

    def write(self, statement: str, *values: Any) -> int:
        """Spoil the program's database while nobody uses it. Returns how many rows it hit."""
        return self.books.write(statement, *values)

    def content(self) -> dict[str, list[str]]:
        """Everything the database holds, by table."""
        tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
        if self.url:
            tables = "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'"
        names = sorted(row["name"] for row in self.rows(tables))
        return {name: sorted(map(str, self.rows(f"SELECT * FROM {name}"))) for name in names}

    def session(self) -> dict[str, Any]:
        """The one session there is."""
        return self.books.session()

    def show(self) -> dict[str, Any]:
        """The session as the program shows it."""
        document: dict[str, Any] = json.loads(self.run("sessions", "show", self.session()["id"], "--json").ok().out)
        return document

    def fills(self) -> list[Fill]:
        """The fills in our books, in the order in which they happened."""
        return self.books.fills()

    def positions(self) -> dict[str, Decimal]:
        return self.books.positions()

    def facts(self, kind: str = "") -> list[dict[str, Any]]:
        """The journal's payloads, oldest first; of one kind if one is named."""
        return self.books.facts(kind)


def audit(world: World, foreign: Collection[str] = ()) -> None:
    """Our books and the exchange's say the same, nothing was sent twice, and what is held is protected.

    ``foreign`` names symbols that somebody else trades in this account.
    """
    found = proving.audit(world.books, world.there, foreign)
    assert not found, "\n".join(violation.line for violation in found)


def entries(world: World) -> list[tuple[str, str]]:
    """Symbol and side of each entry the exchange took, oldest first."""
    return proving.entries(world.books, world.there)


def base_env(folder: Path, database_url: str = "") -> dict[str, str]:
    """An environment with nothing of the developer's in it; the database is a file, or the one named."""
    coverage = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    return world.bare_env(folder, database_url) | coverage


def utc(hour: int, minute: int, second: int = 0) -> datetime:
    """An instant of the exchange's day, given in New York time."""
    return datetime(2008, 10, 7, hour + 4, minute, second, tzinfo=UTC)
