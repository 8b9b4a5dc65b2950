"""The three files of an F&O system, as it writes them."""

from __future__ import annotations

import json
from typing import Any

POSITION = {
    "shares": 75, "entry_price": 220.42, "stop_loss": 207.19, "take_profit": 246.87,
    "entry_time": "2025-09-29T11:49:10.204428", "strategy": "straddle", "sector": "F&O",
}  # fmt: skip
SYSTEM: dict[str, Any] = {
    "timestamp": "2025-09-29T11:49:10.218268", "trading_mode": "paper", "iteration": 25,
    "portfolio": {
        "initial_cash": 1000000.0, "cash": 914462.59, "positions": {"NIFTY25SEP24650CE": POSITION}, "trades_count": 5,
        "total_pnl": 0.0,
    },
    "configuration": {"min_confidence": 0.65, "check_interval": 300, "max_positions": 5, "capital_per_trade": 200000},
}  # fmt: skip
PORTFOLIO: dict[str, Any] = {
    "timestamp": "2025-09-29T11:49:10.3", "trading_mode": "paper", "cash": 914462.59, "total_value": 999971.6,
    "positions": {"BANKNIFTY25SEP57200CE": {**POSITION, "shares": -50, "current_price": 390.1, "pnl": 12.5}},
}  # fmt: skip
DAY: dict[str, Any] = {
    "mode": "paper", "iteration": 25, "trading_day": "2025-09-29", "last_update": "2025-09-29T11:49:10+05:30",
    "portfolio": {
        **SYSTEM["portfolio"], "winning_trades": 1, "losing_trades": 0, "best_trade": 120.5, "worst_trade": 0.0,
        "trades_history": [
            {"timestamp": "2025-09-29T10:00:00+05:30", "symbol": "NIFTY25SEP24650CE", "side": "buy", "shares": 75,
             "price": 220.42},
            {"timestamp": "2025-09-29T11:00:00+05:30", "symbol": "NIFTY25SEP24650CE", "side": "sell", "shares": 75,
             "price": 222.03, "pnl": 120.5, "strategy": "straddle", "reason": "target"},
        ],
    },
    "total_value": 999971.6,
}  # fmt: skip
FILES = {"fno_system_state.json": SYSTEM, "shared_portfolio_state.json": PORTFOLIO, "current_state.json": DAY}


def changed(document: dict[str, Any], *path: str, to: Any) -> dict[str, Any]:
    """A copy in which one value is another."""
    copy: dict[str, Any] = json.loads(json.dumps(document))
    place = copy
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = to
    return copy
