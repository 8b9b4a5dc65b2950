"""The paper account over alpaca-py's TradingClient: who it is, what it has, and what can be traded in it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import date, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote

import requests
from alpaca.trading.client import TradingClient
from msgspec import Struct

from gambler_ai.broker import convert
from gambler_ai.broker.fence import TRADING_HOST, FencedSession, check_url, fence, printable, reading
from gambler_ai.broker.pace import TokenBucket
from gambler_ai.core.events import MarketReport
from gambler_ai.core.model import Account, Instrument
from gambler_ai.errors import BrokerRefused, ConfigError, RecoveryHalted

#: More symbols than this are looked up in the whole list (thousands of assets) rather than each by itself.
ASSETS_ONE_BY_ONE = 30
#: How far ahead contracts are looked for, to see whether there are any.
LISTED_AHEAD = timedelta(days=366)

T = TypeVar("T")


class Standing(Struct, frozen=True):
    """Whether the account can trade. ``blocks`` names what stands in the way, in Alpaca's words."""

    account_id: str
    number: str
    status: str
    blocks: tuple[str, ...]


class AlpacaAccount:
    """The paper account at ``url``: its money, its market, and what can be traded in it. One instance, one thread."""

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

    def with_options(self, symbols: Collection[str], day: date) -> set[str]:
        query = {"expiration_date_gte": day.isoformat(), "expiration_date_lte": (day + LISTED_AHEAD).isoformat()}
        return {
            s for s in symbols
            if self._read("/options/contracts", query | {"underlying_symbols": s, "limit": 1}, _some_contract)
        }  # fmt: skip

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


def _some_contract(body: Any) -> bool:
    return len(body["option_contracts"]) > 0


def _standing(body: Any) -> Standing:
    blocks = tuple(name for name in ("trading_blocked", "account_blocked", "trade_suspended_by_user") if body.get(name))
    number, status = printable(str(body["account_number"]), 40), printable(str(body["status"]), 40)
    return Standing(convert.word(body["id"]), number, status, blocks)
