"""What companies do to what we hold: splits found, and the rest told (RECOVERY_PROTOCOL 2.1, corporate action).

A split changes a quantity and leaves its cost as it was; nothing that anybody buys or sells does. So the broker's own
row of a position shows it, whether or not an activity says so too.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from gambler_ai.core import events as ev
from gambler_ai.core.model import CENT, ZERO, Activity, Position
from gambler_ai.core.reconcile import unbooked_fills
from gambler_ai.core.state import SessionState

#: Alpaca's names for a split, now and before (BEHAVIOUR 5; the sub types FSPLIT, RSPLIT, USPLIT say which).
SPLITS = frozenset({"SPLIT", "SSP"})
#: How long an announced split keeps our orders in its symbol as they are, while the position does not show it yet.
FREEZE = timedelta(hours=24)
#: No company divides its shares by more.
RATIO_MAX = 1_000
#: What a broker's average price may be off by, and what a purchase or a sale at most looks like a split.
ROUNDING = Decimal("0.001")
LIKENESS = Decimal("0.1")
#: Nine places, the finest Alpaca deals in.
_LEAST = Decimal("0.000000001")


def splits(state: SessionState, at: datetime, report: ev.BrokerReport) -> list[ev.SplitApplied]:
    """The splits that ``report`` shows and our books do not; to be applied before its fills are booked."""
    pending: dict[str, Decimal] = {}
    for fill in unbooked_fills(state, report):
        pending[fill.symbol] = pending.get(fill.symbol, ZERO) + fill.qty * fill.side.sign
    facts = []
    for theirs in report.positions:
        ours = state.positions.get(theirs.symbol)
        if ours is None:
            continue
        told = _announced(state, ours, report)
        before = theirs.qty - pending.get(theirs.symbol, ZERO)
        ratio = _ratio(ours, before, theirs.avg_entry_price, announced=bool(told))
        if ratio is not None:
            cause = "the broker's activity says so" if told else "quantity and price changed, and what it cost did not"
            ids = tuple(a.activity_id for a in told)
            facts.append(ev.SplitApplied(
                at, theirs.symbol, ratio.numerator, ratio.denominator, before, cause, ids
            ))  # fmt: skip
    return facts


def frozen(state: SessionState, at: datetime, report: ev.BrokerReport) -> set[str]:
    """Symbols with a split that is announced and does not show yet: an order now would have the wrong size or price."""
    return {
        a.symbol for position in state.positions.values() for a in _announced(state, position, report)
        if at - a.at < FREEZE
    }  # fmt: skip


def noted(state: SessionState, at: datetime, report: ev.BrokerReport) -> list[ev.ActionNoted]:
    """What else happened to what we hold since we hold it, each once."""
    waits = frozen(state, at, report)
    return [
        ev.ActionNoted(at, action) for action in report.actions
        if action.activity_id not in state.actions and _concerns(state.positions.get(action.symbol), action)
        and not (action.type in SPLITS and action.symbol in waits)
    ]  # fmt: skip


def _announced(state: SessionState, position: Position, report: ev.BrokerReport) -> list[Activity]:
    return [
        a for a in report.actions
        if a.type in SPLITS and a.activity_id not in state.actions and _concerns(position, a)
        and a.symbol == position.symbol
    ]  # fmt: skip


def _concerns(position: Position | None, action: Activity) -> bool:
    return position is not None and action.at >= position.entry_at


def _ratio(ours: Position, before: Decimal, price: Decimal, *, announced: bool) -> Fraction | None:
    """New shares an old one, if ``before`` shares at ``price`` are ours after a split."""
    if before == ours.qty or (before > 0) != (ours.qty > 0) or price <= 0:
        return None
    exact = Fraction(before) / Fraction(ours.qty)
    ratio = exact.limit_denominator(RATIO_MAX)
    if abs(exact - ratio) * abs(Fraction(ours.qty)) <= Fraction(_LEAST) and _costs_the_same(ours, ratio, price):
        return ratio
    if not announced:
        return None
    # A part of a share is paid out in cash, so the quantity is not exact, and the price tells.
    ratio = (Fraction(ours.avg_entry_price) / Fraction(price)).limit_denominator(RATIO_MAX)
    left = abs(Fraction(ours.qty) * ratio) - abs(Fraction(before))
    return ratio if ratio != 1 and 0 <= left < 1 and _costs_the_same(ours, ratio, price) else None


def _costs_the_same(ours: Position, ratio: Fraction, price: Decimal) -> bool:
    if not 0 < ratio <= RATIO_MAX or ratio.denominator > RATIO_MAX:
        return False
    off = abs(Fraction(price) * ratio - Fraction(ours.avg_entry_price))
    rounding = max(Fraction(CENT) * max(ratio, Fraction(1)), Fraction(ROUNDING * ours.avg_entry_price))
    return off <= min(rounding, Fraction(LIKENESS * ours.avg_entry_price) * abs(ratio - 1))


def effect(action: Activity) -> str:
    """What an action means for our orders, in a few words."""
    if action.type in SPLITS:
        return "the position shows nothing of it"
    if action.type.startswith("DIV"):
        return "cash; quantity, stop and target stay"
    return "stop and target stay; look whether they still fit"
