"""Bars of the user's own: what their columns must be, and what becomes of them. No files: ``bar_files`` reads those.

docs/EXCHANGE.md, "Your own bars", is the manual of this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gambler_ai.errors import ConfigError
from gambler_ai.exchange.instants import DAY, MINUTE, NEW_YORK, SECOND, new_york, to_us
from gambler_ai.exchange.numbers import SCALE
from gambler_ai.exchange.prices.bars import Minutes
from gambler_ai.exchange.prices.bridge import TICK_SECONDS, TICKS_A_MINUTE, Floats, Ints
from gambler_ai.exchange.prices.daily import DailyBars
from gambler_ai.exchange.prices.extended import Trades
from gambler_ai.exchange.prices.sessions import Session

PRICES = ("open", "high", "low", "close")
NEEDED = (*PRICES, "volume")
EXTRA = ("trade_count", "vwap")  # of minutes only
PRICE_MOST, VOLUME_MOST = 10_000_000, 10**13  # dollars, shares

Calendar = Mapping[date, Session]


class OwnBars(NamedTuple):
    """One symbol's bars. ``minutes`` is empty where the file has days: then they are spread as the shipped ones are."""

    daily: DailyBars
    minutes: dict[date, Minutes]


@dataclass(frozen=True)
class OwnMarket:
    """All symbols of a directory, and the trading days that their bars make."""

    symbols: dict[str, OwnBars]
    sessions: list[Session]
    digest: str


@dataclass
class Table:
    """One file as columns of text or of values, and how to name a row of it."""

    path: str
    unit: str  # "line" of a CSV file, "row" of a Parquet file
    first: int  # the number of the first row
    columns: dict[str, Sequence[object]]
    lines: list[int] = field(default_factory=list)  # of each row, where empty lines were left out

    def wrong(self, row: int, what: str) -> ConfigError:
        number = self.lines[row] if self.lines else self.first + row
        return ConfigError(f"{self.path}, {self.unit} {number}: {what}")

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


def check_names(table: Table) -> bool:
    """Are the rows minutes? Raises ConfigError for columns that are missing, unknown or do not go together."""
    names = set(table.columns)
    minutes = "timestamp" in names
    if minutes == ("date" in names):
        raise ConfigError(f"{table.path}: one column is `date` (daily bars) or `timestamp` (minute bars), and not both")
    for name in NEEDED:
        if name not in names:
            raise ConfigError(f"{table.path}: no column `{name}`; it needs {', '.join(NEEDED)}")
    known = {*NEEDED, *EXTRA, "timestamp"} if minutes else {*NEEDED, "date"}
    unknown = sorted(names - known)
    if unknown:
        raise ConfigError(f"{table.path}: unknown column `{unknown[0]:.40}`; it may have {', '.join(sorted(known))}")
    return minutes


def read_days(table: Table) -> list[date]:
    """Raises ConfigError."""
    found: list[date] = []
    for row, text in enumerate(table.columns["date"]):
        if isinstance(text, datetime) and text.time() == time():  # what Parquet makes of a day
            found.append(text.date())
        elif isinstance(text, date) and not isinstance(text, datetime):
            found.append(text)
        else:
            try:
                found.append(date.fromisoformat(str(text).strip()))
            except ValueError:
                raise table.wrong(row, f"date {text!s:.60} is not written as 2024-01-03") from None
    _check_order(table, found)
    return found


def read_instants(table: Table) -> list[int]:
    """Left edges in microseconds; without an offset they are New York's. Raises ConfigError."""
    found: list[int] = []
    for row, text in enumerate(table.columns["timestamp"]):
        try:
            moment = text if isinstance(text, datetime) else datetime.fromisoformat(str(text).strip())
        except ValueError:
            raise table.wrong(row, f"timestamp {text!s:.60} is not written as 2024-01-03T09:30:00-05:00") from None
        us = to_us(moment if moment.tzinfo else moment.replace(tzinfo=NEW_YORK))
        if us % MINUTE:
            raise table.wrong(row, f"{text} is no whole minute; a bar is named by the minute in which it starts")
        found.append(us)
    _check_order(table, found)
    return found


def _check_order(table: Table, found: Sequence[date] | Sequence[int]) -> None:
    marks = np.array([mark if isinstance(mark, int) else mark.toordinal() for mark in found])
    for row in (np.flatnonzero(marks[1:] <= marks[:-1])[:1] + 1).tolist():
        what = "there twice" if marks[row] == marks[row - 1] else "older than the row before it"
        raise table.wrong(row, f"{_shown(table, row)} is {what}; rows go from the oldest to the newest, each once")


def _shown(table: Table, row: int) -> str:
    return str(table.columns["timestamp" if "timestamp" in table.columns else "date"][row])


def _numbers(table: Table, name: str) -> Floats:
    """Raises ConfigError for what is no finite number, or below zero."""
    values = table.columns[name]
    try:
        found = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.array([_number(table, row, name) for row in range(len(values))])
    for row in np.flatnonzero(~np.isfinite(found) | (found < 0))[:1].tolist():
        what = "is negative" if found[row] < 0 else "is no number"
        raise table.wrong(row, f"{name} {values[row]!s:.40} {what}")
    return found


def _number(table: Table, row: int, name: str) -> float:
    try:
        return float(str(table.columns[name][row]))
    except ValueError:
        raise table.wrong(row, f"{name} {table.columns[name][row]!r:.40} is no number") from None


