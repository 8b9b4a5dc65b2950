"""An exchange of ours as its owner sees it: its control endpoints, which Alpaca does not have."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from gambler_ai.broker.convert import instant, wire_instant
from gambler_ai.broker.fence import FencedSession, changing, is_loopback, reading
from gambler_ai.core.text import one_line
from gambler_ai.errors import BrokerAuthError, BrokerRefused, BrokerUnreachable


class ExchangeClock(Struct, frozen=True):
    """Where the exchange's market stands. ``speed`` 0: it stands still until it is moved."""

    now: datetime
    speed: float
    labels: dict[str, str]


class Holding(Struct, frozen=True):
    """A position: signed quantity, price paid on average, last trade, profit so far."""

    symbol: str
    qty: Decimal
    avg_entry_price: Decimal
    current_price: Decimal
    unrealized_pl: Decimal


class OrderRow(Struct, frozen=True):
    """An order as the exchange has it; Alpaca's spelling. ``qty`` is None for dollars that have not filled."""

    id: str
    client_order_id: str
    submitted_at: datetime
    symbol: str
    side: str
    type: str
    order_class: str
    time_in_force: str
    qty: Decimal | None
    notional: Decimal | None
    filled_qty: Decimal
    filled_avg_price: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    status: str


class ExchangeStatus(Struct, frozen=True):
    """The exchange and its one account at an instant of its market. ``file`` is None when it lives in memory."""

    now: datetime
    is_open: bool
    next_open: datetime | None
    next_close: datetime | None
    speed: float
    seed: int
    file: str | None
    account_id: str
    account_number: str
    created_at: datetime
    begun_with: Decimal
    cash: Decimal
    equity: Decimal
    buying_power: Decimal
    positions: tuple[Holding, ...]
    orders_open: int
    orders: int
    fills: int
    posts: int
    faults: int


class ExchangeControl:
    """The control endpoints of an exchange of ours at ``url``."""

    def __init__(self, url: str, token: str) -> None:
        assert is_loopback(urlsplit(url).hostname)
        self._url = url.rstrip("/")
        self._token = token
        self._session = FencedSession()

    def clock(self) -> ExchangeClock | None:
        """Its clock; None when what answers is not an exchange of ours.

        Raises:
            BrokerUnreachable: nothing answers.
        """

        def read() -> ExchangeClock | None:
            reply = self._session.request("GET", f"{self._url}/_exchange/clock")
            if reply.status_code != 200:
                return None
            body = reply.json()
            return ExchangeClock(instant(body["now"]), float(body["speed"]), _labels(body["symbols"]))

        return reading(read)

    def advance(self, to: datetime) -> datetime:
        """Move the market to ``to``; returns the instant reached.

        Raises:
            BrokerUnreachable: it did not answer, or would not.
        """

        def move() -> datetime:
            reply = self._session.request(
                "POST", f"{self._url}/_exchange/advance", json={"to": wire_instant(to)},
                headers={"X-Exchange-Token": self._token},
            )  # fmt: skip
            if reply.status_code != 200:
                raise BrokerUnreachable(f"the exchange would not move its market (HTTP {reply.status_code})")
            return instant(reply.json()["now"])

        return reading(move)

    def status(self) -> ExchangeStatus:
        """How the exchange and its account stand.

        Raises:
            BrokerAuthError: the token is another exchange's. BrokerUnreachable, ReadFailed: no answer, or none of ours.
        """
        return reading(lambda: msgspec.convert(self._ask("GET", "status"), ExchangeStatus, strict=False))

    def orders(self, *, only_open: bool) -> list[OrderRow]:
        """Its orders, oldest first. Raises as `status`."""
        query = "?status=open" if only_open else ""
        return reading(lambda: msgspec.convert(self._ask("GET", f"orders{query}"), list[OrderRow], strict=False))

    def reset(self, cash: Decimal | None) -> ExchangeStatus:
        """Another account under the same keys, as after a reset on Alpaca's site; with as much cash as the last one
        began with, unless told otherwise.

        Raises:
            BrokerAuthError, BrokerUnreachable: as `status`. BrokerRefused: it cannot be that much.
            OutcomeUnknown: it may have been done.
        """
        body = {} if cash is None else {"cash": f"{cash:f}"}
        return changing(lambda: msgspec.convert(self._ask("POST", "reset", body), ExchangeStatus, strict=False))

    def _ask(self, method: str, what: str, body: dict[str, Any] | None = None) -> Any:
        reply = self._session.request(
            method, f"{self._url}/_exchange/{what}", json=body, headers={"X-Exchange-Token": self._token}
        )
        if reply.status_code == 401:
            raise BrokerAuthError("the token is not this exchange's", hint="read it again: . FILE of --env-file")
        if reply.status_code != 200:
            said = one_line(str(reply.json().get("message", "")), 200)
            raise BrokerRefused(f"the exchange says no: {said}", status=reply.status_code, code=None)
        return reply.json()


def _labels(symbols: dict[str, str]) -> dict[str, str]:
    return {one_line(str(name), 32): one_line(str(label), 80) for name, label in symbols.items()}
