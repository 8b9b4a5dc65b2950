"""Answers to questions about the account: order lists, positions, activities. Nothing here changes
anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gambler_ai.exchange.accounts import Position, replay
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.instants import DAY, SECOND, parse_rfc3339
from gambler_ai.exchange.orders import HELD, Fill, Order
from gambler_ai.exchange.refusal import Refusal, bad_parameter
from gambler_ai.exchange.views import position_entity
from gambler_ai.exchange.wire import activity_entity, order_entity

ORDERS_LIMIT, ORDERS_MAX = 50, 500
ACTIVITIES_MAX = 100
Params = Mapping[str, str]


def truth(text: str | None) -> bool:
    """Booleans in queries arrive as ``true`` or ``True`` (BEHAVIOUR 1)."""
    return (text or "").lower() in ("true", "1")


def _instant(params: Params, name: str) -> int | None:
    text = params.get(name)
    if not text:
        return None
    try:
        return parse_rfc3339(text)
    except (ValueError, OverflowError):
        raise bad_parameter(f"invalid {name}") from None


def _count(params: Params, name: str, default: int, largest: int) -> int:
    try:
        count = int(params.get(name) or default)
    except ValueError:
        raise bad_parameter(f"invalid {name}") from None
    if not 1 <= count <= largest:
        raise bad_parameter(f"{name} must be between 1 and {largest}")
    return count


def _newest_first(params: Params) -> bool:
    direction = params.get("direction") or "desc"
    if direction not in ("asc", "desc"):
        raise bad_parameter("invalid direction")
    return direction == "desc"


_STATUS: dict[str, Callable[[Order], bool]] = {
    # A held leg is listed neither as open nor as closed (BEHAVIOUR 3, "Queries"); ask for all, nested.
    "open": lambda order: order.is_open and order.status != HELD,
    "closed": lambda order: not order.is_open,
    "all": lambda _: True,
}


def list_orders(exchange: Exchange, params: Params) -> list[dict[str, Any]]:
    """GET /v2/orders. ``after`` and ``until`` are exclusive, on submitted_at. Raises Refusal."""
    status = params.get("status") or "open"
    if status not in _STATUS:
        raise bad_parameter("invalid status")
    nested, wanted = truth(params.get("nested")), _STATUS[status]
    after, until = _instant(params, "after"), _instant(params, "until")
    symbols = {symbol.strip().upper() for symbol in (params.get("symbols") or "").split(",") if symbol.strip()}
    side, limit = params.get("side"), _count(params, "limit", ORDERS_LIMIT, ORDERS_MAX)
    book = exchange.book
    pool: Iterable[Order] = book.open_orders() if status == "open" else book.orders.values()
    rows = [
        order
        for order in pool
        if wanted(order)
        and not (nested and order.parent_id)
        and (after is None or order.created_us > after)
        and (until is None or order.created_us < until)
        and (not symbols or order.symbol in symbols)
        and (not side or order.side == side)
    ]
    rows.sort(key=lambda order: order.seq, reverse=_newest_first(params))
    rows = _cut(exchange, rows, params)[:limit]
    return [order_entity(order, book.legs(order) if nested else ()) for order in rows]


def _cut(exchange: Exchange, rows: list[Order], params: Params) -> list[Order]:
    """before_order_id and after_order_id: exclusive of each other, by the time of submission."""
    before, after = params.get("before_order_id"), params.get("after_order_id")
    if before and after:
        raise bad_parameter("only one of before_order_id and after_order_id is accepted")
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
    return replay(fill for fill in exchange.book.fills if fill.at_us <= edge)


def list_positions(exchange: Exchange, late_s: float | None) -> list[dict[str, Any]]:
    found = positions_seen(exchange, late_s)
    return [position_entity(exchange, found[symbol]) for symbol in sorted(found)]


def list_activities(exchange: Exchange, params: Params, only: str | None) -> list[dict[str, Any]]:
    """Fills; newest first unless told otherwise; ``page_token`` is the last id seen (BEHAVIOUR 5). Raises
    Refusal.
    """
    types = {name for name in (only or params.get("activity_types") or "FILL").upper().split(",") if name}
    if "FILL" not in types:
        return []  # nothing else ever happens to this account yet
    after, until = _instant(params, "after"), _instant(params, "until")
    day = _instant(params, "date")
    size = _count(params, "page_size", ACTIVITIES_MAX, ACTIVITIES_MAX)
    if day is not None and not params.get("page_size"):
        size = len(exchange.book.fills) or 1
    rows: list[Fill] = [
        fill
        for fill in exchange.book.fills
        if (after is None or fill.at_us > after)
        and (until is None or fill.at_us < until)
        and (day is None or day <= fill.at_us < day + DAY)
    ]
    newest_first = _newest_first(params)
    rows.sort(key=lambda fill: fill.seq, reverse=newest_first)
    token = params.get("page_token")
    if token:
        seq = next((fill.seq for fill in exchange.book.fills if fill.id == token), None)
        if seq is None:
            raise Refusal(422, 40010001, "invalid page_token")
        rows = [fill for fill in rows if (fill.seq < seq if newest_first else fill.seq > seq)]
    return [activity_entity(fill) for fill in rows[:size]]
