"""Scripted faults: what a broker does to a runner on a bad day, at will and the same each time (BEHAVIOUR
10).

Faults of requests match a method, a path and pieces of the request's text. Faults of streams match a stream
and pieces of a message's JSON. ``stream_cut`` and ``stream_mute`` without pieces need no message: they act at
once on the first connection that listens.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import msgspec

from gambler_ai.errors import ConfigError

# What is done instead of handling, before it, after it, or while it is handled.
UNHANDLED = ("500", "503_html", "429", "reset", "garbage")
BEFORE = ("hang",)
AFTER = ("lost_reply", "504_after")
INSIDE = ("not_found_for", "position_late", "accepted_only")
# What becomes of a stream's connection (the message at hand is lost with it), or of one message.
STREAM_CUT, STREAM_MUTE, STREAM_REFUSE = "stream_cut", "stream_mute", "stream_refuse"
STREAM_REPEAT, STREAM_DROP = "stream_repeat", "stream_drop"
STREAM_KINDS = (STREAM_CUT, STREAM_MUTE, STREAM_REFUSE, STREAM_REPEAT, STREAM_DROP)
REQUEST_KINDS = (*UNHANDLED, *BEFORE, *AFTER, *INSIDE)
KINDS = (*REQUEST_KINDS, *STREAM_KINDS)
TRADE_UPDATES, DATA = "trade_updates", "data"  # the streams, as a plan names them
CONNECT, AUTH = "connect", "auth"  # where stream_refuse says no
MAX_FAULTS = 1000  # a plan is written by a person or a test
# Where a kind acts when its line does not say.
_DEFAULTS = {
    "not_found_for": ("GET", "/v2/orders"),
    "position_late": ("GET", "/v2/positions"),
    "accepted_only": ("POST", "/v2/orders"),
}
_PIECES = ("contains", "symbol", "client_order_id")
_REQUEST_FIELDS = {"kind", "times", "seconds", "method", "path", *_PIECES}
_STREAM_FIELDS = {
    STREAM_CUT: {"kind", "times", "stream", *_PIECES},
    STREAM_MUTE: {"kind", "times", "stream", "seconds", *_PIECES},
    STREAM_REFUSE: {"kind", "times", "stream", "at"},
    STREAM_REPEAT: {"kind", "times", "stream", *_PIECES},
    STREAM_DROP: {"kind", "times", "stream", *_PIECES},
}


class Fault:
    """One line of a plan; ``matches`` for requests, ``meets`` for streams."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        """Raises ConfigError for a line that makes no sense."""
        if row.get("kind") not in KINDS:
            raise ConfigError(f"a fault has a kind of {', '.join(KINDS)}")
        self.kind: str = row["kind"]
        fields = _STREAM_FIELDS.get(self.kind, _REQUEST_FIELDS)
        if set(row) - fields:
            raise ConfigError(f"a fault of kind {self.kind} has fields {', '.join(sorted(fields))}")
        method, path = _DEFAULTS.get(self.kind, ("", "/v2/"))
        self.method = str(row.get("method") or method).upper()
        self.path = str(row.get("path") or path)
        self.stream, self.at = str(row.get("stream") or ""), str(row.get("at") or CONNECT)
        if self.stream not in ("", TRADE_UPDATES, DATA) or self.at not in (CONNECT, AUTH):
            raise ConfigError(f'"stream" is {TRADE_UPDATES} or {DATA}, "at" is {CONNECT} or {AUTH}')
        self.pieces = [str(row[name]) for name in _PIECES if row.get(name)]
        times = row.get("times", 1)
        if times != "always" and (not isinstance(times, int) or times < 0):
            raise ConfigError('"times" is a whole number or "always"')
        self.left: float = math.inf if times == "always" else float(times)
        self.seconds = float(row.get("seconds", math.inf if self.kind == STREAM_MUTE else 1.0))

    def matches(self, method: str, path: str, text: str) -> bool:
        return (
            self.left > 0
            and self.kind in REQUEST_KINDS
            and self.method in ("", method)
            and path.startswith(self.path)
            and all(piece in text for piece in self.pieces)
        )

    def meets(self, stream: str, kinds: Collection[str], text: str) -> bool:
        return (
            self.left > 0
            and self.kind in kinds
            and self.stream in ("", stream)
            and all(piece in text for piece in self.pieces)
        )


class FaultPlan:
    """The faults still to come. A request, or a message of a stream, takes the first that matches; the
    control endpoint replaces the plan.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        self._lock = threading.RLock()  # a watcher takes faults
        self._faults: list[Fault] = []
        self._watchers: list[Callable[[], None]] = []
        self.replace(rows)

    def replace(self, rows: Iterable[Mapping[str, Any]]) -> int:
        """Raises ConfigError and keeps the old plan when a line makes no sense."""
        faults = [Fault(row) for row in rows]
        if len(faults) > MAX_FAULTS:
            raise ConfigError(f"a plan has at most {MAX_FAULTS} faults")
        with self._lock:
            self._faults = faults
            for watcher in self._watchers:
                watcher()
        return len(faults)

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call it whenever the plan has been replaced."""
        with self._lock:
            self._watchers.append(watcher)

    def unwatch(self, watcher: Callable[[], None]) -> None:
        """When this returns the watcher is not called any more."""
        with self._lock:
            self._watchers.remove(watcher)

    def take(self, method: str, path: str, text: str) -> Fault | None:
        """The first fault that matches a request, used up once."""
        if not self._faults:
            return None
        return self._take(lambda fault: fault.matches(method, path, text))

    def take_stream(self, stream: str, kinds: Collection[str], message: object = None) -> Fault | None:
        """The first fault of these kinds for a message, or for no message in particular; used up once."""
        if not self._faults:
            return None
        text = "" if message is None else msgspec.json.encode(message).decode()
        return self._take(lambda fault: fault.meets(stream, kinds, text))

    def take_refusal(self, stream: str, at: str) -> Fault | None:
        """The first ``stream_refuse`` for connecting to a stream, or for authenticating on it; used up once."""
        return self._take(lambda fault: fault.at == at and fault.meets(stream, (STREAM_REFUSE,), ""))

    def _take(self, fits: Callable[[Fault], bool]) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if fits(fault):
                    fault.left -= 1
                    return fault
        return None
