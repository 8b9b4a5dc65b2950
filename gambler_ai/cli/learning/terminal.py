"""Learners on a terminal, or in a pipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gambler_ai.app.learning_view import CurvePoint, LearnerPage, LearnerRow, Learning, settled
from gambler_ai.cli import render
from gambler_ai.cli.analysis.plot import Series, axis, plots
from gambler_ai.cli.analysis.terminal import PIPE_WIDTH, WIDTH_MAX, WIDTH_MIN
from gambler_ai.cli.learning import figures
from gambler_ai.cli.render import GOOD, QUIET, STRONG, WARN
from gambler_ai.cli.wiring import as_called
from gambler_ai.learners.base import Grid, Weight

#: Lines of the learning curve; cells of a bar.
CURVE_LINES, BAR = 8, 24
#: Cells of a name in front of what is said of it.
NAME = 12
#: Cells from which on a table has bars, and what a weight is.
_WIDE_FROM = 80


def print_list(out: Console, learning: Learning) -> None:
    """All learners, a line each; below them what each is worth, and what could be done where one is not heard."""
    if learning.session:
        out.print(render.pair("Session", f"{render.printable(learning.session)}  {learning.status}", STRONG))
        out.print(render.pair("Account", render.printable(learning.account)))
        out.print()
    rows = render.table(
        ("learner", "left"), ("", "left"), ("learned", "right"), ("judged", "right"), ("won", "right"),
        ("loss", "right"), ("to beat", "right"),
    )  # fmt: skip
    for page in learning.pages:
        row = page.row
        shown = Text(row.standing.value, figures.STYLES[row.standing])
        rows.add_row(
            render.printable(row.name), shown, f"{row.learned:,}", f"{row.judged:,}", figures.percent(row.win_rate),
            figures.loss(row.loss), figures.loss(row.rival_loss),
        )  # fmt: skip
    out.print(rows)
    out.print()
    for page in learning.pages:
        _print_why(out, page.row)


def _print_why(out: Console, row: LearnerRow) -> None:
    """What it is worth, why it is not heard, what could be done about that, and what is wrong with what is stored."""
    lines = [(row.says, GOOD if row.beats else ""), *([(row.why, "")] if row.why != row.says else [])]
    command = as_called(row.hint)
    lines += [(command, QUIET), *((text, WARN) for text in row.troubles)]
    if row.reset_waits:
        lines.append((figures.RESET_WAITS, WARN))
    name = render.printable(row.name)
    for text, style in lines:
        if text:
            _say(out, name, text, style, is_command=text == command)
            name = ""


def print_learner(out: Console, learning: Learning, page: LearnerPage) -> None:
    """Everything of one, top to bottom."""
    width = max(WIDTH_MIN, min(out.width if out.is_terminal else PIPE_WIDTH, WIDTH_MAX))
    out.print(render.pair("Learner", f"{render.printable(page.row.name)}  {page.row.standing}", STRONG))
    if page.row.what:
        _say(out, "", page.row.what, QUIET)
    _print_lines(out, figures.heading(learning, page))
    if numbers := figures.figures(page):
        out.print()
        _print_lines(out, numbers)
    for title, says, body in _parts(page, width):
        out.print()
        out.print(Text.assemble((title, STRONG), (f"  {says}" if says else "", QUIET)))
        for part in body:
            out.print(part)


def _print_lines(out: Console, lines: Sequence[figures.Line]) -> None:
    longest = max(len(render.printable(line.name)) for line in lines)
    width = NAME if longest < NAME else longest + 2
    for line in lines:
        _say(out, line.name, line.text, line.style, width, is_command=line.is_command)


def _say(out: Console, name: str, text: str, style: str, width: int = NAME, *, is_command: bool = False) -> None:
    """A name and what is said of it; what does not fit a terminal goes on below its own column.

    A command is to be pasted: no line of ours ends within it.
    """
    head, said = Text(f"{render.printable(name):<{width}}", QUIET), Text(render.printable(text), style)
    if is_command or not out.is_terminal or head.cell_len + said.cell_len <= out.width:
        out.print(Text.assemble(head, said), soft_wrap=is_command)
        return
    rows = Table.grid()
    rows.add_column(width=width, no_wrap=True)
    rows.add_row(head, said)
    out.print(rows)


def _parts(page: LearnerPage, width: int) -> Iterator[tuple[str, str, Sequence[Any]]]:
    """Title, what it shows, and its lines or tables."""
    if page.rivals:
        yield "Against the baselines", "", [_gaps(page), Text(figures.GAPS_SAY, QUIET)]
    if len(page.curve) > 1:
        yield "Learning curve", figures.CURVE_SAYS, _curve(page, settled(page.curve), width)
    if page.calibration:
        yield "Calibration", figures.CALIBRATION_SAYS, [_calibration(page, bars=width >= _WIDE_FROM)]
    if page.weights:
        yield "Weights", "", [_weights(page.weights, wide=width >= _WIDE_FROM)]
    if page.grid is not None:
        yield "Values", "how often it was tried in brackets", [_grid(page.grid)]


def _gaps(page: LearnerPage) -> Any:
    rows = render.table(*figures.GAPS)
    for (name, *cells, says), style in figures.gaps(page):
        rows.add_row(render.printable(name), *cells, Text(says, style))
    return rows


def _curve(page: LearnerPage, curve: Sequence[CurvePoint], width: int) -> list[Text]:
    """Both on one scale: the learner's is solid, the other one dotted."""
    first, last = curve[0].count, curve[-1].count

    def place(count: int) -> float:
        return (count - first) / (last - first)

    mine = Series([(place(point.count), point.learner) for point in curve], GOOD)
    other = Series([(place(point.count), point.rival) for point in curve], QUIET, dotted=True)
    steps = (width - 12) // 14
    marks = [first + round(index * (last - first) / steps) for index in range(steps + 1)]
    names = (render.printable(page.row.name), render.printable(page.row.rival))
    key = Text.assemble(" " * 12, ("⠒⠒⠒ ", GOOD), names[0], ("   ⠂ ⠂ ", QUIET), names[1])
    return [
        *plots([mine, other], width, CURVE_LINES, lambda value: f"{value:.4f}"),
        axis([(place(count), f"{count:,}") for count in dict.fromkeys(marks)], width), key,
    ]  # fmt: skip


