"""`exchange status|orders|step|reset`: an exchange that serves already, as its owner sees it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gambler_ai.cli.common import Json, amount, print_json

if TYPE_CHECKING:
    from gambler_ai.broker.control import ExchangeStatus, OrderRow

EnvFile = Annotated[
    Path | None,
    typer.Option(
        "--env-file", help="What `exchange serve --env-file` wrote. Default the environment.", metavar="FILE"
    ),
]  # fmt: skip


def status(env_file: EnvFile = None, as_json: Json = False) -> None:
    """The market's time, the account, what it holds."""
    from gambler_ai.app.exchanges import find

    found = find(env_file).status()
    if as_json:
        print_json(found)
        return
    _print_status(found)


def orders(
    env_file: EnvFile = None,
    every: Annotated[bool, typer.Option("--all", help="Settled ones too.")] = False,
    as_json: Json = False,
) -> None:
    """Orders as the exchange has them, legs too; open ones unless --all."""
    from gambler_ai.app.exchanges import find
    from gambler_ai.cli import render

    found = find(env_file).orders(only_open=not every)
    if as_json:
        print_json(found)
        return
    out = render.console()
    out.print(orders_table(found) if found else "No order." if every else "No open order. All of them: --all")


def step(
    how: Annotated[
        str, typer.Argument(help="30s, 5m, 2h, 1d, open, close, 15:30, 2008-10-07T15:30.", metavar="[HOW FAR]")
    ] = "1m",
    env_file: EnvFile = None,
    as_json: Json = False,
) -> None:
    """Move the market of an exchange that is --paused, and tell what became of its orders."""
    from gambler_ai.app.exchanges import find, step_to
    from gambler_ai.cli import render
    from gambler_ai.errors import ConfigError

    exchange = find(env_file)
    before = exchange.status()
    if before.speed:
        raise ConfigError(
            f"this market moves by itself, {before.speed:g}x: it cannot be stepped", hint="serve it with --paused"
        )
    known = {order.id: order for order in exchange.orders(only_open=False)}
    exchange.advance(step_to(how, before))
    after = exchange.status()
    changed = [order for order in exchange.orders(only_open=False) if known.get(order.id) != order]
    if as_json:
        print_json({"from": before.now, "status": after, "orders": changed})
        return
    out = render.console()
    out.print(render.pair("Market time", _market_time(after)))
    if changed:
        out.print(orders_table(changed))
    moved = after.equity - before.equity
    style = render.pnl_style(moved)
    out.print(render.pair("Equity", f"{render.dollars(after.equity)} ({render.money(moved, sign=True)})", style))


def reset(
    cash: Annotated[
        str | None, typer.Option("--cash", help="Of the new account. Default as the first had.", metavar="DOLLARS")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    env_file: EnvFile = None,
    as_json: Json = False,
) -> None:
    """Give the keys a new account, as a reset on Alpaca's site does. Orders, fills and positions go."""
    from gambler_ai.app.exchanges import find
    from gambler_ai.cli.wiring import is_interactive
    from gambler_ai.errors import ConfigError

    value = None if cash is None else amount("--cash", cash)
    exchange = find(env_file)
    before = exchange.status()
    if not yes:
        if not is_interactive():
            raise ConfigError("a reset forgets the account; confirm it with --yes")
        held = f"{len(before.positions)} positions, {before.orders} orders and {before.fills} fills"
        typer.confirm(f"Forget account {before.account_number} with {held}?", abort=True)
    after = exchange.reset(value)
    if as_json:
        print_json(after)
        return
    _print_status(after)


def _print_status(found: ExchangeStatus) -> None:
    from rich.text import Text

    from gambler_ai.cli import render

    out = render.console()
    gain = found.equity - found.begun_with
    rows: list[tuple[str, Any]] = [
        ("Account", Text(found.account_number, render.STRONG)),
        ("Market time", _market_time(found)),
        ("Equity", f"{render.dollars(found.equity)}, of which {render.dollars(found.cash)} cash"),
        ("Profit", Text(render.money(gain, sign=True), render.pnl_style(gain))),
        ("Can buy", render.dollars(found.buying_power)),
        ("Orders", f"{found.orders_open} open of {found.orders}, {found.fills} fills, {found.posts} POSTs"),
        ("Faults", f"{found.faults} acted" if found.faults else "none acted"),
        ("Kept in", found.file or "memory: it is gone when the exchange stops"),
    ]
    for name, value in rows:
        out.print(render.pair(name, value))
    if found.positions:
        out.print(positions_table(found))


def _market_time(found: ExchangeStatus) -> str:
    from gambler_ai.cli import render

    nearest = found.next_close if found.is_open else found.next_open
    hours = "closed for good" if nearest is None else ""
    hours = hours or (f"open until {nearest:%H:%M}" if found.is_open else f"closed until {nearest:%a %F %H:%M}")
    pace = f"{found.speed:g}x" if found.speed else "paused"
    return f"{render.day_time(found.now)} New York, {hours}, {pace}"


def positions_table(found: ExchangeStatus) -> Any:
    """What the account holds, a line each."""
    from rich.text import Text

    from gambler_ai.cli import render

    rows = render.table(
        ("symbol", "left"), ("qty", "right"), ("paid", "right"), ("last", "right"), ("P&L", "right")
    )  # fmt: skip
    for held in found.positions:
        rows.add_row(
            held.symbol, render.qty(held.qty), render.price(held.avg_entry_price), render.price(held.current_price),
            Text(render.money(held.unrealized_pl, sign=True), render.pnl_style(held.unrealized_pl)),
        )  # fmt: skip
    return rows


def orders_table(found: list[OrderRow]) -> Any:
    """Orders, a line each, as Alpaca spells them."""
    from gambler_ai.cli import render

    rows = render.table(
        ("market time", "left"), ("symbol", "left"), ("side", "left"), ("type", "left"), ("class", "left"),
        ("qty", "right"), ("limit", "right"), ("stop", "right"), ("filled", "right"), ("at", "right"),
        ("status", "left"), ("client order id", "left"),
    )  # fmt: skip
    for order in found:
        much = render.dollars(order.notional) if order.qty is None else render.qty(order.qty)
        rows.add_row(
            render.day_time(order.submitted_at), order.symbol, order.side, f"{order.type} {order.time_in_force}",
            order.order_class or "simple", much, render.price(order.limit_price), render.price(order.stop_price),
            render.qty(order.filled_qty), render.price(order.filled_avg_price), order.status,
            render.printable(order.client_order_id),
        )  # fmt: skip
    return rows
