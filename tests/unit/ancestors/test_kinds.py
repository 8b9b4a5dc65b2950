# ruff: noqa: E501 (tables of input are easier to read in long lines)
"""What a file is, what is taken of it, and what is left out by name."""

import json
import pickle
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gambler_ai.ancestors import FILE_MAX, Refused, recognise
from gambler_ai.ancestors.history import History
from gambler_ai.ancestors.learned import QTable, Weights
from gambler_ai.ancestors.lesson import BotConfig, BotState, Held
from gambler_ai.ancestors.risk import PastRisk
from tests.unit.ancestors.make_files import analytics, q_table, risk

FILES = Path(__file__).parent / "files"
D = Decimal
CONFIG = {
    "api_key": "PKTESTTESTTEST", "api_secret": "very-secret-value", "paper_trading": True, "trade_symbol": "SPY",
    "trade_quantity": 10, "strategy_parameters": {"short_window": 40, "long_window": 100}, "check_interval_seconds": 300,
}  # fmt: skip
both = pytest.mark.parametrize("numpy", ["numpy1", "numpy2"])


def of(value: Any) -> Any:
    return recognise(pickle.dumps(value), UTC)


def of_json(value: Any) -> Any:
    return recognise(json.dumps(value).encode(), UTC)


# -- RAD ------------------------------------------------------------------------------------------


@both
def test_analytics_keep_every_trade_and_point(numpy: str):
    found = recognise((FILES / numpy / "analytics_state.pkl").read_bytes(), UTC)
    assert (found.kind, found.left_out) == ("analytics", [])
    assert isinstance(found.memory, History)
    first, second, third = found.memory.trades
    assert (first.symbol, first.side, first.entry_price, first.exit_price) == (
        "BTC-USDT",
        "long",
        D(50_000),
        D("51000.0"),
    )
    assert (first.pnl, first.pnl_pct, first.duration_min, first.leverage) == (D("0.02"), D("0.02"), D(60), D(10))
    assert first.closed_at == datetime(2025, 3, 3, 9, 31, 7, 250_000, tzinfo=UTC)
    assert (second.pnl, third.entry_price) == (D("-0.00325"), None)
    assert [point.equity for point in found.memory.equity] == [D(10_000), D("10200.5"), D("10350.25")]


def test_times_without_a_zone_are_of_the_zone_that_is_named():
    found = recognise((FILES / "numpy2/analytics_state.pkl").read_bytes(), timezone(timedelta(hours=-5)))
    assert isinstance(found.memory, History)
    assert found.memory.equity[0].at == datetime(2025, 3, 3, 14, 31, 7, 250_000, tzinfo=UTC)


def test_rows_that_say_nonsense_are_left_out_and_named():
    tree = analytics()
    tree["trade_history"][1]["pnl"] = float("nan")
    tree["trade_history"].append("not a trade")
    tree["trade_history"][0]["mood"] = "good"
    tree["equity_curve"][2]["balance"] = -1
    tree["colour"] = "blue"
    found = of(tree)
    assert len(found.memory.trades) == 2
    assert found.left_out == [
        "trade 2: pnl is not a finite number of sensible size", "trade 4: a str, not a record", "of each trade: mood",
        "equity point 3: balance is -1, less than 0", "not known here: colour",
    ]  # fmt: skip


def test_a_history_of_nothing_but_nonsense_is_refused():
    with pytest.raises(Refused, match="none of its 2 rows of trade_history can be used; trade 1: symbol is not one"):
        of({"trade_history": [{"symbol": 7}, {"symbol": "'; DROP"}], "equity_curve": []})


