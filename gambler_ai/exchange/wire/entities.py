"""Alpaca's JSON: every key of an entity is always there, null when empty; decimals are strings (BEHAVIOUR
1-5).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from gambler_ai.exchange.annals import Activity
from gambler_ai.exchange.desk.events import OrderEvent
from gambler_ai.exchange.desk.orders import FILLED, REPLACED, Fill, Order
from gambler_ai.exchange.instants import NEW_YORK, from_us, rfc3339
from gambler_ai.exchange.numbers import plain, rounded
from gambler_ai.exchange.options.contracts import is_option, parse_symbol
from gambler_ai.exchange.prices.assets import Asset, asset_id
from gambler_ai.exchange.prices.sessions import Session


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def _when(us: int | None) -> str | None:
    return None if us is None else rfc3339(us)


def asset_id_of(symbol: str) -> str:
    """A stock's or a contract's; "" of an order of several symbols."""
    contract = parse_symbol(symbol)
    return contract.id if contract is not None else asset_id(symbol) if symbol else ""


def asset_class_of(symbol: str) -> str:
    """ "" of an order of several symbols."""
    return "us_option" if is_option(symbol) else "us_equity" if symbol else ""


def order_entity(order: Order, legs: Sequence[Order] = ()) -> dict[str, Any]:
    """One order; ``legs`` only where they are nested (BEHAVIOUR 3, "entity"). The parent of an ``mleg`` has no symbol,
    side and intent, its legs have no type.
    """
    created = rfc3339(order.created_us)
    return {
        "id": order.id,
        "client_order_id": order.client_order_id,
        "created_at": created,
        "updated_at": rfc3339(order.updated_us),
        "submitted_at": created,
        "filled_at": _when(order.filled_us),
        "expired_at": _when(order.expired_us),
        "expires_at": rfc3339(order.expires_us),
        "canceled_at": _when(order.canceled_us),
        "failed_at": _when(order.failed_us),
        "replaced_at": _when(order.replaced_us),
        "replaced_by": order.replaced_by if order.status == REPLACED else None,
        "replaces": order.replaces,
        "asset_id": asset_id_of(order.symbol),
        "symbol": order.symbol,
        "asset_class": asset_class_of(order.symbol),
        "notional": _text(order.notional),
        "qty": _text(order.qty),
        "filled_qty": plain(order.filled_qty),
        "filled_avg_price": _text(order.average_price),
        "order_class": order.order_class,
        "order_type": order.type,
        "type": order.type,
        "side": order.side,
        "position_intent": order.position_intent,
        "time_in_force": order.time_in_force,
        "limit_price": _text(order.limit_price),
        "stop_price": _text(order.stop_price),
        "status": order.status,
        "extended_hours": order.extended_hours,
        "legs": [order_entity(leg) for leg in legs] or None,
        "trail_percent": _text(order.trail_percent),
        "trail_price": _text(order.trail_price),
        "hwm": _text(order.hwm),
        "subtag": None,
        "source": None,
        "ratio_qty": _text(order.ratio_qty),
    }


def activity_entity(fill: Fill) -> dict[str, Any]:
    """A FILL activity; it has no client_order_id (BEHAVIOUR 5)."""
    return {
        "id": fill.id,
        "activity_type": "FILL",
        "transaction_time": rfc3339(fill.at_us),
        "type": "fill" if fill.status == FILLED else "partial_fill",
        "price": plain(rounded(fill.price)),
        "qty": plain(fill.qty),
        "side": fill.side,
        "symbol": fill.symbol,
        "leaves_qty": plain(fill.leaves_qty),
        "order_id": fill.order_id,
        "cum_qty": plain(fill.cum_qty),
        "order_status": fill.status,
    }


def other_activity_entity(activity: Activity) -> dict[str, Any]:
    """An activity that is no fill: the current names, SPLIT with FSPLIT or RSPLIT (BEHAVIOUR 5). Fields that not every
    type has (cusip, per_share_amount) are left out.
    """
    at = from_us(activity.at_us)
    some = {} if activity.price is None else {"price": plain(activity.price)}
    if activity.sub_type:
        some["activity_sub_type"] = activity.sub_type
    return some | {
        "id": activity.id,
        "account_id": activity.account_id,
        "activity_type": activity.type,
        "created_at": rfc3339(activity.at_us),
        "currency": "USD",
        "date": at.astimezone(NEW_YORK).date().isoformat(),
        "description": activity.description,
        "group_id": activity.group,
        "net_amount": plain(activity.net_amount),
        "qty": plain(activity.qty),
        "status": "executed",
        "symbol": activity.symbol,
    }


def trade_update_entity(event: OrderEvent) -> dict[str, Any]:
    """The ``data`` of a trade update; price, qty and position_qty for executions only (BEHAVIOUR 7)."""
    entity: dict[str, Any] = {
        "event": event.name,
        "execution_id": event.id,
        "timestamp": rfc3339(event.at_us),
        "order": order_entity(event.order, event.legs),
    }
    if event.fill is not None:
        entity["price"] = plain(rounded(event.fill.price))
        entity["qty"] = plain(event.fill.qty)
    if event.position_qty is not None:
        entity["position_qty"] = plain(event.position_qty)
    return entity


def asset_entity(asset: Asset, *, tradable: bool = True) -> dict[str, Any]:
    """An asset; ``maintenance_margin_requirement`` is an integer literal for the Go client (BEHAVIOUR 2)."""
    return {
        "id": asset.id,
        "class": "us_equity",
        "exchange": asset.exchange,
        "symbol": asset.symbol,
        "name": asset.name,
        "status": "active",
        "tradable": tradable,
        "marginable": True,
        "maintenance_margin_requirement": 30,
        "margin_requirement_long": "30",
        "margin_requirement_short": "30",
        "shortable": asset.shortable,
        "easy_to_borrow": asset.easy_to_borrow,
        "borrow_status": "easy_to_borrow" if asset.easy_to_borrow else "hard_to_borrow",
        "fractionable": asset.fractionable,
        "attributes": [],
    }


def calendar_entity(session: Session, settles: Session) -> dict[str, Any]:
    """A day; it settles on the next one (T+1, the rule of today, whatever the year)."""
    close = from_us(session.close_us).astimezone(NEW_YORK)
    return {
        "date": session.day.isoformat(),
        "open": "09:30",
        "close": f"{close:%H:%M}",
        "session_open": "0400",
        "session_close": "2000" if session.minutes == 390 else "1700",
        "settlement_date": settles.day.isoformat(),
    }
