"""The only reader of time. Everybody else is handed an instant or a clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

#: Linux's clock since boot goes on while the machine sleeps, as a lease does; its monotonic one stands still.
_SINCE_BOOT: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock(Protocol):
    """Where instants come from. ``now`` is aware UTC; ``monotonic`` is wall seconds for deadlines."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """Wall time, for a market that keeps wall time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.clock_gettime(_SINCE_BOOT)

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))


class MarketClock(SystemClock):
    """A market that runs by itself: ``origin`` now, then ``rate`` market seconds a wall second.

    It goes by the monotonic clock, so that setting the machine's clock moves nothing.
    """

    def __init__(self, origin: datetime, rate: float) -> None:
        self._rate = rate
        self._from = origin, self.monotonic()  # one attribute: other threads read it while it is moved

    def now(self) -> datetime:
        origin, anchor_s = self._from
        return origin + timedelta(seconds=(self.monotonic() - anchor_s) * self._rate)

    def move_to(self, instant: datetime) -> None:
        """Set it forward to ``instant``; one already passed changes nothing."""
        if instant > self.now():
            self._from = instant, self.monotonic()


class ManualClock(SystemClock):
    """A market that stands still until it is moved; it never goes back.

    ``monotonic`` and ``sleep`` stay wall time, so HTTP deadlines and leases work as ever.
    """

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def move_to(self, instant: datetime) -> None:
        """Move to ``instant``; an instant already passed changes nothing."""
        self._now = max(self._now, instant)
