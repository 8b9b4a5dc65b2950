"""What another bot's risk manager remembered: `risk_manager_state.pkl`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from msgspec import Struct

from gambler_ai.ancestors.refusal import Refused
from gambler_ai.ancestors.values import Unfit, count, day, number, shown

ZERO = Decimal(0)
RECENT_MAX = 10
_MARKS = {"peak_balance", "win_streak", "loss_streak", "total_trades"}
_NAMES = _MARKS | {
    "current_drawdown", "daily_start_balance", "daily_loss", "trading_date", "recent_trades", "wins", "losses",
    "total_profit", "total_loss",
}  # fmt: skip


class PastRisk(Struct, frozen=True):
    """Totals, streaks and drawdown by the other bot's word.

    Balances are money. ``recent``, ``profit``, ``loss`` and ``daily_loss`` are sums of returns, as RAD counts: 0.02 is
    two percent of a stake, and of how many dollars nobody wrote down. A trade within half a percent of nothing is
    neither won nor lost there, so ``wins + losses`` may be less than ``trades``.
    """

    trades: int
    wins: int
    losses: int
    profit: Decimal
    loss: Decimal
    win_streak: int
    loss_streak: int
    recent: tuple[Decimal, ...]
    peak_balance: Decimal
    drawdown: Decimal
    day: date | None
    day_start_balance: Decimal
    daily_loss: Decimal


def is_risk(tree: Any) -> bool:
    """Whether ``tree`` is shaped like one."""
    return type(tree) is dict and len(_MARKS & set(tree)) >= 2


def parse(tree: dict[Any, Any]) -> tuple[PastRisk, list[str]]:
    """The memory, and what of the file was left out.

    Raises:
        Refused: its numbers are none, or contradict each other: half a memory would widen a limit.
    """
    try:
        found = _risk(tree)
        _check(found)
    except Unfit as error:
        raise Refused(str(error)) from None
    other = sorted(shown(key) for key in tree if key not in _NAMES)
    return found, [f"not known here: {', '.join(other[:5])}"] if other else []


def _risk(tree: Mapping[Any, Any]) -> PastRisk:
    recent = tree.get("recent_trades", [])
    if type(recent) not in (list, tuple):
        raise Unfit("recent_trades is not a list")
    returns = [number({"recent_trades": value}, "recent_trades") or ZERO for value in recent]
    return PastRisk(
        trades=count(tree, "total_trades"), wins=count(tree, "wins"), losses=count(tree, "losses"),
        profit=_amount(tree, "total_profit"), loss=_amount(tree, "total_loss"),
        win_streak=count(tree, "win_streak"), loss_streak=count(tree, "loss_streak"),
        recent=tuple(returns[-RECENT_MAX:]), peak_balance=_amount(tree, "peak_balance"),
        drawdown=abs(number(tree, "current_drawdown") or ZERO), day=day(tree.get("trading_date")),
        day_start_balance=_amount(tree, "daily_start_balance"), daily_loss=_amount(tree, "daily_loss"),
    )  # fmt: skip


def _amount(tree: Mapping[Any, Any], name: str) -> Decimal:
    return number(tree, name, at_least=ZERO) or ZERO


def _check(found: PastRisk) -> None:
    if found.wins + found.losses > found.trades:
        raise Unfit(f"it counts {found.wins} wins and {found.losses} losses in {found.trades} trades")
    if found.win_streak and found.loss_streak:
        raise Unfit("it is in a streak of wins and of losses at once")
    if found.win_streak > found.wins or found.loss_streak > found.losses:
        raise Unfit("a streak is longer than all it counts")
    if found.drawdown > 1:
        raise Unfit(f"current_drawdown is {found.drawdown:f}: more than everything")
