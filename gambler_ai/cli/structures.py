"""`structures`: option structures that a session holds, and what they bring over the price of their underlying."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gambler_ai.cli.common import Config, DatabaseUrl, Json, print_json
from gambler_ai.cli.completion import session_ids
from gambler_ai.cli.wiring import open_database

if TYPE_CHECKING:
    from gambler_ai.core.state import SessionState

app = typer.Typer(help="Option structures: what is held, and its payoff.", no_args_is_help=True)

StructureId = Annotated[
    str, typer.Argument(help="The structure, the beginning of its id, or its underlying.", metavar="ID")
]
Session = Annotated[
    str | None,
    typer.Option(
        "--session", help="The session, or the beginning of its id. Default the one that runs.", metavar="ID",
        autocompletion=session_ids,
    ),
]  # fmt: skip


@app.callback()
def group() -> None:
    """Option structures of a session."""


@app.command("list")
def list_(
    session: Session = None, database_url: DatabaseUrl = None, config: Config = None, as_json: Json = False
) -> None:
    """What a session holds, a line each."""
    from rich.text import Text

    from gambler_ai.cli import render
    from gambler_ai.cli.payoff.facts import document
    from gambler_ai.cli.structure_rows import GUARDED, StructuresTable, structure_rows

    with _state(session, database_url, config) as state:
        if as_json:
            from gambler_ai.cli.payoff.curves import payoff

            print_json([document(payoff(state, one)) for one in state.structures])
            return
        out = render.console()
        out.print(render.pair("Session", f"{state.session_id}  {state.status}", render.STRONG))
        out.print(render.pair("Market time", render.day_time(state.last_at)))
        rows = structure_rows(state, state.last_at)
        if not rows:
            out.print("No structure is held.")
            return
        out.print(StructuresTable(rows, ids=True))
        out.print(Text(f"GUARDED: {GUARDED}", render.WARN))


@app.command()
def show(
    structure: StructureId, session: Session = None, database_url: DatabaseUrl = None, config: Config = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """One structure: why it was opened, its legs, when it is closed."""
    from rich.text import Text

    from gambler_ai.cli import render
    from gambler_ai.cli.payoff.curves import payoff
    from gambler_ai.cli.payoff.facts import LEGS, document, facts, legs_table
    from gambler_ai.cli.payoff.terminal import line_of

    with _state(session, database_url, config) as state:
        found = payoff(state, _meant(state, structure))
        if as_json:
            print_json(document(found))
            return
        out = render.console()
        for fact in facts(found):
            out.print(line_of(fact))
        rows = render.table(*((name, "left" if text else "right") for name, text in LEGS))
        for row in legs_table(found, state.marks):
            rows.add_row(*row)
        out.print()
        out.print(Text("Legs", render.STRONG))
        out.print(rows)


@app.command("payoff")
def payoff_(
    structure: StructureId,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write one page with the chart; it loads nothing.", metavar="FILE")
    ] = None,
    session: Session = None,
    database_url: DatabaseUrl = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Profit over the price of the underlying: at the expiry, and now. With a FILE only that is written."""
    from gambler_ai.cli import render
    from gambler_ai.cli.payoff.curves import payoff
    from gambler_ai.cli.payoff.facts import document
    from gambler_ai.cli.payoff.terminal import print_payoff

    with _state(session, database_url, config) as state:
        found = payoff(state, _meant(state, structure))
        if html is not None:
            from gambler_ai.cli.analysis import files
            from gambler_ai.cli.payoff.page import page

            files.write("--html", html, [page(found, state.marks)])
        if as_json:
            print_json(document(found))
        elif html is not None:
            typer.echo(f"Written: {html}")
        else:
            print_payoff(render.console(), found)


@contextmanager
def _state(session: str | None, database_url: str | None, config: Path | None) -> Iterator[SessionState]:
    """A session as it is stored."""
    from gambler_ai.app.asking import looked_at
    from gambler_ai.trading.recovery import restore

    database = open_database(database_url, config)
    try:
        yield restore(database, looked_at(database, session)).state
    finally:
        database.close()


def _meant(state: SessionState, text: str) -> str:
    """The structure that is named.

    Raises:
        ConfigError: there is none, or it could be several.
    """
    from gambler_ai.errors import ConfigError

    found = [
        id_ for id_, one in state.structures.items() if id_.startswith(text) or one.underlying == text.strip().upper()
    ]
    if len(found) == 1:
        return found[0]
    hint = "see: gambler-ai structures list"
    if found:
        raise ConfigError(f"several structures begin with {text[:64]!r}", hint=hint)
    raise ConfigError(f"session {state.session_id} holds no structure {text[:64]!r}", hint=hint)
