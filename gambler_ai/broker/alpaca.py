"""Orders and account over alpaca-py's TradingClient: `core.ports.Broker`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote

import requests
from alpaca.trading.client import TradingClient
from msgspec import Struct

from gambler_ai.broker import convert
from gambler_ai.broker.fence import (
    TRADING_HOST,
    Encoded,
    FencedSession,
    changing,
    check_url,
    fence,
    printable,
    reading,
)
from gambler_ai.broker.pace import TokenBucket
from gambler_ai.core.events import MarketReport, PositionReport
from gambler_ai.core.model import Account, Activity, Fill, Instrument
from gambler_ai.core.orders import OrderReport
from gambler_ai.errors import BrokerRefused, ConfigError, ReadFailed, RecoveryHalted

#: What one page may hold (BEHAVIOUR 3 and 5), and how many pages we read before we call it a fault.
ORDERS_PAGE = 500
FILLS_PAGE = 100
PAGES_MAX = 1_000
#: Orders, or fills, of one reading.
ROWS_MAX = 200_000

#: More symbols than this are looked up in the whole list (thousands of assets) rather than each by itself.
ASSETS_ONE_BY_ONE = 30
#: The finest instant that we can name.
TICK = timedelta(microseconds=1)

T = TypeVar("T")
A = TypeVar("A", bound=Activity | Fill)


class Standing(Struct, frozen=True):
    """Whether the account can trade. ``blocks`` names what stands in the way, in Alpaca's words."""

    account_id: str
    number: str
    status: str
    blocks: tuple[str, ...]


class AlpacaBroker:
    """The paper account at ``url``. One instance, one thread."""

    def __init__(
        self, key: str, secret: str, url: str, session: requests.Session | None = None,
        bucket: TokenBucket | None = None,
    ) -> None:  # fmt: skip
        """``session`` replaces the sockets: the exchange without a network, in tests and simulation.

        ``bucket`` limits how often the broker is asked.
        """
        url = url if session is not None else check_url(url, TRADING_HOST)
        client = TradingClient(key, secret, paper=True, raw_data=True, url_override=url)
        fence(client, session or FencedSession(bucket))
        self._client: Any = client  # its return types are unions of every shape it can have
        self._account_id = ""  # once it was asked for
        self._opened_at: datetime | None = None  # told with it

    def account_id(self) -> str:
        number, account_id, self._opened_at = self._read("/account", {}, _account_of)
        if not number.startswith("PA"):
            raise ConfigError(f"account {number[:20]!r} is not a paper account", hint="use your paper keys")
        self._account_id = account_id
        return account_id

    def opened_at(self) -> datetime | None:
        if not self._account_id:
            self.account_id()
        return self._opened_at

    def standing(self) -> Standing:
        """What may be done with the account."""
        return self._read("/account", {}, _standing)

    def account(self) -> Account:
        account_id, found = self._read("/account", {}, lambda body: (str(body.get("id") or ""), convert.account(body)))
        if self._account_id and account_id not in ("", self._account_id):
            raise RecoveryHalted(
                f"the keys opened account {self._account_id} and now open {printable(account_id, 40)}: it was reset",
                hint="what was held is gone with the old account; be done with its session: gambler-ai sessions close",
            )
        return found

    def market(self) -> MarketReport:
        return self._read("/clock", {}, convert.market)

    def instruments(self, symbols: Collection[str]) -> dict[str, Instrument | None]:
        if len(symbols) <= ASSETS_ONE_BY_ONE:
            return {s: self._or_none(f"/assets/{quote(s, safe='')}", {}, convert.instrument) for s in symbols}
        query = {"status": "active", "asset_class": "us_equity"}
        listed = self._read("/assets", query, lambda body: [convert.instrument(a) for a in body])
        known = {i.symbol: i for i in listed}
        return {s: known.get(s) for s in symbols}

    def orders(self, since: datetime) -> list[OrderReport]:
        found: dict[str, OrderReport] = {}
        after = since
        for _ in range(PAGES_MAX):
            query = {"status": "all", "nested": "true", "direction": "asc", "limit": ORDERS_PAGE}
            full, page = self._read("/orders", query | {"after": convert.wire_instant(after)}, _stock_orders)
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
        found = self._or_none("/orders:by_client_order_id", query, convert.order)
        # The look-up by our id answers without legs; the one by theirs has them.
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

    def _read(self, path: str, query: dict[str, Any], parse: Callable[[Any], T]) -> T:
        return reading(lambda: parse(self._client.get(path, query)))

    def _or_none(self, path: str, query: dict[str, Any], parse: Callable[[Any], T]) -> T | None:
        """None on the broker's own 404 only, which has a code; a proxy's page has none, and raises."""
        try:
            return self._read(path, query, parse)
        except BrokerRefused as error:
            if error.status == 404 and error.code is not None:
                return None
            raise


def _account_of(body: Any) -> tuple[str, str, datetime | None]:
    opened_at = convert.maybe_instant(body.get("created_at"))
    return printable(str(body["account_number"]), 40), convert.word(body["id"]), opened_at


def _action(body: Any) -> Activity | Fill:
    """One that is a trade all the same is read as one: a server may not know of categories."""
    return convert.fill(body) if body["activity_type"] == "FILL" else convert.activity(body)


def _standing(body: Any) -> Standing:
    blocks = tuple(name for name in ("trading_blocked", "account_blocked", "trade_suspended_by_user") if body.get(name))
    number, status = printable(str(body["account_number"]), 40), printable(str(body["status"]), 40)
    return Standing(convert.word(body["id"]), number, status, blocks)


def _stock_orders(body: Any) -> tuple[int, list[OrderReport]]:
    """The length of a page, legs counted since Alpaca may, and its orders of one instrument.

    A multi-leg parent names no symbol and no side: it is none of ours.
    """
    return sum(1 + len(o.get("legs") or ()) for o in body), [
        convert.order(o) for o in body if o.get("symbol") and o.get("side")
    ]