@both
def test_the_risk_manager_keeps_totals_streaks_and_drawdown(numpy: str):
    found = recognise((FILES / numpy / "risk_manager_state.pkl").read_bytes(), UTC)
    assert found.memory == PastRisk(
        trades=25, wins=13, losses=10, profit=D("0.75"), loss=D("0.45"), win_streak=0, loss_streak=2,
        recent=tuple(map(D, ("0.01", "0.02", "-0.01", "0.015", "0.03", "-0.011", "-0.02"))), peak_balance=D("10400.0"),
        drawdown=D("0.0048"), day=date(2025, 3, 3), day_start_balance=D("10200.5"), daily_loss=D("0.011"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "why"),
    [({"wins": 20}, "counts 20 wins and 10 losses in 25 trades"), ({"win_streak": 3}, "wins and of losses at once"),
     ({"loss_streak": 11}, "longer than all it counts"), ({"peak_balance": float("inf")}, "peak_balance is not a finite"),
     ({"current_drawdown": 1.5}, "more than everything"), ({"total_trades": -1}, "total_trades is no count"),
     ({"total_loss": -0.5}, "less than 0"), ({"recent_trades": 3}, "not a list"), ({"trading_date": "today"}, "its day is a str"),
     ({"recent_trades": [float("nan")]}, "recent_trades is not a finite"), ({"wins": "13"}, "wins is no count")],
)  # fmt: skip
def test_a_risk_memory_that_contradicts_itself_is_refused(change: dict[str, Any], why: str):
    with pytest.raises(Refused, match=why):
        of(risk() | change)


@both
def test_the_q_table_keeps_its_values_and_epsilon(numpy: str):
    found = recognise((FILES / numpy / "q_table.pkl").read_bytes(), UTC)
    assert found.memory == QTable(q_table()["q_table"], 0.18)


def test_a_q_table_is_taken_with_other_keys_and_rows():
    assert of({(0, 1): [0.5, 1], (1, 0): np.array([2.0, 3.0])}).memory == QTable(
        {"(0, 1)": {"0": 0.5, "1": 1.0}, "(1, 0)": {"0": 2.0, "1": 3.0}}, None
    )
    assert recognise((FILES / "numpy1/q_array.pkl").read_bytes(), UTC).memory.values["2"] == {"0": 4.0, "1": 5.0}  # type: ignore[union-attr,call-overload]


@pytest.mark.parametrize(
    ("table", "why"),
    [({"q_table": {}, "epsilon": 0.1}, "empty, or none"), ({"q_table": {"a": {"b": float("inf")}}}, "not a finite number"),
     ({"q_table": {"a": {"b": 1}}, "epsilon": 2}, "no probability"), ({"q_table": {"1": {}, 1: {}}}, "'1' twice"),
     ({"q_table": {"a": {"b": "c"}}}, "not a finite number"), ({"q_table": {"a\x1b[2J": {}}}, "usable name"),
     ({"q_table": {"a": 7}}, "a row of its Q-table is none")],
)  # fmt: skip
def test_a_q_table_of_nonsense_is_refused(table: Any, why: str):
    with pytest.raises(Refused, match=why):
        of(table)


@both
def test_weights_are_numbers_of_a_shape(numpy: str):
    found = recognise((FILES / numpy / "attention_weights.npy").read_bytes(), UTC)
    assert found.memory == Weights((31,), (1 / 31,) * 31)


@both
def test_a_model_is_refused_by_name(numpy: str):
    with pytest.raises(Refused, match=r"names sklearn\.ensemble\._forest\.RandomForestClassifier") as raised:
        recognise((FILES / numpy / "signal_model.pkl").read_bytes(), UTC)
    assert "trained anew" in raised.value.hint


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"", "empty"), (b" \n", "empty"), (b"\x89HDF\r\n\x1a\n", "Keras"), (b"PK\x03\x04..", "zip"), (b"\x1f\x8b..", "gzip"),
     (b"hello", "not a whole pickle"), (b"{", "not JSON"), (b'{"a": 1}', "neither lesson 23"), (b'{"a": NaN}', "NaN is not"),
     (b"\xff\xfe{", "not a whole pickle"), (pickle.dumps([1, 2]), "no kind that is known"), (b"SQLite format 3\x00", "SQLite")],
    ids=lambda v: v[:12] if isinstance(v, bytes) else "",
)  # fmt: skip
def test_what_is_not_taken_is_named(data: bytes, why: str):
    with pytest.raises(Refused, match=why):
        recognise(data, UTC)


