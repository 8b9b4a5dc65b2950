"""The life cycle of an order, as one table; the intent that precedes it; its id.

Everything that decides which move is legal lives in this file. Our own moves follow `TRANSITIONS`
strictly. What the broker reports is an observation: it never raises, and what does not fit is named
by `observed` so that the caller can record it (RECOVERY_PROTOCOL 2.1).
"""

from __future__ import annotations

import hashlib
from base64 import b32encode
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec
from msgspec import Struct

from gambler_ai.core.learning import Signal
from gambler_ai.core.model import ZERO, Side
from gambler_ai.core.structures import Structure
from gambler_ai.errors import IllegalTransition


class Status(StrEnum):
    """Where an order is. The first two are ours alone; so are the last three."""

    PLANNED = "planned"  # committed, perhaps not sent
    UNKNOWN = "unknown"  # perhaps sent, not answered
    WORKING = "working"
    PARTIALLY_FILLED = "partially_filled"
    PENDING_CANCEL = "pending_cancel"
    PENDING_REPLACE = "pending_replace"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    REPLACED = "replaced"
    DENIED = "denied"  # by us, before it was planned
    VOID = "void"  # believed never to have arrived; watched
    DISPUTED = "disputed"  # a person must look

    @property
    def is_final(self) -> bool:
        """Nothing more is expected of it (a VOID is still watched, a DISPUTED waits for a person)."""
        return self in FINAL


S = Status
FINAL = frozenset({S.FILLED, S.CANCELED, S.EXPIRED, S.REJECTED, S.REPLACED, S.DENIED, S.VOID})
#: Sent or about to be, with no word from the broker: what a restart has to settle first.
IN_FLIGHT = frozenset({S.PLANNED, S.UNKNOWN})
#: Final, and yet the broker may say later that the order works on.
REVIVABLE = frozenset({S.CANCELED, S.EXPIRED, S.REJECTED, S.REPLACED})
_AT_BROKER = frozenset(
    {S.WORKING, S.PARTIALLY_FILLED, S.PENDING_CANCEL, S.PENDING_REPLACE, S.FILLED, S.CANCELED, S.EXPIRED,
     S.REJECTED, S.REPLACED}
)  # fmt: skip

#: from -> to. A missing entry is an illegal move.
TRANSITIONS: dict[Status, frozenset[Status]] = {
    S.PLANNED: _AT_BROKER | {S.UNKNOWN, S.VOID, S.DISPUTED},
    S.UNKNOWN: _AT_BROKER | {S.VOID, S.DISPUTED},
    S.WORKING: _AT_BROKER | {S.DISPUTED},
    S.PARTIALLY_FILLED: _AT_BROKER - {S.WORKING, S.REJECTED} | {S.DISPUTED},
    S.PENDING_CANCEL: _AT_BROKER | {S.DISPUTED},
    S.PENDING_REPLACE: _AT_BROKER | {S.DISPUTED},
    S.VOID: frozenset({S.DISPUTED}),
    S.DISPUTED: _AT_BROKER | {S.VOID},
    S.FILLED: frozenset(),
    S.CANCELED: frozenset(),
    S.EXPIRED: frozenset(),
    S.REJECTED: frozenset(),
    S.REPLACED: frozenset(),
    S.DENIED: frozenset(),
}

#: Alpaca's status strings (BEHAVIOUR 3, life cycle). One it does not list counts as WORKING: non-terminal.
FROM_ALPACA: dict[str, Status] = {
    "new": S.WORKING, "accepted": S.WORKING, "pending_new": S.WORKING, "held": S.WORKING,
    "accepted_for_bidding": S.WORKING, "stopped": S.WORKING, "suspended": S.WORKING,
    "calculated": S.WORKING, "pending_review": S.WORKING, "done_for_day": S.WORKING,
    "partially_filled": S.PARTIALLY_FILLED, "pending_cancel": S.PENDING_CANCEL,
    "pending_replace": S.PENDING_REPLACE, "filled": S.FILLED, "canceled": S.CANCELED,
    "expired": S.EXPIRED, "rejected": S.REJECTED, "replaced": S.REPLACED,
}  # fmt: skip

