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


def market_clock_entity(sessions: Sessions, market: Market, at_us: int) -> dict[str, Any]:
    """The phase of an instant, and when it ends."""
    today = new_york(at_us).date()
    next_open, next_close = sessions.next_open_and_close(at_us)
    found = sessions.between(today, today)
    phase, until_us = "closed", new_york_us(new_york(next_open).date(), 4, 0)
    if found:
        day = found[0]
        edges = day.session_open_us, day.open_us, day.close_us, day.session_close_us
        ends = zip(("closed", "pre", "core", "post"), edges, strict=True)
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
    times = {
        "pre_start": session.session_open_us, "pre_end": session.open_us,
        "core_start": session.open_us, "core_end": session.close_us,
        "post_start": session.close_us, "post_end": session.session_close_us,
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
