"""A directory of the user's own bars: ``SYMBOL.csv`` or ``SYMBOL.parquet``, one file a symbol."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from gambler_ai.errors import ConfigError
from gambler_ai.exchange.instants import new_york
from gambler_ai.exchange.prices import own
from gambler_ai.exchange.prices.own import OwnBars, OwnMarket, Table
from gambler_ai.exchange.prices.sessions import CALENDAR_FIRST, CALENDAR_LAST, Session, real_sessions

_SYMBOL = re.compile(r"[A-Z][A-Z0-9]{0,9}([.-][A-Z0-9]{1,4})?")
SUFFIXES = (".csv", ".parquet")


def read_bars(directory: Path) -> OwnMarket:
    """Every file of it, checked whole. Raises ConfigError, which names the file and the line."""
    paths = _paths(directory)
    digest = hashlib.blake2b(digest_size=16)
    tables: dict[str, Table] = {}
    for symbol, path in paths.items():
        content = _content(path)
        digest.update(f"{path.name}|{len(content)}|".encode() + content)
        tables[symbol] = _csv(path, content) if path.suffix.lower() == ".csv" else _parquet(path, content)
    instants: dict[str, list[int]] = {}
    days: dict[str, list[date]] = {}
    for symbol, table in tables.items():
        if own.check_names(table):
            instants[symbol] = own.read_instants(table)
        else:
            days[symbol] = own.read_days(table)
    edges = [new_york(us).date() for found in instants.values() for us in (found[0], found[-1])]
    edges += [day for listed in days.values() for day in (listed[0], listed[-1])]
    calendar = _calendar(directory, min(edges), max(edges))
    symbols: dict[str, OwnBars] = {}
    for symbol, table in tables.items():
        if symbol in instants:
            symbols[symbol] = own.minute_bars(table, instants[symbol], calendar)
        else:
            symbols[symbol] = own.daily_bars(table, days[symbol], calendar)
    traded = sorted({day for bars in symbols.values() for day in bars.daily.days})
    return OwnMarket(symbols, [calendar[day] for day in traded], digest.hexdigest())


def _paths(directory: Path) -> dict[str, Path]:
    try:
        files = sorted(path for path in directory.iterdir() if path.suffix.lower() in SUFFIXES)
    except OSError as error:
        raise ConfigError(f"cannot read the directory {directory}: {error.strerror}") from None
    found: dict[str, Path] = {}
    for path in files:
        symbol = path.stem.upper()
        if not _SYMBOL.fullmatch(symbol):
            raise ConfigError(f"{path}: {path.stem!r:.40} is no symbol; a file is named SYMBOL.csv or SYMBOL.parquet")
        if symbol in found:
            raise ConfigError(f"{path}: {symbol} has another file, {found[symbol].name}")
        found[symbol] = path
    if not found:
        raise ConfigError(f"{directory} has no bars: it needs files named SYMBOL.csv or SYMBOL.parquet")
    return found


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None


def _calendar(directory: Path, first: date, last: date) -> dict[date, Session]:
    if first < CALENDAR_FIRST or last > CALENDAR_LAST:
        raise ConfigError(
            f"{directory}: its bars run from {first} to {last}; the calendar is known from 2000-01-03 to 2029-12-31"
        )
    return {session.day: session for session in real_sessions(first, last)}


def _csv(path: Path, content: bytes) -> Table:
    """With a header line. Empty lines are left out."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}, line {line}: it is no UTF-8 text") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        for row in reader:
            if row:
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise ConfigError(f"{path}, line {reader.line_num}: {error}") from None
    if len(rows) < 2:
        raise ConfigError(f"{path}: no bars in it; it needs a header line and a line a bar")
    names = _names(str(path), rows[0])
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(names):
            raise ConfigError(f"{path}, line {line}: {len(row)} values, the header has {len(names)}")
    columns = zip(*rows[1:], strict=True)
    return Table(str(path), "line", 2, dict(zip(names, columns, strict=True)), lines[1:])


def _names(path: str, header: Sequence[str]) -> list[str]:
    names = [name.strip().lower() for name in header]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{path}, line 1: column `{name:.40}` is there twice")
    return names


def _parquet(path: Path, content: bytes) -> Table:
    try:
        import pyarrow  # type: ignore[import-not-found, import-untyped, unused-ignore]  # an extra
        import pyarrow.parquet  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        hint = 'pip install "gambler-ai[parquet]", or write the bars as CSV'
        raise ConfigError(f"{path}: reading Parquet needs pyarrow, which is not installed", hint=hint) from None
    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(content))
    except (pyarrow.ArrowException, OSError) as error:
        raise ConfigError(f"{path}: it is no readable Parquet file: {str(error).splitlines()[0]:.120}") from None
    names = _names(str(path), table.column_names)
    if not table.num_rows:
        raise ConfigError(f"{path}: no bars in it")
    return Table(str(path), "row", 1, {name: table.column(at).to_pylist() for at, name in enumerate(names)})
