"""Where orders are taken: a checked request becomes orders in the book, or a Refusal that leaves no trace
in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import ROUND_DOWN, Decimal
from typing import Any

from gambler_ai.exchange.desk import matching
from gambler_ai.exchange.desk.accounts import Margins
from gambler_ai.exchange.desk.book import Book
from gambler_ai.exchange.desk.checks import (
    check_asset_fits,
    check_class_fits,
    check_entry,
    check_exit,
    check_wash,
    entry_price,
    insufficient_qty,
    intent,
    opens,
)
from gambler_ai.exchange.desk.day_trades import DayTrades
from gambler_ai.exchange.desk.fates import Fate
from gambler_ai.exchange.desk.hours import Hours
from gambler_ai.exchange.desk.making import Terms, add_order, make_order
from gambler_ai.exchange.desk.option_desk import OptionDesk, is_option_order
from gambler_ai.exchange.desk.option_tickets import is_option_request
from gambler_ai.exchange.desk.orders import (
    ACCEPTED,
    BRACKET,
    BUY,
    CANCELED,
    ENTRY,
    FILLED,
    HELD,
    NEW,
    OTO,
    PENDING_CANCEL,
    PENDING_NEW,
    PENDING_REPLACE,
    REJECTED,
    SELL,
    TRAILING_STOP,
    Order,
)
from gambler_ai.exchange.desk.replacing import changed_ticket, check_replaceable, inherit
from gambler_ai.exchange.desk.rules import check_legs, check_terms, check_ticks, with_trail
from gambler_ai.exchange.desk.settings import Settings, changed
from gambler_ai.exchange.desk.succession import announce
from gambler_ai.exchange.desk.tickets import Ticket, parse_ticket
from gambler_ai.exchange.numbers import SHARE_STEP, ZERO, parse_decimal, plain, to_decimal
from gambler_ai.exchange.options.market import OptionMarket
from gambler_ai.exchange.prices.assets import Asset
from gambler_ai.exchange.prices.market import Market, Tick
from gambler_ai.exchange.refusal import Refusal, bad_parameter, forbidden, not_found, unprocessable
from gambler_ai.exchange.wire.entities import order_entity

_ENDS = {"replace_filled": FILLED, "replace_rejected": REJECTED}


_NONE = Fate()


class Desk:
    """Commands on the book. ``now_us`` is always the instant up to which the market has been processed."""

    def __init__(self, book: Book, market: Market, options: OptionMarket, *, pdt: bool = False) -> None:
        """``pdt``: the pattern-day-trader rule holds."""
        self._book = book
        self._market = market
        self.day_trades = DayTrades(book, market.sessions, enforced=pdt)
        self.options = OptionDesk(book, options, self.day_trades)
        self._hours = Hours(market.sessions)

    def find(self, order_id: str) -> Order:
        """Raises Refusal 404."""
        order = self._book.orders.get(order_id.lower())
        if order is None:
            raise not_found(f"order not found for {order_id}")
        return order

    def find_by_client_id(self, client_order_id: str) -> Order:
        """Raises Refusal 404."""
        order = self._book.by_client_id.get(client_order_id)
        if order is None:
            raise not_found(f"order not found for {client_order_id}")
        return order

    def configure(self, changes: object) -> Settings:
        """What the owner sets (BEHAVIOUR 2). Raises Refusal for a value that is none; then nothing changes."""
        account = self._book.account
        settings = changed(account.settings, changes)
        if settings != account.settings:
            account.settings, self._book.account_changed = settings, True
        return settings

    def submit(
        self, payload: object, now_us: int, figures: Callable[[], Margins], fate: Fate = _NONE
    ) -> tuple[dict[str, Any], Order]:
        """The entity as the POST answers it, and the order, which has met the market since."""
        if isinstance(payload, Mapping) and is_option_request(payload):
            return self.options.submit(payload, now_us, figures, fate)
        ticket = parse_ticket(payload)
        self._check_client_id(ticket.client_order_id)
        asset, tick = self._check_asset(ticket.symbol, now_us)
        ticket = ticket._replace(symbol=asset.symbol)
        check_ticks(ticket)
        last = to_decimal(tick.last)
        ticket = with_trail(ticket, last)
        check_terms(ticket)
        check_legs(ticket, ticket.limit_price or ticket.stop_price or last)
        check_asset_fits(ticket, asset)
        self._hours.check_window(ticket.time_in_force, now_us)
        terms = self._check_account(ticket, asset, tick, now_us, figures)
        order = add_order(self._book, ticket, terms, now_us)
        if fate.kind == "accepted_only":
            order.status, order.fills_from_us = ACCEPTED, fate.until_us(now_us)
        for written in self._book.members(order):
            self._book.events.note(written, self._book.legs(written))
        entity = order_entity(order, self._book.legs(order))
        if fate.kind == "rejected_after":
            matching.reject(self._book, order, now_us)
        elif self._trades(order, now_us):
            matching.meet(self._book, order, tick, now_us)
        if fate.kind == "fill_first":
            entity = order_entity(order, self._book.legs(order))
        return entity, order

    # the checks, in the order of BEHAVIOUR 3

    def _check_client_id(self, client_order_id: str) -> None:
        """Unique for ever: an id once taken never comes free (BEHAVIOUR 3, "client_order_id")."""
        if client_order_id in self._book.by_client_id:
            raise bad_parameter("client_order_id must be unique")

    def _check_asset(self, symbol: str, now_us: int) -> tuple[Asset, Tick]:
        """The asset of a symbol or an asset id, and its last trade."""
        asset = self._market.find_asset(symbol)
        if asset is None:
            raise unprocessable(f'asset "{symbol}" not found')
        tick = self._market.tick(asset.symbol, now_us)
        if tick is None or not self._market.listed(asset.symbol, now_us):
            days = self._market.daily(asset.symbol).days
            why = f"the prices of this exchange run from {days[0]} to {days[-1]}"
            raise unprocessable(f'asset "{asset.symbol}" is not tradable', detail=why)
        return asset, tick

    def _check_account(
        self, ticket: Ticket, asset: Asset, tick: Tick, now_us: int, figures: Callable[[], Margins]
    ) -> Terms:
        """Wash trades, then quantity or buying power, then day trades."""
        book, position = self._book, self._book.position_qty(ticket.symbol)
        if book.account.settings.suspend_trade:
            raise forbidden("new orders are rejected by user request")
        check_class_fits(ticket, position)
        check_wash(ticket, book.open_in(ticket.symbol))
        reserve = hold = ZERO
        far = self._far_side(ticket.side, tick, now_us)
        if opens(ticket.side, position):
            reserve = entry_price(ticket, far=far, ask=to_decimal(tick.ask))
            cost = ticket.notional if ticket.qty is None else ticket.qty * reserve
            check_entry(book, ticket, asset, figures(), cost or ZERO)
        elif ticket.notional is not None:
            hold = (ticket.notional / (ticket.limit_price or ticket.stop_price or far)).quantize(SHARE_STEP)
            check_exit(book, ticket, hold)
        else:
            check_exit(book, ticket, ticket.qty or ZERO)
        move = ticket.symbol, intent(ticket.side, position)
        self.day_trades.check([move], now_us, brings_exits=ticket.order_class in (BRACKET, OTO))
        extended = ticket.extended_hours
        status = PENDING_NEW if self._hours.trades(now_us, extended=extended) else ACCEPTED
        if ticket.type == TRAILING_STOP:
            status = NEW
        expires_us = self._hours.expiry(ticket.time_in_force, now_us, extended=extended)
        return Terms(status, expires_us, reserve, hold, to_decimal(tick.last))

    def _far_side(self, side: str, tick: Tick, now_us: int) -> Decimal:
        """The other side's quote in session, the middle in extended hours, the last trade when closed (BEHAVIOUR 3)."""
        if self._hours.is_open(now_us):
            return to_decimal(tick.ask if side == BUY else tick.bid)
        if self._hours.is_extended(now_us):
            return to_decimal(tick.bid + tick.ask) / 2
        return to_decimal(tick.last)

    def _trades(self, order: Order, now_us: int) -> bool:
        """Does it meet the market now, rather than at the next open?"""
        return self._hours.trades(now_us, extended=order.extended_hours)

    # ending

    def cancel(self, order: Order, now_us: int, fate: Fate = _NONE) -> None:
        """Raises Refusal when it is too late; canceling a canceled order is no error (BEHAVIOUR 3)."""
        if order.status == CANCELED:
            return
        if order.status == PENDING_CANCEL:
            raise unprocessable("order pending cancel")
        if order.status == PENDING_REPLACE:
            raise unprocessable("order pending replace")
        if not order.is_open:
            raise unprocessable(f'order is already in "{order.status}" state')
        if fate.kind == "cancel_stuck":
            matching.hold(self._book, self._book.members(order), PENDING_CANCEL, now_us, fate.until_us(now_us))
        elif fate.kind == "cancel_filled" and not order.waiting and order.qty is not None:
            order.pending_ends = FILLED
            matching.hold(self._book, [order], PENDING_CANCEL, now_us, fate.until_us(now_us))
            self._settle(order, now_us)
        else:
            matching.cancel(self._book, order, now_us, market_open=self._trades(order, now_us))

    def _settle(self, order: Order, now_us: int) -> None:
        """What is pending ends at once in an open market, unless a fault holds it."""
        if is_option_order(order):
            if self._trades(order, now_us):
                self.options.settle(order, now_us)
            return
        tick = self._market.tick(order.symbol, now_us)
        if tick is not None and self._trades(order, now_us):
            matching.settle(self._book, order, tick, now_us)

    def cancel_all(self, now_us: int) -> list[dict[str, Any]]:
        """One row an order that was open; a row's status counts, not the 207 around it."""
        rows: list[dict[str, Any]] = []
        for order in list(self._book.open_orders()):
            stuck = order.status in (PENDING_CANCEL, PENDING_REPLACE)
            if not stuck and order.is_open:
                self.cancel(order, now_us)
                stuck = False
            if stuck and not any(row["id"] == member.id for member in self._book.members(order) for row in rows):
                rows.append({"id": order.id, "status": 500, "body": unprocessable("order pending cancel").body()})
            else:
                rows.append({"id": order.id, "status": 200})
        return rows

    def close_payload(self, symbol: str, qty: object, percentage: object) -> dict[str, Any]:
        """The market order that closes (some of) a position. Raises Refusal 404 when there is none."""
        held = self._book.position_qty(symbol)
        if not held:
            raise not_found("position does not exist")
        try:
            wanted, percent = parse_decimal(qty), parse_decimal(percentage)
        except ValueError as error:
            raise bad_parameter(str(error)) from None
        if wanted is not None and percent is not None:
            raise bad_parameter("only one of qty or percentage is accepted")
        amount = abs(held) if wanted is None else wanted
        if percent is not None:
            if not 0 < percent <= 100:
                raise bad_parameter("percentage must be between 0 and 100")
            part = SHARE_STEP if held % 1 else Decimal(1)  # parts of a share only of a position that has some
            amount = (abs(held) * percent / 100).quantize(part, ROUND_DOWN)
        if amount <= 0:
            raise bad_parameter("qty must be > 0")
        refusal = insufficient_qty(self._book, symbol, amount)
        if refusal:
            raise refusal
        side = SELL if held > 0 else BUY
        return {
            "symbol": symbol,
            "qty": plain(amount),
            "side": side,
            "type": "market",
            "time_in_force": "day",
        }

    # replacing

    def replace(
        self, order: Order, changes: Mapping[str, Any], now_us: int, figures: Callable[[], Margins], fate: Fate = _NONE
    ) -> tuple[dict[str, Any], Order]:
        """PATCH: a new order with a new id takes the old one's place (BEHAVIOUR 3): the entity as it is answered, and
        the new order, which has met the market since. Raises Refusal.
        """
        check_replaceable(order)
        if is_option_order(order):
            return self.options.replace(order, changes, now_us, figures, fate, _ENDS.get(fate.kind, ""))
        new = self._successor(order, changes, now_us, figures)
        book = self._book
        order.before_pending = order.status
        order.pending_ends = _ENDS.get(fate.kind, "")
        matching.hold(book, [order], PENDING_REPLACE, now_us, fate.until_us(now_us))
        announce(book, order, new)
        entity = order_entity(new, book.legs(order))
        tick = self._market.tick(new.symbol, now_us)
        if tick is not None and self._trades(new, now_us):
            matching.settle(book, order, tick, now_us)
            matching.meet(book, new, tick, now_us)
        elif tick is not None and not fate.kind:
            matching.settle(book, order, tick, now_us)
        return entity, new

    def _successor(
        self, order: Order, changes: Mapping[str, Any], now_us: int, figures: Callable[[], Margins]
    ) -> Order:
        """The new order: the old one's remaining part at the new terms, checked as a new one would be."""
        ticket = changed_ticket(order, changes)
        self._check_client_id(ticket.client_order_id)
        self._hours.check_window(ticket.time_in_force, now_us)
        group = order.group
        check_wash(ticket, [other for other in self._book.open_in(order.symbol) if other.group != group])
        reserve = self._check_growth(order, ticket, now_us, figures)
        expires_us = self._hours.expiry(ticket.time_in_force, now_us, extended=order.extended_hours)
        status = HELD if order.status == HELD else PENDING_NEW
        new = make_order(self._book, ticket, Terms(status, expires_us, reserve), now_us)
        inherit(new, order)
        return new

    def _check_growth(self, order: Order, ticket: Ticket, now_us: int, figures: Callable[[], Margins]) -> Decimal:
        """More shares need more of the position or of the buying power; what one share blocks."""
        grown = (ticket.qty or ZERO) - (order.qty or ZERO)
        if order.role != ENTRY and order.order_class:
            return order.reserve_price
        if not order.reserve_price:
            refusal = insufficient_qty(self._book, order.symbol, grown) if grown > 0 else None
            if refusal:
                raise refusal
            return ZERO
        tick = self._market.tick(order.symbol, now_us)
        assert tick is not None  # it is an open order's
        price = entry_price(ticket, far=order.reserve_price, ask=to_decimal(tick.ask))
        more = (order.remaining + grown) * price - order.remaining * order.reserve_price
        power = figures().buying_power
        if more > power:
            raise forbidden("insufficient buying power", buying_power=plain(power), cost_basis=plain(more))
        return price


def refusal_row(symbol: str, refusal: Refusal) -> dict[str, Any]:
    """One row of a 207 that says no."""
    return {"symbol": symbol, "status": refusal.status, "body": refusal.body() | {"symbol": symbol}}
