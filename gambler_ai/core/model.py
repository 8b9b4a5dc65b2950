"""What is traded and what is held: the nouns every room shares.

Money, prices and quantities are `Decimal`; instants are aware UTC; quantities of positions are
signed (short is negative), those of orders and fills are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from gambler_ai.core.contracts import Contract, multiplier_of, parse
from gambler_ai.core.learning import Signal
from gambler_ai.core.structures import Greeks, OptionQuote

if TYPE_CHECKING:  # a restore needs no array, and importing numpy takes longer than the restore
    import numpy as np
    from numpy.typing import NDArray

ZERO = Decimal(0)
CENT = Decimal("0.01")
#: Where the market is: its days begin and end by this clock.
NEW_YORK = ZoneInfo("America/New_York")
#: From the open to the close of a day that is not cut short.
REGULAR_SESSION = timedelta(hours=6, minutes=30)
#: A price no share has; what is above it, or not above zero, is a fault of the feed (RECOVERY_PROTOCOL 4.8).
MAX_PRICE = Decimal(10_000_000)
#: How far ahead of our clock a price may be: it lags behind the broker's a little.
AHEAD = timedelta(seconds=30)
#: What is no move from one price to the next, and how near two prices are that agree.
JUMP = 0.5
AGREE = 0.1


class Side(StrEnum):
    """The side of an order, as Alpaca spells it."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY


class Instrument(Struct, frozen=True, forbid_unknown_fields=True):
    """What the broker says of a symbol: a share's, or a contract's by its OCC symbol."""

    symbol: str
    tradable: bool = True
    shortable: bool = True
    fractionable: bool = True

    @property
    def contract(self) -> Contract | None:
        """Underlying, expiry, strike and right of an option; None of a share."""
        return parse(self.symbol)

    @property
    def multiplier(self) -> int:
        """Dollars that one dollar of its price is worth for a quantity of one."""
        return multiplier_of(self.symbol)


@dataclass(frozen=True, eq=False)
class BarFrame:
    """The newest closed bars of all symbols, right-aligned: row -1 holds each symbol's newest bar.

    ``times`` (left edge, epoch seconds, 0 where there is none) and the prices and volumes have the
    shape (bars, symbols) and cannot be written to; missing cells are NaN. Right alignment keeps "five bars
    ago" true for a symbol that had no trade in some minute.
    """

    symbols: tuple[str, ...]
    interval: timedelta
    times: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]

    def __len__(self) -> int:
        return int(self.times.shape[0])

    def newest_at(self, column: int) -> datetime:
        """The left edge of a symbol's newest bar: what a signal on that bar is dated."""
        return datetime.fromtimestamp(int(self.times[-1, column]), UTC)

    def newer_than(self, known: Mapping[str, datetime]) -> dict[str, datetime]:
        """The left edge of each symbol's newest bar, of those with a newer one than ``known``."""
        there = {s: self.newest_at(c) for c, s in enumerate(self.symbols) if len(self) and self.times[-1, c]}
        return {symbol: at for symbol, at in there.items() if symbol not in known or at > known[symbol]}


class Trade(Struct, frozen=True):
    """The last trade of a symbol: the price that decisions and marks refer to."""

    symbol: str
    price: Decimal
    at: datetime


class Fill(Struct, frozen=True):
    """One execution, keyed by the broker's activity id; ``qty`` is unsigned."""

    activity_id: str
    order_id: str
    symbol: str
    side: Side
    qty: Decimal
    price: Decimal
    at: datetime


class Account(Struct, frozen=True):
    """The account's money as the broker states it."""

    cash: Decimal = ZERO
    equity: Decimal = ZERO
    portfolio_value: Decimal = ZERO
    buying_power: Decimal = ZERO
    currency: str = "USD"
    last_equity: Decimal | None = None  # at the last close
    options_level: int | None = None  # 0 none, 1 covered, 2 long, 3 spreads; None if the broker does not say
    options_buying_power: Decimal | None = None


class Position(Struct, frozen=True):
    """What we hold in a symbol, and why. ``position_id`` is the client order id that opened it."""

    symbol: str
    qty: Decimal
    avg_entry_price: Decimal
    entry_at: datetime
    position_id: str
    strategy: str
    stop_price: Decimal | None = None
    target_price: Decimal | None = None
    reason: str = ""
    #: Exits so far, so that a round trip that leaves in pieces is still one closed trade.
    entry_qty: Decimal = ZERO
    entry_value: Decimal = ZERO
    exit_qty: Decimal = ZERO
    exit_value: Decimal = ZERO
    exit_priced: bool = True
    realized: Decimal = ZERO
    #: How many protective or closing orders were decided for it: the ordinal in their decision ids.
    decisions: int = 0
    decided_at: datetime | None = None
    #: The account's equity when it was opened.
    entry_equity: Decimal | None = None
    #: What was known when its entry was decided, for those who learn from it.
    signal: Signal | None = None
    #: The structure it is a leg of, "" for one that stands by itself; and a contract's greeks when it was opened.
    structure_id: str = ""
    greeks: Greeks | None = None

    @property
    def multiplier(self) -> int:
        """100 of a contract, 1 of a share."""
        return multiplier_of(self.symbol)

    @property
    def side(self) -> str:
        return "long" if self.qty > 0 else "short"

    @property
    def exit_side(self) -> Side:
        return Side.SELL if self.qty > 0 else Side.BUY

    def value(self, price: Decimal) -> Decimal:
        """Market value at ``price``; negative when short."""
        return self.qty * price * self.multiplier

    def unrealized(self, price: Decimal) -> Decimal:
        """Profit or loss still open at ``price``."""
        return self.qty * (price - self.avg_entry_price) * self.multiplier