def _whole(table: Table, name: str) -> Ints:
    found = _numbers(table, name)
    for row in np.flatnonzero((found % 1 != 0) | (found > VOLUME_MOST))[:1].tolist():
        raise table.wrong(row, f"{name} {table.columns[name][row]!s:.40} is no whole number up to {VOLUME_MOST}")
    return found.astype(np.int64)


def _price(table: Table, name: str) -> Ints:
    """In ten-thousandths of a dollar; more decimals than four are rounded."""
    found = _numbers(table, name)
    for row in np.flatnonzero((found < 0.0001) | (found > PRICE_MOST))[:1].tolist():
        raise table.wrong(row, f"{name} {table.columns[name][row]!s:.40} is no price between 0.0001 and {PRICE_MOST}")
    return np.rint(found * SCALE).astype(np.int64)


def _check_shape(table: Table, prices: npt.NDArray[np.int64]) -> None:
    open_, high, low, close = prices
    for wrong, what in (
        (high < low, "high is below low"),
        (high < np.maximum(open_, close), "high is below open or close"),
        (low > np.minimum(open_, close), "low is above open or close"),
    ):
        for row in np.flatnonzero(wrong)[:1].tolist():
            raise table.wrong(row, f"{what} ({', '.join(f'{n} {table.columns[n][row]}' for n in PRICES)})")


def _session(table: Table, row: int, day: date, calendar: Calendar) -> Session:
    found = calendar.get(day)
    if found is None:
        raise table.wrong(row, f"{day} ({day:%A}) is no trading day in New York")
    return found


def daily_bars(table: Table, days: list[date], calendar: Calendar) -> OwnBars:
    """Raises ConfigError."""
    for row, day in enumerate(days):
        _session(table, row, day, calendar)
    prices = np.stack([_price(table, name) for name in PRICES])
    _check_shape(table, prices)
    return OwnBars(DailyBars(days, np.column_stack([prices.T, _whole(table, "volume")])), {})


def minute_bars(table: Table, starts: list[int], calendar: Calendar) -> OwnBars:
    """Raises ConfigError. The days are made of the minutes of regular hours."""
    prices, volume = np.stack([_price(table, name) for name in PRICES]), _whole(table, "volume")
    _check_shape(table, prices)
    value = (_price(table, "vwap") if "vwap" in table.columns else prices.mean(axis=0)) * volume
    told = "trade_count" in table.columns
    prints = _whole(table, "trade_count") if told else np.full(volume.size, TICKS_A_MINUTE, dtype=np.int64)
    crowd = np.zeros_like(volume) if told else volume
    open_, high, low, close = prices
    whole = Minutes(np.array(starts), open_, high, low, close, volume, value.astype(np.float64), prints, crowd)
    days: dict[date, Minutes] = {}
    rows: list[list[int]] = []
    for session, first, last in _by_day(table, whole.start_us, calendar):
        minutes = days[session.day] = Minutes._make(column[first:last] for column in whole)
        rows.append(_day_row(table, minutes.between(session.open_us, session.close_us), first, session))
    return OwnBars(DailyBars(list(days), np.array(rows, dtype=np.int64)), days)


def _by_day(table: Table, starts: Ints, calendar: Calendar) -> list[tuple[Session, int, int]]:
    """Each day, and the rows of it: from, to (excluded). Raises ConfigError for minutes outside trading hours."""
    found: list[tuple[Session, int, int]] = []
    first = 0
    while first < starts.size:
        session = _session(table, first, new_york(int(starts[first])).date(), calendar)
        last = int(np.searchsorted(starts, session.start_us + DAY))
        marks = starts[first:last]
        outside = (marks < session.session_open_us) | (marks >= session.session_close_us)
        for row in np.flatnonzero(outside)[:1].tolist():
            what = "lies outside the trading hours of its day, 4:00 to 20:00 in New York (17:00 after an early close)"
            raise table.wrong(first + row, f"{_shown(table, first + row)} {what}")
        found.append((session, first, last))
        first = last
    return found


def _day_row(table: Table, regular: Minutes, row: int, session: Session) -> list[int]:
    if not regular.start_us.size:
        raise table.wrong(row, f"{session.day} has no bar in regular hours, so it has no open and no close")
    high, low = int(regular.high.max()), int(regular.low.min())
    return [int(regular.open[0]), high, low, int(regular.close[-1]), int(regular.volume.sum())]


_OFFSETS = np.array(TICK_SECONDS, dtype=np.int64) * SECOND


def trades_of(minutes: Minutes) -> Trades:
    """Four trades that make each minute's bar: its open, the two extremes, its close."""
    up = minutes.close >= minutes.open
    first, second = np.where(up, minutes.low, minutes.high), np.where(up, minutes.high, minutes.low)
    prices = np.stack([minutes.open, first, second, minutes.close], axis=1).ravel()
    sizes = np.repeat(minutes.volume // TICKS_A_MINUTE, TICKS_A_MINUTE)
    sizes[TICKS_A_MINUTE - 1 :: TICKS_A_MINUTE] += minutes.volume % TICKS_A_MINUTE
    return Trades((minutes.start_us[:, None] + _OFFSETS).ravel(), prices, np.maximum(sizes, 1))
