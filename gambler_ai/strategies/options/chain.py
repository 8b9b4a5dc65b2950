"""A chain of quotes as strategies look at it: by underlying, expiry, right and strike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal

from msgspec import Struct

from gambler_ai.core.contracts import Contract, Right, parse
from gambler_ai.core.structures import OptionQuote

#: Nothing nearer than this is not what was asked for: of a delta, and of a price in percent of the underlying's.
DELTA_OFF, PRICE_OFF_PCT = 0.10, Decimal(5)

Strikes = dict[Decimal, OptionQuote]


class Expiry(Struct, frozen=True):
    """The contracts of one expiry that have a quote, by strike in order."""

    underlying: str
    expiry: date
    calls: Strikes
    puts: Strikes

    def quotes(self, right: Right) -> Strikes:
        """Its calls or its puts."""
        return self.calls if right is Right.CALL else self.puts

    def symbol(self, right: Right, strike: Decimal) -> str:
        """The OCC symbol of one of its contracts."""
        return Contract(self.underlying, self.expiry, right, strike).symbol

    @property
    def ends_at(self) -> datetime:
        """The close of its last day."""
        return Contract(self.underlying, self.expiry, Right.CALL, Decimal(1)).expires_at

    def at_the_money(self, spot: Decimal) -> Decimal | None:
        """The strike nearest to ``spot`` that has a call and a put; the lower of two that are as near."""
        return _nearest(self.calls.keys() & self.puts.keys(), spot, _off(spot))

    def by_distance(self, right: Right, spot: Decimal, pct: Decimal) -> Decimal | None:
        """The strike nearest to ``pct`` percent out of the money: above ``spot`` for a call, below it for a put."""
        sign = 1 if right is Right.CALL else -1
        return _nearest(self.quotes(right), spot * (1 + sign * pct / 100), _off(spot))

    def by_delta(self, right: Right, delta: float) -> Decimal | None:
        """The strike whose delta is nearest to ``delta``, both without sign; None without greeks."""
        off = {
            strike: abs(abs(quote.greeks.delta) - delta)
            for strike, quote in sorted(self.quotes(right).items()) if quote.greeks is not None
        }  # fmt: skip
        found = min(off, key=lambda strike: off[strike], default=None)
        return found if found is not None and off[found] <= DELTA_OFF else None

    def further(self, right: Right, strike: Decimal, count: int) -> Decimal | None:
        """The ``count``-th strike further out of the money than ``strike``."""
        beyond = self._beyond(right, strike)
        return beyond[count - 1] if len(beyond) >= count else None

    def apart(self, right: Right, strike: Decimal, width: Decimal) -> Decimal | None:
        """The strike further out of the money that is nearest to ``width`` dollars from ``strike``; not half off."""
        sign = 1 if right is Right.CALL else -1
        return _nearest(self._beyond(right, strike), strike + sign * width, width / 2)

    def implied_volatility(self, spot: Decimal) -> float | None:
        """At the money, the mean of call and put; None where they state none."""
        strike = self.at_the_money(spot)
        if strike is None:
            return None
        greeks = (self.calls[strike].greeks, self.puts[strike].greeks)
        stated = [one.iv for one in greeks if one is not None and one.iv is not None and one.iv > 0]
        return sum(stated) / len(stated) if stated else None

    def _beyond(self, right: Right, strike: Decimal) -> list[Decimal]:
        """Strikes further out of the money, nearest first."""
        if right is Right.CALL:
            return sorted(s for s in self.calls if s > strike)
        return sorted((s for s in self.puts if s < strike), reverse=True)


def chains(quotes: Mapping[str, OptionQuote]) -> dict[str, list[Expiry]]:
    """By underlying, its expiries in order."""
    found: dict[tuple[str, date], tuple[Strikes, Strikes]] = {}
    for symbol, quote in quotes.items():
        contract = parse(symbol)
        if contract is not None:
            calls, puts = found.setdefault((contract.underlying, contract.expiry), ({}, {}))
            (calls if contract.right is Right.CALL else puts)[contract.strike] = quote
    by_underlying: dict[str, list[Expiry]] = {}
    for (underlying, expiry), (calls, puts) in sorted(found.items()):
        ordered = dict(sorted(calls.items())), dict(sorted(puts.items()))
        by_underlying.setdefault(underlying, []).append(Expiry(underlying, expiry, *ordered))
    return by_underlying


def _off(spot: Decimal) -> Decimal:
    return spot * PRICE_OFF_PCT / 100


def _nearest(strikes: Iterable[Decimal], wanted: Decimal, off: Decimal) -> Decimal | None:
    """None if the nearest is more than ``off`` away."""
    found = min(sorted(strikes), key=lambda strike: abs(strike - wanted), default=None)
    return found if found is not None and abs(found - wanted) <= off else None
