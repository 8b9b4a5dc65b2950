"""What an entry may cost: the way of sizing, what scales it, and the room that each limit leaves."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from gambler_ai.core import exposure
from gambler_ai.core.model import ZERO
from gambler_ai.core.risk_record import RiskRecord
from gambler_ai.core.risk_rules import RiskRules, Sizing
from gambler_ai.core.state import SessionState

if TYPE_CHECKING:
    from gambler_ai.core.model import BarFrame


class Room(NamedTuple):
    """Dollars, and the rule that leaves no more."""

    dollars: Decimal
    rule: str
    says: str


def wanted(state: SessionState, symbol: str, price: Decimal, frame: BarFrame | None, share: Decimal) -> Room:
    """What the way of sizing would put into ``symbol``, scaled by losses in a row, by the drawdown, and by the
    ``share`` of it that is asked for."""
    plan, rules, record = state.plan, state.plan.risk, state.risk
    most = of_equity(state, rules.size_pct)
    if rules.sizing is Sizing.EQUITY:
        room = Room(most, "size_pct", f"{rules.size_pct} % of equity")
    elif rules.sizing is Sizing.ATR:
        room = _by_range(state, symbol, price, frame, most)
    elif rules.sizing is Sizing.KELLY and record.wins + record.losses >= rules.kelly_trades:
        stake = kelly(record) * rules.kelly_fraction
        text = f"Kelly's fraction of {record.wins + record.losses} trades is {stake:.4f}"
        room = Room(min(most, max(ZERO, stake) * state.account.equity), "kelly_fraction", text)
    else:
        room = Room(plan.position_size, "position_size", f"{plan.position_size:,.2f} a position")
    kept = scaled(record, rules)
    scale = kept * share
    if scale == 1:
        return room
    rule = room.rule if kept else "drawdown_scale_pct"
    return Room(room.dollars * scale, rule, f"{scale:.4f} of {room.says}")


def of_equity(state: SessionState, percent: Decimal) -> Decimal:
    """So many percent of the account's equity, in dollars."""
    return state.account.equity * percent / 100


def kelly(record: RiskRecord) -> Decimal:
    """p - (1 - p) / b: the share of wins, and what a win brings for a dollar that a loss takes (J. L. Kelly, A New
    Interpretation of Information Rate, 1956). The stake counts as lost whole, so with stops it is a cautious bet.

    Below zero there is no edge. Nothing was lost yet: the share of wins; nothing won: below zero.
    """
    if not record.losses:
        return Decimal(1) if record.wins else ZERO
    if not record.wins:
        return Decimal(-1)
    p = Decimal(record.wins) / (record.wins + record.losses)
    ratio = (record.won / record.wins) / (record.lost / record.losses)
    return p - (1 - p) / ratio


def scaled(record: RiskRecord, rules: RiskRules) -> Decimal:
    """The part of its size that is left to an entry, from 0 to 1."""
    losses = max(0, -record.streak)
    scale = (1 - rules.loss_scale_pct / 100) ** losses if rules.loss_scale_pct else Decimal(1)
    if rules.drawdown_scale_pct is not None:
        scale *= max(ZERO, 1 - record.drawdown_pct / rules.drawdown_scale_pct)
    return scale


def mean_range(frame: BarFrame, symbol: str, period: int) -> Decimal | None:
    """The mean of the newest ``period`` true ranges (J. W. Wilder, New Concepts in Technical Trading Systems, 1978).

    None where bars are missing.
    """
    import numpy as np

    if symbol not in frame.symbols or len(frame) <= period:
        return None
    column = frame.symbols.index(symbol)
    high, low, close = (values[-(period + 1) :, column] for values in (frame.high, frame.low, frame.close))
    ranges = np.maximum(high[1:], close[:-1]) - np.minimum(low[1:], close[:-1])
    mean = float(ranges.mean())
    return Decimal(repr(mean)) if mean > 0 and np.isfinite(mean) else None


def _by_range(state: SessionState, symbol: str, price: Decimal, frame: BarFrame | None, most: Decimal) -> Room:
    rules = state.plan.risk
    span = mean_range(frame, symbol, rules.atr_period) if frame is not None else None
    if span is None:
        return Room(ZERO, "atr_period", f"its {rules.atr_period + 1} newest bars are not all there")
    at_risk = of_equity(state, rules.risk_pct) / (span * rules.atr_multiple) * price
    text = f"{rules.risk_pct} % of equity at {rules.atr_multiple} ranges of {span:.4f}"
    return Room(min(most, at_risk), "risk_pct", text)


def left(state: SessionState, symbol: str, elsewhere: Mapping[str, Decimal]) -> list[Room]:
    """What each limit in percent of equity leaves for an entry in ``symbol``."""
    rules = state.plan.risk
    at_stake = exposure.values(state, elsewhere)
    sector = exposure.sector_of(symbol, rules)
    found = (
        ("max_trade_pct", rules.max_trade_pct, ZERO, "one entry"),
        ("max_symbol_pct", rules.max_symbol_pct, at_stake.get(symbol, ZERO), symbol),
        ("max_sector_pct", rules.max_sector_pct, exposure.by_sector(at_stake, rules).get(sector, ZERO), sector),
        ("max_exposure_pct", rules.max_exposure_pct, sum(at_stake.values(), ZERO), "all positions"),
    )
    return [
        Room(of_equity(state, most) - used, rule, f"{used:,.2f} in {what}, {of_equity(state, most):,.2f} allowed")
        for rule, most, used, what in found
        if most is not None
    ]
