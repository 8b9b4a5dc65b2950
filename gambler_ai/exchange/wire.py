"""Alpaca's JSON: every key of an entity is always there, null when empty; decimals are strings (BEHAVIOUR
1-5).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gambler_ai.exchange.accounts import Margins, Position, held_for_orders
from gambler_ai.exchange.assets import ASSETS, Asset
from gambler_ai.exchange.instants import NEW_YORK, from_us, rfc3339
from gambler_ai.exchange.numbers import money, plain, rounded
from gambler_ai.exchange.orders import FILLED, Fill, Order
from gambler_ai.exchange.sessions import Session

if TYPE_CHECKING:
    from gambler_ai.exchange.exchange import Exchange


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def _when(us: int | None) -> str | None:
    return None if us is None else rfc3339(us)


def order_entity(order: Order, legs: Sequence[Order] = ()) -> dict[str, Any]:
    """One order; ``legs`` only where they are nested (BEHAVIOUR 3, "entity")."""
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
        "failed_at": None,
        "replaced_at": _when(order.replaced_us),
        "replaced_by": order.replaced_by,
        "replaces": order.replaces,
        "asset_id": ASSETS[order.symbol].id,
        "symbol": order.symbol,
        "asset_class": "us_equity",
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
        "trail_percent": None,
        "trail_price": None,
        "hwm": None,
        "subtag": None,
        "source": None,
    }


def account_entity(exchange: Exchange) -> dict[str, Any]:
    """The account (BEHAVIOUR 2). The retired day-trading fields are sent as nothing, for old clients that
    read them.
    """
    found: Margins = exchange.margins()
    account = exchange.book.account
    return {
        "id": exchange.account_id,
        "account_number": exchange.account_number,
        "status": "ACTIVE",
        "crypto_status": "INACTIVE",
        "currency": "USD",
        "cash": money(account.cash),
        "equity": money(found.equity),
        "portfolio_value": money(found.equity),
        "last_equity": money(account.last_equity),
        "long_market_value": money(found.long_value),
        "short_market_value": money(found.short_value),
        "position_market_value": money(found.long_value - found.short_value),
        "initial_margin": money(found.initial),
        "maintenance_margin": money(found.maintenance),
        "last_maintenance_margin": money(account.last_maintenance),
        "buying_power": money(found.buying_power),
        "regt_buying_power": money(found.regt),
        "daytrading_buying_power": "0",
        "non_marginable_buying_power": money(found.cash_power),
        "options_buying_power": "0",
        "options_approved_level": 0,
        "options_trading_level": 0,
        "sma": "0",
        "multiplier": str(found.multiplier),
        "accrued_fees": "0",
        "pending_transfer_in": "0",
        "pending_transfer_out": "0",
        "pending_reg_taf_fees": "0",
        "intraday_adjustments": "0",
        "daytrade_count": 0,
        "pattern_day_trader": False,
        "trading_blocked": False,
        "transfers_blocked": False,
        "account_blocked": False,
        "trade_suspended_by_user": False,
        "shorting_enabled": found.multiplier > 1,
        "created_at": rfc3339(exchange.created_us),
        "balance_asof": from_us(exchange.now_us).astimezone(NEW_YORK).date().isoformat(),
    }


CONFIGURATIONS: dict[str, Any] = {
    "dtbp_check": "entry",
    "fractional_trading": True,
    "max_margin_multiplier": "4",
    "max_options_trading_level": 0,
    "no_shorting": False,
    "pdt_check": "entry",
    "ptp_no_exception_entry": False,
    "suspend_trade": False,
    "trade_confirm_email": "none",
}


def position_entity(exchange: Exchange, position: Position) -> dict[str, Any]:
    """A position at the last trade; shorts have negative quantities and values (BEHAVIOUR 4)."""
    asset = ASSETS[position.symbol]
    price, before = exchange.mark(position.symbol), exchange.close_mark(position.symbol)
    qty, cost = position.qty, position.qty * position.average
    value = qty * price
    held, _ = held_for_orders(qty, exchange.book.open_in(position.symbol))
    gain = value - cost
    today = value - position.day_qty * before - position.day_cost
    basis = abs(position.day_qty * before) + abs(position.day_cost)
    sign = 1 if qty > 0 else -1
    return {
        "asset_id": asset.id,
        "symbol": asset.symbol,
        "exchange": asset.exchange,
        "asset_class": "us_equity",
        "asset_marginable": True,
        "qty": plain(qty),
        "qty_available": plain(sign * max(abs(qty) - held, Decimal(0))),
        "side": "long" if qty > 0 else "short",
        "avg_entry_price": money(position.average),
        "market_value": money(value),
        "cost_basis": money(cost),
        "unrealized_pl": money(gain),
        "unrealized_plpc": money(gain / abs(cost) if cost else Decimal(0)),
        "unrealized_intraday_pl": money(today),
        "unrealized_intraday_plpc": money(today / basis if basis else Decimal(0)),
        "current_price": money(price),
        "lastday_price": money(before),
        "change_today": money(price / before - 1 if before else Decimal(0)),
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


def asset_entity(asset: Asset) -> dict[str, Any]:
    """An asset; ``maintenance_margin_requirement`` is an integer literal for the Go client (BEHAVIOUR 2)."""
    return {
        "id": asset.id,
        "class": "us_equity",
        "exchange": asset.exchange,
        "symbol": asset.symbol,
        "name": asset.name,
        "status": "active",
        "tradable": True,
        "marginable": True,
        "maintenance_margin_requirement": 30,
        "margin_requirement_long": "30",
        "margin_requirement_short": "30",
        "shortable": True,
        "easy_to_borrow": True,
        "fractionable": True,
        "attributes": [],
    }


def new_york_time(us: int) -> str:
    """RFC3339 with New York's offset, as the clock has it."""
    return from_us(us).astimezone(NEW_YORK).isoformat()


def clock_entity(exchange: Exchange) -> dict[str, Any]:
    sessions = exchange.market.sessions
    next_open, next_close = sessions.next_open_and_close(exchange.now_us)
    return {
        "timestamp": new_york_time(exchange.now_us),
        "is_open": exchange.is_open,
        "next_open": new_york_time(next_open),
        "next_close": new_york_time(next_close),
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
