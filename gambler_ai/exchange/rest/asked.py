"""What a request for market data may say, checked (BEHAVIOUR 6 and the OpenAPI document). Errors of the data API have a
message and no code: a recorded reply shows ``{"message": "invalid limit: ..."}``.
"""

from __future__ import annotations

import re
from datetime import date
from typing import NamedTuple

from gambler_ai.exchange.instants import DAY, MINUTE, new_york, new_york_us, parse_rfc3339
from gambler_ai.exchange.refusal import Refusal
from gambler_ai.exchange.rest.paging import Place, limit_of, read_token
from gambler_ai.exchange.rest.params import Params

DEFAULT_LIMIT, MAX_LIMIT = 1000, 10_000
DELAY_US = 15 * MINUTE  # of delayed_sip, and what "recent" means to a plan without sip
SIP, DELAYED = "sip", "delayed_sip"
SILENT_FEEDS = ("otc", "boats", "overnight")  # venues that this market does not have
HISTORICAL_FEEDS = (SIP, "iex", "otc", "boats")
LATEST_FEEDS = (*HISTORICAL_FEEDS, DELAYED, "overnight")
ADJUSTMENTS = ("raw", "split", "dividend", "spin-off", "all")
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9./-]{0,31}")
_TIMEFRAME = re.compile(r"(\d{1,2})(Min|T|Hour|H|Day|D|Week|W|Month|M)")
_UNITS = {"T": "Min", "H": "Hour", "D": "Day", "W": "Week", "M": "Month"}
_ALLOWED = {
    "Min": range(1, 60),
    "Hour": range(1, 24),
    "Day": (1,),
    "Week": (1,),
    "Month": (1, 2, 3, 4, 6, 12),
}


class DataRefusal(Refusal):
    """A refusal of the data API."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, 0, message)

    def body(self) -> dict[str, object]:
        return {"message": self.message}


def invalid(message: str) -> DataRefusal:
    return DataRefusal(400, message)


class Asked(NamedTuple):
    """A checked request for history. ``now_us`` is the instant whose past is asked for, ``end_us`` is not after it;
    ``after`` is where the page token says the last page ended.
    """

    symbols: list[str]
    start_us: int
    end_us: int
    now_us: int
    limit: int
    newest_first: bool
    after: Place | None
    feed: str
    currency: str

    @property
    def more(self) -> dict[str, str]:
        """What a reply says again."""
        return {"currency": self.currency} if self.currency else {}


def parse_symbols(text: str | None) -> list[str]:
    """Sorted and unique; unknown ones stay in, and simply have no data. Raises DataRefusal."""
    symbols = sorted({symbol.strip().upper() for symbol in (text or "").split(",") if symbol.strip()})
    if not symbols:
        raise invalid("symbols is required")
    for symbol in symbols:
        if not _SYMBOL.fullmatch(symbol):
            raise invalid(f"invalid symbol: {symbol:.40}")
    return symbols


def parse_timeframe(text: str | None) -> tuple[int, str]:
    """Raises DataRefusal: 60Min and the like do not exist."""
    match = _TIMEFRAME.fullmatch(text or "")
    if match is None or int(match[1]) not in _ALLOWED[_UNITS.get(match[2], match[2])]:
        raise invalid(f"invalid timeframe: {text or '':.40}")
    return int(match[1]), _UNITS.get(match[2], match[2])


def parse_feed(params: Params, known: tuple[str, ...]) -> str:
    """``sip`` unless told otherwise: this account has the plan for it. Raises DataRefusal."""
    feed = params.get("feed") or SIP
    if feed not in known:
        raise invalid(f"invalid feed: {feed:.40}")
    return feed


def parse_currency(params: Params) -> str:
    """ "" where none was asked for. Raises DataRefusal: this market has no exchange rates."""
    currency = params.get("currency") or ""
    if currency not in ("", "USD"):
        raise invalid(f"invalid currency: {currency:.40}: this exchange has USD")
    return currency


def parse_adjustment(params: Params) -> bool:
    """Are prices to be those of today's shares? Nothing here pays dividends or spins off. Raises DataRefusal."""
    names = (params.get("adjustment") or "raw").split(",")
    for name in names:
        if name not in ADJUSTMENTS:
            raise invalid(f"invalid adjustment: {name:.40}")
    return "split" in names or "all" in names


def _instant(params: Params, name: str, default: int) -> int:
    text = params.get(name)
    if not text:
        return default
    try:
        return parse_rfc3339(text)
    except (ValueError, OverflowError):
        raise invalid(f"invalid {name}: {text:.40}") from None


def _check_asof(params: Params) -> None:
    """Nothing listed here was ever renamed, so every date gives the same symbols."""
    asof = params.get("asof") or "-"
    try:
        if asof != "-":
            date.fromisoformat(asof)
    except ValueError:
        raise invalid(f"invalid asof: {asof:.40}") from None


def parse_history(params: Params, symbols: list[str], now_us: int, feeds: tuple[str, ...] = HISTORICAL_FEEDS) -> Asked:
    """Defaults as Alpaca has them: from the start of the current day to now, 1000 rows, oldest first. ``end`` as a date
    is all of that day. Raises DataRefusal.
    """
    end_text = params.get("end") or ""
    end_us = _instant(params, "end", now_us) + (DAY - 1 if len(end_text) == 10 else 0)
    sort = params.get("sort") or "asc"
    if sort not in ("asc", "desc"):
        raise invalid(f"invalid sort: {sort:.40}")
    try:
        after = read_token(params.get("page_token"))
    except ValueError:
        raise invalid("invalid page_token") from None
    _check_asof(params)
    midnight = new_york_us(new_york(now_us).date(), 0, 0)
    limit = limit_of(params, DEFAULT_LIMIT, MAX_LIMIT, invalid)
    return Asked(
        symbols, _instant(params, "start", midnight), min(end_us, now_us), now_us, limit, sort == "desc",
        after, parse_feed(params, feeds), parse_currency(params),
    )  # fmt: skip
