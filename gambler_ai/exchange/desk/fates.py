"""What a planned fault has in mind for a command."""

from __future__ import annotations

import math
from typing import NamedTuple

from gambler_ai.exchange.instants import SECOND

LAST_US = 1 << 62


class Fate(NamedTuple):
    """What a fault has in mind for a command: its kind, and its seconds."""

    kind: str = ""
    seconds: float = 0.0

    def until_us(self, now_us: int) -> int:
        """When its seconds are over; no instant is after the last."""
        return LAST_US if math.isinf(self.seconds) else now_us + int(self.seconds * SECOND)
