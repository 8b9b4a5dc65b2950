"""An archived session of another bot as tables for people."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from gambler_ai.ancestors.fno import PastBooks, PastPosition
from gambler_ai.ancestors.history import PastTrade
from gambler_ai.ancestors.summary import command_of, currency_of
from gambler_ai.app.archiving import Kept
from gambler_ai.cli import render
from gambler_ai.cli.wiring import as_called
from gambler_ai.storage.sessions import SessionInfo

#: Trades that are printed; `--json` has all.
_TRADES = 20


def print_archived(out: Any, info: SessionInfo, files: list[Kept]) -> None:
    """What each of its files says."""
    out.print(render.pair("Session", f"{info.id}  archived", render.STRONG))
    out.print(render.pair("Imported", f"{info.created_at:%F %R} UTC, of another bot: never traded, never reconciled"))
    if not files:
        out.print(Text("nothing of it can be read any more: import the files again", render.WARN))
    for file in files:
        out.print()
        out.print(Text(file.kind, render.STRONG))
        _print_books(out, file.books)


def _print_books(out: Any, books: PastBooks) -> None:
    for name, value in _facts(books).items():
        out.print(render.pair(name, render.printable(value)))
    if books.positions:
        out.print()
        out.print(_positions(books.positions))
    if books.structures:
        out.print()
        out.print(_structures(books))
    if books.trades:
        out.print()
        out.print(_trades(books.trades[-_TRADES:]))


def _facts(books: PastBooks) -> dict[str, str]:
    """Name -> value, of what the file says."""
    times = f", times taken as {books.zone}" if books.zone else ""
    said = {
        "Saved": f"{books.saved_at:%F %T} UTC{times}" if books.saved_at is not None else "",
        "Day": books.day, "Mode": books.mode, "Iteration": _number(books.iteration),
        "Cash": render.money(books.cash) if books.cash is not None else "",
        "Capital": render.money(books.initial_cash) if books.initial_cash is not None else "",
        "Total value": render.money(books.total_value) if books.total_value is not None else "",
        "P&L": render.money(books.total_pnl, sign=True) if books.total_pnl is not None else "",
        "Currency": currency_of(books), "Trades": _trades_line(books),
        "Settings": as_called(command_of(books.settings)) if books.settings is not None else "",
    }  # fmt: skip
    return {name: value for name, value in said.items() if value}


def _trades_line(books: PastBooks) -> str:
    if books.trades_count is None:
        return ""
    won = f", {books.wins:,} won" if books.wins is not None else ""
    return f"{books.trades_count:,}{won}" + (f", {books.losses:,} lost" if books.losses is not None else "")


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _positions(found: tuple[PastPosition, ...]) -> Any:
    rows = render.table(
        ("symbol", "left"), ("shares", "right"), ("entry", "right"), ("since (UTC)", "left"), ("stop", "right"),
        ("target", "right"), ("strategy", "left"), ("sector", "left"),
    )  # fmt: skip
    for p in found:
        since = f"{p.entered_at:%F %T}" if p.entered_at is not None else "-"
        words = (Text(render.printable(word)) for word in (p.strategy, p.sector))
        rows.add_row(
            p.symbol, render.qty(p.qty), render.price(p.entry_price), since, render.price(p.stop),
            render.price(p.target), *words,
        )  # fmt: skip
    return rows


def _structures(books: PastBooks) -> Any:
    rows = render.table(
        ("structure", "left"), ("underlying", "left"), ("units", "right"), ("entry", "right"), ("stop", "right"),
        ("target", "right"), ("legs", "left"),
    )  # fmt: skip
    for s in books.structures:
        legs = ", ".join(f"{ratio:+d} {symbol}" for symbol, ratio in s.legs)
        rows.add_row(
            Text(render.printable(s.strategy)), s.underlying, str(s.units), f"{s.entry_price:+.2f}", _net(s.stop),
            _net(s.target), legs,
        )  # fmt: skip
    return rows


def _net(value: Any) -> str:
    return "-" if value is None else f"{value:+.2f}"


def _trades(found: tuple[PastTrade, ...]) -> Any:
    rows = render.table(
        ("closed (UTC)", "left"), ("symbol", "left"), ("side", "left"), ("shares", "right"), ("entry", "right"),
        ("exit", "right"), ("P&L", "right"), ("strategy", "left"), ("reason", "left"),
    )  # fmt: skip
    for t in found:
        rows.add_row(
            f"{t.closed_at:%F %T}" if t.closed_at is not None else "-", t.symbol, Text(render.printable(t.side)),
            "-" if t.qty is None else render.qty(t.qty), render.price(t.entry_price), render.price(t.exit_price),
            render.money(t.pnl, sign=True), Text(render.printable(t.strategy)), Text(render.printable(t.reason)),
        )  # fmt: skip
    return rows
