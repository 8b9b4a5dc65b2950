"""The figures of a report as they are written: one list for the terminal and the page, so that they say the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

from msgspec import Struct

from gambler_ai.cli import render
from gambler_ai.cli.analysis.gathering import Report, RoundTrip, strategies, symbols
from gambler_ai.cli.show import strategy_line
from gambler_ai.core.performance import Drawdown, EquityFigures, TradeFigures
from gambler_ai.storage.history import Performance
from gambler_ai.storage.sessions import SessionInfo


class Figure(Struct, frozen=True):
    """A name, its value ("-" when there is none), a remark, and the style of the value."""

    name: str
    value: str
    remark: str = ""
    style: str = ""


class Group(Struct, frozen=True):
    """Figures that belong together."""

    title: str
    figures: list[Figure]


def groups(found: Performance) -> list[Group]:
    """All of them."""
    return [
        Group("Return", _returns(found.equity)), Group("Risk", _risk(found.equity)),
        Group("Round trips", _trades(found.trades)), Group("In the market", _market(found)),
    ]  # fmt: skip


def _returns(found: EquityFigures) -> list[Figure]:
    style = render.pnl_style(found.change)
    first, last = found.first, found.last
    return [
        Figure("Equity at first", render.money(first and first.equity)),
        Figure("Equity at last", render.money(last and last.equity)),
        Figure("Change", render.money(found.change, sign=True), style=style),
        _ratio(found, "Total return", "total_return", percent, style),
        _ratio(found, "CAGR", "cagr", percent, render.pnl_style(_exact(found.cagr))),
    ]


def _risk(found: EquityFigures) -> list[Figure]:
    drawdown = found.drawdown
    depth = "-" if drawdown is None else percent(-drawdown.depth)
    why = "equity never fell" if drawdown is None else f"from {render.money(drawdown.peak.equity)}"
    return [
        Figure("Max drawdown", depth, why, render.BAD if drawdown else ""),
        Figure("Its length", "-" if drawdown is None else render.span(drawdown.length), _recovery(drawdown)),
        _ratio(found, "Volatility a year", "volatility", lambda value: percent(value, sign=False)),
        _ratio(found, "Sharpe", "sharpe", ratio),
        _ratio(found, "Sortino", "sortino", ratio),
        _ratio(found, "Calmar", "calmar", ratio),
    ]


def _trades(found: TradeFigures) -> list[Figure]:
    priced = found.count - found.unpriced
    return [
        Figure("Round trips", f"{found.count:,}", f"{found.unpriced:,} without a price" if found.unpriced else ""),
        Figure("Net profit", render.money(found.net, sign=True) if priced else "-", style=render.pnl_style(found.net)),
        _of_trades(found, "Win rate", _opt(found.win_rate, lambda v: percent(v, sign=False)), "win_rate",
                   f"{found.wins:,} won, {found.losses:,} lost"),
        _of_trades(found, "Profit factor", _opt(found.profit_factor, ratio), "profit_factor"),
        _of_trades(found, "Expectancy", render.money(found.expectancy, sign=True), "expectancy", "a round trip"),
        _of_trades(found, "Average win", render.money(found.average_win, sign=True), "average_win"),
        _of_trades(found, "Average loss", render.money(found.average_loss, sign=True), "average_loss"),
        Figure("Best", render.money(found.best, sign=True)),
        Figure("Worst", render.money(found.worst, sign=True)),
        Figure("Longest streak won", f"{found.longest_wins:,}" if priced else "-"),
        Figure("Longest streak lost", f"{found.longest_losses:,}" if priced else "-"),
    ]  # fmt: skip


def _market(found: Performance) -> list[Figure]:
    run = sum((span.end - span.begin for span in found.runs), timedelta())
    return [
        Figure("Time run", _hours(run), _days_of(found.equity.days)),
        Figure("Exposure", _opt(found.exposure, lambda value: percent(value, sign=False)), "of the time run"),
        Figure("Mean time held", "-" if found.trades.mean_held is None else render.span(found.trades.mean_held)),
        Figure("Turnover", _opt(found.turnover, lambda value: f"{value:.2f}x"), "of the mean equity"),
        Figure("Bought", render.money(found.bought), f"{found.fills:,} fills"),
        Figure("Sold", render.money(found.sold)),
    ]


def excursions(found: RoundTrip) -> tuple[str, str]:
    """How far it went against us and for us."""
    seen = found.excursion
    return ("-", "-") if seen is None else (percent(seen.adverse), percent(seen.favourable))


def leverage(value: Decimal | None) -> str:
    """What a round trip was worth at its entry, in equities of the account."""
    return "-" if value is None else f"{value:.2f}x"


def heading(report: Report) -> list[tuple[str, str]]:
    """What is reported, as names and texts; the first is its kind and its id."""
    info, chain = report.info, report.chain
    if chain:
        count = f"{len(chain):,} sessions" if len(chain) > 1 else "1 session"
        first = [("Account", info.account_id), ("Broker", info.broker), ("Sessions", f"{count}, {_named(chain)}")]
    else:
        first = [("Session", info.id), ("Broker", f"{info.broker}, account {info.account_id}")]
    strategy = ", ".join(strategies(report)) if chain else strategy_line(info.plan)
    days = f"{render.day_time(report.sessions[0].started_at)} to {render.day_time(info.last_at)}"
    return [*first, ("Symbols", ",".join(symbols(report))), ("Strategy", strategy), ("Market time", days)]


def _named(chain: tuple[SessionInfo, ...]) -> str:
    return chain[0].id if len(chain) == 1 else f"{chain[0].id} to {chain[-1].id}"


def percent(value: float, *, sign: bool = True) -> str:
    """A part of one in percent."""
    return f"{value * 100:{'+' if sign else ''},.2f} %"


def ratio(value: float) -> str:
    """A number without a unit."""
    return f"{value:,.2f}"


def _ratio(found: EquityFigures, name: str, field: str, write: Callable[[float], str], style: str = "") -> Figure:
    value = getattr(found, field)
    return Figure(name, "-", found.absent.get(field, "")) if value is None else Figure(name, write(value), "", style)


def _of_trades(found: TradeFigures, name: str, value: str, field: str, remark: str = "") -> Figure:
    why = found.absent.get(field, "")
    return Figure(name, value, why or remark)


def _opt(value: float | None, write: Callable[[float], str]) -> str:
    return "-" if value is None else write(value)


def _exact(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def _recovery(found: Drawdown | None) -> str:
    if found is None:
        return ""
    if found.recovered_at is None:
        return "not recovered"
    begun, over = (at.astimezone(render.NEW_YORK) for at in (found.peak.at, found.recovered_at))
    return f"recovered {over:%H:%M:%S}" if begun.date() == over.date() else f"recovered {over:%Y-%m-%d}"


def _days_of(count: int) -> str:
    return f"{count:,} trading day" if count == 1 else f"{count:,} trading days"


def _hours(run: timedelta) -> str:
    """A trading day has six and a half hours: days of 24 would mislead."""
    hours, seconds = divmod(int(run.total_seconds()), 3_600)
    return f"{hours:,}h {seconds // 60}m" if hours else render.span(run)
