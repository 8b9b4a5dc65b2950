"""One value out of a file: a number that is finite, a time with a zone, a symbol that could be one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from typing import Any

from gambler_ai.core.text import one_line

#: As the configuration has it.
_SYMBOL = re.compile(r"[A-Z][A-Z0-9.]{0,9}")
#: Other exchanges' names are kept in a history: BTC-USDT, BTC/USDT:USDT.
_MARKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9./:_-]{0,39}")
_NUMBER_MAX = Decimal(10) ** 15
_SHOWN_MAX = 40


class Unfit(ValueError):
    """A value that is not what its name says; the text completes "trade 7: ..."."""


def shown(value: Any) -> str:
    """A key or value of a file, safe to print."""
    return one_line(value if isinstance(value, str) else type(value).__name__, _SHOWN_MAX)


def number(row: Mapping[Any, Any], name: str, *, at_least: Decimal | None = None) -> Decimal | None:
    """A finite number; None where there is none.

    Raises:
        Unfit.
    """
    value = row.get(name)
    if value is None:
        return None
    if type(value) not in (int, float, Decimal):
        raise Unfit(f"{name} is a {type(value).__name__}, not a number")
    found = Decimal(repr(value)) if type(value) is float else Decimal(value)
    if not found.is_finite() or abs(found) >= _NUMBER_MAX:
        raise Unfit(f"{name} is not a finite number of sensible size")
    if at_least is not None and found < at_least:
        raise Unfit(f"{name} is {found:f}, less than {at_least:f}")
    return found


def count(row: Mapping[Any, Any], name: str) -> int:
    """How often; 0 where it is not said.

    Raises:
        Unfit.
    """
    value = row.get(name, 0)
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not 0 <= value < 1 << 31:
        raise Unfit(f"{name} is no count")
    return value


def text(row: Mapping[Any, Any], name: str) -> str:
    """A short word, "" where there is none.

    Raises:
        Unfit.
    """
    value = row.get(name)
    if value is None:
        return ""
    if type(value) is not str:
        raise Unfit(f"{name} is a {type(value).__name__}, not a text")
    return one_line(value, _SHOWN_MAX)


def market(row: Mapping[Any, Any], name: str = "symbol") -> str:
    """What was traded, on whatever exchange.

    Raises:
        Unfit.
    """
    value = row.get(name)
    if type(value) is not str or not _MARKET.fullmatch(value):
        raise Unfit(f"{name} is not one")
    return value


def symbol(value: Any) -> str:
    """A symbol that can be traded here.

    Raises:
        Unfit.
    """
    if type(value) is not str or not _SYMBOL.fullmatch(value.strip().upper()):
        raise Unfit(f"{shown(value)!r} is not a symbol")
    return value.strip().upper()


def instant(value: Any, zone: tzinfo) -> datetime | None:
    """A time, aware; one that names no zone is of ``zone``. ISO text is taken as well.

    Raises:
        Unfit.
    """
    if value is None:
        return None
    if type(value) is str:
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise Unfit("its time is not one") from None
    if type(value) is not datetime:
        raise Unfit(f"its time is a {type(value).__name__}")
    try:
        return (value if value.tzinfo is not None else value.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError:
        raise Unfit("its time is out of range") from None


def day(value: Any) -> date | None:
    """A day.

    Raises:
        Unfit.
    """
    if value is None or type(value) is date:
        return value
    if type(value) is datetime:
        return value.date()
    raise Unfit(f"its day is a {type(value).__name__}")
