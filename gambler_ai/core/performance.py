"""What came of a session in numbers: of its equity, of its round trips.

The folds take one reading, one round trip at a time, so a year needs no more room than its days. A period is a trading
day, close to close; the first begins with the first reading and the last ends with the newest. Two rules say when a
figure is not given: the ratios need `RATIO_DAYS_MIN` daily returns, and a growth is brought to a year only if it took
one (as the GIPS standards of 2020 demand: returns of less than a year are not annualized). What is not given is None,
with the reason in ``absent``. The rate without risk, and what a return has to beat, is zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from math import sqrt
from typing import NamedTuple

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace
from numpy.typing import NDArray

from gambler_ai.core.model import ZERO, ClosedTrade

#: Trading days a year, as is usual.
YEAR_DAYS = 252
#: Daily returns below which a deviation says nothing: about a month of trading.
RATIO_DAYS_MIN = 20
#: What counts as a year: the holidays at both ends may be missing.
YEAR_MIN = timedelta(days=360)
_YEAR_S = 365.25 * 86_400

Returns = NDArray[np.float64]


class Point(NamedTuple):
    """The account's equity as it was stated."""

    at: datetime
    equity: Decimal


class Span(NamedTuple):
    """From ``begin`` to ``end``."""

    begin: datetime
    end: datetime


class Drawdown(Struct, frozen=True):
    """The deepest fall from a peak. ``depth`` is a part of the peak; ``recovered_at`` None: not yet."""

    depth: float
    peak: Point
    trough: Point
    recovered_at: datetime | None
    #: From the peak until it was reached again, or until the newest reading.
    length: timedelta


class EquityFigures(Struct, frozen=True):
    """What a curve says. Ratios and returns are parts of one (0.02 is 2 %); ``absent`` says why one is None."""

    readings: int
    days: int
    first: Point | None = None
    last: Point | None = None
    total_return: float | None = None
    cagr: float | None = None
    volatility: float | None = None
    sharpe: float | None = None
    sortino: float | None = None
    calmar: float | None = None
    drawdown: Drawdown | None = None
    mean_equity: float | None = None
    absent: dict[str, str] = field(default_factory=dict)

    @property
    def change(self) -> Decimal | None:
        """What the account gained or lost."""
        return None if self.first is None or self.last is None else self.last.equity - self.first.equity


class TradeFigures(Struct, frozen=True):
    """What round trips say. Those without a price of exit (``unpriced``) are in no other number."""

    count: int
    unpriced: int
    wins: int
    losses: int
    profit: Decimal
    loss: Decimal  # not above zero
    win_rate: float | None = None
    profit_factor: float | None = None
    expectancy: Decimal | None = None
    average_win: Decimal | None = None
    average_loss: Decimal | None = None
    best: Decimal | None = None
    worst: Decimal | None = None
    longest_wins: int = 0
    longest_losses: int = 0
    mean_held: timedelta | None = None
    absent: dict[str, str] = field(default_factory=dict)

    @property
    def net(self) -> Decimal:
        """Profit less loss."""
        return self.profit + self.loss


# -- formulas -------------------------------------------------------------------------------------


def returns_of(equity: Sequence[Decimal]) -> Returns:
    """The part that each value gained on the one before; shape (len - 1,). Values are above zero."""
    values = np.asarray([float(value) for value in equity])
    returns: Returns = np.diff(values) / values[:-1]
    return returns


def volatility(returns: Returns) -> float:
    """The sample deviation of daily returns times the root of 252 (Hull, Options, Futures: historical volatility)."""
    return float(np.std(returns, ddof=1)) * sqrt(YEAR_DAYS)


def sharpe(returns: Returns) -> float | None:
    """Mean over sample deviation, brought to a year (Sharpe 1994, The Sharpe Ratio, J. of Portfolio Management 21)."""
    deviation = float(np.std(returns, ddof=1))
    return None if _is_nothing(deviation, returns) else float(np.mean(returns)) / deviation * sqrt(YEAR_DAYS)


def sortino(returns: Returns) -> float | None:
    """Mean over downside deviation, brought to a year (Sortino and Price 1994, J. of Investing 3).

    The downside deviation is the root of the mean of the squared returns below zero, over all days.
    """
    downside = float(np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2)))
    return None if _is_nothing(downside, returns) else float(np.mean(returns)) / downside * sqrt(YEAR_DAYS)


def cagr(growth: float, years: float) -> float:
    """The same growth every year: (last / first) ** (1 / years) - 1, years of 365.25 days."""
    return float(growth ** (1.0 / years)) - 1.0


def _is_nothing(deviation: float, returns: Returns) -> bool:
    """Whether a deviation is zero but for rounding: equal returns differ in their last bits."""
    return deviation <= 1e-12 * max(1.0, float(np.max(np.abs(returns))))


# -- equity ---------------------------------------------------------------------------------------


