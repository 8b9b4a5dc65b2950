"""A window is a function of the newest closed bars, along the entry, and of nothing else."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from gambler_ai.core import bars
from gambler_ai.core.model import BarFrame, Side
from gambler_ai.learners import window

FIVE = timedelta(minutes=5)
START = 1_767_600_000


def column(count: int, seed: int = 1) -> NDArray[np.float64]:
    """Bars of a symbol: time, open, high, low, close, volume."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.002, count)))
    opened = np.concatenate([[100.0], close])[:count]
    high, low = np.maximum(opened, close) + rng.random(count), np.minimum(opened, close) - rng.random(count)
    times = START + 300 * np.arange(count, dtype=np.float64)
    return np.stack([times, opened, high, low, close, rng.integers(1, 9000, count).astype(float)], axis=1)


def frame(**columns: NDArray[np.float64]) -> BarFrame:
    return bars.from_columns(tuple(columns), FIVE, columns, 10_000)


def numbers(stored: bytes) -> NDArray[np.float32]:
    found = window.values(stored)
    assert found is not None
    return found


def test_it_is_what_its_channels_say_bar_by_bar():
    told = column(80)
    found = numbers(window.window(frame(AAPL=told), "AAPL", Side.BUY))
    assert found.shape == (32, 4)
    for row, bar in enumerate(range(48, 80)):
        _at, _open, high, low, close, volume = told[bar]
        wanted = (
            np.log(close / told[bar - 1, 4]), (high - low) / close, (2 * close - high - low) / (high - low),
            np.log(volume / told[bar - 19 : bar + 1, 5].mean()),
        )  # fmt: skip
        np.testing.assert_allclose(found[row], wanted, rtol=1e-5, atol=1e-6)


def test_a_short_sale_sees_moves_and_places_turned_round():
    told = frame(AAPL=column(80))
    bought, sold = (numbers(window.window(told, "AAPL", side)) for side in (Side.BUY, Side.SELL))
    np.testing.assert_array_equal(sold, bought * np.array([-1, 1, -1, 1], np.float32))


def test_what_came_before_the_newest_bars_changes_nothing():
    told = column(90)
    wanted = window.window(frame(AAPL=told[-window.BARS :]), "AAPL", Side.BUY)
    told[: -window.BARS, 1:5] *= 3
    told[: -window.BARS, 5] += 77
    assert window.window(frame(AAPL=told, MSFT=column(200)), "AAPL", Side.BUY) == wanted


def test_of_the_bars_it_looks_at_the_newest_and_the_oldest_count():
    told = column(80)
    found = window.window(frame(AAPL=told), "AAPL", Side.BUY)
    for bar in (-1, -window.BARS):
        other = told.copy()
        other[bar, 5] += 5000
        assert window.window(frame(AAPL=other), "AAPL", Side.BUY) != found


@pytest.mark.parametrize("count", [0, 1, window.BARS - 1])
def test_without_enough_bars_there_is_none(count: int):
    short = frame(AAPL=column(count), MSFT=column(100))
    assert window.window(short, "AAPL", Side.BUY) == b""
    assert window.window(frame(AAPL=column(count)), "AAPL", Side.BUY) == b""
    assert window.window(short, "TSLA", Side.BUY) == b""
    assert window.window(frame(AAPL=column(window.BARS)), "AAPL", Side.BUY)


def test_flat_bars_bars_without_trades_and_jumps_give_finite_numbers():
    told = column(80)
    told[60, 1:5] = 100.0  # one price
    told[40:70, 5] = 0.0  # so that a mean is 0, and a volume beside one that is not
    told[75, 1:5] *= 1e6
    found = numbers(window.window(frame(AAPL=told), "AAPL", Side.BUY))
    assert np.abs(found).max() == window.FAR
    row = 60 - 48
    assert (found[row, 1], found[row, 2], found[row, 3]) == (0, 0, 0)
    assert found[75 - 48, 0] == window.FAR
    assert found[69 - 48, 3] == 0, "no volume in 20 bars is as usual"
    assert found[50 - 48, 3] == -window.FAR, "a bar without a trade after busy ones is far below"


def test_it_is_little_endian_whatever_the_machine():
    stored = window.window(frame(AAPL=column(80)), "AAPL", Side.BUY)
    assert len(stored) == 512
    assert np.frombuffer(stored, "<f4")[0] == numbers(stored)[0, 0]


@pytest.mark.parametrize("odd", [np.nan, np.inf, -5.1, 1e30])
def test_numbers_that_no_window_holds_are_none(odd: float):
    stored = window.window(frame(AAPL=column(80)), "AAPL", Side.BUY)
    for bad in (b"", stored[:-4], stored + stored[:4]):
        assert window.values(bad) is None
    told = numbers(stored).copy()
    told[3, 1] = odd
    assert window.values(told.tobytes()) is None
