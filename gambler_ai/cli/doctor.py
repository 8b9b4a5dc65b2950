"""`doctor`: what is well, what is not, and what mends it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gambler_ai.cli import wiring
from gambler_ai.cli.common import Config, DatabaseUrl, Json, print_json, reading


def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the broker.")] = False,
    database_url: DatabaseUrl = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Look at everything a session needs: installation, settings, broker, database. Changes nothing.

    Ends with 0 when all is ok or a warning, else with the code of the first failure: 1 this installation, 2 settings,
    3 broker, 5 disk or database.
    """
    from gambler_ai.app.doctor import Surroundings, examine, exit_code

    rows = []
    found = examine(lambda: reading(database_url, config), Surroundings(offline=offline))
    if as_json:
        rows = list(found)
        print_json({"exit_code": exit_code(rows), "rows": rows})
    else:
        for row in found:  # each as it comes: a broker may let us wait
            rows.append(row)
            show(row)
        summary(rows)
    raise typer.Exit(exit_code(rows))


def show(row: Any) -> None:
    """One row, and what mends it."""
    from rich.text import Text

    from gambler_ai.cli import render

    style = {"ok": render.GOOD, "warn": render.WARN, "fail": render.BAD, "skip": render.QUIET}[row.status]
    out = render.console()
    out.print(Text.assemble((f"{row.status:<6}", style), (f"{row.name:<19}", render.QUIET), row.found))
    if row.fix:
        out.print(Text(f"{'':<25}{wiring.as_called(row.fix)}", render.STRONG if row.status == "fail" else ""))


def summary(rows: list[Any]) -> None:
    """How many of each kind there were."""
    from gambler_ai.cli import render

    count = {status: sum(row.status == status for row in rows) for status in ("ok", "warn", "fail", "skip")}
    said = [f"{number} {status}" for status, number in count.items() if number]
    render.console().print(", ".join(said))
