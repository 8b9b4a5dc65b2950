"""A runner's life as objects, a line each: on stdout for programs, and in the log file."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from typing import Any, TextIO

import msgspec

from gambler_ai.app.notices import Notice
from gambler_ai.app.venue import Venue
from gambler_ai.cli import records
from gambler_ai.cli.records import Record
from gambler_ai.core import events as ev
from gambler_ai.core.catchup import CatchUp
from gambler_ai.core.engine import Decisions
from gambler_ai.core.state import Plan, SessionState
from gambler_ai.secrecy import Mask, masked
from gambler_ai.storage.checkpoints import CheckpointInfo
from gambler_ai.storage.sessions import SessionInfo
from gambler_ai.trading.recovery import Restored

#: Characters of a text of others' that are kept.
TEXT_MAX = 2_000


class Encoder:
    """Objects to lines of ASCII: no secret, no control character, no text without end."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """``secrets`` are masked wherever they appear, also as JSON or an address would spell them."""
        self._mask = Mask(secrets)

    def line(self, record: Record) -> str:
        """``record`` as one line, without its end."""
        text = json.dumps(self._clean(msgspec.to_builtins(record)), separators=(",", ":"))
        return text.replace("\x7f", "\\u007f")  # the one control character among ASCII that JSON lets pass

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict):
            return {key: self._clean(item) for key, item in value.items()}
        return [self._clean(item) for item in value] if isinstance(value, list | tuple) else value

    def _text(self, text: str) -> str:
        """Masked before it is cut: half a secret is one as well."""
        text = self._mask(masked(text))
        return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"


def to_stream(stream: TextIO, encoder: Encoder) -> Callable[[Record], None]:
    """What writes records to ``stream``, each of them at once."""

    def emit(record: Record) -> None:
        stream.write(encoder.line(record) + "\n")
        stream.flush()

    return emit


class RecordWatcher:
    """Hands on what it is told as records, each with its session and the token of the runner."""

    def __init__(self, emit: Callable[[Record], None]) -> None:
        self._emit = emit
        self._session: str | None = None
        self._token: int | None = None
        self._at: str | None = None

    def _tell(self, record: Record) -> None:
        self._at = record.setdefault("at", self._at) or self._at
        self._emit(record | {"session": self._session, "token": self._token})

    def opening(self, venue: Venue, database: str, plan: Plan) -> None:
        self._tell(records.opening(venue, database, plan))

    def created(self, state: SessionState) -> None:
        self._session = state.session_id
        self._tell(records.created(state))

    def resumed(self, info: SessionInfo, restored: Restored) -> None:
        self._session = info.id
        self._tell(records.resumed(info, restored))

    def noted(self, notice: Notice) -> None:
        self._tell(records.notice(notice))

    def planned(self, found: Collection[ev.Discrepancy], facts: Collection[ev.Fact]) -> None:
        self._tell(records.planned(found, facts))

    def started(self, state: SessionState) -> None:
        self._tell(records.started(state))

    def took(self, decisions: Decisions, state: SessionState) -> None:
        for fact in decisions.facts:
            if isinstance(fact, ev.RunStarted):
                self._token = fact.token
            record = records.of_fact(fact, state)
            if record is not None:
                self._tell(record)
        for trade in decisions.changes.closed:
            self._tell(records.of_closed(trade))

    def ticked(self, state: SessionState, at: datetime) -> None:
        """Time that passes is no event."""

    def checkpointed(self, info: CheckpointInfo) -> None:
        self._tell(records.checkpoint(info))

    def caught_up(self, report: CatchUp) -> None:
        self._tell(records.caught_up(report))

    def waiting(self, market: ev.MarketReport, state: SessionState) -> None:
        self._tell(records.waiting(market, state))

    def stream(self, change: ev.StreamChanged) -> None:
        self._tell(records.stream(change))

    def stopping(self, reason: str) -> None:
        self._tell(records.stopping(reason))

    def ended(self, state: SessionState, *, created: int, pruned: int) -> None:
        self._tell(records.ended(state, made=created, pruned=pruned))

    def close(self, error: BaseException | None) -> None:
        """The end of what is watched; an error is its last record."""
        if error is not None:
            self._tell(records.of_error(error))
