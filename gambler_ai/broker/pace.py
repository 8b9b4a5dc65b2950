"""Our own limit on requests, below Alpaca's of 200 a minute, so that an order never meets theirs."""

from __future__ import annotations

from typing import Protocol

#: Requests that may follow each other at once, and those a second after that: 180 in any minute, whenever it begins.
BURST = 60.0
REFILL_PER_S = 2.0
#: Of the burst, what is kept for orders, cancels and looking them up.
RESERVED = 30.0
#: What comes of rounding.
_DUST = 1e-9


class Ticking(Protocol):
    """A clock that only moves forward, and waits."""

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class TokenBucket:
    """One for each client, on its thread.

    A request that finds no token waits for it, half a second for each that is missing; a read leaves `RESERVED` of
    them. So an order waits for half a second at most, and a reading of any length comes to its end.
    """

    def __init__(self, clock: Ticking) -> None:
        self._clock = clock
        self._tokens = BURST
        self._at_s = clock.monotonic()

    def take(self, *, urgent: bool) -> None:
        """Wait until one more request is within the limit; ``urgent`` ones may use what is reserved."""
        least = 1.0 if urgent else 1.0 + RESERVED
        while self._refilled() < least - _DUST:
            self._clock.sleep((least - self._tokens) / REFILL_PER_S)
        self._tokens -= 1.0

    def _refilled(self) -> float:
        now_s = self._clock.monotonic()
        self._tokens = min(BURST, self._tokens + (now_s - self._at_s) * REFILL_PER_S)
        self._at_s = now_s
        return self._tokens


def is_urgent(method: str, path: str) -> bool:
    """Whether a request sends, cancels or looks up an order; what is left is reading."""
    return method.upper() != "GET" or "/orders:" in path or "/orders/" in path
