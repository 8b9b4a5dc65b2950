"""Where implied volatility lies among the year's realised ones, against a plain reading of that."""

from __future__ import annotations

import math
import statistics
from itertools import pairwise

import numpy as np
import pytest

from gambler_ai.strategies.options.iv_rank import CLOSES, iv_rank, realised


def walk(count: int = CLOSES, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 100 * np.exp(np.cumsum(rng.normal(0, np.linspace(0.005, 0.03, count))))


def plainly(closes: np.ndarray) -> list[float]:
    moves = [math.log(b / a) for a, b in pairwise(closes)]
    return [statistics.stdev(moves[i : i + 20]) * math.sqrt(252) for i in range(len(moves) - 19)]


def test_realised_volatility_is_the_deviation_of_twenty_returns_a_year():
    closes = walk()
    assert realised(closes) == pytest.approx(plainly(closes))
    assert len(realised(closes)) == 252
    assert len(realised(closes[:20])) == 0
    assert len(realised(closes[:21])) == 1


def test_the_rank_is_the_place_between_the_lowest_and_the_highest():
    closes = walk()
    year = plainly(closes)
    low, high = min(year), max(year)
    assert iv_rank(closes, low) == pytest.approx(0)
    assert iv_rank(closes, high) == pytest.approx(100)
    assert iv_rank(closes, low + (high - low) / 4) == pytest.approx(25)
    assert iv_rank(closes, low / 2) == 0
    assert iv_rank(closes, 2 * high) == 100


def test_only_the_last_year_counts():
    old = 100 * np.cumprod(np.where(np.arange(40) % 2, 1.5, 1 / 1.5))
    assert iv_rank(np.concatenate([old, walk()]), 0.3) == iv_rank(walk(), 0.3)


def test_without_a_whole_year_there_is_no_rank():
    closes = walk()
    assert iv_rank(closes[1:], 0.3) is None
    holed = closes.copy()
    holed[100] = np.nan
    assert iv_rank(holed, 0.3) is None
    assert iv_rank(np.full(CLOSES, 50.0), 0.3) is None
