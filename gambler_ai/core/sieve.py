"""What of a feed is believed. A price that cannot be, or that jumps, reaches no strategy, no size and no mark.

A bar is refused that is not finite, not above zero, too large to be a price, has its high below its low, a volume
below zero, or begins in the future. One that lies 50 % or more from the last good close is kept back. It gets out
when two such bars in a row agree with each other, and the last trade or the broker's own mark agrees with them: a
true crash or a split does so within two bars, a bad print does not. Then what lies before the jump is forgotten,
so that no strategy takes a split for a move; it has its history again when enough bars have closed.

A last trade is believed when it is a price, is not from the future, and lies within 50 % of the newest good close.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gambler_ai.core import bars
from gambler_ai.core.model import AHEAD, JUMP, MAX_PRICE, BarFrame, Trade, agree, is_sane_price, jumps

#: A missing bar is asked for again until it is so many bars old: a feed tells some late.
GAP_BARS = 10

Rows = NDArray[np.float64]


class Sifted(NamedTuple):
    """Believed bars and trades, and why a symbol's newest price is not among them."""

    frame: BarFrame
    trades: dict[str, Trade]
    quarantined: dict[str, str]


class Sieve:
    """The bars of one session that are believed so far."""

    def __init__(self, symbols: tuple[str, ...], interval: timedelta, keep: int) -> None:
        """``keep`` bars of each symbol at most."""
        self._keep = keep
        self._frame = bars.empty(symbols, interval)
        self._refused: set[tuple[str, int]] = set()  # bars that were told of, while they may come again

    @property
    def since(self) -> datetime | None:
        """From when bars have to be asked for: what is new, and a young gap once more. None: from the beginning."""
        times, step = self._frame.times, int(self._frame.interval.total_seconds())
        newest = times[-1][times[-1] > 0] if len(self._frame) else times
        if not newest.size:
            return None
        first = int(newest.min())
        if len(times) > 1:
            before, after = times[:-1], times[1:]
            gap = (before > 0) & (after - before > step) & (newest.max() - before <= GAP_BARS * step)
            first = min(first, int(before[gap].min())) if gap.any() else first
        return datetime.fromtimestamp(first, UTC)

    def sift(
        self, told: BarFrame, trades: Mapping[str, Trade], marks: Mapping[str, Decimal | None], now: datetime
    ) -> Sifted:
        """Take what the feed told at ``now``, whatever it is. ``marks`` are the broker's own prices."""
        assert told.symbols == self._frame.symbols
        why: dict[str, str] = {}
        changed = {}
        for i in self._with_news(told):
            symbol = told.symbols[i]
            witness = [p for p in (_price(trades.get(symbol)), marks.get(symbol)) if p is not None and is_sane_price(p)]
            column = _Column(bars.column(self._frame, i), [float(p) for p in witness], now)
            column.take(bars.column(told, i))
            if column.taken:
                changed[i] = column.rows
            self._note(symbol, column, why)
        self._merge(changed)
        floor = int(since.timestamp()) if (since := self.since) is not None else 0
        self._refused = {key for key in self._refused if key[1] >= floor}
        return Sifted(self._frame, self._believed(trades, now, why), why)

    def _with_news(self, told: BarFrame) -> Sequence[int]:
        """Columns that hold more than what is known: something newer, or something in between."""
        if not len(told):
            return ()
        newest = self._frame.times[-1] if len(self._frame) else np.zeros(len(told.symbols), dtype=np.int64)
        rows = (told.times > 0).sum(axis=0)
        return [int(i) for i in np.flatnonzero((told.times[-1] > newest) | (rows > 1))]

    def _note(self, symbol: str, column: _Column, why: dict[str, str]) -> None:
        """What keeps a symbol's newest price back; a bar that was refused before and is over is old news."""
        fresh = [(at, text) for at, text in column.refused.items() if (symbol, at) not in self._refused]
        self._refused |= {(symbol, at) for at in column.refused}
        text = column.refused.get(column.newest) or (fresh[-1][1] if fresh else "")
        if text:
            why[symbol] = text

    def _merge(self, changed: Mapping[int, Rows]) -> None:
        if changed:
            old = self._frame
            kept = {i: changed[i] if i in changed else bars.column(old, i) for i in range(len(old.symbols))}
            columns = {symbol: kept[i][-self._keep :] for i, symbol in enumerate(old.symbols)}
            self._frame = bars.stacked(old.symbols, old.interval, columns)

    def _believed(self, trades: Mapping[str, Trade], now: datetime, why: dict[str, str]) -> dict[str, Trade]:
        found = {}
        for i, symbol in enumerate(self._frame.symbols):
            trade = trades.get(symbol)
            if trade is None:
                continue
            close = float(self._frame.close[-1, i]) if len(self._frame) else np.nan
            text = _odd_trade(trade, close, now)
            if text:
                why.setdefault(symbol, text)
            else:
                found[symbol] = trade
        return found


