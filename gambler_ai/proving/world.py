"""A home of the program's own, the exchange that its keys belong to, and the processes that trade there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gambler_ai.config import inherited
from gambler_ai.proving.books import SQLITE, Books
from gambler_ai.proving.exchange import Exchange
from gambler_ai.proving.processes import Ended, Running, Start, Surprise
from gambler_ai.proving.zygote import ROOT


@dataclass
class World:
    """``exchange`` None: the embedded one. ``outputs`` keeps what each process said."""

    folder: Path
    base_env: Mapping[str, str]
    exchange: Exchange | None
    starter: Start
    outputs: list[Ended] = field(default_factory=list)

    @property
    def home(self) -> Path:
        """The program's state directory."""
        return Path(self.base_env["GAMBLER_HOME"])

    @property
    def database_url(self) -> str:
        """The program's database, whatever it is."""
        return self.base_env.get("GAMBLER_DATABASE_URL") or f"{SQLITE}{self.home / 'gambler.sqlite3'}"

    @property
    def books(self) -> Books:
        """Our side's books."""
        return Books(self.database_url)

    @property
    def there(self) -> Exchange:
        """The exchange.

        Raises:
            Surprise: there is none.
        """
        if self.exchange is None:
            raise Surprise("this world has no exchange of its own")
        return self.exchange

    def env(self, crash_at: str = "", **more: str) -> dict[str, str]:
        """The environment of a process of this world; ``crash_at`` names where it dies."""
        keys = self.exchange.env if self.exchange is not None else {}
        crash = {"GAMBLER_CRASH_AT": crash_at} if crash_at else {}
        return {**self.base_env, **keys, **crash, **more}

    def start(self, *args: str, crash_at: str = "", **env: str) -> Running:
        """The program with ``args``, under way."""
        return self.starter(args, self.env(crash_at, **env), self.folder)

    def run(self, *args: str, crash_at: str = "", **more: Any) -> Ended:
        """The same to its end."""
        ended = self.start(*args, crash_at=crash_at, **more).end()
        self.outputs.append(ended)
        return ended


def bare_env(folder: Path, database_url: str = "") -> dict[str, str]:
    """An environment with nothing of the user's in it; the database is a file, or the one named."""
    named = {"GAMBLER_DATABASE_URL": database_url} if database_url else {}
    place = {"HOME": str(folder), "GAMBLER_HOME": str(folder / "gambler"), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return inherited("PATH", "LANG", "TMPDIR") | named | place
