"""`config`: what is set, where it comes from, and where it is looked for."""

from __future__ import annotations

from typing import Any

import typer

from gambler_ai.cli.common import Config, DatabaseUrl, Json, print_json, reading

app = typer.Typer(help="The settings, and where each comes from.", no_args_is_help=True)

#: What a secret looks like.
SET, NOT_SET = "set", "not set"


@app.callback()
def group() -> None:
    """The settings, and where each comes from."""


@app.command()
def show(database_url: DatabaseUrl = None, config: Config = None, as_json: Json = False) -> None:
    """Every setting, its value and its source. Of a secret only whether it is set."""
    from gambler_ai.cli import render
    from gambler_ai.config import DEFAULT, check_together

    found = reading(database_url, config)
    settings = {name: _shown(found.settings, name) for name in found.sources}
    if as_json:
        print_json({name: {"value": value, "source": found.sources[name]} for name, value in settings.items()})
    else:
        rows = render.table(("setting", "left"), ("value", "left"), ("from", "left"))
        for name, value in settings.items():
            source = found.sources[name]
            rows.add_row(name, _text(value), source, style=render.QUIET if source == DEFAULT else "")
        render.console().print(rows)
    check_together(found.settings)


@app.command()
def path(config: Config = None, as_json: Json = False) -> None:
    """Where the files are looked for, and which of them are there."""
    from gambler_ai.cli import render
    from gambler_ai.config import looked_for

    found = looked_for(config)
    if as_json:
        print_json({what: {"path": str(where), "exists": where.exists()} for what, where in found})
        return
    rows = render.table(("what", "left"), ("path", "left"), ("", "left"))
    for what, where in found:
        rows.add_row(what, str(where), "" if where.exists() else "not there")
    render.console().print(rows)


def _shown(settings: Any, name: str) -> Any:
    """A value as JSON has it; never a secret, nor a password within a URL."""
    from gambler_ai.config import is_secret
    from gambler_ai.storage.database import Database

    if is_secret(name):
        return SET if getattr(settings, name).get_secret_value() else NOT_SET
    value = settings.model_dump(mode="json", include={name})[name]
    if name == "home":
        return str(settings.state_dir)
    if name == "database_url":
        return Database.shown(settings.database)
    return value


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "-" if value in (None, "", {}) else str(value)
