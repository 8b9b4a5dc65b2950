"""What comes next: an answer from the worker, a signal, or the session clock reaching an instant."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue
from typing import Protocol

from gambler_ai.clock import Clock, ManualClock, MarketClock
from gambler_ai.core.events import Input, StopRequested, TimerElapsed
from gambler_ai.errors import BrokerError, TryAgainLater

#: Wall seconds without the exchange before we give up; session time stands still meanwhile.
PATIENCE_S = 120.0
#: How far our clock may be behind the broker's before it is set forward (at one session second a second).
LAG = timedelta(seconds=5)
#: Wall seconds between two tries.
RETRY_S = 1.0
#: Wall seconds that a wait takes at most: whoever waits has a lease to renew.
WAIT_MAX_S = 10.0


class Feed(Protocol):
    """One input at a time, in the order in which they came."""

    @property
    def clock(self) -> Clock: ...

    @property
    def rate(self) -> float:
        """Session seconds a wall second, 0 for as many as it takes."""
        ...

    def skip_to(self, instant: datetime) -> Input | None:
        """Move a market that is ours to move; one that moves by itself is waited for. None once that is done; else the
        exchange does not answer yet, and this came in meanwhile.
        """
        ...

    def put(self, item: Input | BaseException) -> None:
        """Hand in an input from any thread or a signal handler; an exception is raised by `next`."""
        ...

    def next(self, until: datetime, *, busy: bool) -> Input:
        """The next input; `TimerElapsed` when the session clock reaches ``until`` first.

        ``busy``: a request is in flight, so an answer will come.
        """
        ...

    def poll(self, timeout_s: float | None) -> Input | None:
        """The next input within ``timeout_s`` wall seconds; session time is not moved."""
        ...

    def stop_asked(self, timeout_s: float) -> bool:
        """Whether a stop is asked for within ``timeout_s`` wall seconds; all that comes in is kept, in its order."""
        ...

    def follow(self, instant: datetime) -> None:
        """The broker's clock stood at ``instant`` a moment ago."""
        ...


class _Queue:
    """The queue both feeds share."""

    def __init__(self, clock: Clock) -> None:
        self._wall = clock
        self._items: SimpleQueue[Input | BaseException] = SimpleQueue()
        self._kept: deque[Input | BaseException] = deque()  # taken from the queue, and not yet by the loop

    def put(self, item: Input | BaseException) -> None:
        self._items.put(item)

    def poll(self, timeout_s: float | None) -> Input | None:
        """The next item within ``timeout_s`` wall seconds (None: however long it takes)."""
        item = self._kept.popleft() if self._kept else self._get(timeout_s)
        if isinstance(item, BaseException):
            raise item
        return item

    def stop_asked(self, timeout_s: float) -> bool:
        """Whether a stop is asked for within ``timeout_s`` wall seconds; all that comes in is kept, in its order."""
        deadline_s = self._wall.monotonic() + timeout_s
        while not any(isinstance(item, StopRequested) for item in self._kept):
            item = self._get(max(0.0, deadline_s - self._wall.monotonic()))
            if item is None:
                return False
            self._kept.append(item)
        return True

    def _get(self, timeout_s: float | None) -> Input | BaseException | None:
        try:
            return self._items.get(timeout=timeout_s) if timeout_s != 0 else self._items.get_nowait()
        except Empty:
            return None


class WallFeed(_Queue):
    """The market moves by itself: ``rate`` session seconds pass in a wall second."""

    def __init__(self, clock: Clock, rate: float = 1.0) -> None:
        super().__init__(clock)
        self.clock = clock
        self.rate = rate

    def skip_to(self, instant: datetime) -> Input | None:
        """Nothing to do: this market comes there by itself."""
        return None

    def follow(self, instant: datetime) -> None:
        """The broker said it is ``instant``: after a sleeping laptop, ours lags behind."""
        if isinstance(self.clock, MarketClock) and instant - self.clock.now() > LAG * self.rate:
            self.clock.move_to(instant)

    def next(self, until: datetime, *, busy: bool) -> Input:
        left_s = (until - self.clock.now()).total_seconds() / self.rate
        wait_s = WAIT_MAX_S if busy and left_s <= 0 else min(max(0.0, left_s), WAIT_MAX_S)
        item = self.poll(wait_s)
        if item is not None:
            return item
        return TimerElapsed(self.clock.now() if wait_s < left_s else max(until, self.clock.now()))


class PacedFeed(_Queue):
    """The market is moved by us, from due instant to due instant; it stands while a request is in flight.

    ``speed`` session seconds take at least a wall second; 0 is as fast as it goes. A slow tick, a stopped
    process or a sleeping laptop therefore skips nothing.
    """

    def __init__(self, clock: ManualClock, advance: Callable[[datetime], datetime], speed: float) -> None:
        super().__init__(clock)
        self.clock = clock
        self._advance = advance
        self.rate = speed
        self._due_s = clock.monotonic()
        self._down_since_s: float | None = None

    def next(self, until: datetime, *, busy: bool) -> Input:
        if busy:
            return self.poll(WAIT_MAX_S) or TimerElapsed(self.clock.now())
        return self._pace(until) or self._step(until)

    def follow(self, instant: datetime) -> None:
        """Nothing to do: this market is where we moved it."""

    def move_to(self, instant: datetime) -> None:
        """Move market and clock to ``instant`` without a pause: what we slept through.

        Raises:
            BrokerError: the exchange did not move.
        """
        self.clock.move_to(self._advance(instant))
        self._down_since_s = None

    def skip_to(self, instant: datetime) -> Input | None:
        """The same for the night of a session that runs: an exchange that is away is waited for.

        Raises:
            TryAgainLater: for too long.
        """
        try:
            self.move_to(instant)
        except BrokerError as error:
            return self._down(error)
        return None

    def _pace(self, until: datetime) -> Input | None:
        """Sleep what ``speed`` leaves over; whatever comes in meanwhile goes first."""
        now_s = self.clock.monotonic()
        span_s = (until - self.clock.now()).total_seconds() / self.rate if self.rate else 0.0
        due_s = max(self._due_s + span_s, now_s)
        item = self.poll(min(due_s - now_s, WAIT_MAX_S))
        if item is None and due_s - now_s > WAIT_MAX_S:
            return TimerElapsed(self.clock.now())
        if item is None:
            self._due_s = due_s
        return item

    def _step(self, until: datetime) -> Input:
        return self.skip_to(until) or TimerElapsed(self.clock.now())

    def _down(self, error: BrokerError) -> Input:
        now_s = self.clock.monotonic()
        if self._down_since_s is None:
            self._down_since_s = now_s
        if now_s - self._down_since_s > PATIENCE_S:
            raise TryAgainLater(f"the exchange was silent for {PATIENCE_S:.0f} s: {error}", hint="--resume later")
        # Session time stands still, so nothing falls due: only what comes in is taken.
        return self.poll(RETRY_S) or TimerElapsed(self.clock.now())
