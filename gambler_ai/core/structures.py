"""Option structures: several contracts (and shares) that are opened, judged, closed and recovered as one thing.

Prices of a structure are net, dollars a share, as Alpaca states those of a multi-leg order: above zero is a debit
(it is paid to open), below zero a credit. One unit at a net price costs 100 times that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal

from msgspec import Struct

from gambler_ai.core.contracts import MULTIPLIER, Contract, multiplier_of, parse


class Greeks(Struct, frozen=True):
    """Of one share's worth: delta and gamma for a dollar, theta for a day, vega for one point of volatility."""

    delta: float
    gamma: float
    theta: float
    vega: float
    iv: float | None = None  # implied volatility, a year; 0.25 is 25 %


class OptionQuote(Struct, frozen=True):
    """A contract's quote as it was last stated. No bid means that nobody buys it; without an ask it has no price."""

    symbol: str
    bid: Decimal | None
    ask: Decimal | None
    at: datetime
    greeks: Greeks | None = None

    @property
    def mid(self) -> Decimal | None:
        """Halfway between bid and ask; half the ask where nobody bids."""
        return None if self.ask is None else ((self.bid or Decimal(0)) + self.ask) / 2


class ChainQuery(Struct, frozen=True):
    """Which contracts of an underlying are looked at: expiries of these days, strikes within so many percent of it."""

    underlying: str
    first_expiry: date
    last_expiry: date
    within_pct: Decimal


class Leg(Struct, frozen=True):
    """One part of a structure; ``ratio`` is its signed quantity in one unit: contracts, or shares (100 a unit)."""

    symbol: str
    ratio: int

    @property
    def contract(self) -> Contract | None:
        """None for a leg of shares."""
        return parse(self.symbol)

    @property
    def weight(self) -> Decimal:
        """What a dollar of its price adds to the net price of a unit."""
        return Decimal(self.ratio * multiplier_of(self.symbol)) / MULTIPLIER


class ExitRules(Struct, frozen=True):
    """When a structure is closed, beside its stop and target; None is never.

    ``days_left``: so many calendar days before the first expiry of a leg. ``time_value``: as soon as a short leg that
    is in the money has this much, or less, over what exercise is worth (dollars a share): it may be assigned any day.
    ``max_days``: so many calendar days after it was opened.
    """

    days_left: int | None = None
    time_value: Decimal | None = None
    max_days: int | None = None


class Structure(Struct, frozen=True):
    """What was opened together, and why: the plan that its legs, fills and protection belong to.

    ``structure_id`` is the client order id of the intent that opened it; the positions of its legs name it.
    ``entry_price``, ``stop_price`` and ``target_price`` are net prices: it is worth more to us the higher its value,
    so the target lies above and the stop below. ``max_loss`` is dollars a unit, None where it is not bounded by the
    legs; ``cash`` is what fills and settlements have brought so far (paid is negative).
    """

    structure_id: str
    strategy: str
    underlying: str
    sector: str
    legs: tuple[Leg, ...]
    units: int
    entry_price: Decimal
    stop_price: Decimal | None
    target_price: Decimal | None
    exits: ExitRules
    max_loss: Decimal | None
    max_profit: Decimal | None
    confidence: Decimal | None
    greeks: dict[str, Greeks]  # of each contract, when it was decided
    opened_at: datetime
    reason: str
    cash: Decimal = Decimal(0)
    filled: bool = False  # a fill of it was booked: it is, or was, held
    settled: bool = False  # a contract of it was exercised, assigned, or has expired
    #: How many orders were decided for it: the ordinal in their decision ids.
    decisions: int = 0
    decided_at: datetime | None = None
    #: Since when what is held is not its ratio.
    uneven_since: datetime | None = None
    entry_cash: Decimal = Decimal(0)  # the part of ``cash`` that the fills of its entry brought
    unpriced: bool = False  # something of it went at a price that nobody knows

    @property
    def is_debit(self) -> bool:
        """Whether it was paid for."""
        return self.entry_price > 0

    @property
    def at_risk(self) -> Decimal:
        """Dollars that one unit can lose; what it costs, or brings, where no leg bounds that."""
        return dollars_at_risk(self.max_loss, self.entry_price)

    @property
    def first_expiry(self) -> date:
        """The earliest expiry of its contracts."""
        return min(c.expiry for leg in self.legs if (c := leg.contract) is not None)


