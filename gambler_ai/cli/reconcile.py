"""`reconcile`: our books against the broker's, shown or healed."""

from __future__ import annotations

from typing import Annotated

import typer

from gambler_ai.cli.control import SessionId, ask, given
from gambler_ai.cli.options import Config, DatabaseUrl
from gambler_ai.cli.wiring import make_app

#: Books and broker differ, and nothing was done about it: a person must look.
DIFFERENT = 6


def reconcile(
    session: SessionId = None,
    plan: Annotated[bool, typer.Option("--plan", help="Show each difference and what would be done.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Do it: heal our books, re-arm stops, and stop.")] = False,
    adopt: Annotated[
        list[str] | None,
        typer.Option("--adopt", help="Take what another opened in SYMBOL into this session.", metavar="SYMBOL"),
    ] = None,
    database_url: DatabaseUrl = None,
    config: Config = None,
) -> None:  # fmt: skip
    """Compare a session with its broker. Without --apply or --adopt nothing is changed."""
    from gambler_ai.errors import ConfigError

    if plan and (apply or adopt):
        raise ConfigError("--plan changes nothing; leave out --apply and --adopt, or --plan")
    for symbol in adopt or ():
        ask("adopt", session, symbol.upper(), "adopted by hand", database_url, config, as_json=False)
    if adopt and not apply:
        return
    agreed = make_app(given(database_url), config).reconcile(session, dry_run=not apply)
    if not agreed:
        raise typer.Exit(DIFFERENT)