def test_compressed_by_joblib_is_named():
    with pytest.raises(Refused, match="compressed by joblib"):
        recognise((FILES / "numpy2/compressed.pkl").read_bytes(), UTC)


def test_a_file_that_is_too_large_is_not_read():
    with pytest.raises(Refused, match="more than 64 MB"):
        recognise(b"N" * (FILE_MAX + 1), UTC)


# -- lesson 23 ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "held"),
    [({"is_in_position": False}, ()),
     ({"is_in_position": True}, (Held(""),)),
     ({"is_in_position": True, "symbol": "spy", "qty": 10, "entry_price": 440.12}, (Held("SPY", D(10), D("440.12")),)),
     ({"is_in_position": True, "entry_price": 450.25, "entry_time": "2024-01-15T14:05:00Z", "shares": 10, "stop_loss": 445.0},
      (Held("", D(10), D("450.25"), datetime(2024, 1, 15, 14, 5, tzinfo=UTC), D("445.0")),)),
     ({"positions": {"SPY": {"is_in_position": True, "qty": 10}, "AAPL": {"is_in_position": False, "qty": 0}}}, (Held("SPY", D(10)),)),
     ({"in_position": True, "symbol": "AAPL", "qty": 3, "side": "short"}, (Held("AAPL", D(-3)),))],
)  # fmt: skip
def test_state_json_says_what_is_held(state: Any, held: Any):
    found = of_json(state)
    assert (found.kind, found.memory) == ("state.json", BotState(held))


def test_state_json_of_more_says_what_was_left_out():
    found = of_json({"is_in_position": False, "trade_history": [], "last_updated": "x", "mood": 1})
    assert found.left_out == [
        "trade_history: the broker has every fill", "last_updated: the broker is asked instead", "not known here: mood",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("state", "why"),
    [({"is_in_position": "yes"}, "neither true nor false"), ({"is_in_position": 1}, "neither true nor false"),
     ({"is_in_position": True, "symbol": "SPY; DROP"}, "is not a symbol"), ({"is_in_position": True, "qty": "ten"}, "qty is a str"),
     ({"is_in_position": True, "symbol": 5}, "is not a symbol"), ({"is_in_position": True, "qty": 0}, "position of nothing"),
     ({"is_in_position": False, "qty": 5}, "in no position, and holds 5"), ({"is_in_position": True, "entry_price": -1}, "no price"),
     ({"is_in_position": True, "qty": 1e300}, "sensible size"), ({"is_in_position": True, "qty": True}, "qty is a bool"),
     ({"is_in_position": True, "entry_time": "noon"}, "its time is not one"), ({"positions": {"SPY": 1}}, "position SPY is none")],
)  # fmt: skip
def test_state_json_is_checked_before_use(state: Any, why: str):
    with pytest.raises(Refused, match=why):
        of_json(state)


def test_config_json_gives_its_symbol_and_interval_and_never_its_keys():
    found = of_json(CONFIG)
    assert found.memory == BotConfig("SPY", D(10), D(300), has_keys=True)
    assert found.left_out == ["strategy_parameters: its moving averages are no strategy of this program"]
    assert "secret-value" not in repr(found)
    assert "PKTEST" not in repr(found)


@pytest.mark.parametrize(
    ("change", "why"),
    [({"paper_trading": False}, "real money"), ({"paper_trading": "yes"}, "real money"), ({"trade_symbol": ""}, "not a symbol"),
     ({"trade_quantity": "many"}, "trade_quantity is a str"), ({"check_interval_seconds": 0}, "less than 1")],
)  # fmt: skip
def test_config_json_is_checked_before_use(change: Any, why: str):
    with pytest.raises(Refused, match=why):
        of_json(CONFIG | change)
