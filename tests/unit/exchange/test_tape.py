"""What the market data stream says of a move, channel by channel, and the feeds."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from gambler_ai.exchange.instants import MINUTE, SECOND, from_us, to_us
from gambler_ai.exchange.prices.market import Market
from gambler_ai.exchange.streams.lines import FEEDS
from gambler_ai.exchange.streams.subscriptions import CHANNELS, fits
from gambler_ai.exchange.streams.tape import LATE_US, rows_of_move
from tests.unit.exchange.test_lines import watcher

MARKET = Market(7)
DAY = MARKET.sessions.on(date(2007, 11, 13))
HALF = MARKET.sessions.on(date(2007, 11, 23))


def wanting(**channels):
    return {channel: frozenset(channels.get(channel, ())) for channel in CHANNELS}


def moved(begin_us, end_us, market=MARKET, **channels):
    return rows_of_move(market, wanting(**channels), begin_us, end_us)


@pytest.mark.parametrize("session", [DAY, HALF], ids=["a day", "a half day"])
def test_trading_is_said_to_begin_and_to_end(session):
    whole = moved(session.session_open_us, session.session_close_us, statuses=["AAPL", "FB"])
    assert [(row["T"], row["S"], row["sc"], row["t"]) for row in whole] == [
        ("s", "AAPL", "T", from_us(session.open_us)),
        ("s", "AAPL", "H", from_us(session.close_us)),
    ], "FB is not listed yet"
    assert all({"sm", "rc", "rm", "z"} <= row.keys() for row in whole)
    assert moved(session.open_us, session.close_us - 1, statuses=["*"]) == []
    assert len(moved(session.open_us - 1, session.open_us, statuses=["AAPL"])) == 1


def test_a_late_trade_updates_its_bar_half_a_minute_later():
    rows = moved(DAY.open_us, DAY.close_us + MINUTE, bars=["*"], updatedBars=["*"])
    told = {(row["S"], row["t"]): row for row in rows if row["T"] == "b"}
    updates = [row for row in rows if row["T"] == "u"]
    assert 0.01 < len(updates) / len(told) < 0.04, "one in fifty"
    history = {
        (symbol, from_us(bar.start_us)): bar for symbol in MARKET.assets for bar in MARKET.minute_bars(symbol, DAY)
    }
    updated = {(row["S"], row["t"]) for row in updates}
    for place, row in told.items():
        bar = history.get(place)
        if bar is None:
            continue  # after-hours
        late = place in updated
        assert (row["v"] < bar.volume, row["n"] < bar.trades) == (late, late)
    for row in updates:
        before = told[row["S"], row["t"]]
        assert {name: row[name] for name in "ohlc"} == {name: before[name] for name in "ohlc"}
        bar = history.get((row["S"], row["t"]))
        assert bar is None or (row["v"], row["n"]) == (bar.volume, bar.trades)


def test_an_update_comes_after_its_bar_and_once():
    rows = moved(DAY.open_us, DAY.close_us, updatedBars=["AAPL"])
    at_us = to_us(rows[0]["t"]) + MINUTE
    assert moved(at_us, at_us + LATE_US - 1, updatedBars=["AAPL"]) == []
    assert moved(at_us, at_us + LATE_US, updatedBars=["AAPL"]) == rows[:1]
    assert moved(at_us + LATE_US, at_us + MINUTE, updatedBars=["AAPL"]) == []
    both = moved(DAY.open_us, DAY.close_us, bars=["AAPL"], updatedBars=["AAPL"])
    told_us = [to_us(row["t"]) + MINUTE + (LATE_US if row["T"] == "u" else 0) for row in both]
    assert told_us == sorted(told_us), "in one move, too, it comes at its instant"
    again = [row for step in range(0, 390 * MINUTE, 10 * SECOND)
             for row in moved(DAY.open_us + step, DAY.open_us + step + 10 * SECOND, updatedBars=["AAPL"])]  # fmt: skip
    assert again == rows, "in small steps the same as in one"


def test_bars_of_small_steps_are_those_of_one():
    channels = {channel: ["AAPL", "MSFT"] for channel in ("bars", "updatedBars", "statuses", "lulds")}
    whole = moved(DAY.session_open_us, DAY.session_close_us, **channels)
    steps = range(DAY.session_open_us, DAY.session_close_us, 7 * MINUTE + 13 * SECOND)
    parts = [
        row for begin in steps
        for row in moved(begin, min(begin + 7 * MINUTE + 13 * SECOND, DAY.session_close_us), **channels)
    ]  # fmt: skip
    assert parts == whole
    assert {row["T"] for row in whole} == {"b", "u", "s", "l"}


def test_extended_hours_have_bars_but_no_day_and_no_bands():
    early = moved(DAY.session_open_us, DAY.open_us, bars=["AAPL"], dailyBars=["AAPL"], lulds=["AAPL"])
    assert {row["T"] for row in early} == {"b"}
    late = moved(DAY.close_us, DAY.session_close_us, bars=["AAPL"], dailyBars=["AAPL"], lulds=["AAPL"])
    assert {row["T"] for row in late} == {"b"}
    first = moved(DAY.open_us, DAY.open_us + MINUTE, bars=["AAPL"], dailyBars=["AAPL"], lulds=["AAPL"])
    assert [row["T"] for row in first] == ["b", "l", "d"]
    assert first[1]["d"] < first[0]["c"] < first[1]["u"]


def test_the_day_at_the_close_is_the_day_of_history():
    (row,) = moved(DAY.close_us - MINUTE, DAY.close_us, dailyBars=["AAPL"])
    daily = MARKET.daily_bar("AAPL", DAY)
    assert daily is not None
    found = [round(row[name] * 10_000) for name in "ohlc"]
    assert [*found, row["v"]] == [daily.open, daily.high, daily.low, daily.close, daily.volume]


def test_delayed_data_are_fifteen_minutes_old(make_world):
    world = make_world(datetime(2007, 11, 13, 15, tzinfo=UTC))
    client = watcher(world, feed=FEEDS["delayed_sip"], bars=["AAPL"], trades=["AAPL"])
    world.pass_time(minutes=1)
    ((bar, trade),) = client.heard()
    assert (bar["t"], trade["t"]) == ("2007-11-13T14:45:00Z", "2007-11-13T14:46:00Z")
    latest = world.get("/v2/stocks/AAPL/trades/latest", feed="delayed_sip")["trade"]
    assert trade == {"T": "t", "S": "AAPL"} | latest


def test_the_test_stream_talks_at_night(make_world):
    world = make_world(datetime(2007, 11, 11, 3, tzinfo=UTC))  # a Saturday night
    only = ["FAKEPACA"]
    client = watcher(world, feed=FEEDS["test"], trades=only, quotes=only, bars=only)
    world.pass_time(minutes=2)
    (rows,) = client.heard()
    assert [row["T"] for row in rows] == ["b", "b", "t", "q"]
    assert {row["S"] for row in rows} == {"FAKEPACA"}
    assert rows[3]["bp"] < rows[2]["p"] < rows[3]["ap"]
    assert rows[1]["c"] != rows[2]["p"], "the newest trade is younger than the newest bar"
    client.say(action="subscribe", dailyBars=["*"])
    client.heard()
    world.pass_time(minutes=1)
    day = next(row for message in client.heard() for row in message if row["T"] == "d")
    assert (day["t"], day["n"]) == ("2007-11-11T00:00:00Z", 4 * 183)
    assert world.call("GET", "/v2/assets/FAKEPACA")[0] == 404


@pytest.mark.parametrize(
    ("limit", "channels", "fit"),
    [
        (2, {"bars": ["A", "B"]}, True),
        (2, {"bars": ["A"], "trades": ["B"], "quotes": ["A"]}, True),
        (2, {"bars": ["A"], "trades": ["B"], "quotes": ["C"]}, False),
        (2, {"bars": ["*"], "dailyBars": ["*"], "statuses": ["*"]}, True),
        (2, {"trades": ["*"]}, False),
        (2, {"quotes": ["*"]}, False),
        (None, {"trades": ["*"], "quotes": [f"S{n}" for n in range(5000)]}, True),
    ],
)
def test_what_fits_a_plan(limit, channels, fit):
    assert fits(wanting(**channels), limit) is fit
