"""What companies do to what we hold: splits found, and the rest told (RECOVERY_PROTOCOL 2.1, corporate action).

A split changes a quantity and leaves its cost as it was; nothing that anybody buys or sells does. So the broker's own
row of a position shows it, whether or not an activity says so too.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from gambler_ai.core import events as ev
from gambler_ai.core import settlement
from gambler_ai.core.contracts import parse
from gambler_ai.core.model import CENT, ZERO, Activity, Position
from gambler_ai.core.state import SessionState

#: Alpaca's names for a split, now and before (BEHAVIOUR 5; the sub types FSPLIT, RSPLIT, USPLIT say which).
SPLITS = frozenset({"SPLIT", "SSP"})
#: A split of shares, as it concerns their contracts: others take their place, or cash (BEHAVIOUR 5).
OF_CONTRACTS = "OPCA"
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
    """The splits that ``report`` shows and our books do not; to be applied before its orders and fills are taken."""
    if not state.positions:
        return []
    pending = _unbooked(state, report)
    shown = {p.symbol: p for p in report.positions}
    facts = []
    for symbol, ours in state.positions.items():
        if parse(symbol) is not None:
            continue  # a split gives its contracts other symbols: these are gone, and told (`reconcile`)
        theirs, told = shown.get(symbol), _announced(state, ours, report)
        before = (theirs.qty if theirs is not None else ZERO) - pending.get(symbol, ZERO)
        if not before:
            continue  # gone, whatever for
        ratio = _told(ours, before, told)
        if ratio is None and theirs is not None:
            ratio = _ratio(ours, before, theirs.avg_entry_price, announced=bool(told))
        if ratio is not None:
            cause = "the broker's activity says so" if told else "quantity and price changed, and what it cost did not"
            ids = tuple(a.activity_id for a in told)
            facts.append(ev.SplitApplied(at, symbol, ratio.numerator, ratio.denominator, before, cause, ids))
    return facts


def _unbooked(state: SessionState, report: ev.BrokerReport) -> dict[str, Decimal]:
    """What fills of ours in ``report`` add to each symbol beyond what is booked.

    Those of an order that took another's place among them: a broker may adjust orders to a split that way.
    """
    asked = (r for r in (*report.lookups.values(), *report.by_id.values()) if r is not None)
    mine = {
        r.order_id for order in (*report.orders, *asked) for r in (order, *order.legs) if state.owner_of(r) is not None
    } | state.orders.keys()  # fmt: skip
    booked = {fill_id for fill_ids in state.fill_ids.values() for fill_id in fill_ids}
    found: dict[str, Decimal] = {}
    for fill in {f.activity_id: f for f in report.fills}.values():
        if fill.order_id in mine and fill.activity_id not in booked:
            found[fill.symbol] = found.get(fill.symbol, ZERO) + fill.qty * fill.side.sign
    return found


def _told(ours: Position, before: Decimal, told: list[Activity]) -> Fraction | None:
    """The ratio that two activities state, the old shares going and the new ones coming, if ``before`` bears it out."""
    gone = sum((-a.qty for a in told if a.qty is not None and (a.qty > 0) != (ours.qty > 0)), ZERO)
    come = sum((a.qty for a in told if a.qty is not None and (a.qty > 0) == (ours.qty > 0)), ZERO)
    if not gone or not come:
        return None
    ratio = Fraction(come) / Fraction(gone)
    left = abs(Fraction(ours.qty) * ratio) - abs(Fraction(before))
    is_it = before != ours.qty and (before > 0) == (ours.qty > 0) and 0 <= left < 1
    return ratio.limit_denominator(RATIO_MAX) if is_it else None


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
        and action.type not in settlement.HOW  # booked, or not ours; never only noted
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
    if action.type == settlement.SHARES_TRADE:
        return "shares at the strike of a contract that was exercised or assigned; they are booked with that"
    if action.type == OF_CONTRACTS:
        return "the contract is another one from here on, or was paid out; what came for it is not ours"
    if action.type.startswith("DIV"):
        return "cash; quantity, stop and target stay"
    return "stop and target stay; look whether they still fit"
