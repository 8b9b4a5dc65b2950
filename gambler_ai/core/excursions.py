"""How far a round trip went against us and for us before it ended, as far as marks show it.

A mark is the last price that a scan or a reading of the broker saw, about one a minute: what lies between two marks is
not seen. The prices of entry and exit count as marks. (Sweeney 1996, Maximum Adverse Excursion.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from gambler_ai.core.model import ClosedTrade


class Excursion(Struct, frozen=True):
    """Parts of the entry price (0.02 is 2 %): ``adverse`` is not above zero, ``favourable`` not below."""

    adverse: float
    favourable: float


class _Range(Struct):
    low: Decimal | None = None
    high: Decimal | None = None

    def take(self, price: Decimal) -> None:
        self.low = price if self.low is None else min(self.low, price)
        self.high = price if self.high is None else max(self.high, price)

    def scale(self, new: int, old: int) -> None:
        """Bring prices from before a split to what they are after it, as the books have done with the entry's."""
        if self.low is not None and self.high is not None:
            self.low, self.high = self.low * old / new, self.high * old / new


class ExcursionFold:
    """Marks, oldest first, to an `Excursion` for each of ``trades``."""

    def __init__(self, trades: Sequence[ClosedTrade]) -> None:
        self._trades = trades
        self._ranges = [_Range() for _ in trades]
        self._coming = sorted(range(len(trades)), key=lambda index: trades[index].entry_at, reverse=True)
        self._open: dict[str, list[int]] = {}

    def symbols(self, at: datetime) -> list[str]:
        """The symbols whose marks matter at ``at``, which never goes back."""
        while self._coming and self._trades[self._coming[-1]].entry_at <= at:
            index = self._coming.pop()
            self._open.setdefault(self._trades[index].symbol, []).append(index)
        for symbol in list(self._open):
            left = [index for index in self._open[symbol] if self._trades[index].exit_at >= at]
            if left:
                self._open[symbol] = left
            else:
                del self._open[symbol]
        return list(self._open)

    def mark(self, at: datetime, marks: Mapping[str, Decimal]) -> None:
        """Last prices at ``at``."""
        for symbol in self.symbols(at):
            if symbol in marks:
                for index in self._open[symbol]:
                    self._ranges[index].take(marks[symbol])

    def split(self, at: datetime, symbol: str, new: int, old: int) -> None:
        """``new`` shares for ``old`` ones."""
        self.symbols(at)
        for index in self._open.get(symbol, []):
            self._ranges[index].scale(new, old)

    def excursions(self) -> list[Excursion | None]:
        """One for each round trip, in their order; None for what cost nothing (shares that were given)."""
        return [_excursion(trade, seen) for trade, seen in zip(self._trades, self._ranges, strict=True)]


def _excursion(trade: ClosedTrade, seen: _Range) -> Excursion | None:
    if not trade.entry_price:
        return None
    known = (seen.low, seen.high, trade.entry_price, trade.exit_price)
    prices = [price for price in known if price is not None]
    down, up = (float(price / trade.entry_price - 1) for price in (min(prices), max(prices)))
    return Excursion(down, up) if trade.side == "long" else Excursion(0.0 - up, 0.0 - down)
