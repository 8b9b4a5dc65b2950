"""A curve in a terminal: braille dots, two a column and four a line. A value holds until the next one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.text import Text

from gambler_ai.cli.render import QUIET

#: Cells of the scale at the left.
SCALE = 12
#: The bit of a dot in a braille cell, by its row from the top and its column.
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BLANK = 0x2800
#: Of a dotted curve every so many columns of dots are drawn.
DOTTED_EVERY = 4


class Series(NamedTuple):
    """A curve: (place from 0 to 1, value), sorted by place. A ``dotted`` one is told from another without colours."""

    points: Sequence[tuple[float, float]]
    style: str
    dotted: bool = False


def plot(
    points: Sequence[tuple[float, float]], width: int, height: int, write: Callable[[float], str], style: str,
    bounds: tuple[float, float] | None = None,
) -> list[Text]:  # fmt: skip
    """Lines of a plot: ``width`` cells, `SCALE` of them for the scale, ``height`` lines.

    ``points`` are (place from 0 to 1, value), sorted by place. ``write`` makes a mark of the scale of a value.
    ``bounds``: the lowest and highest value there is room for, the points' own if it is not given.
    """
    return plots([Series(points, style)], width, height, write, bounds)


#: A span no larger is none: what divides by it leaves the numbers.
FLAT = 1e-300


def plots(
    series: Sequence[Series], width: int, height: int, write: Callable[[float], str],
    bounds: tuple[float, float] | None = None,
) -> list[Text]:  # fmt: skip
    """The same of several curves on one scale: where two meet, the first one has the cell."""
    columns = 2 * (width - SCALE)
    values = [value for one in series for _, value in one.points]
    low, high = bounds or (min(values), max(values))
    scale = (4 * height - 1) / (high - low) if high - low > FLAT else 0.0
    canvases = [_drawn(one, _Canvas(columns, 4 * height), high, scale) for one in series]
    marks = {0: write(high), height - 1: write(low)}
    if height >= 7:
        marks[height // 2] = write(high - (height // 2) / (height - 1) * (high - low))
    if not scale:
        marks = {0: write(high)}
    styles = [one.style for one in series]
    return [
        Text.assemble((f"{marks.get(row, ''):>{SCALE - 2}} ", QUIET), ("│", QUIET), *_merged(rows, styles))
        for row, rows in enumerate(zip(*(canvas.cells for canvas in canvases), strict=True))
    ]


def _drawn(series: Series, canvas: _Canvas, high: float, scale: float) -> _Canvas:
    for column, (least, most) in enumerate(_extent(series.points, canvas.columns)):
        if least is not None and most is not None and not (series.dotted and column % DOTTED_EVERY):
            canvas.line(column, round((high - most) * scale), round((high - least) * scale))
    return canvas


def _merged(rows: Sequence[Sequence[int]], styles: Sequence[str]) -> list[tuple[str, str]]:
    """Cells of one line, of several canvases, as runs of one style."""
    runs: list[tuple[str, str]] = []
    for cells in zip(*rows, strict=True):
        dots = 0
        for cell in cells:
            dots |= cell
        style = next((style for cell, style in zip(cells, styles, strict=True) if cell), runs[-1][1] if runs else "")
        text = chr(_BLANK | dots) if dots else " "
        runs = [*runs[:-1], (runs[-1][0] + text, style)] if runs and runs[-1][1] == style else [*runs, (text, style)]
    return runs


def axis(marks: Sequence[tuple[float, str]], width: int) -> Text:
    """The line below a plot; what finds no room is left out."""
    line = ""
    for place, text in marks:
        start = SCALE + min(round(place * (width - SCALE - 1)), width - SCALE - len(text))
        if start >= len(line) + (2 if line else 0):
            line = f"{line:<{start}}{text}"
    return Text(line, QUIET)


def _extent(points: Sequence[tuple[float, float]], columns: int) -> list[tuple[float | None, float | None]]:
    """The lowest and highest value in each column of dots; what held at its left edge counts."""
    found: list[tuple[float | None, float | None]] = []
    index, held = 0, None
    for column in range(columns):
        values = [] if held is None else [held]
        while index < len(points) and min(int(points[index][0] * columns), columns - 1) <= column:
            held = points[index][1]
            values.append(held)
            index += 1
        found.append((min(values), max(values)) if values else (None, None))
    return found


class _Canvas:
    """Dots, the topmost row first."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns = columns
        self.cells = [[0] * -(-columns // 2) for _ in range(rows // 4)]

    def line(self, column: int, top: int, bottom: int) -> None:
        """A dot in each row from ``top`` to ``bottom``."""
        for row in range(top, bottom + 1):
            self.cells[row // 4][column // 2] |= _DOTS[row % 4][column % 2]
