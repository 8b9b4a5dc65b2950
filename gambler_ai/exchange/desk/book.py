"""Everything the exchange knows of its one account, in memory, and what of it has changed since the last
commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

from gambler_ai.exchange.desk.accounts import Account, Position
from gambler_ai.exchange.desk.events import EventLog
from gambler_ai.exchange.desk.orders import BUY, FILLED, PARTIALLY_FILLED, Fill, Order
from gambler_ai.exchange.hashing import make_uuid
from gambler_ai.exchange.instants import new_york
from gambler_ai.exchange.numbers import ZERO
from gambler_ai.exchange.options.contracts import multiplier


class Book:
    """Orders, fills, positions and cash. Every change goes through a method here, so that it is journaled."""

    def __init__(self, account_seed: str, seed: int, account: Account) -> None:
        self.account_seed = account_seed
        self.seed = seed
        self.account = account
        self.orders: dict[str, Order] = {}
        self.by_client_id: dict[str, Order] = {}
        self.fills: list[Fill] = []
        self.positions: dict[str, Position] = {}
        self.open: dict[str, dict[str, Order]] = {}  # symbol -> open orders, oldest first
        self.changed_orders: dict[str, Order] = {}
        self.changed_positions: set[str] = set()
        self.account_changed = False
        self.saved_fills = 0
        self.events = EventLog(account_seed)
        self.exits_race: Callable[[str], bool] = lambda _: False  # a fault may let both exits of a symbol fill

    # what is there

    @property
    def next_seq(self) -> int:
        return len(self.orders) + 1

    def new_id(self, kind: str, seq: int) -> str:
        """The id that the order of this number gets: ``order``, or ``client`` where the client gave none."""
        return make_uuid(self.account_seed, kind, seq)

    def open_orders(self) -> Iterable[Order]:
        for orders in self.open.values():
            yield from orders.values()

    def open_in(self, symbol: str) -> list[Order]:
        return list(self.open.get(symbol, {}).values())

    def position_qty(self, symbol: str) -> Decimal:
        position = self.positions.get(symbol)
        return position.qty if position else ZERO

    def legs(self, order: Order) -> list[Order]:
        return [self.orders[leg] for leg in order.leg_ids]

    def members(self, order: Order) -> list[Order]:
        """The order's whole bracket, OCO or OTO, itself included."""
        head = self.orders[order.group]
        return [head, *self.legs(head)]

    # what happens

    def load(self, orders: Iterable[Order], fills: Iterable[Fill], positions: Iterable[Position]) -> None:
        for order in orders:
            self._index(order)
        self.fills = list(fills)
        self.saved_fills = len(self.fills)
        self.positions = {position.symbol: position for position in positions}

    def _index(self, order: Order) -> None:
        self.orders[order.id] = order
        self.by_client_id[order.client_order_id] = order
        if order.is_open:
            self.open.setdefault(order.symbol, {})[order.id] = order

    def add(self, order: Order) -> None:
        self._index(order)
        self.changed_orders[order.id] = order

    def touch(self, order: Order) -> None:
        """Call after any change of an order: it is written at the next commit, and leaves the open ones at
        its end.
        """
        self.changed_orders[order.id] = order
        if not order.is_open and order.symbol in self.open:
            self.open[order.symbol].pop(order.id, None)
            if not self.open[order.symbol]:
                del self.open[order.symbol]

    def move(self, order: Order, status: str, us: int) -> None:
        order.move(status, us)
        self.touch(order)
        self.events.note(order, self.legs(order))

    def fill(self, order: Order, qty: Decimal, price: Decimal, us: int) -> Fill:
        """Execute: the order, the position and the cash move together."""
        order.filled_qty += qty
        order.filled_value += qty * price
        if order.qty is None:  # a notional order learns its quantity when it fills
            order.qty = qty
        leaves = order.remaining
        order.move(PARTIALLY_FILLED if leaves else FILLED, us)
        self.touch(order)
        seq = len(self.fills) + 1
        stamp = new_york(us)
        prefix = f"{stamp:%Y%m%d%H%M%S}{stamp.microsecond // 1000:03d}"
        fill = Fill(
            seq=seq,
            id=f"{prefix}::{make_uuid(self.account_seed, 'fill', seq)}",
            order_id=order.id,
            symbol=order.symbol,
            side=order.side,
            at_us=us,
            qty=qty,
            price=price,
            cum_qty=order.filled_qty,
            leaves_qty=leaves,
            status=order.status,
        )
        self.fills.append(fill)
        value = qty * price * multiplier(order.symbol)
        self.account.cash += -value if order.side == BUY else value
        self.account_changed = True
        self._apply(fill)
        self.events.note_fill(order, self.legs(order), fill, self.position_qty(order.symbol))
        return fill

    def _apply(self, fill: Fill) -> None:
        position = self.positions.setdefault(fill.symbol, Position(symbol=fill.symbol))
        position.apply(fill.signed_qty, fill.price)
        if not position.qty:
            del self.positions[fill.symbol]
        self.changed_positions.add(fill.symbol)

    def roll_over(self, equity: Decimal, maintenance: Decimal, gross_cost: Decimal, options: Decimal = ZERO) -> None:
        """A new day in New York: yesterday's figures are what today is measured against."""
        account, figures = self.account, (equity, maintenance, gross_cost, options)
        before = account.last_equity, account.last_maintenance, account.last_gross, account.last_options
        if before != figures:
            account.last_equity, account.last_maintenance, account.last_gross, account.last_options = figures
            self.account_changed = True
        for position in self.positions.values():
            position.day_qty, position.day_cost = position.qty, ZERO
            self.changed_positions.add(position.symbol)

    @property
    def has_changes(self) -> bool:
        changed = self.changed_orders or self.changed_positions or self.account_changed
        return bool(changed) or self.saved_fills < len(self.fills)

    def saved(self) -> None:
        self.changed_orders.clear()
        self.changed_positions.clear()
        self.account_changed = False
        self.saved_fills = len(self.fills)
