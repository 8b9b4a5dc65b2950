"""What stands on the screen when a session has ended, and what a resume found."""

from __future__ import annotations

from datetime import timedelta

from rich.console import Console
from rich.text import Text

from gambler_ai.cli import render
from gambler_ai.cli.render import BAD, GOOD, STRONG, WARN
from gambler_ai.cli.show import held_line, learners_line, trades_table
from gambler_ai.cli.structure_rows import StructuresTable, position_legs, structure_rows
from gambler_ai.cli.wiring import as_called
from gambler_ai.core.catchup import CatchUp
from gambler_ai.core.model import ClosedTrade
from gambler_ai.core.protection import Protection, protections
from gambler_ai.core.state import SessionState

#: How a position stands -> its style.
PROTECTION_STYLES = {Protection.PROTECTED: GOOD, Protection.GUARDED: WARN, Protection.NAKED: BAD}


def print_report(out: Console, state: SessionState, trades: list[ClosedTrade]) -> None:
    """Result, round trips and what is still held."""
    first, last = state.initial_equity, state.account.equity
    out.print(render.pair("Session", f"{state.session_id}  {state.status}", STRONG))
    out.print(render.pair("Initial", f"{render.dollars(first):>14}"))
    out.print(render.pair("Final", f"{render.dollars(last):>14}"))
    if first:
        change = last - first
        text = f"{render.money(change, sign=True):>14}  ({change / first * 100:+.2f} %)"
        out.print(render.pair("P&L", text, render.pnl_style(change)))
    out.print(render.pair("Cash", f"{render.dollars(state.account.cash):>14}"))
    if learning := learners_line(state.plan):
        out.print(render.pair("Learners", as_called(f"{learning}; what they know: gambler-ai learners list")))
    for source, why in sorted(state.halts.items()):
        lifted = as_called("lifted by gambler-ai resume-trading")
        out.print(render.pair("Halted", f"no entries: {source}: {why}; {lifted}", WARN))
    out.print()
    out.print(Text(f"Closed trades: {state.closed_trades}", STRONG))
    if trades:
        out.print(trades_table(trades))
    legs = position_legs(state)
    if rows := structure_rows(state, state.last_at):
        out.print(Text(f"Open structures: {held_line(state)}", STRONG))
        out.print(StructuresTable(rows))
        out.print(Text("GUARDED only while this program runs: nobody watches these until you resume", WARN))
    if len(legs) < len(state.positions) or not rows:
        out.print(Text(f"Open positions: {len(state.positions) - len(legs)}", STRONG))
    if len(legs) < len(state.positions):
        _print_open(out, state, legs)


def _print_open(out: Console, state: SessionState, legs: set[str]) -> None:
    rows = render.table(
        ("symbol", "left"), ("qty", "right"), ("entry", "right"), ("mark", "right"), ("P&L", "right"),
        ("stop", "right"), ("target", "right"), ("", "left"),
    )  # fmt: skip
    for p, status, _why in protections(state):
        if p.symbol in legs:
            continue
        mark = state.marks.get(p.symbol, p.avg_entry_price)
        gain = p.unrealized(mark)
        rows.add_row(
            p.symbol, render.qty(p.qty), render.price(p.avg_entry_price), render.price(mark),
            Text(render.money(gain, sign=True), render.pnl_style(gain)), render.price(p.stop_price),
            render.price(p.target_price), Text(status.value, PROTECTION_STYLES[status]),
        )  # fmt: skip
    out.print(rows)


def catch_up_lines(report: CatchUp) -> list[tuple[str, str, str]]:
    """What a resume found out, as name, text and style."""
    if not report.down and not report.fills and not report.bars:
        return []
    lines = [("Down for", f"{down(report.down, report.bars, more=report.more)}, {report.fills} fills", "")]
    for names, word, style in (
        (report.stops, "stop filled meanwhile", WARN), (report.exits, "stop crossed while bare: closing now", BAD),
        (report.rearmed, "stop and target set again", WARN),
        (report.given_up, "entry never arrived and is stale: given up", WARN),
        (report.settled, "meanwhile", WARN), (report.left, "structure: closing now", BAD),
    ):  # fmt: skip
        lines += [("", f"{symbol}  {word}", style) for symbol in names]
    if report.unguarded:
        those = "1 structure was" if report.unguarded == 1 else f"{report.unguarded} structures were"
        lines.append(
            ("", f"{those} not guarded for {render.span(report.down)}: exit rules need a running session", BAD)
        )
    return lines


def down(length: timedelta, bars: int | None, *, more: bool) -> str:
    """How long nobody ran a session, and how many bars closed meanwhile."""
    passed = "bars could not be read" if bars is None else f"{bars}{'+' * more} bars passed"
    return f"{render.span(length)} of market time; {passed}"
