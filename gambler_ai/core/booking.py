"""Orders and fills to what is held: how the broker's word on an order of ours changes the books.

The parts of `evolution.apply` that do it. Like that, they evolve and decide nothing.
"""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core import portfolio, risk_record
from gambler_ai.core.contracts import underlying_of
from gambler_ai.core.model import CENT, ZERO, Fill, Position, Side, stop_and_target
from gambler_ai.core.options import books
from gambler_ai.core.orders import MLEG, IntentRecord, Order, OrderIntent, OrderReport, Role, Status, observed, role_of
from gambler_ai.core.state import Changes, SessionState


def order_updated(state: SessionState, fact: ev.OrderUpdated, changes: Changes) -> None:
    report = fact.report
    owner = state.owner_of(report)
    assert owner is not None  # the engine asks first
    record = state.intents[owner]
    known = state.orders.get(report.order_id)
    if known is not None and report.updated_at < known.updated_at:
        return  # an earlier moment, told late
    if report.client_order_id == owner:
        status, _odd = observed(record.status, report.status, newer=known is not None and known.is_before(report))
        record = replace(record, status=status, misses=0, first_miss_at=None, watch_until=None)
        put_intent(state, changes, record)
    before = known or state.orders.get(report.replaces or record.intent.replaces)
    role = before.role if before is not None else role_of(record.intent.purpose, report)
    _put_order(state, changes, fact.at, report, owner, role, before.parent_id if before is not None else None)
    for leg in report.legs:
        if report.order_class != MLEG:  # whose legs do what it does
            role = Role.TARGET if leg.type == "limit" else Role.STOP
        _put_order(state, changes, fact.at, leg, state.owner_of(leg) or owner, role, report.order_id)
    if structure_id := record.intent.structure_id:
        books.count_units(state, changes, report.order_id if report.legs else state.orders[report.order_id].parent_id)
        books.resize(state, changes, structure_id)
    _take_levels(state, changes, report.symbol)
    note_settled(state, owner, fact.at)


def _take_levels(state: SessionState, changes: Changes, symbol: str) -> None:
    """Stop and target of a position are those that rest: an order that took another's place brings its own price.

    One that has its place back, since the other was refused, brings its own again.
    """
    position = state.positions.get(symbol)
    refused = {o.replaces for o in state.orders.values() if o.replaces and o.status is Status.REJECTED}
    for order in state.live_orders(symbol) if position is not None else ():
        before = order if order.order_id in refused else state.orders.get(order.replaces or "")
        if before is None or (before.is_live and before is not order) or order.stale:
            continue
        if order.qty not in (before.qty, before.qty - before.filled_qty):
            continue  # another quantity is the broker's doing, at a split
        assert position is not None
        if order.role is Role.STOP and order.stop_price is not None:
            position = replace(position, stop_price=order.stop_price)
        if order.role is Role.TARGET and order.limit_price is not None:
            position = replace(position, target_price=order.limit_price)
    if position is not None and position != state.positions[symbol]:
        state.positions[symbol] = position
        changes.symbols.add(symbol)


def _is_stale(state: SessionState, report: OrderReport, role: Role, before: Order | None) -> bool:
    """Whether an order has the price of before a split; one that took such a one's place may have been adjusted."""
    if before is not None:
        return before.stale
    was, position = state.orders.get(report.replaces or ""), state.positions.get(report.symbol)
    if was is None or not was.stale:
        return False
    stop = role is Role.STOP
    price = report.stop_price if stop else report.limit_price
    level = (position.stop_price if stop else position.target_price) if position is not None else None
    return price is None or level is None or abs(price - level) > CENT


