"""The time axis of a plot: only while the session ran, so that nights and outages take no room."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import accumulate

from gambler_ai.cli.render import NEW_YORK
from gambler_ai.core.performance import Span

#: Minutes between two marks of an axis that shows one day.
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 240)


class Timeline:
    """Instants to places from 0 to 1."""

    def __init__(self, runs: Sequence[Span], first: datetime, last: datetime) -> None:
        """``runs`` are sorted and do not overlap; what lies outside is put at the nearest edge."""
        self.runs = list(runs) or [Span(first, max(last, first + timedelta(seconds=1)))]
        self._begins = [run.begin for run in self.runs]
        self._before = list(accumulate(((run.end - run.begin) for run in self.runs), initial=timedelta()))

    def place(self, at: datetime) -> float:
        """Where ``at`` is."""
        index = max(0, bisect_right(self._begins, at) - 1)
        run = self.runs[index]
        inside = min(max(at, run.begin), run.end) - run.begin
        return (self._before[index] + inside) / self._before[-1]

    def marks(self, count: int) -> list[tuple[float, str]]:
        """At most ``count`` places with what to write there: times of one day, or days."""
        dates = self._dates()
        if len(dates) == 1:
            return self._times(count)
        chosen = list(dates.items())[:: -(-len(dates) // count)]
        one_year = len({day[:4] for day in dates}) == 1
        return [(self.place(at), f"{at:%b %d}" if one_year else day) for day, at in chosen]

    def breaks(self) -> list[Span]:
        """When it did not run on a day on which it did: outages, and not nights."""
        pairs = zip(self.runs, self.runs[1:], strict=False)
        gaps = [Span(before.end, after.begin) for before, after in pairs if after.begin > before.end]
        return [gap for gap in gaps if gap.begin.astimezone(NEW_YORK).date() == gap.end.astimezone(NEW_YORK).date()]

    def _dates(self) -> dict[str, datetime]:
        """Each date in New York with the first instant of it in which the session ran."""
        dates: dict[str, datetime] = {}
        for run in self.runs:
            at = run.begin.astimezone(NEW_YORK)
            while at < run.end or at == run.begin:
                dates.setdefault(at.date().isoformat(), at)
                at = (at + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        return dates

    def _times(self, count: int) -> list[tuple[float, str]]:
        first, last = self.runs[0].begin.astimezone(NEW_YORK), self.runs[-1].end.astimezone(NEW_YORK)
        minutes = (last - first) / timedelta(minutes=1)
        step = next((step for step in _STEPS if minutes / step + 1 <= count), _STEPS[-1])
        at = first.replace(hour=0, minute=0, second=0, microsecond=0)
        at += timedelta(minutes=step) * -(-(first - at) // timedelta(minutes=step))
        found = []
        while at <= last:
            found.append((self.place(at), f"{at:%H:%M}"))
            at += timedelta(minutes=step)
        return found or [(0.0, f"{first:%H:%M}")]
