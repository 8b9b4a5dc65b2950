"""`db`: the database itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from gambler_ai.cli.common import Config, DatabaseUrl, Json, print_json, reading

app = typer.Typer(help="The database and its schema.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """The database and its schema."""


@app.command()
def upgrade(database_url: DatabaseUrl = None, config: Config = None, as_json: Json = False) -> None:
    """Bring the schema to the one this program needs; a copy is kept."""
    database = _database(database_url, config)
    changed = database.upgrade()
    database.check()
    _tell(database, changed, as_json=as_json)


@app.command()
def downgrade(
    to: Annotated[str, typer.Option("--to", help="A revision, or base: nothing left.", metavar="REVISION|base")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    database_url: DatabaseUrl = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Take the schema back to an older one; what that has no room for is only in the copy that is kept."""
    from gambler_ai.errors import ConfigError

    database = _database(database_url, config)
    if not yes:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise ConfigError("a downgrade deletes what the older schema has no room for", hint="say --yes to do it")
        if not typer.confirm(f"Take {database.name} back to schema {to}? A copy is kept.", default=False):
            typer.echo("Nothing was changed.")
            raise typer.Exit(1)
    _tell(database, database.downgrade(to), as_json=as_json)


@app.command()
def current(database_url: DatabaseUrl = None, config: Config = None, as_json: Json = False) -> None:
    """Which schema the database has, and which one this program needs."""
    from gambler_ai.storage.migrate import revisions

    database = _database(database_url, config)
    revision, known = database.revision(), revisions()
    state = "current" if revision == known[-1] else "older" if revision in known else "unknown"
    if revision is None:
        state = "empty"
    if as_json:
        print_json({"database": database.name, "revision": revision, "head": known[-1], "state": state})
        return
    typer.echo(f"{database.name}: schema {revision or 'none'} ({state}), this program needs {known[-1]}")


@app.command()
def backup(
    place: Annotated[
        str | None,
        typer.Argument(
            metavar="[PATH|URL]",
            help="A folder, a file (.tar.gz), or s3://… and the like; default: backups/ in the state directory.",
        ),
    ] = None,
    keep: Annotated[
        int | None,
        typer.Option("--keep", min=1, help="Delete all but the newest N backups of this database there.", metavar="N"),
    ] = None,
    database_url: DatabaseUrl = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Copy the whole state, also while sessions run: database, and accounts of the embedded exchange."""
    from gambler_ai.app import backing_up
    from gambler_ai.cli import render
    from gambler_ai.clock import SystemClock

    settings = reading(database_url, config).settings
    with _progress("copying", as_json=as_json) as progress:
        made = backing_up.backup(settings, place, keep, SystemClock(), progress)
    if as_json:
        print_json({
            "path": made.path, "bytes": made.size, "dropped": made.dropped, "manifest": made.manifest,
        })  # fmt: skip
        return
    sessions = f"{len(made.manifest.sessions)} session{'' if len(made.manifest.sessions) == 1 else 's'}"
    accounts = len(made.manifest.parts) - 1
    of_exchange = f", {accounts} of the embedded exchange" if accounts else ""
    typer.echo(render.printable(f"{made.path}: {sessions}{of_exchange}, {_size(made.size)}; it verifies"))
    for name in made.dropped:
        typer.echo(f"deleted: {render.printable(name)}")


@app.command()
def verify(
    place: Annotated[
        str | None,
        typer.Argument(metavar="[PATH|URL]", help="A backup, or a folder: its newest; default: the database itself."),
    ] = None,
    database_url: DatabaseUrl = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Look at all of the database, or of a backup: checksums, integrity, journals, checkpoints. Changes nothing.

    Ends with 0 when all is ok or a warning, else with the code of the first failure.
    """
    from gambler_ai.app import backing_up
    from gambler_ai.app.doctor import exit_code
    from gambler_ai.cli.doctor import show, summary

    settings = reading(database_url, config).settings
    with _progress("reading", as_json=as_json) as progress:
        rows = list(backing_up.verify(settings, place, progress))
    if as_json:
        print_json({"exit_code": exit_code(rows), "rows": rows})
    else:
        for row in rows:
            show(row)
        summary(rows)
    raise typer.Exit(exit_code(rows))


@app.command()
def restore(
    place: Annotated[str, typer.Argument(metavar="PATH|URL", help="A backup, or a folder: its newest.")],
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Also over a database with sessions; it is kept beside, under another name."),
    ] = False,
    database_url: DatabaseUrl = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Put a backup in place, all of it or nothing. Refused while a session is alive."""
    from gambler_ai.app import restoring
    from gambler_ai.cli import render
    from gambler_ai.clock import SystemClock
    from gambler_ai.storage.sessions import CLOSED, COMPLETED

    settings = reading(database_url, config).settings
    with _progress("reading", as_json=as_json) as progress:
        done = restoring.restore(settings, place, SystemClock(), replace=replace, progress=progress)
    open_ = [head.id for head in done.manifest.sessions if head.status not in (COMPLETED, CLOSED)]
    if as_json:
        print_json({
            "path": done.path, "database": done.database, "kept": done.kept, "token": done.token, "resume": open_,
            "manifest": done.manifest,
        })  # fmt: skip
        return
    typer.echo(
        render.printable(f"{done.database}: as it was at {done.manifest.taken_at:%F %T} UTC ({done.path}); it verifies")
    )
    for name in done.kept:
        typer.echo(render.printable(f"kept as it was: {name}"))
    typer.echo(f"Next: {settings.program} --resume-session {open_[-1]}" if open_ else "No session in it is open.")


def _size(count: int) -> str:
    return f"{count / 1_000_000:,.1f} MB" if count >= 100_000 else f"{count / 1_000:,.1f} kB"


@contextmanager
def _progress(what: str, *, as_json: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, gone at the end; nothing where no person looks."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from gambler_ai.cli import render

    err = render.console(stderr=True)
    columns = (TextColumn(what), BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=as_json or not err.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _tell(database: Any, changed: Any, *, as_json: bool) -> None:
    revision = database.revision()
    if as_json:
        before, copy = (changed.before or None, changed.copy or None) if changed is not None else (revision, None)
        print_json({"database": database.name, "revision": revision, "before": before, "copy": copy})
    elif changed is None:
        typer.echo(f"{database.name}: schema {revision or 'none'} already")
    else:
        typer.echo(changed.line(database.name))


def _database(url: str | None, config: Path | None) -> Any:
    from gambler_ai.storage.database import Database

    return Database(reading(url, config).settings.database)
