"""What is wrong is told when it begins and when it ends, and not at each look in between."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core.degraded import Condition
from gambler_ai.core.risk import Code
from gambler_ai.core.structures import OptionQuote
from gambler_ai.core.watch import REMIND
from tests.unit.fakes import (
    AT,
    CLOSE,
    FIVE,
    MARKET,
    SHUT,
    D,
    Desk,
    after,
    bars_closed,
    frame_of,
    held,
    kinds,
    only,
    protect,
    reading,
    reported,
    trades_of,
    wish,
)


def failed(name: str = ev.BROKER, at: datetime = AT, reason: str = "503", condition: str = "") -> ev.BrokerFailed:
    return ev.BrokerFailed(at, name, reason, condition)


def skewed(skew_s: float, at: datetime = AT) -> ev.BrokerReported:
    return ev.BrokerReported(at, reading(), reconcile=False, skew_s=skew_s)


def told(desk: Desk) -> list[str]:
    """What was told, in order."""
    signs = {ev.Degraded: "+", ev.Restored: "-"}
    return [f"{signs[type(f)]} {f.name}" for f in desk.facts if isinstance(f, ev.Degraded | ev.Restored)]


# -- readings -------------------------------------------------------------------------------------


def test_each_failure_has_its_name_and_a_whole_reading_ends_them_all():
    desk = Desk().opened()
    desk.step(failed())
    desk.step(failed(condition=Condition.READS))
    desk.step(failed(condition=Condition.RATE))
    assert list(desk.state.degraded) == ["broker", "broker reads", "rate limited"]
    desk.step(reported())
    assert desk.state.degraded == {}
    assert told(desk)[3:] == ["- broker", "- broker reads", "- rate limited"]


def test_prices_that_come_end_what_prices_began_and_no_more():
    desk = Desk().opened()
    desk.step(failed())
    desk.step(failed(ev.MARKET_DATA))
    desk.step(failed(ev.MARKET_DATA, condition="rate limited prices"))
    desk.step(bars_closed())
    assert list(desk.state.degraded) == ["broker"]


def test_what_lasts_is_told_again_every_ten_minutes_with_what_is_new_of_it():
    desk, at = Desk().opened(), AT
    for n in range(4 * 21):
        at = AT + n * timedelta(seconds=15)
        desk.step(failed(at=at, reason=f"attempt {n}"))
    facts = [fact for fact in desk.facts if isinstance(fact, ev.Degraded)]
    assert [(fact.at - AT) / REMIND for fact in facts] == [0, 1, 2]
    assert facts[-1].reason == desk.state.degraded["broker"] == "attempt 80"


def test_a_new_process_tells_what_still_lasts_and_one_that_ended_between_begins_anew():
    desk = Desk().opened()
    desk.step(failed())
    again = Desk(state=desk.state)
    assert kinds(again.step(failed(at=after(seconds=1)))) == ["Degraded"]
    again.step(reported())
    assert kinds(again.step(failed(at=after(seconds=2)))) == ["Degraded"]


def test_an_order_that_met_the_limit_tells_it_at_once_and_it_ends_with_a_reading():
    desk = Desk().opened()
    intent = desk.entered()
    until = after(seconds=40)
    decisions = desk.step(ev.SubmitUnanswered(AT, intent.client_order_id, "rate limited by the broker", until))
    assert kinds(decisions) == ["IntentUnknown", "Degraded"]
    assert "until 2008-10-07 14:00:40 UTC" in desk.state.degraded["rate limited"]
    assert kinds(desk.step(ev.SubmitUnanswered(AT, intent.client_order_id, "503"))) == ["IntentUnknown"]
    desk.step(reported(lookups={intent.client_order_id: None}))
    assert desk.state.degraded == {}


def test_while_orders_wait_to_be_looked_up_nothing_is_entered():
    desk = Desk(wish("MSFT")).opened()
    waiting = dataclasses.replace(reading(), waiting=("ga1-x", "o-y"))
    assert kinds(desk.step(ev.BrokerReported(AT, waiting, False))) == ["Degraded"]
    assert desk.state.degraded == {"look-ups waiting": "2 orders not looked up yet"}
    assert only(ev.Denied, desk.step(bars_closed(symbols=("AAPL", "MSFT")))).code == Code.DEGRADED
    assert kinds(desk.step(reported())) == ["Restored"]


def test_while_readings_fail_books_stay_and_positions_keep_their_protection():
    desk = Desk(wish("MSFT")).opened()
    desk.holding()
    before = (dict(desk.state.positions), dict(desk.state.orders))
    desk.step(failed(condition=Condition.READS))
    assert only(ev.Denied, desk.step(bars_closed(symbols=("AAPL", "MSFT")))).code == Code.DEGRADED
    assert (desk.state.positions, desk.state.orders) == before


@pytest.mark.parametrize(
    ("name", "goes"),
    [
        ("market data", False), ("stale prices AAPL", False), ("database", False), ("stale prices MSFT", True),
        ("clock skew", True),
    ],
)  # fmt: skip
def test_an_entry_that_was_not_answered_goes_out_again_only_while_entries_are_allowed(name, goes):
    desk = Desk().opened()
    intent = desk.entered()
    coid = intent.client_order_id
    desk.step(ev.SubmitUnanswered(AT, coid, "504"))
    desk.record(ev.Degraded(AT, name, "?"))
    for n in range(1, 5):
        step = desk.step(ev.BrokerReported(after(seconds=15 * n), reading(lookups={coid: None}), False, 99.0))
        assert ("ResendPlanned" in kinds(desk.facts)) is goes
        assert "IntentVoided" not in kinds(step)
    if not goes:
        desk.record(ev.Restored(after(seconds=75), name))
        assert "ResendPlanned" in kinds(desk.step(reported(at=after(seconds=75), lookups={coid: None})))


def test_protection_that_was_not_answered_goes_out_again_whatever_is_degraded():
    desk = Desk().opened()
    stop = protect(desk.holding(limit="canceled", stop="canceled").client_order_id)
    desk.record(ev.IntentPlanned(AT, stop))
    desk.step(ev.SubmitUnanswered(AT, stop.client_order_id, "504"))
    desk.record(ev.Degraded(AT, "market data", "?"), ev.Degraded(AT, "stale prices AAPL", "?"))
    missing = reported(at=after(seconds=15), lookups={stop.client_order_id: None}, positions=[held("AAPL", "10")])
    assert only(ev.ResendPlanned, desk.step(missing)).client_order_id == stop.client_order_id


# -- the clock ------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1, -1])
def test_a_clock_that_is_wrong_warns_by_name_and_changes_no_decision(sign):
    desk = Desk(wish()).opened()
    assert kinds(desk.step(skewed(30.0 * sign))) == []
    assert kinds(desk.step(skewed(86_400.0 * sign))) == ["Degraded"]
    side = "ahead of" if sign > 0 else "behind"
    assert desk.state.degraded == {"clock skew": f"this machine's clock is 86400 s {side} the broker's"}
    assert "IntentPlanned" in kinds(desk.step(bars_closed()))
    assert kinds(desk.step(skewed(0.4 * sign))) == ["Restored"]


# -- streams --------------------------------------------------------------------------------------


def test_a_silent_stream_is_told_until_it_tells_something_and_entries_go_on():
    desk = Desk(wish()).opened()
    silent = ev.StreamSilent(AT, ev.TRADE_UPDATES, "it did not tell")
    assert kinds(desk.step(silent)) == ["Degraded"]
    assert kinds(desk.step(silent)) == []
    assert "IntentPlanned" in kinds(desk.step(bars_closed()))
    for nothing in (ev.StreamChanged(AT, ev.TRADE_UPDATES, True, "listening"), ev.Woken(AT, ev.PRICES, "bar")):
        assert kinds(desk.step(nothing)) == []
    assert kinds(desk.step(ev.Woken(AT, ev.TRADE_UPDATES, "fill AAPL"))) == ["Restored"]


# -- prices ---------------------------------------------------------------------------------------


def scan(at: datetime, newest: datetime, quarantined: dict[str, str] | None = None) -> ev.BarsClosed:
    """AAPL as of ``newest``, MSFT as of now."""
    frame = frame_of({"AAPL": [100.0], "MSFT": [50.0]}, at - FIVE)
    frame.times.flags.writeable = True
    frame.times[-1, 0] = int(newest.timestamp())
    return ev.BarsClosed(at, frame, trades_of(at, AAPL="100", MSFT="50"), quarantined or {})


def test_a_symbol_whose_bars_stop_takes_no_entries_until_the_next_and_the_others_do():
    desk = Desk(wish("AAPL", signal_at=after(minutes=5)), wish("MSFT", signal_at=after(minutes=10))).opened()
    last = after(minutes=0)
    desk.step(scan(after(minutes=5), last))
    assert told(desk) == []
    desk.step(scan(after(minutes=15), last))
    assert told(desk) == [], "two bars old, and not older"
    found = desk.step(scan(after(minutes=15, seconds=1), last))
    assert told(desk) == ["+ stale prices AAPL"]
    assert desk.state.degraded["stale prices AAPL"] == "the newest bar closed at 2008-10-07 14:05:00 UTC"
    assert {f.intent.symbol for f in found.facts if isinstance(f, ev.IntentPlanned)} <= {"MSFT"}
    desk.step(scan(after(minutes=16), last))
    desk.step(scan(after(minutes=17), after(minutes=10)))
    assert told(desk) == ["+ stale prices AAPL", "- stale prices AAPL"]


def test_yesterdays_bars_are_not_stale_until_the_day_has_had_time_for_its_own():
    desk = Desk()
    desk.step(reported(market=replace(SHUT, next_open=AT)))
    desk.step(reported(at=AT))
    yesterday = AT - timedelta(hours=18)
    desk.step(scan(after(minutes=10), yesterday))
    assert told(desk) == []
    desk.step(scan(after(minutes=10, seconds=1), yesterday))
    assert told(desk) == ["+ stale prices AAPL"]


def test_a_symbol_without_any_bar_is_stale_as_well():
    desk = Desk().opened()
    frame = frame_of({"AAPL": []}, AT)
    desk.step(ev.BarsClosed(after(minutes=11), frame, {}))
    assert desk.state.degraded == {"stale prices AAPL": "no bar yet"}


@pytest.mark.parametrize("market", [SHUT, None])
def test_nothing_is_stale_while_the_market_is_closed_or_was_never_read(market):
    desk = Desk()
    if market is not None:
        desk.step(reported(market=market))
    desk.step(scan(after(hours=3), AT))
    assert told(desk) == []


def test_the_close_ends_it_for_nothing_is_expected_then():
    desk = Desk().opened()
    desk.step(scan(after(hours=1), AT))
    assert set(desk.state.degraded) == {"stale prices AAPL"}
    desk.step(scan(CLOSE + timedelta(seconds=1), AT))
    assert told(desk) == ["+ stale prices AAPL"], "after the close it is not looked at"
    desk.step(reported(at=CLOSE, market=SHUT))
    assert desk.state.degraded == {}


def test_a_price_that_is_kept_back_blocks_its_symbol_until_a_good_one_comes():
    desk = Desk(wish("AAPL"), wish("MSFT")).opened()
    found = desk.step(scan(AT, AT - FIVE, {"AAPL": "the bar of 10:00 is not a number"}))
    assert [f.symbol for f in found.facts if isinstance(f, ev.Denied)] == ["AAPL"]
    assert only(ev.Denied, found).code == Code.DEGRADED
    assert only(ev.IntentPlanned, found).intent.symbol == "MSFT"
    desk.step(scan(after(minutes=1), AT - FIVE, {"AAPL": "still"}))
    desk.step(scan(after(minutes=2), AT - FIVE))
    assert told(desk) == ["+ absurd prices AAPL", "- absurd prices AAPL"]


# -- the broker's marks ---------------------------------------------------------------------------


def marked(desk: Desk, price: str | None) -> object:
    position = replace(held("AAPL", "10"), current_price=None if price is None else D(price))
    desk.step(reported(reconcile=True, positions=[position]))
    return desk.state.marks.get("AAPL")


def test_a_mark_that_jumps_is_taken_when_the_broker_says_it_twice():
    desk = Desk().opened()
    desk.holding()
    assert marked(desk, "100") == D(100)
    assert marked(desk, "10") == D(100)
    assert marked(desk, "101") == D(101)
    assert marked(desk, "10") == D(101), "once more is not twice in a row"
    assert marked(desk, "10.5") == D("10.5")


@pytest.mark.parametrize("price", [None, "0", "-1", "NaN", "1e9"])
def test_a_mark_that_is_no_price_changes_nothing(price):
    desk = Desk().opened()
    desk.holding()
    marked(desk, "100")
    assert marked(desk, price) == marked(desk, price) == D(100)


def test_a_stop_is_not_taken_to_be_crossed_by_one_absurd_mark():
    desk = Desk().opened()
    desk.holding(limit="canceled", stop="canceled")
    desk.record(ev.Marked(AT, {"AAPL": D(100)}, {}))
    decisions = desk.step(reported(
        reconcile=True, positions=[replace(held("AAPL", "10"), current_price=D("0.01"))], market=MARKET,
    ))  # fmt: skip
    assert only(ev.IntentPlanned, decisions).intent.reason == "re-armed"


def test_option_prices_that_cannot_be_read_are_told_until_they_can():
    desk = Desk(wish()).opened()
    bars = bars_closed()
    unread = dataclasses.replace(bars, unread="the chain of AAPL: HTTP 403")
    told_once = desk.step(unread)
    assert desk.state.degraded == {"option prices": "the chain of AAPL: HTTP 403"}
    assert only(ev.Denied, told_once).code == Code.DEGRADED
    assert "Degraded" not in kinds(desk.step(unread))
    desk.step(bars)
    assert list(desk.state.degraded) == ["option prices"], "nothing was asked for, so nothing is known"
    quote = OptionQuote("AAPL081017C00100000", None, None, AT)
    assert "Restored" in kinds(desk.step(dataclasses.replace(bars, quotes={quote.symbol: quote})))
    assert desk.state.degraded == {}
