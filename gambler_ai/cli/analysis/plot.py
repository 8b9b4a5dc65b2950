"""A curve in a terminal: braille dots, two a column and four a line. A value holds until the next one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.text import Text

from gambler_ai.cli.render import QUIET

#: Cells of the scale at the left.
SCALE = 12
#: The bit of a dot in a braille cell, by its row from the top and its column.
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BLANK = 0x2800


def plot(
    points: Sequence[tuple[float, float]], width: int, height: int, write: Callable[[float], str], style: str,
    bounds: tuple[float, float] | None = None,
) -> list[Text]:  # fmt: skip
    """Lines of a plot: ``width`` cells, `SCALE` of them for the scale, ``height`` lines.

    ``points`` are (place from 0 to 1, value), sorted by place. ``write`` makes a mark of the scale of a value.
    ``bounds``: the lowest and highest value there is room for, the points' own if it is not given.
    """
    columns = 2 * (width - SCALE)
    low, high = bounds or (min(value for _, value in points), max(value for _, value in points))
    canvas = _Canvas(columns, 4 * height)
    scale = (4 * height - 1) / (high - low) if high > low else 0.0
    for column, (least, most) in enumerate(_extent(points, columns)):
        if least is not None and most is not None:
            canvas.line(column, round((high - most) * scale), round((high - least) * scale))
    marks = {0: write(high), height - 1: write(low)}
    if height >= 7:
        marks[height // 2] = write(high - (height // 2) / (height - 1) * (high - low))
    if not scale:
        marks = {0: write(high)}
    return [
        Text.assemble((f"{marks.get(row, ''):>{SCALE - 2}} ", QUIET), ("│", QUIET), (cells, style))
        for row, cells in enumerate(canvas.rows())
    ]


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
        self._cells = [[0] * -(-columns // 2) for _ in range(rows // 4)]

    def line(self, column: int, top: int, bottom: int) -> None:
        """A dot in each row from ``top`` to ``bottom``."""
        for row in range(top, bottom + 1):
            self._cells[row // 4][column // 2] |= _DOTS[row % 4][column % 2]

    def rows(self) -> list[str]:
        """Its lines of text."""
        return ["".join(chr(_BLANK | dots) if dots else " " for dots in row) for row in self._cells]
