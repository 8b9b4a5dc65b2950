"""What contracts are worth before they expire, by the library vollib (Black, Scholes and Merton, no dividends).

The contracts are American; that they may be exercised early is left out, as it is in their implied volatility, so that
at the price of now the curve meets the marks. The library is an extra and is imported when it is first asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from math import erf, log, sqrt
from typing import NamedTuple

from gambler_ai.core.contracts import Contract
from gambler_ai.core.structures import Leg

#: A year, continuous. The volatilities are taken with it from the marks, so that another one moves little.
RATE = 0.03
YEAR_S = 365 * 86_400.0


class _Library(NamedTuple):
    value: Callable[..., float]
    volatility: Callable[..., float]
    no_volatility: type[Exception]


@cache
def _library() -> _Library | None:
    try:
        from py_lets_be_rational.exceptions import VolatilityValueException
        from vollib.black_scholes_merton import black_scholes_merton
        from vollib.black_scholes_merton.implied_volatility import implied_volatility
    except ImportError:
        return None
    return _Library(black_scholes_merton, implied_volatility, VolatilityValueException)


def is_installed() -> bool:
    """Whether anything can be priced here."""
    return _library() is not None


def years(contract: Contract, at: datetime) -> float:
    """From ``at`` to the last trade of a contract, not below zero."""
    return max(0.0, (contract.expires_at - at).total_seconds() / YEAR_S)


def implied(contract: Contract, price: Decimal, spot: Decimal, at: datetime) -> float | None:
    """The volatility that its price stands for, a year; None where there is none, or no library."""
    library, left = _library(), years(contract, at)
    if library is None or not left or spot <= 0 or price <= 0:
        return None
    given = float(price), float(spot), float(contract.strike), left, RATE, 0.0, contract.right[0]
    try:
        found = float(library.volatility(*given))
    except library.no_volatility:  # less than exercise is worth, or more than the share
        return None
    return found if found > 0 else None


def net_value(legs: tuple[Leg, ...], spot: float, at: datetime, volatilities: Mapping[str, float]) -> float | None:
    """The value of one unit at ``at`` with the underlying at ``spot``; None without the library or a volatility."""
    total, library = 0.0, _library()
    for leg in legs:
        contract = leg.contract
        if contract is None:
            total += float(leg.weight) * spot
            continue
        left = years(contract, at)
        if not left:
            total += float(leg.weight * contract.intrinsic(Decimal(repr(spot))))
            continue
        volatility = volatilities.get(leg.symbol)
        if library is None or volatility is None:
            return None
        given = contract.right[0], spot, float(contract.strike), left, RATE, volatility, 0.0
        total += float(leg.weight) * float(library.value(*given))
    return total


def below(price: float, spot: float, years_: float, volatility: float) -> float:
    """The probability that the underlying ends below ``price``: lognormal about ``spot``, without a drift."""
    if price <= 0:
        return 0.0
    width = volatility * sqrt(years_)
    if not width:
        return 1.0 if spot < price else 0.0
    return 0.5 * (1 + erf((log(price / spot) / width + width / 2) / sqrt(2)))
