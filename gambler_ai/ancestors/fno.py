"""Three files of an F&O system: `fno_system_state.json`, `shared_portfolio_state.json` and `current_state.json`.

All three say what it held, each with something of its own: one shape for all of them, empty where a file says nothing.
A value of the wrong type refuses the file; keys that are not known here are named and left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, tzinfo
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from gambler_ai.ancestors.history import PastTrade
from gambler_ai.ancestors.refusal import Refused
from gambler_ai.ancestors.values import Unfit, instant, market, number, shown
from gambler_ai.core.text import one_line

SYSTEM, PORTFOLIO, DAY = "fno_system_state.json", "shared_portfolio_state.json", "current_state.json"
POSITIONS_MAX = 1_000
TRADES_MAX = 50_000
_NAMED_MAX = 5
#: Characters of a word: a strategy, a reason, an id.
WORD_MAX = 200
_COUNT_MAX = 1 << 31
_ZERO = Decimal(0)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")

_POSITION = {
    "shares", "entry_price", "stop_loss", "take_profit", "entry_time", "strategy", "sector", "current_price", "pnl",
}  # fmt: skip
_BOOK = {
    "initial_cash", "cash", "positions", "trades_count", "total_pnl", "winning_trades", "losing_trades", "best_trade",
    "worst_trade", "trades_history", "structures",
}  # fmt: skip
_TOP = {
    "timestamp", "last_update", "trading_mode", "mode", "iteration", "portfolio", "configuration", "trading_day",
    "total_value", "currency",
}  # fmt: skip
_CONFIGURATION = {"min_confidence", "check_interval", "max_positions", "capital_per_trade"}
_TRADE = {
    "timestamp", "symbol", "side", "shares", "price", "entry_price", "exit_price", "pnl", "duration", "strategy",
    "reason",
}  # fmt: skip
_STRUCTURE = {
    "id", "strategy", "underlying", "sector", "units", "entry_price", "stop_price", "target_price", "opened_at", "legs",
}  # fmt: skip

T = TypeVar("T")


class PastPosition(Struct, frozen=True):
    """What was held in a symbol of whatever market. ``qty`` is of the underlying, short is negative."""

    symbol: str
    qty: Decimal
    entry_price: Decimal
    stop: Decimal | None
    target: Decimal | None
    entered_at: datetime | None
    strategy: str
    sector: str
    mark: Decimal | None = None


class PastStructure(Struct, frozen=True):
    """Several positions that were one thing; prices are net. ``legs`` is (symbol, ratio)."""

    structure_id: str
    strategy: str
    underlying: str
    sector: str
    units: int
    entry_price: Decimal
    stop: Decimal | None
    target: Decimal | None
    opened_at: datetime | None
    legs: tuple[tuple[str, int], ...]


class PastSettings(Struct, frozen=True):
    """How it was run; None where it is not said."""

    min_confidence: Decimal | None = None
    interval_s: Decimal | None = None
    max_positions: int | None = None
    capital_per_trade: Decimal | None = None


class PastBooks(Struct, frozen=True):
    """What one file says of a session of another bot; None and () where it says nothing.

    Money is of ``currency``, in that bot's words, "" where it names none. ``zone`` is what was assumed of times that
    name no zone, "" where every one of them does.
    """

    saved_at: datetime | None
    positions: tuple[PastPosition, ...]
    mode: str = ""
    day: str = ""
    iteration: int | None = None
    initial_cash: Decimal | None = None
    cash: Decimal | None = None
    total_value: Decimal | None = None
    trades_count: int | None = None
    wins: int | None = None
    losses: int | None = None
    best: Decimal | None = None
    worst: Decimal | None = None
    total_pnl: Decimal | None = None
    trades: tuple[PastTrade, ...] = ()
    structures: tuple[PastStructure, ...] = ()
    settings: PastSettings | None = None
    currency: str = ""
    zone: str = ""


def kind_of(tree: Any) -> str:
    """Which of the three ``tree`` is shaped like; "" for none."""
    if type(tree) is not dict:
        return ""
    if "portfolio" in tree and "configuration" in tree:
        return SYSTEM
    if "trading_day" in tree and ("portfolio" in tree or "positions" in tree):
        return DAY
    return PORTFOLIO if {"positions", "cash", "trading_mode"} <= tree.keys() else ""


def parse(tree: dict[Any, Any], zone: tzinfo) -> tuple[PastBooks, list[str]]:
    """What the file says, and what of it was left out.

    Raises:
        Refused: a value is not what its name says; nothing is guessed.
    """
    try:
        return _Reader(zone).books(tree)
    except Unfit as error:
        raise Refused(str(error)) from None


class _Reader:
    """One file: what was assumed and what was left out is known at its end."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._assumed = False
        self._unknown: dict[str, set[str]] = {}

    def books(self, tree: dict[Any, Any]) -> tuple[PastBooks, list[str]]:
        inner = _record(tree, "portfolio") if "portfolio" in tree else tree
        self._note("", tree, _TOP if inner is not tree else _TOP | _BOOK)
        if inner is not tree:
            self._note("portfolio", inner, _BOOK)
        mode = _word(tree, "trading_mode" if "trading_mode" in tree else "mode")
        if mode.lower() == "live":
            raise Refused("it traded with real money (its mode is live)", hint="only paper sessions are archived here")
        settings = self._settings(_record(tree, "configuration")) if "configuration" in tree else None
        books = PastBooks(
            saved_at=self._time(tree, "timestamp" if "timestamp" in tree else "last_update"),
            positions=self._positions(inner), mode=mode, day=_day(tree), iteration=_count(tree, "iteration"),
            initial_cash=number(inner, "initial_cash", at_least=_ZERO), cash=_money(inner, "cash"),
            total_value=number(tree, "total_value"), trades_count=_count(inner, "trades_count"),
            wins=_count(inner, "winning_trades"), losses=_count(inner, "losing_trades"),
            best=number(inner, "best_trade"), worst=number(inner, "worst_trade"), total_pnl=number(inner, "total_pnl"),
            trades=self._trades(inner), structures=self._structures(inner), settings=settings,
            currency=_word(tree, "currency"),
        )  # fmt: skip
        if self._assumed:
            books = replace(books, zone=str(self._zone))
        return books, self._left_out()

    def _positions(self, book: Mapping[Any, Any]) -> tuple[PastPosition, ...]:
        found = _record(book, "positions")
        if len(found) > POSITIONS_MAX:
            raise Unfit(f"it names more than {POSITIONS_MAX:,} positions")
        return tuple(self._position(name, row) for name, row in found.items())

    def _position(self, name: Any, row: Any) -> PastPosition:
        where = f"position {shown(name)}"
        symbol = _within(where, lambda: market({"symbol": name}))
        if type(row) is not dict:
            raise Unfit(f"{where} is a {type(row).__name__}, not a record")
        self._note("each position", row, _POSITION)
        return _within(where, lambda: PastPosition(
            symbol, _shares(row), _needed(row, "entry_price"), _price(row, "stop_loss"), _price(row, "take_profit"),
            self._time(row, "entry_time"), _word(row, "strategy"), _word(row, "sector"), _price(row, "current_price"),
        ))  # fmt: skip

    def _settings(self, row: Mapping[Any, Any]) -> PastSettings:
        self._note("configuration", row, _CONFIGURATION)
        confidence = number(row, "min_confidence", at_least=_ZERO)
        if confidence is not None and confidence > 1:
            raise Unfit(f"min_confidence is {confidence:f}, and goes from 0 to 1")
        interval = number(row, "check_interval")
        capital = number(row, "capital_per_trade")
        for name, value in (("check_interval", interval), ("capital_per_trade", capital)):
            if value is not None and value <= 0:
                raise Unfit(f"{name} is {value:f}, not above zero")
        most = _count(row, "max_positions")
        if most == 0:
            raise Unfit("max_positions is 0, not above zero")
        return PastSettings(confidence, interval, most, capital)

    def _trades(self, book: Mapping[Any, Any]) -> tuple[PastTrade, ...]:
        found = []
        for at, row in enumerate(_list(book, "trades_history", TRADES_MAX), 1):
            self._note("each trade", row, _TRADE)
            found.append(_within(f"trade {at}", partial(self._trade, row)))
        return tuple(found)

    def _trade(self, row: Mapping[Any, Any]) -> PastTrade:
        """A round trip, or, where there is one price, an execution: bought at it or sold at it.

        One of several contracts has net prices, and a credit is below zero.
        """
        side, price = _word(row, "side"), _price(row, "price")
        is_sale = side.lower() == "sell"
        entry, leaving = number(row, "entry_price"), number(row, "exit_price")
        return PastTrade(
            closed_at=self._time(row, "timestamp"), symbol=market(row), side=side,
            entry_price=price if entry is None and not is_sale else entry,
            exit_price=price if leaving is None and is_sale else leaving, pnl=number(row, "pnl"), pnl_pct=None,
            duration_min=number(row, "duration", at_least=_ZERO), leverage=None, qty=number(row, "shares"),
            strategy=_word(row, "strategy"), reason=_word(row, "reason"),
        )  # fmt: skip

    def _structures(self, book: Mapping[Any, Any]) -> tuple[PastStructure, ...]:
        found = []
        for at, row in enumerate(_list(book, "structures", POSITIONS_MAX), 1):
            self._note("each structure", row, _STRUCTURE)
            found.append(_within(f"structure {at}", partial(self._structure, row)))
        return tuple(found)

    def _structure(self, row: Mapping[Any, Any]) -> PastStructure:
        legs = [(market(leg), _ratio(leg)) for leg in _list(row, "legs", POSITIONS_MAX)]
        entry = number(row, "entry_price")
        if entry is None:
            raise Unfit("it has no entry_price")
        return PastStructure(
            _word(row, "id"), _word(row, "strategy"), market(row, "underlying"), _word(row, "sector"),
            _count(row, "units") or 0, entry, number(row, "stop_price"), number(row, "target_price"),
            self._time(row, "opened_at"), tuple(legs),
        )  # fmt: skip

    def _time(self, row: Mapping[Any, Any], name: str) -> datetime | None:
        value = row.get(name)
        if value is not None and type(value) is not str:
            raise Unfit(f"{name} is a {type(value).__name__}, not a time")
        found = instant(value, self._zone)
        if found is not None and datetime.fromisoformat(value or "").tzinfo is None:
            self._assumed = True
        return found

    def _note(self, place: str, row: Mapping[Any, Any], known: set[str]) -> None:
        other = {shown(key) for key in row if key not in known}
        if other:
            self._unknown.setdefault(place, set()).update(other)

    def _left_out(self) -> list[str]:
        lines = []
        for place, names in self._unknown.items():
            more = len(names) - _NAMED_MAX
            said = ", ".join(sorted(names)[:_NAMED_MAX]) + (f" and {more:,} more" if more > 0 else "")
            lines.append(f"of {place}: {said}" if place else f"not known here: {said}")
        return lines


