"""Indicators against TA-Lib, an independent implementation in C, and against what must hold of them on any bars."""

from __future__ import annotations

import warnings
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gambler_ai.strategies import indicators as ours

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what it thinks of the versions of other packages is not our test
    import talib

BARS, SYMBOLS = 400, 5
NEW_YORK = ZoneInfo("America/New_York")


def walks(seed: int = 11) -> dict[str, np.ndarray]:
    """High, low, close and volume of unlike walks: small and large prices, jumps, a symbol that hardly moves."""
    rng = np.random.default_rng(seed)
    scale = np.array([0.001, 0.01, 0.03, 0.0001, 0.2])
    close = np.array([0.5, 20.0, 100.0, 9_000.0, 3.0]) * np.exp(
        np.cumsum(rng.normal(0, scale, (BARS, SYMBOLS)), axis=0)
    )
    high = close * (1 + np.abs(rng.normal(0, scale, close.shape)))
    low = close * (1 - np.abs(rng.normal(0, scale, close.shape)).clip(0, 0.9))
    volume = rng.integers(0, 100_000, close.shape).astype(float)
    return {"high": high, "low": low, "close": close, "volume": volume}


DATA = walks()
HIGH, LOW, CLOSE, VOLUME = DATA["high"], DATA["low"], DATA["close"], DATA["volume"]


def each(function, *values: np.ndarray) -> np.ndarray:
    """Theirs, one symbol at a time."""
    columns = [function(*(np.ascontiguousarray(v[:, i]) for v in values)) for i in range(values[0].shape[1])]
    return np.stack(columns, axis=1)


def check_same(found: np.ndarray, expected: np.ndarray, rtol: float = 1e-9) -> None:
    assert found.shape == expected.shape
    assert np.isfinite(expected).any()
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=0, equal_nan=True)


@pytest.mark.parametrize("period", [2, 3, 14, 20, 200])
class TestTheyAreWhatTaLibSays:
    def test_moving_averages(self, period):
        check_same(ours.sma(CLOSE, period), each(lambda c: talib.SMA(c, period), CLOSE))
        check_same(ours.ema(CLOSE, period), each(lambda c: talib.EMA(c, period), CLOSE))

    def test_deviation_and_bands(self, period):
        """TA-Lib takes the mean of squares less the square of the mean, and loses digits by it."""
        check_same(ours.deviation(CLOSE, period), each(lambda c: talib.STDDEV(c, period), CLOSE), rtol=1e-3)
        lower, middle, upper = ours.bollinger(CLOSE, period, 2.5)
        check_same(lower, each(lambda c: talib.BBANDS(c, period, 2.5, 2.5)[2], CLOSE), rtol=1e-5)
        check_same(middle, each(lambda c: talib.BBANDS(c, period, 2.5, 2.5)[1], CLOSE))
        check_same(upper, each(lambda c: talib.BBANDS(c, period, 2.5, 2.5)[0], CLOSE), rtol=1e-5)

    def test_channels(self, period):
        check_same(ours.highest(HIGH, period), each(lambda h: talib.MAX(h, period), HIGH))
        check_same(ours.lowest(LOW, period), each(lambda low: talib.MIN(low, period), LOW))

    def test_ranges(self, period):
        check_same(ours.true_range(HIGH, LOW, CLOSE), each(talib.TRANGE, HIGH, LOW, CLOSE))
        theirs = each(lambda h, low, c: talib.ATR(h, low, c, period), HIGH, LOW, CLOSE)
        check_same(ours.atr(HIGH, LOW, CLOSE, period), theirs)

    def test_relative_strength(self, period):
        check_same(ours.rsi(CLOSE, period), each(lambda c: talib.RSI(c, period), CLOSE))

    def test_volume_against_its_mean_before(self, period):
        expected = each(lambda v: v / np.roll(talib.SMA(v, period), 1), VOLUME)
        expected[:period] = np.nan
        check_same(ours.volume_ratio(VOLUME, period), expected)

    def test_z_scores(self, period):
        expected = each(lambda c: (c - talib.SMA(c, period)) / talib.STDDEV(c, period), CLOSE)
        check_same(ours.z_score(CLOSE, period), expected, rtol=1e-3)


def test_the_example_that_wilder_smoothing_is_checked_by_hand():
    """Five values, period 3: the mean of the first three, then a third of the way to each new one."""
    values = np.array([[3.0], [6.0], [9.0], [12.0], [0.0]])
    nan = np.nan
    np.testing.assert_allclose(ours.wilder(values, 3)[:, 0], [nan, nan, 6.0, 8.0, 16 / 3])
    np.testing.assert_allclose(ours.ema(values, 3)[:, 0], [nan, nan, 6.0, 9.0, 4.5])


