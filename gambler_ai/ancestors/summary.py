"""What was taken of a file, in lines for a report."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from gambler_ai.ancestors.fno import PastBooks, PastPosition, PastSettings
from gambler_ai.ancestors.history import History
from gambler_ai.ancestors.learned import QTable, Weights
from gambler_ai.ancestors.lesson import BotConfig, BotState, Held
from gambler_ai.ancestors.risk import PastRisk

Memory = History | PastRisk | QTable | Weights | BotState | BotConfig | PastBooks

#: Positions that are told one by one.
_LISTED = 20


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
        case PastBooks():
            return _books(memory)


def described(held: Held) -> str:
    """A position in words: 10 SPY at 440.12."""
    qty = f"{held.qty:f} " if held.qty is not None else "some "
    price = f" at {held.entry_price:f}" if held.entry_price is not None else ""
    return f"{qty}{held.symbol or 'of what its configuration names'}{price}"


def _books(found: PastBooks) -> tuple[str, ...]:
    saved = f"saved {found.saved_at:%F %T} UTC, " if found.saved_at is not None else ""
    iteration = f"iteration {found.iteration:,}, " if found.iteration is not None else ""
    lines = [f"{saved}{iteration}{_count(len(found.positions), 'position')}{money_line(found)}"]
    lines += [position_line(position) for position in found.positions[:_LISTED]]
    if len(found.positions) > _LISTED:
        lines.append(f"and {len(found.positions) - _LISTED:,} more")
    if found.structures:
        lines.append(f"{_count(len(found.structures), 'structure')} of these: net prices kept")
    if found.trades:
        lines.append(_count(len(found.trades), "trade") + _span([t.closed_at for t in found.trades if t.closed_at]))
    if found.settings is not None and (said := command_of(found.settings)):
        lines.append(f"its settings: {said}")
    if found.zone:
        lines.append(f"its times name no zone: taken as {found.zone} (--zone)")
    return tuple(lines)


def money_line(found: PastBooks) -> str:
    """Its money in words, after a comma: ", cash 914,462.59 of 1,000,000.00 (currency not named)"."""
    parts = [f"cash {found.cash:,.2f}"] if found.cash is not None else []
    if parts and found.initial_cash is not None:
        parts[0] += f" of {found.initial_cash:,.2f}"
    if found.total_pnl is not None:
        parts.append(f"P&L {found.total_pnl:+,.2f}")
    if found.trades_count is not None:
        parts.append(_count(found.trades_count, "trade"))
    return "".join(f", {part}" for part in parts) + (f" ({currency_of(found)})" if parts else "")


def currency_of(found: PastBooks) -> str:
    """What its money is of, in its own words."""
    return found.currency or "currency not named"


def position_line(held: PastPosition) -> str:
    """A position in words: 75 NIFTY25SEP24650CE at 220.42, stop 207.19, target 246.87 (straddle, F&O)."""
    line = f"{held.qty:f} {held.symbol} at {held.entry_price:f}"
    line += f", stop {held.stop:f}" if held.stop is not None else ""
    line += f", target {held.target:f}" if held.target is not None else ""
    words = [word for word in (held.strategy, held.sector) if word]
    return line + (f" ({', '.join(words)})" if words else "")


def command_of(settings: PastSettings) -> str:
    """The command line that starts a session with the same settings; "" if it says none."""
    given: dict[str, Decimal | int | str | None] = {
        "--min-confidence": settings.min_confidence, "--interval": settings.interval_s,
        "--max-positions": settings.max_positions, "--capital-per-trade": settings.capital_per_trade,
    }  # fmt: skip
    if settings.capital_per_trade is not None:
        given = {"--universe": "options", **given}
    said = [f"{flag} {value:f}" if isinstance(value, Decimal) else f"{flag} {value}" for flag, value in given.items()
            if value is not None]  # fmt: skip
    return f"gambler-ai run {' '.join(said)}" if said else ""


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
