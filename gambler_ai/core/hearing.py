"""What the broker's streams say: that something happened, and whether they are there at all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

#: The streams.
TRADE_UPDATES, PRICES = "trade updates", "prices"


@dataclass(frozen=True)
class Woken:
    """A stream of the broker's says that something has happened; what it was is read."""

    at: datetime
    stream: str
    what: str


@dataclass(frozen=True)
class StreamChanged:
    """A stream is up, or it is not and why. Nothing depends on it but how soon we look."""

    at: datetime
    stream: str
    up: bool
    reason: str


@dataclass(frozen=True)
class StreamSilent:
    """Readings brought what a stream should have told."""

    at: datetime
    stream: str
    reason: str