def _within(where: str, make: Callable[[], T]) -> T:
    """What ``make`` makes; its complaint names ``where``."""
    try:
        return make()
    except Unfit as error:
        raise Unfit(f"{where}: {error}") from None


def _record(row: Mapping[Any, Any], name: str) -> dict[Any, Any]:
    value = row.get(name)
    if type(value) is not dict:
        raise Unfit(f"{name} is {_kind(value)}, not a record")
    return value


def _list(row: Mapping[Any, Any], name: str, most: int) -> Iterable[dict[Any, Any]]:
    value = row.get(name)
    if value is None:
        return []
    if type(value) is not list or any(type(one) is not dict for one in value):
        raise Unfit(f"{name} is no list of records")
    if len(value) > most:
        raise Unfit(f"{name} has more than {most:,} rows")
    return value


def _kind(value: Any) -> str:
    return "missing" if value is None else f"a {type(value).__name__}"


def _count(row: Mapping[Any, Any], name: str) -> int | None:
    value = row.get(name)
    if value is None:
        return None
    if type(value) is Decimal and value == value.to_integral_value() and abs(value) < _COUNT_MAX:
        value = int(value)
    if type(value) is not int or not 0 <= value < _COUNT_MAX:
        raise Unfit(f"{name} is no count")
    return value


