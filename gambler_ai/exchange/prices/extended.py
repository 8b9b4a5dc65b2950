"""Before the open and after the close: thin, seeded trades around the prices of the regular session.

They are synthetic for every symbol, whatever its label, and nothing of the regular session depends on them. After-hours
trades wander off the close a little; those before the open begin where the evening before ended and come to the open.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gambler_ai.exchange.hashing import normals, uniforms
from gambler_ai.exchange.instants import MINUTE, SECOND
from gambler_ai.exchange.prices.bridge import Ints
from gambler_ai.exchange.prices.daily import CENT

_A_MINUTE = 3  # trades at most
_WANDERING = 0.12  # of the day's range: how far the path strays
_EVENING_MOVE = 0.08  # of the day's range: how far from the close the evening ends
_LOTS = 0.00002  # of the day's volume, a trade: about a hundredth of it in all


class Trades(NamedTuple):
    """Trades, oldest first: instants, prices in ten-thousandths, shares."""

    at_us: Ints
    prices: Ints
    sizes: Ints

    def taken(self, chosen: Ints | slice) -> Trades:
        """Those at some places."""
        return Trades(*(column[chosen] for column in self))


def joined(parts: Sequence[Trades]) -> Trades:
    """One after the other."""
    return Trades(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _instants(seed: int, begin_us: int, busy: npt.NDArray[np.float64], first_us: int) -> Ints:
    """``busy`` is how likely each minute's first trade is; further ones are half as likely each. The one at
    ``first_us`` is always there.
    """
    happens = uniforms(seed, (_A_MINUTE, busy.size)) < busy * np.array([[1.0], [0.5], [0.25]])
    seconds = (uniforms(seed + 1, (_A_MINUTE, busy.size)) * 59).astype(np.int64) + 1
    minutes = np.arange(busy.size, dtype=np.int64) * MINUTE
    return np.unique(np.append((begin_us + minutes + seconds * SECOND)[happens], first_us))


def _path(seed: int, count: int, start: float, end: float, stray: float) -> Ints:
    """Whole cents from ``start`` to ``end`` by a Brownian bridge."""
    at = np.linspace(0.0, 1.0, count)
    walk = np.cumsum(normals(seed, (count,))) / np.sqrt(count)
    bridge = walk - walk[0] - at * (walk[-1] - walk[0])
    prices: Ints = np.rint((start + (end - start) * at + stray * bridge) / CENT).astype(np.int64) * CENT
    return np.maximum(prices, CENT)


def _sizes(seed: int, count: int, volume: int) -> Ints:
    shares = volume * _LOTS * np.exp(0.9 * normals(seed, (count,)))
    return np.maximum(np.rint(shares), 1).astype(np.int64)


def _trades(seed: int, at_us: Ints, ends: tuple[float, float], spread: int, volume: int) -> Trades:
    prices = _path(seed + 2, at_us.size, *ends, _WANDERING * spread)
    return Trades(at_us, prices, _sizes(seed + 4, at_us.size, volume))


def after_hours(seed: int, bar: tuple[int, int, int, int], volume: int, begin_us: int, minutes: int) -> Trades:
    """The evening of a day with this regular bar (open, high, low, close): busy at first, then ever less."""
    _, high, low, close = bar
    busy = 0.08 + 0.55 * np.exp(-np.arange(minutes) / 35.0)
    end = close + _EVENING_MOVE * (high - low) * float(normals(seed + 6, (1,))[0])
    # Not at the instant of the close: that one's last trade is the close.
    return _trades(seed, _instants(seed, begin_us, busy, begin_us + SECOND), (close, end), high - low, volume)


def pre_market(
    seed: int, before: float, bar: tuple[int, int, int, int], volume: int, begin_us: int, minutes: int
) -> Trades:
    """The morning of a day with this regular bar, from the price ``before`` it: the nearer the open the busier."""
    open_, high, low, _ = bar
    busy = 0.06 + 0.6 * np.exp((np.arange(minutes) - minutes) / 60.0)
    # One at once: after a split a price in new shares is known from the first instant.
    return _trades(seed, _instants(seed, begin_us, busy, begin_us), (before, open_), high - low, volume)
