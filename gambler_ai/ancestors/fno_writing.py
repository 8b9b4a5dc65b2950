"""A session of ours in the shape of an F&O system's three files, for dashboards that read those.

Numbers are JSON numbers with every digit that we have; times name their zone. ``shares`` counts the underlying: a
contract is 100. Stop and target of a structure are net prices of the whole, so its legs have none, and the structures
stand in a list of their own beside the positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from gambler_ai.ancestors.fno import DAY, PORTFOLIO, SYSTEM, WORD_MAX
from gambler_ai.core.model import ClosedTrade, Position
from gambler_ai.core.state import SessionState
from gambler_ai.core.structures import Structure
from gambler_ai.core.text import one_line

_MODE = "paper"
_MINUTE_PLACES = Decimal("0.01")
_encoder = msgspec.json.Encoder(decimal_format="number")


def documents(state: SessionState, trades: Sequence[ClosedTrade]) -> dict[str, dict[str, Any]]:
    """File name -> what is in it. ``trades`` are the round trips so far, oldest first."""
    return {SYSTEM: system(state), PORTFOLIO: portfolio(state), DAY: day(state, trades)}


def encoded(document: dict[str, Any]) -> bytes:
    """A document as it stands in a file: indented, and a newline at its end."""
    return msgspec.json.format(_encoder.encode(document), indent=2) + b"\n"


def system(state: SessionState) -> dict[str, Any]:
    """`fno_system_state.json`; a structure is an extra row of the portfolio."""
    plan = state.plan
    capital = plan.position_size if plan.capital_per_trade is None else plan.capital_per_trade
    return {
        "timestamp": _time(state.last_at), "trading_mode": _MODE, "iteration": state.iteration,
        "portfolio": _book(state), "configuration": {
            "min_confidence": _number(plan.learning.min_confidence), "check_interval": _seconds(plan.interval_s),
            "max_positions": plan.max_positions, "capital_per_trade": _number(capital),
        },
    }  # fmt: skip


def portfolio(state: SessionState) -> dict[str, Any]:
    """`shared_portfolio_state.json`: what is held, at the last marks."""
    held = {
        symbol: row | _marked(state, state.positions[symbol]) for symbol, row in _positions(state).items()
    }  # fmt: skip
    return {
        "timestamp": _time(state.last_at), "trading_mode": _MODE, "cash": _number(state.account.cash),
        "positions": held, "total_value": _number(state.account.portfolio_value),
    }  # fmt: skip


def day(state: SessionState, trades: Sequence[ClosedTrade]) -> dict[str, Any]:
    """`current_state.json`: the day, how it went, and the round trips."""
    known = [trade.pnl for trade in trades if trade.pnl is not None]
    book = _book(state) | {
        "winning_trades": sum(pnl > 0 for pnl in known), "losing_trades": sum(pnl < 0 for pnl in known),
        "best_trade": _number(max(known, default=None)), "worst_trade": _number(min(known, default=None)),
        "trades_history": [_trade(trade) for trade in trades],
    }  # fmt: skip
    return {
        "mode": _MODE, "iteration": state.iteration, "trading_day": state.day or f"{state.last_at:%F}",
        "last_update": _time(state.last_at), "portfolio": book, "total_value": _number(state.account.portfolio_value),
    }  # fmt: skip


def _book(state: SessionState) -> dict[str, Any]:
    book: dict[str, Any] = {
        "initial_cash": _number(state.initial_equity), "cash": _number(state.account.cash),
        "positions": _positions(state), "trades_count": state.closed_trades, "total_pnl": _number(state.realized_pnl),
    }  # fmt: skip
    if state.structures:
        book["structures"] = [_structure(one) for one in state.structures.values()]
    return book


def _positions(state: SessionState) -> dict[str, dict[str, Any]]:
    return {symbol: _position(state, p) for symbol, p in sorted(state.positions.items()) if p.qty}


def _position(state: SessionState, p: Position) -> dict[str, Any]:
    structure = state.structures.get(p.structure_id)
    is_leg = bool(p.structure_id)  # its stop and target are the structure's
    sector = state.plan.risk.sectors.get(p.symbol, "") if structure is None else structure.sector
    return {
        "shares": _number(p.qty * p.multiplier), "entry_price": _number(p.avg_entry_price),
        "stop_loss": None if is_leg else _number(p.stop_price),
        "take_profit": None if is_leg else _number(p.target_price), "entry_time": _time(p.entry_at),
        "strategy": _word(p.strategy if structure is None else structure.strategy), "sector": _word(sector),
    }  # fmt: skip


def _marked(state: SessionState, p: Position) -> dict[str, Any]:
    """What it is worth now, where that is known."""
    mark = state.marks.get(p.symbol)
    return {} if mark is None else {"current_price": _number(mark), "pnl": _number(p.unrealized(mark))}


def _structure(one: Structure) -> dict[str, Any]:
    return {
        "id": one.structure_id, "strategy": _word(one.strategy), "underlying": one.underlying,
        "sector": _word(one.sector), "units": one.units, "entry_price": _number(one.entry_price),
        "stop_price": _number(one.stop_price), "target_price": _number(one.target_price),
        "opened_at": _time(one.opened_at),
        "legs": [{"symbol": leg.symbol, "ratio": leg.ratio} for leg in one.legs],
    }  # fmt: skip


def _trade(trade: ClosedTrade) -> dict[str, Any]:
    minutes = Decimal(int(trade.duration.total_seconds())) / 60
    return {
        "timestamp": _time(trade.exit_at), "symbol": trade.symbol, "side": trade.side,
        "shares": _number(trade.qty * trade.multiplier), "entry_price": _number(trade.entry_price),
        "exit_price": _number(trade.exit_price), "pnl": _number(trade.pnl),
        "duration": max(minutes, Decimal(0)).quantize(_MINUTE_PLACES), "strategy": _word(trade.strategy),
        "reason": _word(trade.reason),
    }  # fmt: skip


def _number(value: Decimal | None) -> Decimal | None:
    """As it is, without an exponent."""
    return None if value is None else Decimal(f"{value:f}")


def _seconds(value: float) -> int | Decimal:
    return int(value) if value.is_integer() else Decimal(repr(value))


def _word(text: str) -> str:
    return one_line(text, WORD_MAX)


def _time(at: datetime) -> str:
    return at.isoformat()
