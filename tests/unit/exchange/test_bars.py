"""Market data: timeframes, paging, defaults, and nothing from the future."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

NOON = "2007-11-13T17:02:30Z"


@pytest.fixture
def noon(world):
    world.exchange.advance(datetime(2007, 11, 13, 17, 2, 30, tzinfo=UTC))
    return world


def test_only_closed_bars_and_from_the_start_of_the_day(noon):
    bars = noon.get("/v2/stocks/bars", symbols="AAPL", timeframe="1Min")["bars"]["AAPL"]
    assert (bars[0]["t"], bars[-1]["t"]) == ("2007-11-13T09:00:00Z", "2007-11-13T17:01:00Z")
    regular = [bar for bar in bars if bar["t"] >= "2007-11-13T14:30"]
    assert len(regular) == 152
    assert 30 < len(bars) - len(regular) < 200, "pre-market is thin: minutes without trades have no bar"
    ask = {"symbols": "AAPL", "timeframe": "5Min", "start": "2007-11-13T14:30:00Z"}
    five = noon.get("/v2/stocks/bars", **ask)["bars"]["AAPL"]
    assert (five[-1]["t"], len(five)) == ("2007-11-13T16:55:00Z", 30)
    assert five[0]["v"] == sum(bar["v"] for bar in regular[:5])
    assert noon.get("/v2/stocks/bars", symbols="AAPL", timeframe="1Day")["bars"] == {}  # the day is not over
    assert isinstance(five[0]["v"], int)
    assert isinstance(five[0]["o"], float)


@pytest.mark.parametrize("timeframe", ["1Min", "7Min", "30T", "1Hour", "4H", "1Day", "1D", "1Week", "3Month"])
@pytest.mark.parametrize("sort", ["asc", "desc"])
@pytest.mark.parametrize("limit", [pytest.param(1, marks=pytest.mark.nightly), 7, 10_000])
def test_pages_join_to_the_whole(noon, timeframe, sort, limit):
    if limit == 1 and timeframe in ("1Min", "7Min"):
        pytest.skip("hundreds of pages say no more than dozens")
    start = "2007-11-09T05:00:00Z" if timeframe[-1] in "nTr" else "2007-01-01"
    ask = {"symbols": "MSFT,ZZZZ,AAPL", "timeframe": timeframe, "sort": sort, "start": start}
    whole = noon.get("/v2/stocks/bars", **ask, limit=10_000)
    assert whole["next_page_token"] is None
    assert list(whole["bars"]) == ["AAPL", "MSFT"]
    rows, token = [], ""
    for _ in range(5000):
        page = noon.get("/v2/stocks/bars", **ask, limit=limit, page_token=token)
        assert sum(len(bars) for bars in page["bars"].values()) <= limit
        rows += [(symbol, bar) for symbol, bars in page["bars"].items() for bar in bars]
        token = page["next_page_token"]
        if token is None:
            break
    assert rows == [(symbol, bar) for symbol, bars in whole["bars"].items() for bar in bars]
    times = [bar["t"] for symbol, bar in rows if symbol == "AAPL"]
    assert times == sorted(times, reverse=sort == "desc")
    assert len(set(times)) == len(times)


def test_real_days(noon):
    bars = noon.get("/v2/stocks/AAPL/bars", timeframe="1Day", start="2007-11-12", end="2007-11-13")
    assert bars["symbol"] == "AAPL"
    (bar,) = bars["bars"]
    assert (bar["t"], bar["o"], bar["h"], bar["l"], bar["c"]) == (
        "2007-11-12T05:00:00Z",
        165.28,
        167.7,
        150.63,
        153.76,
    )


def test_the_latest(noon):
    trade = noon.get("/v2/stocks/trades/latest", symbols="AAPL,ZZZZ")["trades"]
    assert list(trade) == ["AAPL"]
    assert trade["AAPL"]["t"] == "2007-11-13T17:02:15Z"
    assert noon.get("/v2/stocks/AAPL/bars/latest")["bar"]["t"] == "2007-11-13T17:01:00Z"
    quote = noon.get("/v2/stocks/quotes/latest", symbols="AAPL")["quotes"]["AAPL"]
    assert quote["bp"] < trade["AAPL"]["p"] < quote["ap"]
    assert noon.call("GET", "/v2/stocks/FB/trades/latest")[0] == 404  # not yet listed


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"timeframe": "60Min"}, "invalid timeframe: 60Min"),
        ({"timeframe": ""}, "invalid timeframe: "),
        ({"timeframe": "1Min", "limit": 10_001}, "invalid limit: larger than the allowed maximum of 10000"),
        ({"timeframe": "1Min", "start": "soon"}, "invalid start: soon"),
        ({"timeframe": "1Min", "page_token": "?"}, "invalid page_token"),
    ],
)
def test_refused(noon, params, message):
    status, body = noon.call("GET", "/v2/stocks/bars", symbols="AAPL", **params)
    assert (status, body["message"]) == (400, message)


def test_nothing_comes_from_the_future(noon):
    future = (noon.exchange.now() + timedelta(days=3)).isoformat()
    bars = noon.get("/v2/stocks/bars", symbols="AAPL", timeframe="1Min", end=future)["bars"]["AAPL"]
    assert bars[-1]["t"] == "2007-11-13T17:01:00Z"


def test_calendar(world):
    (day,) = world.get("/v2/calendar", start="2007-11-23", end="2007-11-25")
    assert (day["date"], day["open"], day["close"], day["settlement_date"]) == (
        "2007-11-23",
        "09:30",
        "13:00",
        "2007-11-26",
    )
    assert world.get("/v2/calendar", start="2026-11-26", end="2026-11-27")[0]["close"] == "13:00"
    assert len(world.get("/v2/calendar")) == 3270
