"""A small client of the exchange, without sockets and without alpaca-py: raw JSON in, raw JSON out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.faults import FaultPlan
from gambler_ai.exchange.rest.server import create_app
from gambler_ai.exchange.rest.transport import ExchangeSession

IN_SESSION = datetime(2007, 11, 13, 15, 0, tzinfo=UTC)  # 10:00 in New York, a Tuesday
BEFORE_OPEN = datetime(2007, 11, 13, 13, 0, tzinfo=UTC)


class World:
    """One exchange and a way to talk to it."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.faults = FaultPlan()
        self.session = ExchangeSession(create_app(exchange, "token", self.faults))
        self.session.headers.update({"APCA-API-KEY-ID": exchange.key_id, "APCA-API-SECRET-KEY": exchange.secret_key})

    def call(self, method: str, path: str, body: Any = None, **params: Any) -> tuple[int, Any]:
        reply = self.session.request(method, self.session.url + path, json=body, params=params)
        return reply.status_code, (reply.json() if reply.content else None)

    def get(self, path: str, **params: Any) -> Any:
        status, body = self.call("GET", path, **params)
        assert status == 200, body
        return body

    def order(self, **fields: Any) -> Any:
        """POST an order that must be taken; a market buy of ten AAPL for the day unless told otherwise."""
        status, body = self.call("POST", "/v2/orders", order_body(**fields))
        assert status == 200, body
        return body

    def bracket(self, qty: int = 10, *, up: str = "0.04", down: str = "0.02", **fields: Any) -> Any:
        """A bracket buy around the last trade."""
        last = self.last(fields.get("symbol", "AAPL"))
        cent = Decimal("0.01")
        return self.order(
            qty=qty,
            order_class="bracket",
            take_profit={"limit_price": str((last * (1 + Decimal(up))).quantize(cent))},
            stop_loss={"stop_price": str((last * (1 - Decimal(down))).quantize(cent))},
            **fields,
        )

    def last(self, symbol: str = "AAPL") -> Decimal:
        return Decimal(str(self.get(f"/v2/stocks/{symbol}/trades/latest")["trade"]["p"]))

    def quote(self, symbol: str = "AAPL") -> tuple[Decimal, Decimal]:
        quote = self.get(f"/v2/stocks/{symbol}/quotes/latest")["quote"]
        return Decimal(str(quote["bp"])), Decimal(str(quote["ap"]))

    def look(self, order_id: str) -> Any:
        return self.get(f"/v2/orders/{order_id}")

    def pass_time(self, **duration: float) -> None:
        self.exchange.advance(self.exchange.now() + timedelta(**duration))

    def filled(self, **fields: Any) -> Any:
        """An order that has filled completely, however many parts it took."""
        order = self.bracket(**fields) if fields.pop("bracketed", False) else self.order(**fields)
        for _ in range(20):
            if self.look(order["id"])["status"] == "filled":
                return self.look(order["id"])
            self.pass_time(seconds=20)
        raise AssertionError("it never filled")

    def close(self) -> None:
        self.session.close()
        self.exchange.close()


def order_body(**fields: Any) -> dict[str, Any]:
    return {"symbol": "AAPL", "qty": 10, "side": "buy", "type": "market", "time_in_force": "day"} | fields


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """``make_world(start, file=False, **open)``"""
    worlds: list[World] = []

    def make(start: datetime | None = IN_SESSION, *, file: bool = False, **more: Any) -> World:
        path = tmp_path / "exchange.db" if file else None
        worlds.append(World(Exchange.open(path, start=start, **{"seed": 7} | more)))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """In session, 10:00 in New York."""
    return make_world()
