"""`sessions`: what there is, what one did, its checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gambler_ai.cli.common import Config, DatabaseUrl, Json, print_json
from gambler_ai.cli.completion import session_ids
from gambler_ai.cli.wiring import as_called, open_database

app = typer.Typer(help="Sessions and their checkpoints.", no_args_is_help=True)

SessionId = Annotated[
    str, typer.Argument(help="The session, or the beginning of its id.", metavar="ID", autocompletion=session_ids)
]


@app.command("list")
def list_(
    with_saved: Annotated[
        bool, typer.Option("--saved", help="What each would go on from instead: --show-sessions is short for this.")
    ] = False,
    database_url: DatabaseUrl = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """All sessions, newest first."""
    from gambler_ai.cli import render
    from gambler_ai.storage import lease, sessions

    database = open_database(database_url, config)
    with database.read() as db:
        found = sessions.listed(db)
    held = {info.account_id: lease.is_held(database, info.account_id) for info in found}
    if with_saved:
        from gambler_ai.cli.saved import saved, saved_table

        document: list[Any] = [saved(database, info, _status(info, held[info.account_id])) for info in found]
        table = saved_table(document)
    else:
        document = [_session_json(info, held[info.account_id]) for info in found]
        table = _sessions_table(found, held)
    if as_json:
        print_json(document)
    elif found:
        render.console().print(table)
    else:
        typer.echo(as_called("No session yet. Start one: gambler-ai run --symbols AAPL,MSFT --duration 60"))


def _sessions_table(found: list[Any], held: dict[str, bool]) -> Any:
    from rich.text import Text

    from gambler_ai.app.archiving import is_archived
    from gambler_ai.cli import render

    rows = render.table(
        ("session", "left"), ("status", "left"), ("broker", "left"), ("symbols", "left"), ("market time", "left"),
        ("checkpoints", "right"), ("closed", "right"), ("realized P&L", "right"),
    )  # fmt: skip
    for info in found:
        if is_archived(info):
            when = render.day_time(info.created_at)
            rows.add_row(info.id, "archived", "-", ",".join(info.plan.symbols), when, "-", "-", "-")
            continue
        rows.add_row(
            info.id, _status(info, held[info.account_id]), info.broker, ",".join(info.plan.symbols),
            render.day_time(info.last_at), str(info.checkpoints), str(info.closed_trades),
            Text(render.money(info.realized_pnl, sign=True), render.pnl_style(info.realized_pnl)),
        )  # fmt: skip
    return rows


@app.command()
def show(
    session: SessionId,
    recovery: Annotated[
        bool, typer.Option("--recovery", help="What was found and done at each resume instead.")
    ] = False,
    database_url: DatabaseUrl = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """One session: account, positions, orders, round trips, what reconciliation found."""
    from gambler_ai.cli.show import print_session, session_document
    from gambler_ai.storage import lease, sessions

    if recovery:
        _show_recovery(session, open_database(database_url, config), as_json)
        return

    database = open_database(database_url, config)
    with database.read() as db:
        info = sessions.find(db, session)
        document = session_document(db, info)
    held = lease.is_held(database, info.account_id)
    if as_json:
        print_json(_session_json(info, held) | document)
        return
    print_session(info, _status(info, held), document)


@app.command()
def report(
    session: Annotated[
        str | None,
        typer.Argument(help="The session, or the beginning of its id.", metavar="ID", autocompletion=session_ids),
    ] = None,
    account: Annotated[
        str | None,
        typer.Option("--account", help="All sessions of this account instead, as one.", metavar="ACCOUNT"),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write one page with charts; it loads nothing.", metavar="FILE")
    ] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write all round trips as a table.", metavar="FILE")] = None,
    trades: Annotated[
        int, typer.Option("--trades", min=0, help="How many of the newest round trips to print.", metavar="COUNT")
    ] = 20,
    database_url: DatabaseUrl = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """How a session or an account did: return, risk, round trips, equity. With a FILE only that is written."""
    from gambler_ai.cli.analysis import files, gathering

    database = open_database(database_url, config)
    shown = gathering.TRADES_MAX if html is not None or as_json else trades
    with database.read() as db:
        found = _gathered(database, db, session, account, shown)
        if csv is not None:
            files.write("--csv", csv, files.table(gathering.all_round_trips(db, found.sessions)))
    if html is not None:
        from gambler_ai.cli.analysis.page import page

        files.write("--html", html, [page(found)])
    if as_json:
        print_json(gathering.document(found))
        return
    for path in (html, csv):
        if path is not None:
            typer.echo(f"Written: {path}")
    if html is None and csv is None:
        from gambler_ai.cli.analysis.terminal import print_analysis
        from gambler_ai.cli.render import console

        print_analysis(console(), found)


def _gathered(database: Any, db: Any, session: str | None, account: str | None, trades: int) -> Any:
    """The report of what was named.

    Raises:
        ConfigError: neither a session nor an account was, or both.
        SessionNotFound: there is none.
    """
    from gambler_ai.cli.analysis import gathering
    from gambler_ai.errors import ConfigError
    from gambler_ai.storage import lease, sessions

    if (session is None) == (account is None):
        raise ConfigError(
            "name a session, or an account with --account",
            hint="see: gambler-ai sessions list, with --json for accounts",
        )
    if session is not None:
        info = sessions.find(db, session)
        return gathering.gather(db, info, _status(info, lease.is_held(database, info.account_id)), trades)
    chain = sessions.chain_of(db, account or "")
    newest = max(chain, key=lambda one: one.last_at)
    status = _status(newest, lease.is_held(database, newest.account_id))
    return gathering.gather_account(db, chain, status, trades)


@app.command()
def checkpoints(
    session: SessionId,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many of the newest.", metavar="COUNT")] = 20,
    database_url: DatabaseUrl = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """The checkpoints of a session, newest first."""
    from gambler_ai.cli import render
    from gambler_ai.storage import checkpoints, sessions

    with open_database(database_url, config).read() as db:
        found = checkpoints.listed(db, sessions.find(db, session).id, limit)
    if as_json:
        print_json(found)
        return
    rows = render.table(
        ("#", "right"), ("market time", "left"), ("journal row", "right"), ("value", "right"), ("cash", "right"),
        ("positions", "right"), ("closed", "right"), ("bytes", "right"), ("sha256", "left"),
    )  # fmt: skip
    for c in found:
        rows.add_row(
            str(c.number), render.day_time(c.at), str(c.seq), render.money(c.account.portfolio_value),
            render.money(c.account.cash), str(c.active_positions), str(c.closed_trades),
            f"{c.length:,}" if c.is_whole else "brief", c.sha256[:12] if c.is_whole else "",
        )  # fmt: skip
    render.console().print(rows)


@app.command()
def close(
    session: SessionId,
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the journal.", metavar="TEXT")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    database_url: DatabaseUrl = None,
    config: Config = None,
) -> None:
    """Be done with a session that will not be resumed. Nothing at its broker is touched."""
    from gambler_ai.cli.wiring import is_interactive, make_app
    from gambler_ai.errors import ConfigError

    if not yes and not is_interactive():
        raise ConfigError("a closed session is not resumed any more", hint="say so with --yes")
    if not yes:
        typer.confirm(f"Close session {session}? It cannot be resumed afterwards", abort=True)
    info = make_app({} if database_url is None else {"database_url": database_url}, config).close(session, reason)
    if info.status == "closed":
        typer.echo(f"Session {info.id} was closed already.")
        return
    typer.echo(f"Session {info.id} is closed. What its account holds and what rests there is as it was.")


def _show_recovery(session: str, database: Any, as_json: bool) -> None:
    from gambler_ai.cli.restarts import print_restarts, restarts_json
    from gambler_ai.storage import restarts, sessions

    with database.read() as db:
        info = sessions.find(db, session)
        found = restarts.of_session(db, info.id)
    if as_json:
        print_json(restarts_json(found))
        return
    print_restarts(info, found)


def _session_json(info: Any, held: bool) -> dict[str, Any]:
    import msgspec

    return msgspec.structs.asdict(info) | {"running": held}


def _status(info: Any, held: bool) -> str:
    """What the row says, and what it cannot know: a killed session still says running."""
    if info.status in ("running", "created") and not held:
        return "killed"
    return str(info.status)
