"""Our books against the broker's report: pure, from both to differences, and to the facts that heal them.

The broker wins on quantities; we win on the why. A difference is explained where a fill of another's
explains it; fills are never invented. Foreign quantities are shown, left alone and never counted.
Legs of a structure are compared one by one like any position; whether what is left is even is a question of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

import msgspec

from gambler_ai.core import settlement
from gambler_ai.core.contracts import MULTIPLIER, parse, underlying_of
from gambler_ai.core.events import (
    Adjusted,
    BrokerReport,
    Discrepancy,
    ForeignSeen,
    PositionReport,
)
from gambler_ai.core.model import CENT, ZERO, Activity, Fill, Position
from gambler_ai.core.options.books import held
from gambler_ai.core.orders import (
    ID_PREFIX,
    MLEG,
    IntentRecord,
    Order,
    OrderIntent,
    OrderReport,
    Purpose,
    Status,
    observed,
)
from gambler_ai.core.protection import Protection, protections, why_left
from gambler_ai.core.state import SessionState
from gambler_ai.core.structures import Structure, beyond_even


class Kind(StrEnum):
    """The kinds of difference, as they stand in rows and reports."""

    QUANTITY = "quantity differs"
    SIDE = "side differs"
    PRICE = "price differs"
    UNKNOWN_AT_OURS = "unknown at ours"
    GONE = "gone at the broker"
    ORDER_UNKNOWN = "order unknown at ours"
    ORDER_GONE = "order gone"
    ORDER_ODD = "order status odd"
    OTHER_DATABASE = "order of another database"
    LEG_MISSING = "leg missing"
    JOURNAL_BROKEN = "journal broken"
    LEG_MOVED = "leg moved"
    EXIT_TWICE = "exit filled twice"
    ACCOUNT_RESET = "account reset"
    NOT_IN_BACKUP = "order not in the backup"
    STRUCTURE_BROKEN = "structure uneven"


#: Session time a difference that no fill explains has to stay before we act on it: a broker's endpoints
#: lag behind each other (BEHAVIOUR 10.4), and what is only late comes by itself.
UNEXPLAINED_PATIENCE = timedelta(minutes=5)
#: The same for an order the broker does not find any more.
GONE_PATIENCE = timedelta(minutes=1)
#: Activities, in Alpaca's words now and before, by which shares come and go; cash explains no quantity (BEHAVIOUR 5).
TAKES_SHARES = frozenset({"MA", "NC", "SC", "REORG", "SPIN", "SSO", "SPLIT", "SSP", "VOF", "OPCA"})
#: Kinds after which a person has to look before anything is traded.
HALTING = frozenset({Kind.OTHER_DATABASE, Kind.ACCOUNT_RESET})


#: Kinds that no fill of ours explains: nothing is done about them.
LEFT_ALONE = frozenset({Kind.UNKNOWN_AT_OURS, Kind.ORDER_UNKNOWN, Kind.PRICE})


#: Kinds that are told by what is not there: only a reading that goes back to the first fill can tell them.
BY_ABSENCE = frozenset({Kind.ACCOUNT_RESET})


def is_news(state: SessionState, report: OrderReport) -> bool:
    """Whether an order of ours, or a leg of it, is not as we last saw it."""
    return any(_differs(state.orders.get(r.order_id), r) for r in (report, *report.legs))


def _differs(order: Order | None, report: OrderReport) -> bool:
    if order is not None and report.updated_at < order.updated_at:
        return False  # an earlier moment, told late
    return order is None or (
        order.broker_status, order.filled_qty, order.filled_avg_price, order.qty, order.limit_price,
        order.stop_price,
    ) != (
        report.status, max(report.filled_qty, order.filled_qty), report.filled_avg_price, report.qty,
        report.limit_price, report.stop_price,
    )  # fmt: skip


def is_as_asked(record: IntentRecord, report: OrderReport) -> bool:
    """Whether the order under our id is the one we asked for."""
    intent = record.intent
    if (intent.symbol, intent.side) != (report.symbol, report.side):
        return False
    seen = bool(record.order_ids) and record.status is not Status.DISPUTED
    if seen or intent.purpose is Purpose.REPLACE:
        return True  # seen before: what became of it since is the broker's word (a split, a fill of its other leg)
    # Of an OCO the other leg's fill is taken off, at once or a moment after it shows.
    filled = sum((leg.filled_qty for leg in report.legs if report.order_class == "oco"), ZERO)
    return intent.qty in (report.qty, report.qty + filled) and _has_its_terms(intent, report)


def _has_its_terms(intent: OrderIntent, report: OrderReport) -> bool:
    """Type and price of the order itself; what the broker leaves empty says nothing."""
    body = msgspec.json.decode(intent.body)
    limit = body.get("limit_price") or body.get("take_profit", {}).get("limit_price")
    limit = limit if body["type"] == "limit" else None
    return (
        report.type == body["type"]
        and (body.get("order_class") == MLEG) == (report.order_class == MLEG)
        and (report.order_class != MLEG or _has_its_legs(body["legs"], report))
        and all(
            asked is None or told is None or Decimal(asked) == told
            for asked, told in ((limit, report.limit_price), (body.get("stop_price"), report.stop_price))
        )
    )


def _has_its_legs(asked: Collection[Mapping[str, str]], report: OrderReport) -> bool:
    """Each contract on its side, as many of it a unit as were asked for."""
    wanted = sorted((leg["symbol"], leg["side"], Decimal(leg["ratio_qty"]) * report.qty) for leg in asked)
    told = sorted((leg.symbol, leg.side.value, leg.qty) for leg in report.legs)
    return not told or told == wanted


def moved(state: SessionState, report: OrderReport) -> list[Discrepancy]:
    """Orders in ``report`` that took the place of one of ours, and not because we asked for it."""
    return [
        Discrepancy(
            kind=Kind.LEG_MOVED, symbol=r.symbol, ours=_terms(was), broker=_terms(r), order_id=r.order_id,
            cause=f"the {was.role} was replaced by hand or by another program",
            action="the new order is ours in its place",
        )
        for r in (report, *report.legs)
        if r.order_id not in state.orders and r.client_order_id not in state.intents
        and (was := state.orders.get(r.replaces or "")) is not None and not was.stale
    ]  # fmt: skip


def revived(state: SessionState, report: OrderReport) -> list[Discrepancy]:
    """Orders in ``report`` that were done and work on: a cancel, or a replacement, that came to nothing."""
    found = []
    for r in (report, *report.legs):
        was = state.orders.get(r.order_id)
        if was is None or was.is_live:
            continue
        status, odd = observed(was.status, r.status, newer=was.is_before(r))
        if not status.is_final:
            found.append(Discrepancy(
                kind=Kind.ORDER_ODD, symbol=r.symbol, ours=was.status.value, broker=r.status, cause=odd,
                action="the broker's word taken", order_id=r.order_id,
            ))  # fmt: skip
    return found


def _terms(order: Order | OrderReport) -> str:
    price = order.stop_price or order.limit_price
    return f"{order.qty:f} at {'market' if price is None else f'{price:f}'}"


def unbooked_fills(state: SessionState, report: BrokerReport) -> list[Fill]:
    """The fills of our orders that we have not booked, oldest first."""
    fills = [
        fill for fill in report.fills
        if fill.order_id in state.orders and fill.activity_id not in state.fill_ids.get(fill.order_id, ())
    ]  # fmt: skip
    return sorted(fills, key=lambda fill: (fill.at, fill.activity_id))


def diff(state: SessionState, report: BrokerReport, known_ids: Collection[str]) -> list[Discrepancy]:
    """Every difference between our books and the broker's; an empty list means they agree.

    ``known_ids`` are client order ids of this database that the state has let go as settled.
    """
    found = _orders(state, report, known_ids) + _reset(state, report)
    theirs = {p.symbol: p for p in report.positions}
    filling, lag = state.filling(), _lagging(state, report)
    for symbol in sorted(set(state.positions) | set(theirs)):
        if symbol not in filling and symbol not in lag.moving:
            item = _position(state.positions.get(symbol), theirs.get(symbol), symbol, report)
            found += [_waiting(one) if symbol in lag.awaited else one for one in item]
    naked = [item for item in bare(state, market_open=report.market.is_open) if item.symbol in theirs]
    return found + naked + uneven(state, report)


def _lagging(state: SessionState, report: BrokerReport) -> settlement.Lag:
    known = {s for s, p in state.positions.items() if parse(s) is not None and _cause(p, report)}
    return settlement.lagging(state, report, known)


def _waiting(item: Discrepancy) -> Discrepancy:
    return msgspec.structs.replace(item, cause=UNSETTLED, action="waits for the activity that says how")


def uneven(state: SessionState, report: BrokerReport) -> list[Discrepancy]:
    """Structures of which other parts are held than its ratios, with nothing of them on its way."""
    theirs, found = {p.symbol: p.qty for p in report.positions}, []
    for structure in state.structures.values():
        mine = held(state, structure.structure_id)
        if not beyond_even(structure, mine) or is_under_way(state, structure):
            continue
        cause, action = _why_uneven(structure)
        parts = sorted(mine.keys() | {leg.symbol for leg in structure.legs})
        found.append(Discrepancy(
            kind=Kind.STRUCTURE_BROKEN, symbol=structure.underlying, ours=_parts(parts, mine),
            broker=_parts(parts, theirs), cause=cause, action=action,
            order_id=structure.structure_id,
        ))  # fmt: skip
    return found


def is_under_way(state: SessionState, structure: Structure) -> bool:
    """Whether an order of a structure is on its way, rests, or has a fill that is not booked."""
    return any(
        not (record.status.is_final or record.status is Status.DISPUTED)
        or any(not order.is_settled for order in state.orders_of(record) if record.status is not Status.DISPUTED)
        for record in state.intents.values() if record.intent.structure_id == structure.structure_id
    )  # fmt: skip


def _parts(symbols: Iterable[str], quantities: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{quantities.get(symbol, ZERO):f} {symbol}" for symbol in symbols)


def _why_uneven(structure: Structure) -> tuple[str, str]:
    if structure.settled:
        cause = "a contract of it was exercised, assigned or has expired"
        return cause, "closed whole while the market is open, shares included"
    cause = "a leg was closed by hand, or an order never filled in all its legs"
    return cause, "what is beyond the even part is closed at market, shorts first"


def bare(state: SessionState, *, market_open: bool) -> list[Discrepancy]:
    """Positions without a stop at the broker for all of them, and without an order that will see to it.

    One that is being left has neither meanwhile; while the market is closed it cannot be left, and is told like any.
    """
    return [
        Discrepancy(
            kind=Kind.LEG_MISSING, symbol=position.symbol, ours=f"{position.qty:f}", broker=why,
            cause="no stop rests at the broker for all of it",
            action=_REARMED if parse(position.symbol) is None else _OUT,
        )
        for position, status, why in protections(state)
        if status is Protection.NAKED and not (market_open and why_left(state, position.symbol))
    ]  # fmt: skip


#: What is done about a bare position: of shares, and of a contract, which can have no stop.
_REARMED, _OUT = "NAKED: stop and target re-armed", "NAKED: closed at market while it is open"


def _reset(state: SessionState, report: BrokerReport) -> list[Discrepancy]:
    """The account was emptied: it knows none of our positions, none of our orders, and none of the fills we booked.

    An outage of one of its endpoints cannot look like that, and closing everything in our books would be wrong.
    """
    ours = {fill_id for fill_ids in state.fill_ids.values() for fill_id in fill_ids}
    placed = [coid for coid, record in state.intents.items() if record.order_ids and record.settled_at is None]
    # Nothing rests for a structure, and its fills are let go of in time: what opened it is asked for (`requesting`).
    placed += [structure.structure_id for structure in state.structures.values() if structure.filled]
    if (
        not (state.positions and state.last_fill_at and placed)
        or any(report.lookups.get(coid, state) is not None for coid in placed)  # its own 404 for each of them
        or state.positions.keys() & {p.symbol for p in report.positions}
        or any(f.activity_id in ours or f.at == state.last_fill_at for f in report.fills)
    ):  # fmt: skip
        return []
    symbols = ", ".join(sorted(state.positions))
    return [Discrepancy(
        kind=Kind.ACCOUNT_RESET, symbol=symbols, ours=f"{len(ours) or state.fills} fills", broker="none of them",
        cause="the account knows neither our positions nor our orders nor our fills", action="halt",
    )]  # fmt: skip


def _orders(state: SessionState, report: BrokerReport, known_ids: Collection[str]) -> list[Discrepancy]:
    found = []
    for order in report.orders:
        coid = order.client_order_id
        if coid in known_ids or state.owner_of(order) is not None:
            continue
        if not all(o.is_done for o in (order, *order.legs)):
            ours = coid.startswith(ID_PREFIX)
            found.append(Discrepancy(
                kind=Kind.OTHER_DATABASE if ours else Kind.ORDER_UNKNOWN, symbol=order.symbol, ours="none",
                broker=f"{order.side} {order.qty:f} {order.type} {order.status}",
                cause="another database trades this account" if ours else "placed by hand or by another program",
                action="halt" if ours else "left alone", order_id=order.order_id,
            ))  # fmt: skip
    lost = [coid for coid, answer in report.lookups.items() if answer is None]
    lost += [
        state.orders[order_id].intent_id for order_id, answer in report.by_id.items()
        if answer is None and order_id in state.orders and state.orders[order_id].is_live
    ]  # fmt: skip
    for coid in dict.fromkeys(lost):
        record = state.intents.get(coid)
        if record is not None and record.order_ids and record.settled_at is None:
            found.append(Discrepancy(
                kind=Kind.ORDER_GONE, symbol=record.intent.symbol, ours=record.status.value, broker="unknown",
                cause="the broker no longer knows it", action="not counted as protection", order_id=coid,
            ))  # fmt: skip
    return found


#: The cause of what may only be late.
UNEXPLAINED = "no fill explains it"
#: The same of a contract that has been exercised, assigned or has expired, as far as one can see.
UNSETTLED = "it has ended, and no activity says how yet"


def may_act(item: Discrepancy, first_seen: datetime, at: datetime) -> bool:
    """Whether a difference seen before is to be healed now: at once if explained, after a while if not."""
    waited = at - first_seen
    if item.kind == Kind.ORDER_GONE:
        return waited >= GONE_PATIENCE
    if item.cause == UNSETTLED:  # from its expiry on, so that no restart begins anew
        contract = parse(item.symbol)
        since = first_seen if contract is None else min(first_seen, contract.expires_at)
        return waited >= UNEXPLAINED_PATIENCE and at - since >= settlement.PATIENCE
    return item.cause != UNEXPLAINED or waited >= UNEXPLAINED_PATIENCE


def _position(
    ours: Position | None, theirs: PositionReport | None, symbol: str, report: BrokerReport
) -> list[Discrepancy]:
    our_qty = ours.qty if ours else ZERO
    their_qty = theirs.qty if theirs else ZERO
    if ours is None or our_qty == their_qty:
        return _same(ours, theirs, symbol, report)
    cause = _cause(ours, report) or UNEXPLAINED
    if their_qty == 0:
        kind, action = Kind.GONE, "closed in our books"
    elif (their_qty > 0) != (our_qty > 0):
        kind, action = Kind.SIDE, "closed in our books; what the broker holds is not ours"
    elif abs(their_qty) < abs(our_qty):
        kind, action = Kind.QUANTITY, f"our quantity set to {their_qty:f}"
    else:
        kind, action = Kind.QUANTITY, f"{their_qty - our_qty:f} not ours: left alone, entries blocked"
        cause = "bought or sold by hand or by another program"
    return [_difference(kind, symbol, our_qty, their_qty, cause, action)]


def _cause(ours: Position, report: BrokerReport) -> str:
    """What explains that less of it is there, "" if nothing does."""
    fill = foreign_fill(ours, report)
    return f"filled by order {fill.order_id}, not ours" if fill is not None else _company(ours, report)


def _company(ours: Position, report: BrokerReport) -> str:
    """What else may explain it: something that happened to the company since we hold it, "" if nothing did."""
    action = _taken(ours, report)
    if action is None:
        return ""
    came = _came_for(action, report)
    return f"a corporate action ({action.type})" + (f"; {came.symbol} came for it" if came is not None else "")


def _taken(ours: Position, report: BrokerReport) -> Activity | None:
    """The newest corporate action that may have taken it away."""
    found = [a for a in report.actions if a.type in TAKES_SHARES and a.symbol == ours.symbol and a.at >= ours.entry_at]
    return found[-1] if found else None


def _came_for(action: Activity, report: BrokerReport) -> Activity | None:
    """The contract that a split of its shares has made of another: two activities say so, one for each."""
    if parse(action.symbol) is None or not action.qty:
        return None
    return next((
        a for a in report.actions
        if a.type == action.type and a.symbol != action.symbol and a.at == action.at and a.qty
        and underlying_of(a.symbol) == underlying_of(action.symbol) and (a.qty > 0) != (action.qty > 0)
        and (a.group == action.group or not (a.group and action.group))
    ), None)  # fmt: skip


def _paid_out(ours: Position, report: BrokerReport) -> Decimal | None:
    """The price at which a corporate action has closed a contract in cash, by what it says that it paid."""
    action = _taken(ours, report)
    if action is None or parse(ours.symbol) is None or not (action.qty and action.amount):
        return None
    return abs(action.amount / action.qty) / MULTIPLIER


def _same(ours: Position | None, theirs: PositionReport | None, symbol: str, report: BrokerReport) -> list[Discrepancy]:
    if ours is None and theirs is not None and theirs.qty != 0:
        cause, action = "not opened by this session", "left alone; entries in it blocked"
        came = [a for a in report.actions if a.type == "OPCA" and a.symbol == symbol]
        if came:
            cause = f"a split of {underlying_of(symbol)} made it of other contracts ({came[-1].type})"
        return [_difference(Kind.UNKNOWN_AT_OURS, symbol, ZERO, theirs.qty, cause, action)]
    if ours and theirs and abs(ours.avg_entry_price - theirs.avg_entry_price) > CENT:
        cause, action = "the broker averages in another way", "ours kept: it comes from the fills"
        prices = ours.avg_entry_price, theirs.avg_entry_price
        return [_difference(Kind.PRICE, symbol, prices[0], prices[1], cause, action)]
    return []


def _difference(kind: Kind, symbol: str, ours: Decimal, broker: Decimal, cause: str, action: str) -> Discrepancy:
    return Discrepancy(kind=kind, symbol=symbol, ours=f"{ours:f}", broker=f"{broker:f}", cause=cause, action=action)


def foreign_fill(ours: Position, report: BrokerReport) -> Fill | None:
    """The newest fill on our exit side since we entered that is not of an order of ours."""
    mine = {o.order_id for r in report.orders if r.client_order_id.startswith(ID_PREFIX) for o in (r, *r.legs)}
    fills = [
        f for f in report.fills
        if f.symbol == ours.symbol and f.side is ours.exit_side and f.at >= ours.entry_at
        and f.order_id not in mine
    ]  # fmt: skip
    return fills[-1] if fills else None


def heal(state: SessionState, at: datetime, report: BrokerReport, found: Collection[Discrepancy]) -> list[Adjusted]:
    """The adjustments that make our quantities the broker's. Ours only ever shrink by it."""
    theirs = {p.symbol: p.qty for p in report.positions}
    facts = []
    for item in found:
        ours = state.positions.get(item.symbol)
        if ours is None or item.kind not in (Kind.GONE, Kind.SIDE, Kind.QUANTITY):
            continue
        qty = theirs.get(item.symbol, ZERO)
        if (qty > 0) != (ours.qty > 0):
            qty = ZERO
        if abs(qty) < abs(ours.qty):
            fill = foreign_fill(ours, report)
            price = fill.price if fill else _paid_out(ours, report)
            facts.append(Adjusted(at, item.symbol, qty, price, "closed at the broker"))
    return facts


def foreign_quantities(state: SessionState, at: datetime, report: BrokerReport) -> ForeignSeen | None:
    """What the account holds beyond ours, when that has changed."""
    foreign = {}
    filling = state.filling() | _lagging(state, report).moving
    for theirs in report.positions:
        if theirs.symbol in filling:
            if theirs.symbol in state.foreign:
                foreign[theirs.symbol] = state.foreign[theirs.symbol]
            continue
        extra = surplus(state.positions.get(theirs.symbol), theirs.qty)
        if extra:
            foreign[theirs.symbol] = extra
    return ForeignSeen(at, foreign) if foreign != state.foreign else None


def surplus(ours: Position | None, theirs: Decimal) -> Decimal:
    """What is held beyond ours: all of it on the other side, nothing when there is less than ours."""
    if ours is None or (ours.qty > 0) != (theirs > 0):
        return theirs
    return theirs - ours.qty if abs(theirs) > abs(ours.qty) else ZERO
