"""What was taken of a file, in lines for a report."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from gambler_ai.ancestors.history import History
from gambler_ai.ancestors.learned import QTable, Weights
from gambler_ai.ancestors.lesson import BotConfig, BotState, Held
from gambler_ai.ancestors.risk import PastRisk

Memory = History | PastRisk | QTable | Weights | BotState | BotConfig


def taken(memory: Memory) -> tuple[str, ...]:
    """One line for each thing that is taken."""
    match memory:
        case History():
            return _history(memory)
        case PastRisk():
            return _risk(memory)
        case QTable():
            actions = {action for row in memory.values.values() for action in row}
            said = f", epsilon {memory.epsilon:g}" if memory.epsilon is not None else ""
            return (f"{_count(len(memory.values), 'state')}, {_count(len(actions), 'action')}{said}",)
        case Weights():
            shape = " x ".join(map(str, memory.shape)) or "1"
            return (f"{_count(len(memory.values), 'weight')} ({shape})",)
        case BotState():
            return tuple(f"holds {described(held)} by its own word" for held in memory.held) or ("in no position",)
        case BotConfig():
            every = f", a look every {memory.interval_s:f} s" if memory.interval_s is not None else ""
            return (f"trades {memory.symbol}{every}",)


def described(held: Held) -> str:
    """A position in words: 10 SPY at 440.12."""
    qty = f"{held.qty:f} " if held.qty is not None else "some "
    price = f" at {held.entry_price:f}" if held.entry_price is not None else ""
    return f"{qty}{held.symbol or 'of what its configuration names'}{price}"


def _history(found: History) -> tuple[str, ...]:
    trades = _count(len(found.trades), "trade") + _span([t.closed_at for t in found.trades if t.closed_at is not None])
    points = _count(len(found.equity), "equity point") + _span([p.at for p in found.equity])
    if found.equity:
        points += f", {found.equity[0].equity:,.2f} to {found.equity[-1].equity:,.2f}"
    known = [trade.pnl for trade in found.trades if trade.pnl is not None]
    won = sum(pnl > 0 for pnl in known)
    return (f"{trades}, {won} won", points) if known else (trades, points)


def _risk(found: PastRisk) -> tuple[str, ...]:
    streak = ""
    if found.win_streak or found.loss_streak:
        what = "wins" if found.win_streak else "losses"
        streak = f", a streak of {found.win_streak or found.loss_streak} {what}"
    return (
        f"{_count(found.trades, 'trade')}: {found.wins} won, {found.losses} lost{streak}",
        f"peak {found.peak_balance:,.2f}, drawdown {_percent(found.drawdown)}, the last {len(found.recent)} returns",
    )


def _percent(fraction: Decimal) -> str:
    return f"{fraction * 100:.2f}%"


def _span(times: list[datetime]) -> str:
    return f" from {min(times):%F} to {max(times):%F}" if times else ""


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