def _ratio(row: Mapping[Any, Any]) -> int:
    value = row.get("ratio")
    if type(value) is not int or not 0 < abs(value) < _COUNT_MAX:
        raise Unfit("ratio is no whole number beside zero")
    return value


def _shares(row: Mapping[Any, Any]) -> Decimal:
    found = number(row, "shares")
    if not found:
        raise Unfit("it has no shares")
    return found


def _needed(row: Mapping[Any, Any], name: str) -> Decimal:
    found = number(row, name, at_least=_ZERO)
    if found is None:
        raise Unfit(f"it has no {name}")
    return found


def _money(row: Mapping[Any, Any], name: str) -> Decimal:
    found = number(row, name)
    if found is None:
        raise Unfit(f"it has no {name}")
    return found


def _price(row: Mapping[Any, Any], name: str) -> Decimal | None:
    return number(row, name, at_least=_ZERO)


def _word(row: Mapping[Any, Any], name: str) -> str:
    """A text as it stands there, "" where there is none; one that a terminal could choke on is refused."""
    value = row.get(name)
    if value is None:
        return ""
    if type(value) is not str or one_line(value, WORD_MAX) != value:
        raise Unfit(f"{name} is no plain text of at most {WORD_MAX} characters")
    return value


def _day(tree: Mapping[Any, Any]) -> str:
    value = _word(tree, "trading_day")
    if value and not _DAY.fullmatch(value):
        raise Unfit("trading_day is no day (YYYY-MM-DD)")
    return value
