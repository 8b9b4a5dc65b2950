"""Option contracts by their OCC symbols: AAPL250620C00100000 is the AAPL call of 20 June 2025 at 100 dollars.

The layout is the Options Symbology Initiative's, without the spaces, as Alpaca writes it. Only standard contracts are
known here, on 100 shares; one that a split has adjusted has another root (AAPL1) and is never opened.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache

from msgspec import Struct

#: Shares a contract: its price counts so many times.
MULTIPLIER = 100
#: The last trade of a contract is at the close of its expiry, by New York's clock; early closes come sooner.
LAST_TRADE = time(16)
_OCC = re.compile(r"([A-Z][A-Z0-9.]{0,5})(\d{6})([CP])(\d{8})")
_STRIKE_SCALE = 1000


class Right(StrEnum):
    """What a contract gives its holder: to buy the shares at the strike, or to sell them."""

    CALL = "call"
    PUT = "put"


class Contract(Struct, frozen=True):
    """A standard option on 100 shares; ``strike`` is dollars a share."""

    underlying: str
    expiry: date
    right: Right
    strike: Decimal

    @property
    def symbol(self) -> str:
        """Its OCC symbol."""
        letter = "C" if self.right is Right.CALL else "P"
        return f"{self.underlying}{self.expiry:%y%m%d}{letter}{int(self.strike * _STRIKE_SCALE):08d}"

    @property
    def name(self) -> str:
        """As a person reads it: ``20 Jun 2025 100 call``."""
        return f"{self.expiry.day} {self.expiry:%b %Y} {self.strike.normalize():f} {self.right}"

    @property
    def expires_at(self) -> datetime:
        """The regular close of its last day, aware UTC."""
        from gambler_ai.core.model import NEW_YORK

        return datetime.combine(self.expiry, LAST_TRADE, NEW_YORK).astimezone(UTC)

    def days_left(self, at: datetime) -> int:
        """Calendar days from New York's date of ``at`` to the expiry; 0 on the day itself, negative after it."""
        from gambler_ai.core.model import NEW_YORK

        return (self.expiry - at.astimezone(NEW_YORK).date()).days

    def intrinsic(self, spot: Decimal) -> Decimal:
        """What exercise is worth a share with the underlying at ``spot``, not below zero."""
        worth = spot - self.strike if self.right is Right.CALL else self.strike - spot
        return max(worth, Decimal(0))


@lru_cache(maxsize=65_536)
def parse(symbol: str) -> Contract | None:
    """The contract that ``symbol`` names; None for what is no OCC symbol, a share's among them."""
    match = _OCC.fullmatch(symbol)
    if match is None:
        return None
    root, day, letter, strike = match.groups()
    try:
        expiry = date(2000 + int(day[:2]), int(day[2:4]), int(day[4:]))
    except ValueError:
        return None
    return Contract(root, expiry, Right.CALL if letter == "C" else Right.PUT, Decimal(strike) / _STRIKE_SCALE)


def multiplier_of(symbol: str) -> int:
    """Dollars that one dollar of price is worth for a quantity of one: 100 of a contract, 1 of a share."""
    return 1 if parse(symbol) is None else MULTIPLIER


def underlying_of(symbol: str) -> str:
    """The share that a contract is on; a share is its own."""
    contract = parse(symbol)
    return symbol if contract is None else contract.underlying