class EquityFold:
    """Readings of the account's equity, oldest first, to `EquityFigures`."""

    def __init__(self) -> None:
        self._readings = 0
        self._first: Point | None = None
        self._last: Point | None = None
        self._day = ""
        self._closes: list[Decimal] = []
        self._peak: Point | None = None
        self._worst: Drawdown | None = None

    def add(self, at: datetime, day: str, equity: Decimal | float) -> None:
        """A reading: finite, not older than the one before. ``day`` names its trading day."""
        point = Point(at, equity if isinstance(equity, Decimal) else Decimal(str(equity)))
        self._readings += 1
        if self._first is None:
            self._first = point
        if day != self._day or not self._closes:
            self._day = day
            self._closes.append(point.equity)
        self._closes[-1] = point.equity
        self._last = point
        self._fall(point)

    def carry(self, at: datetime, day: str) -> None:
        """Nothing was stated up to ``at``, so equity is what it was: a day on which nothing moved is a day as well."""
        if self._last is not None:
            self.add(at, day, self._last.equity)
            self._readings -= 1

    def figures(self) -> EquityFigures:
        """What they come to so far."""
        first, last = self._first, self._last
        if first is None or last is None:
            return EquityFigures(0, 0, absent=dict.fromkeys(_OF_A_CURVE, "no reading of the account"))
        basic = EquityFigures(
            self._readings, len(self._closes), first, last, drawdown=self._drawdown(last),
            mean_equity=float(np.mean([float(value) for value in (first.equity, *self._closes)])),
        )  # fmt: skip
        if min(first.equity, *self._closes) <= 0:
            return replace(basic, absent=dict.fromkeys(_OF_A_CURVE, "equity was not above zero"))
        growth = float(last.equity / first.equity)
        return _ratios(replace(basic, total_return=growth - 1.0), returns_of([first.equity, *self._closes]), growth)

    def _fall(self, point: Point) -> None:
        peak, worst = self._peak, self._worst
        if peak is None or point.equity >= peak.equity:
            if worst is not None and worst.recovered_at is None and worst.peak == peak:
                self._worst = replace(worst, recovered_at=point.at, length=point.at - worst.peak.at)
            self._peak = point
        elif peak.equity > 0:
            depth = float((peak.equity - point.equity) / peak.equity)
            if worst is None or depth > worst.depth:
                self._worst = Drawdown(depth, peak, point, None, point.at - peak.at)

    def _drawdown(self, last: Point) -> Drawdown | None:
        worst = self._worst
        if worst is None or worst.recovered_at is not None:
            return worst
        return replace(worst, length=last.at - worst.peak.at)


#: Figures that a curve gives, if it is long enough.
_OF_A_CURVE = ("total_return", "cagr", "volatility", "sharpe", "sortino", "calmar")


def _ratios(figures: EquityFigures, returns: Returns, growth: float) -> EquityFigures:
    absent: dict[str, str] = {}
    if len(returns) >= RATIO_DAYS_MIN:
        found = {"volatility": volatility(returns), "sharpe": sharpe(returns), "sortino": sortino(returns)}
        absent |= {name: _NO_DEVIATION[name] for name, value in found.items() if value is None}
    else:
        found = dict.fromkeys(("volatility", "sharpe", "sortino"))
        absent |= dict.fromkeys(found, f"needs {RATIO_DAYS_MIN} days, has {len(returns)}")
    assert figures.first is not None
    assert figures.last is not None
    span = figures.last.at - figures.first.at
    yearly = cagr(growth, span.total_seconds() / _YEAR_S) if span >= YEAR_MIN else None
    calmar = None
    if yearly is None:
        absent |= dict.fromkeys(("cagr", "calmar"), f"needs a year, has {_days(span.days)}")
    elif figures.drawdown is None:
        absent["calmar"] = "no drawdown"
    else:
        calmar = yearly / figures.drawdown.depth  # Young 1991, Futures 20
    return replace(figures, **found, cagr=yearly, calmar=calmar, absent=absent)


_NO_DEVIATION = {"sharpe": "every day returned the same", "sortino": "no day lost"}


def _days(count: int) -> str:
    return f"{count} day" if count == 1 else f"{count} days"


