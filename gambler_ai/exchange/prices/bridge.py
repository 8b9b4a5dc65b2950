"""One daily bar -> the ticks of its minutes: a deterministic bridge that hits the real bar exactly.

Four trades a minute. Their aggregate is the minute's bar by construction, and the aggregate of the minutes
is the daily bar: same open, high, low, close and volume. Everything between those is invented, which is why
the label of such prices is ``real-daily`` and no more. The bridge knows nothing of any strategy.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gambler_ai.exchange.hashing import normals, uniforms
from gambler_ai.exchange.prices.daily import CENT

TICKS_A_MINUTE = 4
TICK_SECONDS = (0, 15, 45, 59)
_CANDIDATES = 24  # paths drawn a day; the one whose own high and low lie nearest the day's is kept
_BURSTS = 5  # news and big orders a day: activity, and with it volume, rises and fades within minutes

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Day(NamedTuple):
    """``prices``: four a minute, in ten-thousandths of a dollar; ``volumes``: one a minute."""

    prices: Ints
    volumes: Ints


def _activity(seed: int, minutes: int) -> tuple[Floats, Floats]:
    """How busy each minute is: a U over the day times fading bursts; and the bursts alone."""
    at = np.arange(minutes, dtype=np.float64)
    shape = 1.0 + 1.8 * np.exp(-at / 25.0) + 0.9 * np.exp((at - minutes) / 30.0)
    dice = uniforms(seed, (_BURSTS, 3))
    bursts = np.zeros(minutes)
    for when, size, length in dice:
        age = at - when * minutes
        decay = 4.0 + 14.0 * length
        bursts += np.where(age >= 0, 4.0 * size**2 * np.exp(-np.maximum(age, 0) / decay), 0.0)
    jitter = np.exp(0.35 * normals(seed + 1, (minutes,)))
    return shape * (1.0 + bursts) * jitter, bursts


def _candidates(seed: int, bar: tuple[int, int, int, int], activity: Floats, bursts: Floats) -> Floats:
    """Brownian bridges from the open to the close in the day's own busy time, with runs inside the bursts."""
    open_, high, low, close = bar
    count = activity.size * TICKS_A_MINUTE
    variance = np.repeat(activity, TICKS_A_MINUTE)
    variance = variance / variance.sum()
    steps = normals(seed, (_CANDIDATES, count)) * np.sqrt(variance)
    # Inside a burst moves go one way for a while: a slow walk of its own, shared by neighbouring ticks.
    slow = np.repeat(normals(seed + 1, (_CANDIDATES, count // 20 + 1)), 20, axis=1)[:, :count]
    steps += slow * np.repeat(bursts / (1.0 + bursts), TICKS_A_MINUTE) * np.sqrt(variance) * 0.5
    steps[:, 0] = 0.0
    walk = np.cumsum(steps, axis=1)
    clock = np.cumsum(variance)
    clock = (clock - clock[0]) / (clock[-1] - clock[0])
    bridge = walk - clock * walk[:, -1:]
    # The range of a Brownian bridge is about 1.25 of its deviation; a trending day needs less than that.
    scale = (high - low) / 1.25 * np.linspace(0.35, 1.35, _CANDIDATES)[:, None]
    result: Floats = open_ + (close - open_) * clock + bridge * scale
    return result


def _stretch(path: Floats, bar: tuple[int, int, int, int]) -> Floats:
    """Map the part above max(open, close) onto the day's high and the part below min onto its low; keep the
    middle.
    """
    open_, high, low, close = bar
    top, bottom = max(open_, close), min(open_, close)
    peak, trough = path.max(), path.min()
    over = (high - top) / (peak - top) if peak > top else 0.0
    under = (bottom - low) / (bottom - trough) if trough < bottom else 0.0
    result: Floats = np.where(
        path > top, top + (path - top) * over, np.where(path < bottom, bottom - (bottom - path) * under, path)
    )
    return result


def _choose(paths: Floats, bar: tuple[int, int, int, int]) -> Floats:
    """The candidate that needs the least stretching; one that never leaves the middle cannot reach the
    extremes.
    """
    _, high, low, _ = bar
    error = np.abs(paths.max(axis=1) - high) + np.abs(paths.min(axis=1) - low)
    chosen: Floats = paths[int(np.argmin(error))]
    return chosen


def _pin(path: Floats, bar: tuple[int, int, int, int]) -> Ints:
    """Round to cents inside the day's range, and put the four real prices where they belong."""
    open_, high, low, close = bar
    peak, trough = int(np.argmax(path[1:-1])) + 1, int(np.argmin(path[1:-1])) + 1
    if peak == trough:
        trough = peak % (path.size - 2) + 1
    prices: Ints = np.clip(np.rint(path / CENT).astype(np.int64) * CENT, low, high)
    prices[0], prices[-1] = open_, close
    # The extremes of the data may carry parts of a cent; everything else is in whole cents.
    if high > max(open_, close):
        prices[peak] = high
    if low < min(open_, close):
        prices[trough] = low
    return prices


def _spread_volume(seed: int, volume: int, activity: Floats, prices: Ints) -> Ints:
    """Whole shares that add up to the day's, more of them in minutes that are busy and that move."""
    minutes = prices.reshape(-1, TICKS_A_MINUTE)
    moves = (minutes.max(axis=1) - minutes.min(axis=1)).astype(np.float64)
    usual = moves.mean()
    weight = (
        activity * (0.3 + 0.7 * moves / usual if usual > 0 else 1.0) * (0.8 + 0.4 * uniforms(seed, (activity.size,)))
    )
    shares = weight / weight.sum() * volume
    whole: Ints = np.floor(shares).astype(np.int64)
    left = volume - int(whole.sum())
    whole[np.argsort(whole - shares, kind="stable")[:left]] += 1
    return whole


def spread_day(seed: int, bar: tuple[int, int, int, int], volume: int, minutes: int) -> Day:
    """The ticks and minute volumes of a day. ``bar`` is open, high, low, close in ten-thousandths."""
    activity, bursts = _activity(seed, minutes)
    path = _choose(_candidates(seed + 2, bar, activity, bursts), bar)
    prices = _pin(_stretch(path, bar), bar)
    return Day(prices, _spread_volume(seed + 4, volume, activity, prices))
