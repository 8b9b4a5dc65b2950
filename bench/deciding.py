"""What a tick's decision costs: `propose` on all symbols at once, against the same rule for one symbol at a time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from bench.rows import Row, medians, skipped
from bench.rules import PLAIN, STRATEGIES, Rule, Symbol
from bench.timing import interleave
from gambler_ai.core.bars import from_columns
from gambler_ai.core.model import MarketView
from gambler_ai.strategies.base import Strategy

SIZES = (10, 500, 10_000)
#: Where the rules of other libraries are timed as well, and the most that momentum may take of pandas' time.
PEERS_AT, PANDAS_GOAL = 500, 0.001
BARS, TODAY, AGE = 202, 60, 9
FIVE = timedelta(minutes=5)
AT = datetime(2024, 1, 3, 19, 30, tzinfo=UTC)
US = 1e3


def ticks(_folder: Path, rounds: int) -> Iterator[Row]:
    """Each strategy at each size. One symbol in fifty moves on high volume, ten (one of ten) are held."""
    for size in SIZES:
        view, symbols = market(size)
        for name, strategy in STRATEGIES.items():
            lists, pandas, talib = PLAIN[name]
            what = f"tick: {name}, {size:,} symbols"
            fewer = rounds if size < SIZES[-1] else rounds // 6
            yield _against(f"{what}, against lists", strategy, view, symbols, lists, fewer)
            if size != PEERS_AT:
                continue
            goal = PANDAS_GOAL if name == "momentum" else None
            yield _against(f"{what}, against pandas", strategy, view, symbols, pandas, rounds // 30, goal)
            if find_spec("talib") is None:
                yield skipped(f"{what}, against TA-Lib", "ta-lib is not installed")
            else:
                yield _against(f"{what}, against TA-Lib", strategy, view, symbols, talib, rounds // 3)


def _against(
    name: str, strategy: Strategy, view: MarketView, symbols: list[Symbol], rule: Rule, rounds: int,
    goal: float | None = None,
) -> Row:  # fmt: skip
    def plainly() -> list[tuple[str, str]]:
        return [(of.name, what) for of in symbols if (what := rule(of)) is not None]

    found = [(p.symbol, "exit" if p.exit else p.side.value) for p in strategy.propose(view)]  # type: ignore[union-attr]
    assert found == plainly(), f"{name}: the two do not decide the same"
    ours, floor = interleave(lambda: lambda: strategy.propose(view), lambda: plainly, max(5, rounds))
    each = US / len(symbols)
    scaled = [[took * each for took in side] for side in (ours, floor)]
    return medians(name, scaled[0], scaled[1], "us a symbol", goal, f"{len(found)} proposals")


def market(size: int) -> tuple[MarketView, list[Symbol]]:
    """Walks of so many symbols as a strategy sees them, and as the plain rules take them."""
    import pandas as pd

    rng = np.random.default_rng(size)
    columns, symbols, names = {}, [], tuple(f"S{i}" for i in range(size))
    left = np.array([(AT - (BARS - i) * FIVE).timestamp() for i in range(BARS)])
    left[:-TODAY] -= timedelta(hours=16).total_seconds()
    for i, name in enumerate(names):
        bars = _walk(rng, jumps=i % 50 == 7)
        columns[name] = np.column_stack([left, *bars.values()])
        held = (1, -1)[i % 2] if i % (size // 10 if size > 10 else 10) == 0 else 0
        lists = {key: values.tolist() for key, values in bars.items()}
        symbols.append(Symbol(name, lists, bars, pd.DataFrame(bars), held, AGE, TODAY))
    frame = from_columns(names, FIVE, columns, BARS)
    held_now = {of.name: Decimal(of.held) for of in symbols if of.held}
    entered = dict.fromkeys(held_now, AT - AGE * FIVE + timedelta(minutes=1))
    return MarketView(AT, frame, {}, held_now, entered), symbols


def _walk(rng: np.random.Generator, *, jumps: bool) -> dict[str, np.ndarray]:
    """Open, high, low, close and volume of one symbol; the last bar may leave everything behind."""
    steps = rng.normal(0, 0.001, BARS)
    volume = rng.uniform(500, 1_500, BARS)
    if jumps:
        steps[-1], volume[-1] = rng.choice([-0.03, 0.03]), 6_000.0
    close = 100 * np.exp(np.cumsum(steps))
    start = np.append(100.0, close[:-1])
    high, low = np.maximum(start, close) * 1.0005, np.minimum(start, close) * 0.9995
    return {"open": start, "high": high, "low": low, "close": close, "volume": volume}