def _calibration(page: LearnerPage, *, bars: bool) -> Any:
    """A line for each tenth that holds predictions; a bar is the share that won, its mark what was predicted."""
    rows = render.table(*figures.CALIBRATION, *([("0 to 1: won, and │ predicted", "left")] if bars else []))
    for tenth, cells in figures.tenths(page):
        rows.add_row(*cells, *([_marked(tenth.won or 0.0, tenth.predicted or 0.0)] if bars else []))
    return rows


def _marked(share: float, mark: float) -> Text:
    filled, at = round(share * BAR), min(BAR - 1, int(mark * BAR))
    cells = [("━", GOOD) if index < filled else ("─", QUIET) for index in range(BAR)]
    cells[at] = ("│", STRONG)
    return Text.assemble(*cells)


def _weights(weights: Sequence[Weight], *, wide: bool) -> Any:
    most = max(abs(weight.value) for weight in weights) or 1.0
    rows = render.table(("name", "left"), ("value", "right"), ("", "left"), *([("", "left")] if wide else []))
    for weight in weights:
        length = max(1, round(abs(weight.value) / most * BAR)) if weight.value else 0
        bar = Text("━" * length, GOOD if weight.value >= 0 else WARN)
        what = [Text(render.printable(weight.what), QUIET)] if wide else []
        rows.add_row(render.printable(weight.name), f"{weight.value:.3f}", bar, *what)
    return rows


def _grid(grid: Grid) -> Any:
    rows = render.table(("", "left"), *((render.printable(name), "right") for name in grid.columns))
    for name, values, counts in zip(grid.rows, grid.values, grid.counts, strict=True):
        best = max((value for value in values if value is not None), default=None)
        cells = [
            Text(figures.cell(value, count), GOOD if value is not None and value == best else "")
            for value, count in zip(values, counts, strict=True)
        ]
        rows.add_row(render.printable(name), *cells)
    return rows
