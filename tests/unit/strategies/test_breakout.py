"""The breakout against a plain reading of its rule, on any bars."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from gambler_ai.core.bars import from_columns
from gambler_ai.core.model import MarketView, Proposal, Side
from gambler_ai.strategies.breakout import Breakout
from gambler_ai.strategies.loader import load
from gambler_ai.strategies.testing import proposals_of

FIVE = timedelta(minutes=5)
#: A bar of 11:00 in New York closes; the day began 18 bars before.
AT = datetime(2024, 1, 3, 16, 0, tzinfo=UTC)
TODAY = 18


class Bar(NamedTuple):
    low: float
    high: float
    close: float
    volume: float = 100.0


def view(held: dict[str, int] | None = None, night_before: int = TODAY, **symbols: Sequence[Bar]) -> MarketView:
    """Right-aligned bars, the newest closing at `AT`; all but the newest ``night_before`` are of the day before."""
    columns = {}
    for name, rows in symbols.items():
        count, made = len(rows), []
        for i, bar in enumerate(rows):
            left = AT - (count - i) * FIVE - (timedelta(hours=17.5) if count - i > night_before else timedelta(0))
            made.append((left.timestamp(), bar.low, bar.high, bar.low, bar.close, bar.volume))
        columns[name] = np.asarray(made, dtype=np.float64).reshape(-1, 6)
    frame = from_columns(tuple(symbols), FIVE, columns, 1_000)
    return MarketView(AT, frame, {}, {name: Decimal(qty) for name, qty in (held or {}).items()})


def proposed(
    held: dict[str, int] | None = None, night_before: int = TODAY, *, rule: Breakout, **symbols: Sequence[Bar]
):
    return proposals_of(rule, view(held, night_before, **symbols))


#: Small numbers, so that few bars are enough: ATR(2) wants 23.
RULE = Breakout(channel=4, exit_channel=2, margin_atr=0.25, volume_ratio=1.5, atr_period=2)
QUIET = [Bar(99.0, 101.0, 100.0)] * 22
UP, DOWN = Bar(100.0, 103.0, 103.0, 150.0), Bar(97.0, 100.0, 97.0, 150.0)


def mean_range(rows: Sequence[Bar]) -> float:
    """Wilder's ATR(2), value by value."""
    ranges = [max(b.high - b.low, abs(b.high - a.close), abs(b.low - a.close)) for a, b in pairwise(rows)]
    found = statistics.fmean(ranges[:2])
    for each in ranges[2:]:
        found = (found + each) / 2
    return found


def plainly(rows: Sequence[Bar], held: int) -> tuple[str, Decimal | None] | None:
    """`RULE` as a person would work it out, one symbol at a time: what it does, and its stop in percent."""
    close = rows[-1].close if rows else 0.0
    if held and len(rows) > 2:
        beyond = close < min(b.low for b in rows[-3:-1]) if held > 0 else close > max(b.high for b in rows[-3:-1])
        return ("exit", None) if beyond else None
    if held or len(rows) < 23:
        return None
    high, low = max(b.high for b in rows[-5:-1]), min(b.low for b in rows[-5:-1])
    margin = 0.25 * mean_range(rows[-23:])
    far = max(close - high, low - close)
    assume(abs(far - margin) > 1e-9)
    if far <= 0 or far < margin or rows[-1].volume < 1.5 * statistics.fmean(b.volume for b in rows[-5:-1]):
        return None
    return "buy" if close > high else "sell", Decimal(f"{2 * 4 * margin / close * 100:.4f}")


@st.composite
def bars(draw: st.DrawFn) -> Bar:
    low = draw(st.integers(96, 102))
    high = low + draw(st.integers(0, 3))
    return Bar(low, high, draw(st.integers(low, high)), draw(st.sampled_from([100.0, 200.0, 400.0])))


lasts = st.builds(lambda close, volume: Bar(min(close, 100), max(close, 100), close, volume),
                  st.sampled_from([106, 94, 107, 93, 100]), st.sampled_from([900.0, 800.0, 200.0]))  # fmt: skip
some = st.one_of(st.lists(bars(), min_size=21, max_size=25), st.lists(bars(), min_size=0, max_size=25))
rows = st.builds(lambda some, last: [*some, last], some, lasts)


