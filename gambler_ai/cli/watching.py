"""Who watches a session: lines, the live view or objects on stdout, and the log file beside them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from rich.text import Text

from gambler_ai.app.desk import Watcher
from gambler_ai.cli import render
from gambler_ai.cli.json_lines import Encoder, RecordWatcher, to_stream
from gambler_ai.cli.lines import Detail, LineWatcher
from gambler_ai.cli.live import LiveWatcher
from gambler_ai.cli.logfile import LogFile
from gambler_ai.cli.region import region_console
from gambler_ai.cli.watchers import Watchers
from gambler_ai.clock import SystemClock
from gambler_ai.config import Settings
from gambler_ai.core.model import ClosedTrade
from gambler_ai.errors import ConfigError


@dataclass(frozen=True)
class Output:
    """How a session is to be shown; at most one of ``plain`` and ``as_json``, and of ``quiet`` and ``as_json``."""

    plain: bool = False
    as_json: bool = False
    quiet: bool = False

    def check(self) -> None:
        """Refuse what excludes each other.

        Raises:
            ConfigError.
        """
        if self.as_json and (self.plain or self.quiet):
            raise ConfigError(f"--json and --{'plain' if self.plain else 'quiet'} exclude each other")


@dataclass(frozen=True)
class Books:
    """What watchers read from the database: a session's round trips, and how many checkpoints it has."""

    closed: Callable[[str], list[ClosedTrade]]
    stored: Callable[[str], int]


@contextmanager
def watching(settings: Settings, output: Output, books: Books, resume_command: str) -> Iterator[Watcher]:
    """The watchers of one run. However it ends, they end first: terminal and log file are let go.

    Raises:
        ConfigError: the log file cannot be written.
    """
    encoder = Encoder(_secrets(settings))
    log = None if settings.log_file is None else _log(settings, encoder)
    live: LiveWatcher | None = None
    told: list[RecordWatcher] = [] if log is None else [RecordWatcher(log.emit)]
    watchers: list[Watcher] = [*told]
    if output.as_json:
        told.append(RecordWatcher(to_stream(render.unbreakable(sys.stdout), encoder)))
        watchers.append(told[-1])
    else:
        console, detail = render.console(plain=output.plain), Detail.QUIET if output.quiet else Detail.FULL
        region = None if output.plain or output.quiet else region_console(sys.stdout)
        if region is not None:
            console, detail = region, Detail.BESIDE_LIVE
            live = LiveWatcher(region, books.stored, SystemClock())
            watchers.append(live)
        watchers.append(LineWatcher(console, books.closed, resume_command=resume_command, detail=detail))
    error: BaseException | None = None
    try:
        yield Watchers(watchers)
    except BaseException as raised:
        error = raised
        raise
    finally:
        if live is not None:
            live.close(error)
        for each in told:
            each.close(error)
        if log is not None:
            log.close()


def _secrets(settings: Settings) -> list[str]:
    hidden = (settings.api_key, settings.api_secret, settings.exchange_token)
    password = ""
    with suppress(ValueError):  # no address at all: the database says so
        password = urlsplit(settings.database).password or ""
    return [*(secret.get_secret_value() for secret in hidden), password, unquote(password)]


def _log(settings: Settings, encoder: Encoder) -> LogFile:
    assert settings.log_file is not None
    path = Path(os.path.expanduser(settings.log_file))

    def failed(message: str) -> None:
        render.console(stderr=True).print(Text(message, render.WARN))

    return LogFile(path, encoder, SystemClock(), failed)
