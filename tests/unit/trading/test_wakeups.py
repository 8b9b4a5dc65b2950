"""What a stream's word makes us look at, and when a stream is taken to be deaf."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from gambler_ai.core import events as ev
from gambler_ai.core.engine import Decisions
from gambler_ai.trading.wakeups import UNHEARD_MAX, NoStreams, Wakeups
from tests.unit.fakes import AT, SHUT, after, bracket_of, entry, fill_of, reading

NEWS = Decisions(facts=[ev.OrderUpdated(AT, bracket_of(entry()))])
FILL = Decisions(facts=[ev.FillReported(AT, fill_of(bracket_of(entry()), "10"))])
BARS = Decisions(facts=[ev.Marked(AT, {}, {"AAPL": AT})])
QUIET = Decisions(facts=[ev.Marked(AT, {}, {})])


class Told:
    """Streams that write down what they are told."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> None:
        self.calls.append("stop")

    def suspect(self, stream: str) -> None:
        self.calls.append(f"suspect {stream}")

    def market(self, *, is_open: bool) -> None:
        self.calls.append(is_open)

    @property
    def suspected(self) -> int:
        return self.calls.count(f"suspect {ev.TRADE_UPDATES}")


@pytest.fixture
def streams() -> Told:
    return Told()


@pytest.fixture
def wakeups(streams) -> Wakeups:
    made = Wakeups(streams, timedelta(minutes=5))
    made.begin(AT)
    return made


def woken(stream: str = ev.TRADE_UPDATES, at: datetime = AT) -> ev.Woken:
    return ev.Woken(at, stream, "fill AAPL")


def changed(stream: str, *, up: bool) -> ev.StreamChanged:
    return ev.StreamChanged(AT, stream, up, "?")


def test_it_listens_from_its_beginning_to_its_end_and_says_whether_silence_means_anything(streams, wakeups):
    wakeups.was_read(QUIET, reading())
    wakeups.was_read(QUIET, reading(market=SHUT))
    wakeups.end()
    assert streams.calls == ["start", True, False, "stop"]


def test_an_order_that_moved_or_a_stream_that_begins_to_listen_wants_a_reading(wakeups):
    assert wakeups.wants_read(woken())
    assert wakeups.wants_read(changed(ev.TRADE_UPDATES, up=True))
    assert not wakeups.wants_read(changed(ev.TRADE_UPDATES, up=False))
    assert not wakeups.wants_read(woken(ev.PRICES))
    assert not wakeups.wants_read(changed(ev.PRICES, up=True))


def test_the_first_price_after_a_bar_has_closed_wants_a_scan_and_no_other(wakeups):
    assert not wakeups.wants_scan(woken(ev.PRICES, after(minutes=4, seconds=59)))
    assert not wakeups.wants_scan(woken(ev.TRADE_UPDATES, after(minutes=5)))
    assert not wakeups.wants_scan(changed(ev.PRICES, up=True))
    assert wakeups.wants_scan(woken(ev.PRICES, after(minutes=5)))
    assert not wakeups.wants_scan(woken(ev.PRICES, after(minutes=9)))
    assert wakeups.wants_scan(woken(ev.PRICES, after(minutes=10)))


@pytest.mark.parametrize("news", [NEWS, FILL], ids=["an order", "a fill"])
def test_readings_that_bring_what_nobody_told_make_a_stream_suspect_and_the_count_begins_anew(streams, wakeups, news):
    for _ in range(UNHEARD_MAX - 1):
        assert wakeups.was_read(news, reading()) == ""
    assert wakeups.was_read(QUIET, reading()) == ""  # which says nothing either way
    assert wakeups.was_read(news, reading()) == ev.TRADE_UPDATES
    assert streams.suspected == 1
    assert wakeups.was_read(news, reading()) == ""
    assert streams.suspected == 1


def test_a_stream_that_told_is_not_suspected_and_what_it_told_counts_for_one_reading(streams, wakeups):
    for _ in range(3 * UNHEARD_MAX):
        wakeups.hear(woken())
        wakeups.was_read(NEWS, reading())
    wakeups.was_read(NEWS, reading())
    assert streams.suspected == 0
    wakeups.was_read(NEWS, reading())
    assert streams.suspected == 1


def test_coming_up_and_prices_are_no_word_on_orders(streams, wakeups):
    for event in (changed(ev.TRADE_UPDATES, up=True), woken(ev.PRICES, after(minutes=5))):
        wakeups.hear(event)
        wakeups.was_read(NEWS, reading())
    assert streams.suspected == 1


def test_bars_of_which_nobody_told_make_the_stream_of_prices_suspect(streams, wakeups):
    assert wakeups.was_scanned(BARS) == ""
    assert wakeups.was_scanned(QUIET) == ""  # most scans find nothing new
    assert wakeups.was_scanned(BARS) == ev.PRICES
    assert streams.calls[-1] == f"suspect {ev.PRICES}"


def test_prices_that_ring_between_two_bars_are_not_suspected_however_often_they_are_looked_at(streams, wakeups):
    for _ in range(3 * UNHEARD_MAX):
        wakeups.hear(woken(ev.PRICES))
        for _ in range(4):
            assert wakeups.was_scanned(QUIET) == ""
        assert wakeups.was_scanned(BARS) == ""
    wakeups.hear(woken(ev.TRADE_UPDATES))
    wakeups.was_scanned(BARS)
    assert wakeups.was_scanned(BARS) == ev.PRICES


def test_streams_that_are_off_take_everything_in_silence():
    off = Wakeups(NoStreams(), timedelta(minutes=5))
    off.begin(AT)
    for _ in range(2 * UNHEARD_MAX):
        assert off.was_read(NEWS, reading()) == ""
        assert off.was_scanned(BARS) == ""
    off.end()