@given(a=rows, b=rows, held=st.sampled_from([0, 0, 1, -1]))
def test_it_is_the_rule_on_any_bars(a, b, held):
    found = proposed({"B": held} if held else {}, A=a, B=b, rule=RULE)
    expected = [("A", plainly(a, 0)), ("B", plainly(b, held))]
    event(str([what and what[0] for _, what in expected]))
    there = [(symbol, *what) for symbol, what in expected if what is not None]
    assert [(p.symbol, "exit" if p.exit else p.side.value) for p in found] == [row[:2] for row in there]
    for proposal, (_, _, stop) in zip(found, there, strict=True):
        assert abs((proposal.stop_loss_pct or 0) - (stop or 0)) <= Decimal("0.0001")


def test_a_close_beyond_the_channel_on_high_volume_is_followed():
    [long] = proposed(A=[*QUIET, UP], rule=RULE)
    assert (long.symbol, long.side, long.exit, long.signal_at) == ("A", Side.BUY, False, AT - FIVE)
    assert long.reason == "above the high of 4 bars, ATR 2.43 %, volume x1.5"
    [short] = proposed(A=[*QUIET, DOWN], rule=RULE)
    assert (short.side, short.reason) == (Side.SELL, "below the low of 4 bars, ATR 2.58 %, volume x1.5")


def test_stop_and_target_are_average_ranges_from_the_close():
    """Ranges of 2, and 3 at the last: a mean of 2.5, of 103 dollars."""
    [proposal] = proposed(A=[*QUIET, UP], rule=RULE)
    assert (proposal.stop_loss_pct, proposal.take_profit_pct) == (Decimal("4.8544"), Decimal("9.7087"))
    other = Breakout(channel=4, atr_period=2, stop_atr=1.0, target_atr=10.0)
    [proposal] = proposed(A=[*QUIET, UP], rule=other)
    assert (proposal.stop_loss_pct, proposal.take_profit_pct) == (Decimal("2.4272"), Decimal("24.2718"))


@pytest.mark.parametrize(
    ("last", "side"),
    [
        (Bar(100, 101.0, 101.0, 150), None),  # at the edge
        (Bar(100, 101.4, 101.4, 150), None),  # beyond by less than a quarter of a mean range of 2
        (Bar(100, 101.6, 101.6, 150), Side.BUY),
        (Bar(100, 104.0, 100.9, 150), None),  # it was there, and did not stay
        (Bar(100, 101.6, 101.6, 149), None),
        (Bar(98.6, 100, 98.6, 150), None),
        (Bar(98.4, 100, 98.4, 150), Side.SELL),
        (Bar(96.0, 100, 99.1, 150), None),
        (Bar(98.4, 100, 98.4, 149), None),
    ],
)
def test_noise_and_usual_volume_are_no_breakout(last, side):
    assert [p.side for p in proposed(A=[*QUIET, last], rule=RULE)] == ([side] if side else [])


def test_the_next_bar_has_to_break_what_the_last_one_made():
    assert proposed(A=[*QUIET, UP, UP], rule=RULE) == []
    higher = Bar(102.0, 105.0, 105.0, 400.0)
    assert [p.side for p in proposed(A=[*QUIET, UP, higher], rule=RULE)] == [Side.BUY]


@pytest.mark.parametrize(
    ("qty", "last", "leaves"),
    [
        (5, Bar(98.9, 100, 98.9), True),
        (5, Bar(98.0, 100, 99.0), False),  # at the edge
        (5, UP, False),
        (-5, Bar(100, 101.1, 101.1), True),
        (-5, Bar(100, 103, 101.0), False),
        (-5, DOWN, False),
    ],
)
def test_what_is_held_is_left_where_the_shorter_channel_breaks(qty, last, leaves):
    far = Bar(90.0, 110.0, 100.0)  # beyond the two bars before: not looked at
    found = proposed({"A": qty}, A=[far, *QUIET[:2], last], rule=RULE)
    assert [(p.symbol, p.exit) for p in found] == ([("A", True)] if leaves else [])
    if leaves:
        assert found[0].side is (Side.SELL if qty > 0 else Side.BUY)
        assert found[0].reason == f"{'below the low' if qty > 0 else 'above the high'} of 2 bars"
    assert proposed({"A": qty}, A=[QUIET[0], last], rule=RULE) == []  # too few bars to tell