def _put_order(
    state: SessionState, changes: Changes, at: datetime, report: OrderReport, owner: str, role: Role,
    parent_id: str | None,
) -> None:  # fmt: skip
    before, intent = state.orders.get(report.order_id), state.intents[owner].intent
    if before is not None and report.updated_at < before.updated_at:
        return  # an earlier moment, told late
    meant = intent.replaces if report.client_order_id == owner else ""  # what we asked for, if the broker leaves it out
    was, newer = (before.status, before.is_before(report)) if before is not None else (Status.UNKNOWN, False)
    status, _odd = observed(was, report.status, newer=newer)
    partial = not status.is_final and ZERO < report.filled_qty < report.qty
    order = Order(
        order_id=report.order_id, client_order_id=report.client_order_id,
        intent_id=before.intent_id if before else owner, parent_id=parent_id, role=role, symbol=report.symbol,
        side=report.side, qty=report.qty,
        filled_qty=max(report.filled_qty, before.filled_qty if before else ZERO),
        filled_avg_price=report.filled_avg_price, type=report.type, order_class=report.order_class,
        limit_price=report.limit_price, stop_price=report.stop_price, status=status,
        broker_status=report.status, submitted_at=report.submitted_at, updated_at=report.updated_at,
        booked_qty=before.booked_qty if before else ZERO,
        partial_since=((before and before.partial_since) or at) if partial else None,
        cancel_requested_at=before.cancel_requested_at if before else None,
        replaces=report.replaces or (before.replaces if before else None) or meant or None,
        stale=_is_stale(state, report, role, before),
    )  # fmt: skip
    state.orders[order.order_id] = changes.orders[order.order_id] = order
    if before is None:
        record = state.intents[order.intent_id]
        put_intent(state, changes, replace(record, order_ids=(*record.order_ids, order.order_id)))


def fill_reported(state: SessionState, fact: ev.FillReported, changes: Changes) -> None:
    fill = fact.fill
    order = state.orders[fill.order_id]
    intent = state.intents[order.intent_id].intent
    # A person may have taken an order that is not the one we asked for: our stop and target are not its own.
    entry = order.role is Role.ENTRY and (order.symbol, order.side) == (intent.symbol, intent.side)
    known = bool(intent.structure_id) and books.revive(state, intent.structure_id)
    opening = books.opening(state, intent.structure_id, fill) if known else Position(
        symbol=fill.symbol, qty=ZERO, avg_entry_price=fill.price, entry_at=fill.at,
        position_id=_position_id(intent, fill.symbol), strategy=intent.strategy,
        stop_price=intent.stop_price if entry else None, target_price=intent.target_price if entry else None,
        reason=intent.reason, entry_equity=state.account.equity or None, signal=intent.signal if entry else None,
    )  # fmt: skip
    why = intent.reason if order.role is Role.EXIT else order.role.value
    _take(state, changes, fill.symbol, portfolio.book(state.positions.get(fill.symbol), fill, opening, why))
    booked = replace(order, booked_qty=order.booked_qty + fill.qty)
    state.orders[order.order_id] = changes.orders[order.order_id] = booked
    state.fill_ids.setdefault(order.order_id, []).append(fill.activity_id)
    state.last_fill_at = max(state.last_fill_at or fill.at, fill.at)
    state.fills += 1
    changes.fills.append(fill)
    if known:
        qty, opens = fill.qty * fill.side.sign, order.role is Role.ENTRY
        books.moved(state, changes, intent.structure_id, fill.at, fill.symbol, qty, fill.price, entry=opens)
        books.count_units(state, changes, order.parent_id)
        books.resize(state, changes, intent.structure_id)
    note_settled(state, order.intent_id, fact.at)


def _position_id(intent: OrderIntent, symbol: str) -> str:
    """One order of a structure brings several contracts, and each counts its decisions for itself."""
    return f"{intent.client_order_id}-{symbol}" if intent.structure_id else intent.client_order_id


def _take(state: SessionState, changes: Changes, symbol: str, booking: portfolio.Booking) -> None:
    changes.symbols.add(symbol)
    before = state.positions.get(symbol)
    if booking.position is None:
        state.positions.pop(symbol, None)
    else:
        state.positions[symbol] = booking.position
    state.realized_pnl += booking.realized
    if booking.closed is not None and not (before is not None and before.structure_id):  # a leg is no trade
        state.closed_trades += 1
        state.unpriced_closes += booking.closed.pnl is None
        changes.closed.append(booking.closed)
        if before is not None and before.signal is not None:
            changes.outcomes.append(portfolio.outcome(booking.closed, before.signal))
        state.risk = risk_record.closed(state.risk, booking.closed, booking.closed.exit_at)


def adjusted(state: SessionState, fact: ev.Adjusted, changes: Changes) -> None:
    position = state.positions[fact.symbol]
    _take(state, changes, fact.symbol, portfolio.adjust(position, fact.qty, fact.price, fact.at, fact.cause))
    qty, price = fact.qty - position.qty, position.avg_entry_price if fact.price is None else fact.price
    priced = fact.price is not None
    books.moved(state, changes, position.structure_id, fact.at, fact.symbol, qty, price, priced=priced)