#: Alpaca's own words for an order of which nothing more is expected.
DONE_AT_BROKER = frozenset(word for word, status in FROM_ALPACA.items() if status in FINAL)


def moved(before: Status, after: Status) -> Status:
    """Our own move from one status to another.

    Raises:
        IllegalTransition: the table does not have it.
    """
    if after is not before and after not in TRANSITIONS[before]:
        raise IllegalTransition(f"an order cannot go from {before} to {after}")
    return after


def observed(before: Status, reported: str, *, newer: bool = False) -> tuple[Status, str]:
    """What the broker's ``reported`` status makes of an order, and what is odd about it ("" if nothing).

    ``newer``: it is of a later moment than what was reported before, by the broker's own stamp.
    """
    after = FROM_ALPACA.get(reported)
    if after is None:
        return (before if before not in IN_FLIGHT else S.WORKING), f"unknown status {reported!r}"
    if after is before or after in TRANSITIONS[before]:
        return after, ""
    if before is S.VOID:
        return after, "arrived after it was given up"
    if before.is_final:
        # A late or repeated report of an earlier moment; a fill after a cancel is the one that counts. Of a later one
        # it is alive again: its cancel, or what was to take its place, came to nothing (BEHAVIOUR 10.6).
        revived = newer and before in REVIVABLE and not after.is_final
        return (after if revived or after is S.FILLED else before), f"{after} after {before}"
    return after, "" if before is S.PARTIALLY_FILLED else f"{after} after {before}"


class Purpose(StrEnum):
    """Why an order exists."""

    ENTRY = "entry"
    PROTECT = "protect"  # stop and target for a position that has lost its own
    EXIT = "exit"  # out at market
    REPLACE = "replace"  # another price for a stop or target that rests
    LEG = "leg"  # the next part of a structure that is opened one order after the other


class OrderIntent(Struct, frozen=True):
    """A decision, committed before a byte of it is sent. ``body`` holds the exact bytes to send."""

    client_order_id: str
    decision_id: str
    attempt: int
    purpose: Purpose
    strategy: str
    symbol: str
    side: Side
    qty: Decimal
    ref_price: Decimal
    stop_price: Decimal | None
    target_price: Decimal | None
    position_id: str
    reason: str
    decided_at: datetime
    valid_until: datetime | None
    body: str
    market_day: str = ""  # of an entry: the day its limits count
    replaces: str = ""  # the broker's id of the order whose place it takes
    signal: Signal | None = None  # of an entry: what was known, for those who learn from it
    structure_id: str = ""  # the structure that it opens, goes on opening, or closes
    structure: Structure | None = None  # of the entry that opens one: the whole of it

    @property
    def body_sha256(self) -> str:
        return hashlib.sha256(self.body.encode()).hexdigest()


class IntentRecord(Struct, frozen=True):
    """An intent and how far it has come."""

    intent: OrderIntent
    status: Status = Status.PLANNED
    sent_at: datetime | None = None  # the last instant a byte of it may have left
    misses: int = 0  # look-ups in a row that did not find it
    first_miss_at: datetime | None = None
    watch_until: datetime | None = None  # VOID only
    refused: bool = False  # when it was sent again
    exists: bool = False  # the broker has said that it holds an order of this id
    resends: int = 0
    resolved: bool = False  # a person said: whatever the broker holds under this id is ours; not to be sent again
    settled_at: datetime | None = None  # since when nothing more is expected of it
    order_ids: tuple[str, ...] = ()  # what the broker made of it: the order, and its legs
    note: str = ""


class OrderReport(Struct, frozen=True):
    """An order as the broker states it, in Alpaca's words. ``legs`` only on a parent."""

    order_id: str
    client_order_id: str
    symbol: str
    side: Side
    qty: Decimal
    filled_qty: Decimal
    filled_avg_price: Decimal | None
    type: str
    order_class: str
    time_in_force: str
    limit_price: Decimal | None
    stop_price: Decimal | None
    status: str
    submitted_at: datetime
    updated_at: datetime
    replaced_by: str | None = None
    legs: tuple[OrderReport, ...] = ()
    replaces: str | None = None

    @property
    def is_done(self) -> bool:
        """Whether the broker expects nothing more of it; an unknown status is not done."""
        return self.status in DONE_AT_BROKER


