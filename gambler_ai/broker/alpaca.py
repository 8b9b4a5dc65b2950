"""Orders and what came of them, on top of the account: `core.ports.Broker`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote

from gambler_ai.broker import convert
from gambler_ai.broker.account import AlpacaAccount
from gambler_ai.broker.fence import Encoded, changing
from gambler_ai.core.events import PositionReport
from gambler_ai.core.model import Activity, Fill
from gambler_ai.core.orders import OrderReport
from gambler_ai.errors import ReadFailed

#: What one page may hold (BEHAVIOUR 3 and 5), and how many pages we read before we call it a fault.
ORDERS_PAGE = 500
FILLS_PAGE = 100
PAGES_MAX = 1_000
#: Orders, or fills, of one reading.
ROWS_MAX = 200_000
#: The finest instant that we can name.
TICK = timedelta(microseconds=1)

A = TypeVar("A", bound=Activity | Fill)


class AlpacaBroker(AlpacaAccount):
    """The paper account at ``url``, with its orders, fills and positions. One instance, one thread."""

    def orders(self, since: datetime) -> list[OrderReport]:
        found: dict[str, OrderReport] = {}
        after = since
        for _ in range(PAGES_MAX):
            query = {"status": "all", "nested": "true", "direction": "asc", "limit": ORDERS_PAGE}
            full, page = self._read("/orders", query | {"after": convert.wire_instant(after)}, _orders)
            fresh = [o for o in page if o.order_id not in found]
            found |= {o.order_id: o for o in fresh}
            if len(found) > ROWS_MAX:
                break
            # Legs may count, and a group is not cut: a page that is full can be two short. One that is full of
            # what we know already is only the end if it is not full by any way of counting.
            if full + 2 < ORDERS_PAGE or (not fresh and len(page) < ORDERS_PAGE):
                return list(found.values())
            if not fresh:
                break
            after = page[-1].submitted_at - TICK  # `after` is exclusive, and orders can share an instant
        raise ReadFailed("the broker's list of orders does not end")

    def order_by_client_id(self, client_order_id: str) -> OrderReport | None:
        query = {"client_order_id": client_order_id, "nested": "true"}
        found = self._or_none("/orders:by_client_order_id", query, _or_its_id)
        # The look-up by our id answers without legs; the one by theirs has them.
        if isinstance(found, str):
            whole = self.order(found)
            if whole is None:
                raise ReadFailed("the broker knows an order of several legs and does not show them")
            return whole
        return found and (self.order(found.order_id) or found)

    def order(self, order_id: str) -> OrderReport | None:
        return self._or_none(f"/orders/{quote(order_id, safe='')}", {"nested": "true"}, convert.order)

    def fills(self, since: datetime) -> list[Fill]:
        return self._activities("/FILL", {}, since, convert.fill, "fills")

    def actions(self, since: datetime) -> list[Activity]:
        found = self._activities("", {"category": "non_trade_activity"}, since, _action, "activities")
        return [action for action in found if isinstance(action, Activity)]

    def _activities(
        self, path: str, which: dict[str, Any], since: datetime, parse: Callable[[Any], A], what: str
    ) -> list[A]:
        """Pages of activities, oldest first, each once."""
        found: dict[str, A] = {}
        query = which | {"after": convert.wire_instant(since), "direction": "asc", "page_size": FILLS_PAGE}
        for _ in range(PAGES_MAX):
            page = self._read(f"/account/activities{path}", query, lambda body: [parse(a) for a in body])
            found |= {a.activity_id: a for a in page}
            if len(found) > ROWS_MAX:
                break
            if len(page) < FILLS_PAGE:
                return list(found.values())
            query = query | {"page_token": page[-1].activity_id}
        raise ReadFailed(f"the broker's list of {what} does not end")

    def positions(self) -> list[PositionReport]:
        return self._read("/positions", {}, lambda body: [convert.position(p) for p in body])

    def submit(self, body: str) -> OrderReport:
        return changing(lambda: convert.order(self._client.post("/orders", Encoded(body))))

    def replace(self, order_id: str, body: str) -> OrderReport:
        path = f"/orders/{quote(order_id, safe='')}"
        return changing(lambda: convert.order(self._client.patch(path, Encoded(body))))

    def cancel(self, order_id: str) -> None:
        changing(lambda: self._client.delete(f"/orders/{quote(order_id, safe='')}"))


def _action(body: Any) -> Activity | Fill:
    """One that is a trade all the same is read as one: a server may not know of categories."""
    return convert.fill(body) if body["activity_type"] == "FILL" else convert.activity(body)


def _orders(body: Any) -> tuple[int, list[OrderReport]]:
    """The length of a page, legs counted since Alpaca may, and its orders.

    One of several contracts that is shown without them says of nothing what it is for: it is left out, and looked up
    by its id if it is ours.
    """
    told = [o for o in body if o.get("legs") or not convert.is_mleg_parent(o)]
    return sum(1 + len(o.get("legs") or ()) for o in body), [convert.order(o) for o in told]


def _or_its_id(body: Any) -> OrderReport | str:
    """An order; of one whose legs are not told its id, by which they are."""
    if convert.is_mleg_parent(body) and not body.get("legs"):
        return convert.word(body["id"])
    return convert.order(body)
