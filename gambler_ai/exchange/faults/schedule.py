"""When a line of a plan acts: once, some times, always, after some, every n-th, by chance, between two instants."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from gambler_ai.errors import ConfigError
from gambler_ai.exchange.hashing import chance
from gambler_ai.exchange.instants import SECOND, parse_rfc3339

_OFFSET = re.compile(r"\+(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")
_UNITS = (86_400, 3_600, 60, 1)


def parse_when(text: object, name: str, anchor_us: int) -> int:
    """An instant ("2008-10-07T14:00:00Z"), or market time after ``anchor_us`` ("+5m", "+1h30m", "+90s").

    Raises:
        ConfigError: it is neither.
    """
    if isinstance(text, str):
        match = _OFFSET.fullmatch(text)
        if match and any(match.groups()):
            seconds = sum(unit * float(part) for unit, part in zip(_UNITS, match.groups(), strict=True) if part)
            return anchor_us + round(seconds * SECOND)
        try:
            return parse_rfc3339(text)
        except (ValueError, OverflowError):
            pass
    raise ConfigError(f'"{name}" is an instant like 2008-10-07T14:00:00Z, or market time like +5m or +1h30m')


def whole(row: Mapping[str, Any], name: str, default: int, least: int) -> int:
    """Raises ConfigError."""
    value = row.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f'"{name}" is a whole number from {least} on')
    return value


def number(row: Mapping[str, Any], name: str, default: float, most: float = math.inf) -> float:
    """Zero or more, and finite unless it is the default. Raises ConfigError."""
    value = row.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most or math.isinf(value):
        raise ConfigError(f'"{name}" is a number from 0 {"on" if math.isinf(most) else f"to {most:g}"}')
    return float(value)


class Schedule:
    """The ``WHEN`` part of a line. ``due`` counts: ask it once for each thing that the line fits."""

    def __init__(self, row: Mapping[str, Any], anchor_us: int, place: int) -> None:
        """``place`` is the line's number in its plan: lines alike draw their own chances. Raises ConfigError."""
        times = row.get("times", 1)
        if times != "always" and (isinstance(times, bool) or not isinstance(times, int) or times < 0):
            raise ConfigError('"times" is a whole number or "always"')
        self.left: float = math.inf if times == "always" else float(times)
        self.from_us = parse_when(row["from"], "from", anchor_us) if "from" in row else None
        self._until_us = parse_when(row["until"], "until", anchor_us) if "until" in row else None
        if self.from_us is not None and self._until_us is not None and self._until_us <= self.from_us:
            raise ConfigError('"until" is not after "from"')
        self._after = whole(row, "after", 0, 0)
        self._every = whole(row, "every", 1, 1)
        self._probability = number(row, "probability", 1.0, 1.0)
        self._place = place
        self._seen = 0
        self.acted = 0

    def is_open(self, now_us: int) -> bool:
        """May it act at this instant at all?"""
        begun = self.from_us is None or self.from_us <= now_us
        return self.left > 0 and begun and (self._until_us is None or now_us < self._until_us)

    def due(self, seed: int, now_us: int) -> bool:
        """Does it act on this one? Then it is used up once."""
        if not self.is_open(now_us):
            return False
        self._seen += 1
        count = self._seen - self._after
        if count < 1 or count % self._every:
            return False
        if self._probability < 1 and chance(seed, "fault", self._place, self._seen) >= self._probability:
            return False
        self.left -= 1
        self.acted += 1
        return True