# -- what must hold on any bars -------------------------------------------------------------------

#: Whole cents: sums of them are as good as exact, and equal prices are common.
prices = arrays(np.int64, st.tuples(st.integers(0, 30), st.integers(1, 4)), elements=st.integers(100, 2_000)).map(
    lambda cents: cents / 100
)
periods = st.integers(1, 8)
OF_CLOSES = {
    "sma": ours.sma, "deviation": ours.deviation, "z_score": ours.z_score, "highest": ours.highest,
    "lowest": ours.lowest, "volume_ratio": ours.volume_ratio, "ema": ours.ema, "wilder": ours.wilder, "rsi": ours.rsi,
    "atr": lambda close, period: ours.atr(close + 0.5, close - 0.25, close, period),
}  # fmt: skip
#: How many values the first answer needs, for a period of n.
FIRST = {"volume_ratio": 1, "rsi": 1, "atr": 1}


def near(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9, equal_nan=True)


few = settings(max_examples=30)  # of each indicator


@pytest.mark.parametrize("name", OF_CLOSES)
class TestOnAnyBars:
    @few
    @given(values=prices, period=periods, cut=st.integers(0, 30))
    def test_nothing_that_came_later_is_known(self, name, values, period, cut):
        near(OF_CLOSES[name](values[:cut], period), OF_CLOSES[name](values, period)[:cut])

    @few
    @given(values=prices, period=periods)
    def test_a_symbol_is_alone(self, name, values, period):
        whole = OF_CLOSES[name](values, period)
        assert whole.shape == values.shape
        for i in range(values.shape[1]):
            near(whole[:, [i]], OF_CLOSES[name](values[:, [i]], period))

    @few
    @given(values=prices, period=periods, missing=st.integers(0, 12))
    def test_a_symbol_that_began_later_answers_later_and_the_same(self, name, values, period, missing):
        late = np.vstack([np.full((missing, values.shape[1]), np.nan), values])
        found = OF_CLOSES[name](late, period)
        assert np.isnan(found[:missing]).all()
        near(found[missing:], OF_CLOSES[name](values, period))

    @few
    @given(values=prices, period=periods)
    def test_there_is_no_answer_before_there_is_history_for_it(self, name, values, period):
        found = OF_CLOSES[name](values, period)
        first = period - 1 + FIRST.get(name, 0)
        assert np.isnan(found[:first]).all()
        if name not in ("z_score", "rsi"):  # they have none while nothing moves
            assert np.isfinite(found[first:]).all()


@given(values=prices, period=periods)
def test_averages_and_edges_enclose(values, period):
    low, high = ours.lowest(values, period), ours.highest(values, period)
    there = np.isfinite(low)
    assert (low[there] <= values[there]).all()
    assert (values[there] <= high[there]).all()
    mean = ours.sma(values, period)
    assert (low[there] <= mean[there] + 1e-9).all()
    assert (mean[there] <= high[there] + 1e-9).all()
    for smoothed in (ours.ema(values, period), ours.wilder(values, period)):
        assert (smoothed[there] <= np.maximum.accumulate(values)[there] + 1e-9).all()
        assert (smoothed[there] >= np.minimum.accumulate(values)[there] - 1e-9).all()


@given(values=prices, period=st.integers(2, 8), width=st.sampled_from([0.5, 1.0, 2.0]))
def test_outside_a_band_is_a_z_score_of_its_width(values, period, width):
    z, bands = ours.z_score(values, period), ours.bollinger(values, period, width)
    sure = np.isfinite(z) & (np.abs(np.abs(z) - width) > 1e-6)
    assert ((values < bands.lower) == (z < -width))[sure].all()
    assert ((values > bands.upper) == (z > width))[sure].all()


@given(values=prices, period=st.integers(2, 8))
def test_strength_is_a_share_and_turns_with_the_price(values, period):
    rsi = ours.rsi(values, period)
    there = np.isfinite(rsi)
    assert ((rsi[there] >= 0) & (rsi[there] <= 100)).all()
    near(ours.rsi(-values, period), 100 - rsi)
    near(ours.rsi(values * 7, period), rsi)


def test_only_rises_are_a_strength_of_100_and_no_move_is_none():
    rise = np.arange(1.0, 10.0)[:, np.newaxis]
    assert ours.rsi(rise, 3)[-1, 0] == 100.0
    assert ours.rsi(-rise, 3)[-1, 0] == 0.0
    assert np.isnan(ours.rsi(np.full((9, 1), 33.33), 3)).all()