def option_settled(state: SessionState, fact: ev.OptionSettled, changes: Changes) -> None:
    """The contracts go at nothing; the shares come or go at the strike, and stay with the structure."""
    contract = state.positions[fact.symbol]
    structure_id, at = contract.structure_id, fact.at
    left = contract.qty - fact.qty
    _take(state, changes, fact.symbol, portfolio.adjust(contract, left, ZERO, at, fact.how))
    if fact.shares:
        symbol = underlying_of(fact.symbol)
        fill = Fill(
            activity_id=fact.activity_ids[0], order_id="", symbol=symbol, at=at, price=fact.price,
            side=Side.BUY if fact.shares > 0 else Side.SELL, qty=abs(fact.shares),
        )  # fmt: skip
        opening = replace(
            contract, symbol=symbol, qty=ZERO, entry_at=at, greeks=None, reason=f"{fact.how} at {fact.price:f}",
            exit_qty=ZERO, exit_value=ZERO, exit_priced=True, realized=ZERO, decisions=0, decided_at=None, signal=None,
        )  # fmt: skip
        _take(state, changes, symbol, portfolio.book(state.positions.get(symbol), fill, opening, fact.how))
        books.moved(state, changes, structure_id, at, symbol, fact.shares, fact.price, settled=True)
    books.moved(state, changes, structure_id, at, fact.symbol, -fact.qty, ZERO, settled=True)
    state.actions += fact.activity_ids


def split(state: SessionState, fact: ev.SplitApplied, changes: Changes) -> None:
    """The mark goes, since nobody can tell whether it is one of before or after."""
    position = state.positions[fact.symbol]
    state.positions[fact.symbol] = portfolio.split(position, fact.new, fact.old, fact.qty)
    changes.symbols.add(fact.symbol)
    state.marks.pop(fact.symbol, None)
    state.actions += fact.activity_ids
    for order in state.live_orders(fact.symbol):
        stale = replace(order, stale=True)
        state.orders[order.order_id] = changes.orders[order.order_id] = stale


def adopted(state: SessionState, fact: ev.Adopted, changes: Changes) -> None:
    """It gets an id of its own making: no order of ours opened it. Beside ours it takes our stop and target."""
    plan, sign = state.plan, 1 if fact.qty > 0 else -1
    stop, target = stop_and_target(fact.price, sign, plan.stop_loss_pct, plan.take_profit_pct)
    opening = Position(
        symbol=fact.symbol, qty=ZERO, avg_entry_price=fact.price, entry_at=fact.at,
        position_id=f"adopted-{fact.symbol}-{fact.at:%Y%m%dT%H%M%S}", reason=fact.reason,
        strategy=plan.filed_under, stop_price=stop, target_price=target,
        entry_equity=state.account.equity or None,
    )  # fmt: skip
    held = state.positions.get(fact.symbol)
    state.positions[fact.symbol] = portfolio.adopt(held, opening, fact.qty, fact.price)
    state.foreign = {s: q for s, q in state.foreign.items() if s != fact.symbol}
    changes.symbols.add(fact.symbol)
    books.moved(state, changes, held.structure_id if held else "", fact.at, fact.symbol, fact.qty, fact.price)


def put_intent(state: SessionState, changes: Changes, record: IntentRecord) -> None:
    key = record.intent.client_order_id
    state.intents[key] = changes.intents[key] = record


def note_settled(state: SessionState, intent_id: str, at: datetime) -> None:
    """Remember since when nothing more is expected of an intent and its orders, if that is so."""
    record = state.intents[intent_id]
    settled = (
        record.watch_until is None and record.status.is_final and all(o.is_settled for o in state.orders_of(record))
    )
    if settled != (record.settled_at is not None):
        state.intents[intent_id] = replace(record, settled_at=at if settled else None)


def _took_a_place_that_is_known(state: SessionState, record: IntentRecord) -> bool:
    """Whether a listing that still shows its order would take it for the unseen successor of one we have in mind."""
    places = (state.orders.get(order.replaces or "") for order in state.orders_of(record))
    return any(before is not None and before.intent_id != record.intent.client_order_id for before in places)


def forget(state: SessionState, record: IntentRecord) -> None:
    """Drop an intent and its orders from memory, unless they have to wait for others; their rows stay."""
    if _took_a_place_that_is_known(state, record):
        return
    del state.intents[record.intent.client_order_id]
    for order_id in record.order_ids:
        del state.orders[order_id]
        state.fill_ids.pop(order_id, None)
