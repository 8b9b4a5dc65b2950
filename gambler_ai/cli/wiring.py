"""An App for a command: its settings read, its output a console, its questions asked where somebody can answer."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gambler_ai.errors import ConfigError

#: A command of ours in a text; "a version of gambler-ai" is none.
_COMMAND = re.compile(r"(?<!of )\bgambler-ai(?= )")
#: How the program was called, when it was not by its own name.
CALLED_AS = ""
#: Whether `run` was asked for objects, and whether the error that ends the program is among them already.
AS_JSON = False
ERROR_TOLD = False
#: Given on the command line, but nothing a session could disagree with.
NOT_OF_A_PLAN = frozenset({"database_url", "log_file"})


def make_app(given: dict[str, Any], config: Path | None = None, *, to_stderr: bool = False) -> Any:
    """An App that tells in lines; ``given`` is what the command line said."""
    from gambler_ai.app.verbs import App
    from gambler_ai.cli.lines import Detail, LineWatcher
    from gambler_ai.cli.render import console
    from gambler_ai.config import load
    from gambler_ai.storage import views

    settings = load(given, config)
    watcher = LineWatcher(
        console(stderr=to_stderr), lambda session_id: _read(app, views.closed_trades, session_id),
        resume_command=_resume_command(given, config, settings.program), detail=Detail.FULL,
    )  # fmt: skip
    app = App(settings, _of_the_plan(given), watcher, None)
    tell_upgrade(app.upgraded)
    return app


@contextmanager
def watched_app(
    given: dict[str, Any], config: Path | None, *, plain: bool, as_json: bool, quiet: bool,
    confirm: Callable[[Any, Any], bool],
) -> Iterator[Any]:  # fmt: skip
    """An App that is watched as the command line and the settings say.

    ``confirm`` is asked of a database and a session in it, and only on a terminal.

    Raises:
        ConfigError: what was asked for excludes itself, or the log file cannot be written.
    """
    global ERROR_TOLD  # noqa: PLW0603 (for main, which has nothing else in common with us)
    from gambler_ai.app.verbs import App
    from gambler_ai.cli.watching import Books, Output, watching
    from gambler_ai.config import load
    from gambler_ai.storage import checkpoints, views

    output = Output(plain=plain, as_json=as_json, quiet=quiet)
    output.check()
    settings = load(given, config)
    books = Books(
        closed=lambda session_id: _read(app, views.closed_trades, session_id),
        stored=lambda session_id: _read(app, checkpoints.stored, session_id)[0],
    )
    with watching(settings, output, books, _resume_command(given, config, settings.program)) as watcher:
        ERROR_TOLD = as_json  # from here on, by the watcher
        asks = is_interactive() and not as_json
        app = App(
            settings, _of_the_plan(given), watcher, (lambda info: confirm(app.database, info)) if asks else None
        )  # fmt: skip
        tell_upgrade(app.upgraded)
        yield app


def _of_the_plan(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in NOT_OF_A_PLAN}


def _read(app: Any, query: Callable[[Any, str], Any], session_id: str) -> Any:
    with app.database.read() as db:
        return query(db, session_id)


def open_database(url: str | None, config: Path | None = None) -> Any:
    """The database of the settings, or the one at ``url``, to be looked into.

    Raises:
        SchemaMismatch: its schema is not this program's; a look upgrades nothing.
    """
    from gambler_ai.config import load
    from gambler_ai.storage.database import Database

    database = Database(load({} if url is None else {"database_url": url}, config).database)
    if database.revision() is None:
        database.prepare()
    else:
        database.check()
    return database


def tell_upgrade(said: str) -> None:
    """What was done to the schema; not on standard output: that may be a program's."""
    from gambler_ai.cli.render import console

    if said:
        console(stderr=True).print(said)


def program() -> str:
    """How the program was called: a checkout has scripts/run, and no gambler-ai."""
    from gambler_ai.config import load

    return CALLED_AS or load({}).program


def as_called(text: str) -> str:
    """What is said to a person, with its commands as they can be pasted here."""
    if not _COMMAND.search(text):
        return text
    try:
        called = program()
    except ConfigError:  # which may be the very error whose hint this is
        return text
    return _COMMAND.sub(lambda _found: called, text)


def is_interactive() -> bool:
    """Whether a person can answer."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def _resume_command(given: dict[str, Any], config: Path | None, program: str) -> str:
    """The command that resumes, with the options that say where the state is; an id goes behind it."""
    parts = ["gambler-ai"]
    if "database_url" in given:
        from gambler_ai.storage.database import Database

        parts += ["--database-url", Database.shown(given["database_url"])]
    if config is not None:
        parts += ["--config", str(config)]
    called = shlex.join(parts).replace("gambler-ai", CALLED_AS or program, 1)
    return f"{called} --resume-session"
