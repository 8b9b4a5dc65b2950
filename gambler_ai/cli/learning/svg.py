"""Charts of a learner as SVG, to stand in a page: learning curve, intervals, calibration, weights.

No script and no address: colours are the page's style sheet's, what a pointer reads is in <title>.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import sqrt

from gambler_ai.app.learning_view import CurvePoint, LearnerPage, Tenth, settled
from gambler_ai.cli import render
from gambler_ai.cli.analysis.svg import LEFT, RIGHT, WIDTH, Panel, grid, nice
from gambler_ai.cli.learning import figures
from gambler_ai.learners.base import Weight

CURVE_HEIGHT, TOP, AXIS = 230.0, 10.0, 24.0
#: The charts that stand beside each other.
HALF, HALF_LEFT, SQUARE = 470.0, 46.0, 300.0
#: Beside the outermost mark of an interval, whose number is as wide on both sides of it.
EDGE = 24.0
ROW, NAME, VALUE = 26.0, 150.0, 64.0
#: An interval with its name above it.
INTERVAL = 40.0
#: Radius of the circle of the tenth with the most predictions, and of the smallest.
CIRCLE_MAX, CIRCLE_MIN = 11.0, 3.0


def curve(page: LearnerPage) -> str:
    """The mean losses of the learner and of what it is first held against; "" when there is nothing to draw."""
    points = settled(page.curve)
    if len(points) < 2:
        return ""
    values = [value for point in points for value in (point.learner, point.rival)]
    room = (max(values) - min(values)) * 0.08 or 0.01
    panel = Panel(TOP, CURVE_HEIGHT, min(values) - room, max(values) + room)
    first, last = points[0].count, points[-1].count

    def x(count: float) -> float:
        return LEFT + (count - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    bottom = TOP + CURVE_HEIGHT
    marks = [round(value) for value in nice(first, last, 8) if first <= value <= last]
    parts = [
        *_opened("curve", WIDTH, bottom + AXIS, "Learning curve", _curve_in_words(page, points)),
        *grid(panel, nice(panel.low, panel.high, 5), lambda value: f"{value:.4f}"),
        *(_mark(x(count), TOP, bottom, f"{count:,}") for count in dict.fromkeys(marks)),
        _line("rival line", [(x(p.count), panel.y(p.rival)) for p in points]),
        _line("equity line", [(x(p.count), panel.y(p.learner)) for p in points]),
        "</svg>",
    ]
    return "\n".join(parts)


def intervals(page: LearnerPage) -> str:
    """Where each gap surely lies, about zero; "" when there is none."""
    if not page.rivals:
        return ""
    reach = max(max(abs(rival.low), abs(rival.high)) for rival in page.rivals) * 1.05 or 1.0
    bottom = TOP + INTERVAL * len(page.rivals)

    def x(value: float) -> float:
        return EDGE + (value + reach) / (2 * reach) * (HALF - 2 * EDGE)

    parts = _opened("gaps", HALF, bottom + AXIS, "Against the baselines", "Intervals of the gaps; see the table.")
    for value in (mark for mark in nice(-reach, reach, 4) if abs(mark) <= reach):
        parts.append(_mark(x(value), TOP, bottom, f"{value + 0.0:+.3g}" if value else "0", base=not value))
    for index, rival in enumerate(page.rivals):
        y = TOP + INTERVAL * index + 28
        says, style = figures.verdict(rival, page.row.judged)
        kind = {render.GOOD: "good", render.BAD: "bad"}.get(style, "unknown")
        text = f"{rival.name}: {rival.gap:+.4f}, from {rival.low:+.4f} to {rival.high:+.4f}: {says}"
        parts += [
            f'<text class="name" x="0" y="{y - 12:.1f}">{_text(rival.name)}</text>',
            f'<g class="interval {kind}"><title>{_text(text)}</title>'
            f'<line x1="{x(rival.low):.1f}" x2="{x(rival.high):.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<circle cx="{x(rival.gap):.1f}" cy="{y:.1f}" r="4.5"/></g>',
        ]
    return "\n".join([*parts, "</svg>"])


def calibration(page: LearnerPage) -> str:
    """What was predicted against what won; "" when nothing was predicted."""
    tenths = [tenth for tenth in page.calibration if tenth.count]
    if not tenths:
        return ""
    panel = Panel(TOP, SQUARE, 0.0, 1.0)
    bottom, most = TOP + SQUARE, max(tenth.count for tenth in tenths)

    def x(value: float) -> float:
        return HALF_LEFT + value * (HALF - HALF_LEFT - RIGHT)

    shares = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    parts = [
        *_opened("calibration", HALF, bottom + AXIS, "Calibration", "Predicted and won, in tenths; see the table."),
        *(_across(panel, value, x(0.0), x(1.0)) for value in shares),
        *(_mark(x(value), TOP, bottom, f"{value:.1f}") for value in shares),
        f'<line class="start" x1="{x(0):.1f}" y1="{panel.y(0):.1f}" x2="{x(1):.1f}" y2="{panel.y(1):.1f}"/>',
        *(_tenth(tenth, x(tenth.predicted or 0.0), panel, sqrt(tenth.count / most)) for tenth in tenths),
        "</svg>",
    ]
    return "\n".join(parts)


def weights(found: Sequence[Weight]) -> str:
    """A bar for each; "" when there is none."""
    if not found:
        return ""
    most = max(abs(weight.value) for weight in found) or 1.0
    parts = _opened("weights", WIDTH, 2 * TOP + ROW * len(found), "Weights", "How much each counts; see the texts.")
    for index, weight in enumerate(found):
        y, length = TOP + ROW * index, abs(weight.value) / most * (WIDTH * 0.3)
        kind = "" if weight.value >= 0 else " bad"
        parts += [
            f'<text class="name" x="0" y="{y + 17:.1f}">{_text(weight.name)}</text>',
            f'<text class="scale" x="{NAME + VALUE - 10:g}" y="{y + 17:.1f}">{weight.value:.3f}</text>',
            f'<rect class="bar{kind}" x="{NAME + VALUE:g}" y="{y + 5:.1f}" width="{length:.1f}" height="16" rx="2"/>',
            f'<text x="{NAME + VALUE + WIDTH * 0.3 + 14:.1f}" y="{y + 17:.1f}">{_text(weight.what)}</text>',
        ]
    return "\n".join([*parts, "</svg>"])


def _text(text: str) -> str:
    return escape(render.printable(text))


def _opened(name: str, width: float, height: float, title: str, description: str) -> list[str]:
    return [
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-labelledby="{name}-title {name}-desc">',
        f'<title id="{name}-title">{title}</title>', f'<desc id="{name}-desc">{_text(description)}</desc>',
    ]  # fmt: skip


def _curve_in_words(page: LearnerPage, points: Sequence[CurvePoint]) -> str:
    last = points[-1]
    return (
        f"After {last.count:,} predictions the mean loss of {page.row.name} is {last.learner:.4f},"
        f" that of {page.row.rival} {last.rival:.4f}."
    )


def _mark(x: float, top: float, bottom: float, text: str, *, base: bool = False) -> str:
    """A line up and down with what it stands for below it."""
    kind = "start" if base else "grid"
    return (
        f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{top:g}" y2="{bottom:g}"/>'
        f'<text text-anchor="middle" x="{x:.1f}" y="{bottom + 16:g}">{escape(text)}</text>'
    )


def _across(panel: Panel, value: float, left: float, right: float) -> str:
    y = panel.y(value)
    return (
        f'<line class="grid" x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="scale" x="{left - 8:.1f}" y="{y + 4:.1f}">{value:.1f}</text>'
    )


def _line(name: str, points: Sequence[tuple[float, float]]) -> str:
    return f'<path class="{name}" d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in points)}"/>'


def _tenth(tenth: Tenth, x: float, panel: Panel, size: float) -> str:
    """A circle, the larger the more predictions, with the interval of the share that won."""
    cells = (tenth.predicted or 0.0, tenth.won or 0.0, tenth.won_low or 0.0, tenth.won_high or 0.0)
    predicted, won, low, high = cells
    text = f"{tenth.count:,} predictions of {predicted:.2f} in the mean: {won:.2f} won, {low:.2f} to {high:.2f}"
    radius = max(CIRCLE_MIN, CIRCLE_MAX * size)
    return (
        f'<g class="interval"><title>{_text(text)}</title>'
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{panel.y(low):.1f}" y2="{panel.y(high):.1f}"/>'
        f'<circle cx="{x:.1f}" cy="{panel.y(won):.1f}" r="{radius:.1f}"/></g>'
    )
