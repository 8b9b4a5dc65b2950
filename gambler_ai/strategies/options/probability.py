"""How likely a structure is to end with a profit: the underlying's price at expiry is taken to be lognormal.

The probability that it ends below a price K is N(-d2) of Black and Scholes (J. Hull, Options, Futures, and Other
Derivatives, chapter "The Black-Scholes-Merton model"; L. McMillan, Options as a Strategic Investment, chapter
"Mathematical applications", has it without a rate). The rate is zero and there is no dividend: the price is expected
to end where it is. The volatility is the market's own, of the structure's expiry and at the money: no smile.
It is a number to compare proposals by, and no promise: it knows neither the exits before expiry nor fat tails.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from gambler_ai.core.structures import Leg
from gambler_ai.strategies.options.payoff import profitable

YEAR_S = 365 * 86_400


def probability_of_profit(
    legs: Sequence[Leg], entry: Decimal, *, spot: Decimal, volatility: float, years: float
) -> float:
    """Of one that was opened at the net price ``entry``, 0 to 1; ``volatility`` is a year's, 0.25 for 25 %."""
    total = 0.0
    for found in profitable(legs, entry):
        low, high = (
            probability_below(edge, spot=spot, volatility=volatility, years=years) for edge in (found.low, found.high)
        )
        total += high - low
    return min(max(total, 0.0), 1.0)


def probability_below(price: Decimal | None, *, spot: Decimal, volatility: float, years: float) -> float:
    """That the underlying, now at ``spot``, is below ``price`` after so many years; 1 for None, no price at all."""
    if price is None:
        return 1.0
    if price <= 0:
        return 0.0
    deviation = volatility * math.sqrt(max(years, 0.0))
    if deviation <= 0:
        return float(spot < price)
    return normal((math.log(float(price) / float(spot)) + deviation**2 / 2) / deviation)


def normal(x: float) -> float:
    """The share of a standard normal distribution below ``x``."""
    return math.erfc(-x / math.sqrt(2)) / 2


def years_between(at: datetime, end: datetime) -> float:
    """Calendar time, a year of 365 days; not below zero."""
    return max((end - at).total_seconds(), 0.0) / YEAR_S
