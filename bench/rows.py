"""One measured row, and the arithmetic that makes it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from msgspec import Struct

#: Parts of a run whose ratios are shown as the spread.
PARTS = 5


class Row(Struct, frozen=True):
    """Ours against a floor. ``ratio`` is ours/floor; ``goal`` is the most it may be.

    What could not be measured has no figures, and a note that says why.
    """

    name: str
    ours: float | None = None
    floor: float | None = None
    unit: str = ""
    ratio: float | None = None
    goal: float | None = None
    met: bool | None = None
    note: str = ""


def row(name: str, ours: float, floor: float, unit: str, goal: float | None = None, note: str = "") -> Row:
    """A row from its two figures; without a ``goal`` it informs only."""
    ratio = ours / floor
    return Row(name, ours, floor, unit, ratio, goal, None if goal is None else ratio <= goal, note)


def skipped(name: str, why: str, goal: float | None = None) -> Row:
    """A row that could not be measured here."""
    return Row(name, goal=goal, note=f"not measured: {why}")


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` (0 to 1] of all are not above."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def spread(ours: Sequence[float], floor: Sequence[float], parts: int = PARTS) -> str:
    """How far the ratio of medians moves from part to part of the run: "1.90-2.05"; "" when it is too short."""
    size = min(len(ours), len(floor)) // parts
    if size < 3:
        return ""
    ratios = [median(ours[i * size : (i + 1) * size]) / median(floor[i * size : (i + 1) * size]) for i in range(parts)]
    return f"{min(ratios):.2f}-{max(ratios):.2f}"


def medians(
    name: str, ours: Sequence[float], floor: Sequence[float], unit: str, goal: float | None = None, note: str = ""
) -> Row:
    """A row of two medians, its spread in the note."""
    moved = spread(ours, floor)
    parts = [f"parts {moved}" if moved else "", note]
    return row(name, median(ours), median(floor), unit, goal, "; ".join(p for p in parts if p))


def tails(
    name: str, ours: Sequence[float], floor: Sequence[float], unit: str, goal: float | None = None, note: str = ""
) -> Row:
    """A row of two 99th percentiles."""
    return row(name, percentile(ours, 0.99), percentile(floor, 0.99), unit, goal, note)
