"""Clock and calendar, as v2 and as v3 have them (BEHAVIOUR 2)."""

from __future__ import annotations

from datetime import date, timedelta

from starlette.requests import Request
from starlette.responses import Response

from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.instants import new_york, parse_rfc3339
from gambler_ai.exchange.prices.sessions import CALENDAR_FIRST, CALENDAR_LAST, Session
from gambler_ai.exchange.refusal import Refusal
from gambler_ai.exchange.rest.handling import exchange_of, reply
from gambler_ai.exchange.rest.params import words
from gambler_ai.exchange.wire.entities import calendar_entity
from gambler_ai.exchange.wire.markets import MARKETS, Market, market_clock_entity, market_day_entity, market_entity
from gambler_ai.exchange.wire.views import clock_entity

TRADING, SETTLEMENT = "TRADING", "SETTLEMENT"


def _invalid(message: str) -> Refusal:
    """These routes answer 400, by the OpenAPI document."""
    return Refusal(400, 40010001, message)


def _date(text: str | None, name: str, default: date) -> date:
    """A date, or an instant's."""
    try:
        return date.fromisoformat(text[:10]) if text else default
    except ValueError:
        raise _invalid(f"invalid {name}: {text}") from None


async def get_clock(request: Request) -> Response:
    exchange = exchange_of(request)
    with exchange.step():
        body = clock_entity(exchange)
    return reply(body)


async def get_calendar(request: Request) -> Response:
    """Without bounds it is the days that have prices: the whole real calendar costs a second to open."""
    exchange, params = exchange_of(request), request.query_params
    days = exchange.market.sessions.days
    first, last = _date(params.get("start"), "start", days[0]), _date(params.get("end"), "end", days[-1])
    by = (params.get("date_type") or TRADING).upper()
    if by not in (TRADING, SETTLEMENT):
        raise _invalid(f"invalid date_type: {params.get('date_type')}")
    if by == TRADING:
        return reply([calendar_entity(day, settles) for day, settles in _settled(exchange, first, last)])
    pairs = _settled(exchange, max(first, CALENDAR_FIRST) - timedelta(days=7), last)
    return reply([calendar_entity(*pair) for pair in pairs if first <= pair[1].day <= last])


def _settled(exchange: Exchange, first: date, last: date) -> list[tuple[Session, Session]]:
    """The sessions of these days, each with the one in which it settles: the next (T+1, the rule of today)."""
    sessions = exchange.market.sessions
    first, last = max(first, CALENDAR_FIRST), min(last, CALENDAR_LAST)
    room = sessions.days[-1] - last  # as many days more as are free: then no day's settlement needs more
    days = sessions.between(first, last + min(max(room, timedelta(0)), timedelta(days=7)))
    if days and days[-1].day <= last:
        days = sessions.between(first, last + timedelta(days=7))
    pairs = zip(days, [*days[1:], *days[-1:]], strict=True)
    return [(day, settles) for day, settles in pairs if day.day <= last]


def _market(name: str) -> Market:
    found = MARKETS.get(name.upper())
    if found is None:
        raise _invalid(f"invalid market: {name}; this exchange knows {', '.join(MARKETS)}")
    return found


async def get_market_clock(request: Request) -> Response:
    """v3. Without ``markets`` it is New York's; ``time`` asks for another instant than now."""
    exchange, params = exchange_of(request), request.query_params
    markets = [_market(name) for name in words(params.get("markets")) or ["NYSE"]]
    with exchange.step():
        at_us = _instant(params.get("time"), exchange.now_us)
        clocks = [market_clock_entity(exchange.market.sessions, market, at_us) for market in markets]
    return reply({"clocks": clocks})


def _instant(text: str | None, default_us: int) -> int:
    """One of the years that the calendar knows."""
    try:
        us = parse_rfc3339(text) if text else default_us
        known = not text or CALENDAR_FIRST <= new_york(us).date() <= CALENDAR_LAST
    except (ValueError, OverflowError):
        raise _invalid(f"invalid time: {text}") from None
    if not known:
        raise _invalid(f"invalid time: {text} is not between {CALENDAR_FIRST} and {CALENDAR_LAST}")
    return us


async def get_market_calendar(request: Request) -> Response:
    """v3. From today, for a week, unless told otherwise; times in New York's zone, or in UTC."""
    exchange, params = exchange_of(request), request.query_params
    market = _market(request.path_params["market"])
    zone = params.get("timezone") or ""
    if zone not in ("", "UTC"):
        raise _invalid(f"invalid timezone: {zone}")
    with exchange.step():
        today = new_york(exchange.now_us).date()
    first = _date(params.get("start"), "start", today)
    last = _date(params.get("end"), "end", min(first, CALENDAR_LAST) + timedelta(days=7))
    pairs = _settled(exchange, first, last)
    days = [market_day_entity(day, settles, utc=zone == "UTC") for day, settles in pairs]
    return reply({"market": market_entity(market), "calendar": days})
