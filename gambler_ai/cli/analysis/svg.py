"""Charts as SVG, to stand in a page: equity with its round trips, and the drawdown below it on the same time axis.

No script and no address: colours are the page's style sheet's, what a pointer reads is in <title>.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from html import escape
from math import floor, log10

from msgspec import Struct

from gambler_ai.cli import render
from gambler_ai.cli.analysis.gathering import Report, RoundTrip
from gambler_ai.cli.analysis.terminal import drawdowns
from gambler_ai.cli.analysis.timeline import Timeline
from gambler_ai.core.performance import Point

WIDTH, LEFT, RIGHT = 960.0, 78.0, 10.0
EQUITY_HEIGHT, DRAWDOWN_HEIGHT, TOP, GAP, AXIS = 250.0, 84.0, 10.0, 26.0, 22.0
#: More round trips than this are not marked in the curve: they would hide it.
MARKERS_MAX = 80


class Panel(Struct, frozen=True):
    """An area of a chart and the values from its bottom to its top."""

    top: float
    height: float
    low: float
    high: float

    def y(self, value: float) -> float:
        """Where ``value`` is, from the top of the chart."""
        span = self.high - self.low
        return self.top + self.height * ((self.high - value) / span if span else 0.5)


def chart(report: Report) -> str:
    """Both panels; "" when there is nothing to draw."""
    if len(report.curve) < 2:
        return ""
    time = Timeline(report.performance.runs, report.curve[0].at, report.curve[-1].at)
    values = [float(point.equity) for point in report.curve]
    low, high = _padded(min(values), max(values))
    equity = Panel(TOP, EQUITY_HEIGHT, low, high)
    falls = [fall * 100 for _, fall in drawdowns(report.curve)]
    below = Panel(TOP + EQUITY_HEIGHT + GAP, DRAWDOWN_HEIGHT, min(*falls, -0.01) * 1.08, 0.0)
    places = [_x(time.place(point.at)) for point in report.curve]
    height = below.top + below.height + AXIS
    parts = [
        f'<svg viewBox="0 0 {WIDTH:g} {height:g}" role="img" aria-labelledby="chart-title chart-desc">',
        '<title id="chart-title">Equity and drawdown</title>',
        f'<desc id="chart-desc">{escape(description(report))}</desc>',
        *grid(equity, nice(low, high, 5), lambda value: f"{value:,.0f}" if high - low >= 5 else f"{value:,.2f}"),
        *grid(below, nice(below.low, 0.0, 4), lambda value: f"{value:g} %"),
        *_time_axis(time, equity, below),
        *_area(places, values, equity, "equity"),
        *_area(places, falls, below, "drawdown", base=0.0),
        f'<line class="start" x1="{LEFT:g}" x2="{WIDTH - RIGHT:g}" y1="{equity.y(values[0]):.1f}"'
        f' y2="{equity.y(values[0]):.1f}"/>',
        *_markers(report, time, equity),
        "</svg>",
    ]
    return "\n".join(parts)


def has_markers(report: Report) -> bool:
    """Whether the ends of round trips are marked: all of them or none, so that the curve does not mislead."""
    return 0 < report.performance.trades.count <= MARKERS_MAX


def description(report: Report) -> str:
    """The chart in words."""
    first, last = report.curve[0], report.curve[-1]
    text = f"Equity went from {render.dollars(first.equity)} to {render.dollars(last.equity)}"
    drawdown = report.performance.equity.drawdown
    if drawdown is None:
        return f"{text} and never fell."
    return f"{text}; it was at most {drawdown.depth * 100:.2f} percent below its highest value so far."


def _x(place: float) -> float:
    return LEFT + place * (WIDTH - LEFT - RIGHT)


def _padded(low: float, high: float) -> tuple[float, float]:
    room = (high - low) * 0.06 or max(1.0, abs(high) * 0.001)
    return low - room, high + room


def nice(low: float, high: float, count: int) -> list[float]:
    """Round values between two, about ``count`` of them."""
    rough = (high - low) / count
    size = 10.0 ** floor(log10(rough))
    step = next(factor * size for factor in (1, 2, 2.5, 5, 10) if factor * size >= rough)
    first = -int(-low // step)  # rounded up
    return [index * step for index in range(first, int(high // step) + 1)]


def grid(panel: Panel, marks: Sequence[float], write: Callable[[float], str]) -> list[str]:
    """A line across at each of ``marks``, with its value at the left."""
    parts = []
    for value in marks:
        y = panel.y(value)
        parts.append(f'<line class="grid" x1="{LEFT:g}" x2="{WIDTH - RIGHT:g}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="scale" x="{LEFT - 8:g}" y="{y + 4:.1f}">{escape(write(value + 0.0))}</text>')
    return parts


def _time_axis(time: Timeline, equity: Panel, below: Panel) -> list[str]:
    bottom = below.top + below.height
    parts = []
    for place, text in time.marks(12):
        x = _x(place)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{equity.top:g}" y2="{bottom:g}"/>')
        where = "start" if place < 0.02 else "end" if place > 0.98 else "middle"
        parts.append(f'<text class="time" text-anchor="{where}" x="{x:.1f}" y="{bottom + 16:g}">{escape(text)}</text>')
    for gap in time.breaks():
        x = _x(time.place(gap.end))
        text = f"Not running from {render.day_time(gap.begin)} to {render.day_time(gap.end)}"
        parts.append(
            f'<line class="gap" x1="{x:.1f}" x2="{x:.1f}" y1="{equity.top:g}" y2="{bottom:g}">'
            f"<title>{escape(text)}</title></line>"
        )
    return parts


def _area(
    places: Sequence[float], values: Sequence[float], panel: Panel, name: str, base: float | None = None
) -> list[str]:
    """A line that holds each value until the next one, and the area between it and ``base``, else the bottom."""
    line = f"M{places[0]:.1f} {panel.y(values[0]):.1f}"
    for x, value in zip(places[1:], values[1:], strict=True):
        line += f"H{x:.1f}V{panel.y(value):.1f}"
    floor_y = panel.top + panel.height if base is None else panel.y(base)
    return [
        f'<path class="{name} area" d="{line}V{floor_y:.1f}H{places[0]:.1f}Z"/>',
        f'<path class="{name} line" d="{line}"/>',
    ]


def _markers(report: Report, time: Timeline, panel: Panel) -> list[str]:
    """A triangle where a round trip ended: up for a profit, down for a loss, a square where it is neither."""
    parts: list[str] = []
    if not has_markers(report):
        return parts
    for found in report.trades:
        trade = found.trade
        if not report.curve[0].at <= trade.exit_at <= report.curve[-1].at:
            continue
        x, y = _x(time.place(trade.exit_at)), panel.y(float(_equity_at(report.curve, found)))
        shape, kind = _shape(trade.pnl)
        points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in shape)
        text = (
            f"{trade.symbol} {trade.side} {render.qty(trade.qty)}: {render.money(trade.pnl, sign=True)},"
            f" {trade.reason}, {render.day_time(trade.exit_at)}"
        )
        parts.append(
            f'<polygon class="mark {kind}" points="{points}"><title>{escape(render.printable(text))}</title></polygon>'
        )
    return parts


_UP = ((0.0, -6.0), (5.0, 3.5), (-5.0, 3.5))
_DOWN = tuple((dx, -dy) for dx, dy in _UP)
_SQUARE = ((-4.0, -4.0), (4.0, -4.0), (4.0, 4.0), (-4.0, 4.0))


def _shape(pnl: Decimal | None) -> tuple[tuple[tuple[float, float], ...], str]:
    if not pnl:
        return _SQUARE, "unknown"
    return (_UP, "good") if pnl > 0 else (_DOWN, "bad")


def _equity_at(curve: Sequence[Point], found: RoundTrip) -> Decimal:
    """What was stated last before it ended."""
    value = curve[0].equity
    for point in curve:
        if point.at > found.trade.exit_at:
            break
        value = point.equity
    return value
