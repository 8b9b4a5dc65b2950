"""What account and book say no to: wash trades, shares that are not there, money that is not there."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from gambler_ai.exchange.desk.accounts import Margins, held_for_orders
from gambler_ai.exchange.desk.book import Book
from gambler_ai.exchange.desk.exposure import shares_covering
from gambler_ai.exchange.desk.orders import (
    BRACKET,
    BUY,
    LIMIT,
    MARKET,
    OCO,
    OTO,
    SELL,
    STOP,
    STOP_LIMIT,
    TRAILING_STOP,
    Order,
)
from gambler_ai.exchange.desk.settings import Settings
from gambler_ai.exchange.desk.tickets import Ticket
from gambler_ai.exchange.numbers import ZERO, plain
from gambler_ai.exchange.prices.assets import Asset
from gambler_ai.exchange.refusal import Refusal, forbidden, unprocessable

SHORT_MARKUP = Decimal("1.03")  # a short sale is priced at 1.03 times the ask at least (BEHAVIOUR 3)
EXPOSURE_MAX = 6  # a position of so many times the equity: closing only
_INTENTS = {(BUY, True): "buy_to_open", (BUY, False): "buy_to_close",
            (SELL, True): "sell_to_open", (SELL, False): "sell_to_close"}  # fmt: skip


def opens(side: str, position: Decimal) -> bool:
    """Does an order of this side enlarge the position (or start one), rather than close some of it?"""
    return position >= 0 if side == BUY else position <= 0


def intent(side: str, position: Decimal) -> str:
    return _INTENTS[side, opens(side, position)]


def check_asset_fits(ticket: Ticket, asset: Asset) -> None:
    """Parts of a share only of what is fractionable."""
    if ticket.is_fractional and not asset.fractionable:
        raise forbidden(f'asset "{asset.symbol}" is not fractionable')


def check_class_fits(ticket: Ticket, position: Decimal) -> None:
    """Brackets and OTOs open, OCOs close; what the client believes to do must be what the order does."""
    opening = opens(ticket.side, position)
    if ticket.order_class in (BRACKET, OTO) and not opening:
        raise unprocessable(f"{ticket.order_class} orders must be entry orders")
    if ticket.order_class == OCO and opening:
        raise unprocessable("oco orders must be exit orders")
    inferred = intent(ticket.side, position)
    if ticket.position_intent and ticket.position_intent != inferred:
        raise unprocessable(f"position intent mismatch, inferred: {inferred}, specified: {ticket.position_intent}")


def check_wash(ticket: Ticket, existing: Iterable[Order]) -> None:
    """Opposite orders that could meet each other (BEHAVIOUR 3, "Wash-trade table"). Complex orders and trailing stops
    are exempt, as new orders and, trailing stops, as resting ones.
    """
    if ticket.order_class or ticket.type == TRAILING_STOP:
        return
    for order in existing:
        if order.side == ticket.side or order.waiting or order.type == TRAILING_STOP:
            continue
        loud = order.type in (MARKET, STOP)
        if not loud and ticket.type in (LIMIT, STOP_LIMIT):
            buy, sell = ticket.limit_price, order.limit_price
            if ticket.side == SELL:
                buy, sell = sell, buy
            if buy is None or sell is None or buy < sell:
                continue
        kind = "market/stop" if loud else "limit"
        raise forbidden(
            "potential wash trade detected. use complex orders",
            existing_order_id=order.id,
            reject_reason=f"opposite side {kind} order exists",
        )


def insufficient_qty(book: Book, symbol: str, wanted: Decimal) -> Refusal | None:
    """An exit may take what the position has and no other open exit holds."""
    position = book.position_qty(symbol)
    held, related = held_for_orders(position, book.open_in(symbol))
    if position > 0:
        held += shares_covering(book, symbol)
    available = max(abs(position) - held, ZERO)
    if wanted <= available:
        return None
    return forbidden(
        f"insufficient qty available for order (requested: {plain(wanted)}, available: {plain(available)})",
        available=plain(available),
        existing_qty=plain(abs(position)),
        held_for_orders=plain(held),
        related_orders=related,
        symbol=symbol,
    )


def check_exit(book: Book, ticket: Ticket, wanted: Decimal) -> None:
    """Some of the position. A short one is of whole shares, and stays so."""
    if ticket.side == BUY and ticket.is_fractional:
        raise forbidden("fractional orders cannot cover a short position")
    refusal = insufficient_qty(book, ticket.symbol, wanted)
    if refusal:
        raise refusal


def check_entry(book: Book, ticket: Ticket, asset: Asset, found: Margins, cost: Decimal) -> None:
    """The owner's settings, exposure, shorting rules, crossed entries and buying power. ``cost`` is what it blocks."""
    settings = book.account.settings
    if ticket.is_fractional and not settings.fractional_trading:
        raise forbidden("account is not allowed to trade fractional shares")
    if found.largest and found.largest >= EXPOSURE_MAX * found.equity:
        raise forbidden("your account is set to liquidation only")
    for order in book.open_in(ticket.symbol):
        if order.reserve_price and order.side != ticket.side:
            long_, short = ("long buy", "short sell") if ticket.side == BUY else ("short sell", "long buy")
            raise forbidden(f"cannot open a {long_} while a {short} order is open")
    if ticket.side == SELL:
        _check_short(ticket, asset, settings, found)
    if cost > found.buying_power:
        raise forbidden("insufficient buying power", buying_power=plain(found.buying_power), cost_basis=plain(cost))


def _check_short(ticket: Ticket, asset: Asset, settings: Settings, found: Margins) -> None:
    """A short sale is of whole shares that are easy to borrow, by an account with margin (BEHAVIOUR 3)."""
    if ticket.is_fractional:
        raise forbidden("fractional orders cannot be sold short")
    if settings.no_shorting or found.multiplier == 1:
        raise forbidden("account is not allowed to short")
    if not (asset.shortable and asset.easy_to_borrow):
        raise forbidden(f'asset "{asset.symbol}" cannot be sold short')


def entry_price(ticket: Ticket, *, far: Decimal, ask: Decimal) -> Decimal:
    """What a share of an entry blocks: its limit, its stop, or the far side of the quote; shorts a markup."""
    price = ticket.limit_price or ticket.stop_price or far
    return max(price, ask * SHORT_MARKUP) if ticket.side == SELL else price