class StructureProposal(Struct, frozen=True):
    """A structure that a strategy would open: one unit of it, and what is known of that.

    ``entry_price`` is the net price at which all legs can be had now: buys at the ask, sells at the bid.
    ``confidence`` is the probability, 0 to 1, that it ends with a profit. Stop and target are net prices.
    """

    strategy: str
    underlying: str
    legs: tuple[Leg, ...]
    signal_at: datetime
    reason: str
    entry_price: Decimal
    stop_price: Decimal | None
    target_price: Decimal | None
    exits: ExitRules
    max_loss: Decimal | None
    max_profit: Decimal | None
    confidence: Decimal | None
    greeks: dict[str, Greeks]


def net_price(legs: Iterable[Leg], prices: Mapping[str, Decimal | None]) -> Decimal | None:
    """The value of one unit at these prices of its legs; None when one is not known."""
    total = Decimal(0)
    for leg in legs:
        price = prices.get(leg.symbol)
        if price is None:
            return None
        total += leg.weight * price
    return total


def natural_price(legs: Iterable[Leg], quotes: Mapping[str, OptionQuote]) -> Decimal | None:
    """The net price at which all legs can be had at once: bought at the ask, sold at the bid.

    None when one of them has no quote on the side that is needed. Contracts only.
    """
    prices: dict[str, Decimal | None] = {}
    for leg in legs:
        quote = quotes.get(leg.symbol)
        prices[leg.symbol] = None if quote is None else quote.ask if leg.ratio > 0 else quote.bid
    return net_price(legs, prices)


def dollars_at_risk(max_loss: Decimal | None, entry_price: Decimal) -> Decimal:
    """What one unit at a net price counts for: its greatest loss, its price where that is not bounded."""
    return abs(entry_price) * MULTIPLIER if max_loss is None else max_loss


def even_units(structure: Structure, held: Mapping[str, Decimal]) -> int:
    """How many whole units ``held`` (symbol -> signed quantity) makes; 0 where a leg of it is missing."""
    return max(0, min(int(held.get(leg.symbol, Decimal(0)) / leg.ratio) for leg in structure.legs))


def beyond_even(structure: Structure, held: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """What of ``held`` belongs to no whole unit, by symbol and signed; nothing when all is even."""
    units = even_units(structure, held)
    left = {symbol: qty - units * _ratio(structure, symbol) for symbol, qty in held.items()}
    return {symbol: qty for symbol, qty in left.items() if qty}


def _ratio(structure: Structure, symbol: str) -> int:
    return next((leg.ratio for leg in structure.legs if leg.symbol == symbol), 0)


def expiry_value(legs: Iterable[Leg], spot: Decimal) -> Decimal:
    """The value of one unit when all its contracts end with the underlying at ``spot``."""
    worth = (leg.weight * (spot if (c := leg.contract) is None else c.intrinsic(spot)) for leg in legs)
    return sum(worth, Decimal(0))


def total_greeks(structure: Structure, greeks: Mapping[str, Greeks]) -> Greeks | None:
    """Of all its units, in shares: a share has a delta of one. None when a contract has none."""
    sums = [0.0, 0.0, 0.0, 0.0]
    for leg in structure.legs:
        one = greeks.get(leg.symbol) if leg.contract is not None else Greeks(1.0, 0.0, 0.0, 0.0)
        if one is None:
            return None
        times = leg.ratio * multiplier_of(leg.symbol) * structure.units
        for i, value in enumerate((one.delta, one.gamma, one.theta, one.vega)):
            sums[i] += times * value
    return Greeks(*sums)
