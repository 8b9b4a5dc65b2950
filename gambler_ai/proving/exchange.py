"""The far end: `exchange serve` as a process of its own, and what hands can do at it."""

from __future__ import annotations

import json
import signal
import urllib.request
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlencode

from gambler_ai.exchange.defaults import DEFAULT_START
from gambler_ai.proving.processes import PATIENCE_S, Start, Surprise

#: Statuses of an order of which no more is to come.
FINAL = ("filled", "canceled", "expired", "rejected", "replaced", "done_for_day")
#: Our client order ids begin with it.
OURS = "ga1-"
#: Steps of 15 market seconds that an order by hand may take to fill.
HOLD_STEPS = 40


class Fill(NamedTuple):
    """An execution, on either side of the wire."""

    activity_id: str
    symbol: str
    side: str
    qty: Decimal
    price: Decimal
    at: datetime


class Exchange:
    """One whose market moves only when a runner, or a hand, moves it; not ``paused``, it moves by itself."""

    def __init__(self, start: Start, env: Mapping[str, str], folder: Path, *options: str, paused: bool = True) -> None:
        stands = ["--paused"] if paused else []
        opens = () if "--at" in options else ("--at", DEFAULT_START.isoformat())  # where a session of its own begins
        command = ["exchange", "serve", *stands, *opens, "--json", "--port", "0", *options]
        self.running = start(command, env, folder)
        self.names: dict[str, str] = json.loads(self.running.wait_for("{"))
        self.url = self.names["ALPACA_TRADING_URL"]
        self.env = {name: value for name, value in self.names.items() if name.isupper()}

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> tuple[int, Any]:
        """Status and JSON of one request."""
        headers = {
            "APCA-API-KEY-ID": self.names["ALPACA_API_KEY"],
            "APCA-API-SECRET-KEY": self.names["ALPACA_API_SECRET"],
            "X-Exchange-Token": self.names["GAMBLER_EXCHANGE_TOKEN"],
            "Content-Type": "application/json",
        }
        url = f"{self.url}{path}{'?' + urlencode(query) if query else ''}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 (a loopback address of ours)
        try:
            with _OPENER.open(request, timeout=PATIENCE_S) as reply:
                text = reply.read()
                return reply.status, json.loads(text) if text else None
        except HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"null")

    def get(self, path: str, **query: Any) -> Any:
        """Raises Surprise unless it is answered."""
        return self._done("GET", path, None, **query)

    def plan(self, *faults: dict[str, Any]) -> None:
        """What goes wrong from here on; nothing more without faults."""
        self._done("POST", "/_exchange/faults", list(faults))

    def place(self, symbol: str, side: str, qty: str, **fields: Any) -> Any:
        """An order by hand."""
        order = {"symbol": symbol, "side": side, "qty": qty, "type": "market", "time_in_force": "day"} | fields
        return self._done("POST", "/v2/orders", order)

    def pass_time(self, **span: float) -> None:
        """Move the market by hand."""
        self._done("POST", "/_exchange/advance", {"to": (self.now() + timedelta(**span)).isoformat()})

    def now(self) -> datetime:
        """The market's time."""
        return datetime.fromisoformat(self.get("/_exchange/clock")["now"])

    def hold(self, symbol: str, side: str, qty: str) -> Decimal:
        """A position taken by hand, however many parts it takes. Signed.

        Raises:
            Surprise: it never filled.
        """
        order = self.place(symbol, side, qty)
        for _ in range(HOLD_STEPS):
            if self.get(f"/v2/orders/{order['id']}")["status"] == "filled":
                return self.positions().get(symbol, Decimal(0))
            self.pass_time(seconds=15)
        raise Surprise("it never filled")

    def make_a_dummy(self) -> None:
        """An order by hand that is gone at once. What it moves is the number the next order gets."""
        order = self.place("IBM", "buy", "1", type="limit", limit_price="1.00")
        self._done("DELETE", f"/v2/orders/{order['id']}", None)

    def cancel_legs(self, symbol: str) -> None:
        """Cancel by hand what protects a position."""
        for order in self.orders():
            for leg in order.get("legs") or ():
                if leg["symbol"] == symbol and leg["status"] not in FINAL:
                    self.call("DELETE", f"/v2/orders/{leg['id']}")

    def log(self) -> list[dict[str, Any]]:
        """Every POST of an order that ever arrived, oldest first."""
        rows: list[dict[str, Any]] = self.get("/_exchange/log")
        return rows

    def accepted(self) -> list[dict[str, Any]]:
        """The POSTs of ours that made an order."""
        return [r for r in self.log() if r["order_id"] and r["client_order_id"].startswith(OURS)]

    def orders(self) -> list[dict[str, Any]]:
        """All orders, oldest first, their legs within."""
        rows: list[dict[str, Any]] = self.get("/v2/orders", status="all", nested="true", limit=500, direction="asc")
        return rows

    def fills(self) -> list[Fill]:
        """All executions.

        Raises:
            Surprise: they are more than a page.
        """
        rows = self.get("/v2/account/activities/FILL", direction="asc")
        if len(rows) >= 100:
            raise Surprise("more fills than a page holds")
        return [
            Fill(
                r["id"], r["symbol"], r["side"].removesuffix("_short"), Decimal(r["qty"]), Decimal(r["price"]),
                datetime.fromisoformat(r["transaction_time"]),
            )
            for r in rows
        ]  # fmt: skip

    def positions(self) -> dict[str, Decimal]:
        """Symbol -> signed quantity."""
        return {r["symbol"]: Decimal(r["qty"]) for r in self.get("/v2/positions")}

    def stop(self) -> None:
        """End it."""
        if self.running.process.poll() is None:
            self.running.signal(signal.SIGTERM)
            self.running.end()

    def _done(self, method: str, path: str, body: Any, **query: Any) -> Any:
        status, answer = self.call(method, path, body, **query)
        if status not in (200, 204):
            raise Surprise(f"{method} {path}: {status} {answer}")
        return answer


#: Without the proxies of the environment: the exchange is on this machine.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
