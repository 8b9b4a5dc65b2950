"""Assets, calendars, clocks and announcements."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

FRIDAY_NIGHT = datetime(2007, 11, 10, 3, 0, tzinfo=UTC)
ANNOUNCED = {"ca_types": "Split", "since": "2005-02-01", "until": "2005-03-31"}


def names(rows):
    return [row["symbol"] for row in rows]


def test_assets_are_sorted_and_filtered(world):
    everything = world.get("/v2/assets")
    order = [(row["class"], row["exchange"], row["symbol"]) for row in everything]
    assert order == sorted(order)
    assert world.get("/v2/assets", status="active") == everything
    assert world.get("/v2/assets", asset_class="us_equity") == everything
    assert names(world.get("/v2/assets", exchange="NYSE")) == ["BRK.A", "IBM"]
    assert world.get("/v2/assets", status="inactive") == []
    assert world.get("/v2/assets", asset_class="crypto") == []
    assert world.get("/v2/assets", attributes="ipo,ptp_no_exception") == []


def test_an_asset_is_found_by_symbol_and_id(world):
    asset = world.get("/v2/assets/AAPL")
    assert world.get(f"/v2/assets/{asset['id']}") == asset
    assert (asset["class"], asset["tradable"]) == ("us_equity", True)
    assert asset["maintenance_margin_requirement"].__class__ is int  # the Go client reads a uint
    assert world.call("GET", "/v2/assets/ZZZZ") == (404, {"code": 40410000, "message": "asset not found for ZZZZ"})


def test_an_asset_that_has_no_prices_yet_is_not_tradable(world):
    assert world.get("/v2/assets/FB")["tradable"] is False  # it is 2007
    assert world.call("POST", "/v2/watchlists", {"name": "x", "symbols": ["FB"]})[1]["assets"][0]["tradable"] is False


def test_the_calendar_by_trading_and_by_settlement_day(world):
    (day,) = world.get("/v2/calendar", start="2007-11-23", end="2007-11-23T00:00:00Z")
    assert (day["open"], day["close"], day["session_open"], day["session_close"]) == ("09:30", "13:00", "0400", "1700")
    assert day["settlement_date"] == "2007-11-26"
    rows = world.get("/v2/calendar", start="2007-11-26", end="2007-11-26", date_type="SETTLEMENT")
    assert [row["date"] for row in rows] == ["2007-11-23"]
    assert world.get("/v2/calendar", start="2007-11-24", end="2007-11-25") == []


@pytest.mark.parametrize(
    ("path", "params", "message"),
    [
        ("/v2/calendar", {"start": "soon"}, "invalid start: soon"),
        ("/v2/calendar", {"date_type": "OTHER"}, "invalid date_type: OTHER"),
        ("/v3/calendar/NYSE", {"timezone": "CET"}, "invalid timezone: CET"),
        ("/v3/clock", {"time": "now"}, "invalid time: now"),
    ],
)
def test_bad_parameters_of_the_calendar_are_400(world, path, params, message):
    assert world.call("GET", path, **params) == (400, {"code": 40010001, "message": message})


def test_a_market_that_is_not_kept_is_named(world):
    status, body = world.call("GET", "/v3/clock", markets="NYSE,LSE")
    assert (status, body["message"].partition(";")[0]) == (400, "invalid market: LSE")


@pytest.mark.parametrize(
    ("time", "phase", "until"),
    [
        ("2007-11-23T08:59:59Z", "closed", "2007-11-23T04:00:00-05:00"),
        ("2007-11-23T09:00:00Z", "pre", "2007-11-23T09:30:00-05:00"),
        ("2007-11-23T14:30:00Z", "core", "2007-11-23T13:00:00-05:00"),
        ("2007-11-23T18:00:00Z", "post", "2007-11-23T17:00:00-05:00"),
        ("2007-11-23T22:00:00Z", "closed", "2007-11-26T04:00:00-05:00"),
        ("2007-11-24T15:00:00Z", "closed", "2007-11-26T04:00:00-05:00"),
    ],
)
def test_each_phase_of_a_half_day(world, time, phase, until):
    (clock,) = world.get("/v3/clock", time=time)["clocks"]
    assert (clock["phase"], clock["phase_until"]) == (phase, until)
    assert clock["is_market_day"] is (time < "2007-11-24")


def test_the_v3_calendar_is_a_week_from_today_in_either_zone(world):
    days = world.get("/v3/calendar/XNAS")["calendar"]
    assert (days[0]["date"], days[-1]["date"]) == ("2007-11-13", "2007-11-20")
    assert days[0]["core_start"] == "2007-11-13T09:30:00-05:00"
    assert world.get("/v3/calendar/NYSE", timezone="UTC")["calendar"][0]["core_start"] == "2007-11-13T14:30:00Z"


def test_the_clock_tells_the_next_open_and_close(make_world):
    world = make_world(FRIDAY_NIGHT)
    clock = world.get("/v2/clock")
    assert (clock["is_open"], clock["next_open"]) == (False, "2007-11-12T09:30:00-05:00")
    world.exchange.advance(datetime(2007, 11, 12, 14, 30, tzinfo=UTC))
    clock = world.get("/v2/clock")
    assert (clock["is_open"], clock["next_open"]) == (True, "2007-11-13T09:30:00-05:00")
    assert clock["next_close"] == "2007-11-12T16:00:00-05:00"


def test_a_split_is_announced_once_it_is_effective(make_world):
    world = make_world(datetime(2005, 2, 25, 15, 0, tzinfo=UTC))
    assert world.get("/v2/corporate_actions/announcements", **ANNOUNCED) == []
    world.exchange.advance(datetime(2005, 2, 28, 15, 0, tzinfo=UTC))
    (row,) = world.get("/v2/corporate_actions/announcements", **ANNOUNCED, symbol="aapl")
    assert (row["ex_date"], row["old_rate"], row["new_rate"]) == ("2005-02-28", "1", "2")
    assert world.get(f"/v2/corporate_actions/announcements/{row['id']}") == row
    assert world.get("/v2/corporate_actions/announcements", **ANNOUNCED | {"ca_types": "dividend,merger"}) == []
    assert world.get("/v2/corporate_actions/announcements", **ANNOUNCED, symbol="IBM") == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ca_types": ""}, "ca_types is required"), ({"ca_types": "split,party"}, "invalid ca_types: party"),
        ({"since": "x"}, "invalid since"), ({"until": ""}, "invalid until"),
        ({"since": "2004-01-01"}, "since and until must be in order and at most 90 days apart"),
        ({"date_type": "birthday"}, "invalid date_type"),
    ],
)  # fmt: skip
def test_bad_questions_about_announcements(world, change, message):
    status, body = world.call("GET", "/v2/corporate_actions/announcements", **ANNOUNCED | change)
    assert (status, body) == (422, {"code": 40010001, "message": message})
    assert world.call("GET", "/v2/corporate_actions/announcements/x")[0] == 404


@pytest.mark.parametrize("date_type", ["TRADING", "SETTLEMENT"])
def test_a_calendar_without_end_is_that_of_the_days_that_are_known(world, date_type):
    bounds = {"start": "0001-01-01", "end": "9999-12-31"}
    assert world.get("/v2/calendar", **bounds, date_type=date_type)[0]["date"] == "2000-01-03"
    assert world.get("/v3/calendar/NYSE", start="9999-12-31")["calendar"] == []
    for time in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "1999-12-31"):
        assert world.call("GET", "/v3/clock", time=time)[0] == 400