def role_of(purpose: Purpose, report: OrderReport) -> Role:
    """What an intent's own order does: the parent of an OCO is its take-profit (BEHAVIOUR 3, oco)."""
    if purpose in (Purpose.ENTRY, Purpose.LEG):
        return Role.ENTRY
    if report.order_class == "oco":
        return Role.TARGET
    return Role.STOP if report.type == "stop" else Role.EXIT


class Role(StrEnum):
    """What an order at the broker does for its position."""

    ENTRY = "entry"
    TARGET = "target"
    STOP = "stop"
    EXIT = "exit"


class Order(Struct, frozen=True):
    """An order at the broker that is ours: an intent's own, or a leg of one.

    ``filled_qty`` is the broker's total, provisional; ``booked_qty`` is what the FILL activities have
    brought so far. An order is done when it is final and the two agree.
    """

    order_id: str
    client_order_id: str
    intent_id: str  # the client order id of the intent it belongs to
    parent_id: str | None
    role: Role
    symbol: str
    side: Side
    qty: Decimal
    filled_qty: Decimal
    filled_avg_price: Decimal | None
    type: str
    order_class: str
    limit_price: Decimal | None
    stop_price: Decimal | None
    status: Status
    broker_status: str
    submitted_at: datetime
    updated_at: datetime
    booked_qty: Decimal = ZERO
    partial_since: datetime | None = None
    cancel_requested_at: datetime | None = None
    replaces: str | None = None  # the order whose place it takes
    stale: bool = False  # its price and quantity are those before a split

    @property
    def is_live(self) -> bool:
        return not self.status.is_final

    def is_before(self, report: OrderReport) -> bool:
        """Whether ``report`` is of a later moment than what is known."""
        return report.updated_at > self.updated_at

    @property
    def is_settled(self) -> bool:
        """Final, and each of its fills booked."""
        return self.status.is_final and self.booked_qty >= self.filled_qty


#: The order class of several legs that fill together, as Alpaca spells it.
MLEG = "mleg"
#: Ours begin with it: an order that has it and no row in this database means another database trades here.
ID_PREFIX = "ga1-"


def client_order_id(account_id: str, session_id: str, decision_id: str, attempt: int = 0) -> str:
    """The id of a decision: the same decision has the same id after any restart (RECOVERY_PROTOCOL 2.1).

    30 characters; Alpaca takes 128 now and took 48 once. No clock, process, price or quantity in it.
    """
    text = "\x1f".join((account_id, session_id, decision_id, str(attempt)))
    return ID_PREFIX + b32encode(hashlib.sha256(text.encode()).digest()).decode().lower()[:26]


def entry_decision_id(strategy: str, symbol: str, side: Side, signal_at: datetime) -> str:
    """Names an entry by what was seen: strategy, symbol, side and the bar of the signal."""
    return f"entry|{strategy}|{symbol}|{side}|{signal_at.isoformat()}"


def position_decision_id(purpose: Purpose, position_id: str, ordinal: int) -> str:
    """Names an order for a position by the position and how many were decided for it before."""
    return f"{purpose}|{position_id}|{ordinal}"


def position_of(decision_id: str) -> str:
    """The position that `position_decision_id` was given."""
    return decision_id.split("|")[1]


def wire_body(fields: dict[str, object]) -> str:
    """The request body, once and for all: what is stored is what is sent, then and after any restart."""
    return msgspec.json.encode(fields).decode()


