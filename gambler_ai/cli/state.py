"""`state`: sessions from one machine or database to another, as one file."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from gambler_ai.cli.common import Config, DatabaseUrl, Json, print_json
from gambler_ai.cli.completion import session_ids
from gambler_ai.cli.wiring import open_database, tell_upgrade

app = typer.Typer(help="Sessions that move between machines and databases.", no_args_is_help=True)


class Format(StrEnum):
    """What `state export` writes."""

    ZIP = "zip"
    FNO = "fno"


@app.callback()
def group() -> None:
    """Sessions that move between machines and databases."""


@app.command("export")
def export_(
    file: Annotated[
        Path | None, typer.Argument(help="The file to write; it must not be there yet.", metavar="FILE")
    ] = None,
    format_: Annotated[
        Format,
        typer.Option(
            "--format", help="zip is whole and can be imported to go on with; fno is for dashboards.", metavar="FORMAT"
        ),
    ] = Format.ZIP,
    out: Annotated[
        str | None,
        typer.Option(
            "--out", help="With fno: a file for the system's state, or a directory for all three.", metavar="PATH"
        ),
    ] = None,
    session: Annotated[
        list[str] | None,
        typer.Option(
            "--session", help="This session, or the beginning of its id. Once for each.", metavar="ID",
            autocompletion=session_ids,
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every session of the database.")] = False,
    database_url: DatabaseUrl = None,
    config: Config = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Write sessions to one file, with all that is stored of them and the account of the embedded exchange.

    Without --session and --all it is the session that --resume would go on with. One that runs is refused: stop it
    first. No key and no secret is in the file.

    --format fno writes what an F&O system's dashboards read (docs/IMPORT.md): fno_system_state.json, and into a
    directory shared_portfolio_state.json and current_state.json too. It only reads, so the session may run. Without
    --out the first is printed.
    """
    from gambler_ai.app.moving import export_to
    from gambler_ai.clock import SystemClock
    from gambler_ai.config import load
    from gambler_ai.errors import ConfigError

    if session and everything:
        raise ConfigError("--session and --all exclude each other")
    if format_ is Format.FNO:
        _refuse_for_fno(file, session, everything=everything)
        _export_fno(session[0] if session else None, out, database_url, config, as_json=as_json)
        return
    if file is None or out is not None:
        raise ConfigError(
            "--format zip writes one FILE" if file is None else "--out is for --format fno",
            hint="gambler-ai state export FILE",
        )
    database = open_database(database_url, config)
    report = export_to(
        file, database, load({}, config), SystemClock(), session_ids=session or (), everything=everything
    )
    _tell(report, as_json=as_json)


def _refuse_for_fno(file: Path | None, session: list[str] | None, *, everything: bool) -> None:
    from gambler_ai.errors import ConfigError

    if file is not None:
        raise ConfigError("--format fno writes where --out says", hint=f"--out {file}")
    if everything or len(session or ()) > 1:
        raise ConfigError("--format fno writes one session", hint="name it with --session ID")


def _export_fno(
    session: str | None, out: str | None, database_url: str | None, config: Path | None, *, as_json: bool
) -> None:
    from gambler_ai.ancestors.fno import SYSTEM
    from gambler_ai.app import fno_files

    database = open_database(database_url, config)
    try:
        found = fno_files.snapshot(database, session)
    finally:
        database.close()
    if out is None:
        typer.echo(found.files[SYSTEM].decode(), nl=False)
        return
    paths = fno_files.write(found, out)
    if as_json:
        print_json({"session_id": found.session_id, "files": [str(path) for path in paths]})
        return
    for path in paths:
        typer.echo(f"Written: {path}")


