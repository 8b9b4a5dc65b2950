"""`strategies`: what there is, what its parameters are, and a first one of one's own."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from gambler_ai.cli import wiring
from gambler_ai.cli.common import Json

app = typer.Typer(help="Strategies: built in, installed, your own.", no_args_is_help=True)

Spec = Annotated[
    str, typer.Argument(help="A name, package.module:Class or file.py:Class.", metavar="STRATEGY", show_default=False)
]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Built-in and installed strategies with their parameters."""
    from gambler_ai.strategies import loader

    found = loader.listed()
    if as_json:
        _print_json(found)
        return
    for number, description in enumerate(found):
        if number:
            typer.echo()
        _print(description)


@app.command()
def show(strategy: Spec, as_json: Json = False) -> None:
    """One strategy and its parameters."""
    from gambler_ai.strategies import loader

    description = loader.describe(loader.find(strategy))
    if as_json:
        _print_json(description)
    else:
        _print(description)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Of the file, e.g. dip_buyer.", show_default=False)],
    folder: Annotated[Path, typer.Option("--dir", help="Where to write it.", file_okay=False)] = Path(),
) -> None:
    """Write a strategy to start from, and a test of it."""
    from gambler_ai.errors import ConfigError
    from gambler_ai.strategies import scaffold

    _check_name(name, folder)
    written = {folder / file: text for file, text in scaffold.files(name).items()}
    there = next((path for path in written if path.exists()), None)
    if there is not None:
        raise ConfigError(f"{there} is there already", hint="choose another name, or another --dir")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in written.items():
            with path.open("x", encoding="utf-8") as out:
                out.write(text)
    except OSError as error:
        raise ConfigError(f"{error.filename or folder} cannot be written: {error.strerror}") from None
    strategy, test = written
    program = wiring.program()
    typer.echo(f"Written: {strategy}, {test}")
    typer.echo(f"Run it:  {program} --symbols AAPL,MSFT --strategy {shlex.quote(str(strategy))}")
    typer.echo(f"Test it: {_tester(program)} {shlex.quote(str(test.resolve()))}")


def _check_name(name: str, folder: Path) -> None:
    """A module's name that hides no other module: the test imports it by that name."""
    import importlib.util
    import keyword

    from gambler_ai.errors import ConfigError

    if not name.isidentifier() or not name.isascii() or keyword.iskeyword(name) or len(name) > 40:
        raise ConfigError(f"{name!r:.60} is no name for a strategy", hint="letters, digits and _, as in dip_buyer")
    if not (folder / f"{name}.py").exists() and importlib.util.find_spec(name) is not None:
        raise ConfigError(f"there is a module {name!r} already, which the file would hide", hint="choose another name")


def _tester(program: str) -> str:
    """What runs tests where this program is run: beside ``scripts/run`` there is ``scripts/test``."""
    return program.removesuffix("run") + "test" if program.endswith("scripts/run") else "python -m pytest"


def _print_json(value: Any) -> None:
    import msgspec

    typer.echo(msgspec.json.encode(value).decode())


def _print(description: Any) -> None:
    from rich.text import Text

    from gambler_ai.cli import render

    out = render.console()
    where = f"  {description.origin}, {description.universe}"
    out.print(Text.assemble((description.name, render.STRONG), (where, render.QUIET)))
    if description.error:
        out.print(Text(f"  {description.error}", render.BAD))
    if description.summary:
        out.print(f"  {description.summary}")
    if not description.parameters:
        return
    rows = render.table(("parameter", "left"), ("default", "right"), ("allowed", "left"))
    for parameter in description.parameters:
        rows.add_row(parameter.name, _shown(parameter), parameter.allowed)
    out.print(rows)


def _shown(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    return ",".join(map(str, value)) if isinstance(value, list) else "null" if value is None else str(value)
