"""Black, Scholes and Merton by the library vollib: value and greeks of a European option on a share that pays nothing.

The contracts are American, and early exercise is ignored: without dividends it changes no call; a put deep in the money
would be worth a little more, and no contract is quoted under what its exercise is worth (`options.market`).
The library and what it needs take most of a second to load; the first price pays for it, not the start.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from gambler_ai.exchange.options.contracts import CALL
from gambler_ai.exchange.refusal import Refusal

RATE = 0.03  # a year, continuous; flat, whatever the year
DIVIDENDS = 0.0
_Formula = Callable[..., float]


class Greeks(NamedTuple):
    """Per share: delta and gamma for a dollar, theta for a day, vega and rho for one percentage point."""

    delta: float
    gamma: float
    theta: float
    vega: float
    rho: float


class _Library(NamedTuple):
    value: _Formula
    greeks: tuple[_Formula, ...]


@cache
def _library() -> _Library:
    """Raises Refusal 501 where the extra is not installed."""
    try:
        from vollib.black_scholes_merton import black_scholes_merton
        from vollib.black_scholes_merton.greeks import analytical
    except ImportError:
        message = "this exchange has no option prices: pip install 'gambler-ai[options]'"
        raise Refusal(501, 50110000, message) from None
    names = Greeks._fields
    return _Library(black_scholes_merton, tuple(getattr(analytical, name) for name in names))


def need_library() -> None:
    """Raises Refusal 501 where nothing can be priced."""
    _library()


def value(kind: str, spot: float, strike: float, years: float, volatility: float, *, rate: float = RATE) -> float:
    """Dollars a share. ``years`` and ``volatility`` are above zero."""
    flag = "c" if kind == CALL else "p"
    return float(_library().value(flag, spot, strike, years, rate, volatility, DIVIDENDS))


def greeks(kind: str, spot: float, strike: float, years: float, volatility: float) -> Greeks:
    flag = "c" if kind == CALL else "p"
    given = flag, spot, strike, years, RATE, volatility, DIVIDENDS
    return Greeks(*(float(formula(*given)) for formula in _library().greeks))
