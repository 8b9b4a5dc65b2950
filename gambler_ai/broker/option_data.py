"""Quotes and greeks of contracts over alpaca-py's OptionHistoricalDataClient, from the feed that every plan has.

A contract whose quote cannot be one (crossed, absurd, without a side, of another kind than asked for) is left out. If
none of what was told can be read, that is an error and no empty chain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import requests
from alpaca.data.enums import OptionsFeed
from alpaca.data.historical.option import OptionHistoricalDataClient
from alpaca.data.requests import OptionChainRequest, OptionSnapshotRequest

from gambler_ai.broker.convert import instant, number
from gambler_ai.broker.fence import fence
from gambler_ai.broker.pages import Paged
from gambler_ai.core.contracts import Contract, parse
from gambler_ai.core.model import MAX_PRICE
from gambler_ai.core.structures import ChainQuery, Greeks, OptionQuote

#: Symbols that Alpaca takes in one request.
SYMBOLS_MAX = 100

Snapshots = Mapping[str, Any]


class _Client(Paged, OptionHistoricalDataClient):
    """The host of prices as it answers for contracts."""


class OptionData:
    """Snapshots of contracts at ``url``. One instance, one thread; what a read may raise is named by who calls it."""

    def __init__(self, key: str, secret: str, url: str, session: requests.Session) -> None:
        """``session`` is fenced already."""
        client = _Client(key, secret, raw_data=True, url_override=url)
        fence(client, session)
        self._client: Any = client  # its return types are unions of raw and model

    def chain(self, query: ChainQuery, spot: Decimal) -> dict[str, OptionQuote]:
        """Contracts of ``query``, page after page, with the underlying at ``spot``."""
        reach = spot * query.within_pct / 100
        least, most = max(spot - reach, Decimal(0)), spot + reach
        request = OptionChainRequest(
            underlying_symbol=query.underlying, feed=OptionsFeed.INDICATIVE, strike_price_gte=float(least),
            strike_price_lte=float(most), expiration_date_gte=query.first_expiry,
            expiration_date_lte=query.last_expiry,
        )  # fmt: skip

        def is_wanted(contract: Contract) -> bool:
            expires = query.first_expiry <= contract.expiry <= query.last_expiry
            return contract.underlying == query.underlying and expires and least <= contract.strike <= most

        self._client.begin()
        return quotes_of(self._client.get_option_chain(request), is_wanted)

    def quotes(self, symbols: Sequence[str]) -> dict[str, OptionQuote]:
        """Those of ``symbols`` that are quoted."""
        found: dict[str, OptionQuote] = {}
        for first in range(0, len(symbols), SYMBOLS_MAX):
            some = list(symbols[first : first + SYMBOLS_MAX])
            request = OptionSnapshotRequest(symbol_or_symbols=some, feed=OptionsFeed.INDICATIVE)
            self._client.begin()
            found |= quotes_of(self._client.get_option_snapshot(request), lambda contract: contract.symbol in symbols)
        return found


def quotes_of(snapshots: Snapshots, is_wanted: Callable[[Contract], bool]) -> dict[str, OptionQuote]:
    """Those of ``snapshots`` that are quotes of what was asked for.

    Raises:
        ValueError: there are some, and none of them can be read.
    """
    found, wrong = {}, ""
    for symbol, snapshot in snapshots.items():
        contract = parse(symbol)
        if contract is None or not is_wanted(contract):
            continue
        try:
            quote = option_quote(symbol, snapshot)
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
            wrong = f"{symbol}: {type(error).__name__} {error}"
            continue
        if quote is not None:
            found[symbol] = quote
    if wrong and not found:
        raise ValueError(f"none of its quotes of contracts can be read; {wrong}")
    return found


def option_quote(symbol: str, snapshot: Snapshots) -> OptionQuote | None:
    """A contract's quote; None for one that is crossed, absurd or without a side."""
    told = snapshot.get("latestQuote")
    if told is None:
        return None
    bid, ask = number(told["bp"]), number(told["ap"])
    is_sane = all(0 <= price < MAX_PRICE for price in (bid, ask))
    if not is_sane or not (bid or ask) or bid > ask > 0:
        return None
    return OptionQuote(symbol, bid or None, ask or None, instant(told["t"]), _greeks(snapshot))


def _greeks(snapshot: Snapshots) -> Greeks | None:
    """Alpaca leaves them out where its model finds none."""
    told = snapshot.get("greeks")
    if not isinstance(told, Mapping):
        return None
    found = [_finite(told.get(name)) for name in ("delta", "gamma", "theta", "vega")]
    delta, gamma, theta, vega = found
    if delta is None or gamma is None or theta is None or vega is None:
        return None
    return Greeks(delta, gamma, theta, vega, _finite(snapshot.get("impliedVolatility")))


def _finite(value: Any) -> float | None:
    """A number of the model's, None for what is none."""
    if type(value) not in (int, float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None
