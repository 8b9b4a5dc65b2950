"""What a stored session would go on from: when it was saved, how far it had come, what it holds."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct

from gambler_ai.cli import render
from gambler_ai.storage.database import Database
from gambler_ai.storage.sessions import SessionInfo


class Saved(Struct, frozen=True):
    """``saved_at`` is wall time. ``broken`` says why what is stored cannot be read back; the rest is then not known."""

    session: str
    status: str
    saved_at: datetime
    iteration: int | None = None
    structures: int | None = None
    positions: int | None = None  # legs of structures among them
    cash: Decimal | None = None
    broken: str = ""


def saved(database: Database, info: SessionInfo, status: str) -> Saved:
    """What a resume of ``info`` would begin with, read as a resume reads it."""
    from gambler_ai.errors import CheckpointCorrupt
    from gambler_ai.trading.recovery import restore

    try:
        state = restore(database, info).state
    except CheckpointCorrupt as error:
        return Saved(info.id, status, info.updated_at, broken=error.message)
    return Saved(
        info.id, status, info.updated_at, state.iteration, len(state.structures), len(state.positions),
        state.account.cash,
    )  # fmt: skip


def saved_lines(found: Saved) -> list[str]:
    """The same for somebody who is asked whether to go on from there."""
    lines = [f"  Saved:     {render.day_time(found.saved_at)} New York"]
    if found.broken:
        return [*lines, f"  {render.printable(found.broken)}"]
    return [
        *lines, f"  Positions: {_held(found)}", f"  Cash:      {render.dollars(found.cash)}",
        f"  Iteration: {found.iteration:,}",
    ]  # fmt: skip


def saved_table(found: list[Saved]) -> Any:
    """A line for each session."""
    rows = render.table(
        ("session", "left"), ("saved (New York)", "left"), ("iteration", "right"), ("positions", "right"),
        ("structures", "right"), ("cash", "right"), ("status", "left"), ("", "left"),
    )  # fmt: skip
    for one in found:
        rows.add_row(
            one.session, render.day_time(one.saved_at), _count(one.iteration), _count(one.positions),
            _count(one.structures), render.dollars(one.cash), one.status, render.printable(one.broken),
        )  # fmt: skip
    return rows


def _held(found: Saved) -> str:
    return f"{found.positions:,}" + (f" in {found.structures:,} structures" if found.structures else "")


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