class Thinner:
    """At most about ``points`` of ``count`` readings, which still show every extreme.

    Readings are dealt into buckets of one size, and of each its lowest and its highest are kept, in their order,
    beside the very first and the very last.
    """

    def __init__(self, count: int, points: int) -> None:
        self._size = max(1, -(-count // max(1, (points - 2) // 2)))
        self._kept: list[Point] = []
        self._low: tuple[int, Point] | None = None
        self._high: tuple[int, Point] | None = None
        self._last: Point | None = None
        self._seen = 0

    def add(self, point: Point) -> None:
        """The next reading."""
        if self._last is None:
            self._kept.append(point)
        self._last = point
        if self._low is None or point.equity < self._low[1].equity:
            self._low = (self._seen, point)
        if self._high is None or point.equity > self._high[1].equity:
            self._high = (self._seen, point)
        self._seen += 1
        if self._seen % self._size == 0:
            self._close()

    def points(self) -> list[Point]:
        """What is kept, oldest first."""
        self._close()
        if self._last is not None and self._kept[-1] != self._last:
            self._kept.append(self._last)
        return self._kept

    def _close(self) -> None:
        for _, point in sorted({found for found in (self._low, self._high) if found is not None}):
            if self._kept[-1] != point:
                self._kept.append(point)
        self._low = self._high = None


# -- round trips ----------------------------------------------------------------------------------


class TradeFold:
    """Round trips in the order in which they ended, to `TradeFigures`.

    One that brought nothing is neither won nor lost, and ends a streak; so does one whose exit has no price.
    """

    def __init__(self) -> None:
        self._count = self._unpriced = self._wins = self._losses = 0
        self._profit = self._loss = ZERO
        self._best: Decimal | None = None
        self._worst: Decimal | None = None
        self._streaks = {1: 0, -1: 0}
        self._longest = {1: 0, -1: 0}
        self._held = timedelta()

    def add(self, trade: ClosedTrade) -> None:
        """The next one."""
        self._count += 1
        self._held += trade.duration
        pnl = trade.pnl
        sign = 0 if not pnl else 1 if pnl > 0 else -1
        for side in self._streaks:
            self._streaks[side] = self._streaks[side] + 1 if sign == side else 0
            self._longest[side] = max(self._longest[side], self._streaks[side])
        if pnl is None:
            self._unpriced += 1
            return
        self._wins += sign > 0
        self._losses += sign < 0
        self._profit += max(pnl, ZERO)
        self._loss += min(pnl, ZERO)
        self._best = pnl if self._best is None else max(self._best, pnl)
        self._worst = pnl if self._worst is None else min(self._worst, pnl)

    def figures(self) -> TradeFigures:
        """What they come to so far.

        Win rate: won of all. Profit factor: won over lost dollars. Expectancy: dollars a round trip, which is
        win rate * average win + loss rate * average loss (Tharp 1998, Trade Your Way to Financial Freedom, ch. 7).
        """
        priced = self._count - self._unpriced
        figures = TradeFigures(
            self._count, self._unpriced, self._wins, self._losses, self._profit, self._loss, best=self._best,
            worst=self._worst, longest_wins=self._longest[1], longest_losses=self._longest[-1],
            mean_held=self._held / self._count if self._count else None,
            average_win=self._profit / self._wins if self._wins else None,
            average_loss=self._loss / self._losses if self._losses else None,
            win_rate=self._wins / priced if priced else None,
            expectancy=(self._profit + self._loss) / priced if priced else None,
            profit_factor=float(self._profit / -self._loss) if self._loss else None,
        )  # fmt: skip
        return replace(figures, absent=_absent_trades(figures, priced))


def _absent_trades(figures: TradeFigures, priced: int) -> dict[str, str]:
    none = "no round trip" if not figures.count else "no round trip with a known exit"
    if not priced:
        return dict.fromkeys(("win_rate", "profit_factor", "expectancy", "average_win", "average_loss"), none)
    why = {"average_win": "none was won", "average_loss": "none was lost", "profit_factor": "none was lost"}
    return {name: text for name, text in why.items() if getattr(figures, name) is None}


# -- time and money in the market -----------------------------------------------------------------


def exposure(held: Iterable[Span], runs: Sequence[Span]) -> float | None:
    """The part of the time in ``runs`` in which something was held; None if they are empty.

    ``held`` is sorted by its beginnings and may overlap; ``runs`` are sorted and do not.
    """
    total = sum((run.end - run.begin for run in runs), timedelta())
    if not total:
        return None
    inside, index = timedelta(), 0
    for span in _merged(held):
        while index < len(runs) and runs[index].end <= span.begin:
            index += 1
        for run in runs[index:]:
            if run.begin >= span.end:
                break
            inside += max(timedelta(), min(run.end, span.end) - max(run.begin, span.begin))
    return inside / total


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    whole: Span | None = None
    for span in spans:
        if whole is not None and span.begin <= whole.end:
            whole = Span(whole.begin, max(whole.end, span.end))
            continue
        if whole is not None:
            yield whole
        whole = span
    if whole is not None:
        yield whole


def turnover(bought: Decimal, sold: Decimal, mean_equity: float | None) -> float | None:
    """The lesser of what was bought and what was sold, over the mean of the daily equity; not brought to a year.

    After the turnover rate of SEC Form N-1A, item 13, whose divisor is the mean value of the securities held.
    """
    return float(min(bought, sold)) / mean_equity if mean_equity and mean_equity > 0 else None
