"""A session's risk as it is stored: what is remembered, what is at stake, and how far that is from each limit."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from gambler_ai.core import exposure, risk, sizing
from gambler_ai.core.model import ZERO
from gambler_ai.core.risk_record import Result, pause_end
from gambler_ai.core.risk_rules import RiskRules
from gambler_ai.core.state import SessionState
from gambler_ai.storage import limits, sessions
from gambler_ai.storage.database import Database
from gambler_ai.trading.recovery import restore


class Stake(Struct, frozen=True):
    """What is at stake in a symbol: dollars, and percent of equity; ``elsewhere`` of it in other sessions."""

    symbol: str
    sector: str
    value: Decimal
    elsewhere: Decimal
    pct: Decimal


class Usage(Struct, frozen=True):
    """A limit: what is used of it and what is allowed, in ``unit``."""

    limit: str
    used: Decimal
    allowed: Decimal
    unit: str
    what: str = ""


class RiskView(Struct, frozen=True):
    """Everything that `risk show` shows. Money in dollars, percent of equity, instants in session time."""

    session: str
    at: datetime
    equity: Decimal | None
    peak: Decimal | None
    peak_at: datetime | None
    drawdown_pct: Decimal
    worst_pct: Decimal
    day: str
    day_pnl: Decimal | None
    streak: int
    longest_wins: int
    longest_losses: int
    wins: int
    losses: int
    flats: int
    won: Decimal
    lost: Decimal
    kelly: Decimal | None
    recent: tuple[Result, ...]
    paused_until: datetime | None
    reset_at: datetime | None
    carried_from: str
    halts: dict[str, str]
    scale: Decimal
    limits: list[Usage]
    stakes: list[Stake]
    rules: RiskRules


def risk_view(database: Database, session_id: str) -> RiskView:
    """The risk of a session as of its last transaction.

    Raises:
        SessionNotFound: there is none of that id.
        CheckpointCorrupt: it cannot be restored.
    """
    with database.read() as db:
        info = sessions.find(db, session_id)
        elsewhere = limits.elsewhere(db, info.account_id, info.id, info.last_at).values
    state = restore(database, info).state
    record = state.risk
    believed = record.wins + record.losses
    at_stake = exposure.values(state, elsewhere)
    return RiskView(
        session=info.id, at=state.last_at, equity=record.equity, peak=record.peak, peak_at=record.peak_at,
        drawdown_pct=record.drawdown_pct, worst_pct=record.worst_pct, day=record.day, day_pnl=record.day_pnl,
        streak=record.streak, longest_wins=record.longest_wins, longest_losses=record.longest_losses,
        wins=record.wins, losses=record.losses, flats=record.flats, won=record.won, lost=record.lost,
        kelly=sizing.kelly(record) if believed else None, recent=record.recent,
        paused_until=_pause(state), reset_at=record.reset_at, carried_from=record.carried_from,
        halts=dict(state.halts), scale=sizing.scaled(record, state.plan.risk),
        limits=_usages(state, elsewhere, at_stake), stakes=_stakes(state, elsewhere, at_stake), rules=state.plan.risk,
    )  # fmt: skip


def _pause(state: SessionState) -> datetime | None:
    until = pause_end(state.risk, state.plan.risk)
    return until if until is not None and state.last_at < until else None


def _stakes(state: SessionState, elsewhere: dict[str, Decimal], at_stake: dict[str, Decimal]) -> list[Stake]:
    return [
        Stake(
            symbol, state.plan.risk.sectors.get(symbol, ""), value, elsewhere.get(symbol, ZERO), _percent(state, value)
        )
        for symbol, value in sorted(at_stake.items(), key=lambda item: (-item[1], item[0]))
        if value
    ]


def _percent(state: SessionState, value: Decimal) -> Decimal:
    equity = state.account.equity
    return (value / equity * 100).quantize(Decimal("0.01")) if equity > 0 else ZERO


def _usages(state: SessionState, elsewhere: dict[str, Decimal], at_stake: dict[str, Decimal]) -> list[Usage]:
    """The limits that are set, in the order in which they are asked."""
    plan, rules = state.plan, state.plan.risk
    sectors = exposure.by_sector(at_stake, rules)
    lost = max(ZERO, risk.lost_today(state.account, state.initial_equity))
    largest = max(at_stake, key=lambda s: at_stake[s], default="")
    heaviest = max(sectors, key=lambda s: sectors[s], default="")
    held = len(state.positions.keys() | risk.entering(state) | elsewhere.keys())
    rows = [
        ("max_daily_loss", lost, plan.max_daily_loss, "dollars", state.day),
        ("max_drawdown_pct", state.risk.drawdown_pct, rules.max_drawdown_pct, "%", ""),
        ("max_loss_streak", Decimal(max(0, -state.risk.streak)), _whole(rules.max_loss_streak), "losses", ""),
        ("max_positions", Decimal(held), _whole(plan.max_positions), "positions", ""),
        ("max_orders_per_day", Decimal(state.day_entries), _whole(plan.max_orders_per_day), "entries", state.day),
        ("max_exposure_pct", _percent(state, sum(at_stake.values(), ZERO)), rules.max_exposure_pct, "%", ""),
        ("max_symbol_pct", _percent(state, at_stake.get(largest, ZERO)), rules.max_symbol_pct, "%", largest),
        ("max_sector_pct", _percent(state, sectors.get(heaviest, ZERO)), rules.max_sector_pct, "%", heaviest),
    ]
    return [Usage(name, used, most, unit, what) for name, used, most, unit, what in rows if most is not None]


def _whole(most: int | None) -> Decimal | None:
    return None if most is None else Decimal(most)
