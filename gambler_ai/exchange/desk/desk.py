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
    check_class_fits,
    check_entry,
    check_exit,
    check_wash,
    entry_price,
    insufficient_qty,
    intent,
    opens,
)
from gambler_ai.exchange.desk.fates import Fate
from gambler_ai.exchange.desk.option_desk import OptionDesk, is_option_order
from gambler_ai.exchange.desk.option_tickets import is_option_request
from gambler_ai.exchange.desk.orders import (
    ACCEPTED,
    BUY,
    CANCELED,
    ENTRY,
    FILLED,
    HELD,
    LIMIT,
    OCO,
    PENDING_CANCEL,
    PENDING_NEW,
    PENDING_REPLACE,
    REJECTED,
    REPLACED,
    SELL,
    STOP,
    STOP_LIMIT,
    STOP_LOSS,
    TAKE_PROFIT,
    WORKING,
    Order,
)
from gambler_ai.exchange.desk.settings import Settings, changed
from gambler_ai.exchange.desk.succession import announce
from gambler_ai.exchange.desk.tickets import Ticket, check_class, check_ticks, parse_ticket
from gambler_ai.exchange.instants import DAY, MINUTE
from gambler_ai.exchange.numbers import SHARE_STEP, ZERO, parse_decimal, plain, to_decimal
from gambler_ai.exchange.options.contracts import is_option
from gambler_ai.exchange.options.market import OptionMarket
from gambler_ai.exchange.prices.assets import find_asset
from gambler_ai.exchange.prices.market import Market, Tick
from gambler_ai.exchange.refusal import Refusal, bad_parameter, forbidden, not_found, unprocessable
from gambler_ai.exchange.wire.entities import order_entity

GTC_DAYS = 90  # then 16:15 New York, a quarter of an hour after the close (BEHAVIOUR 3)

_ENDS = {"replace_filled": FILLED, "replace_rejected": REJECTED}


_NONE = Fate()


