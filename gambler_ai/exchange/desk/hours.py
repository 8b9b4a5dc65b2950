"""When an order may meet the market, and until when it is good (BEHAVIOUR 3, "Time in force, sessions")."""

from __future__ import annotations

from datetime import timedelta

from gambler_ai.exchange.desk.orders import CLS, GTC, OPG
from gambler_ai.exchange.instants import MINUTE, new_york, new_york_us
from gambler_ai.exchange.prices.sessions import AFTER_HOURS, PRE_MARKET, Session, Sessions
from gambler_ai.exchange.refusal import forbidden

GTC_DAYS = 90  # then 16:15 in New York, whatever day that is
_OPG_LEAD_US, _CLS_LEAD_US = 2 * MINUTE, 10 * MINUTE  # 9:28, and 15:50 or ten minutes before an early close
_EVENING = 19  # o'clock in New York: orders for the next day's auctions are taken again


class Hours:
    """The sessions as orders see them."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def is_open(self, us: int) -> bool:
        """Is it a regular session?"""
        return self._sessions.is_open(us)

    def is_extended(self, us: int) -> bool:
        """Is it pre-market or after-hours?"""
        return self._sessions.phase(us) in (PRE_MARKET, AFTER_HOURS)

    def trades(self, us: int, *, extended: bool) -> bool:
        """Does an order meet the market now? Others wait for the next open (BEHAVIOUR 3)."""
        return self.is_open(us) or (extended and self.is_extended(us))

    def expiry(self, time_in_force: str, us: int, *, extended: bool) -> int:
        """The close, the end of the after-hours for an order that trades in them, or 90 days on."""
        if time_in_force == GTC:
            return new_york_us(new_york(us).date() + timedelta(days=GTC_DAYS), 16, 15)
        sessions = self._sessions
        if extended:
            session = self._next_ending(us)
            return session.session_close_us if session is not None else us
        index = sessions.first_index_closing_after(us)
        return sessions.session(len(sessions.days) - 1 if index is None else index).close_us

    def check_window(self, time_in_force: str, us: int) -> None:
        """No order for an auction from shortly before it to 19:00 of its day. Raises Refusal 403.

        The documents give hours of the day; on days without a session, of which they say nothing, both are taken.
        """
        if time_in_force not in (OPG, CLS):
            return
        now = new_york(us)
        session = self._next_ending(us) or self._sessions.session(len(self._sessions.days) - 1)
        if session.day != now.date():
            return
        ends_us = session.open_us - _OPG_LEAD_US if time_in_force == OPG else session.close_us - _CLS_LEAD_US
        if us >= ends_us and now.hour < _EVENING:
            end = new_york(ends_us)
            clock = f"{(end.hour - 1) % 12 + 1}:{end:%M}{'am' if end.hour < 12 else 'pm'}"
            raise forbidden(f"{time_in_force} orders must be submitted after 7:00pm and before {clock}")

    def _next_ending(self, us: int) -> Session | None:
        """The session under way or next, its after-hours included."""
        index = self._sessions.first_index_ending_after(us)
        return None if index is None else self._sessions.session(index)
