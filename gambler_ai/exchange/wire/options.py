"""Alpaca's JSON for contracts, with strikes and sizes as strings, and for their market data (BEHAVIOUR 5, 6).

The condition of a quote or a trade is a string here, not a list. ``indicative`` and ``opra`` are one feed.
"""

from __future__ import annotations

from typing import Any

from gambler_ai.exchange.instants import rfc3339
from gambler_ai.exchange.numbers import SCALE, money, plain
from gambler_ai.exchange.options.contracts import MULTIPLIER, Contract
from gambler_ai.exchange.options.market import OptionMarket, OptionTrade
from gambler_ai.exchange.prices.assets import asset_id
from gambler_ai.exchange.prices.market import Tick

VENUE = "C"
EXCHANGES = {
    "A": "NYSE American Options", "B": "BOX Options Exchange", "C": "Cboe Options Exchange", "N": "NYSE Arca Options",
    "Q": "Nasdaq Options", "X": "Nasdaq PHLX",
}  # fmt: skip
#: Those that can occur here, and the neighbours that a client may look up.
CONDITIONS = {
    "trade": {
        "I": "AUTO - Automatic Execution",
        "a": "SLAN - Single Leg Auction Non ISO",
        "g": "MLAT - Multi Leg Auction",
    },
    "quote": {"A": "Eligible for Automatic Execution", " ": "Regular Trading", "R": "Rotation"},
}


def contract_entity(contract: Contract, options: OptionMarket, us: int, *, deliverables: bool) -> dict[str, Any]:
    """A contract; open interest and close are those of the last session that is over."""
    active = us < options.listing.close_us(contract.expiry)
    before = options.session_before(us)
    known = (
        before is not None and options.listing.is_listed(contract, before.close_us) and before.day <= contract.expiry
    )
    entity: dict[str, Any] = {
        "id": contract.id,
        "symbol": contract.symbol,
        "name": contract.name,
        "status": "active" if active else "inactive",
        "tradable": active,
        "expiration_date": contract.expiry.isoformat(),
        "root_symbol": contract.underlying,
        "underlying_symbol": contract.underlying,
        "underlying_asset_id": asset_id(contract.underlying),
        "type": contract.kind,
        "style": "american",
        "strike_price": plain(contract.strike),
        "multiplier": str(MULTIPLIER),
        "size": str(MULTIPLIER),
        "ppind": True,
    }
    if before is not None and known:
        day = before.day.isoformat()
        entity |= {"open_interest": str(options.open_interest(contract, us)), "open_interest_date": day}
        entity |= {"close_price": money(options.last_close(contract.symbol, us)), "close_price_date": day}
    if deliverables:
        entity["deliverables"] = [{
            "type": "equity", "symbol": contract.underlying, "asset_id": entity["underlying_asset_id"],
            "amount": str(MULTIPLIER), "allocation_percentage": "100", "settlement_type": "T+1",
            "settlement_method": "CCC", "delayed_settlement": False,
        }]  # fmt: skip
    return entity


def option_quote_entity(tick: Tick) -> dict[str, Any]:
    return {
        "t": rfc3339(tick.at_us),
        "ax": VENUE,
        "ap": tick.ask / SCALE,
        "as": tick.size,
        "bx": VENUE,
        "bp": tick.bid / SCALE,
        "bs": tick.size if tick.bid else 0,
        "c": "A",
    }


def option_trade_entity(trade: OptionTrade) -> dict[str, Any]:
    return {"t": rfc3339(trade.at_us), "x": VENUE, "p": trade.price / SCALE, "s": trade.size, "c": "I"}


def option_snapshot_entity(contract: Contract, options: OptionMarket, us: int) -> dict[str, Any] | None:
    """Latest quote and trade with the model's volatility and greeks; None before the first price, and after the end."""
    value, tick = options.value(contract, us), options.tick(contract.symbol, us)
    if value is None or tick is None:
        return None
    entity: dict[str, Any] = {"latestQuote": option_quote_entity(tick)}
    trade = options.last_trade(contract, us)
    if trade is not None:
        entity["latestTrade"] = option_trade_entity(trade)
    if us < options.listing.close_us(contract.expiry):
        entity["impliedVolatility"] = value.volatility
        entity["greeks"] = options.greeks(contract, value)._asdict()
    return entity
