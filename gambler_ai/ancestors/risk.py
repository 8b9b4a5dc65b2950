"""What another bot's risk manager remembered: `risk_manager_state.pkl`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from gambler_ai.ancestors.refusal import Refused
from gambler_ai.ancestors.values import Unfit, count, day, number, shown
from gambler_ai.core.model import CENT
from gambler_ai.core.risk_record import RiskRecord

ZERO = Decimal(0)
RECENT_MAX = 10
RETURNS_SAY = "from the limits: totals, recent trades and daily loss, which are returns of no known dollars"
_HUNDRED = Decimal(100)
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
    return found, [RETURNS_SAY, *([f"not known here: {', '.join(other[:5])}"] if other else [])]


def taken_up(record: RiskRecord, past: PastRisk, at: datetime) -> RiskRecord:
    """What an account remembers once it knows what the other bot did: never less narrow than before.

    Peak and drawdown are taken if its peak is the higher one, its streak if we have none of our own or a shorter one
    of losses. Its returns are in no currency and are not added to our dollars.
    """
    streak = past.win_streak or -past.loss_streak
    after = replace(
        record, streak=streak if record.trades == 0 and record.streak == 0 else min(record.streak, streak),
        longest_wins=max(record.longest_wins, past.win_streak),
        longest_losses=max(record.longest_losses, past.loss_streak),
    )  # fmt: skip
    if past.peak_balance <= (record.peak or ZERO):
        return after
    equity = (past.peak_balance * (1 - past.drawdown)).quantize(CENT) if record.equity is None else record.equity
    worst = max(record.worst_pct, (past.drawdown * _HUNDRED).quantize(Decimal("0.0001")))
    return replace(after, peak=past.peak_balance, peak_at=at, equity=equity, worst_pct=worst)


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
