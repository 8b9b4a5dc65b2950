"""`state import` of other bots' files, and what was imported so: one report, for people or programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from gambler_ai.cli.common import print_json


def import_files(
    files: list[Path], *, session: str | None, account: str | None, zone: str, write_config: Path | None,
    dry_run: bool, database_url: str | None, config: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Read all of them, then take all or none; a refused one ends with exit code 2.

    Raises:
        ConfigError: a file is refused, or it cannot be told whom they are for.
    """
    from gambler_ai.app.ancestry import new_config, proposed_of, read_files, refuse_all
    from gambler_ai.app.archiving import check_alone
    from gambler_ai.app.inheriting import Outcome, take
    from gambler_ai.config import load

    reading = read_files(files, _zone(zone))
    settings = load({} if database_url is None else {"database_url": database_url}, config)
    proposal = proposed_of(reading)
    if reading.refused or dry_run:
        _tell(Outcome(reading.reports), proposal, as_json=as_json)
        if reading.refused:
            raise refuse_all(reading)
        check_alone(reading)
        return
    with new_config(write_config, proposal):
        outcome = take(settings, reading, session, account)
    _tell(outcome, "" if write_config is not None else proposal, as_json=as_json)


def _zone(name: str) -> Any:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    from gambler_ai.errors import ConfigError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"--zone: {name[:80]!r} is no time zone", hint="write UTC or America/New_York") from None


def _tell(outcome: Any, proposal: str, *, as_json: bool) -> None:
    from rich.text import Text

    from gambler_ai.cli import render
    from gambler_ai.cli.wiring import as_called, tell_upgrade

    tell_upgrade(outcome.upgraded)
    if as_json:
        import msgspec

        print_json({**msgspec.structs.asdict(outcome), "config": proposal or None})
        return
    out = render.console()
    table = render.table(("file", "left"), ("what it is", "left"), ("", "left"))
    for file in outcome.files:
        for number, (text, style) in enumerate(_lines(file, render)):
            name, kind = (Path(file.path).name, file.kind or "refused") if number == 0 else ("", "")
            table.add_row(Text(render.printable(name)), kind, Text(render.printable(as_called(text)), style))
    out.print(table)
    if outcome.stored:
        out.print(Text(_kept(outcome), render.GOOD))
    for step in outcome.next_steps:
        out.print(Text(render.printable(as_called(f"next: {step}"))))
    if proposal:
        out.print(Text(f"\n{proposal}", render.QUIET))


def _kept(outcome: Any) -> str:
    from gambler_ai.app.archiving import ACCOUNT

    if outcome.account_id == ACCOUNT:
        return f"archived as session {outcome.session_id}"
    return f"kept for account {outcome.account_id}, session {outcome.session_id}"


def _lines(file: Any, render: Any) -> list[tuple[str, str]]:
    if file.refused:
        return [(file.refused, render.BAD), *([(file.hint, render.QUIET)] if file.hint else [])]
    left_out = [(f"left out: {line}", render.WARN) for line in file.left_out]
    return [*((line, "") for line in (*file.taken, *file.becomes)), *left_out]


def show(account: str | None, database_url: str | None, config: Path | None, *, as_json: bool) -> None:
    """What was imported of other bots, by account."""
    import msgspec

    from gambler_ai.ancestors.summary import taken
    from gambler_ai.app.archiving import ACCOUNT, NAMES, all_archived
    from gambler_ai.app.inheriting import all_inherited
    from gambler_ai.cli import render
    from gambler_ai.cli.wiring import open_database

    database = open_database(database_url, config)
    found = all_inherited(database, account)
    books = all_archived(database) if account in (None, ACCOUNT) else []
    if as_json:
        rows = [(i.account_id, i.session_id, i.name, i.created_at, m) for i, m in found]
        rows += [(i.account_id, i.id, NAMES[k.kind], i.created_at, k.books) for i, kept in books for k in kept]
        print_json([{"account_id": a, "session_id": s, "name": n, "imported_at": at, "memory": msgspec.to_builtins(m)}
                    for a, s, n, at, m in rows])  # fmt: skip
        return
    if not found and not books:
        typer.echo("Nothing was imported of another bot.")
        return
    table = render.table(("account", "left"), ("what", "left"), ("imported", "left"), ("", "left"))
    kept = [(i.account_id, i.name, i.created_at, memory) for i, memory in found]
    kept += [(i.id, k.kind, i.created_at, k.books) for i, files in books for k in files]
    for whose, name, at, memory in kept:
        for number, line in enumerate(taken(memory)):
            first = (whose, name, f"{at:%F %R} UTC") if number == 0 else ("", "", "")
            table.add_row(*first, line)
    render.console().print(table)
