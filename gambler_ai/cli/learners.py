"""`learners`: who learns from a session's trades, what they know and are worth; and a person has one begin anew."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gambler_ai.cli.common import Config, DatabaseUrl, Json, print_json
from gambler_ai.cli.completion import learner_names, session_ids
from gambler_ai.cli.control import ask
from gambler_ai.cli.wiring import open_database

if TYPE_CHECKING:
    from gambler_ai.app.learning_view import Learning

app = typer.Typer(help="Learners: what they know, what they are worth.", no_args_is_help=True)

Name = Annotated[
    str,
    typer.Argument(
        help="The learner, as learners list has it.", metavar="NAME", autocompletion=learner_names, show_default=False
    ),
]
Session = Annotated[
    str | None,
    typer.Option(
        "--session", help="The session, or the beginning of its id. Default the one that runs, else the newest.",
        metavar="ID", autocompletion=session_ids,
    ),
]  # fmt: skip


@app.callback()
def group() -> None:
    """Learners of a session."""


@app.command("list")
def list_(
    session: Session = None, database_url: DatabaseUrl = None, config: Config = None, as_json: Json = False
) -> None:
    """Every learner there is, what it is to the session, and whether it has beaten its baselines."""
    found = _view(session, None, database_url, config)
    if as_json:
        from gambler_ai.cli.learning.figures import row_document

        print_json([row_document(found, page.row) for page in found.pages])
        return
    from gambler_ai.cli.learning.terminal import print_list
    from gambler_ai.cli.render import console

    print_list(console(), found)


@app.command()
def show(
    name: Name,
    session: Session = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write one page with charts; it loads nothing.", metavar="FILE")
    ] = None,
    database_url: DatabaseUrl = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """What one learner is worth: learning curve, calibration, weights or values. With a FILE only that is written."""
    from gambler_ai.cli.learning import figures

    found = _view(session, name, database_url, config)
    (page,) = found.pages
    if html is not None:
        from gambler_ai.cli.analysis import files
        from gambler_ai.cli.learning.page import learner_page

        files.write("--html", html, [learner_page(found, page)])
    if as_json:
        print_json(figures.document(found, page))
    elif html is not None:
        typer.echo(f"Written: {html}")
    else:
        from gambler_ai.cli.learning.terminal import print_learner
        from gambler_ai.cli.render import console

        print_learner(console(), found, page)


@app.command()
def reset(
    name: Name,
    reason: Annotated[
        str, typer.Option("--reason", help="Why; it stands in the journal with your name.", metavar="TEXT")
    ] = "",
    session: Session = None,
    database_url: DatabaseUrl = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Have a learner forget all it has learned. A runner does it at once; else the next resume does."""
    from gambler_ai.app.learning_view import check_name
    from gambler_ai.errors import ConfigError

    check_name(name)
    if not reason.strip():
        raise ConfigError("a reset forgets what was learned", hint="say why: --reason TEXT")
    ask("learner-reset", session, name, reason, database_url, config, as_json=as_json)


def _view(session: str | None, name: str | None, database_url: str | None, config: Path | None) -> Learning:
    from gambler_ai.app.asking import looked_at
    from gambler_ai.app.learning_view import check_name, has_sessions, learning_view, without_session

    if name is not None:
        check_name(name)
    database = open_database(database_url, config)
    try:
        if name is None and session is None and not has_sessions(database):
            return without_session()
        return learning_view(database, looked_at(database, session).id, name)
    finally:
        database.close()