def bracket_body(
    intent_id: str, symbol: str, side: Side, qty: Decimal, target: Decimal, stop: Decimal, limit: Decimal | None = None
) -> str:
    """Entry with its target and stop in one request, good till canceled (BEHAVIOUR 3, bracket).

    At market, or at ``limit`` or better.
    """
    way = {"type": "market"} if limit is None else {"type": "limit", "limit_price": f"{limit:f}"}
    return wire_body({
        "symbol": symbol, "qty": f"{qty:f}", "side": side.value, **way, "time_in_force": "gtc",
        "order_class": "bracket", "take_profit": {"limit_price": f"{target:f}"},
        "stop_loss": {"stop_price": f"{stop:f}"}, "client_order_id": intent_id,
    })  # fmt: skip


def replace_body(intent_id: str, price: str, to: Decimal) -> str:
    """Another ``price`` (its name on the wire) for an order that rests; its quantity stays (BEHAVIOUR 3, replace)."""
    return wire_body({price: f"{to:f}", "client_order_id": intent_id})


def oco_body(intent_id: str, symbol: str, side: Side, qty: Decimal, target: Decimal, stop: Decimal) -> str:
    """Target and stop for a position that is held already (BEHAVIOUR 3, oco: type limit, exit only)."""
    return wire_body({
        "symbol": symbol, "qty": f"{qty:f}", "side": side.value, "type": "limit", "time_in_force": "gtc",
        "order_class": "oco", "take_profit": {"limit_price": f"{target:f}"},
        "stop_loss": {"stop_price": f"{stop:f}"}, "client_order_id": intent_id,
    })  # fmt: skip


def mleg_body(
    intent_id: str, legs: Sequence[tuple[str, int]], qty: int, *, opening: bool, limit: Decimal | None = None
) -> str:
    """Several contracts that fill together, ``legs`` of signed ratios, day (BEHAVIOUR 3, mleg): to open a structure,
    or to close it. At market, or at the net price ``limit`` or better: above zero a debit, below a credit."""
    way = {"type": "market"} if limit is None else {"type": "limit", "limit_price": f"{limit:f}"}
    return wire_body({
        "qty": str(qty), **way, "time_in_force": "day", "order_class": MLEG, "client_order_id": intent_id,
        "legs": [_mleg(symbol, ratio if opening else -ratio, opening=opening) for symbol, ratio in legs],
    })  # fmt: skip


def _mleg(symbol: str, ratio: int, *, opening: bool) -> dict[str, str]:
    side = Side.BUY if ratio > 0 else Side.SELL
    intent = _position_intent(side, opening=opening)
    return {"symbol": symbol, "ratio_qty": str(abs(ratio)), "side": side.value, "position_intent": intent}


def contract_body(
    intent_id: str, symbol: str, side: Side, qty: Decimal, *, opening: bool, limit: Decimal | None = None
) -> str:
    """One contract by itself; options take `day` only (BEHAVIOUR 3, time in force). At market, or at ``limit``."""
    way = {"type": "market"} if limit is None else {"type": "limit", "limit_price": f"{limit:f}"}
    return wire_body({
        "symbol": symbol, "qty": f"{qty:f}", "side": side.value, **way, "time_in_force": "day",
        "position_intent": _position_intent(side, opening=opening), "client_order_id": intent_id,
    })  # fmt: skip


def _position_intent(side: Side, *, opening: bool) -> str:
    return f"{side.value}_to_{'open' if opening else 'close'}"


def market_body(intent_id: str, symbol: str, side: Side, qty: Decimal) -> str:
    """Out at market; `day`, since a fraction of a share takes no other (BEHAVIOUR 3, time in force)."""
    return wire_body({
        "symbol": symbol, "qty": f"{qty:f}", "side": side.value, "type": "market", "time_in_force": "day",
        "client_order_id": intent_id,
    })  # fmt: skip


def stop_body(intent_id: str, symbol: str, side: Side, qty: Decimal, stop: Decimal) -> str:
    """A plain day stop: all that a fraction of a share can have (BEHAVIOUR 3, fractional)."""
    return wire_body({
        "symbol": symbol, "qty": f"{qty:f}", "side": side.value, "type": "stop", "time_in_force": "day",
        "stop_price": f"{stop:f}", "client_order_id": intent_id,
    })  # fmt: skip
