"""A broker that keeps its own books in memory, and may lose what it is told or what it says."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core.model import Fill, Side
from gambler_ai.core.orders import OrderReport
from tests.unit.fakes import MARKET, reading

DONE = ("filled", "canceled", "expired")
ZERO = Decimal(0)


@dataclass
class ModelBroker:
    """Brackets, OCOs, stops and market orders; a leg wakes when its entry is whole, and its sibling goes with it."""

    orders: dict[str, OrderReport] = field(default_factory=dict)  # heads, with their legs within
    fills: list[Fill] = field(default_factory=list)
    bodies: dict[str, str] = field(default_factory=dict)

    def submit(self, body: str, at: datetime) -> OrderReport | None:
        """The order; None when the id is taken."""
        asked = json.loads(body)
        coid = asked["client_order_id"]
        assert self.bodies.setdefault(coid, body) == body, "one id with two bodies"
        if coid in self.orders:
            return None
        shape = asked.get("order_class", "simple")
        head = OrderReport(
            order_id=f"o{len(self.orders)}", client_order_id=coid, symbol=asked["symbol"], side=Side(asked["side"]),
            qty=Decimal(asked["qty"]), filled_qty=ZERO, filled_avg_price=None, type=asked["type"], order_class=shape,
            time_in_force=asked["time_in_force"], limit_price=_limit(asked), stop_price=_stop(asked), status="new",
            submitted_at=at, updated_at=at,
        )  # fmt: skip
        if shape == "bracket":
            target = self._leg(head, "limit", Decimal(asked["take_profit"]["limit_price"]))
            head = replace(head, legs=(target, self._leg(head, "stop", Decimal(asked["stop_loss"]["stop_price"]))))
        if shape == "oco":
            stop = self._leg(head, "stop", Decimal(asked["stop_loss"]["stop_price"]))
            head = replace(head, legs=(replace(stop, side=head.side, status="new"),))
        self.orders[coid] = head
        return head

    @staticmethod
    def _leg(head: OrderReport, kind: str, price: Decimal) -> OrderReport:
        return replace(
            head, order_id=f"{head.order_id}-{kind}", client_order_id=f"theirs-{head.order_id}-{kind}", type=kind,
            side=head.side.opposite, status="held", limit_price=price if kind == "limit" else None,
            stop_price=price if kind == "stop" else None, legs=(),
        )  # fmt: skip

    def working(self) -> list[tuple[str, str]]:
        """(head's client id, order's id) of everything that may fill now, in one order."""
        found = []
        for coid, head in self.orders.items():
            found += [(coid, o.order_id) for o in (head, *head.legs) if o.status in ("new", "partially_filled")]
        return found

    def fill(self, place: tuple[str, str], part: int, at: datetime) -> None:
        """Execute a quarter times ``part`` of what is left, at least a share; not beyond what an exit may close."""
        head = self.orders[place[0]]
        order = next(o for o in (head, *head.legs) if o.order_id == place[1])
        left = order.qty - order.filled_qty
        qty = left if part == 4 else min(left, max(Decimal(1), (left * part / 4).to_integral_value()))
        held = self.qty(order.symbol)
        if not (head.order_class == "bracket" and order is head) and (
            held == 0 or (held > 0) == (order.side is Side.BUY)
        ):
            return
        total = order.filled_qty + qty
        status = "filled" if total == order.qty else "partially_filled"
        self.fills.append(Fill(
            activity_id=f"a{len(self.fills)}", order_id=order.order_id, symbol=order.symbol, side=order.side, qty=qty,
            price=Decimal(100), at=at,
        ))  # fmt: skip
        self._put(
            head, replace(order, filled_qty=total, status=status, filled_avg_price=Decimal(100), updated_at=at), at
        )

    def cancel(self, order_id: str, at: datetime, status: str = "canceled") -> None:
        """End an order, and what goes with it, unless it has ended."""
        for head in list(self.orders.values()):
            for order in (head, *head.legs):
                if order.order_id == order_id and order.status not in DONE:
                    self._put(head, replace(order, status=status, updated_at=at), at)

    def _put(self, head: OrderReport, changed: OrderReport, at: datetime) -> None:
        members = [changed if o.order_id == changed.order_id else o for o in (head, *head.legs)]
        if changed.order_id == head.order_id and head.order_class == "bracket":
            wake = {"filled": "new", "canceled": "canceled", "expired": "canceled"}.get(changed.status)
            if wake is not None:
                members[1:] = [replace(o, status=wake, updated_at=at) if o.status == "held" else o for o in members[1:]]
        elif changed.status in DONE:  # one cancels the other
            first = 1 if head.order_class == "bracket" else 0
            members[first:] = [
                replace(o, status="canceled", updated_at=at) if o.status not in DONE else o for o in members[first:]
            ]
        self.orders[head.client_order_id] = replace(members[0], legs=tuple(members[1:]))

    def qty(self, symbol: str, upto: int | None = None) -> Decimal:
        """What the account holds; with ``upto`` as of so many fills."""
        return sum((f.qty * f.side.sign for f in self.fills[:upto] if f.symbol == symbol), ZERO)

    def report(self, market: ev.MarketReport, expect: list[str], *, misses: bool, late: bool) -> ev.BrokerReport:
        """One reading. ``misses``: look-ups find nothing and the list is late; ``late``: so are the positions."""
        seen = [] if misses else list(self.orders.values())
        listed = {o.client_order_id for o in seen}
        symbols = sorted({f.symbol for f in self.fills})
        upto = len(self.fills) - 1 if late else None
        held = {s: self.qty(s, upto) for s in symbols}
        positions = [ev.PositionReport(s, q, Decimal(100), Decimal(100)) for s, q in held.items() if q]
        lookups = {coid: None if misses else self.orders.get(coid) for coid in expect if coid not in listed}
        known = {o.order_id for head in seen for o in (head, *head.legs)}
        fills = [f for f in self.fills if f.order_id in known]
        return reading(orders=seen, fills=fills, positions=positions, lookups=lookups, market=market)


def _limit(asked: dict[str, object]) -> Decimal | None:
    profit = asked.get("take_profit")
    return Decimal(str(profit["limit_price"])) if isinstance(profit, dict) and asked["type"] == "limit" else None


def _stop(asked: dict[str, object]) -> Decimal | None:
    return Decimal(str(asked["stop_price"])) if "stop_price" in asked else None


def market_at(at: datetime) -> ev.MarketReport:
    """The market's clock, open as long as an example needs it."""
    return replace(MARKET, at=at)
