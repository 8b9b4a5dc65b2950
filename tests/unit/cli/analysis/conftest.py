"""Reports made of round trips and readings, without a database."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from gambler_ai.cli.analysis.gathering import Report, RoundTrip
from gambler_ai.core.excursions import ExcursionFold
from gambler_ai.core.model import ClosedTrade
from gambler_ai.core.performance import EquityFold, Point, Span, TradeFold, exposure
from gambler_ai.storage.history import Performance
from gambler_ai.storage.sessions import SessionInfo
from tests.unit.fakes import AT, after, make_plan

D = Decimal
MakeReport = Callable[..., Report]


def trade(pnl: str | None = "10", end: float = 60, **changes: Any) -> ClosedTrade:
    fields: dict[str, Any] = {
        "position_id": "p", "symbol": "AAPL", "side": "long", "qty": D(10), "entry_price": D(100), "entry_at": AT,
        "exit_price": None if pnl is None else D(101), "exit_at": after(minutes=end),
        "pnl": None if pnl is None else D(pnl), "reason": "target", "strategy": "momentum",
    }  # fmt: skip
    return ClosedTrade(**fields | changes)


def info_of(**changes: Any) -> SessionInfo:
    fields: dict[str, Any] = {
        "id": "s-1", "broker": "embedded", "trading_url": "embedded", "account_id": "acc-1", "plan": make_plan(),
        "parameters": {}, "initial_capital": D(100_000), "status": "completed", "end_reason": "duration",
        "started_at": AT, "last_at": after(minutes=90), "created_at": AT, "updated_at": AT, "seq": 1,
        "journal_hash": "0" * 64, "checkpoints": 1, "closed_trades": 0, "realized_pnl": D(0),
    }  # fmt: skip
    return SessionInfo(**fields | changes)


@pytest.fixture
def make_report() -> MakeReport:
    """``make_report(equity, trades)``: a reading every ten minutes, one run of an hour and a half."""

    def make(
        equity: tuple[str, ...] = ("100000", "99000", "100500"), trades: tuple[ClosedTrade, ...] = (), *,
        runs: list[Span] | None = None, foreign: bool = False, shown: int = 1000, chain: tuple[SessionInfo, ...] = (),
        **changes: Any,
    ) -> Report:  # fmt: skip
        points = [Point(after(minutes=10 * index), D(value)) for index, value in enumerate(equity)]
        fold, closed = EquityFold(), TradeFold()
        for point in points:
            fold.add(point.at, "2008-10-07", point.equity)
        for found in trades:
            closed.add(found)
        ran = [Span(AT, after(minutes=90))] if runs is None else runs
        figures = Performance(
            fold.figures(), closed.figures(), exposure(sorted(Span(t.entry_at, t.exit_at) for t in trades), ran), 0.5,
            D(1000), D(1010), 2 * len(trades), ran, foreign,
        )  # fmt: skip
        last = trades[-shown:] if shown else ()
        rows = [RoundTrip("s-1", t, e) for t, e in zip(last, ExcursionFold(last).excursions(), strict=True)]
        info = info_of(**changes)
        return Report(info, info.status, figures, points, rows, chain)

    return make


def minutes(begin: float, end: float) -> Span:
    return Span(after(minutes=begin), after(minutes=end))