class Desk:
    """Commands on the book. ``now_us`` is always the instant up to which the market has been processed."""

    def __init__(self, book: Book, market: Market, options: OptionMarket) -> None:
        self._book = book
        self._market = market
        self.options = OptionDesk(book, options)

    def configure(self, changes: Mapping[str, Any]) -> Settings:
        """PATCH /v2/account/configurations: what the settings are then. Raises Refusal."""
        account = self._book.account
        account.settings = changed(account.settings, changes)
        self._book.account_changed = True
        return account.settings

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

    def submit(
        self, payload: object, now_us: int, figures: Callable[[], Margins], fate: Fate = _NONE
    ) -> tuple[dict[str, Any], Order]:
        """The entity as the POST answers it, and the order, which has met the market since."""
        if isinstance(payload, Mapping) and is_option_request(payload):
            return self.options.submit(payload, now_us, figures, fate)
        ticket = parse_ticket(payload)
        self._check_client_id(ticket.client_order_id)
        tick = self._check_asset(ticket, now_us)
        check_ticks(ticket)
        last = to_decimal(tick.last)
        check_class(ticket, ticket.limit_price or ticket.stop_price or last)
        reserve = self._check_account(ticket, tick, figures, market_open=self._market.sessions.is_open(now_us))
        order = self._write(ticket, now_us, reserve)
        if fate.kind == "accepted_only":
            order.status, order.fills_from_us = ACCEPTED, fate.until_us(now_us)
        for written in self._book.members(order):
            self._book.events.note(written, self._book.legs(written))
        entity = order_entity(order, self._book.legs(order))
        if fate.kind == "rejected_after":
            matching.reject(self._book, order, now_us)
        elif self._market.sessions.is_open(now_us):
            matching.meet(self._book, order, tick, now_us)
        if fate.kind == "fill_first":
            entity = order_entity(order, self._book.legs(order))
        return entity, order

    # the checks, in the order of BEHAVIOUR 3

    def _check_client_id(self, client_order_id: str) -> None:
        """Unique for ever: an id once taken never comes free (BEHAVIOUR 3, "client_order_id")."""
        if client_order_id in self._book.by_client_id:
            raise bad_parameter("client_order_id must be unique")

    def _check_asset(self, ticket: Ticket, now_us: int) -> Tick:
        asset = find_asset(ticket.symbol)
        if asset is None or asset.symbol != ticket.symbol:
            raise unprocessable(f'asset "{ticket.symbol}" not found')
        tick = self._market.tick(ticket.symbol, now_us)
        if tick is None or not self._market.listed(ticket.symbol, now_us):
            days = self._market.daily(ticket.symbol).days
            why = f"the prices of this exchange run from {days[0]} to {days[-1]}"
            raise unprocessable(f'asset "{ticket.symbol}" is not tradable', detail=why)
        return tick

    def _check_account(
        self, ticket: Ticket, tick: Tick, figures: Callable[[], Margins], *, market_open: bool
    ) -> Decimal:
        """Wash trades, then quantity or buying power; what a share of the order blocks (0 for an exit)."""
        book, position = self._book, self._book.position_qty(ticket.symbol)
        check_class_fits(ticket, position)
        check_wash(ticket, book.open_in(ticket.symbol))
        ask = to_decimal(tick.ask)
        far = ask if ticket.side == BUY else to_decimal(tick.bid)
        if not market_open:
            far = to_decimal(tick.last)
        if not opens(ticket.side, position):
            check_exit(book, ticket, far)
            return ZERO
        price = entry_price(ticket, far=far, ask=ask)
        found = figures()
        check_entry(book, ticket, price=price, equity=found.equity, power=found.buying_power)
        return price

    # writing

    def _write(self, ticket: Ticket, now_us: int, reserve: Decimal) -> Order:
        status = PENDING_NEW if self._market.sessions.is_open(now_us) else ACCEPTED
        order = self._make(ticket, now_us, reserve, status)
        book = self._book
        book.add(order)
        waiting = ticket.order_class != OCO
        if not waiting:
            order.role = TAKE_PROFIT
        elif ticket.take_profit is not None:
            self._add_leg(order, TAKE_PROFIT, LIMIT, ticket.take_profit, None, now_us)
        if ticket.stop_loss is not None and ticket.order_class:
            kind = STOP if ticket.stop_loss_limit is None else STOP_LIMIT
            leg = self._add_leg(order, STOP_LOSS, kind, ticket.stop_loss_limit, ticket.stop_loss, now_us)
            leg.waiting = waiting
        return order

    def _make(self, ticket: Ticket, now_us: int, reserve: Decimal, status: str) -> Order:
        book, seq = self._book, self._book.next_seq
        return Order(
            seq=seq,
            id=book.new_id("order", seq),
            client_order_id=ticket.client_order_id or book.new_id("client", seq),
            symbol=ticket.symbol,
            side=ticket.side,
            type=ticket.type,
            time_in_force=ticket.time_in_force,
            order_class=ticket.order_class,
            status=status,
            position_intent=intent(ticket.side, book.position_qty(ticket.symbol)),
            created_us=now_us,
            updated_us=now_us,
            expires_us=self._expiry(ticket.time_in_force, now_us),
            qty=ticket.qty,
            notional=ticket.notional,
            limit_price=ticket.limit_price,
            stop_price=ticket.stop_price,
            extended_hours=ticket.extended_hours,
            reserve_price=reserve,
        )

    def _add_leg(
        self, parent: Order, role: str, kind: str, limit: Decimal | None, stop: Decimal | None, now_us: int
    ) -> Order:
        """A leg inherits the parent's time in force, and waits, held, for its entry (BEHAVIOUR 3,
        "Classes").
        """
        exit_of_oco = parent.order_class == OCO
        side = parent.side if exit_of_oco else (SELL if parent.side == BUY else BUY)
        seq = self._book.next_seq
        leg = Order(
            seq=seq,
            id=self._book.new_id("order", seq),
            client_order_id=self._book.new_id("client", seq),
            symbol=parent.symbol,
            side=side,
            type=kind,
            time_in_force=parent.time_in_force,
            order_class=parent.order_class,
            status=HELD,
            position_intent="sell_to_close" if side == SELL else "buy_to_close",
            created_us=now_us,
            updated_us=now_us,
            expires_us=parent.expires_us,
            qty=parent.qty,
            limit_price=limit,
            stop_price=stop,
            role=role,
            parent_id=parent.id,
            waiting=True,
        )
        parent.leg_ids = [*parent.leg_ids, leg.id]
        self._book.add(leg)
        return leg

    def _expiry(self, time_in_force: str, now_us: int) -> int:
        sessions = self._market.sessions
        index = sessions.first_index_closing_after(now_us)
        close = sessions.session(len(sessions.days) - 1 if index is None else index).close_us
        return close + GTC_DAYS * DAY + 15 * MINUTE if time_in_force == "gtc" else close

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
            matching.cancel(self._book, order, now_us, market_open=self._market.sessions.is_open(now_us))

    def _settle(self, order: Order, now_us: int) -> None:
        """What is pending ends at once in an open market, unless a fault holds it."""
        if is_option_order(order):
            if self._market.sessions.is_open(now_us):
                self.options.settle(order, now_us)
            return
        tick = self._market.tick(order.symbol, now_us)
        if tick is not None and self._market.sessions.is_open(now_us):
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
        amount = abs(held) if wanted is None else wanted
        if percent is not None:
            if not 0 < percent <= 100:
                raise bad_parameter("percentage must be between 0 and 100")
            step = Decimal(1) if is_option(symbol) else SHARE_STEP
            amount = (abs(held) * percent / 100).quantize(step, ROUND_DOWN)
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
        self._check_replaceable(order)
        if is_option_order(order):
            return self.options.replace(order, changes, now_us, figures, fate, _ENDS.get(fate.kind, ""))
        new = self._changed(order, changes, now_us, figures)
        book = self._book
        order.before_pending = order.status
        order.pending_ends = _ENDS.get(fate.kind, "")
        matching.hold(book, [order], PENDING_REPLACE, now_us, fate.until_us(now_us))
        announce(book, order, new)
        entity = order_entity(new, book.legs(order))
        tick = self._market.tick(new.symbol, now_us)
        if tick is not None and self._market.sessions.is_open(now_us):
            matching.settle(book, order, tick, now_us)
            matching.meet(book, new, tick, now_us)
        elif tick is not None and not fate.kind:
            matching.settle(book, order, tick, now_us)
        return entity, new

    def _check_replaceable(self, order: Order) -> None:
        if order.status == REPLACED:
            raise unprocessable("order already replaced")
        if order.status == ACCEPTED:
            raise unprocessable("unable to replace order, order isn't sent to exchange yet")
        if order.status not in WORKING and order.status != HELD:
            raise unprocessable(f"cannot replace order in {order.status} status")
        if order.notional is not None:
            raise unprocessable("cannot replace notional orders")

    def _changed(self, order: Order, changes: Mapping[str, Any], now_us: int, figures: Callable[[], Margins]) -> Order:
        """The new order: the old one's remaining part at the new terms, checked as a new one would be."""
        old = {"qty": order.qty, "limit_price": order.limit_price, "stop_price": order.stop_price}
        body: dict[str, Any] = {name: plain(value) for name, value in old.items() if value is not None}
        body["time_in_force"] = order.time_in_force
        for name in ("qty", "limit_price", "stop_price", "time_in_force"):
            if changes.get(name) not in (None, ""):
                body[name] = changes[name]
        same = {"symbol": order.symbol, "side": order.side, "type": order.type}
        ticket = parse_ticket(body | same | {"client_order_id": changes.get("client_order_id")})
        self._check_client_id(ticket.client_order_id)
        check_ticks(ticket)
        terms = (ticket.qty, ticket.limit_price, ticket.stop_price, ticket.time_in_force)
        if terms == (order.qty, order.limit_price, order.stop_price, order.time_in_force):
            raise unprocessable("order parameters are not changed")
        if ticket.qty is not None and ticket.qty <= order.filled_qty:
            raise unprocessable("qty must be > filled_qty")
        if ticket.qty != order.qty and ticket.qty is not None and (ticket.qty % 1 or (order.qty or ZERO) % 1):
            raise unprocessable("qty of fractional orders cannot be replaced")
        reserve = self._check_growth(order, ticket, figures)
        new = self._make(ticket, now_us, reserve, HELD if order.status == HELD else PENDING_NEW)
        new.order_class, new.role, new.parent_id = order.order_class, order.role, order.parent_id
        new.waiting, new.replaces, new.position_intent = order.waiting, order.id, order.position_intent
        new.qty = (ticket.qty or ZERO) - order.filled_qty
        return new

    def _check_growth(self, order: Order, ticket: Ticket, figures: Callable[[], Margins]) -> Decimal:
        """More shares need more of the position or of the buying power; what one share blocks."""
        grown = (ticket.qty or ZERO) - (order.qty or ZERO)
        if order.role != ENTRY and order.order_class:
            if grown:
                raise unprocessable("the qty of a leg cannot be replaced")
            return order.reserve_price
        if not order.reserve_price:
            refusal = insufficient_qty(self._book, order.symbol, grown) if grown > 0 else None
            if refusal:
                raise refusal
            return ZERO
        price = ticket.limit_price or ticket.stop_price or order.reserve_price
        more = (order.remaining + grown) * price - order.remaining * order.reserve_price
        power = figures().buying_power
        if more > power:
            raise forbidden("insufficient buying power", buying_power=plain(power), cost_basis=plain(more))
        return price


def refusal_row(symbol: str, refusal: Refusal) -> dict[str, Any]:
    """One row of a 207 that says no."""
    return {"symbol": symbol, "status": refusal.status, "body": refusal.body() | {"symbol": symbol}}
