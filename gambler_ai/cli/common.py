"""What several commands take and do alike: the options that say where the state is, and JSON."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from gambler_ai.config import Reading

DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url", help="sqlite:///PATH or postgresql+psycopg://HOST/NAME; default as for run.", metavar="URL"
    ),
]
Config = Annotated[
    Path | None, typer.Option("--config", help="Settings from this file; default as for run.", metavar="FILE")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document, for programs.")]


def reading(database_url: str | None, config: Path | None) -> Reading:
    """The settings of a command, and where each comes from."""
    from gambler_ai.config import read

    return read({} if database_url is None else {"database_url": database_url}, config)


def print_json(value: Any) -> None:
    """One document on one line."""
    import msgspec

    typer.echo(msgspec.json.encode(value).decode())


def amount(option: str, text: str) -> Decimal:
    """Dollars that an option gives.

    Raises:
        ConfigError: it is no finite number above zero.
    """
    from gambler_ai.errors import ConfigError

    try:
        value = Decimal(text)
    except ArithmeticError:
        value = Decimal(0)
    if not value.is_finite() or value <= 0:
        raise ConfigError(f"{option}: {text!r} is not an amount above zero")
    return value
