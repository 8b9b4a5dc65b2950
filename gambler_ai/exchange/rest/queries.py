"""Answers to questions about the account: order lists and positions. Nothing here changes
anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from gambler_ai.exchange.desk.accounts import Position, replay
from gambler_ai.exchange.desk.expiry import moves_of
from gambler_ai.exchange.desk.orders import BUY, HELD, SELL, Order
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.instants import SECOND
from gambler_ai.exchange.refusal import bad_parameter
from gambler_ai.exchange.rest.params import Params, count, instant, newest_first, truth
from gambler_ai.exchange.wire.entities import order_entity
from gambler_ai.exchange.wire.views import position_entity

ORDERS_LIMIT, ORDERS_MAX = 50, 500

OCC_TAIL = 15  # characters
_ASSET_CLASSES = {
    "us_equity", "us_option", "crypto", "crypto_perp", "treasury", "corporate", "global_equity", "us_index",
    "us_equity_chain", "ipo", "all",
}  # fmt: skip
_STATUS: dict[str, Callable[[Order], bool]] = {
    # A held leg is listed neither as open nor as closed (BEHAVIOUR 3, "Queries"); ask for all, nested.
    "open": lambda order: order.is_open and order.status != HELD,
    "closed": lambda order: not order.is_open,
    "all": lambda _: True,
}


class Sight(NamedTuple):
    """What a fault leaves to be seen of the orders: those of ``edge_us``, as they were then; all without it."""

    edge_us: int | None = None
    hides: bool = False  # the younger ones are missed, the others are seen as they are

    def of(self, exchange: Exchange, order: Order) -> Order | None:
        if self.edge_us is None:
            return order
        if self.hides:
            return order if order.created_us <= self.edge_us else None
        return exchange.book.events.as_of(order, self.edge_us)

    def entity(self, exchange: Exchange, order: Order, *, nested: bool = True) -> dict[str, Any] | None:
        """None for an order that is not seen."""
        seen = self.of(exchange, order)
        if seen is None:
            return None
        legs = [self.of(exchange, leg) for leg in exchange.book.legs(seen)] if nested else []
        return order_entity(seen, [leg for leg in legs if leg is not None])


CLEAR = Sight()


def list_orders(exchange: Exchange, params: Params, sight: Sight = CLEAR) -> list[dict[str, Any]]:
    """GET /v2/orders. ``after`` and ``until`` are exclusive, on submitted_at. Raises Refusal."""
    status = params.get("status") or "open"
    if status not in _STATUS:
        raise bad_parameter("invalid status")
    nested, wanted = truth(params.get("nested")), _STATUS[status]
    after, until = instant(params, "after"), instant(params, "until")
    symbols = {symbol.strip().upper() for symbol in (params.get("symbols") or "").split(",") if symbol.strip()}
    side, limit = params.get("side") or "", count(params, "limit", ORDERS_LIMIT, ORDERS_MAX)
    if side not in ("", BUY, SELL):
        raise bad_parameter("invalid side")
    classes = _asset_classes(params)
    book = exchange.book
    pool: Iterable[Order] = book.open_orders() if status == "open" and sight == CLEAR else book.orders.values()
    rows = [  # what is newer comes first: an account of a year has thousands that nobody asks for
        order
        for order in pool
        if (after is None or order.created_us > after)
        and (until is None or order.created_us < until)
        and not (nested and order.parent_id)
        and (seen := sight.of(exchange, order)) is not None
        and wanted(seen)
        and (not symbols or order.symbol in symbols)
        and (not side or order.side == side)
        and (not classes or _asset_class(order) in classes)
    ]
    rows.sort(key=lambda order: order.seq, reverse=newest_first(params))
    rows = _cut(exchange, rows, params)[:limit]
    return [entity for order in rows if (entity := sight.entity(exchange, order, nested=nested)) is not None]


def _asset_classes(params: Params) -> set[str]:
    """Those asked for, of all that Alpaca has; empty for every one."""
    classes = {name.strip() for name in (params.get("asset_class") or "").split(",") if name.strip()}
    if not classes <= _ASSET_CLASSES:
        raise bad_parameter("invalid asset_class")
    return set() if "all" in classes else classes


def _asset_class(order: Order) -> str:
    """A contract's symbol ends with its expiry, kind and strike, 15 characters."""
    return "us_option" if len(order.symbol) > OCC_TAIL else "us_equity"


def _cut(exchange: Exchange, rows: list[Order], params: Params) -> list[Order]:
    """before_order_id and after_order_id: exclusive of each other and of after and until, by the time of submission."""
    before, after = params.get("before_order_id"), params.get("after_order_id")
    if before and after:
        raise bad_parameter("only one of before_order_id and after_order_id is accepted")
    if (before or after) and (params.get("after") or params.get("until")):
        raise bad_parameter("before_order_id and after_order_id cannot be combined with after or until")
    if before or after:
        seq = exchange.desk.find(before or after or "").seq
        return [order for order in rows if (order.seq < seq if before else order.seq > seq)]
    return rows


def positions_seen(exchange: Exchange, late_s: float | None) -> dict[str, Position]:
    """The positions; with ``late_s`` those that the fills of at least so many market seconds ago make (a
    fault).
    """
    if late_s is None:
        return exchange.book.positions
    edge = exchange.now_us - int(late_s * SECOND)
    splits = [
        (at_us, asset.symbol, ratio) for at_us, series, ratio in exchange.deeds.splits() if at_us <= edge
        for asset in exchange.market.assets.values() if asset.series == series
    ]  # fmt: skip
    fills = [
        fill for fill in (*exchange.book.fills, *moves_of(exchange.annals, exchange.account_id)) if fill.at_us <= edge
    ]
    return replay(sorted(fills, key=lambda fill: fill.at_us), splits)


def list_positions(exchange: Exchange, late_s: float | None) -> list[dict[str, Any]]:
    found = positions_seen(exchange, late_s)
    return [position_entity(exchange, found[symbol]) for symbol in sorted(found)]
