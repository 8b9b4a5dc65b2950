"""Scripted faults: what a broker does to a runner on a bad day, at will and the same each time (BEHAVIOUR
10).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

from gambler_ai.errors import ConfigError

# What is done instead of handling, before it, after it, or while it is handled.
UNHANDLED = ("500", "503_html", "429", "reset", "garbage")
BEFORE = ("hang",)
AFTER = ("lost_reply", "504_after")
INSIDE = ("not_found_for", "position_late", "accepted_only")
KINDS = (*UNHANDLED, *BEFORE, *AFTER, *INSIDE)
MAX_FAULTS = 1000  # a plan is written by a person or a test
# Where a kind acts when its line does not say.
_DEFAULTS = {
    "not_found_for": ("GET", "/v2/orders"),
    "position_late": ("GET", "/v2/positions"),
    "accepted_only": ("POST", "/v2/orders"),
}
_FIELDS = {"kind", "method", "path", "contains", "symbol", "client_order_id", "times", "seconds"}


class Fault:
    """One line of a plan. It matches a method, a path prefix and pieces of the request's text."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        unknown = set(row) - _FIELDS
        if unknown or row.get("kind") not in KINDS:
            raise ConfigError(f"a fault has a kind of {', '.join(KINDS)} and fields {', '.join(sorted(_FIELDS))}")
        self.kind: str = row["kind"]
        method, path = _DEFAULTS.get(self.kind, ("", "/v2/"))
        self.method = str(row.get("method") or method).upper()
        self.path = str(row.get("path") or path)
        pieces = (row.get(name) for name in ("contains", "symbol", "client_order_id"))
        self.pieces = [str(piece) for piece in pieces if piece]
        times = row.get("times", 1)
        if times != "always" and (not isinstance(times, int) or times < 0):
            raise ConfigError('"times" is a whole number or "always"')
        self.left: float = float("inf") if times == "always" else float(times)
        self.seconds = float(row.get("seconds", 1.0))

    def matches(self, method: str, path: str, text: str) -> bool:
        return (
            self.left > 0
            and self.method in ("", method)
            and path.startswith(self.path)
            and all(piece in text for piece in self.pieces)
        )


class FaultPlan:
    """The faults still to come. A request takes the first that matches; the control endpoint replaces the
    plan.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self.replace(rows)

    def replace(self, rows: Iterable[Mapping[str, Any]]) -> int:
        """Raises ConfigError and keeps the old plan when a line makes no sense."""
        faults = [Fault(row) for row in rows]
        if len(faults) > MAX_FAULTS:
            raise ConfigError(f"a plan has at most {MAX_FAULTS} faults")
        with self._lock:
            self._faults = faults
        return len(faults)

    def take(self, method: str, path: str, text: str) -> Fault | None:
        """The first fault that matches, used up once."""
        if not self._faults:
            return None
        with self._lock:
            for fault in self._faults:
                if fault.matches(method, path, text):
                    fault.left -= 1
                    return fault
        return None
