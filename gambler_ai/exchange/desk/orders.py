"""Orders and fills, and the life of an order as one table (BEHAVIOUR 3, "Lifecycle")."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from gambler_ai.errors import IllegalTransition
from gambler_ai.exchange.numbers import PRICE_STEP, ZERO, rounded

ACCEPTED, PENDING_NEW, NEW, HELD = "accepted", "pending_new", "new", "held"
PARTIALLY_FILLED, FILLED = "partially_filled", "filled"
PENDING_CANCEL, CANCELED, EXPIRED, REPLACED = "pending_cancel", "canceled", "expired", "replaced"
PENDING_REPLACE, REJECTED = "pending_replace", "rejected"

# from -> where an order may go. What is not here never happens; the empty rows are the ends.
TRANSITIONS: dict[str, frozenset[str]] = {
    ACCEPTED: frozenset({NEW, PENDING_CANCEL, CANCELED, EXPIRED, REPLACED, REJECTED}),
    PENDING_NEW: frozenset({NEW, HELD, PENDING_CANCEL, CANCELED, EXPIRED, REPLACED, REJECTED}),
    HELD: frozenset({NEW, PENDING_CANCEL, PENDING_REPLACE, CANCELED, EXPIRED, REPLACED, REJECTED}),
    NEW: frozenset({PARTIALLY_FILLED, FILLED, PENDING_CANCEL, PENDING_REPLACE, CANCELED, EXPIRED, REPLACED, REJECTED}),
    PARTIALLY_FILLED: frozenset(
        {PARTIALLY_FILLED, FILLED, PENDING_CANCEL, PENDING_REPLACE, CANCELED, EXPIRED, REPLACED}
    ),
    PENDING_CANCEL: frozenset({FILLED, CANCELED, EXPIRED}),
    PENDING_REPLACE: frozenset({REPLACED, NEW, HELD, PARTIALLY_FILLED, FILLED, CANCELED, EXPIRED}),
    FILLED: frozenset(),
    CANCELED: frozenset(),
    EXPIRED: frozenset(),
    REPLACED: frozenset(),
    REJECTED: frozenset(),
}
TERMINAL = frozenset(status for status, ends in TRANSITIONS.items() if not ends)
WORKING = frozenset({NEW, PARTIALLY_FILLED})  # may fill
# Which instant a status stamps on the order.
_STAMPS = {
    FILLED: "filled_us", CANCELED: "canceled_us", EXPIRED: "expired_us", REPLACED: "replaced_us", REJECTED: "failed_us",
}  # fmt: skip

BUY, SELL = "buy", "sell"
MARKET, LIMIT, STOP, STOP_LIMIT, TRAILING_STOP = "market", "limit", "stop", "stop_limit", "trailing_stop"
STOPS = (STOP, STOP_LIMIT, TRAILING_STOP)  # wait for a price before they may fill
DAY, GTC, OPG, CLS, IOC, FOK = "day", "gtc", "opg", "cls", "ioc", "fok"
BRACKET, OCO, OTO, MLEG = "bracket", "oco", "oto", "mleg"
ENTRY, TAKE_PROFIT, STOP_LOSS, MLEG_LEG = "entry", "take_profit", "stop_loss", "leg"


class Order(msgspec.Struct, kw_only=True):
    """One order. ``role`` says what it is inside its class; ``parent_id`` links a leg to its parent."""

    seq: int
    id: str
    client_order_id: str
    symbol: str
    side: str
    type: str
    time_in_force: str
    order_class: str
    status: str
    position_intent: str
    created_us: int
    updated_us: int
    expires_us: int
    qty: Decimal | None
    notional: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None
    trail_percent: Decimal | None = None
    hwm: Decimal | None = None  # the best price since a trailing stop was submitted
    hold_qty: Decimal = ZERO  # what a notional exit is taken to sell until it has filled
    extended_hours: bool = False
    role: str = ENTRY
    parent_id: str | None = None
    leg_ids: list[str] = []
    filled_qty: Decimal = ZERO
    filled_value: Decimal = ZERO
    reserve_price: Decimal = ZERO  # what a share of it blocks of the buying power while it is open; 0 for exits
    waiting: bool = False  # a leg whose entry has not filled completely
    elected: bool = False  # a stop that has been triggered
    fills_from_us: int = 0  # a fault may keep an order ``accepted`` until then
    pending_until_us: int = 0  # a fault may keep it ``pending_cancel`` or ``pending_replace`` until then
    pending_ends: str = ""  # what the fault makes of it in the end: filled or rejected
    before_pending: str = ""  # the status to which it goes back when its replacement is rejected
    moves: int = 0  # how often its status has changed
    filled_us: int | None = None
    canceled_us: int | None = None
    expired_us: int | None = None
    replaced_us: int | None = None
    failed_us: int | None = None
    replaced_by: str | None = None
    replaces: str | None = None
    ratio_qty: Decimal | None = None  # contracts of a leg of an ``mleg`` for each of its units

    def move(self, status: str, us: int) -> None:
        """Raises IllegalTransition for a move that the table does not have."""
        if status not in TRANSITIONS[self.status]:
            raise IllegalTransition(f"order {self.id}: {self.status} -> {status}")
        self.status = status
        self.moves += 1
        self.updated_us = us
        stamp = _STAMPS.get(status)
        if stamp:
            setattr(self, stamp, us)

    @property
    def is_open(self) -> bool:
        return self.status not in TERMINAL

    @property
    def group(self) -> str:
        """The id that the members of one bracket, OCO or OTO share."""
        return self.parent_id or self.id

    @property
    def remaining(self) -> Decimal:
        return self.qty - self.filled_qty if self.qty is not None else self.hold_qty

    @property
    def average_price(self) -> Decimal | None:
        return rounded(self.filled_value / self.filled_qty, PRICE_STEP) if self.filled_qty else None


class Fill(msgspec.Struct, kw_only=True, frozen=True):
    """One execution. ``status`` is the order's after it."""

    seq: int
    id: str
    order_id: str
    symbol: str
    side: str
    at_us: int
    qty: Decimal
    price: Decimal
    cum_qty: Decimal
    leaves_qty: Decimal
    status: str

    @property
    def signed_qty(self) -> Decimal:
        return self.qty if self.side == BUY else -self.qty
