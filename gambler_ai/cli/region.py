"""A region of lines at the bottom of a terminal that is drawn anew while what is printed scrolls away above it.

Nothing of the terminal is changed for it: no alternate screen, no hidden cursor, no mode of the line. So there is
nothing to restore, and no end of the process (an error, a second Ctrl+C, kill -9) can leave the terminal spoiled. The
price: when a terminal is made lower, what it pushes into its history of an older picture stays there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions, ConsoleRenderable, Group, RenderHook
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType
from rich.text import Text

from gambler_ai.cli import render

#: Redraws a wall second.
REFRESH_HZ = 4


class RegionConsole(Console):
    """A console that leaves the cursor alone."""

    def show_cursor(self, show: bool = True) -> bool:
        """Neither hide it nor show it: whoever is killed cannot show it again."""
        return False

    @property  # type: ignore[misc]  # nobody sets ours
    def size(self) -> ConsoleDimensions:
        """The terminal's own, now: COLUMNS and LINES of the environment say how large it once was."""
        try:
            columns, lines = os.get_terminal_size(self.file.fileno())
        except OSError:
            return super().size
        return ConsoleDimensions(columns, lines) if columns and lines else super().size


def region_console(stream: TextIO) -> RegionConsole | None:
    """A console with a region on ``stream``; None where there is no terminal that can move its cursor.

    Nor for a job in the background: the terminal is somebody else's then, and is not drawn over.
    """
    safe = render.unbreakable(stream)
    console = RegionConsole(file=safe, highlight=False, emoji=False, markup=False)
    usable = safe.isatty() and console.is_terminal and not console.is_dumb_terminal and _in_front(stream)
    return console if usable and console.encoding.startswith("utf") else None


def _in_front(stream: TextIO) -> bool:
    try:
        return os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    except OSError:  # a terminal that controls nobody, such as a test's
        return True


class Region:
    """``draw`` gives the lines, and is called from a thread; what the console prints meanwhile goes above them."""

    def __init__(self, console: RegionConsole, draw: Callable[[], list[Text]]) -> None:
        self._console = console
        self._draw = draw
        self._reflow = _Reflow(console)
        self._live = Live(
            console=console, get_renderable=self._render, refresh_per_second=REFRESH_HZ, transient=True,
            redirect_stdout=False, vertical_overflow="crop",
        )  # fmt: skip

    def start(self) -> None:
        """Draw it, and go on drawing it."""
        self._live.start()
        self._console.push_render_hook(self._reflow)  # after Live's own, so as to see what that makes of it
        self._live.refresh()

    def stop(self) -> None:
        """Take it off the screen."""
        self._console.pop_render_hook()
        self._live.stop()

    def _render(self) -> Group:
        lines = self._draw()
        self._reflow.next_cells = [cell_len(line.plain) for line in lines]
        return Group(*lines)


class _Reflow(RenderHook):
    """When a terminal gets narrower it breaks our lines: the rows that this adds are taken away as well."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._cells: list[int] = []  # of each line on the screen
        self.next_cells: list[int] = []  # of those that are drawn next

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        width = max(1, self._console.width)
        extra = sum(max(0, (cells - 1) // width) for cells in self._cells)
        self._cells = [min(cells, width) for cells in self.next_cells]
        up = ((ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1)) * extra
        return [Control(*up), *renderables] if extra else renderables
