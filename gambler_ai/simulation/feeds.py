"""The two feeds in virtual time: waiting moves it, and the worker's turn comes when nothing else is due."""

from __future__ import annotations

from collections.abc import Callable

from gambler_ai.clock import ManualClock
from gambler_ai.core.events import Input
from gambler_ai.proving.audit import Violation
from gambler_ai.simulation.endings import Broken
from gambler_ai.simulation.inline import InlineExecutor
from gambler_ai.simulation.universe import PacedClock, RunningClock, Universe
from gambler_ai.trading.feed import PacedFeed, WallFeed


class Turns:
    """Whose turn it is: what has come in, the worker's next request, or time itself."""

    def __init__(self, universe: Universe, delay_s: Callable[[], float]) -> None:
        """``delay_s`` is drawn once for each request: how long the worker takes to come to it."""
        self._universe = universe
        self._delay_s = delay_s
        self._begins_s: float | None = None
        self.executor: InlineExecutor | None = None

    def wait(self, arrived: Callable[[], bool], timeout_s: float | None) -> None:
        """Until something has arrived, or for ``timeout_s`` wall seconds."""
        universe, executor = self._universe, self.executor
        end_s = None if timeout_s is None else universe.monotonic_s + timeout_s
        while not arrived():
            begins_s = self._turn()
            if begins_s is not None and executor is not None and (end_s is None or begins_s <= end_s):
                universe.wait(begins_s - universe.monotonic_s, arrived)
                if not arrived():
                    self._begins_s = None
                    executor.work()
            elif end_s is None:
                raise Broken(Violation("stuck", "the program waits for an answer that nobody owes it"))
            elif end_s <= universe.monotonic_s:
                return
            else:
                universe.wait(end_s - universe.monotonic_s, arrived)
                if not arrived():
                    return

    def _turn(self) -> float | None:
        """When the worker comes to its next request; None without one."""
        if self.executor is None or not self.executor.waiting:
            return None
        if self._begins_s is None:
            self._begins_s = self._universe.monotonic_s + self._delay_s()
        return max(self._begins_s, self._universe.monotonic_s)


class SimulatedWallFeed(WallFeed):
    """A market that moves by itself."""

    def __init__(self, clock: RunningClock, turns: Turns, rate: float) -> None:
        super().__init__(clock, rate)
        self.turns = turns

    def _get(self, timeout_s: float | None) -> Input | BaseException | None:
        self.turns.wait(lambda: not self._items.empty(), timeout_s)
        return super()._get(0)


class SimulatedPacedFeed(PacedFeed):
    """A market that is moved by us, as fast as it goes."""

    def __init__(self, universe: Universe, turns: Turns) -> None:
        clock: ManualClock = PacedClock(universe)
        super().__init__(clock, universe.advance, 0.0)
        self.turns = turns

    def _get(self, timeout_s: float | None) -> Input | BaseException | None:
        self.turns.wait(lambda: not self._items.empty(), timeout_s)
        return super()._get(0)
