"""How many requests a minute an account may send (BEHAVIOUR 1, "Rate")."""

from __future__ import annotations

import math

from gambler_ai.clock import Clock
from gambler_ai.errors import ConfigError

WINDOW_S = 60.0
_DATA = ("/v2/stocks", "/v1beta1/", "/v1beta3/")

Header = tuple[bytes, bytes]


class RateLimit:
    """``per_minute`` requests to the trading API and as many to the market data API, in windows of a minute that begin
    with the first request after the last one. It goes by the machine's time, as Alpaca's does, not by the market's.
    """

    def __init__(self, per_minute: int, clock: Clock) -> None:
        if per_minute < 1:
            raise ConfigError(f"a rate limit is 1 request a minute or more, not {per_minute}")
        self._per_minute = per_minute
        self._clock = clock
        self._windows: dict[bool, tuple[float, int]] = {}  # market data? -> when it began (monotonic), how many

    def take(self, path: str) -> tuple[bool, list[Header]]:
        """Count a request. Whether it may go on, and the headers of its reply; a refused one is not counted."""
        key, now_s = path.startswith(_DATA), self._clock.monotonic()
        begun_s, used = self._windows.get(key, (now_s, 0))
        if now_s - begun_s >= WINDOW_S:
            begun_s, used = now_s, 0
        allowed = used < self._per_minute
        self._windows[key] = begun_s, used + allowed
        left_s = begun_s + WINDOW_S - now_s
        reset = math.ceil(self._clock.now().timestamp() + left_s)
        remaining = self._per_minute - used - allowed
        counts = (("limit", self._per_minute), ("remaining", remaining), ("reset", reset))
        return allowed, [(b"x-ratelimit-" + name.encode(), b"%d" % value) for name, value in counts]
