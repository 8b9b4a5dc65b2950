"""The ticks of an underlying's regular session by their number: contracts are priced at these and at no others."""

from __future__ import annotations

from gambler_ai.exchange.instants import MINUTE, SECOND
from gambler_ai.exchange.prices.bridge import TICK_SECONDS, TICKS_A_MINUTE
from gambler_ai.exchange.prices.sessions import Session


def tick_instant(session: Session, place: int) -> int:
    minute, part = divmod(place, TICKS_A_MINUTE)
    return session.open_us + minute * MINUTE + TICK_SECONDS[part] * SECOND


def ticks_until(session: Session, us: int) -> int:
    """How many ticks of the session have happened by ``us``, that instant included."""
    if us < session.open_us:
        return 0
    minute, rest = divmod(us - session.open_us, MINUTE)
    if minute >= session.minutes:
        return session.minutes * TICKS_A_MINUTE
    return minute * TICKS_A_MINUTE + sum(rest >= second * SECOND for second in TICK_SECONDS)
