"""Another price for a stop or target that rests, by replacing its order (RECOVERY_PROTOCOL C12).

The new id is stored before the request is sent. Until the broker says that the old order was replaced, that one is
the protection and the new one counts for nothing: a replacement that is refused, or lost, changes nothing.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from gambler_ai.core.contracts import underlying_of
from gambler_ai.core.events import IntentPlanned
from gambler_ai.core.model import Position, is_sane_price, round_price
from gambler_ai.core.orders import (
    IN_FLIGHT,
    Order,
    OrderIntent,
    Purpose,
    Role,
    Status,
    client_order_id,
    position_decision_id,
    replace_body,
)
from gambler_ai.core.protection import is_awake, stop_and_target, why_left
from gambler_ai.core.state import SessionState

#: What a leg's price is called on the wire.
_PRICE = {Role.STOP: "stop_price", Role.TARGET: "limit_price"}
#: The broker takes a replacement of these only (BEHAVIOUR 3, replace); a held stop is WORKING to us.
_REPLACEABLE = frozenset({Status.WORKING, Status.PARTIALLY_FILLED})


def move(state: SessionState, symbol: str, role: Role, price: Decimal, at: datetime, why: str) -> IntentPlanned | str:
    """The replacement that moves the stop or target of ``symbol`` to ``price``, or why there can be none."""
    position = state.positions.get(symbol)
    if (position is None and is_on_structure(state, symbol)) or (position is not None and position.structure_id):
        return (
            f"{symbol} is held as part of a structure, whose stop and target are rules of this program: "
            f"no order of them rests at the broker; to be out now: flatten {underlying_of(symbol)}"
        )
    if position is None:
        return f"no position in {symbol}"
    leg = resting_leg(state, symbol, role)
    denied = _refusal(state, position, role, price) or _not_now(state, position, leg, role)
    if denied:
        return denied
    assert leg is not None
    stop, target = stop_and_target(state, position)
    decision = position_decision_id(Purpose.REPLACE, position.position_id, position.decisions)
    coid = client_order_id(state.account_id, state.session_id, decision)
    return IntentPlanned(at, OrderIntent(
        client_order_id=coid, decision_id=decision, attempt=0, purpose=Purpose.REPLACE, strategy=position.strategy,
        symbol=symbol, side=leg.side, qty=leg.qty, ref_price=state.marks[symbol],
        stop_price=price if role is Role.STOP else stop, target_price=price if role is Role.TARGET else target,
        position_id=position.position_id, reason=why, decided_at=at, valid_until=None,
        body=replace_body(coid, _PRICE[role], price), replaces=leg.order_id,
    ))  # fmt: skip


def is_on_structure(state: SessionState, symbol: str) -> bool:
    """Whether a structure of ours is on ``symbol``, or has it as a leg."""
    return any(
        symbol == structure.underlying or any(leg.symbol == symbol for leg in structure.legs)
        for structure in state.structures.values()
    )  # fmt: skip


def resting_leg(state: SessionState, symbol: str, role: Role) -> Order | None:
    """The one order that is the stop or target of ``symbol``; None if there is none, or not one alone."""
    legs = [o for o in state.live_orders(symbol) if o.role is role and is_awake(state, o) and not o.stale]
    return legs[0] if len(legs) == 1 else None


def is_wanted(state: SessionState, intent: OrderIntent) -> bool:
    """Whether a replacement that has perhaps not arrived may be sent again: nothing has changed since."""
    position, old = state.positions.get(intent.symbol), state.orders.get(intent.replaces)
    if position is None or old is None or old.status not in _REPLACEABLE or why_left(state, intent.symbol):
        return False
    role = old.role
    price = intent.stop_price if role is Role.STOP else intent.target_price
    assert price is not None
    return position.position_id == intent.position_id and not _refusal(state, position, role, price)


def is_over(state: SessionState, intent: OrderIntent) -> bool:
    """Whether a replacement can have no effect any more, however late it arrives: what it replaces is done."""
    old = state.orders.get(intent.replaces)
    return intent.purpose is Purpose.REPLACE and (old is None or not old.is_live)


def tightens(state: SessionState, symbol: str, price: Decimal) -> bool:
    """Whether a stop at ``price`` is closer to the market than the one that rests."""
    position = state.positions[symbol]
    stop, _target = stop_and_target(state, position)
    return price > stop if position.qty > 0 else price < stop


def _refusal(state: SessionState, position: Position, role: Role, price: Decimal) -> str:
    """What is wrong with ``price``, "" if nothing: a stop is behind the last price, a target ahead of it."""
    name, symbol = role.value, position.symbol
    if not is_sane_price(price):
        return f"{price} is no price"
    if price != round_price(price):
        return f"{price} has too many places; {round_price(price)} would do"
    mark = state.marks.get(symbol)
    if mark is None:
        return f"no price of {symbol} is known yet; ask again in a minute"
    ahead = (price - mark) * (1 if position.qty > 0 else -1)
    if role is Role.STOP and ahead >= 0:
        return f"a stop at {price} is not behind the last price, {mark}; to be out now: flatten"
    if role is Role.TARGET and ahead <= 0:
        return f"a target at {price} is not ahead of the last price, {mark}; to be out now: flatten"
    stop, target = stop_and_target(state, position)
    if price == (stop if role is Role.STOP else target):
        return f"the {name} of {symbol} is at {price} already"
    return ""


def _not_now(state: SessionState, position: Position, leg: Order | None, role: Role) -> str:
    """What stands in the way of a good price, "" if nothing."""
    symbol = position.symbol
    if why_left(state, symbol):
        return f"{symbol} is being closed"
    waits = any(
        r.status in IN_FLIGHT and r.intent.purpose is Purpose.REPLACE for r in state.open_intents(symbol)
    )  # fmt: skip
    if waits or (leg is not None and leg.status not in _REPLACEABLE):
        return f"an order for {symbol} is on its way; ask again in a minute"
    return "" if leg is not None else f"no {role.value} of {symbol} rests at the broker"
