"""A question that makes no sense is refused or answered; it never ends the exchange."""

from __future__ import annotations

import pytest

ODD = (
    "0001-01-01", "0001-01-01T00:00:00Z", "0737-12-04T00:08:12Z", "9999-12-31", "9999-12-31T23:59:59-12:00",
    "2007-11-13T10:00:00 05:00", "2007-02-30", "12:00", "20071113", "2007-W01-1", "-1", "0", "é", "\x00", "null",
)  # fmt: skip
QUESTIONS = {
    "/v2/account/activities": ("after", "until", "date", "page_token", "page_size", "activity_types"),
    "/v2/account/portfolio/history": ("start", "end", "date_end", "period", "timeframe"),
    "/v2/orders": ("after", "until", "symbols", "limit", "before_order_id"),
    "/v2/assets": ("status", "exchange", "attributes"),
    "/v2/calendar": ("start", "end", "date_type"),
    "/v3/clock": ("time", "markets"),
    "/v3/calendar/NYSE": ("start", "end", "timezone"),
    "/v2/corporate_actions/announcements": ("since", "until", "ca_types"),
    "/v2/stocks/AAPL/bars": ("start", "end", "limit", "page_token"),
    "/v2/watchlists:by_name": ("name",),
}
NEEDED = {
    "/v2/account/portfolio/history": {"timeframe": "1D"}, "/v2/stocks/AAPL/bars": {"timeframe": "1Day"},
    "/v2/corporate_actions/announcements": {"ca_types": "split", "since": "2007-11-01", "until": "2007-11-13"},
}  # fmt: skip


@pytest.mark.parametrize("path", QUESTIONS)
def test_no_question_ends_the_exchange(world, path):
    world.filled(symbol="AAPL", qty=1)
    for name in QUESTIONS[path]:
        for value in ODD:
            status, body = world.call("GET", path, **NEEDED.get(path, {}) | {name: value})
            assert status == 200 or (400 <= status < 500 and body["message"]), (name, value, body)
    assert world.get("/v2/account")["status"] == "ACTIVE"
