"""A plan of faults: its lines, checked, and which of them a request, a message or an execution meets."""

from __future__ import annotations

import hashlib
import math
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from gambler_ai.errors import ConfigError
from gambler_ai.exchange.faults import deeds
from gambler_ai.exchange.faults.kinds import (
    BAD_PRICE,
    BOTH_EXITS,
    DEED_KINDS,
    INSIDE,
    KINDS,
    NO_SECONDS,
    PIECES,
    REQUEST_KINDS,
    STREAM_KINDS,
    STREAM_REFUSE,
)
from gambler_ai.exchange.faults.schedule import Schedule, number
from gambler_ai.exchange.faults.spoil import PRICES

TRADE_UPDATES, DATA = "trade_updates", "data"  # the streams, as a plan names them
CONNECT, AUTH = "connect", "auth"  # where stream_refuse says no
PLAN, V2, INTERNAL = "plan", "v2", "internal"  # the same, of market data: errors 409, 408 and 500
REFUSED_AT = (CONNECT, AUTH, PLAN, V2, INTERNAL)
SHOWN_MAX = 40  # of what was written wrong
MAX_FAULTS = 1000  # a plan is written by a person or a test
_NOT_REQUEST = ("method", "path", "contains")


class Host(Protocol):
    """What a plan needs of the exchange that it acts on."""

    @property
    def seed(self) -> int: ...

    def plan_now_us(self) -> int:
        """The market's time."""
        ...

    def plan_anchor_us(self, digest: str) -> int:
        """When a standing plan was first seen, through restarts."""
        ...

    def plan_deeds(self, rows: Sequence[deeds.Planned], *, standing: bool) -> None:
        """What is to happen to the account by itself, instead of what was planned so far. Raises ConfigError."""
        ...


class Fault:
    """One line of a plan; ``matches`` for requests, ``meets`` for streams."""

    def __init__(self, row: Mapping[str, Any], place: int = 0, anchor_us: int = 0) -> None:
        """Raises ConfigError for a line that makes no sense."""
        if not isinstance(row, Mapping):
            raise ConfigError('a fault is an object with a "kind"')
        name = row.get("kind")
        if not isinstance(name, str) or name not in KINDS:
            given = "none" if name is None else repr(name)[:SHOWN_MAX]
            raise ConfigError(f"{given} is no kind of fault; docs/FAULTS.md has them all")
        kind = KINDS[name]
        if unknown := sorted(set(row) - kind.fields):
            fields = ", ".join(sorted(kind.fields - {"kind"}))
            raise ConfigError(f"{name} has no field {repr(unknown[0])[:SHOWN_MAX]}; it has {fields}")
        _check_texts(row)
        self.kind = name
        self.row = dict(row)
        self.method = str(row.get("method") or kind.method).upper()
        self.path = str(row.get("path") or kind.path)
        if kind.group == INSIDE and (self.method != kind.method or not self.path.startswith(kind.path)):
            raise ConfigError(f"a fault of kind {name} acts on {kind.method} {kind.path} and on nothing else")
        self.stream, self.at = str(row.get("stream") or ""), str(row.get("at") or CONNECT)
        if self.stream not in ("", TRADE_UPDATES, DATA) or self.at not in REFUSED_AT:
            raise ConfigError(f'"stream" is {TRADE_UPDATES} or {DATA}, "at" is one of {", ".join(REFUSED_AT)}')
        self.price = str(row.get("price") or "")
        if name == BAD_PRICE and self.price not in PRICES:
            raise ConfigError(f'"price" is one of {", ".join(PRICES)}')
        self.pieces = [str(row[piece]) for piece in PIECES if row.get(piece)] if name not in DEED_KINDS else []
        if name in DEED_KINDS:
            deeds.check(name, row)
            self.pieces = [str(row["contains"])] if row.get("contains") else []
        self.seconds = number(row, "seconds", kind.seconds if kind.seconds != NO_SECONDS else 0.0)
        self.schedule = Schedule(row, anchor_us, place)
        self.key = ""  # of a deed, by which it is known through a restart

    @property
    def is_asked_for(self) -> bool:
        """A deed that a request sets off, rather than an instant."""
        return self.kind in DEED_KINDS and any(self.row.get(name) for name in _NOT_REQUEST)

    @property
    def seconds_or_none(self) -> float | None:
        """None for good."""
        return None if math.isinf(self.seconds) else self.seconds

    def matches(self, method: str, path: str, text: str) -> bool:
        return (
            self.kind in REQUEST_KINDS
            and not self.stream
            and (self.kind not in DEED_KINDS or self.is_asked_for)
            and self.method in ("", method)
            and (path == self.path[:-1] if self.path.endswith("$") else path.startswith(self.path))
            and all(piece in text for piece in self.pieces)
        )

    def meets(self, stream: str, kinds: Collection[str], text: str) -> bool:
        return (
            self.kind in kinds
            and (self.kind in STREAM_KINDS or bool(self.stream))
            and self.stream in ("", stream)
            and all(piece in text for piece in self.pieces)
        )


def _check_texts(row: Mapping[str, Any]) -> None:
    for name in ("method", "path", "stream", "at", "price", *PIECES):
        if not isinstance(row.get(name, ""), str):
            raise ConfigError(f'"{name}" is a text')


