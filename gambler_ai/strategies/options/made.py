"""A chain of quotes made for tests: Black and Scholes at one volatility, no rate, no dividend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from gambler_ai.core.contracts import Contract, Right
from gambler_ai.core.model import NEW_YORK
from gambler_ai.core.structures import Greeks, OptionQuote
from gambler_ai.strategies.options.probability import normal, years_between

_CENT = Decimal("0.01")
_DAYS_A_YEAR, _PERCENT = 365, 100


def quotes_made(
    underlying: str,
    spot: float,
    *,
    at: datetime,
    days: Sequence[int] = (45,),
    strikes: Sequence[float] | None = None,
    volatility: float = 0.30,
    spread: float = 0.04,
) -> dict[str, OptionQuote]:
    """Calls and puts by OCC symbol, quoted at ``at``.

    Args:
        underlying: what they are on; ``spot`` is its price in dollars.
        at: aware UTC.
        days: calendar days from ``at`` to each expiry.
        strikes: dollars; without them 21 of them, 2.5 % of ``spot`` apart.
        volatility: a year's, 0.30 for 30 %.
        spread: dollars from bid to ask; no bid where nothing is left of it.
    """
    today = at.astimezone(NEW_YORK).date()
    wanted = [spot * (1 + step / 40) for step in range(-10, 11)] if strikes is None else strikes
    found = {}
    for ahead in days:
        for right in Right:
            for strike in wanted:
                price = Decimal(str(strike)).quantize(_CENT)
                contract = Contract(underlying, today + timedelta(days=ahead), right, price)
                found[contract.symbol] = _quote(contract, spot, at, volatility, Decimal(str(spread)))
    return found


def _quote(contract: Contract, spot: float, at: datetime, volatility: float, spread: Decimal) -> OptionQuote:
    value, greeks = priced(contract, spot, years_between(at, contract.expires_at), volatility)
    middle = Decimal(str(value))
    bid, ask = (middle - spread / 2).quantize(_CENT), (middle + spread / 2).quantize(_CENT)
    return OptionQuote(contract.symbol, bid if bid > 0 else None, max(ask, _CENT), at, greeks)


def priced(contract: Contract, spot: float, years: float, volatility: float) -> tuple[float, Greeks]:
    """Dollars a share and greeks; ``years`` above zero."""
    strike, root = float(contract.strike), math.sqrt(years)
    d1 = math.log(spot / strike) / (volatility * root) + volatility * root / 2
    d2, density = d1 - volatility * root, math.exp(-(d1**2) / 2) / math.sqrt(2 * math.pi)
    call = spot * normal(d1) - strike * normal(d2)
    is_call = contract.right is Right.CALL
    greeks = Greeks(
        delta=normal(d1) if is_call else normal(d1) - 1,
        gamma=density / (spot * volatility * root),
        theta=-spot * density * volatility / (2 * root) / _DAYS_A_YEAR,
        vega=spot * density * root / _PERCENT,
        iv=volatility,
    )
    return (call if is_call else call - spot + strike), greeks
