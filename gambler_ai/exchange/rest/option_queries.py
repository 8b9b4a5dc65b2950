"""Query strings about contracts -> what is wanted. Null and "" mean absent (BEHAVIOUR 1, 5, 6)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Collection, Container
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from gambler_ai.exchange.instants import DAY, parse_rfc3339
from gambler_ai.exchange.numbers import parse_decimal
from gambler_ai.exchange.options.bars import Span, day_start_us
from gambler_ai.exchange.options.chain import Wanted, weekend_after
from gambler_ai.exchange.options.contracts import CALL, PUT, Contract, parse_symbol
from gambler_ai.exchange.refusal import Refusal, bad_parameter
from gambler_ai.exchange.rest.paging import limit_of
from gambler_ai.exchange.rest.params import Params

CONTRACTS_LIMIT, CONTRACTS_MOST = 100, 10_000
SNAPSHOTS_LIMIT, SNAPSHOTS_MOST = 100, 1_000
POINTS_LIMIT, POINTS_MOST = 1_000, 10_000
SYMBOLS_MOST = 100
FEEDS = ("indicative", "opra")
Invalid = Callable[[str], Refusal]


def bad_data(message: str) -> Refusal:
    """What market data answer to a parameter that they cannot use."""
    return Refusal(400, 40010001, message)


def _day(params: Params, name: str, invalid: Invalid) -> date | None:
    text = params.get(name)
    if not text:
        return None
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        raise invalid(f"invalid {name}: {text}") from None


def _strike(params: Params, name: str, invalid: Invalid) -> Decimal | None:
    try:
        return parse_decimal(params.get(name))
    except ValueError:
        raise invalid(f"invalid {name}: {params.get(name)}") from None


def _choice(params: Params, name: str, choices: tuple[str, ...], invalid: Invalid) -> str | None:
    text = params.get(name) or None
    if text is not None and text not in choices:
        raise invalid(f"invalid {name}: {text}")
    return text


def wanted_of(params: Params, underlyings: list[str], listed: Container[str], invalid: Invalid) -> Wanted:
    """The filters that contracts and chains share. Here a root symbol is always the underlying's."""
    day = _day(params, "expiration_date", invalid)
    root = (params.get("root_symbol") or "").upper()
    return Wanted(
        [symbol for symbol in underlyings if symbol in listed and (not root or symbol == root)],
        kind=_choice(params, "type", (CALL, PUT), invalid),
        first=day or _day(params, "expiration_date_gte", invalid),
        last=day or _day(params, "expiration_date_lte", invalid),
        strike_least=_strike(params, "strike_price_gte", invalid),
        strike_most=_strike(params, "strike_price_lte", invalid),
    )


def wanted_contracts(params: Params, listed: Collection[str], now_us: int) -> Wanted | None:
    """GET /v2/options/contracts: active ones that expire by the weekend, unless told otherwise (BEHAVIOUR 5).
    None when a filter leaves nothing: all here are American, and all are in the Penny Program. Raises Refusal.
    """
    names = [name.strip().upper() for name in (params.get("underlying_symbols") or "").split(",") if name.strip()]
    wanted = wanted_of(params, names or sorted(listed), listed, bad_parameter)
    status = _choice(params, "status", ("active", "inactive"), bad_parameter) or "active"
    style = _choice(params, "style", ("american", "european"), bad_parameter)
    penny = _choice(params, "ppind", ("true", "True", "false", "False"), bad_parameter)
    if style == "european" or penny in ("false", "False"):
        return None
    last = wanted.last if wanted.last is not None else weekend_after(now_us)
    return wanted._replace(active=status == "active", last=last)


def contract_symbols(params: Params) -> list[str]:
    """Sorted and unique; those that are no contract stay in, and simply have no data. Raises Refusal."""
    symbols = sorted({symbol.strip().upper() for symbol in (params.get("symbols") or "").split(",") if symbol.strip()})
    if not symbols:
        raise bad_data("symbols is required")
    if len(symbols) > SYMBOLS_MOST:
        raise bad_data(f"too many symbols: at most {SYMBOLS_MOST}")
    wrong = next((symbol for symbol in symbols if parse_symbol(symbol) is None), None)
    if wrong is not None:
        raise bad_data(f"invalid symbol: {wrong}")
    return symbols


def check_feed(params: Params) -> None:
    """Raises Refusal. Both feeds say the same here."""
    _choice(params, "feed", FEEDS, bad_data)


def instant_of(params: Params, name: str, default: int) -> int:
    text = params.get(name)
    if not text:
        return default
    try:
        return parse_rfc3339(text)
    except (ValueError, OverflowError):
        raise bad_data(f"invalid {name}: {text}") from None


class Points(NamedTuple):
    """A checked request for bars or trades. ``after`` is where the page token says the last page ended."""

    symbols: list[str]
    span: Span
    limit: int
    after: tuple[str, int] | None


def points_of(params: Params, now_us: int) -> Points:
    """From the start of the current day, to now, 1000 of them, oldest first, unless told otherwise. Raises Refusal."""
    symbols = contract_symbols(params)
    end_us = instant_of(params, "end", now_us) + (DAY - 1 if len(params.get("end") or "") == 10 else 0)
    sort = _choice(params, "sort", ("asc", "desc"), bad_data) or "asc"
    limit = limit_of(params, POINTS_LIMIT, POINTS_MOST, bad_data)
    span = Span(instant_of(params, "start", day_start_us(now_us)), end_us, now_us, sort == "desc")
    token = token_of(params)
    if token is None:
        return Points(symbols, span, limit, None)
    symbol, _, us = token.partition("|")
    if not us.isdigit():
        raise bad_data("invalid page_token")
    return Points(symbols, span, limit, (symbol, int(us)))


def token_of(params: Params) -> str | None:
    """What a token of ours says. Raises Refusal."""
    text = params.get("page_token")
    if not text:
        return None
    try:
        return base64.urlsafe_b64decode(text.encode()).decode()
    except (ValueError, binascii.Error):
        raise bad_data("invalid page_token") from None


def contract_token(params: Params) -> Contract | None:
    """The last contract of the page before. Raises Refusal."""
    text = token_of(params)
    contract = parse_symbol(text) if text is not None else None
    if text is not None and contract is None:
        raise bad_data("invalid page_token")
    return contract


def make_token(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()
