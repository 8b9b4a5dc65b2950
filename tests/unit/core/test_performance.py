"""The figures against two libraries, against plain arithmetic, and where they are not given."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gambler_ai.core import performance as perf
from gambler_ai.core.model import ClosedTrade
from gambler_ai.core.performance import EquityFigures, EquityFold, Point, Span, Thinner, TradeFold

D = Decimal
AT = datetime(2008, 1, 2, 21, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ORACLE = json.loads((Path(__file__).parents[2] / "oracles/performance.json").read_text("utf-8"))
CURVES, TRADES = ORACLE["curves"], ORACLE["trades"]

amounts = st.decimals(min_value=1, max_value=1_000_000, places=2)
dollars = st.decimals(min_value=-5_000, max_value=5_000, places=2)


def daily(equity: list[Any], step: timedelta = DAY) -> EquityFigures:
    """A first reading and one at the close of each day after it, as the oracle has them."""
    fold = EquityFold()
    fold.add(AT, "day 1", equity[0])
    for index, value in enumerate(equity[1:], 1):
        fold.add(AT + index * step, f"day {index}", value)
    return fold.figures()


def trade(pnl: str | None, **changes: Any) -> ClosedTrade:
    fields: dict[str, Any] = {
        "position_id": "p", "symbol": "AAPL", "side": "long", "qty": D(10), "entry_price": D(100), "entry_at": AT,
        "exit_price": D(101), "exit_at": AT + HOUR, "pnl": None if pnl is None else D(pnl), "reason": "target",
        "strategy": "momentum",
    }  # fmt: skip
    return ClosedTrade(**fields | changes)


def traded(*pnl: str | None) -> perf.TradeFigures:
    fold = TradeFold()
    for value in pnl:
        fold.add(trade(value))
    return fold.figures()


def at(minutes: int) -> datetime:
    return AT + timedelta(minutes=minutes)


def spans(*pairs: tuple[int, int]) -> list[Span]:
    return [Span(at(begin), at(end)) for begin, end in pairs]


# -- against the libraries ------------------------------------------------------------------------


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_says_what_empyrical_says(name):
    known = CURVES[name]
    equity = [D(value) for value in known["equity"]]
    found = daily(equity)
    assert found.days == len(equity) - 1
    assert found.total_return == pytest.approx(known["total_return"])
    assert found.volatility == pytest.approx(known["volatility"])
    assert found.sharpe == pytest.approx(known["sharpe"])
    assert found.sortino == pytest.approx(known["sortino"])
    assert found.drawdown is not None
    assert -found.drawdown.depth == pytest.approx(known["max_drawdown"])
    yearly = perf.cagr(float(equity[-1] / equity[0]), found.days / perf.YEAR_DAYS)  # as it counts years
    assert yearly == pytest.approx(known["cagr"])
    assert yearly / found.drawdown.depth == pytest.approx(known["calmar"])


@pytest.mark.parametrize("name", TRADES)
def test_round_trips_say_what_quantstats_says(name):
    known = TRADES[name]
    found = traded(*known["pnl"])
    assert found.win_rate == pytest.approx(known["win_rate"])
    assert found.profit_factor == pytest.approx(known["profit_factor"])
    assert float(found.average_win or 0) == pytest.approx(known["average_win"])
    assert float(found.average_loss or 0) == pytest.approx(known["average_loss"])
    assert (found.longest_wins, found.longest_losses) == (known["longest_wins"], known["longest_losses"])


# -- equity ---------------------------------------------------------------------------------------


def test_a_day_is_its_last_reading_and_a_fall_within_it_counts():
    fold = EquityFold()
    readings = ((0, "mon", "100"), (60, "mon", "50"), (120, "mon", "110"), (1440, "tue", "90"), (1500, "tue", "121"))
    for minutes, day, equity in readings:
        fold.add(at(minutes), day, D(equity))
    found = fold.figures()
    assert (found.readings, found.days) == (5, 2)
    assert found.total_return == pytest.approx(0.21)
    assert found.change == D(21)
    assert found.mean_equity == pytest.approx((100 + 110 + 121) / 3)
    assert found.drawdown == perf.Drawdown(
        0.5, Point(at(0), D(100)), Point(at(60), D(50)), at(120), timedelta(minutes=120)
    )  # fmt: skip


def test_a_drawdown_lasts_from_the_last_instant_at_the_peak_until_the_peak_is_reached_again():
    fold = EquityFold()
    for minutes, equity in ((0, "100"), (1, "100"), (5, "80"), (9, "99"), (12, "100"), (15, "95")):
        fold.add(at(minutes), "mon", D(equity))
    found = fold.figures().drawdown
    assert found is not None
    assert (found.peak.at, found.trough.at, found.recovered_at) == (at(1), at(5), at(12))
    assert found.length == timedelta(minutes=11)


def test_one_that_is_not_over_lasts_until_the_newest_reading():
    fold = EquityFold()
    for minutes, equity in ((0, "100"), (5, "80"), (9, "99")):
        fold.add(at(minutes), "mon", D(equity))
    fold.carry(at(30), "mon")
    found = fold.figures().drawdown
    assert found is not None
    assert (found.recovered_at, found.length) == (None, timedelta(minutes=30))


def test_a_day_without_a_reading_is_a_day_that_returned_nothing():
    fold = EquityFold()
    fold.carry(AT, "before")  # nothing was stated yet
    fold.add(AT, "0", D(100))
    for index in range(1, 21):
        fold.carry(AT + index * DAY, str(index))
    fold.add(AT + 21 * DAY, "21", D(110))
    found = fold.figures()
    assert (found.readings, found.days) == (2, 22)
    assert found.volatility == pytest.approx(np.std([0.0] * 21 + [0.1], ddof=1) * np.sqrt(252))


def test_a_ratio_needs_twenty_days():
    equity = [D(value) for value in CURVES["year"]["equity"]]
    short, enough = daily(equity[:20]), daily(equity[:21])
    assert (short.days, short.volatility, short.sharpe, short.sortino) == (19, None, None, None)
    assert short.total_return is not None
    assert short.absent["sharpe"] == "needs 20 days, has 19"
    assert None not in (enough.volatility, enough.sharpe, enough.sortino)
    assert set(enough.absent) == {"cagr", "calmar"}


def test_a_growth_is_brought_to_a_year_only_if_it_took_one():
    equity = [D(100), D(90), D(200)]
    short, enough = daily(equity, DAY * 179), daily(equity, DAY * 365.25)
    assert (short.cagr, short.calmar) == (None, None)
    assert short.absent["cagr"] == "needs a year, has 358 days"
    assert enough.cagr == pytest.approx(2**0.5 - 1)
    assert enough.calmar == pytest.approx((2**0.5 - 1) / 0.1)


def test_what_does_not_vary_has_no_ratio():
    flat, rising = daily([D(100)] * 30), daily([D(100) * D("1.01") ** day for day in range(30)])
    for found in (flat, rising):
        assert (found.sharpe, found.sortino, found.drawdown) == (None, None, None)
        assert found.absent["sharpe"] == "every day returned the same"
        assert found.absent["sortino"] == "no day lost"
    assert flat.volatility == 0.0
    year = daily([D(100), D(110)], DAY * 400)
    assert (year.calmar, year.absent["calmar"]) == (None, "no drawdown")


def test_no_reading_and_one_reading():
    none, one = EquityFold().figures(), daily([D(100)])
    assert (none.first, none.change, none.total_return, none.drawdown) == (None, None, None, None)
    assert set(none.absent.values()) == {"no reading of the account"}
    assert (one.days, one.total_return, one.change, one.sharpe) == (1, 0.0, D(0), None)


def test_equity_that_is_not_above_zero_has_a_change_and_no_return():
    for equity in ([D(100), D(-20)], [D(0), D(50)], [D(100), D(0), D(50)]):
        found = daily(equity)
        assert found.change == equity[-1] - equity[0]
        assert found.total_return is None
        assert found.absent["total_return"] == "equity was not above zero"
    fall = daily([D(100), D(-20)]).drawdown
    assert fall is not None
    assert fall.depth == pytest.approx(1.2)


@given(st.lists(amounts, min_size=1, max_size=60))
def test_a_fold_comes_to_what_arrays_do(equity):
    found = daily(equity)
    values = np.array([float(value) for value in equity])
    falls = 1 - values / np.maximum.accumulate(values)
    assert (found.drawdown.depth if found.drawdown else 0.0) == pytest.approx(falls.max())
    assert found.total_return == pytest.approx(values[-1] / values[0] - 1)
    if found.drawdown is not None:
        assert 0 < found.drawdown.depth < 1
        assert found.drawdown.peak.at < found.drawdown.trough.at
        later = values[int((found.drawdown.trough.at - AT) / DAY) :]
        assert (found.drawdown.recovered_at is None) == bool(max(later) < float(found.drawdown.peak.equity))


@given(st.lists(amounts, min_size=22, max_size=40), st.integers(min_value=2, max_value=9))
def test_figures_are_the_same_in_another_currency_and_for_floats(equity, rate):
    found, other = daily(equity), daily([float(value * rate) for value in equity])
    assert found.absent == other.absent
    for name in {"total_return", "volatility", "sharpe", "sortino"} - set(found.absent):
        assert getattr(other, name) == pytest.approx(getattr(found, name), rel=1e-6, abs=1e-9)


# -- fewer points ---------------------------------------------------------------------------------


@given(st.lists(amounts, max_size=300), st.integers(min_value=4, max_value=50))
def test_thinning_keeps_both_ends_every_extreme_and_the_order(equity, points):
    readings = [Point(at(index), value) for index, value in enumerate(equity)]
    thinner = Thinner(len(readings), points)
    for point in readings:
        thinner.add(point)
    kept = thinner.points()
    assert len(kept) <= points + 2
    assert kept == sorted(kept, key=lambda point: point.at)
    assert len(set(kept)) == len(kept)
    assert set(kept) <= set(readings)
    if readings:
        assert (kept[0], kept[-1]) == (readings[0], readings[-1])
        assert min(p.equity for p in kept) == min(equity)
        assert max(p.equity for p in kept) == max(equity)


def test_few_readings_are_all_kept():
    readings = [Point(at(index), D(index + 1)) for index in range(10)]
    thinner = Thinner(10, 100)
    for point in readings:
        thinner.add(point)
    assert thinner.points() == readings


# -- round trips ----------------------------------------------------------------------------------


def test_no_round_trip_has_no_figure():
    found = traded()
    assert (found.count, found.win_rate, found.profit_factor, found.expectancy, found.mean_held) == (0, *[None] * 4)
    assert set(found.absent.values()) == {"no round trip"}


def test_one_whose_exit_has_no_price_is_in_no_figure_and_ends_a_streak():
    found = traded("10", "10", None, "10", "-5")
    assert (found.count, found.unpriced, found.wins, found.losses) == (5, 1, 3, 1)
    assert found.win_rate == 0.75
    assert found.expectancy == D("6.25")
    assert (found.longest_wins, found.longest_losses) == (2, 1)
    only = traded(None)
    assert set(only.absent.values()) == {"no round trip with a known exit"}
    assert only.win_rate is None


def test_one_that_brought_nothing_is_neither_won_nor_lost():
    found = traded("10", "0", "10")
    assert (found.wins, found.losses, found.longest_wins) == (2, 0, 1)
    assert found.win_rate == pytest.approx(2 / 3)
    assert (found.profit_factor, found.absent["profit_factor"]) == (None, "none was lost")
    assert (found.average_loss, found.absent["average_loss"]) == (None, "none was lost")
    assert traded("-1").absent["average_win"] == "none was won"


@given(st.lists(dollars, min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_expectancy_is_what_rates_and_averages_say_whatever_the_order(pnl, dice):
    found = traded(*map(str, pnl))
    assert found.expectancy is not None
    assert found.net == sum(pnl)
    assert found.win_rate is not None
    expected = found.win_rate * float(found.average_win or 0)
    expected += found.losses / found.count * float(found.average_loss or 0)
    assert float(found.expectancy) == pytest.approx(expected, abs=1e-6)
    assert found.longest_wins <= found.wins
    shuffled = list(pnl)
    dice.shuffle(shuffled)
    again = traded(*map(str, shuffled))
    assert (again.net, again.win_rate, again.profit_factor, again.best, again.worst) == (
        found.net, found.win_rate, found.profit_factor, max(pnl), min(pnl)
    )  # fmt: skip


# -- in the market --------------------------------------------------------------------------------


def test_exposure_counts_time_once_and_only_while_the_session_ran():
    runs = spans((0, 60), (120, 180))
    assert perf.exposure(spans((10, 40), (20, 50)), runs) == pytest.approx(40 / 120)
    assert perf.exposure(spans((30, 150)), runs) == pytest.approx(60 / 120)
    assert perf.exposure(spans((60, 120)), runs) == 0.0
    assert perf.exposure([], runs) == 0.0
    assert perf.exposure(spans((0, 10)), []) is None


_pairs = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 30)), max_size=12)


@given(_pairs, st.sets(st.integers(0, 12), min_size=2, max_size=8))
def test_exposure_is_what_counting_minutes_says(held, edges):
    borders = [10 * edge for edge in sorted(edges)]
    runs = list(zip(borders[::2], borders[1::2], strict=False))
    positions = sorted((begin, begin + length) for begin, length in held)
    ran = {minute for begin, end in runs for minute in range(begin, end)}
    inside = {minute for begin, end in positions for minute in range(begin, end)} & ran
    assert perf.exposure(spans(*positions), spans(*runs)) == pytest.approx(len(inside) / len(ran))


def test_turnover_is_the_lesser_side_over_the_mean_equity():
    assert perf.turnover(D(50_000), D(30_000), 60_000.0) == 0.5
    assert perf.turnover(D(0), D(0), 60_000.0) == 0.0
    assert perf.turnover(D(1), D(1), None) is None
    assert perf.turnover(D(1), D(1), -5.0) is None
