"""Named lists of assets that the account's owner keeps (BEHAVIOUR 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from gambler_ai.exchange.annals import Annals, Watchlist
from gambler_ai.exchange.hashing import make_uuid
from gambler_ai.exchange.prices.assets import Asset
from gambler_ai.exchange.refusal import Refusal, bad_parameter, not_found

NAME_MAX = 64  # characters
FindAsset = Callable[[str], Asset | None]  # by symbol or id


class Watchlists:
    """The lists of one account. What changes is committed with the annals."""

    def __init__(self, annals: Annals, account_id: str, find_asset: FindAsset) -> None:
        self._annals = annals
        self._account_id = account_id
        self._find_asset = find_asset

    def all(self) -> list[Watchlist]:
        """Oldest first."""
        rows = self._annals.watchlists.values()
        return [row for row in rows if row.account_id == self._account_id and not row.deleted]

    def find(self, watchlist_id: str) -> Watchlist:
        """Raises Refusal 404."""
        return self._first(row for row in self.all() if row.id == watchlist_id.lower())

    def named(self, name: str | None) -> Watchlist:
        """Raises Refusal: 422 without a name, 404 for one that is not there."""
        if not name:
            raise bad_parameter("name is required")
        return self._first(row for row in self.all() if row.name == name)

    def _first(self, rows: Iterable[Watchlist]) -> Watchlist:
        found = next(iter(rows), None)
        if found is None:
            raise not_found("watchlist not found")
        return found

    def create(self, body: object, now_us: int) -> Watchlist:
        """Raises Refusal: the name is missing, too long or taken; a symbol is unknown."""
        fields = _mapping(body)
        name = self._name(fields.get("name"))
        symbols = self._symbols(fields.get("symbols") or [])
        number = len(self._annals.watchlists) + 1
        row = Watchlist(
            id=make_uuid(self._account_id, "watchlist", number), account_id=self._account_id, name=name,
            symbols=symbols, created_us=now_us, updated_us=now_us,
        )  # fmt: skip
        self._annals.keep(row)
        return row

    def update(self, row: Watchlist, body: object, now_us: int) -> None:
        """Another name, other symbols, or both; what is absent stays. Raises Refusal."""
        fields = _mapping(body)
        name = self._name(fields["name"], row) if fields.get("name") not in (None, "") else row.name
        symbols = row.symbols if fields.get("symbols") is None else self._symbols(fields["symbols"])
        row.name, row.symbols = name, symbols
        self._touch(row, now_us)

    def add(self, row: Watchlist, body: object, now_us: int) -> None:
        """At the end. Raises Refusal: there is no such asset, or it is in the list."""
        symbol = self._symbol(_mapping(body).get("symbol"))
        if symbol in row.symbols:
            raise bad_parameter(f"asset {symbol} is in the watchlist already")
        row.symbols = [*row.symbols, symbol]
        self._touch(row, now_us)

    def remove(self, row: Watchlist, symbol_or_id: str, now_us: int) -> None:
        """Raises Refusal 404 when it is not in the list."""
        asset = self._find_asset(symbol_or_id)
        if asset is None or asset.symbol not in row.symbols:
            raise not_found(f"asset not found for {symbol_or_id}")
        row.symbols = [symbol for symbol in row.symbols if symbol != asset.symbol]
        self._touch(row, now_us)

    def delete(self, row: Watchlist, now_us: int) -> None:
        row.deleted = True
        self._touch(row, now_us)

    def _touch(self, row: Watchlist, now_us: int) -> None:
        row.updated_us = now_us
        self._annals.keep(row)

    def _name(self, name: object, row: Watchlist | None = None) -> str:
        """Alpaca's own words and code for a name that is taken [Petersoj/alpaca-java#52]."""
        if not isinstance(name, str) or not name:
            raise bad_parameter("name is required")
        if len(name) > NAME_MAX:
            raise bad_parameter(f"watchlist name must be no more than {NAME_MAX} characters")
        if any(other.name == name and other is not row for other in self.all()):
            raise bad_parameter("watchlist name must be unique")
        return name

    def _symbol(self, symbol: object) -> str:
        if not isinstance(symbol, str) or not symbol:
            raise bad_parameter("symbol is required")
        asset = self._find_asset(symbol)
        if asset is None:
            raise not_found(f"asset not found for {symbol}")
        return asset.symbol

    def _symbols(self, symbols: object) -> list[str]:
        """Each once, in their order; null entries are none, as the OpenAPI document allows."""
        if not isinstance(symbols, Sequence) or isinstance(symbols, str):
            raise bad_parameter("invalid symbols")
        return list(dict.fromkeys(self._symbol(symbol) for symbol in symbols if symbol is not None))


def _mapping(body: object) -> Mapping[str, object]:
    if not isinstance(body, Mapping):
        raise Refusal(400, 40010000, "request body format is invalid")
    return body
