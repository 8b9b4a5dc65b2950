"""How things look: aligned numbers, New York time, calm colours; plain text where there is no terminal."""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TextIO, cast
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gambler_ai.secrecy import masked

NEW_YORK = ZoneInfo("America/New_York")

#: Styles by meaning, so that a colour says one thing everywhere.
GOOD, BAD, WARN, QUIET, STRONG = "green", "red", "yellow", "dim", "bold"
#: Characters of one text of others' that are shown.
TEXT_MAX = 500


def console(*, stderr: bool = False, plain: bool = False) -> Console:
    """A console that neither guesses colours into numbers nor wraps lines that go to a file.

    ``plain``: as to a file, even on a terminal.
    """
    stream = unbreakable(sys.stderr if stderr else sys.stdout)
    if stream.isatty() and not plain:
        return Console(file=stream, highlight=False, emoji=False, markup=False)
    return Console(
        file=stream, highlight=False, emoji=False, markup=False, width=200, soft_wrap=True, color_system=None
    )


def unbreakable(stream: TextIO) -> TextIO:
    """``stream``, whose reader may go away."""
    return cast("TextIO", _Unbreakable(stream))


class _Unbreakable:
    """A stream that goes quiet when nobody reads it any more: a session must not die of `| head`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def printable(text: str) -> str:
    """What a broker, a file or a plug-in says, so that it can neither steer a terminal nor fill it.

    Control and formatting characters become ``\\x1b``, secrets ``***``; more than `TEXT_MAX` characters end in an
    ellipsis.
    """
    text = masked(text)
    if len(text) > TEXT_MAX:
        text = text[: TEXT_MAX - 1] + "…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def money(value: Decimal | None, *, sign: bool = False) -> str:
    """Dollars and cents; a dash where it is not known."""
    if value is None:
        return "-"
    return f"{value:{'+' if sign else ''},.2f}"


def dollars(value: Decimal | None) -> str:
    """The same with a dollar sign in front."""
    if value is None:
        return "-"
    return f"-${-value:,.2f}" if value < 0 else f"${value:,.2f}"


def price(value: Decimal | None) -> str:
    """A price with two places, four below a dollar."""
    if value is None:
        return "-"
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.4f}"


def qty(value: Decimal) -> str:
    """A quantity without needless zeros."""
    return f"{value.normalize():f}"


def pnl_style(value: Decimal | None) -> str:
    """Green above zero, red below."""
    if value is None or value == 0:
        return ""
    return GOOD if value > 0 else BAD


def clock_time(at: datetime) -> str:
    """Time of day in New York, where the exchange is."""
    return f"{at.astimezone(NEW_YORK):%H:%M:%S}"


def day_time(at: datetime) -> str:
    """Date and time in New York."""
    return f"{at.astimezone(NEW_YORK):%Y-%m-%d %H:%M:%S}"


def span(length: timedelta) -> str:
    """A duration as a person says it."""
    seconds = max(0, int(length.total_seconds()))
    days, seconds = divmod(seconds, 86_400)
    hours, seconds = divmod(seconds, 3_600)
    minutes, seconds = divmod(seconds, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")]
    shown = [f"{n}{unit}" for n, unit in parts if n]
    return " ".join(shown[:2]) or "0s"


def pace(speed: float) -> str:
    """How fast session time passes; ``speed`` is session seconds a wall second, 0 as fast as it goes."""
    return f"{speed:g}x" if speed else "as fast as it goes"


def table(*columns: tuple[str, str]) -> Table:
    """A table without lines; each column is a heading and "left" or "right"."""
    result = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=QUIET)
    for heading, side in columns:
        right = side == "right"  # where it is narrow, words go on below; a number is never cut
        result.add_column(heading, justify="right" if right else "left", no_wrap=right, overflow="fold")
    return result


def pair(name: str, value: str | Text, style: str = "") -> Text:
    """A name and its value, aligned with the other pairs of a block."""
    return Text.assemble((f"{name:<12}", QUIET), value if isinstance(value, Text) else (value, style))
