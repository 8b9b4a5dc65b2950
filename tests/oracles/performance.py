"""Writes performance.json beside it: what empyrical-reloaded and quantstats say of some curves and round trips.

They are not installed for the tests: scipy and matplotlib would double that environment. To write it again, anywhere:

    pip install empyrical-reloaded==0.7.1 quantstats==0.0.86
    python tests/oracles/performance.py
"""

import json
from pathlib import Path
from typing import Any

import empyrical
import numpy as np
import pandas as pd
from quantstats import stats

#: Name -> seed, days, mean and deviation of the daily return.
CURVES = {
    "month": (1, 21, 0.001, 0.01), "year": (2, 252, 0.0005, 0.012), "falling": (3, 300, -0.002, 0.02),
    "wild": (4, 64, 0.0, 0.08),
}  # fmt: skip
TRADES = {"mixed": (5, 60, 3.0, 100.0), "poor": (6, 40, -80.0, 100.0)}


def curve(seed: int, days: int, mean: float, deviation: float) -> dict[str, Any]:
    """A curve that starts at 100,000, in cents."""
    gains = 1 + np.random.default_rng(seed).normal(mean, deviation, days)
    equity = np.round(100_000 * np.cumprod([1.0, *gains]), 2)
    returns = pd.Series(equity).pct_change().dropna()
    return {
        "equity": [f"{value:.2f}" for value in equity],
        "total_return": empyrical.cum_returns_final(returns),
        "cagr": empyrical.cagr(returns),
        "volatility": empyrical.annual_volatility(returns),
        "sharpe": empyrical.sharpe_ratio(returns),
        "sortino": empyrical.sortino_ratio(returns),
        "max_drawdown": empyrical.max_drawdown(returns),
        "calmar": empyrical.calmar_ratio(returns),
    }


def trades(seed: int, count: int, mean: float, deviation: float) -> dict[str, Any]:
    """Dollars of round trips, in cents."""
    pnl = np.round(np.random.default_rng(seed).normal(mean, deviation, count), 2)
    series = pd.Series(pnl)
    return {
        "pnl": [f"{value:.2f}" for value in pnl],
        "win_rate": stats.win_rate(series, prepare_returns=False),
        "profit_factor": stats.profit_factor(series, prepare_returns=False),
        "average_win": stats.avg_win(series, prepare_returns=False),
        "average_loss": stats.avg_loss(series, prepare_returns=False),
        "longest_wins": stats.consecutive_wins(series, prepare_returns=False),
        "longest_losses": stats.consecutive_losses(series, prepare_returns=False),
    }


def main() -> None:
    found = {
        "curves": {name: curve(*given) for name, given in CURVES.items()},
        "trades": {name: trades(*given) for name, given in TRADES.items()},
    }
    text = json.dumps(found, indent=1, default=float)
    Path(__file__).with_suffix(".json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
