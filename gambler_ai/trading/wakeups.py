"""What the broker's streams change: how soon we look. And whether they still tell what there is to be told."""

from __future__ import annotations

from datetime import datetime, timedelta

from gambler_ai.core import events as ev
from gambler_ai.core.engine import Decisions
from gambler_ai.core.ports import Streams

#: Readings in a row that bring news of which the stream said nothing, and it counts as deaf.
UNHEARD_MAX = 2
#: Facts that a stream of orders should have told.
_NEWS = (ev.OrderUpdated, ev.FillReported)


class NoStreams:
    """Streams that are off: everything is found by polling."""

    def start(self) -> None:
        """Nothing to start."""

    def stop(self) -> None:
        """Nothing to stop."""

    def suspect(self, stream: str) -> None:
        """Nobody to suspect."""

    def market(self, *, is_open: bool) -> None:
        """Nobody to tell."""


class Wakeups:
    """Keeps an eye on the streams for the runner."""

    def __init__(self, streams: Streams, timeframe: timedelta) -> None:
        self._streams = streams
        self._timeframe_s = timeframe.total_seconds()
        self._heard = False
        self._unheard = 0
        self._bar = 0

    def begin(self, now: datetime) -> None:
        """Listen from here on."""
        self._bar = self._bar_of(now)
        self._streams.start()

    def end(self) -> None:
        """Listen no more."""
        self._streams.stop()

    def wants_read(self, event: ev.Woken | ev.StreamChanged) -> bool:
        """Whether the broker is to be read now: an order moved, or the stream has just begun to listen."""
        if event.stream != ev.TRADE_UPDATES:
            return False
        self._heard |= isinstance(event, ev.Woken)
        return isinstance(event, ev.Woken) or event.up

    def wants_scan(self, event: ev.Woken | ev.StreamChanged) -> bool:
        """Whether prices are to be read now: a bar of our length has closed since they last were."""
        if event.stream != ev.PRICES or not isinstance(event, ev.Woken) or self._bar_of(event.at) == self._bar:
            return False
        self._bar = self._bar_of(event.at)
        return True

    def was_read(self, decisions: Decisions, report: ev.BrokerReport) -> None:
        """A reading came to ``decisions``; what it brought should have been heard as well."""
        self._streams.market(is_open=report.market.is_open)
        news = any(isinstance(fact, _NEWS) for fact in decisions.facts)
        if self._heard or not news:
            self._unheard = 0 if self._heard else self._unheard
        else:
            self._unheard += 1
            if self._unheard >= UNHEARD_MAX:
                self._unheard = 0
                self._streams.suspect(ev.TRADE_UPDATES)
        self._heard = False

    def _bar_of(self, at: datetime) -> int:
        return int(at.timestamp() // self._timeframe_s)
