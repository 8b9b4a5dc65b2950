"""Where orders for contracts are taken, replaced and met by their quotes: single ones and ``mleg`` (BEHAVIOUR 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from msgspec.structs import replace as copy_of

from gambler_ai.exchange.desk import matching, multileg
from gambler_ai.exchange.desk.accounts import Margins
from gambler_ai.exchange.desk.book import Book
from gambler_ai.exchange.desk.checks import check_wash
from gambler_ai.exchange.desk.day_trades import DayTrades
from gambler_ai.exchange.desk.fates import Fate
from gambler_ai.exchange.desk.option_checks import (
    COVERED,
    LONG,
    SPREADS,
    check_closing,
    check_cover,
    check_intent,
    check_level,
    moves_of,
)
from gambler_ai.exchange.desk.option_tickets import MultiTicket, parse_multi, parse_single
from gambler_ai.exchange.desk.orders import (
    ACCEPTED,
    BUY,
    MARKET,
    MLEG,
    MLEG_LEG,
    NEW,
    PENDING_CANCEL,
    PENDING_NEW,
    PENDING_REPLACE,
    SELL,
    Order,
)
from gambler_ai.exchange.desk.succession import announce
from gambler_ai.exchange.desk.tickets import Ticket
from gambler_ai.exchange.instants import MINUTE
from gambler_ai.exchange.numbers import CENT, ZERO, plain, to_decimal
from gambler_ai.exchange.options.contracts import MULTIPLIER, Contract, is_option, parse_symbol
from gambler_ai.exchange.options.market import OptionMarket
from gambler_ai.exchange.options.pricing import need_library
from gambler_ai.exchange.prices.market import Tick
from gambler_ai.exchange.prices.sessions import Session
from gambler_ai.exchange.refusal import bad_parameter, unprocessable
from gambler_ai.exchange.wire.entities import order_entity

LAST_OPENING_MINUTES = 30  # before the close of a contract's last session: then it is closed only
Figures = Callable[[], Margins]


def is_option_order(order: Order) -> bool:
    return order.order_class == MLEG or is_option(order.symbol)


class OptionDesk:
    """Commands on the book that are about contracts. ``now_us`` as in `desk.Desk`."""

    def __init__(self, book: Book, options: OptionMarket, day_trades: DayTrades) -> None:
        self._book = book
        self._day_trades = day_trades
        self._options = options

    def submit(
        self, payload: Mapping[str, Any], now_us: int, figures: Figures, fate: Fate
    ) -> tuple[dict[str, Any], Order]:
        """The entity as the POST answers it, and the order, which has met the market since. Raises Refusal."""
        need_library()
        if payload.get("order_class") == MLEG:
            order = self._take_multi(parse_multi(payload), now_us, figures)
        else:
            order = self._take_single(parse_single(payload), now_us, figures)
        book = self._book
        if fate.kind == "accepted_only":
            order.status, order.fills_from_us = ACCEPTED, fate.until_us(now_us)
        for written in book.members(order):
            book.events.note(written, book.legs(written))
        entity = order_entity(order, book.legs(order))
        if fate.kind == "rejected_after":
            matching.reject(book, order, now_us)
        elif self._is_open(now_us):
            self.meet(order, now_us)
        if fate.kind == "fill_first":
            entity = order_entity(order, book.legs(order))
        return entity, order

    def _is_open(self, us: int) -> bool:
        return self._options.underlyings.sessions.is_open(us)

    # checks

    def _check_client_id(self, client_order_id: str) -> None:
        if client_order_id in self._book.by_client_id:
            raise bad_parameter("client_order_id must be unique")

    def _contract(self, symbol: str, now_us: int, unknown: str) -> Contract:
        """Raises Refusal for one that is not listed, or that has expired."""
        contract = parse_symbol(symbol)
        if contract is None or not self._options.listing.is_listed(contract, now_us):
            raise unprocessable(unknown.format(symbol))
        if now_us >= self._options.listing.close_us(contract.expiry):
            raise unprocessable(f'asset "{symbol}" is not tradable', detail="the contract has expired")
        return contract

    def _check_hours(self, kind: str, now_us: int) -> None:
        if kind == MARKET and not self._is_open(now_us):
            raise unprocessable("options market orders are only allowed during market hours")

    def _check_last_half_hour(self, contract: Contract, intent: str, now_us: int) -> None:
        """Nothing is opened from 15:30 on the day of its expiry (half an hour before an early close)."""
        left_us = self._options.listing.close_us(contract.expiry) - now_us
        if intent.endswith("to_open") and left_us <= LAST_OPENING_MINUTES * MINUTE:
            raise unprocessable("contracts that expire today cannot be opened after 3:30pm")

    # one contract

    def _take_single(self, ticket: Ticket, now_us: int, figures: Figures) -> Order:
        self._check_client_id(ticket.client_order_id)
        contract = self._contract(ticket.symbol, now_us, 'asset "{}" not found')
        intent, reserve = self._check_single(ticket, contract, now_us, figures)
        self._day_trades.check([(ticket.symbol, intent)], now_us)
        order = self._made(ticket, intent, now_us, reserve)
        self._book.add(order)
        return order

    def _check_single(
        self, ticket: Ticket, contract: Contract, now_us: int, figures: Figures, *, old: Order | None = None
    ) -> tuple[str, Decimal]:
        """What the order does to the position, and what a contract of it blocks; ``old`` is the order it replaces."""
        book, symbol = self._book, ticket.symbol
        self._check_hours(ticket.type, now_us)
        intent = check_intent(book, symbol, ticket.side, ticket.position_intent)
        opening = intent.endswith("to_open")
        check_level(book, LONG if intent == "buy_to_open" else COVERED)
        self._check_last_half_hour(contract, intent, now_us)
        check_wash(ticket, (order for order in book.open_in(symbol) if order.order_class != MLEG and order is not old))
        assert ticket.qty is not None
        qty = ticket.qty - (old.filled_qty if old else ZERO)
        if not opening:
            check_closing(book, symbol, qty - (old.remaining if old else ZERO))
        power = figures().options_power
        if old is not None:
            power += old.remaining * old.reserve_price
        signed = qty if ticket.side == BUY else -qty
        cost = signed * self._price(ticket, now_us) * MULTIPLIER
        blocked = check_cover(book, {contract: signed}, cost, power=power, without=old)
        return intent, (blocked / qty).quantize(CENT) if opening else ZERO

    def _price(self, ticket: Ticket, now_us: int) -> Decimal:
        """What a share is taken to cost or to bring: the limit, the stop of a buy, or the quote."""
        if ticket.limit_price is not None:
            return ticket.limit_price
        if ticket.stop_price is not None:
            return ticket.stop_price if ticket.side == BUY else ZERO
        tick = self._options.tick(ticket.symbol, now_us)
        if tick is None:
            raise unprocessable(f'asset "{ticket.symbol}" is not tradable', detail="it has no price yet")
        return to_decimal(tick.ask if ticket.side == BUY else tick.bid)

    def _made(self, ticket: Ticket, intent: str, now_us: int, reserve: Decimal) -> Order:
        order = self._blank(ticket.client_order_id, now_us)
        return copy_of(
            order, symbol=ticket.symbol, side=ticket.side, type=ticket.type, qty=ticket.qty, position_intent=intent,
            limit_price=ticket.limit_price, stop_price=ticket.stop_price, reserve_price=reserve,
        )  # fmt: skip

    def _blank(self, client_order_id: str, now_us: int) -> Order:
        """An order of the next number, for the day; what it is for is still to be said."""
        book, sessions = self._book, self._options.underlyings.sessions
        index = sessions.first_index_closing_after(now_us)
        seq = book.next_seq
        return Order(
            seq=seq, id=book.new_id("order", seq), client_order_id=client_order_id or book.new_id("client", seq),
            symbol="", side="", type="", time_in_force="day", order_class="",
            status=PENDING_NEW if self._is_open(now_us) else ACCEPTED, position_intent="", created_us=now_us,
            updated_us=now_us, expires_us=sessions.session(-1 if index is None else index).close_us, qty=ZERO,
        )  # fmt: skip

    # several

    def _take_multi(self, ticket: MultiTicket, now_us: int, figures: Figures) -> Order:
        book = self._book
        self._check_client_id(ticket.client_order_id)
        contracts = [self._contract(leg.symbol, now_us, 'contract "{}" not found') for leg in ticket.legs]
        if len({contract.underlying for contract in contracts}) > 1:
            raise unprocessable("the legs of an mleg order must have the same underlying")
        self._check_hours(ticket.type, now_us)
        check_level(book, SPREADS)
        for leg, contract in zip(ticket.legs, contracts, strict=True):
            check_intent(book, leg.symbol, leg.side, leg.intent)
            self._check_last_half_hour(contract, leg.intent, now_us)
            if leg.intent.endswith("to_close"):
                check_closing(book, leg.symbol, ticket.qty * leg.ratio)
        moves = {leg.symbol: ticket.qty * leg.ratio * (1 if leg.side == BUY else -1) for leg in ticket.legs}
        net = self._net_of(ticket, now_us)
        cost = net * ticket.qty * MULTIPLIER
        blocked = check_cover(book, moves_of(moves.items()), cost, power=figures().options_power)
        self._day_trades.check([(leg.symbol, leg.intent) for leg in ticket.legs], now_us)
        parent = copy_of(
            self._blank(ticket.client_order_id, now_us), type=ticket.type, order_class=MLEG, qty=ticket.qty,
            limit_price=ticket.limit_price, reserve_price=(blocked / ticket.qty).quantize(CENT),
        )  # fmt: skip
        book.add(parent)
        for leg in ticket.legs:
            order = copy_of(
                self._blank("", now_us), symbol=leg.symbol, side=leg.side, order_class=MLEG, role=MLEG_LEG,
                position_intent=leg.intent, qty=ticket.qty * leg.ratio, ratio_qty=leg.ratio, parent_id=parent.id,
                status=parent.status,
            )  # fmt: skip
            book.add(order)
            parent.leg_ids = [*parent.leg_ids, order.id]
        return parent

    def _net_of(self, ticket: MultiTicket, now_us: int) -> Decimal:
        if ticket.limit_price is not None:
            return ticket.limit_price
        net = ZERO
        for leg in ticket.legs:
            tick = self._options.tick(leg.symbol, now_us)
            assert tick is not None  # it is listed, and the market is open
            net += leg.ratio * (to_decimal(tick.ask) if leg.side == BUY else -to_decimal(tick.bid))
        return net

    # replacing

    def replace(
        self, order: Order, changes: Mapping[str, Any], now_us: int, figures: Figures, fate: Fate, ends: str
    ) -> tuple[dict[str, Any], Order]:
        """PATCH: as `desk.Desk.replace`, which has looked at the order's status. Of an ``mleg`` order only the
        limit can be replaced, and only of the whole. Raises Refusal.
        """
        new = self._multi_changed(order, changes, now_us, figures) if order.order_class == MLEG else None
        if new is None:
            new = self._single_changed(order, changes, now_us, figures)
        book = self._book
        order.before_pending, order.pending_ends = order.status, ends
        matching.hold(book, [order], PENDING_REPLACE, now_us, fate.until_us(now_us))
        announce(book, order, new)
        entity = order_entity(new, book.legs(order))
        if self._is_open(now_us):
            self.meet(order, now_us)
            self.meet(new, now_us)
        elif not fate.kind:
            self.settle(order, now_us)
        return entity, new

    def _single_changed(self, order: Order, changes: Mapping[str, Any], now_us: int, figures: Figures) -> Order:
        old = {"qty": order.qty, "limit_price": order.limit_price, "stop_price": order.stop_price}
        body: dict[str, Any] = {name: plain(value) for name, value in old.items() if value is not None}
        body |= {"symbol": order.symbol, "side": order.side, "type": order.type, "time_in_force": "day"}
        for name in ("qty", "limit_price", "stop_price", "time_in_force", "client_order_id"):
            if changes.get(name) not in (None, ""):
                body[name] = changes[name]
        ticket = parse_single(body)
        self._check_client_id(ticket.client_order_id)
        if (ticket.qty, ticket.limit_price, ticket.stop_price) == (order.qty, order.limit_price, order.stop_price):
            raise unprocessable("order parameters are not changed")
        assert ticket.qty is not None
        if ticket.qty <= order.filled_qty:
            raise unprocessable("qty must be > filled_qty")
        contract = self._contract(order.symbol, now_us, 'asset "{}" not found')
        intent, reserve = self._check_single(ticket, contract, now_us, figures, old=order)
        new = self._made(ticket, intent, now_us, reserve)
        new.qty = ticket.qty - order.filled_qty
        return new

    def _multi_changed(self, order: Order, changes: Mapping[str, Any], now_us: int, figures: Figures) -> Order:
        if order.role == MLEG_LEG:
            raise unprocessable("a leg of an mleg order cannot be replaced")
        asked = {name: value for name, value in changes.items() if value not in (None, "")}
        if asked.get("qty") is not None and str(asked["qty"]) != plain(order.qty or ZERO):
            raise unprocessable("the qty of an mleg order cannot be replaced")
        legs = self._book.legs(order)
        rows = [
            {"symbol": leg.symbol, "position_intent": leg.position_intent, "ratio_qty": plain(multileg.ratio_of(leg))}
            for leg in legs
        ]
        limit = asked.get("limit_price", None if order.limit_price is None else plain(order.limit_price))
        ticket = parse_multi(
            {"type": order.type, "qty": plain(order.remaining), "time_in_force": asked.get("time_in_force", "day"),
             "limit_price": limit, "legs": rows, "client_order_id": asked.get("client_order_id")}
        )  # fmt: skip
        self._check_client_id(ticket.client_order_id)
        if ticket.limit_price == order.limit_price:
            raise unprocessable("order parameters are not changed")
        signed = ((leg.symbol, leg.remaining if leg.side == BUY else -leg.remaining) for leg in legs)
        power = figures().options_power + order.remaining * order.reserve_price
        cost = (ticket.limit_price or ZERO) * order.remaining * MULTIPLIER
        blocked = check_cover(self._book, moves_of(signed), cost, power=power, without=order)
        return copy_of(
            self._blank(ticket.client_order_id, now_us), status=PENDING_NEW, type=order.type, order_class=MLEG,
            qty=order.remaining, limit_price=ticket.limit_price,
            reserve_price=(blocked / order.remaining).quantize(CENT),
        )  # fmt: skip

    # meeting the market

    def settle(self, order: Order, now_us: int) -> None:
        """The end of a pending status."""
        if order.order_class == MLEG:
            multileg.settle(self._book, order, self._ticks(order, now_us), now_us)
            return
        tick = self._options.tick(order.symbol, now_us)
        if tick is not None:
            matching.settle(self._book, order, tick, now_us)

    def meet(self, order: Order, now_us: int) -> None:
        """One order against the quotes of this instant, in regular hours."""
        if order.order_class == MLEG:
            multileg.meet(self._book, order, self._ticks(order, now_us), now_us)
            return
        tick = self._options.tick(order.symbol, now_us)
        if tick is not None:
            self._meet_single(order, tick, now_us)

    def _ticks(self, order: Order, now_us: int) -> dict[str, Tick | None]:
        legs = self._book.legs(order)
        return {leg.symbol: self._options.tick(leg.symbol, now_us) for leg in legs}

    def _meet_single(self, order: Order, tick: Tick, us: int) -> None:
        """Nobody buys at a bid of zero: a sale waits."""
        pending = order.status in (PENDING_CANCEL, PENDING_REPLACE)
        if order.side == SELL and not tick.bid and not pending:
            if (
                order.is_open
                and order.status in (ACCEPTED, PENDING_NEW)
                and us >= order.fills_from_us
                and order.replaces is None
            ):
                self._book.move(order, NEW, us)
            return
        matching.meet(self._book, order, tick, us)

    @property
    def has_orders(self) -> bool:
        return any(not symbol or is_option(symbol) for symbol in self._book.open)

    def on_tick(self, session: Session, place: int, us: int) -> None:
        """Every open order for contracts, at the underlyings' tick of this number: by symbol, oldest first; ``mleg``,
        which have none, before the others.
        """
        ticks: dict[str, Tick | None] = {}
        for symbol in sorted(self._book.open):
            if symbol and not is_option(symbol):
                continue
            for order in self._book.open_in(symbol):
                self._on_tick(order, ticks, session, place, us)

    def _on_tick(self, order: Order, ticks: dict[str, Tick | None], session: Session, place: int, us: int) -> None:
        if order.role == MLEG_LEG or not order.is_open:
            return
        for symbol in [leg.symbol for leg in self._book.legs(order)] or [order.symbol]:
            if symbol and symbol not in ticks:
                contract = parse_symbol(symbol)
                assert contract is not None
                ticks[symbol] = self._options.tick_at(contract, session, place)
        if order.order_class == MLEG:
            multileg.meet(self._book, order, ticks, us)
        elif (tick := ticks[order.symbol]) is not None:
            self._meet_single(order, tick, us)
