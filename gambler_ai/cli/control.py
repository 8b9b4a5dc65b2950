"""`halt`, `resume-trading`, `flatten`: what a person asks of a session, running or not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gambler_ai.cli.common import Json
from gambler_ai.cli.completion import session_ids
from gambler_ai.cli.options import Config, DatabaseUrl
from gambler_ai.cli.wiring import is_interactive, make_app, open_database

SessionId = Annotated[
    str | None,
    typer.Argument(
        help="The session, or the beginning of its id. Default the one that runs.",
        metavar="ID",
        autocompletion=session_ids,
    ),
]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stands in the journal with your name.", metavar="TEXT")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def halt(
    session: SessionId = None, reason: Reason = "", database_url: DatabaseUrl = None, config: Config = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """No entries until `resume-trading`; stops and targets stay. It outlives a restart."""
    ask("halt", session, "", reason, database_url, config, as_json=as_json)


def resume_trading(
    session: SessionId = None, reason: Reason = "", database_url: DatabaseUrl = None, config: Config = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Allow entries again after `halt` or `flatten`."""
    ask("resume-trading", session, "", reason, database_url, config, as_json=as_json)


def flatten(
    session: SessionId = None,
    symbol: Annotated[
        str | None, typer.Option("--symbol", help="Close this one only, and go on trading.", metavar="SYMBOL")
    ] = None,
    reason: Reason = "", yes: Yes = False, database_url: DatabaseUrl = None, config: Config = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Close every position at market, cancel what rests, and halt."""
    only = _one_symbol(symbol)
    if not yes:
        session = _confirm(session, only, database_url, config)
    ask("flatten", session, only, reason, database_url, config, as_json=as_json)


def ask(
    kind: str, session: str | None, argument: str, reason: str, database_url: str | None, config: Path | None, *,
    as_json: bool,
) -> None:  # fmt: skip
    """Ask it, show the answer; a refusal ends with exit code 2."""
    from gambler_ai.errors import ConfigError

    app = make_app(given(database_url), config, to_stderr=as_json)
    asked = app.ask(session, kind, argument, reason)
    if asked.refused:
        raise ConfigError(asked.answer.removeprefix("refused: "), hint=f"session {asked.session_id} is as it was")
    _show(kind, asked, as_json=as_json)


def _one_symbol(symbol: str | None) -> str:
    """The symbol that was named, "" for all; an empty one is a mistake that would close everything."""
    from gambler_ai.errors import ConfigError

    if symbol is not None and not symbol.strip(" *"):
        raise ConfigError(f"--symbol {symbol!r} names no symbol", hint="leave it out to close every position")
    return (symbol or "").strip().upper()


def given(database_url: str | None) -> dict[str, Any]:
    """What the command line said of the state's place."""
    return {} if database_url is None else {"database_url": database_url}


def _show(kind: str, asked: Any, *, as_json: bool) -> None:
    from gambler_ai.cli import render

    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode({"request": kind} | msgspec.structs.asdict(asked)).decode())
        return
    out = render.console()
    out.print(render.pair("Session", asked.session_id, render.STRONG))
    text = asked.answer or "written down; it is taken when the session is next resumed, or by the runner it has now"
    out.print(render.pair("Answer", text))


def _confirm(session: str | None, symbol: str, database_url: str | None, config: Path | None) -> str:
    """Show what would be closed and ask; where nobody can answer, --yes is wanted. Returns the session's id."""
    from gambler_ai.app.asking import meant
    from gambler_ai.cli import render
    from gambler_ai.cli.show import positions_table
    from gambler_ai.errors import ConfigError
    from gambler_ai.storage import views

    if not is_interactive():
        raise ConfigError("flatten closes positions at market", hint="say so with --yes")
    database = open_database(database_url, config)
    info = meant(database, session, certain=True)
    with database.read() as db:
        held = [p for p in views.positions(db, info.id) if symbol in ("", p.symbol)]
    database.close()
    out = render.console()
    out.print(render.pair("Session", info.id, render.STRONG))
    if held:
        out.print(positions_table(held))
    typer.confirm(f"Close {len(held)} positions at market?", abort=True)
    return str(info.id)
