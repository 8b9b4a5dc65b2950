"""Momentum against a plain reading of its rule, on any bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gambler_ai.core.bars import from_columns
from gambler_ai.core.model import BarFrame, MarketView, Side
from gambler_ai.strategies.momentum import Momentum
from tests.unit.fakes import AT, FIVE

BARS = Sequence[tuple[float, float]]  # (close, volume), oldest first


def frame(**symbols: BARS) -> BarFrame:
    columns = {}
    for name, rows in symbols.items():
        first = AT - len(rows) * FIVE
        made = [((first + i * FIVE).timestamp(), c, c, c, c, v) for i, (c, v) in enumerate(rows)]
        columns[name] = np.asarray(made, dtype=np.float64).reshape(-1, 6)
    return from_columns(tuple(symbols), FIVE, columns, 100)


def momentum(**changes) -> Momentum:
    return Momentum(**changes)


def view(of: BarFrame) -> MarketView:
    return MarketView(AT, of, {}, {})


def proposed(of: BarFrame, **changes) -> dict[str, Side]:
    return {p.symbol: p.side for p in momentum(**changes).propose(view(of))}


def plainly(rows: BARS, change_pct: float, lookback: int, ratio: float, volume_bars: int) -> Side | None:
    """The rule as a person would work it out, one symbol at a time."""
    if len(rows) < max(lookback, volume_bars) + 1:
        return None
    closes, volumes = [c for c, _ in rows], [v for _, v in rows]
    change = round((closes[-1] / closes[-1 - lookback] - 1) * 100, 6)
    usual = math.fsum(volumes[-1 - volume_bars : -1]) / volume_bars
    loud = volumes[-1] >= ratio * usual if usual else volumes[-1] > 0
    if not loud or abs(change) < change_pct:
        return None
    return Side.BUY if change > 0 else Side.SELL


prices = st.integers(90, 110).map(float)
volumes = st.integers(0, 40).map(lambda v: v * 100.0)
rows = st.lists(st.tuples(prices, volumes), max_size=12)


@given(a=rows, b=rows, lookback=st.integers(1, 4), volume_bars=st.integers(1, 6))
def test_it_is_the_rule_on_any_bars(a, b, lookback, volume_bars):
    found = proposed(frame(A=a, B=b), lookback=lookback, volume_bars=volume_bars)
    expected = {name: plainly(bars, 2.0, lookback, 2.0, volume_bars) for name, bars in (("A", a), ("B", b))}
    assert found == {name: side for name, side in expected.items() if side is not None}


QUIET = [(100.0, 100.0)] * 20


def after(close: float, volume: float = 200.0, before: BARS = QUIET) -> BarFrame:
    return frame(A=[*before, (close, volume)])


@pytest.mark.parametrize(
    ("close", "volume", "side"),
    [
        (102.0, 200, Side.BUY),  # exactly 2.00 % on exactly twice the volume
        (98.0, 200, Side.SELL),
        (101.99, 200, None),
        (98.01, 200, None),
        (102.0, 199, None),
        (150.0, 199.9, None),
        (102.0, 1e9, Side.BUY),
        (100.0, 1e9, None),
    ],
)
def test_both_thresholds_are_inclusive(close, volume, side):
    assert proposed(after(close, volume)) == ({"A": side} if side else {})


@pytest.mark.parametrize("base", [1.0, 3.0, 7.0, 33.33, 78.3, 183.25, 612.7, 999.99])
def test_two_percent_as_a_person_reads_it_is_two_percent(base):
    before = [(base, 100.0)] * 20
    assert proposed(after(round(base * 1.02, 10), before=before)) == {"A": Side.BUY}
    assert proposed(after(round(base * 0.98, 10), before=before)) == {"A": Side.SELL}


def test_a_proposal_says_what_it_saw():
    [proposal] = momentum().propose(view(after(102.5, 310.0)))
    assert proposal.reason == "+2.50 % in 5 bars, volume x3.1"
    assert proposal.signal_at == AT - FIVE
    assert (proposal.stop_loss_pct, proposal.take_profit_pct) == (None, None)


def test_short_history_never_signals():
    assert proposed(frame(A=[(100.0, 1.0)] * 19 + [(200.0, 900.0)])) == {}
    assert proposed(frame(A=[])) == {}
    both = frame(A=[*QUIET, (102.0, 200.0)], B=[(100.0, 1.0), (200.0, 900.0)])
    assert proposed(both) == {"A": Side.BUY}


@pytest.mark.parametrize("array", ["close", "volume"])
@pytest.mark.parametrize("row", [-1, -2, -6, 0])
def test_a_hole_in_what_it_looks_at_never_signals(array, row):
    of = after(110.0, 900.0)
    spoiled = getattr(of, array).copy()
    spoiled[row, 0] = np.nan
    of = replace(of, **{array: spoiled})
    looked_at = row in ((-1, -6) if array == "close" else (-1, -2, -6, 0))
    assert proposed(of) == ({} if looked_at else {"A": Side.BUY})


def test_it_wants_the_bars_it_looks_at():
    assert momentum().history == 21
    assert momentum(lookback=30).history == 31


def test_the_instant_of_a_signal_is_of_its_own_symbol():
    late = frame(A=[*QUIET, (102.0, 200.0)])
    times = late.times.copy()
    times[-1, 0] = int(datetime(2008, 10, 7, 13, 0, tzinfo=UTC).timestamp())
    [proposal] = momentum().propose(view(replace(late, times=times)))
    assert proposal.signal_at == datetime(2008, 10, 7, 13, 0, tzinfo=UTC)
