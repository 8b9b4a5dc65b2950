"""`risk`: what is remembered, what is at stake, the rules; and a person's word that it begins anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gambler_ai.cli.common import Config, DatabaseUrl, Json, print_json
from gambler_ai.cli.control import SessionId, ask
from gambler_ai.cli.wiring import open_database

if TYPE_CHECKING:
    from rich.text import Text

    from gambler_ai.app.risk_view import RiskView

app = typer.Typer(help="Risk of a session: peak, drawdown, streaks, exposure, limits.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Risk of a session."""


@app.command()
def show(
    session: SessionId = None, database_url: DatabaseUrl = None, config: Config = None, as_json: Json = False
) -> None:
    """Peak, drawdown, streaks and totals; what is at stake, and how much of each limit is used."""
    from gambler_ai.app.asking import looked_at
    from gambler_ai.app.risk_view import risk_view

    database = open_database(database_url, config)
    try:
        view = risk_view(database, looked_at(database, session).id)
    finally:
        database.close()
    if as_json:
        print_json(view)
    else:
        _print(view)


@app.command()
def rules(as_json: Json = False) -> None:
    """Every rule of size and rest, with its default; set one by --risk NAME=VALUE or in [risk] of the configuration."""
    from gambler_ai.cli import render

    found = described()
    if as_json:
        print_json([{"name": name, "default": default, "what": what} for name, default, what in found])
        return
    rows = render.table(("rule", "left"), ("default", "left"), ("what it is", "left"))
    for row in found:
        rows.add_row(*row)
    render.console().print(rows)


@app.command()
def reset(
    session: SessionId = None,
    reason: Annotated[
        str, typer.Option("--reason", help="Why; it stands in the journal with your name.", metavar="TEXT")
    ] = "",
    database_url: DatabaseUrl = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """The peak is where equity is now, no loss counts as one in a row, a halt for the drawdown ends. Totals stay."""
    from gambler_ai.errors import ConfigError

    if not reason.strip():
        raise ConfigError("a reset widens limits", hint="say why: --reason TEXT")
    ask("risk-reset", session, "", reason, database_url, config, as_json=as_json)


def described() -> list[tuple[str, str, str]]:
    """Name, default and meaning of each rule."""
    from msgspec import structs

    from gambler_ai.core.risk_rules import TEXTS, RiskRules

    plain = RiskRules()
    shown = {field.name: getattr(plain, field.name) for field in structs.fields(RiskRules)}
    return [(name, "-" if value in (None, {}) else str(value), TEXTS[name]) for name, value in shown.items()]


def _print(view: RiskView) -> None:
    from rich.text import Text

    from gambler_ai.cli import render

    out = render.console()
    for line in _lines(view):
        out.print(line)
    for title, rows in (("Limits", _limits(view)), ("At stake", _stakes(view))):
        if rows is not None:
            out.print()
            out.print(Text(title, render.STRONG))
            out.print(rows)


def _lines(view: RiskView) -> list[Text]:
    from rich.text import Text

    from gambler_ai.cli import render

    peak = "" if view.peak_at is None else f", peak {render.dollars(view.peak)} at {render.day_time(view.peak_at)}"
    down = f"{view.drawdown_pct:.2f} %, at worst {view.worst_pct:.2f} %"
    since = f" since {render.day_time(view.reset_at)}" if view.reset_at is not None else ""
    lines = [
        render.pair("Session", view.session, render.STRONG),
        render.pair("Market time", render.day_time(view.at)),
        render.pair("Equity", f"{render.dollars(view.equity)}{peak}"),
        render.pair("Drawdown", down + since, render.WARN if view.drawdown_pct else ""),
        render.pair("Today", render.money(view.day_pnl, sign=True), render.pnl_style(view.day_pnl)),
        render.pair("Streak", _streak(view)),
        render.pair("Round trips", _totals(view)),
        render.pair("Last trades", _recent(view)),
    ]
    if view.scale != 1:
        lines.append(render.pair("Size", f"{view.scale * 100:.1f} % of what it would be", render.WARN))
    if view.paused_until is not None:
        until = render.day_time(view.paused_until)
        lines.append(render.pair("Paused", f"no entries until {until}, after losses in a row", render.WARN))
    for source, why in sorted(view.halts.items()):
        lines.append(render.pair("Halted", Text(f"{source}: {render.printable(why)}", render.WARN)))
    if view.carried_from:
        lines.append(render.pair("Carried", f"from session {view.carried_from}", render.QUIET))
    return lines


def _streak(view: RiskView) -> str:
    count = abs(view.streak)
    kind = ("win" if count == 1 else "wins") if view.streak > 0 else ("loss" if count == 1 else "losses")
    now = f"{count} {kind} in a row" if count else "none"
    return f"{now}; longest {view.longest_wins} won, {view.longest_losses} lost"


def _totals(view: RiskView) -> str:
    from gambler_ai.cli import render

    flat = f", {view.flats} flat" if view.flats else ""
    kelly = "" if view.kelly is None else f"; Kelly's fraction {view.kelly:.3f}"
    sums = f"{render.money(view.won, sign=True)} and {render.money(-view.lost, sign=True)}"
    return f"{view.wins} won, {view.losses} lost{flat}: {sums}{kelly}"


def _recent(view: RiskView) -> Text | str:
    from rich.text import Text

    from gambler_ai.cli import render

    if not view.recent:
        return "none yet"
    parts: list[Any] = []
    for result in view.recent:
        text = f"{result.symbol} {render.money(result.pnl, sign=True)}"
        parts += [(text, render.pnl_style(result.pnl)), "  "]
    return Text.assemble(*parts[:-1])


def _limits(view: RiskView) -> Any:
    from rich.text import Text

    from gambler_ai.cli import render

    if not view.limits:
        return None
    rows = render.table(("limit", "left"), ("used", "right"), ("allowed", "right"), ("of", "left"), ("", "left"))
    for usage in view.limits:
        style = render.BAD if usage.used >= usage.allowed else ""
        rows.add_row(
            usage.limit, Text(f"{usage.used:,.2f}".removesuffix(".00"), style),
            f"{usage.allowed:,.2f}".removesuffix(".00"), usage.unit, usage.what,
        )  # fmt: skip
    return rows


def _stakes(view: RiskView) -> Any:
    from gambler_ai.cli import render

    if not view.stakes:
        return None
    rows = render.table(
        ("symbol", "left"), ("sector", "left"), ("dollars", "right"), ("% of equity", "right"),
        ("in other sessions", "right"),
    )  # fmt: skip
    for stake in view.stakes:
        other = render.money(stake.elsewhere) if stake.elsewhere else "-"
        rows.add_row(stake.symbol, stake.sector or "-", render.money(stake.value), f"{stake.pct:.2f}", other)
    return rows
