"""`orders`: ours, open or settled; and a person's word on one that nobody can tell of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gambler_ai.cli.common import Json, print_json
from gambler_ai.cli.control import Reason, SessionId, ask
from gambler_ai.cli.options import Config, DatabaseUrl
from gambler_ai.cli.wiring import as_called, open_database

app = typer.Typer(help="Orders of a session.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Orders of a session."""


@app.command("list")
def list_(
    session: SessionId = None,
    every: Annotated[bool, typer.Option("--all", help="Settled ones too.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many of the newest.", metavar="COUNT")] = 100,
    database_url: DatabaseUrl = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Intents and what the broker made of them; open ones unless --all."""
    from gambler_ai.app.asking import meant
    from gambler_ai.cli import render
    from gambler_ai.cli.show import intents_table
    from gambler_ai.storage import views

    database = open_database(database_url, config)
    info = meant(database, session)
    with database.read() as db:
        found = views.intents(db, info.id, limit, only_open=not every)
    database.close()
    if as_json:
        print_json(found)
        return
    out = render.console()
    out.print(render.pair("Session", info.id, render.STRONG))
    if not found:
        out.print("No order." if every else "No open order. All of them: --all")
        return
    out.print(intents_table(found))
    unclear = [row for row in found if row.status in ("disputed", "void", "unknown")]
    if unclear:
        command = as_called(f"gambler-ai orders resolve {unclear[0].client_order_id} --as gone")
        out.print(f"A person may say what became of one: {command}")


Symbol = Annotated[str, typer.Argument(help="A symbol the session holds.", metavar="SYMBOL")]
Price = Annotated[str, typer.Argument(help="The new price.", metavar="PRICE")]
Session = Annotated[
    str | None, typer.Option("--session", help="Of this session. Default the one that runs.", metavar="ID")
]


@app.command("move-stop")
def move_stop(
    symbol: Symbol, price: Price, session: Session = None, reason: Reason = "", database_url: DatabaseUrl = None,
    config: Config = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Move the stop of a position; the one that rests stays until the broker has replaced it."""
    _move("move-stop", symbol, price, session, reason, database_url, config, as_json=as_json)


@app.command("move-target")
def move_target(
    symbol: Symbol, price: Price, session: Session = None, reason: Reason = "", database_url: DatabaseUrl = None,
    config: Config = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Move the target of a position; the one that rests stays until the broker has replaced it."""
    _move("move-target", symbol, price, session, reason, database_url, config, as_json=as_json)


def _move(
    kind: str, symbol: str, price: str, session: str | None, reason: str, database_url: str | None,
    config: Path | None, *, as_json: bool,
) -> None:  # fmt: skip
    from decimal import Decimal

    from gambler_ai.core.model import is_sane_price
    from gambler_ai.errors import ConfigError

    try:
        value = Decimal(price)
    except ArithmeticError:
        value = Decimal(0)
    if not is_sane_price(value):
        raise ConfigError(f"{price!r} is no price; write 97.50")
    ask(kind, session, f"{symbol.strip().upper()} {value:f}", reason, database_url, config, as_json=as_json)


@app.command()
def resolve(
    client_order_id: Annotated[str, typer.Argument(help="As `orders list` shows it.", metavar="CLIENT_ORDER_ID")],
    verdict: Annotated[
        str,
        typer.Option(
            "--as",
            help="gone: it never arrived. broker: whatever the broker holds under it is ours.",
            metavar="VERDICT",
        ),
    ],
    session: Session = None,
    reason: Reason = "",
    database_url: DatabaseUrl = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Say what became of an order that is unknown, void or disputed; its symbol takes entries again."""
    from gambler_ai.core.events import AT_BROKER, GONE
    from gambler_ai.errors import ConfigError

    if verdict not in (AT_BROKER, GONE):
        raise ConfigError(f"--as {verdict!r} is neither {GONE} nor {AT_BROKER}")
    ask("resolve", session, f"{client_order_id} {verdict}", reason, database_url, config, as_json=as_json)
