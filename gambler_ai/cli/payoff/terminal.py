"""A structure's payoff on a terminal, or in a pipe: its facts, and profit over the price of its underlying."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from gambler_ai.cli import render
from gambler_ai.cli.analysis.plot import SCALE, Series, axis, plots
from gambler_ai.cli.analysis.svg import nice
from gambler_ai.cli.analysis.terminal import PIPE_WIDTH, WIDTH_MAX, WIDTH_MIN
from gambler_ai.cli.payoff.curves import Payoff, Points
from gambler_ai.cli.payoff.facts import Fact, facts
from gambler_ai.cli.render import GOOD, QUIET, STRONG, WARN, pair

#: Lines of the plot.
LINES = 15


def print_payoff(out: Console, found: Payoff) -> None:
    """Everything, top to bottom."""
    width = max(WIDTH_MIN, min(out.width if out.is_terminal else PIPE_WIDTH, WIDTH_MAX))
    for fact in facts(found):
        out.print(line_of(fact))
    out.print()
    out.print(Text("Profit", STRONG))
    for line in _plot(found, width):
        out.print(line)
    if found.why:
        out.print(Text(found.why, WARN))


def line_of(fact: Fact) -> Text:
    """A fact on a line."""
    return pair(
        fact.name,
        Text.assemble((render.printable(fact.value), fact.style), (render.printable(f"  {fact.remark}"), QUIET)),
    )


def _plot(found: Payoff, width: int) -> Iterator[Text]:
    low, high = found.expiry[0][0], found.expiry[-1][0]

    def place(price: float) -> float:
        return (price - low) / (high - low)

    columns = 2 * (width - SCALE)
    series = [Series(_dots(found.expiry, low, high, columns), "")]
    if found.today is not None:
        series.append(Series(_dots(found.today, low, high, columns), GOOD))
    series.append(Series([(0.0, 0.0), (1.0, 0.0)], QUIET, dotted=True))
    values = [value for one in series for _, value in one.points]
    yield from plots(series, width, LINES, lambda value: f"{value:,.0f}", (min(values), max(values)))
    yield axis([(place(price), f"{price:g}") for price in nice(low, high, (width - SCALE) // 12)], width)
    if found.spot is not None:
        yield axis([(place(float(found.spot)), f"^ {found.row.underlying} {render.price(found.spot)}")], width)
    key = Text.assemble(" " * SCALE, "⠒⠒⠒ at the expiry")
    if found.today is not None:
        key.append("   ⠒⠒⠒ ", GOOD).append("now, by a model")
    yield key


def _dots(points: Points, low: float, high: float, columns: int) -> list[tuple[float, float]]:
    """A value for each column of dots, on the straight lines between the points."""
    found, index = [], 0
    for column in range(columns):
        price = low + (high - low) * (column + 0.5) / columns
        while index + 2 < len(points) and points[index + 1][0] < price:
            index += 1
        (a, at_a), (b, at_b) = points[index], points[index + 1]
        found.append(((column + 0.5) / columns, at_a + (at_b - at_a) * (price - a) / (b - a)))
    return found
