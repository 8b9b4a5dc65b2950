"""A report on a terminal, or in a pipe: figures, equity and drawdown, the newest round trips."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from gambler_ai.cli import render
from gambler_ai.cli.analysis.figures import Group, excursions, groups, heading, leverage
from gambler_ai.cli.analysis.gathering import Report, RoundTrip, notes
from gambler_ai.cli.analysis.plot import axis, plot
from gambler_ai.cli.analysis.timeline import Timeline
from gambler_ai.cli.render import BAD, QUIET, STRONG, WARN
from gambler_ai.cli.structure_rows import trade_price, trade_side
from gambler_ai.core.performance import Point

#: Cells that a report takes at most, and lines of its two plots.
WIDTH_MAX, WIDTH_MIN, PIPE_WIDTH = 120, 60, 120
EQUITY_LINES, DRAWDOWN_LINES = 10, 4
#: Cells from which on a round trip is shown with its prices.
_PRICES_FROM = 100
#: Cells between two columns of figures, of a name, of a value, and of a remark that is not cut.
_GAP, _NAME, _VALUE, _REMARK = 2, 20, 12, 25


def print_analysis(out: Console, report: Report) -> None:
    """Everything, top to bottom."""
    width = max(WIDTH_MIN, min(out.width if out.is_terminal else PIPE_WIDTH, WIDTH_MAX))
    for line in _head(report):
        out.print(line)
    found = groups(report.performance)
    for line in _figures(found, width):
        out.print(line)
    if len(report.curve) > 1:
        for line in _plots(report, width):
            out.print(line)
    _print_trades(out, report, width)
    for text in notes(report):
        out.print(Text(text, WARN))


def _head(report: Report) -> list[Text]:
    (kind, subject), *rest = heading(report)
    return [
        render.pair(kind, f"{render.printable(subject)}  {report.status}", STRONG),
        *(render.pair(name, render.printable(text)) for name, text in rest),
    ]


def _figures(found: list[Group], width: int) -> Iterator[Text]:
    """Two groups beside each other where there is room, else below each other."""
    room = (width - _GAP) // 2
    if room < _NAME + _VALUE + _REMARK:
        room, beside = width, 1
    else:
        beside = 2
    for start in range(0, len(found), beside):
        yield Text()
        columns = [_column(group, room) for group in found[start : start + beside]]
        for index in range(max(map(len, columns))):
            line = Text()
            for number, column in enumerate(columns):
                cell = column[index] if index < len(column) else Text()
                line.append(" " * (number * (room + _GAP) - cell_len(line.plain)))
                line.append_text(cell)
            line.rstrip()
            yield line


def _column(group: Group, room: int) -> list[Text]:
    lines = [Text(group.title, STRONG)]
    for figure in group.figures:
        line = Text.assemble(
            (f"{figure.name:<{_NAME}}", QUIET),
            (f"{figure.value:>{_VALUE}}", figure.style),
            (f"  {figure.remark}", QUIET),
        )
        line.truncate(room, overflow="ellipsis")
        lines.append(line)
    return lines


def _plots(report: Report, width: int) -> Iterator[Text]:
    first, last = report.curve[0].at, report.curve[-1].at
    time = Timeline(report.performance.runs, first, last)
    equity = [(time.place(point.at), float(point.equity)) for point in report.curve]
    yield Text()
    yield Text("Equity", STRONG)
    yield from plot(equity, width, EQUITY_LINES, lambda value: f"{value:,.0f}", "")
    falls = [(time.place(at), fall * 100) for at, fall in drawdowns(report.curve)]
    worst = min(fall for _, fall in falls)
    if worst < 0:
        yield Text("Drawdown", STRONG)
        yield from plot(falls, width, DRAWDOWN_LINES, lambda value: f"{value:.2f} %", BAD, (worst, 0.0))
    yield axis(time.marks((width - 12) // 10), width)


def drawdowns(curve: list[Point]) -> list[tuple[Any, float]]:
    """How far equity is below its highest so far, at each point: a part of it, not above zero."""
    found, peak = [], curve[0].equity
    for point in curve:
        peak = max(peak, point.equity)
        found.append((point.at, float(point.equity / peak) - 1.0 if peak > 0 else 0.0))
    return found


def _print_trades(out: Console, report: Report, width: int) -> None:
    count = report.performance.trades.count
    out.print()
    if not count:
        out.print(Text("No round trip yet", QUIET))
        return
    left_out = count - len(report.trades)
    more = f"  the newest {len(report.trades):,} of {count:,}; all of them: --csv FILE" if left_out else ""
    out.print(Text.assemble(("Round trips", STRONG), (more, QUIET)))
    if report.trades:
        out.print(_trades_table(report.trades, prices=width >= _PRICES_FROM))


def _trades_table(found: list[RoundTrip], *, prices: bool) -> Any:
    """A line each; without the ``prices``, the leverage and the year it fits 80 cells."""
    columns = [("closed", "right"), ("symbol", "left"), ("side", "left"), ("qty", "right")]
    columns += [("entry", "right"), ("exit", "right"), ("lev", "right")] if prices else []
    columns += [("P&L", "right"), ("MAE", "right"), ("MFE", "right"), ("held", "right"), ("reason", "left")]
    rows = render.table(*columns)
    for row in found:
        t = row.trade
        at = t.exit_at.astimezone(render.NEW_YORK)
        rows.add_row(
            f"{at:%Y-%m-%d %H:%M}" if prices else f"{at:%m-%d %H:%M}", render.printable(t.symbol),
            render.printable(trade_side(t)), render.qty(t.qty),
            *((trade_price(t, t.entry_price), trade_price(t, t.exit_price), leverage(t.leverage)) if prices else ()),
            Text(render.money(t.pnl, sign=True), render.pnl_style(t.pnl)), *excursions(row), render.span(t.duration),
            render.printable(t.reason),
        )  # fmt: skip
    return rows
