"""What a report is made of, read in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
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

    session: str
    trade: ClosedTrade
    excursion: Excursion | None


class Report(Struct, frozen=True):
    """A session as it stands, or an account. ``trades`` are the newest of `Performance.trades.count`, oldest first."""

    #: The session, or the newest of the account's.
    info: SessionInfo
    status: str
    performance: Performance
    curve: list[Point]
    trades: list[RoundTrip]
    #: All sessions of an account, oldest first; empty when one session is reported.
    chain: tuple[SessionInfo, ...] = ()

    @property
    def sessions(self) -> tuple[SessionInfo, ...]:
        """Those that are reported, oldest first."""
        return self.chain or (self.info,)


def gather(db: Any, info: SessionInfo, status: str, trades: int) -> Report:
    """Read it; at most ``trades`` round trips."""
    curve = _to_the_end(history.equity_curve(db, info.id), info)
    found = [(info.id, trade) for trade in views.closed_trades(db, info.id, limit=trades)]
    return Report(info, status, history.performance(db, info), curve, _round_trips(db, found))


def gather_account(db: Any, chain: Sequence[SessionInfo], status: str, trades: int) -> Report:
    """The same of an account, all of its sessions in time; ``status`` is that of the one that went furthest."""
    newest = max(chain, key=lambda info: info.last_at)
    curve = _to_the_end(history.account_curve(db, chain), newest)
    found = [(info.id, trade) for info in chain for trade in views.closed_trades(db, info.id, limit=trades)]
    found = sorted(found, key=lambda pair: pair[1].exit_at)[-trades:] if trades else []
    figures = history.performance(db, *chain)
    return Report(newest, status, figures, curve, _round_trips(db, found), tuple(chain))


def all_round_trips(db: Any, infos: Sequence[SessionInfo]) -> Iterator[RoundTrip]:
    """Every one, `TRADES_AT_ONCE` in memory."""
    found = history.account_trades(db, infos)
    while page := list(islice(found, TRADES_AT_ONCE)):
        yield from _round_trips(db, page)


def _to_the_end(curve: list[Point], info: SessionInfo) -> list[Point]:
    if curve and curve[-1].at < info.last_at:
        curve.append(Point(info.last_at, curve[-1].equity))  # nothing was stated since: it is what it was
    return curve


def _round_trips(db: Any, found: list[tuple[str, ClosedTrade]]) -> list[RoundTrip]:
    by_session: dict[str, list[ClosedTrade]] = {}
    for session_id, trade in found:
        by_session.setdefault(session_id, []).append(trade)
    excursions = {name: iter(history.excursions(db, name, trades)) for name, trades in by_session.items()}
    return [RoundTrip(session_id, trade, next(excursions[session_id])) for session_id, trade in found]


def notes(report: Report) -> list[str]:
    """What a reader has to know beside the numbers."""
    figures = report.performance
    found = []
    if figures.foreign_seen:
        whose = "the session's that ran" if report.chain else "this session's"
        found.append(f"The account held shares that are not {whose}: its equity has moved with them too.")
    if figures.trades.unpriced:
        count = figures.trades.unpriced
        what = "1 round trip" if count == 1 else f"{count:,} round trips"
        found.append(f"{what} ended without a price that the broker showed: in no figure but the count.")
    return found


def document(report: Report) -> dict[str, Any]:
    """The same for programs. Ratios and returns are parts of one; what is null says why in ``absent``."""
    figures = report.performance
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
    return _subject(report) | {
        "equity": equity | {"change": figures.equity.change},
        "round_trips": trades | {"net": figures.trades.net, "mean_held_s": held and held.total_seconds()},
        "exposure": figures.exposure, "turnover": figures.turnover, "bought": figures.bought, "sold": figures.sold,
        "fills": figures.fills, "runs": [run._asdict() for run in figures.runs], "notes": notes(report),
        "curve": [point._asdict() for point in report.curve], "trades": [plain(found) for found in report.trades],
    }  # fmt: skip


def _subject(report: Report) -> dict[str, Any]:
    """What is reported: a session, or an account with the ids of its sessions."""
    info = report.info
    return ({"sessions": [one.id for one in report.chain]} if report.chain else {"session": info.id}) | {
        "status": report.status, "broker": info.broker, "account": info.account_id,
        "symbols": symbols(report), "strategy": ",".join(strategies(report)),
        "started_at": report.sessions[0].started_at, "last_at": info.last_at,
    }  # fmt: skip


def symbols(report: Report) -> tuple[str, ...]:
    """What was traded, each once."""
    return tuple(dict.fromkeys(symbol for info in report.sessions for symbol in info.plan.symbols))


def strategies(report: Report) -> tuple[str, ...]:
    """By whom, each once."""
    return tuple(dict.fromkeys(info.plan.strategy for info in report.sessions))


def plain(found: RoundTrip) -> dict[str, Any]:
    """A round trip by name."""
    seen = found.excursion
    return msgspec.structs.asdict(found.trade) | {
        "session": found.session,
        "held_s": found.trade.duration.total_seconds(), "adverse": seen and seen.adverse,
        "favourable": seen and seen.favourable,
    }  # fmt: skip
