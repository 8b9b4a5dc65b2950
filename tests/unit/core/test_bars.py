"""Frames of bars: the newest in the last row of every symbol, and nothing in them that is no bar."""

from __future__ import annotations

import numpy as np
import pytest

from gambler_ai.core import bars
from tests.unit.fakes import FIVE

GOOD = (300.0, 10.0, 12.0, 9.0, 11.0, 500.0)  # time, open, high, low, close, volume


def column(*rows: tuple[float, ...]) -> np.ndarray:
    return np.asarray(rows, dtype=np.float64).reshape(-1, 6)


def bar(n: float, price: float = 10.0) -> tuple[float, ...]:
    return (300.0 * n, price, price, price, price, 1.0)


def frame(keep: int = 10, **columns: np.ndarray):
    return bars.from_columns(tuple(columns), FIVE, columns, keep)


def stamps(of, symbol: str) -> list[int]:
    times = of.times[:, of.symbols.index(symbol)]
    return [int(t) // 300 for t in times]


def test_the_newest_bar_of_each_symbol_is_in_the_last_row():
    found = frame(A=column(bar(1), bar(2), bar(3)), B=column(bar(1)), C=column())
    assert stamps(found, "A") == [1, 2, 3]
    assert stamps(found, "B") == [0, 0, 1]
    assert stamps(found, "C") == [0, 0, 0]
    assert np.isnan(found.close[:2, 1]).all()
    assert np.isnan(found.close[:, 2]).all()
    assert found.close[-1, :2].tolist() == [10.0, 10.0]


def test_only_the_newest_bars_are_kept():
    assert stamps(frame(2, A=column(bar(1), bar(2), bar(3))), "A") == [2, 3]


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_bar_that_is_not_finite_is_left_out(place, value):
    odd = tuple(value if i == place else x for i, x in enumerate(GOOD))
    assert len(frame(A=column(odd))) == 0


@pytest.mark.parametrize(
    ("place", "value"),
    [(1, 0.0), (2, -1.0), (3, 0.0), (4, -0.01), (5, -1.0), (2, 8.0)],
    ids=["open 0", "high < 0", "low 0", "close < 0", "volume < 0", "high below low"],
)
def test_a_bar_that_cannot_be_is_left_out_and_the_others_close_up(place, value):
    odd = tuple(value if i == place else x for i, x in enumerate(GOOD))
    found = frame(A=column(bar(0.5), odd, bar(2)))
    assert stamps(found, "A") == [0, 2]
    assert found.open[-1, 0] == 10.0


def test_a_bar_without_volume_is_a_bar():
    assert len(frame(A=column((*GOOD[:5], 0.0)))) == 1


@pytest.mark.parametrize("array", ["times", "open", "high", "low", "close", "volume"])
def test_nobody_can_write_into_a_frame(array):
    made = frame(A=column(bar(1), bar(2)))
    for of in (made, bars.as_told(("A",), FIVE, {"A": column(bar(1))}), bars.empty(("A",), FIVE)):
        with pytest.raises(ValueError, match="read-only"):
            getattr(of, array)[:] = 0
    with pytest.raises(ValueError, match="read-only"):
        np.multiply(made.close, 2, out=made.close)


def test_the_newest_bar_has_an_instant():
    made = frame(A=column(bar(1), bar(2)), B=column(bar(1)))
    assert [made.newest_at(i).timestamp() for i in (0, 1)] == [600, 300]


def test_an_empty_frame_has_no_rows():
    assert len(bars.empty(("A", "B"), FIVE)) == 0


def test_what_is_told_is_kept_whatever_it_is_once_each():
    odd = (600.0, float("nan"), -1.0, 5.0, 0.0, -3.0)
    told = bars.as_told(("A", "B"), FIVE, {"A": column(bar(3), odd, bar(1), bar(3, 11.0)), "B": column()})
    assert stamps(told, "A") == [1, 2, 3]
    assert told.close[:, 0].tolist() == [10.0, 0.0, 11.0]
    assert bars.column(told, 0)[1].tolist()[2:] == [-1.0, 5.0, 0.0, -3.0]
    assert bars.column(told, 1).shape == (0, 6)


def test_a_bar_that_the_feed_repeats_counts_once():
    """RECOVERY_PROTOCOL 2.3, feed: dedupe (symbol, bar); twice in one reply would shift "five bars ago"."""
    assert stamps(frame(A=column(bar(1), bar(2), bar(2), bar(3))), "A") == [1, 2, 3]
