"""Alpaca's JSON for the clock and the calendar of v3. All markets here keep New York's hours."""

from __future__ import annotations

from datetime import UTC
from typing import Any, NamedTuple

from gambler_ai.exchange.instants import NEW_YORK, from_us, new_york, new_york_us
from gambler_ai.exchange.prices.sessions import Session, Sessions


class Market(NamedTuple):
    acronym: str
    mic: str
    name: str


_NYSE = Market("NYSE", "XNYS", "New York Stock Exchange")
_NASDAQ = Market("NASDAQ", "XNAS", "Nasdaq Stock Market")
_IEX = Market("IEX", "IEXG", "Investors Exchange")
#: By acronym and by MIC.
MARKETS = {name: market for market in (_NYSE, _NASDAQ, _IEX) for name in (market.acronym, market.mic)}


def market_entity(market: Market) -> dict[str, Any]:
    return market._asdict() | {"timezone": "America/New_York"}


def _bounds(session: Session) -> tuple[int, int]:
    """When its pre-market begins and its after-hours end: 20:00, or 17:00 after an early close."""
    end_hour = 20 if session.minutes == 390 else 17
    return new_york_us(session.day, 4, 0), new_york_us(session.day, end_hour, 0)


def market_clock_entity(sessions: Sessions, market: Market, at_us: int) -> dict[str, Any]:
    """The phase of an instant, and when it ends."""
    today = new_york(at_us).date()
    next_open, next_close = sessions.next_open_and_close(at_us)
    found = sessions.between(today, today)
    phase, until_us = "closed", new_york_us(new_york(next_open).date(), 4, 0)
    if found:
        pre_us, post_us = _bounds(found[0])
        ends = (("closed", pre_us), ("pre", found[0].open_us), ("core", found[0].close_us), ("post", post_us))
        phase, until_us = next(((name, end) for name, end in ends if at_us < end), (phase, until_us))
    return {
        "market": market_entity(market),
        "timestamp": _text(at_us),
        "is_market_day": bool(found),
        "next_market_open": _text(next_open),
        "next_market_close": _text(next_close),
        "phase": phase,
        "phase_until": _text(until_us),
    }


def market_day_entity(session: Session, settles: Session, *, utc: bool) -> dict[str, Any]:
    pre_us, post_us = _bounds(session)
    times = {
        "pre_start": pre_us, "pre_end": session.open_us, "core_start": session.open_us, "core_end": session.close_us,
        "post_start": session.close_us, "post_end": post_us,
    }  # fmt: skip
    return {
        "date": session.day.isoformat(),
        "settlement_date": settles.day.isoformat(),
        **{name: _text(us, utc=utc) for name, us in times.items()},
    }


def _text(us: int, *, utc: bool = False) -> str:
    if utc:
        return from_us(us).astimezone(UTC).isoformat().replace("+00:00", "Z")
    return from_us(us).astimezone(NEW_YORK).isoformat()
