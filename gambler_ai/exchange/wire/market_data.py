"""Alpaca's JSON for market data: all numbers are JSON numbers, sizes and counts whole ones (BEHAVIOUR 1 and 6)."""

from __future__ import annotations

from typing import Any

from gambler_ai.exchange.instants import rfc3339
from gambler_ai.exchange.numbers import SCALE
from gambler_ai.exchange.prices.bars import Bar
from gambler_ai.exchange.prices.market import Tick


def bar_entity(bar: Bar) -> dict[str, Any]:
    return {
        "t": rfc3339(bar.start_us),
        "o": bar.open / SCALE,
        "h": bar.high / SCALE,
        "l": bar.low / SCALE,
        "c": bar.close / SCALE,
        "v": bar.volume,
        "n": bar.trades,
        "vw": bar.vwap / SCALE,
    }


def quote_entity(tick: Tick) -> dict[str, Any]:
    return {
        "t": rfc3339(tick.at_us),
        "ax": "V",
        "ap": tick.ask / SCALE,
        "as": 5,
        "bx": "V",
        "bp": tick.bid / SCALE,
        "bs": 5,
        "c": ["R"],
        "z": "C",
    }


def trade_entity(tick: Tick) -> dict[str, Any]:
    return {
        "t": rfc3339(tick.at_us),
        "x": "V",
        "p": tick.last / SCALE,
        "s": tick.size,
        "c": ["@"],
        "i": tick.at_us // 1_000_000,
        "z": "C",
    }
