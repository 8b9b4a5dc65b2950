"""The list of activities: types, categories, instants, days and pages."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

URL = "/v2/account/activities"


@pytest.fixture
def busy(make_world):
    """Bought on three days, split on the last."""
    world = make_world(datetime(2007, 11, 9, 15, 0, tzinfo=UTC))
    for _ in range(3):
        world.filled(symbol="AAPL", qty=3)
        world.filled(symbol="IBM", qty=2)
        world.pass_time(days=3)
    world.exchange.deeds.do("split", {"kind": "split", "symbol": "AAPL", "ratio": "2", "on": "2007-11-19"})
    return world


def ids(rows):
    return [row["id"] for row in rows]


def test_an_id_begins_with_the_instant_in_new_york(busy):
    for row in busy.get(URL):
        assert re.fullmatch(r"\d{17}::[0-9a-f-]{36}", row["id"])
    fill = busy.get(f"{URL}/FILL", direction="asc")[0]
    assert fill["id"][:14] == "20071109100000"  # 15:00 in UTC
    assert fill["type"] in ("fill", "partial_fill")
    assert "client_order_id" not in fill


def test_types_and_categories(busy):
    fills, splits = busy.get(f"{URL}/FILL"), busy.get(f"{URL}/SPLIT")
    assert len(splits) == 2
    assert ids(busy.get(URL)) == ids(splits + fills)
    assert busy.get(URL, activity_types="FILL") == busy.get(URL, category="trade_activity") == fills
    assert busy.get(URL, activity_types="SPLIT,DIV") == busy.get(URL, category="non_trade_activity") == splits
    assert busy.get(URL, activity_types="MISC") == splits
    assert busy.get(f"{URL}/TRANS") == []


@pytest.mark.parametrize(
    ("path", "params", "message"),
    [
        ("/PARTY", {}, "invalid activity type: PARTY"),
        ("", {"activity_types": "FILL,X"}, "invalid activity type: X"),
        ("", {"category": "x"}, "invalid category: x"),
        ("", {"category": "trade_activity", "activity_types": "FILL"},
         "only one of category and activity_types is accepted"),
        ("", {"page_size": 101}, "page_size must be between 1 and 100"),
        ("", {"page_token": "20071109100000000::x"}, "invalid page_token"),
        ("", {"direction": "up"}, "invalid direction"),
        ("", {"after": "yesterday"}, "invalid after"),
    ],
)  # fmt: skip
def test_what_is_refused(busy, path, params, message):
    assert busy.call("GET", URL + path, **params) == (422, {"code": 40010001, "message": message})


def test_after_and_until_are_exclusive(busy):
    rows = busy.get(f"{URL}/FILL", direction="asc")
    at = rows[2]["transaction_time"]
    later = [row for row in rows if row["transaction_time"] > at]
    assert ids(busy.get(f"{URL}/FILL", after=at, direction="asc")) == ids(later)
    earlier = [row for row in rows if row["transaction_time"] < at]
    assert ids(busy.get(f"{URL}/FILL", until=at, direction="asc")) == ids(earlier)


def test_a_day_is_new_yorks_and_whole(busy):
    on_friday = busy.get(f"{URL}/FILL", date="2007-11-09")
    assert {row["transaction_time"][:10] for row in on_friday} == {"2007-11-09"}
    assert len(on_friday) >= 2
    assert len(busy.get(f"{URL}/FILL", date="2007-11-09", page_size=1)) == 1
    assert busy.get(f"{URL}/FILL", date="2007-11-10") == []


@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_pages_hold_each_row_once(busy, direction):
    whole, found, token = ids(busy.get(URL, direction=direction)), [], None
    while True:
        page = busy.get(URL, direction=direction, page_size=3, **({"page_token": token} if token else {}))
        found += ids(page)
        if len(page) < 3:
            break
        token = page[-1]["id"]
    assert found == whole
