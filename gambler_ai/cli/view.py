"""What the live view shows, taken off a session's state at one instant: values only, so any thread may draw it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from gambler_ai.cli import render
from gambler_ai.cli.render import BAD, WARN
from gambler_ai.cli.show import learners_line
from gambler_ai.cli.structure_rows import LEAVING, SETTLED, UNEVEN, StructureRow, position_legs, structure_rows
from gambler_ai.cli.words import Told
from gambler_ai.core import degraded
from gambler_ai.core.events import ALL
from gambler_ai.core.model import Account
from gambler_ai.core.protection import Protection, protections
from gambler_ai.core.state import SessionState
from gambler_ai.core.structures import OptionQuote
from gambler_ai.storage.checkpoints import CheckpointInfo

#: The name of the notice that the session comes to its end.
STOPPING = "Stopping"
#: How a structure stands where its row is not enough.
_TOLD = frozenset({UNEVEN, SETTLED, LEAVING})
#: The worst first, so that a list that is cut never hides a position without a stop.
_ORDER = {Protection.NAKED: 0, Protection.GUARDED: 1, Protection.PROTECTED: 2}


@dataclass(frozen=True)
class Place:
    """Where a session runs. ``pace`` is session seconds a wall second, 0 for as fast as it goes."""

    version: str
    broker: str
    database: str
    pace: float


@dataclass(frozen=True)
class Row:
    """A position; ``why`` says what there is instead of a stop."""

    symbol: str
    qty: Decimal
    entry: Decimal
    mark: Decimal
    gain: Decimal
    stop: Decimal | None
    target: Decimal | None
    status: Protection
    why: str


@dataclass(frozen=True)
class Notice:
    """Something that is not as it should be, and goes away when it is again."""

    name: str
    text: str
    style: str


@dataclass(frozen=True)
class Watched:
    """What a watcher has heard that is not in the state."""

    checkpoint: CheckpointInfo | None = None
    checkpoint_at: datetime | None = None  # when we were told; its own instant is that of the last fact in it
    stored: int = 0
    streams: tuple[tuple[str, bool, str], ...] = ()  # name, up, why
    opens: datetime | None = None  # while the market is closed
    left_s: float = 0.0  # session time that was left when it closed
    last: tuple[tuple[datetime, Told], ...] = ()  # decisions and denials, newest last
    quotes: Mapping[str, OptionQuote] = field(default_factory=dict)  # of contracts, by symbol


@dataclass(frozen=True)
class View:
    """One picture."""

    at: datetime
    session_id: str
    remaining_s: float
    budget_s: float
    account: Account
    initial_equity: Decimal | None
    realized: Decimal
    closed_trades: int
    rows: tuple[Row, ...]
    notices: tuple[Notice, ...]
    watched: Watched
    learners: str = ""
    structures: tuple[StructureRow, ...] = ()

    def stopping(self, reason: str) -> View:
        """The same while the session comes to its end."""
        others = (notice for notice in self.notices if notice.name != STOPPING)
        return replace(self, notices=(Notice(STOPPING, reason, WARN), *others))

    def left_s(self, now: datetime) -> float:
        """Session time left at ``now``; while the market is closed it stands still."""
        passed_s = 0.0 if self.watched.opens else (now - self.at).total_seconds()
        return max(0.0, self.remaining_s - max(0.0, passed_s))


def view_of(state: SessionState, at: datetime, watched: Watched) -> View:
    """The picture of ``state`` at ``at``. Only the thread that owns the state may ask for it."""
    rows = _rows(state)
    structures = structure_rows(state, at, watched.quotes)
    passed_s = max(0.0, (at - state.last_at).total_seconds())
    left_s = watched.left_s if watched.opens else max(0.0, state.remaining_s - passed_s)
    return View(
        at=at, session_id=state.session_id, remaining_s=left_s,
        budget_s=state.run_budget_s or state.plan.duration_s, account=state.account,
        initial_equity=state.initial_equity, realized=state.realized_pnl, closed_trades=state.closed_trades,
        rows=rows, notices=tuple(_notices(state, rows, structures)),
        watched=replace(watched, quotes={}),  # the picture keeps what it shows of them, not all of them
        learners=learners_line(state.plan), structures=structures,
    )  # fmt: skip


def _rows(state: SessionState) -> tuple[Row, ...]:
    """What is held, but for the legs of structures: those are one thing."""
    found, legs = [], position_legs(state)
    for p, status, why in protections(state):
        if p.symbol in legs:
            continue
        mark = state.marks.get(p.symbol, p.avg_entry_price)
        found.append(Row(
            p.symbol, p.qty, p.avg_entry_price, mark, p.unrealized(mark), p.stop_price, p.target_price, status, why
        ))  # fmt: skip
    return tuple(sorted(found, key=lambda row: (_ORDER[row.status], row.symbol)))


def _notices(state: SessionState, rows: tuple[Row, ...], structures: tuple[StructureRow, ...]) -> list[Notice]:
    """The gravest first."""
    found = [Notice(STOPPING, state.stopping, WARN)] if state.stopping else []
    found += [Notice("NAKED", f"{r.symbol}: {r.why}", BAD) for r in rows if r.status is Protection.NAKED]
    for name, why in state.degraded.items():
        style = WARN if degraded.entries(name) is degraded.Entries.ALLOWED else BAD
        found.append(Notice("Degraded", f"{name}: {why}; {degraded.consequence(name)}", style))
    found += [Notice("Halted", f"no entries: {by}: {why}", WARN) for by, why in state.halts.items()]
    found += [Notice(s.status, f"{s.underlying} {s.legs}: {s.why}", s.style) for s in structures if s.status in _TOLD]
    for symbol, why in state.exits.items():
        if symbol not in state.structures:
            found.append(Notice("Leaving", f"{'everything' if symbol == ALL else symbol}: {why}", WARN))
    found += [Notice("GUARDED", f"{r.symbol}: {r.why}", WARN) for r in rows if r.status is Protection.GUARDED]
    if state.foreign:
        names = ", ".join(f"{symbol} {render.qty(qty)}" for symbol, qty in sorted(state.foreign.items()))
        found.append(Notice("Not ours", f"{names}: left alone, no entries in it", WARN))
    return found
