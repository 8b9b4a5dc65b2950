"""Files that a report leaves behind."""

from __future__ import annotations

import csv
import io
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from gambler_ai.cli.analysis.gathering import RoundTrip, plain
from gambler_ai.errors import ConfigError

#: The columns of the table, in their order.
COLUMNS = (
    "entry_at", "exit_at", "symbol", "side", "qty", "entry_price", "exit_price", "pnl", "adverse", "favourable",
    "held_s", "strategy", "reason", "position_id", "leverage", "session",
)  # fmt: skip
#: What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_TEXT = frozenset({"symbol", "side", "strategy", "reason", "position_id"})


def write(option: str, path: Path, parts: Iterable[str]) -> None:
    """Write ``path`` whole or not at all: a reader of the old one never sees half of the new.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:64]}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                file.writelines(parts)
            os.replace(name, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"{option}: {path} cannot be written: {why}", hint="name another file") from None


def table(found: Iterable[RoundTrip]) -> Iterator[str]:
    """Lines of CSV (RFC 4180): a heading, and a line for each round trip."""
    line = io.StringIO()
    writer = csv.writer(line)
    writer.writerow(COLUMNS)
    for row in found:
        yield _taken(line)
        values = plain(row)
        writer.writerow([_cell(name, values[name]) for name in COLUMNS])
    yield _taken(line)


def _taken(line: io.StringIO) -> str:
    text = line.getvalue()
    line.seek(0)
    line.truncate()
    return text


def _cell(name: str, value: Any) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float):
        return f"{value:.6f}"
    if name in _TEXT and str(value).startswith(_FORMULA):
        return f"'{value}"  # text, whatever a spreadsheet makes of its first sign
    return "" if value is None else value