class _Column:
    """One symbol's bars while new ones are taken in."""

    def __init__(self, rows: Rows, witness: Sequence[float], now: datetime) -> None:
        self.rows = rows
        self.taken = False
        self.refused: dict[int, str] = {}  # a bar's left edge -> why it is not believed
        self.newest = 0  # the left edge of the newest that could be one
        self._witness = witness
        self._now_s = now.timestamp()
        self._last = float(rows[-1, 4]) if len(rows) else None  # the last good close

    def take(self, told: Rows) -> None:
        """Bars in the order of their times; those that are there already keep their first telling."""
        possible = told[told[:, 0] <= self._now_s, 0]
        self.newest = int(possible[-1]) if len(possible) else 0
        held_to = self.rows[-1, 0] if len(self.rows) else -np.inf
        late, newer = told[told[:, 0] < held_to], told[told[:, 0] > held_to]
        late = late[~np.isin(late[:, 0], self.rows[:, 0])] if len(late) else late
        for row in late:
            before = self.rows[self.rows[:, 0] < row[0]]
            if self._is_sane(row) and len(before) and not self._is_odd_beside(row, float(before[-1, 4])):
                self._add(row[None, :])
        if len(newer) and self._is_plain(newer):
            self.rows, self.taken = np.concatenate([self.rows, newer]), True
            return
        good, run = self._split(newer)
        if good:
            self._add(np.array(good))
        if run and self._is_confirmed(run):
            self.rows, self.taken = np.array(run), True
        else:
            self._keep_back(run)

    def _is_plain(self, newer: Rows) -> bool:
        """Whether nothing about them is odd, which is nearly always so: all of them at once."""
        prices, last = newer[:, 1:5], newer[0, 4] if self._last is None else self._last
        if not np.isfinite(newer).all() or (newer[:, 5] < 0).any() or (newer[:, 2] < newer[:, 3]).any():
            return False
        before = np.concatenate([[last], newer[:-1, 4]])[:, None]
        moves = (prices > (1 - JUMP) * before) & (prices < (1 + JUMP) * before)
        usual = (prices > 0) & (prices < float(MAX_PRICE))
        return bool(moves.all() and usual.all() and newer[-1, 0] <= self._now_s)

    def _split(self, newer: Rows) -> tuple[list[Rows], list[Rows]]:
        """Those that follow the last good one, and those at the end that jumped away from it."""
        good: list[Rows] = []
        run: list[Rows] = []
        for row in newer:
            if not self._is_sane(row):
                continue
            follows = run and agree(row[4], run[-1][4]) and not agree(row[4], self._last or 0.0)  # near the limit
            if self._last is None or (not follows and not _jumps(row, self._last)):
                self._keep_back(run)
                run = []
                good.append(row)
                self._last = float(row[4])
                continue
            if run and _jumps(row, float(run[-1][4])):
                self._keep_back(run)
                run = []
            run.append(row)
        return good, run

    def _is_confirmed(self, run: Sequence[Rows]) -> bool:
        close = float(run[-1][4])
        return len(run) > 1 and agree(close, float(run[-2][4])) and any(agree(close, w) for w in self._witness)

    def _add(self, rows: Rows) -> None:
        joined = np.concatenate([self.rows, rows])
        self.rows = joined[np.argsort(joined[:, 0], kind="stable")]
        self.taken = True

    def _is_sane(self, row: Rows) -> bool:
        why = _oddity(row, self._now_s)
        if why:
            self.refused[int(row[0])] = f"the bar of {_at(row)} {why}"
        return not why

    def _is_odd_beside(self, row: Rows, last: float) -> bool:
        if _jumps(row, last):
            self.refused[int(row[0])] = _jumped(row, last)
        return _jumps(row, last)

    def _keep_back(self, run: Sequence[Rows]) -> None:
        for row in run:
            assert self._last is not None
            self.refused[int(row[0])] = _jumped(row, self._last)


def _jumped(row: Rows, last: float) -> str:
    odd = next(float(price) for price in (row[4], *row[1:4]) if jumps(float(price), last))
    return f"the bar of {_at(row)} is at {odd:g}, {last:g} before"


def _jumps(row: Rows, last: float) -> bool:
    return any(jumps(float(price), last) for price in row[1:5])


def _oddity(row: Rows, now_s: float) -> str:
    """Why a bar cannot be, "" if it can."""
    if not np.isfinite(row).all():
        return "is not a number"
    if (row[1:5] <= 0).any():
        return "has a price that is not above zero"
    if (row[1:5] >= float(MAX_PRICE)).any():
        return "has a price that no share has"
    if row[2] < row[3]:
        return "has its high below its low"
    if row[5] < 0:
        return "has a volume below zero"
    return "is from the future" if row[0] > now_s else ""


def _odd_trade(trade: Trade, close: float, now: datetime) -> str:
    if not is_sane_price(trade.price):
        return f"the last trade is at {trade.price}"
    if trade.at - now > AHEAD:
        return f"the last trade is from the future: {trade.at:%F %T} UTC"
    if np.isfinite(close) and jumps(float(trade.price), close):
        return f"the last trade is at {trade.price}, the newest bar closed at {close:g}"
    return ""


def _price(trade: Trade | None) -> Decimal | None:
    return None if trade is None else trade.price


def _at(row: Rows) -> str:
    return f"{datetime.fromtimestamp(int(row[0]), UTC):%F %R} UTC"
