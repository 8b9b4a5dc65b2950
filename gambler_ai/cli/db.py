"""`db`: the database itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from gambler_ai.cli.common import Config, DatabaseUrl, Json, print_json, reading

app = typer.Typer(help="The database and its schema.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """The database and its schema."""


@app.command()
def upgrade(database_url: DatabaseUrl = None, config: Config = None, as_json: Json = False) -> None:
    """Bring the schema to the one this program needs; a copy is kept."""
    database = _database(database_url, config)
    changed = database.upgrade()
    database.check()
    _tell(database, changed, as_json=as_json)


@app.command()
def downgrade(
    to: Annotated[str, typer.Option("--to", help="A revision, or base: nothing left.", metavar="REVISION|base")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    database_url: DatabaseUrl = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Take the schema back to an older one; what that has no room for is only in the copy that is kept."""
    from gambler_ai.errors import ConfigError

    database = _database(database_url, config)
    if not yes:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise ConfigError("a downgrade deletes what the older schema has no room for", hint="say --yes to do it")
        if not typer.confirm(f"Take {database.name} back to schema {to}? A copy is kept.", default=False):
            typer.echo("Nothing was changed.")
            raise typer.Exit(1)
    _tell(database, database.downgrade(to), as_json=as_json)


@app.command()
def current(database_url: DatabaseUrl = None, config: Config = None, as_json: Json = False) -> None:
    """Which schema the database has, and which one this program needs."""
    from gambler_ai.storage.migrate import revisions

    database = _database(database_url, config)
    revision, known = database.revision(), revisions()
    state = "current" if revision == known[-1] else "older" if revision in known else "unknown"
    if revision is None:
        state = "empty"
    if as_json:
        print_json({"database": database.name, "revision": revision, "head": known[-1], "state": state})
        return
    typer.echo(f"{database.name}: schema {revision or 'none'} ({state}), this program needs {known[-1]}")


def _tell(database: Any, changed: Any, *, as_json: bool) -> None:
    revision = database.revision()
    if as_json:
        before, copy = (changed.before or None, changed.copy or None) if changed is not None else (revision, None)
        print_json({"database": database.name, "revision": revision, "before": before, "copy": copy})
    elif changed is None:
        typer.echo(f"{database.name}: schema {revision or 'none'} already")
    else:
        typer.echo(changed.line(database.name))


def _database(url: str | None, config: Path | None) -> Any:
    from gambler_ai.storage.database import Database

    return Database(reading(url, config).settings.database)
