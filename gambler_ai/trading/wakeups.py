"""What the broker's streams change: how soon we look. And whether they still tell what there is to be told."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from gambler_ai.core import events as ev
from gambler_ai.core.engine import Decisions
from gambler_ai.core.ports import Streams

#: Readings in a row that bring news of which the stream said nothing, and it counts as deaf.
UNHEARD_MAX = 2
#: Why it does, in words.
UNHEARD = "two readings in a row brought what it did not tell; it is connected anew"
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
        self._is_off = isinstance(streams, NoStreams)
        self._heard: set[str] = set()
        self._unheard: Counter[str] = Counter()
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
        return isinstance(event, ev.Woken) or event.up

    def wants_scan(self, event: ev.Woken | ev.StreamChanged) -> bool:
        """Whether prices are to be read now: a bar of our length has closed since they last were."""
        if event.stream != ev.PRICES or not isinstance(event, ev.Woken) or self._bar_of(event.at) == self._bar:
            return False
        self._bar = self._bar_of(event.at)
        return True

    def hear(self, event: ev.Woken | ev.StreamChanged) -> None:
        """A stream told something; that it is up is no word on what there is to be told."""
        if isinstance(event, ev.Woken):
            self._heard.add(event.stream)

    def was_read(self, decisions: Decisions, report: ev.BrokerReport) -> str:
        """A reading came to ``decisions``; what it brought should have been heard as well.

        Returns the name of a stream that is silent, "" as a rule.
        """
        self._streams.market(is_open=report.market.is_open)
        return self._judge(ev.TRADE_UPDATES, any(isinstance(fact, _NEWS) for fact in decisions.facts))

    def was_scanned(self, decisions: Decisions) -> str:
        """The same of prices: bars that nobody has decided on yet should have been heard of."""
        return self._judge(ev.PRICES, any(isinstance(fact, ev.Marked) and fact.bars for fact in decisions.facts))

    def _judge(self, stream: str, news: bool) -> str:
        heard = stream in self._heard
        if stream == ev.PRICES and not news:
            return ""  # bars come one by one, looks at them more often: what was heard counts until the next
        self._heard.discard(stream)
        if heard or not news or self._is_off:
            self._unheard[stream] = 0 if heard else self._unheard[stream]
            return ""
        self._unheard[stream] += 1
        if self._unheard[stream] < UNHEARD_MAX:
            return ""
        self._unheard[stream] = 0
        self._streams.suspect(stream)
        return stream

    def _bar_of(self, at: datetime) -> int:
        return int(at.timestamp() // self._timeframe_s)
