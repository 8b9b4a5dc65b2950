"""`db`: the database itself."""

from __future__ import annotations

import typer

from gambler_ai.cli.common import Config, DatabaseUrl, reading

app = typer.Typer(help="The database.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """The database."""


@app.command()
def upgrade(database_url: DatabaseUrl = None, config: Config = None) -> None:
    """Bring the schema to the one this program needs."""
    from gambler_ai.storage.database import Database

    database = Database(reading(database_url, config).settings.database)
    before = database.revision()
    database.upgrade()
    database.check()
    after = database.revision()
    typer.echo(f"{database.name}: schema {after}" + (" already" if before == after else f", was {before or 'empty'}"))
