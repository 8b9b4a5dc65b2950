"""Portfolio history: the equity of each instant, from fills and prices that were known by then."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

NEW_YORK = ZoneInfo("America/New_York")
URL = "/v2/account/portfolio/history"
ARRAYS = ("timestamp", "equity", "profit_loss", "profit_loss_pct")


@pytest.fixture
def busy(make_world):
    """Opened on Friday the 9th at 10:00, bought then and on Tuesday; it is Tuesday, 12:00."""
    world = make_world(datetime(2007, 11, 9, 15, 0, tzinfo=UTC))
    world.filled(symbol="AAPL", qty=100)
    world.exchange.advance(datetime(2007, 11, 13, 15, 0, tzinfo=UTC))
    world.filled(symbol="IBM", qty=20, side="sell")
    world.exchange.advance(datetime(2007, 11, 13, 17, 0, tzinfo=UTC))
    return world


def labels(history):
    return [datetime.fromtimestamp(s, NEW_YORK).strftime("%d %H:%M") for s in history["timestamp"]]


def equity(world):
    return float(Decimal(world.get("/v2/account")["equity"]))


def test_the_last_point_is_the_account_now(busy):
    for params in ({}, {"period": "1D"}, {"period": "2D", "timeframe": "1H"}, {"intraday_reporting": "continuous"}):
        history = busy.get(URL, **params)
        assert history["equity"][-1] == pytest.approx(equity(busy), abs=1e-4), params
        assert {len(history[name]) for name in ARRAYS} == {len(history["equity"])}
        assert all(type(value) is float for name in ARRAYS[1:] for value in history[name])
        assert max(history["timestamp"]) <= busy.exchange.now().timestamp()


def test_days_are_told_at_eight_and_today_as_it_goes(busy):
    history = busy.get(URL, period="1M")
    assert history["timeframe"] == "1D"
    assert labels(history) == ["09 20:00", "12 20:00", "13 12:00"]
    assert history["equity"][1] == float(busy.get("/v2/account")["last_equity"])
    assert "base_value_asof" not in history  # the account is younger than the first close before it
    assert history["base_value"] == history["equity"][0]
    gains = [history["equity"][n] - history["equity"][n - 1] for n in (1, 2)]
    assert history["profit_loss"] == pytest.approx([0, *gains], abs=1e-3)
    assert history["profit_loss_pct"][1] == round(gains[0] / history["equity"][0], 4)


def test_without_a_reset_profit_is_against_the_base(busy):
    history = busy.get(URL, period="1M", pnl_reset="no_reset")
    assert history["profit_loss"] == pytest.approx([e - history["base_value"] for e in history["equity"]], abs=1e-3)


def test_a_session_has_a_point_at_its_close_too(busy):
    busy.exchange.advance(datetime(2007, 11, 13, 23, 0, tzinfo=UTC))
    history = busy.get(URL, period="1D")
    assert history["timeframe"] == "1Min"
    assert (len(history["timestamp"]), labels(history)[0], labels(history)[-1]) == (391, "13 09:30", "13 16:00")
    assert (history["base_value"], history["base_value_asof"]) == (
        float(busy.get("/v2/account")["last_equity"]), "2007-11-12",
    )  # fmt: skip
    assert history["profit_loss"][-1] == pytest.approx(history["equity"][-1] - history["base_value"], abs=1e-3)


def test_a_point_is_what_the_account_was_worth_then(make_world):
    """Asked later, an instant has the equity that was told at it: no look-ahead."""
    world = make_world(datetime(2007, 11, 12, 14, 30, tzinfo=UTC))
    world.filled(symbol="AAPL", qty=100)
    told = {}
    for minutes in (7, 60, 33, 120):
        world.pass_time(minutes=minutes)
        world.order(symbol="MSFT", qty=minutes)  # fills now, at a loss: it pays the spread
        at = world.exchange.now()
        if not at.second:
            told[int(at.timestamp())] = equity(world)
    world.exchange.advance(datetime(2007, 11, 14, 15, 0, tzinfo=UTC))
    history = world.get(URL, period="3D", timeframe="1Min")
    ends = {label + 60: value for label, value in zip(history["timestamp"], history["equity"], strict=True)}
    assert told
    for at, value in told.items():
        assert ends[at] == pytest.approx(value, abs=1e-3), at


def test_a_short_account_has_nothing_before_it_began(busy):
    history = busy.get(URL, start="2007-10-15", timeframe="1H")
    assert labels(history)[0] == "09 09:30"  # the window in which it began, at 10:00
    assert busy.get(URL, start="2007-10-01", end="2007-11-01")["timestamp"] == []


@pytest.mark.parametrize(
    ("params", "timeframe"),
    [
        ({"period": "6D"}, "1Min"), ({"period": "1W"}, "15Min"), ({"period": "30D"}, "15Min"),
        ({"period": "31D"}, "1D"), ({"period": "1M"}, "1D"), ({"period": "1A"}, "1D"), ({}, "1D"),
        ({"start": "2007-11-12"}, "1Min"), ({"start": "2007-11-01"}, "15Min"),
        ({"period": "1D", "timeframe": "5Min"}, "5Min"),
    ],
)  # fmt: skip
def test_the_timeframe_follows_the_period(busy, params, timeframe):
    assert busy.get(URL, **params)["timeframe"] == timeframe


def test_sessions_are_counted_from_the_last_that_opened(busy):
    assert labels(busy.get(URL, period="2D", timeframe="1H"))[0] == "12 09:30"
    busy.exchange.advance(datetime(2007, 11, 14, 13, 0, tzinfo=UTC))  # 8:00
    assert labels(busy.get(URL, period="1D", timeframe="1H"))[0] == "13 09:30"
    extended = busy.get(URL, period="1D", timeframe="1H", extended_hours="true")
    assert labels(extended)[0] == "14 04:00"


def test_extended_and_continuous_hours(busy):
    busy.exchange.advance(datetime(2007, 11, 14, 2, 0, tzinfo=UTC))  # 21:00
    extended = labels(busy.get(URL, period="1D", timeframe="1H", intraday_reporting="extended_hours"))
    assert (len(extended), extended[0], extended[-1]) == (17, "13 04:00", "13 20:00")
    around = labels(busy.get(URL, period="4D", timeframe="1H", intraday_reporting="continuous"))
    assert {"10 12:00", "11 12:00"} < set(around)  # a weekend


def test_start_and_end_bound_the_points(busy):
    history = busy.get(URL, start="2007-11-12T12:00:00-05:00", end="2007-11-12T15:00:00-05:00", timeframe="1H")
    assert labels(history) == ["12 09:30", "12 10:30", "12 11:30", "12 12:30", "12 13:30", "12 14:30"]
    after_close = busy.get(URL, start="2007-11-12T17:00:00-05:00", end="2007-11-13", timeframe="1H")
    assert labels(after_close)[0] == "13 09:30"
    assert labels(busy.get(URL, period="1D", date_end="2007-11-12", timeframe="1D")) == ["12 20:00"]
    assert labels(busy.get(URL, start="2007-11-09", period="1D", timeframe="1D")) == ["09 20:00", "12 20:00"]


def test_a_split_moves_no_equity(make_world):
    world = make_world(datetime(2005, 2, 25, 15, 0, tzinfo=UTC))
    world.filled(symbol="AAPL", qty=100)
    world.exchange.advance(datetime(2005, 2, 28, 15, 0, tzinfo=UTC))
    assert world.get("/v2/positions/AAPL")["qty"] == "200"
    history = world.get(URL, period="2D", timeframe="15Min")
    assert max(history["equity"]) - min(history["equity"]) < 1000  # half of the shares would be 4,500
    assert history["equity"][-1] == pytest.approx(equity(world), abs=1e-4)


def test_a_reset_account_has_a_history_of_its_own(busy):
    busy.exchange.deeds.do("account_reset", {"kind": "account_reset", "cash": "5000"})
    busy.pass_time(minutes=30)
    history = busy.get(URL, period="1D")
    assert set(history["equity"]) == {5000.0}
    assert labels(history)[0] == "13 11:59"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"period": "1Y"}, "invalid period: 1Y"), ({"period": "0D"}, "invalid period: 0D"),
        ({"timeframe": "2Min"}, "invalid timeframe: 2Min"), ({"start": "x"}, "invalid start"),
        ({"period": "1A", "timeframe": "1Min"}, "timeframe 1Min is for 30 days or less"),
        ({"period": "1D", "start": "2007-11-12", "end": "2007-11-13"},
         "only two of start, end and period can be specified"),
        ({"start": "2007-11-13", "end": "2007-11-12"}, "start must be before end"),
        ({"intraday_reporting": "night"}, "invalid intraday_reporting: night"),
        ({"pnl_reset": "never"}, "invalid pnl_reset: never"),
        ({"cashflow_types": "PARTY"}, "invalid activity type: PARTY"),
    ],
)  # fmt: skip
def test_what_is_refused(busy, params, message):
    assert busy.call("GET", URL, **params) == (422, {"code": 40010001, "message": message})


def test_periods_without_end_cost_no_more_than_the_data(busy):
    assert len(busy.get(URL, period="9999A")["timestamp"]) == 3
    assert busy.get(URL, start="0001-01-02", timeframe="1D")["equity"]
