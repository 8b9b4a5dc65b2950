"""Alpaca's JSON for what depends on the exchange as a whole: account, positions, clock (BEHAVIOUR 2 and 4)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from gambler_ai.exchange.annals import Watchlist
from gambler_ai.exchange.desk.accounts import Margins, Position, held_for_orders
from gambler_ai.exchange.desk.exposure import shares_covering
from gambler_ai.exchange.desk.option_checks import APPROVED_LEVEL, level_of
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.instants import NEW_YORK, from_us, rfc3339
from gambler_ai.exchange.numbers import money, plain
from gambler_ai.exchange.options.contracts import multiplier
from gambler_ai.exchange.wire.entities import asset_class_of, asset_entity, asset_id_of


def account_entity(exchange: Exchange) -> dict[str, Any]:
    """The account (BEHAVIOUR 2). The retired day-trading fields are sent as nothing, for old clients that
    read them, unless the rule holds here.
    """
    found: Margins = exchange.margins()
    account = exchange.book.account
    settings = account.settings
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
        "options_buying_power": money(found.options_power),
        "options_approved_level": APPROVED_LEVEL,
        "options_trading_level": level_of(exchange.book),
        "sma": "0",
        "multiplier": str(found.multiplier),
        "accrued_fees": "0",
        "pending_transfer_in": "0",
        "pending_transfer_out": "0",
        "pending_reg_taf_fees": "0",
        "intraday_adjustments": "0",
        "daytrade_count": exchange.desk.day_trades.count(exchange.now_us),
        "pattern_day_trader": exchange.desk.day_trades.is_pattern,
        "trading_blocked": False,
        "transfers_blocked": False,
        "account_blocked": False,
        "trade_suspended_by_user": settings.suspend_trade,
        "shorting_enabled": found.multiplier > 1 and not settings.no_shorting,
        "created_at": rfc3339(exchange.created_us),
        "balance_asof": from_us(exchange.now_us).astimezone(NEW_YORK).date().isoformat(),
    }


def watchlist_entity(exchange: Exchange, row: Watchlist, *, assets: bool = True) -> dict[str, Any]:
    """A watchlist; in a list of them it has no assets (BEHAVIOUR 5)."""
    entity: dict[str, Any] = {
        "id": row.id,
        "account_id": row.account_id,
        "created_at": rfc3339(row.created_us),
        "updated_at": rfc3339(row.updated_us),
        "name": row.name,
    }
    if assets:
        market = exchange.market
        entity["assets"] = [
            asset_entity(market.assets[symbol], tradable=market.listed(symbol, exchange.now_us))
            for symbol in row.symbols if symbol in market.assets
        ]  # fmt: skip
    return entity


def position_entity(exchange: Exchange, position: Position) -> dict[str, Any]:
    """A position at the last trade, of contracts at the middle of the quote; shorts have negative quantities and values
    (BEHAVIOUR 4).
    """
    symbol = position.symbol
    price, before, units = exchange.mark(symbol), exchange.mark(symbol, close=True), multiplier(symbol)
    qty, cost = position.qty, position.qty * position.average * units
    value = qty * price * units
    held, _ = held_for_orders(qty, exchange.book.open_in(symbol))
    if qty > 0:
        held += shares_covering(exchange.book, symbol)
    asset = exchange.market.assets.get(symbol)
    gain = value - cost
    today = value - (position.day_qty * before + position.day_cost) * units
    basis = (abs(position.day_qty * before) + abs(position.day_cost)) * units
    sign = 1 if qty > 0 else -1
    return {
        "asset_id": asset_id_of(symbol),
        "symbol": symbol,
        "exchange": asset.exchange if asset is not None else "",
        "asset_class": asset_class_of(symbol),
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


def new_york_time(us: int) -> str:
    """RFC3339 with New York's offset, as the clock has it."""
    return from_us(us).astimezone(NEW_YORK).isoformat()


def clock_entity(exchange: Exchange) -> dict[str, Any]:
    """The clock, with New York's offset (BEHAVIOUR 2)."""
    sessions = exchange.market.sessions
    next_open, next_close = sessions.next_open_and_close(exchange.now_us)
    return {
        "timestamp": new_york_time(exchange.now_us),
        "is_open": exchange.is_open,
        "next_open": new_york_time(next_open),
        "next_close": new_york_time(next_close),
    }
