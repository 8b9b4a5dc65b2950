"""What one connection has still to be sent: filled from any thread, drained by one task, never more than a
bound.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

MAX_QUEUED = 4096  # messages; about a kilobyte each, a batch of market data up to twenty

# How a connection ends: after what is queued, or at once because of a fault or a reader that is too slow.
CLOSE, CUT, SLOW = "close", "cut", "slow"
AT_ONCE = (CUT, SLOW)


class Outbox:
    """``wake`` is called, from whatever thread, when there is something to do; it must neither wait nor raise."""

    def __init__(self, wake: Callable[[], None], limit: int = MAX_QUEUED) -> None:
        self._lock = threading.Lock()
        self._wake = wake
        self._limit = limit
        self._queue: deque[Any] = deque()
        self.ending = ""

    def put(self, message: object) -> None:
        """Queue it; one too many ends the connection, because its reader is too slow."""
        with self._lock:
            if self.ending:
                return
            if len(self._queue) < self._limit:
                self._queue.append(message)
                if len(self._queue) > 1:
                    return  # it has been woken for the first
            else:
                self._queue.clear()
                self.ending = SLOW
        self._wake()

    def end(self, how: str) -> None:
        """Nothing is queued after this. What is queued is still sent, unless it ends at once."""
        with self._lock:
            if self.ending in AT_ONCE:
                return
            self.ending = how
            if how in AT_ONCE:
                self._queue.clear()
        self._wake()

    def take(self) -> Any:
        """The oldest message, or None."""
        with self._lock:
            return self._queue.popleft() if self._queue else None