class Met(NamedTuple):
    """What a request meets: deeds that it sets off, and the one fault that it suffers."""

    deeds: list[Fault]
    fault: Fault | None


class FaultPlan:
    """The faults still to come. A request, or a message of a stream, takes the first that fits and is due; the control
    endpoint replaces the plan.

    ``standing``: a plan that comes back with each start (`exchange serve --faults`). What of it has happened to the
    account does not happen again, and its offsets count from the first start.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]] = (), *, standing: bool = False) -> None:
        """Raises ConfigError."""
        self._lock = threading.RLock()  # a watcher takes faults
        self._faults: list[Fault] = []
        self._watchers: list[Callable[[], None]] = []
        self._host: Host | None = None
        self._rows = list(rows)
        self._standing = standing
        self._faults = self._build(self._rows, 0)

    def bind(self, host: Host) -> None:
        """From here on it is this exchange's: its seed, its time, its account. Raises ConfigError."""
        with self._lock:
            if self._host is host:
                return
            self._host = host
            anchor_us = host.plan_anchor_us(_digest(self._rows)) if self._standing else host.plan_now_us()
            self._arm(self._build(self._rows, anchor_us), standing=self._standing)

    def replace(self, rows: Iterable[Mapping[str, Any]]) -> int:
        """Raises ConfigError and keeps the old plan when a line makes no sense."""
        rows = list(rows)
        with self._lock:
            self._arm(self._build(rows, self._host.plan_now_us() if self._host else 0), standing=False)
            self._rows, self._standing = rows, False
            for watcher in self._watchers:
                watcher()
        return len(self._faults)

    def _build(self, rows: list[Mapping[str, Any]], anchor_us: int) -> list[Fault]:
        if len(rows) > MAX_FAULTS:
            raise ConfigError(f"a plan has at most {MAX_FAULTS} faults")
        faults: list[Fault] = []
        alike: Counter[str] = Counter()
        for place, row in enumerate(rows):
            try:
                fault = Fault(row, place, anchor_us)
            except ConfigError as error:
                raise ConfigError(f"fault {place + 1}: {error.message}") from None
            digest = _digest([fault.row])
            fault.key = f"{digest}-{alike[digest]}"
            alike[digest] += 1
            faults.append(fault)
        return faults

    def _arm(self, faults: list[Fault], *, standing: bool) -> None:
        if self._host is not None:
            planned = [
                deeds.Planned(fault.kind, fault.row, fault.schedule.from_us, fault.key)
                for fault in faults if fault.kind in DEED_KINDS and not fault.is_asked_for
            ]  # fmt: skip
            self._host.plan_deeds(planned, standing=standing)
        self._faults = faults

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call it whenever the plan has been replaced."""
        with self._lock:
            self._watchers.append(watcher)

    def unwatch(self, watcher: Callable[[], None]) -> None:
        """When this returns the watcher is not called any more."""
        with self._lock:
            self._watchers.remove(watcher)

    def meet(self, method: str, path: str, text: str) -> Met:
        """What a request meets, used up once. What comes behind the fault that it takes does not see it."""
        found: list[Fault] = []
        for fault in self._faults:
            if fault.matches(method, path, text) and self._due(fault):
                if fault.kind not in DEED_KINDS:
                    return Met(found, fault)
                found.append(fault)
        return Met(found, None)

    def take(self, method: str, path: str, text: str) -> Fault | None:
        """The fault that a request suffers, used up once."""
        return self.meet(method, path, text).fault

    def acted(self) -> list[dict[str, Any]]:
        """Each line of the plan, and how often it has acted."""
        return [{"fault": fault.row, "acted": fault.schedule.acted} for fault in self._faults]

    def take_stream(self, stream: str, kinds: Collection[str], message: object = None) -> Fault | None:
        """The first fault of these kinds for a message, or for no message in particular; used up once."""
        if not self._faults:
            return None
        text = "" if message is None else msgspec.json.encode(message).decode()
        return self._take(lambda fault: fault.meets(stream, kinds, text))

    def take_refusal(self, stream: str, at: str) -> Fault | None:
        """The first ``stream_refuse`` for connecting to a stream, or for authenticating on it; used up once."""
        return self._take(lambda fault: fault.at == at and fault.meets(stream, (STREAM_REFUSE,), ""))

    def take_both_exits(self, symbol: str) -> bool:
        """Does the other exit fill too? Used up once."""
        fits = self._take(lambda fault: fault.kind == BOTH_EXITS and fault.row.get("symbol", symbol) == symbol)
        return fits is not None

    def _take(self, fits: Callable[[Fault], bool]) -> Fault | None:
        for fault in self._faults:
            if fits(fault) and self._due(fault):
                return fault
        return None

    def _due(self, fault: Fault) -> bool:
        with self._lock:
            seed, now_us = (self._host.seed, self._host.plan_now_us()) if self._host is not None else (0, 0)
            return fault.schedule.due(seed, now_us)


def _digest(rows: Sequence[Mapping[str, Any]]) -> str:
    return hashlib.blake2b(msgspec.json.encode(rows, order="deterministic"), digest_size=16).hexdigest()
