"""A database that is away while a session runs: locked, gone, full, read-only, or not reachable.

Nothing is kept in memory to be written later, and nothing is sent: the loop stands in the one write (or read) that
failed. A commit whose outcome is not known is never taken for done. The connections are given up, the database is
opened anew, and what is to be done is done again: it looks first whether it has happened (`ledger.py`). After
`PATIENCE_S` the session ends; what is stored is what a resume starts from (RECOVERY_PROTOCOL 2.3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from gambler_ai.clock import Clock
from gambler_ai.errors import DatabaseOutage, TryAgainLater
from gambler_ai.storage.database import Database
from gambler_ai.trading.reporter import DatabaseBack, DatabaseLost, Reporter

#: Wall seconds without the database before we give up.
PATIENCE_S = 120.0
#: Wall seconds between two tries.
RETRY_S = 1.0
#: Tries before a lock of somebody else's counts as an outage; each waits for the driver's own timeout.
LOCK_TRIES = 3
#: Wall seconds between these, at most.
LOCK_PAUSE_S = 0.5

T = TypeVar("T")


class Outage:
    """Carries a session over a database that is away, or ends it."""

    def __init__(
        self, database: Database, clock: Clock, stop_asked: Callable[[float], bool], reporter: Reporter, seed: int
    ) -> None:
        """``stop_asked`` waits for so many wall seconds and says whether somebody wants the session to stop."""
        self._database = database
        self._clock = clock
        self._stop_asked = stop_asked
        self._reporter = reporter
        self._random = np.random.default_rng(seed)
        self._passed = ""
        self.is_on = False  # the broker's thread looks at it before it sends

    def ride(self, act: Callable[[], T]) -> T:
        """What ``act`` comes to, once the database lets it; it is begun anew after each failure.

        Raises:
            TryAgainLater: the database was away for too long, or the session was asked to stop meanwhile.
        """
        tries = 1
        while True:
            try:
                return act()
            except DatabaseOutage as error:
                if not error.is_lock or tries == LOCK_TRIES:
                    return self._ride_out(act, error)
            self._clock.sleep(self._random.uniform(0.0, LOCK_PAUSE_S))
            tries += 1

    def take_passed(self) -> str:
        """Why the database was away, if it was since the last call; "" if it was not."""
        passed, self._passed = self._passed, ""
        return passed

    def _ride_out(self, act: Callable[[], T], error: DatabaseOutage) -> T:
        began_s, reason = self._clock.monotonic(), error.message
        self.is_on = True
        self._reporter.noted(DatabaseLost(reason, error.hint))
        done = self._tried_again(act, error, began_s)
        away_s = self._clock.monotonic() - began_s
        self.is_on = False
        self._passed = f"{reason}; away for {away_s:.0f} s"
        self._reporter.noted(DatabaseBack(away_s))
        return done

    def _tried_again(self, act: Callable[[], T], error: DatabaseOutage, began_s: float) -> T:
        while True:
            if self._stop_asked(RETRY_S):
                text = f"stopped while the database was away ({error.message})"
                raise TryAgainLater(text, hint=_NOTHING_LOST) from error
            try:
                self._database.reopen()
                return act()
            except DatabaseOutage as again:
                error = again
            if self._clock.monotonic() - began_s >= PATIENCE_S:
                text = f"the database was away for {PATIENCE_S:.0f} s: {error.message}"
                raise TryAgainLater(text, hint=_NOTHING_LOST) from error


_NOTHING_LOST = "nothing was lost: what is stored is what --resume goes on from; nothing was sent meanwhile"
