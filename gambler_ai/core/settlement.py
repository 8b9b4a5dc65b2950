"""How contracts of ours end without an order: exercised, assigned or expired, as the broker's activities tell.

The broker moves the position and writes the activity at different times, often a night apart, and either may show
first (BEHAVIOUR 10.4). Only the activity is booked, each once. What is between the two is neither gone nor foreign.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, time, timedelta
from decimal import Decimal

from msgspec import Struct

from gambler_ai.core.contracts import MULTIPLIER, Contract, Right, parse
from gambler_ai.core.events import BrokerReport, OptionSettled
from gambler_ai.core.model import NEW_YORK, ZERO, Activity, Position
from gambler_ai.core.state import SessionState

EXERCISED, ASSIGNED, EXPIRED = "exercised", "assigned", "expired"
#: Alpaca's words for how a contract ends (BEHAVIOUR 3, mleg), and for the shares that change hands by it.
HOW = {"OPEXC": EXERCISED, "OPASN": ASSIGNED, "OPEXP": EXPIRED}
SHARES_TRADE = "OPTRD"
#: From the expiry on a contract that is gone waits so long for its activity: over a weekend with a holiday.
PATIENCE = timedelta(days=4)


class Lag(Struct, frozen=True):
    """What the broker's positions and activities do not agree upon yet.

    ``awaited``: contracts of ours that are gone at the broker, while no activity says how. ``moving``: symbols whose
    quantity at the broker, beside ours, comes of such an end and is neither foreign nor a loss.
    """

    awaited: frozenset[str]
    moving: frozenset[str]


def settled(state: SessionState, at: datetime, report: BrokerReport) -> list[OptionSettled]:
    """What ended of our contracts by ``report`` and is not booked: after its fills, before anything is compared.

    Of an activity at most what we hold is ours, and ours comes first; the rest is of whoever holds it.
    """
    theirs = {p.symbol: p.qty for p in report.positions}
    left = {symbol: p.qty for symbol, p in state.positions.items() if parse(symbol) is not None}
    waits = state.filling()  # of such a one it is not known yet how much was left to end
    facts = []
    for action in sorted(report.actions, key=lambda a: (a.at, a.activity_id)):
        held, contract = left.get(action.symbol, ZERO), parse(action.symbol)
        if contract is None or not held or action.symbol in waits or action.activity_id in state.actions:
            continue
        position = state.positions[action.symbol]
        if not (_fits(action, held) and _is_of(position, contract, action, theirs.get(action.symbol, ZERO))):
            continue
        part = _part(action, held)
        if not part:
            continue
        left[action.symbol] = held - part
        how = HOW[action.type]
        shares = ZERO if how == EXPIRED else delivered(contract, part)
        facts.append(OptionSettled(at, action.symbol, part, how, shares, contract.strike, _ids(state, report, action)))
    return facts


def delivered(contract: Contract, qty: Decimal) -> Decimal:
    """The shares (signed: they come or go) that ``qty`` contracts, signed as they are held, end in at the strike."""
    return qty * MULTIPLIER * (1 if contract.right is Right.CALL else -1)


def lagging(state: SessionState, report: BrokerReport, explained: Collection[str] = ()) -> Lag:
    """What is on its way between the broker's positions, its activities and our books.

    ``explained`` are symbols whose loss a fill of another's explains.
    """
    theirs = {p.symbol: p.qty for p in report.positions}
    short_of = _short_of(state, theirs, explained)
    beyond = _beyond(state, theirs)
    awaited = {symbol for symbol in short_of if _parsed(symbol).days_left(report.market.at) <= 0}
    moving = {symbol for symbol in beyond if report.market.at >= _parsed(symbol).expires_at}
    ended = {a.symbol for a in report.actions if a.type in HOW and a.activity_id in state.actions}
    for underlying in {_parsed(symbol).underlying for symbol in (*short_of, *beyond)}:
        shares = _extra(state, theirs, underlying)
        come = {s: delivered(_parsed(s), q) for s, q in short_of.items() if _parsed(s).underlying == underlying}
        # An activity that shows before the position follows: the shares are in our books, and not there yet.
        go = {
            s: -delivered(_parsed(s), q) for s, q in beyond.items()
            if _parsed(s).underlying == underlying and (s in ended or s in moving)
        }  # fmt: skip
        if not shares and min(come.values(), default=ZERO) < 0 < max(come.values(), default=ZERO):
            awaited |= come.keys()  # what one brings the other takes: the shares cannot tell
        if go and shares == sum((*come.values(), *go.values()), ZERO):  # all of it together is what the shares say
            awaited |= come.keys()
            moving |= go.keys()
        if not shares or not _lies_within(shares, [*come.values(), *go.values()]):
            continue
        moving.add(underlying)
        awaited |= {symbol for symbol, expected in come.items() if expected * shares > 0}
        moving |= {symbol for symbol, expected in go.items() if expected * shares > 0}
    return Lag(frozenset(awaited), frozenset(moving))


def _parsed(symbol: str) -> Contract:
    contract = parse(symbol)
    assert contract is not None  # only symbols of contracts come here
    return contract


def _short_of(state: SessionState, theirs: dict[str, Decimal], explained: Collection[str]) -> dict[str, Decimal]:
    """Contracts of ours -> what of them the broker does not hold any more, signed as we hold it."""
    found = {}
    for symbol, ours in state.positions.items():
        qty = theirs.get(symbol, ZERO)
        there = ZERO if qty * ours.qty <= 0 else min(qty, ours.qty, key=abs)
        if parse(symbol) is not None and there != ours.qty and symbol not in explained:
            found[symbol] = ours.qty - there
    return found


def _beyond(state: SessionState, theirs: dict[str, Decimal]) -> dict[str, Decimal]:
    """Contracts of which the broker holds more than we do, those aside that were foreign before."""
    contracts = (symbol for symbol in theirs if parse(symbol) is not None)
    extras = ((symbol, _extra(state, theirs, symbol)) for symbol in contracts)
    return {symbol: extra for symbol, extra in extras if extra * theirs[symbol] > 0}


def _extra(state: SessionState, theirs: dict[str, Decimal], symbol: str) -> Decimal:
    ours = state.positions[symbol].qty if symbol in state.positions else ZERO
    return theirs.get(symbol, ZERO) - ours - state.foreign.get(symbol, ZERO)


def _lies_within(shares: Decimal, expected: Collection[Decimal]) -> bool:
    """Whether some of what is expected, whole contracts of it, makes ``shares``."""
    low, high = (sum((one for one in expected if one * sign > 0), ZERO) for sign in (-1, 1))
    return low <= shares <= high and shares % MULTIPLIER == 0


def _fits(action: Activity, held: Decimal) -> bool:
    """Whether it is the end of a contract, and of our side: longs are exercised, shorts assigned, both expire."""
    how = HOW.get(action.type)
    return how is not None and (how == EXPIRED or (held > 0) == (how == EXERCISED))


def _is_of(position: Position, contract: Contract, action: Activity, theirs: Decimal) -> bool:
    """Whether it happened since we hold it. Of some only the day is told, and on the first day that may be before."""
    if action.at.time() != time():
        return action.at >= position.entry_at
    day, entered = action.at.date(), position.entry_at.astimezone(NEW_YORK).date()
    return day > entered or (day == entered and (day >= contract.expiry or abs(theirs) < abs(position.qty)))


def _part(action: Activity, held: Decimal) -> Decimal:
    """What of ``held`` it ends: its quantity's sign is not relied upon; without one it is all."""
    if action.qty is None:
        return held
    part = min(abs(action.qty), abs(held))
    return part if held > 0 else -part


def _ids(state: SessionState, report: BrokerReport, action: Activity) -> tuple[str, ...]:
    """Its own, and those of the trade of its shares where that shows already."""
    trades = (
        a.activity_id for a in report.actions
        if action.group and a.group == action.group and a.type == SHARES_TRADE and a.activity_id not in state.actions
    )  # fmt: skip
    return (action.activity_id, *trades)