def test_a_gap_over_night_is_no_breakout_unless_asked_for():
    rows = [*QUIET, UP]
    assert [p.side for p in proposed(night_before=5, A=rows, rule=RULE)] == [Side.BUY]  # four bars, and the one
    assert proposed(night_before=4, A=rows, rule=RULE) == []
    assert proposed(night_before=1, A=rows, rule=RULE) == []
    any_day = Breakout(channel=4, atr_period=2, same_day=False)
    assert [p.side for p in proposed(night_before=1, A=rows, rule=any_day)] == [Side.BUY]


def test_over_night_what_is_held_is_left_all_the_same():
    fall = [*QUIET, Bar(95, 96, 95.0)]
    assert [p.exit for p in proposed({"A": 1}, night_before=1, A=fall, rule=RULE)] == [True]


def test_it_waits_for_the_history_that_makes_the_range_sure():
    assert (RULE.history, Breakout().history, Breakout(channel=400).history) == (23, 202, 401)
    assert len(proposed(A=[*QUIET, UP], rule=RULE)) == 1
    assert proposed(A=[*QUIET[1:], UP], rule=RULE) == []
    assert [p.symbol for p in proposed(A=[*QUIET[1:], UP], B=[*QUIET, UP], rule=RULE)] == ["B"]
    assert proposed(A=[], rule=RULE) == []


@pytest.mark.parametrize("missing", ["high", "low", "close", "volume"])
@pytest.mark.parametrize("row", [-1, -2, -5, -10])
def test_a_hole_in_what_it_looks_at_is_no_entry(missing, row):
    whole = view(A=[*QUIET, UP])
    values = {name: getattr(whole.frame, name).copy() for name in ("high", "low", "close", "volume")}
    values[missing][row, 0] = np.nan
    frame = type(whole.frame)(
        whole.frame.symbols, FIVE, whole.frame.times, whole.frame.open, values["high"], values["low"],
        values["close"], values["volume"],
    )  # fmt: skip
    looked_at = (missing, row) != ("volume", -10)
    assert bool(proposals_of(RULE, MarketView(AT, frame, {}, {}))) is not looked_at


def test_a_stop_at_the_price_itself_or_below_zero_is_no_entry():
    """Whatever a market does, a proposal that a session would deny costs the other symbols' ones as well."""
    still = [Bar(5.0, 5.0, 5.0)] * 22
    eager = Breakout(channel=4, atr_period=2, margin_atr=0)
    assert proposed(A=[*still, Bar(5.0, 5.01, 5.01, 150)], rule=eager) == []  # a mean range of half a cent
    assert len(proposed(A=[*still, Bar(5.0, 5.03, 5.03, 150)], rule=eager)) == 1
    wild = [Bar(1.0, 9.0, 5.0)] * 22
    assert proposed(A=[*wild, Bar(5.0, 9.5, 9.5, 150)], B=[*QUIET, UP], rule=eager)[0].symbol == "B"


multiples = st.floats(0.01, 100)


magnitudes = st.floats(-7, -0.3).map(lambda power: 10.0**power)


@given(price=st.floats(0.01, 1e6), quiet=magnitudes, jump=st.floats(1.5, 50), stop=multiples, target=multiples)
def test_whatever_it_proposes_a_session_can_take(price, quiet, jump, stop, target):
    still = Bar(price * (1 - quiet), price * (1 + quiet), price)
    last = price * (1 + quiet * jump)
    rule = Breakout(channel=4, atr_period=2, stop_atr=stop, target_atr=target)
    found: list[Proposal] = proposed(A=[*[still] * 22, Bar(price, last, last, 150.0)], rule=rule)
    event(f"{len(found)} proposed")


def test_it_is_built_in():
    loaded = load("breakout", {"channel": "30", "same_day": "false"})
    assert loaded.strategy == Breakout(channel=30, same_day=False)
    assert loaded.strategy.name == "breakout"
