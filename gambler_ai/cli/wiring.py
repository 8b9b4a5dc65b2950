"""An App for a command: its settings read, its output a console, its questions asked where somebody can answer."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: How the program was called, when it was not by its own name.
CALLED_AS = ""


def make_app(
    given: dict[str, Any], config: Path | None = None, *, quiet: bool = False, to_stderr: bool = False,
    confirm: Callable[[Any], bool] | None = None,
) -> Any:  # fmt: skip
    """``given`` is what the command line said; ``confirm`` is asked only on a terminal."""
    from gambler_ai.app.verbs import App
    from gambler_ai.cli.render import console
    from gambler_ai.cli.watcher import ConsoleWatcher
    from gambler_ai.config import load
    from gambler_ai.core.model import ClosedTrade
    from gambler_ai.storage import views

    settings = load(given, config)
    called = _program(given, config).replace("gambler-ai", CALLED_AS or settings.program, 1)

    def closed(session_id: str) -> list[ClosedTrade]:
        with app.database.read() as db:
            return views.closed_trades(db, session_id)

    watcher = ConsoleWatcher(
        console(stderr=to_stderr), closed, resume_command=f"{called} --resume-session", quiet=quiet
    )
    ask = confirm if is_interactive() else None
    app = App(settings, {k: v for k, v in given.items() if k != "database_url"}, watcher, ask)
    _tell_upgrade(app.upgraded)
    return app


def open_database(url: str | None, config: Path | None = None) -> Any:
    """The database of the settings, or the one at ``url``, with our schema."""
    from gambler_ai.config import load
    from gambler_ai.storage.database import Database

    database = Database(load({} if url is None else {"database_url": url}, config).database)
    _tell_upgrade(database.prepare())
    return database


def _tell_upgrade(said: str) -> None:
    """Not on standard output: that may be a program's."""
    from gambler_ai.cli.render import console

    if said:
        console(stderr=True).print(said)


def is_interactive() -> bool:
    """Whether a person can answer."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def _program(given: dict[str, Any], config: Path | None) -> str:
    """The command with the options that say where the state is."""
    parts = ["gambler-ai"]
    if "database_url" in given:
        from gambler_ai.storage.database import Database

        parts += ["--database-url", Database.shown(given["database_url"])]
    if config is not None:
        parts += ["--config", str(config)]
    return shlex.join(parts)
