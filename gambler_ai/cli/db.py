"""`db`: the database itself."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="The database.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """The database."""


@app.command()
def upgrade(
    database_url: Annotated[
        str | None, typer.Option("--database-url", help="sqlite:///PATH; default as for run.")
    ] = None,
) -> None:
    """Bring the schema to the one this program needs."""
    from gambler_ai.config import load
    from gambler_ai.storage.database import Database

    database = Database(load({} if database_url is None else {"database_url": database_url}).database)
    before = database.revision()
    database.upgrade()
    database.check()
    after = database.revision()
    typer.echo(f"{database.name}: schema {after}" + (" already" if before == after else f", was {before or 'empty'}"))
