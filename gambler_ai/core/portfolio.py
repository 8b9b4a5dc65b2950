"""Fills to positions, round trips and profit. Average cost; a round trip ends when the quantity is zero."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from gambler_ai.core.learning import Outcome, Signal
from gambler_ai.core.model import ZERO, ClosedTrade, Fill, Position, round_price


class Booking(Struct, frozen=True):
    """What a fill made of a position: what is held now, what it ended, what was realized by it."""

    position: Position | None
    closed: ClosedTrade | None
    realized: Decimal


def book(position: Position | None, fill: Fill, opening: Position, exit_reason: str) -> Booking:
    """Book ``fill``; ``opening`` is the position it starts if nothing (or the other side) is held.

    An exit for more than is held closes the round trip and opens the surplus the other way round,
    without stop and target: it is shown and taken out, never lost from sight.
    """
    signed = fill.qty * fill.side.sign
    if position is None:
        return Booking(_opened(opening, signed, fill), None, ZERO)
    if (position.qty > 0) == (signed > 0):
        return Booking(_increased(position, signed, fill.price), None, ZERO)
    out = min(fill.qty, abs(position.qty))
    after = _reduced(position, out, fill.price)
    realized = after.realized - position.realized
    if after.qty != 0:
        return Booking(after, None, realized)
    closed = close(after, fill.at, exit_reason)
    surplus = fill.qty - out
    flipped = None
    if surplus:
        bare = replace(opening, stop_price=None, target_price=None, signal=None, reason="surplus of an exit")
        flipped = _opened(bare, surplus * fill.side.sign, fill)
    return Booking(flipped, closed, realized)


def adopt(position: Position | None, opening: Position, qty: Decimal, price: Decimal) -> Position:
    """Take a quantity that another opened into our books, at the broker's price for it."""
    if position is not None:
        return _increased(position, qty, price)
    return replace(opening, qty=qty, avg_entry_price=price, entry_qty=qty, entry_value=qty * price)


def adjust(position: Position, qty: Decimal, price: Decimal | None, at: datetime, cause: str) -> Booking:
    """Set a position to the broker's ``qty`` without a fill of ours (same side, smaller, or zero).

    With a ``price`` (another's fill explains it) the profit is known; without one it stays unknown.
    """
    out = abs(position.qty) - abs(qty)
    after = _reduced(position, out, price)
    realized = after.realized - position.realized
    if after.qty == 0:
        return Booking(None, close(after, at, cause), realized)
    return Booking(after, None, realized)


def split(position: Position, new: int, old: int, qty: Decimal) -> Position:
    """A position after a split: ``new`` shares for ``old`` ones, of which ``qty`` are left.

    Quantities times the ratio and prices through it, to nine places; stop and target to what an order may have
    (`round_price`: half to even, two places from one dollar up, four below). What it cost and brought stays. A part of
    a share that was paid out is booked as sold at cost.
    """

    def times(value: Decimal) -> Decimal:
        return (value * new / old).quantize(_NINE).normalize() + ZERO

    def through(value: Decimal) -> Decimal:
        return (value * old / new).quantize(_NINE).normalize() + ZERO

    def level(value: Decimal | None) -> Decimal | None:
        return None if value is None else round_price(value * old / new)

    price = through(position.avg_entry_price)
    whole = replace(
        position, qty=times(position.qty), avg_entry_price=price, stop_price=level(position.stop_price),
        target_price=level(position.target_price), entry_qty=times(position.entry_qty),
        exit_qty=times(position.exit_qty),
    )  # fmt: skip
    paid_out = abs(whole.qty) - abs(qty)
    return replace(_reduced(whole, paid_out, price), qty=qty) if paid_out else whole


def close(position: Position, at: datetime, reason: str) -> ClosedTrade:
    """The round trip of a position whose last share has gone; it left as the side it was held on."""
    exit_price = pnl = None
    if position.exit_priced and position.exit_qty:
        exit_price, pnl = places(position.exit_value / position.exit_qty), places(position.realized)
    return ClosedTrade(
        position_id=position.position_id,
        symbol=position.symbol,
        side="long" if position.entry_qty > 0 else "short",
        qty=abs(position.entry_qty),
        entry_price=places(position.entry_value / position.entry_qty),
        entry_at=position.entry_at,
        exit_price=exit_price,
        exit_at=at,
        pnl=pnl,
        reason=reason,
        strategy=position.strategy,
        leverage=_leverage(position),
        multiplier=position.multiplier,
    )


def outcome(closed: ClosedTrade, signal: Signal) -> Outcome:
    """What came of the signal that began a round trip."""
    paid = closed.qty * closed.entry_price * closed.multiplier
    share = None if closed.pnl is None else float(closed.pnl / paid * 100)
    return Outcome(
        closed.position_id, closed.symbol, closed.side, closed.entry_at, closed.exit_at, closed.pnl, share, signal
    )


def _leverage(position: Position) -> Decimal | None:
    if not position.entry_equity or position.entry_equity < 0:
        return None
    return (abs(position.entry_value) * position.multiplier / position.entry_equity).quantize(_FOUR).normalize() + ZERO


def _opened(opening: Position, signed: Decimal, fill: Fill) -> Position:
    return replace(
        opening, qty=signed, avg_entry_price=fill.price, entry_at=fill.at, entry_qty=signed,
        entry_value=signed * fill.price,
    )  # fmt: skip


def _increased(position: Position, signed: Decimal, price: Decimal) -> Position:
    qty = position.qty + signed
    average = (position.avg_entry_price * position.qty + price * signed) / qty
    return replace(
        position, qty=qty, avg_entry_price=average.quantize(_NINE), entry_qty=position.entry_qty + signed,
        entry_value=position.entry_value + signed * price,
    )  # fmt: skip


def _reduced(position: Position, out: Decimal, price: Decimal | None) -> Position:
    sign = 1 if position.qty > 0 else -1
    gain = ZERO if price is None else (price - position.avg_entry_price) * out * sign * position.multiplier
    after = replace(
        position, qty=position.qty - out * sign, exit_qty=position.exit_qty + out,
        exit_value=position.exit_value + (price or ZERO) * out,
        exit_priced=position.exit_priced and price is not None, realized=position.realized + gain,
    )  # fmt: skip
    if after.qty or not after.structure_id or not after.exit_priced:
        return after
    # A leg brings what was paid and received for it, to the last place: its average is rounded.
    exact = (after.exit_value * sign - after.entry_value) * after.multiplier
    return replace(after, realized=exact)


#: Nine places, the finest Alpaca deals in (BEHAVIOUR 3, fractional).
_NINE = Decimal("0.000000001")
_FOUR = Decimal("0.0001")


def places(value: Decimal) -> Decimal:
    """As the prices and the profit of a round trip are stored: nine places, without zeros at the end."""
    return value.quantize(_NINE).normalize() + ZERO
