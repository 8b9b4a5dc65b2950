"""Trades and equity curve of another bot: `analytics_state.pkl`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Any, TypeVar

from msgspec import Struct

from gambler_ai.ancestors.refusal import Refused
from gambler_ai.ancestors.values import Unfit, instant, market, number, shown, text

ZERO = Decimal(0)
_TRADE = {
    "timestamp", "symbol", "side", "entry_price", "exit_price", "pnl", "pnl_pct", "duration", "leverage",
    "quantity", "amount", "strategy", "reason",
}  # fmt: skip
_POINT = {"timestamp", "balance"}
#: Of rows that were left out, so many are named one by one.
_NAMED_MAX = 5

T = TypeVar("T")


class PastTrade(Struct, frozen=True):
    """A closed trade by the other bot's word. ``pnl`` is as it counted it, a fraction of the stake in RAD."""

    closed_at: datetime | None
    symbol: str
    side: str
    entry_price: Decimal | None
    exit_price: Decimal | None
    pnl: Decimal | None
    pnl_pct: Decimal | None
    duration_min: Decimal | None
    leverage: Decimal | None
    qty: Decimal | None = None
    strategy: str = ""
    reason: str = ""


class PastEquity(Struct, frozen=True):
    """One point of the curve."""

    at: datetime
    equity: Decimal


class History(Struct, frozen=True):
    """What was traded before, and what the account was worth; oldest first, as it was in the file."""

    trades: tuple[PastTrade, ...]
    equity: tuple[PastEquity, ...]


def is_history(tree: Any) -> bool:
    """Whether ``tree`` is shaped like one."""
    return type(tree) is dict and ("trade_history" in tree or "equity_curve" in tree)


def parse(tree: dict[Any, Any], zone: tzinfo) -> tuple[History, list[str]]:
    """The history, and what of it was left out and why. A row that says nonsense is left out by itself.

    Raises:
        Refused: it is not one, or none of its rows can be used.
    """
    left_out: list[str] = []
    trades = _rows(tree, "trade_history", "trade", lambda row: _trade(row, zone), _TRADE, left_out)
    points = _rows(tree, "equity_curve", "equity point", lambda row: _point(row, zone), _POINT, left_out)
    other = sorted(shown(key) for key in tree if key not in ("trade_history", "equity_curve", "max_history_size"))
    if other:
        left_out.append(f"not known here: {', '.join(other[:_NAMED_MAX])}")
    return History(tuple(trades), tuple(points)), left_out


def _rows(
    tree: Mapping[Any, Any], name: str, what: str, make: Callable[[Mapping[Any, Any]], T], known: set[str],
    left_out: list[str],
) -> list[T]:  # fmt: skip
    rows = tree.get(name, [])
    if type(rows) not in (list, tuple):
        raise Refused(f"{name} is a {type(rows).__name__}, not a list")
    found: list[T] = []
    bad: list[str] = []
    unknown: set[str] = set()
    for at, row in enumerate(rows, 1):
        try:
            if type(row) is not dict:
                raise Unfit(f"a {type(row).__name__}, not a record")
            found.append(make(row))
            unknown.update(shown(key) for key in row if key not in known)
        except Unfit as error:
            bad.append(f"{what} {at}: {error}")
    if bad and not found:
        raise Refused(f"none of its {len(rows):,} rows of {name} can be used; {bad[0]}")
    left_out += bad[:_NAMED_MAX]
    if len(bad) > _NAMED_MAX:
        left_out.append(f"and {len(bad) - _NAMED_MAX:,} more rows of {name}")
    if unknown:
        left_out.append(f"of each {what}: {', '.join(sorted(unknown)[:_NAMED_MAX])}")
    return found


def _trade(row: Mapping[Any, Any], zone: tzinfo) -> PastTrade:
    return PastTrade(
        closed_at=instant(row.get("timestamp"), zone), symbol=market(row), side=text(row, "side"),
        entry_price=number(row, "entry_price", at_least=ZERO), exit_price=number(row, "exit_price", at_least=ZERO),
        pnl=number(row, "pnl"), pnl_pct=number(row, "pnl_pct"), duration_min=number(row, "duration", at_least=ZERO),
        leverage=number(row, "leverage", at_least=ZERO),
        qty=number(row, "quantity" if "quantity" in row else "amount"),
        strategy=text(row, "strategy"), reason=text(row, "reason"),
    )  # fmt: skip


def _point(row: Mapping[Any, Any], zone: tzinfo) -> PastEquity:
    at, equity = instant(row.get("timestamp"), zone), number(row, "balance", at_least=ZERO)
    if at is None or equity is None:
        raise Unfit("it has no time or no balance")
    return PastEquity(at, equity)
