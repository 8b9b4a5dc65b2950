"""What a signal looked like when it was decided, in numbers: of the closed bars of its symbol and of nothing later.

``along`` means in the direction of the entry: above zero for a rise before a purchase and a fall before a short sale.
Each is a function of the newest `BARS` bars alone, so that a longer history gives the same numbers.
"""

from __future__ import annotations

import math
from datetime import datetime

import numpy as np

from gambler_ai.core.model import NEW_YORK, REGULAR_SESSION, BarFrame, Side
from gambler_ai.strategies import indicators

#: Closed bars that are looked at.
BARS = 64
#: Name -> what it is. Their order is the order of the columns in what learners keep: new ones go to the end.
NAMES = {
    "along_1": "change of the newest bar, along, %",
    "along_5": "change in 5 bars, along, %",
    "along_20": "change in 20 bars, along, %",
    "along_mean": "distance of the 5-bar mean from the 20-bar mean, along, %",
    "along_z": "deviations from the 20-bar mean, along",
    "along_rsi": "RSI of 14 bars from its middle, along, -50 to 50",
    "along_range": "place in the range of 20 bars, along, 0 to 1",
    "volatility": "deviation of 20 one-bar changes, %",
    "true_range": "average true range of 14 bars, % of the price",
    "efficiency": "net move over the way gone in 20 bars, 0 to 1",
    "volume": "volume over the mean of 20 bars, as a logarithm",
    "time_of_day": "part of the regular session that has passed, 0 to 1",
    "short": "1 for a short sale, 0 for a purchase",
}


def features(frame: BarFrame, symbol: str, side: Side) -> dict[str, float]:
    """The features of an entry in ``symbol`` on its newest closed bar; those that its history does not give are absent.

    Six decimals: what is stored with the order reads as people write it, and is what is learned from.
    """
    if symbol not in frame.symbols:
        return {}
    column = frame.symbols.index(symbol)
    found = _of_bars(frame, column, side.sign) | _of_instant(frame, column)
    found["short"] = float(side is Side.SELL)
    return {name: round(found[name], 6) for name in NAMES if name in found and math.isfinite(found[name])}


def _of_bars(frame: BarFrame, column: int, sign: int) -> dict[str, float]:
    close, high, low, volume = (
        np.ascontiguousarray(values[-BARS:, column : column + 1])
        for values in (frame.close, frame.high, frame.low, frame.volume)
    )
    if len(close) < BARS or not np.isfinite(close).all():
        return {}
    last = float(close[-1, 0])
    moves = np.diff(np.log(close[-21:, 0]))
    top, bottom = float(high[-20:].max()), float(low[-20:].min())
    way = float(np.abs(np.diff(close[-21:, 0])).sum())
    ratio = _last(indicators.volume_ratio(volume, 20))
    return {
        "along_1": sign * (last / float(close[-2, 0]) - 1) * 100,
        "along_5": sign * (last / float(close[-6, 0]) - 1) * 100,
        "along_20": sign * (last / float(close[-21, 0]) - 1) * 100,
        "along_mean": sign * (float(close[-5:].mean()) / float(close[-20:].mean()) - 1) * 100,
        "along_z": sign * _last(indicators.z_score(close, 20)),
        "along_rsi": sign * (_last(indicators.rsi(close, 14)) - 50),
        "along_range": 0.5 if top == bottom else _along(sign, (last - bottom) / (top - bottom)),
        "volatility": float(moves.std()) * 100,
        "true_range": _last(indicators.atr(high, low, close, 14)) / last * 100,
        "efficiency": abs(last - float(close[-21, 0])) / way if way else 0.0,
        "volume": math.log(ratio) if ratio > 0 and math.isfinite(ratio) else math.nan,
    }


def _along(sign: int, place: float) -> float:
    return place if sign > 0 else 1 - place


def _last(values: indicators.Array) -> float:
    return float(values[-1, 0])


def _of_instant(frame: BarFrame, column: int) -> dict[str, float]:
    """By the end of the newest bar: that is when it was known."""
    if not len(frame) or not frame.times[-1, column]:
        return {}
    closed: datetime = (frame.newest_at(column) + frame.interval).astimezone(NEW_YORK)
    passed = closed - closed.replace(hour=9, minute=30, second=0, microsecond=0)
    return {"time_of_day": min(1.0, max(0.0, passed / REGULAR_SESSION))}
