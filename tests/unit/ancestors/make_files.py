"""Writes the files under `files/`, as the bots wrote them. They are stored: no test depends on who can write them.

    python make_files.py NAME    with joblib and NumPy 1 (NAME numpy1) or NumPy 2 (NAME numpy2) installed

What is in them is what RAD's `save_state`, `save_q_table` and `save_weights` put there: joblib's own format, naive
local times, a date, floats of NumPy beside Python's. Beside it the same as pickles of every protocol, and a model.
"""

import importlib
import pickle
import sys
import types
from collections import OrderedDict, defaultdict, deque
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

FILES = Path(__file__).parent / "files"
START = datetime(2025, 3, 3, 9, 31, 7, 250_000)  # noqa: DTZ001 (`datetime.now()`, as they call it)


def trades() -> list[dict[str, Any]]:
    """Three trades as `record_trade` keeps them."""
    return [
        {"timestamp": START, "symbol": "BTC-USDT", "side": "long", "entry_price": 50_000, "exit_price": 51_000.0,
         "pnl": 0.02, "pnl_pct": np.float64(0.02), "duration": 60, "leverage": 10},
        {"timestamp": START + timedelta(hours=1), "symbol": "ETH-USDT", "side": "short", "entry_price": 3_000.5,
         "exit_price": 3_010.25, "pnl": np.float64(-0.00325), "pnl_pct": -0.00325, "duration": 45.5, "leverage": 10},
        {"timestamp": START + timedelta(hours=2), "symbol": "SOL-USDT", "side": "long", "entry_price": None,
         "exit_price": None, "pnl": 0, "pnl_pct": 0, "duration": 0, "leverage": 1},
    ]  # fmt: skip


def analytics() -> dict[str, Any]:
    """`AdvancedAnalytics.save_state`."""
    balances = [10_000, 10_200.5, np.float64(10_350.25)]
    curve = [{"timestamp": START + timedelta(hours=i), "balance": balance} for i, balance in enumerate(balances)]
    return {"trade_history": trades(), "equity_curve": curve, "max_history_size": 10_000}


def risk() -> dict[str, Any]:
    """`RiskManager.save_state`."""
    return {
        "peak_balance": 10_400.0, "current_drawdown": 0.0048, "daily_start_balance": 10_200.5, "daily_loss": 0.011,
        "trading_date": date(2025, 3, 3), "win_streak": 0, "loss_streak": 2,
        "recent_trades": [0.01, 0.02, -0.01, np.float64(0.015), 0.03, -0.011, -0.02], "total_trades": 25, "wins": 13,
        "losses": 10, "total_profit": 0.75, "total_loss": np.float64(0.45),
    }  # fmt: skip


def q_table() -> dict[str, Any]:
    """`ReinforcementLearningStrategy.save_q_table`."""
    actions = ("trend_following", "mean_reversion", "breakout", "momentum")
    states = [
        f"{regime}_{level}" for regime in ("trending", "ranging", "neutral") for level in ("low", "medium", "high")
    ]
    values = {state: dict.fromkeys(actions, 0.0) for state in states}
    values["trending_low"]["breakout"] = 0.125
    values["neutral_high"]["momentum"] = -0.5
    return {"q_table": values, "epsilon": 0.18}


def containers() -> dict[str, Any]:
    """Everything that is taken, in one."""
    one = np.arange(6, dtype=np.float32).reshape(2, 3)
    return {
        "list": [1, -1, 255, 65_536, 1 << 40, 1.5, True, None, "text", "\u00e9\u20ac", b"\x00\xff"],
        "tuple": (1, (2,), ()),
        "deque": deque([1, 2, 3], maxlen=3), "default": defaultdict(float, a=1.0), "ordered": OrderedDict(b=1, a=2),
        "set": {1, 2}, "frozen": frozenset({3}), "decimal": Decimal("1.10"), "delta": timedelta(1, 2, 3),
        "aware": datetime(2025, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "day": date(2025, 1, 2), "array": one,
        "fortran": np.asfortranarray(one), "big": np.array([1, 2], dtype=">i4"), "same": [one, one],
        "scalars": [np.int64(-7), np.float32(0.5), np.bool_(True), np.uint8(255)], "empty": np.zeros((0, 3)),
    }  # fmt: skip


def model() -> Any:
    """Something of a class that is not here, as scikit-learn's are not."""
    module = types.ModuleType("sklearn.ensemble._forest")
    kind = type("RandomForestClassifier", (), {"__module__": module.__name__})
    module.__dict__["RandomForestClassifier"] = kind
    for name in ("sklearn", "sklearn.ensemble"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules[module.__name__] = module
    return {"model": kind(), "scaler": None, "training_data": [], "feature_importance": {}, "performance_metrics": {}}


def main(name: str) -> None:
    joblib = importlib.import_module("joblib")
    folder = FILES / name
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(analytics(), folder / "analytics_state.pkl")
    joblib.dump(risk(), folder / "risk_manager_state.pkl")
    joblib.dump(q_table(), folder / "q_table.pkl")
    joblib.dump({"q_table": np.arange(6, dtype=np.float64).reshape(3, 2), "epsilon": 0.1}, folder / "q_array.pkl")
    joblib.dump(containers(), folder / "containers.pkl")
    joblib.dump(model(), folder / "signal_model.pkl")
    joblib.dump(risk(), folder / "compressed.pkl", compress=3)
    np.save(folder / "attention_weights.npy", np.ones(31) / 31)
    for protocol in range(6):
        (folder / f"containers_{protocol}.pkl").write_bytes(pickle.dumps(containers(), protocol))
        (folder / f"analytics_{protocol}.pkl").write_bytes(pickle.dumps(analytics(), protocol))


if __name__ == "__main__":
    main(sys.argv[1])