@app.command("import")
def import_(
    files: Annotated[
        list[Path], typer.Argument(help="What `state export` wrote; or all files of another bot.", metavar="FILE...")
    ],
    session: Annotated[
        str | None,
        typer.Option(
            "--session", help="Another bot's files are for this session. Default the one --resume would take.",
            metavar="ID", autocompletion=session_ids,
        ),
    ] = None,
    account: Annotated[
        str | None,
        typer.Option("--account", help="Another bot's files are for the next session of this account.", metavar="ID"),
    ] = None,
    zone: Annotated[
        str, typer.Option("--zone", help="Where the other bot ran: its times name no zone.", metavar="ZONE")
    ] = "UTC",
    write_config: Annotated[
        Path | None,
        typer.Option("--write-config", help="Write what its config.json comes to into this new file.", metavar="FILE"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would come in; change nothing.")] = False,
    database_url: DatabaseUrl = None,
    config: Config = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Bring the sessions of a file into this database, or what another bot remembered; all of it or nothing.

    Everything is checked before anything is written. A session that is here already and the same is left as it is; one
    that differs is refused. Of other bots: lesson 23's state.json and config.json, RAD's pickles and .npy, an F&O
    system's three state files (docs/IMPORT.md); nothing in them is run.
    """
    from gambler_ai.cli import ancestors
    from gambler_ai.storage import export_file

    is_ours = [file.suffix == ".zip" or (file.is_file() and export_file.is_ours(file)) for file in files]
    if not any(is_ours):
        ancestors.import_files(
            files, session=session, account=account, zone=zone, write_config=write_config, dry_run=dry_run,
            database_url=database_url, config=config, as_json=as_json,
        )  # fmt: skip
        return
    _refuse_for_ours(files, session or account or write_config)
    _import_ours(files[0], database_url, config, dry_run=dry_run, as_json=as_json)


def _refuse_for_ours(files: list[Path], named: Any) -> None:
    from gambler_ai.errors import ConfigError

    if len(files) > 1:
        raise ConfigError("what 'state export' wrote is imported by itself", hint="give that file alone")
    if named is not None:
        raise ConfigError("--session, --account and --write-config are for the files of another bot")


def _import_ours(file: Path, database_url: str | None, config: Path | None, *, dry_run: bool, as_json: bool) -> None:
    from gambler_ai.app import moving
    from gambler_ai.clock import SystemClock
    from gambler_ai.config import load

    settings = load({} if database_url is None else {"database_url": database_url}, config)
    report = moving.import_from(file, settings, SystemClock(), dry_run)
    tell_upgrade(report.upgraded)
    _tell(report, as_json=as_json)


@app.command()
def imported(
    account: Annotated[str | None, typer.Option("--account", help="Of this account only.", metavar="ID")] = None,
    database_url: DatabaseUrl = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """What was imported of other bots, by account; with --json all of it."""
    from gambler_ai.cli import ancestors

    ancestors.show(account, database_url, config, as_json=as_json)


def _tell(report: Any, *, as_json: bool) -> None:
    from rich.text import Text

    from gambler_ai.cli import render

    if as_json:
        print_json(_document(report))
        return
    out = render.console()
    words = [(name, "left") for name in ("session", "", "broker", "status")]
    shown = render.table(*words, *((name, "right") for name, _ in COUNTED))
    for outcome in report.outcomes:
        session = outcome.session
        counts = [str(session.rows.get(table, 0)) for _, table in COUNTED]
        shown.add_row(session.id, outcome.what, session.broker, session.status, *counts)
    out.print(shown)
    for note in report.notes:
        out.print(Text(note, render.QUIET))


#: Columns of the table -> the tables whose rows they count.
COUNTED = (
    ("journal", "journal"), ("orders", "intents"), ("fills", "fills"), ("held", "positions"),
    ("closed", "closed_trades"), ("checkpoints", "checkpoints"), ("memory", "components"),
)  # fmt: skip


def _document(report: Any) -> dict[str, Any]:
    import msgspec

    found = [{"what": o.what, **msgspec.structs.asdict(o.session)} for o in report.outcomes]
    return {"file": str(report.file), "sessions": found, "notes": list(report.notes)}