@pytest.mark.parametrize("price", [0.1, 33.33, 101.01, 999.99])
def test_what_does_not_move_has_no_z_score(price):
    assert np.isnan(ours.z_score(np.full((30, 1), price), 20)).all()


def test_a_gap_over_night_is_part_of_the_true_range():
    high, low, close = (np.array([[v], [w]]) for v, w in ((101.0, 111.0), (99.0, 109.0), (100.0, 110.0)))
    assert ours.true_range(high, low, close)[1, 0] == 11.0
    assert ours.true_range(-low, -high, -close)[1, 0] == 11.0


def test_a_bar_on_no_volume_is_no_ratio_and_one_after_none_is_infinite():
    volume = np.array([[0.0], [0.0], [0.0], [5.0]])
    assert np.isnan(ours.volume_ratio(volume, 2)[2, 0])
    assert np.isposinf(ours.volume_ratio(volume, 2)[3, 0])


def test_large_arrays_are_worked_on_in_blocks():
    expected = ours.sma(CLOSE, 20)
    rows = ours.BLOCK // (20 * 5_000)
    wide = np.tile(CLOSE, (1, 1_000))
    assert 0 < rows < len(wide) - 19
    np.testing.assert_allclose(ours.sma(wide, 20)[:, :SYMBOLS], expected, rtol=1e-12)
    np.testing.assert_allclose(ours.sma(wide, 20)[:, -SYMBOLS:], expected, rtol=1e-12)


# -- where a smoothed average begins --------------------------------------------------------------


@pytest.mark.parametrize("period", [2, 3, 14, 50, 200])
@pytest.mark.parametrize(("average", "bars"), [(ours.wilder, ours.wilder_bars), (ours.ema, ours.ema_bars)])
def test_the_beginning_is_forgotten_after_so_many_bars_and_not_one_before(average, bars, period):
    """Two pasts that differ by one in each value of the beginning, and by nothing since."""
    count = bars(period)
    rest = np.random.default_rng(3).normal(size=(count, 1))
    other = rest.copy()
    other[:period] += 1.0
    apart = np.abs(average(rest, period) - average(other, period))[:, 0]
    assert apart[count - 1] <= ours.FORGOTTEN * (1 + 1e-9)
    assert apart[count - 2] > ours.FORGOTTEN
    assert ours.wilder_bars(14) == 201


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), more=st.integers(1, 300))
def test_where_the_history_begins_does_not_move_a_range_or_a_strength(seed, more):
    """What a strategy is told by ``wilder_bars`` + 1 bars is what more of them would tell it."""
    data = walks(seed)
    bars = ours.wilder_bars(7) + 1
    high, low, close = data["high"], data["low"], data["close"]
    longer = slice(-min(bars + more, BARS), None)
    short = ours.atr(high[-bars:], low[-bars:], close[-bars:], 7)[-1]
    long = ours.atr(high[longer], low[longer], close[longer], 7)[-1]
    assert (np.abs(short - long) <= ours.FORGOTTEN * ours.true_range(high, low, close)[1:].max(axis=0)).all()
    np.testing.assert_allclose(ours.rsi(close[-bars:], 7)[-1], ours.rsi(close[longer], 7)[-1], atol=0.1)


# -- bars -----------------------------------------------------------------------------------------


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp())


@pytest.mark.parametrize(
    ("evening", "morning"),
    [
        ("2024-01-02 15:55", "2024-01-03 09:30"),
        ("2024-01-02 19:55", "2024-01-03 04:00"),  # early and late trading
        ("2024-03-08 15:55", "2024-03-11 09:30"),  # the clocks change in between
        ("2024-11-01 19:55", "2024-11-04 04:00"),
    ],
)
def test_a_day_begins_with_its_first_bar_in_new_york(evening, morning):
    a = [at(evening) - 300, at(evening), at(morning), at(morning) + 300]
    yesterday = [0, 0, at(evening) - 300, at(evening)]
    today = [0, 0, 0, at(morning)]
    times = np.array([a, yesterday, today, [0] * 4]).T
    assert ours.session_starts(times).tolist() == [2, 4, 3, 4]
    assert ours.session_starts(times[:2]).tolist() == [0, 2, 2, 2]


def test_no_bars_are_no_day():
    assert ours.session_starts(np.zeros((0, 3), dtype=np.int64)).tolist() == [0, 0, 0]


def test_who_has_so_many_bars():
    times = np.array([[0, 5, 0], [7, 8, 0]])
    assert ours.has_bars(times, 1).tolist() == [True, True, False]
    assert ours.has_bars(times, 2).tolist() == [False, True, False]
    assert ours.has_bars(times, 3).tolist() == [False, False, False]