class ClosedTrade(Struct, frozen=True):
    """A round trip. ``exit_price`` and ``pnl`` are None when the broker showed no fill for the exit."""

    position_id: str
    symbol: str
    side: str
    qty: Decimal
    entry_price: Decimal
    entry_at: datetime
    exit_price: Decimal | None
    exit_at: datetime
    pnl: Decimal | None
    reason: str
    strategy: str
    #: What was bought or sold short in all, in equities of the moment of entry; None if no equity was known.
    leverage: Decimal | None = None
    #: 100 of a structure, which is one trade: its prices are net, its quantity units, its symbol the underlying.
    multiplier: int = 1

    @property
    def duration(self) -> timedelta:
        return self.exit_at - self.entry_at


class Proposal(Struct, frozen=True):
    """An order nobody has reviewed yet: a strategy's opinion.

    Stop and target are percent of the price; without them the session's own hold. ``limit_price``: an entry at
    this price or better, instead of the session's own way in. ``exit``: out of the symbol at market, whichever
    side is held. ``share``: the part of the size it would have that it asks for. ``context``: words that are stored
    with the order, and told to what remembers when its round trip ends.
    """

    symbol: str
    side: Side
    signal_at: datetime
    reason: str
    stop_loss_pct: Decimal | None = None
    take_profit_pct: Decimal | None = None
    exit: bool = False
    limit_price: Decimal | None = None
    share: Decimal = Decimal(1)
    context: dict[str, str] = {}


class MoveStop(Struct, frozen=True):
    """A strategy's wish to bring the stop of what it holds closer to the price; never further away."""

    symbol: str
    stop_price: Decimal
    reason: str


class Failed(Struct, frozen=True):
    """Word of a strategy that one of those that it asks has failed: it is told, and what the others propose counts."""

    name: str
    text: str


class Activity(Struct, frozen=True):
    """Something the broker did to the account that is no trade: a split, a dividend, a fee, in Alpaca's words.

    ``qty`` is signed as it stands there; None where the broker states none. ``group`` is what those share that belong
    together: an exercise and the trade of its shares.
    """

    activity_id: str
    type: str
    sub_type: str
    symbol: str
    qty: Decimal | None
    amount: Decimal | None
    at: datetime
    price: Decimal | None = None
    group: str = ""


@dataclass(frozen=True)
class MarketView:
    """What a strategy may look at: bars, last trades, and what the session holds.

    ``held`` is the signed quantity of each symbol with a position; short is negative. ``entered`` is when each
    of these positions began, ``contexts`` the words its entry was proposed with. ``memory`` is what remembers, by
    name, as of the facts before this view; ``insisted`` names learners that are to be heard whatever they are worth.
    """

    at: datetime
    frame: BarFrame
    trades: Mapping[str, Trade]
    held: Mapping[str, Decimal]
    entered: Mapping[str, datetime] = field(default_factory=dict)
    memory: Mapping[str, Any] = field(default_factory=dict)
    contexts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    insisted: frozenset[str] = frozenset()
    #: Contracts by symbol: the chains that the strategy asked for, and all that is held.
    quotes: Mapping[str, OptionQuote] = field(default_factory=dict)
    #: Daily bars of the underlyings up to the last close; None where nobody asked for them.
    daily: BarFrame | None = None


def new_york_day(at: datetime) -> date:
    """The date of ``at`` where the market is."""
    return at.astimezone(NEW_YORK).date()


def round_price(price: Decimal) -> Decimal:
    """Round to what Alpaca takes: two places from one dollar up, four below (BEHAVIOUR 3, sub-penny)."""
    step = CENT if price >= 1 else Decimal("0.0001")
    return price.quantize(step, rounding=ROUND_HALF_EVEN)


def stop_and_target(price: Decimal, sign: int, stop_pct: Decimal, target_pct: Decimal) -> tuple[Decimal, Decimal]:
    """Stop and target so many percent from ``price``, for a long (``sign`` 1) or a short (-1)."""
    return round_price(price * (1 - sign * stop_pct / 100)), round_price(price * (1 + sign * target_pct / 100))


def is_sane_price(price: Decimal) -> bool:
    """Whether ``price`` can be a price at all: finite, above zero, below `MAX_PRICE`."""
    return price.is_finite() and 0 < price < MAX_PRICE


def jumps(price: float, last: float) -> bool:
    """Whether ``price`` lies too far from ``last``, the price before it, to be taken at once."""
    return not (1 - JUMP) * last < price < (1 + JUMP) * last


def agree(one: float, other: float) -> bool:
    """Whether two prices tell the same."""
    return abs(one - other) <= AGREE * max(abs(one), abs(other))
