"""The default hour has a story: a momentum rule enters both symbols, one is stopped out, one reaches its
target.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from gambler_ai.broker.hours import in_regular_hours
from gambler_ai.exchange.defaults import DEFAULT_SEED, DEFAULT_START
from gambler_ai.exchange.instants import SECOND, rfc3339, to_us

CENT = Decimal("0.01")
FIVE = timedelta(minutes=5)


def momentum(world, symbol: str, seen: set[str]) -> str | None:
    """The side of an entry at the newest closed five-minute bar, or None."""
    start = rfc3339(to_us(world.exchange.now() - timedelta(days=4)))
    bars = world.get("/v2/stocks/bars", symbols=symbol, timeframe="5Min", start=start)["bars"][symbol]
    bars = [bar for bar in bars if in_regular_hours(to_us(datetime.fromisoformat(bar["t"])) // SECOND, FIVE)]
    if bars[-1]["t"] in seen:
        return None
    seen.add(bars[-1]["t"])
    change = bars[-1]["c"] / bars[-6]["c"] - 1
    ratio = bars[-1]["v"] / (sum(bar["v"] for bar in bars[-21:-1]) / 20)
    if abs(change) < 0.02 or ratio < 2:
        return None
    return "buy" if change > 0 else "sell"


def enter(world, symbol: str, side: str, last: Decimal) -> None:
    up = 1 if side == "buy" else -1
    profit, stop = last * (1 + up * Decimal("0.04")), last * (1 - up * Decimal("0.02"))
    world.order(
        symbol=symbol,
        side=side,
        qty=int(10_000 / last),
        order_class="bracket",
        take_profit={"limit_price": str(profit.quantize(CENT))},
        stop_loss={"stop_price": str(stop.quantize(CENT))},
    )


def run_hour(world, *, from_bars: bool) -> list[dict[str, Any]]:
    seen: dict[str, set[str]] = {"AAPL": set(), "MSFT": set()}
    for symbol in seen:
        momentum(world, symbol, seen[symbol])  # what is closed before the start is history
    for _ in range(60):
        world.pass_time(minutes=1)
        for symbol in seen:
            side = momentum(world, symbol, seen[symbol])
            if side and world.call("GET", f"/v2/positions/{symbol}")[0] == 404:
                bar = world.get(f"/v2/stocks/{symbol}/bars/latest")["bar"]
                enter(world, symbol, side, Decimal(str(bar["c"])) if from_bars else world.last(symbol))
    story: list[dict[str, Any]] = world.get("/v2/orders", status="all", nested="true", direction="asc")
    return story


@pytest.mark.parametrize("from_bars", [True, False], ids=["prices of the last bar", "prices of the last trade"])
def test_the_default_hour(make_world, from_bars):
    world = make_world(DEFAULT_START, seed=DEFAULT_SEED)
    story = run_hour(world, from_bars=from_bars)
    ends = {row["symbol"]: [leg["type"] for leg in row["legs"] if leg["status"] == "filled"] for row in reversed(story)}
    assert ends == {"AAPL": ["stop"], "MSFT": ["limit"]}
    assert [(row["symbol"], row["side"], row["filled_at"][11:16]) for row in story[:2]] == [
        ("AAPL", "buy", "13:35"),
        ("MSFT", "sell", "13:40"),
    ]
    again = run_hour(make_world(DEFAULT_START, seed=DEFAULT_SEED), from_bars=from_bars)
    assert again == story
