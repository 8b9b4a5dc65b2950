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
    currency: str = "USD"  # "" where another bot's file names none


def saved(database: Database, info: SessionInfo, status: str) -> Saved:
    """What a resume of ``info`` would begin with, read as a resume reads it; of an archived one, what its files say."""
    from gambler_ai.app.archiving import is_archived
    from gambler_ai.errors import CheckpointCorrupt
    from gambler_ai.trading.recovery import restore

    if is_archived(info):
        return _archived(database, info)
    try:
        state = restore(database, info).state
    except CheckpointCorrupt as error:
        return Saved(info.id, status, info.updated_at, broken=error.message)
    return Saved(
        info.id, status, info.updated_at, state.iteration, len(state.structures), len(state.positions),
        state.account.cash,
    )  # fmt: skip


def _archived(database: Database, info: SessionInfo) -> Saved:
    """Of what its files say, each thing from the fullest that says it."""
    from gambler_ai.app.archiving import ACCOUNT, kept

    with database.read() as db:
        books = [file.books for file in kept(db, info)]
    if not books:
        return Saved(info.id, ACCOUNT, info.updated_at, broken="nothing of it can be read any more")
    first = books[0]
    return Saved(
        info.id, ACCOUNT, next((b.saved_at for b in books if b.saved_at is not None), info.created_at),
        iteration=next((b.iteration for b in books if b.iteration is not None), None),
        structures=len(first.structures), positions=max(len(b.positions) for b in books),
        cash=next((b.cash for b in books if b.cash is not None), None), currency=first.currency,
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
            _count(one.structures), _cash(one), one.status, render.printable(one.broken),
        )  # fmt: skip
    return rows


def _cash(found: Saved) -> str:
    if found.currency == "USD":
        return render.dollars(found.cash)
    return f"{render.money(found.cash)} {render.printable(found.currency)}".rstrip()


def _held(found: Saved) -> str:
    return f"{found.positions:,}" + (f" in {found.structures:,} structures" if found.structures else "")


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
