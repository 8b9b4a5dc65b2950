"""Virtual time: the market's, the wall clock's and the monotonic one, and what is to happen at which instant."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import datetime, timedelta

from gambler_ai.clock import ManualClock, MarketClock


class Universe:
    """One true time. A market that moves by itself goes ``rate`` seconds in a wall second; with 0 it is moved by us."""

    def __init__(self, start: datetime, rate: float) -> None:
        self.market = ManualClock(start)
        self.rate = rate
        self.monotonic_s = 0.0
        self._wall = start
        self._jumped = timedelta()
        self._events: list[tuple[datetime, int, Callable[[], None]]] = []
        self._count = 0

    @property
    def now(self) -> datetime:
        """Market time, which nobody's clock has to agree with."""
        return self.market.now()

    @property
    def wall(self) -> datetime:
        """What the machine's clock shows; it may have been set."""
        return self._wall + self._jumped + timedelta(seconds=self.monotonic_s)

    def at(self, instant: datetime, act: Callable[[], None]) -> None:
        """Let ``act`` happen at ``instant``, or at the next step of time if that has passed."""
        self._count += 1
        heapq.heappush(self._events, (instant, self._count, act))

    def jump(self, span: timedelta) -> None:
        """Somebody, or a time server, sets the machine's clock."""
        self._jumped += span

    def sleep_through(self, span: timedelta) -> None:
        """The machine is asleep: the world goes on and its monotonic clock does not."""
        self._wall += span
        if self.rate:
            self.advance(self.now + span)

    def advance(self, to: datetime) -> datetime:
        """Move the market to ``to``; what is to happen until then happens, each at its instant."""
        while self._events and self._events[0][0] <= to:
            instant, _number, act = heapq.heappop(self._events)
            self.market.move_to(instant)
            act()
        self.market.move_to(to)
        return self.now

    def wait(self, seconds: float, woken: Callable[[], bool] = lambda: False) -> None:
        """Let wall seconds pass, or fewer if something that happens meanwhile makes ``woken`` true."""
        if not self.rate:
            self.monotonic_s += seconds
            return
        end_s = self.monotonic_s + seconds
        while True:
            to = self.now + timedelta(seconds=(end_s - self.monotonic_s) * self.rate)
            due = self._events[0][0] if self._events else None
            if due is None or due > to or seconds <= 0:
                self.monotonic_s = end_s
                self.advance(to)
                return
            self.monotonic_s += max(0.0, (due - self.now).total_seconds() / self.rate)
            self.advance(due)
            if woken():
                return


class WallClock:
    """The machine's clock, with the jumps that somebody makes it do."""

    def __init__(self, universe: Universe) -> None:
        self._universe = universe

    def now(self) -> datetime:
        return self._universe.wall

    def monotonic(self) -> float:
        return self._universe.monotonic_s

    def sleep(self, seconds: float) -> None:
        self._universe.wait(max(0.0, seconds))


class PacedClock(ManualClock):
    """Session time of a market that we move."""

    def __init__(self, universe: Universe) -> None:
        super().__init__(universe.now)
        self._universe = universe

    def monotonic(self) -> float:
        return self._universe.monotonic_s

    def sleep(self, seconds: float) -> None:
        self._universe.wait(max(0.0, seconds))


class RunningClock(MarketClock):
    """Session time of a market that moves by itself, drawn from the monotonic clock."""

    def __init__(self, universe: Universe, origin: datetime) -> None:
        self._universe = universe
        super().__init__(origin, universe.rate)

    def monotonic(self) -> float:
        return self._universe.monotonic_s

    def sleep(self, seconds: float) -> None:
        self._universe.wait(max(0.0, seconds))
