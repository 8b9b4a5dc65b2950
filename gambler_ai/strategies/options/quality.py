"""Quotes that are not to be traded on."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from msgspec import Struct

from gambler_ai.core.structures import Leg, OptionQuote

#: A spread of five cents is never too wide: it is one tick of a contract from three dollars up.
NARROW = Decimal("0.05")


class Quality(Struct, frozen=True):
    """The widest spread in percent of the middle, and the greatest age of a quote."""

    max_spread_pct: Decimal
    max_age: timedelta


def flaw(leg: Leg, quote: OptionQuote | None, rule: Quality, at: datetime) -> str | None:
    """Why a leg cannot be opened on its quote at ``at``; None if it can."""
    if quote is None:
        return "no quote"
    if quote.ask is None or quote.mid is None or quote.mid <= 0:
        return "no ask"
    if leg.ratio < 0 and not quote.bid:
        return "no bid for what is sold"
    if quote.ask < (quote.bid or 0):
        return "bid above ask"
    if at - quote.at > rule.max_age:
        return "quote too old"
    spread = quote.ask - (quote.bid or 0)
    if spread > max(NARROW, quote.mid * rule.max_spread_pct / 100):
        return "spread too wide"
    return "no greeks" if quote.greeks is None else None
