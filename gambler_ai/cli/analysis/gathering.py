"""What a report is made of, read in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from gambler_ai.core.excursions import Excursion
from gambler_ai.core.model import ClosedTrade
from gambler_ai.core.performance import Point
from gambler_ai.storage import history, views
from gambler_ai.storage.history import Performance
from gambler_ai.storage.sessions import SessionInfo

#: The most round trips that a page or a document shows.
TRADES_MAX = 1_000
#: Of a table without end, the round trips that are in memory at once; the journal's marks are gone through for each.
TRADES_AT_ONCE = 10_000


class RoundTrip(Struct, frozen=True):
    """A closed trade, and how far it went against us and for us."""

    trade: ClosedTrade
    excursion: Excursion | None


class Report(Struct, frozen=True):
    """A session as it stands. ``trades`` are the newest of `Performance.trades.count`, oldest first."""

    info: SessionInfo
    status: str
    performance: Performance
    curve: list[Point]
    trades: list[RoundTrip]


def gather(db: Any, info: SessionInfo, status: str, trades: int) -> Report:
    """Read it; at most ``trades`` round trips."""
    curve = history.equity_curve(db, info.id)
    if curve and curve[-1].at < info.last_at:
        curve.append(Point(info.last_at, curve[-1].equity))  # nothing was stated since: it is what it was
    found = views.closed_trades(db, info.id, limit=trades)
    return Report(info, status, history.performance(db, info), curve, _round_trips(db, info.id, found))


def all_round_trips(db: Any, session_id: str) -> Iterator[RoundTrip]:
    """Every one, `TRADES_AT_ONCE` in memory."""
    for page in history.trades_in_pages(db, session_id, TRADES_AT_ONCE):
        yield from _round_trips(db, session_id, page)


def _round_trips(db: Any, session_id: str, trades: list[ClosedTrade]) -> list[RoundTrip]:
    excursions = history.excursions(db, session_id, trades)
    return [RoundTrip(trade, excursion) for trade, excursion in zip(trades, excursions, strict=True)]


def notes(report: Report) -> list[str]:
    """What a reader has to know beside the numbers."""
    figures = report.performance
    found = []
    if figures.foreign_seen:
        found.append("The account held shares that are not this session's: its equity has moved with them too.")
    if figures.trades.unpriced:
        count = figures.trades.unpriced
        what = "1 round trip" if count == 1 else f"{count:,} round trips"
        found.append(f"{what} ended without a price that the broker showed: in no figure but the count.")
    return found


def document(report: Report) -> dict[str, Any]:
    """The same for programs. Ratios and returns are parts of one; what is null says why in ``absent``."""
    info, figures = report.info, report.performance
    equity = msgspec.structs.asdict(figures.equity)
    if figures.equity.drawdown is not None:
        drawdown = msgspec.structs.asdict(figures.equity.drawdown)
        equity["drawdown"] = drawdown | {
            "peak": figures.equity.drawdown.peak._asdict(), "trough": figures.equity.drawdown.trough._asdict(),
            "length_s": drawdown.pop("length").total_seconds(),
        }  # fmt: skip
    for name in ("first", "last"):
        point: Point | None = equity[name]
        equity[name] = None if point is None else point._asdict()
    trades = msgspec.structs.asdict(figures.trades)
    held = trades.pop("mean_held")
    return {
        "session": info.id, "status": report.status, "broker": info.broker, "account": info.account_id,
        "symbols": info.plan.symbols, "strategy": info.plan.strategy, "started_at": info.started_at,
        "last_at": info.last_at, "equity": equity | {"change": figures.equity.change},
        "round_trips": trades | {"net": figures.trades.net, "mean_held_s": held and held.total_seconds()},
        "exposure": figures.exposure, "turnover": figures.turnover, "bought": figures.bought, "sold": figures.sold,
        "fills": figures.fills, "runs": [run._asdict() for run in figures.runs], "notes": notes(report),
        "curve": [point._asdict() for point in report.curve], "trades": [plain(found) for found in report.trades],
    }  # fmt: skip


def plain(found: RoundTrip) -> dict[str, Any]:
    """A round trip by name."""
    seen = found.excursion
    return msgspec.structs.asdict(found.trade) | {
        "held_s": found.trade.duration.total_seconds(), "adverse": seen and seen.adverse,
        "favourable": seen and seen.favourable,
    }  # fmt: skip
