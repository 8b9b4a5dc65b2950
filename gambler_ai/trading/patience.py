"""How long a far end that limits our requests is left alone, in session time."""

from __future__ import annotations

from datetime import datetime, timedelta

from gambler_ai.errors import BrokerError
from gambler_ai.trading.feed import Feed

#: Seconds to wait when it does not say for how long: this, and twice as long each time, up to the longest.
PAUSE_S, PAUSE_MAX_S = 2.0, 60.0


class Patience:
    """One far end. What is not urgent is not sent to it before `until`.

    Session time, so that a market that is moved by us does not pass hours meanwhile; on one that runs at its own
    speed so many wall seconds are as many times its seconds.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._until: datetime | None = None
        self._next_s = PAUSE_S

    @property
    def until(self) -> datetime | None:
        """When it may be asked again; None: now."""
        if self._until is not None and self._feed.clock.now() >= self._until:
            self._until = None
        return self._until

    def take(self, error: BrokerError) -> datetime | None:
        """It failed; until when it is to be left alone because of that, if for that reason."""
        if error.wait_s is None:
            return None
        wait_s = error.wait_s or self._next_s
        self._next_s = min(2 * self._next_s, PAUSE_MAX_S)
        until = self._feed.clock.now() + timedelta(seconds=wait_s * max(1.0, self._feed.rate))
        self._until = max(until, self._until or until)
        return self._until

    def answered(self) -> None:
        """It answers again."""
        self._next_s = PAUSE_S
