"""Features against TA-Lib, NumPy and numbers by hand; of the closed bars of one symbol, and of nothing else."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from gambler_ai.core import bars
from gambler_ai.core.model import BarFrame, Side
from gambler_ai.learners.features import BARS, NAMES, features

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what it thinks of the versions of other packages is not our test
    import talib

FIVE = timedelta(minutes=5)
NEWEST = datetime(2008, 10, 7, 15, 55, tzinfo=UTC)  # 11:55 in New York
#: A feature is kept to six decimals.
HALF = 0.5000001e-6


def walk(seed: int, count: int, newest: datetime = NEWEST) -> np.ndarray:
    """Rows of time, open, high, low, close, volume; the newest begins at ``newest``."""
    rng = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.004, count)))
    start = np.append(50.0, close[:-1])
    high = np.maximum(start, close) * (1 + rng.uniform(0, 0.002, count))
    low = np.minimum(start, close) * (1 - rng.uniform(0, 0.002, count))
    times = [(newest - (count - 1 - i) * FIVE).timestamp() for i in range(count)]
    return np.column_stack([times, start, high, low, close, rng.integers(100, 9_000, count).astype(float)])


def frame_of(columns: dict[str, np.ndarray], keep: int = 500) -> BarFrame:
    return bars.from_columns(tuple(columns), FIVE, columns, keep)


ROWS = walk(5, 300)
FRAME = frame_of({"AAPL": ROWS, "MSFT": walk(6, 300)})


def by_hand(rows: np.ndarray, sign: int) -> dict[str, float]:
    """The same by TA-Lib and NumPy, of the newest 64 bars."""
    rows = rows[-BARS:]
    high, low, close, volume = (np.ascontiguousarray(rows[:, i]) for i in (2, 3, 4, 5))
    moves = np.diff(np.log(close))[-20:]
    top, bottom = talib.MAX(high, 20)[-1], talib.MIN(low, 20)[-1]
    place = (close[-1] - bottom) / (top - bottom)
    return {
        "along_1": sign * talib.ROC(close, 1)[-1],
        "along_5": sign * talib.ROC(close, 5)[-1],
        "along_20": sign * talib.ROC(close, 20)[-1],
        "along_mean": sign * (talib.SMA(close, 5)[-1] / talib.SMA(close, 20)[-1] - 1) * 100,
        "along_z": sign * (close[-1] - close[-20:].mean()) / close[-20:].std(),
        "along_rsi": sign * (talib.RSI(close, 14)[-1] - 50),
        "along_range": place if sign > 0 else 1 - place,
        "volatility": np.sqrt(np.mean((moves - moves.mean()) ** 2)) * 100,
        "true_range": talib.NATR(high, low, close, 14)[-1],
        "efficiency": abs(close[-1] - close[-21]) / np.abs(np.diff(close[-21:])).sum(),
        "volume": math.log(volume[-1] / volume[-21:-1].mean()),
        "time_of_day": (2 + 30 / 60) / 6.5,  # the bar of 11:55 closes at noon
        "short": float(sign < 0),
    }


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("seed", range(5))
def test_each_is_what_an_independent_implementation_says(seed, side):
    rows = walk(seed, 120)
    found, expected = features(frame_of({"AAPL": rows}), "AAPL", side), by_hand(rows, side.sign)
    assert list(found) == list(NAMES) == list(expected)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-9, abs=HALF), name


def test_a_straight_rise_in_numbers_by_hand():
    """64 closes from 100 to 163: a dollar a bar, on the same volume."""
    close = np.arange(100.0, 164.0)
    times = [(NEWEST - (63 - i) * FIVE).timestamp() for i in range(64)]
    rows = np.column_stack([times, close - 1, close, close - 1, close, np.full(64, 1000.0)])
    found = features(frame_of({"AAPL": rows}), "AAPL", Side.BUY)
    assert found == {
        "along_1": round(100 / 162, 6), "along_5": round(500 / 158, 6), "along_20": round(2000 / 143, 6),
        "along_mean": round((161 / 153.5 - 1) * 100, 6), "along_z": round(9.5 / math.sqrt(33.25), 6),
        "along_rsi": 50.0, "along_range": 1.0, "volatility": found["volatility"], "true_range": round(100 / 163, 6),
        "efficiency": 1.0, "volume": 0.0, "time_of_day": round(2.5 / 6.5, 6), "short": 0.0,
    }  # fmt: skip
    short = features(frame_of({"AAPL": rows}), "AAPL", Side.SELL)
    assert {name: value for name, value in short.items() if name.startswith("along_") and name != "along_range"} == {
        name: -value for name, value in found.items() if name.startswith("along_") and name != "along_range"
    }
    assert (short["along_range"], short["short"]) == (0.0, 1.0)


def test_a_price_that_stands_still_has_a_place_in_the_middle_and_no_strength():
    rows = walk(1, 80)
    rows[:, 1:5] = 50.0
    found = features(frame_of({"AAPL": rows}), "AAPL", Side.BUY)
    assert (found["along_range"], found["efficiency"], found["volatility"], found["true_range"]) == (0.5, 0, 0, 0)
    assert not {"along_rsi", "along_z"} & found.keys(), "nothing moved, so nobody can say"


@pytest.mark.parametrize("count", [64, 65, 200, 300])
def test_a_longer_history_gives_the_same_numbers(count):
    assert features(frame_of({"AAPL": ROWS[-count:]}), "AAPL", Side.BUY) == features(FRAME, "AAPL", Side.BUY)


@pytest.mark.parametrize("count", [0, 1, 20, 63])
def test_too_short_a_history_gives_what_needs_none(count):
    found = features(frame_of({"AAPL": ROWS[len(ROWS) - count :]}), "AAPL", Side.SELL)
    assert found == ({"time_of_day": round(2.5 / 6.5, 6)} if count else {}) | {"short": 1.0}


def test_a_symbol_that_traded_less_than_the_others_is_short_of_history_too():
    found = features(frame_of({"AAPL": ROWS, "MSFT": walk(6, 30)}), "MSFT", Side.BUY)
    assert set(found) == {"time_of_day", "short"}
    assert len(features(frame_of({"AAPL": ROWS, "MSFT": walk(6, 30)}), "AAPL", Side.BUY)) == len(NAMES)


def test_one_that_is_not_in_the_frame_has_none():
    assert features(FRAME, "IBM", Side.BUY) == {}


@pytest.mark.parametrize(
    ("column", "gone"),
    [("high", {"along_range", "true_range"}), ("low", {"along_range", "true_range"}), ("volume", {"volume"}),
     ("close", set(NAMES) - {"time_of_day", "short"})],
    ids=["high", "low", "volume", "close"],
)  # fmt: skip
def test_what_cannot_be_reckoned_is_absent_and_never_a_number(column, gone):
    values = getattr(FRAME, column).copy()
    values[-5, 0] = math.nan
    found = features(replace(FRAME, **{column: values}), "AAPL", Side.BUY)
    assert set(NAMES) - set(found) == gone
    assert all(math.isfinite(value) for value in found.values())


def test_volume_that_was_nothing_is_absent():
    rows = walk(3, 100)
    rows[-1, 5] = 0.0
    assert "volume" not in features(frame_of({"AAPL": rows}), "AAPL", Side.BUY)
    rows[-21:, 5] = 0.0
    rows[-1, 5] = 7.0
    assert "volume" not in features(frame_of({"AAPL": rows}), "AAPL", Side.BUY)


@pytest.mark.parametrize("at", [0, 10, BARS - 1])
def test_each_bar_that_is_looked_at_counts_and_none_before_it_does(at):
    """The oldest of the 64 moves Wilder's averages; the one before it moves nothing."""

    def with_spike(place: int) -> dict[str, float]:
        rows = ROWS.copy()
        rows[place, 1:5] *= 1.5
        return features(frame_of({"AAPL": rows}), "AAPL", Side.BUY)

    same = features(FRAME, "AAPL", Side.BUY)
    assert with_spike(len(ROWS) - BARS + at) != same
    assert with_spike(len(ROWS) - BARS - 1 - at) == same


def test_another_symbols_bars_change_nothing():
    assert features(frame_of({"AAPL": ROWS, "MSFT": walk(99, 300)}), "AAPL", Side.BUY) == features(
        FRAME, "AAPL", Side.BUY
    )


@pytest.mark.parametrize(
    ("left", "passed"),
    [((13, 25), 0.0), ((13, 30), 5 / 390), ((19, 55), 1.0), ((20, 30), 1.0), ((12, 0), 0.0)],
)
def test_the_time_of_day_is_of_the_end_of_the_bar_in_new_york(left: tuple[int, int], passed: float):
    rows = walk(1, 5, datetime(2008, 10, 7, *left, tzinfo=UTC))
    assert features(frame_of({"AAPL": rows}), "AAPL", Side.BUY)["time_of_day"] == pytest.approx(passed, abs=HALF)


def test_winter_time_is_an_hour_later_in_utc():
    summer, winter = datetime(2008, 7, 1, 15, 0, tzinfo=UTC), datetime(2008, 12, 1, 16, 0, tzinfo=UTC)
    found: list[Any] = [
        features(frame_of({"AAPL": walk(1, 5, at)}), "AAPL", Side.BUY)["time_of_day"] for at in (summer, winter)
    ]
    assert found[0] == found[1]
