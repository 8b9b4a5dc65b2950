"""Several streams as one, in time."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TypeVar

T = TypeVar("T")


def chained(streams: Iterable[tuple[datetime, Callable[[], Iterator[T]]]], at: Callable[[T], datetime]) -> Iterator[T]:
    """What all ``streams`` hold, by time; each is sorted by it, and holds nothing from before the instant beside it.

    One is opened when its instant has come: of those that follow each other only one is open.
    """
    waiting = sorted(streams, key=lambda stream: stream[0], reverse=True)
    opened: list[tuple[datetime, int, T, Iterator[T]]] = []
    number = 0

    def push(number: int, stream: Iterator[T]) -> None:
        for found in stream:
            heapq.heappush(opened, (at(found), number, found, stream))
            return

    while waiting or opened:
        while waiting and (not opened or waiting[-1][0] <= opened[0][0]):
            push(number := number + 1, waiting.pop()[1]())
        if opened:
            _, which, found, stream = heapq.heappop(opened)
            yield found
            push(which, stream)
