"""The log file: the objects of --json with level and wall time, and what libraries have to say. It kills no session."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from gambler_ai.cli.json_lines import Encoder
from gambler_ai.cli.records import Record
from gambler_ai.clock import Clock
from gambler_ai.errors import ConfigError

#: A file of this size becomes PATH.1, that PATH.2, and so on; the oldest goes.
LOG_BYTES_MAX = 10_000_000
LOG_FILES_KEPT = 5
#: What libraries log below this is not kept.
FOREIGN_LEVEL = logging.WARNING

_ERRORS = frozenset({"error", "disputed"})
_WARNINGS = frozenset({
    "differs", "unknown", "rejected", "void", "resend", "cancel", "adjusted", "adopted", "foreign", "degraded",
    "halted", "leave", "waiting", "planned", "resolved",
})  # fmt: skip


def level_of(record: Record) -> int:
    """How grave a record is."""
    if record["kind"] in _ERRORS:
        return logging.ERROR
    bad_news = record["kind"] in _WARNINGS or record.get("up") is False
    return logging.WARNING if bad_news else logging.INFO


class LogFile:
    """Takes records from one watcher and messages from every library, until it is closed."""

    def __init__(self, path: Path, encoder: Encoder, wall: Clock, on_failure: Callable[[str], None]) -> None:
        """``on_failure`` is told once what is wrong when the file can no longer be written.

        Raises:
            ConfigError: it cannot be written at all.
        """
        self._context: Record = {}
        self._handler = _PrivateFile(path, on_failure)
        self._handler.setFormatter(_Lines(encoder, wall, self._context))
        self._handler.setLevel(FOREIGN_LEVEL)
        try:
            self._handler.open()
        except OSError as error:
            raise ConfigError(
                f"--log-file: {path} cannot be written: {error.strerror or error}", hint="name another file"
            ) from None
        logging.getLogger().addHandler(self._handler)

    def emit(self, record: Record) -> None:
        """Write one of our own."""
        self._context.update(session=record.get("session"), token=record.get("token"))
        self._handler.handle(logging.makeLogRecord({"levelno": level_of(record), "record": record}))

    def close(self) -> None:
        """Let go of the file; libraries log elsewhere again."""
        logging.getLogger().removeHandler(self._handler)
        self._handler.close()


class _Lines(logging.Formatter):
    def __init__(self, encoder: Encoder, wall: Clock, context: Record) -> None:
        super().__init__()
        self._encoder = encoder
        self._wall = wall
        self._context = context

    def format(self, record: logging.LogRecord) -> str:
        ours: Record | None = getattr(record, "record", None)
        body = ours if ours is not None else self._foreign(record)
        head = {"wall": self._wall.now(), "level": logging.getLevelName(record.levelno).lower()}
        return self._encoder.line(head | body)

    def _foreign(self, record: logging.LogRecord) -> Record:
        """A library's message; of an exception its kind only, for a traceback shows values."""
        body: Record = {"kind": "log", "logger": record.name, "message": record.getMessage()}
        if record.exc_info and record.exc_info[0] is not None:
            body["exception"] = record.exc_info[0].__name__
        return body | self._context


class _PrivateFile(RotatingFileHandler):
    """For its owner's eyes; a write that fails is told once."""

    def __init__(self, path: Path, on_failure: Callable[[str], None]) -> None:
        super().__init__(path, maxBytes=LOG_BYTES_MAX, backupCount=LOG_FILES_KEPT, encoding="utf-8", delay=True)
        self._on_failure = on_failure
        self._failed = False

    def open(self) -> None:
        """Open it now.

        Raises:
            OSError: it cannot be written.
        """
        self.stream = self._open()

    def _open(self) -> TextIOWrapper:
        stream = open(self.baseFilename, "a", encoding="utf-8", opener=_private)  # noqa: SIM115 (it is kept)
        if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):  # a device keeps its own
            with suppress(OSError):  # somebody else's file
                os.fchmod(stream.fileno(), 0o600)
        return stream

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's own name)
        """A log must not kill a session: it is written again when there is room."""
        if not self._failed:
            self._failed = True
            self._on_failure(f"the log file {self.baseFilename} cannot be written; the session goes on without it")

    def close(self) -> None:
        with suppress(OSError, ValueError):
            super().close()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
