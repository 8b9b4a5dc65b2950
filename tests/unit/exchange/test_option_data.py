"""Contracts and their market data over REST: Alpaca's shapes, filters and pages."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

CONTRACTS, DATA = "/v2/options/contracts", "/v1beta1/options"
NEAR = "AAPL071221C00160000"


def symbols(page: Any) -> list[str]:
    return [row["symbol"] for row in page["option_contracts"]]


def test_by_default_the_contracts_that_expire_this_week(world):
    page = world.get(CONTRACTS)
    rows = page["option_contracts"]
    assert len(rows) == 100
    assert {row["expiration_date"] for row in rows} == {"2007-11-16"}
    assert {row["status"] for row in rows} == {"active"}
    assert page["next_page_token"]


def test_the_coming_week_is_asked_for_at_the_weekend(make_world):
    world = make_world(datetime(2007, 11, 17, 15, tzinfo=UTC))
    assert {row["expiration_date"] for row in world.get(CONTRACTS)["option_contracts"]} == {"2007-11-23"}


def test_pages_follow_each_other_without_gap_or_repetition(world):
    query = {"underlying_symbols": "AAPL,MSFT", "expiration_date_lte": "2007-11-30"}
    whole = symbols(world.get(CONTRACTS, limit=10_000, **query))
    found, token = [], None
    while True:
        page = world.get(CONTRACTS, limit=37, **query, **({"page_token": token} if token else {}))
        found += symbols(page)
        token = page["next_page_token"]
        if token is None:
            break
    assert found == whole
    assert all(one < other for one, other in pairwise(found))


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ({"type": "put"}, lambda row: row["type"] == "put"),
        ({"strike_price_gte": 150, "strike_price_lte": "160"}, lambda row: 150 <= float(row["strike_price"]) <= 160),
        ({"expiration_date": "2007-12-21"}, lambda row: row["expiration_date"] == "2007-12-21"),
        ({"expiration_date_gte": "2007-11-20", "expiration_date_lte": "2007-12-01"},
         lambda row: "2007-11-20" <= row["expiration_date"] <= "2007-12-01"),
        ({"root_symbol": "AAPL"}, lambda row: row["root_symbol"] == "AAPL"),
        ({"style": "american", "ppind": "true"}, lambda row: row["style"] == "american"),
        ({"show_deliverables": "true"}, lambda row: row["deliverables"][0]["amount"] == "100"),
        ({"status": "inactive", "expiration_date_gte": "2007-11-01"},
         lambda row: row["status"] == "inactive" and not row["tradable"] and row["expiration_date"] < "2007-11-13"),
    ],
)  # fmt: skip
def test_filters_of_contracts(world, query, holds):
    rows = world.get(CONTRACTS, underlying_symbols="AAPL", **query)["option_contracts"]
    assert rows
    assert all(holds(row) for row in rows)


@pytest.mark.parametrize("query", [{"style": "european"}, {"ppind": "false"}, {"underlying_symbols": "ZZZZ"},
                                   {"underlying_symbols": "FB"}, {"root_symbol": "AAPL1"}])  # fmt: skip
def test_filters_that_leave_nothing(world, query):
    assert world.get(CONTRACTS, **query) == {"option_contracts": [], "next_page_token": None}


def test_one_contract_by_symbol_and_by_id(world):
    by_symbol = world.get(f"{CONTRACTS}/{NEAR}")
    assert by_symbol == world.get(f"{CONTRACTS}/{by_symbol['id']}")
    assert by_symbol["name"] == "AAPL Dec 21 2007 160 Call"
    assert by_symbol["close_price_date"] == by_symbol["open_interest_date"] == "2007-11-12"
    assert (by_symbol["strike_price"], by_symbol["size"], by_symbol["multiplier"]) == ("160", "100", "100")


@pytest.mark.parametrize("name", ["AAPL071221C09990000", "AAPL", "not-a-contract", "AAPL071220C00160000",
                                  "904837e3-3b76-47ec-b432-046db621571b"])  # fmt: skip
def test_an_unknown_contract_is_404(world, name):
    status, body = world.call("GET", f"{CONTRACTS}/{name}")
    assert (status, body) == (404, {"code": 40410000, "message": f"option contract {name} not found"})


@pytest.mark.parametrize(
    ("path", "query", "status", "message"),
    [
        (CONTRACTS, {"limit": 10_001}, 422, "invalid limit: larger than the allowed maximum of 10000"),
        (CONTRACTS, {"limit": 0}, 422, "invalid limit: must be positive"),
        (CONTRACTS, {"type": "warrant"}, 422, "invalid type: warrant"),
        (CONTRACTS, {"status": "old"}, 422, "invalid status: old"),
        (CONTRACTS, {"expiration_date": "soon"}, 422, "invalid expiration_date: soon"),
        (CONTRACTS, {"strike_price_gte": "high"}, 422, "invalid strike_price_gte: high"),
        (CONTRACTS, {"page_token": "%%"}, 400, "invalid page_token"),
        (f"{DATA}/snapshots/AAPL", {"limit": 1_001}, 400, "invalid limit: larger than the allowed maximum of 1000"),
        (f"{DATA}/snapshots/AAPL", {"feed": "sip"}, 400, "invalid feed: sip"),
        (f"{DATA}/snapshots/AAPL", {"updated_since": "then"}, 400, "invalid updated_since: then"),
        (f"{DATA}/snapshots", {}, 400, "symbols is required"),
        (f"{DATA}/snapshots", {"symbols": "AAPL"}, 400, "invalid symbol: AAPL"),
        (f"{DATA}/quotes/latest", {"symbols": ",".join(f"AAPL071221C{n:08d}" for n in range(1, 102))}, 400,
         "too many symbols: at most 100"),
        (f"{DATA}/bars", {"symbols": NEAR, "timeframe": "60Min"}, 400, "invalid timeframe: 60Min"),
        (f"{DATA}/trades", {"symbols": NEAR, "sort": "up"}, 400, "invalid sort: up"),
        (f"{DATA}/trades", {"symbols": NEAR, "page_token": "eA=="}, 400, "invalid page_token"),
        (f"{DATA}/meta/conditions/bar", {}, 400, "invalid ticktype: bar"),
    ],
)  # fmt: skip
def test_what_a_query_may_not_say(world, path, query, status, message):
    found, body = world.call("GET", path, **query)
    assert (found, body["message"]) == (status, message)


def test_a_chain_is_wrapped_and_has_greeks(world):
    query = {"expiration_date": "2007-12-21", "type": "call", "strike_price_gte": 150, "strike_price_lte": 160}
    page = world.get(f"{DATA}/snapshots/AAPL", feed="indicative", **query)
    assert list(page["snapshots"]) == [f"AAPL071221C00{strike:05d}0" for strike in (15000, 15250, 15500, 15750, 16000)]
    assert page["next_page_token"] is None
    snapshot = page["snapshots"][NEAR]
    assert set(snapshot) == {"latestQuote", "latestTrade", "impliedVolatility", "greeks"}
    assert set(snapshot["greeks"]) == {"delta", "gamma", "theta", "vega", "rho"}
    assert 0 < snapshot["greeks"]["delta"] < 1
    assert isinstance(snapshot["latestQuote"]["c"], str)
    assert snapshot["latestQuote"]["bp"] < snapshot["latestQuote"]["ap"]


def test_a_chain_has_pages(world):
    first = world.get(f"{DATA}/snapshots/AAPL", limit=30, expiration_date="2007-12-21")
    second = world.get(
        f"{DATA}/snapshots/AAPL", limit=30, expiration_date="2007-12-21", page_token=first["next_page_token"]
    )
    assert len(first["snapshots"]) == len(second["snapshots"]) == 30
    assert max(first["snapshots"]) < min(second["snapshots"])


def test_only_what_was_updated_since(world):
    now = "2007-11-13T15:00:00Z"
    assert world.get(f"{DATA}/snapshots", symbols=NEAR, updated_since=now)["snapshots"].keys() == {NEAR}
    assert world.get(f"{DATA}/snapshots", symbols=NEAR, updated_since="2007-11-13T15:00:01Z")["snapshots"] == {}


def test_unknown_contracts_are_absent_not_an_error(world):
    unknown = "AAPL071221C09990000"
    for path, key in (("snapshots", "snapshots"), ("quotes/latest", "quotes"), ("trades/latest", "trades")):
        assert world.get(f"{DATA}/{path}", symbols=f"{NEAR},{unknown}")[key].keys() == {NEAR}
    assert world.get(f"{DATA}/bars", symbols=unknown, timeframe="1Day")["bars"] == {}
    assert world.get(f"{DATA}/snapshots/ZZZZ") == {"snapshots": {}, "next_page_token": None}


@pytest.mark.parametrize(("path", "key", "more"), [("bars", "bars", {"timeframe": "1Min"}), ("trades", "trades", {})])
@pytest.mark.parametrize("sort", ["asc", "desc"])
def test_the_limit_counts_all_symbols_and_pages_go_on(world, path, key, more, sort):
    query = {"symbols": f"{NEAR},AAPL071221P00150000", "start": "2007-11-09", "sort": sort} | more
    whole = world.get(f"{DATA}/{path}", limit=10_000, **query)
    found: dict[str, list[Any]] = {}
    token, pages = None, 0
    while pages == 0 or token:
        page = world.get(f"{DATA}/{path}", limit=100, **query, **({"page_token": token} if token else {}))
        assert sum(map(len, page[key].values())) <= 100
        for symbol, rows in page[key].items():
            found.setdefault(symbol, []).extend(rows)
        token, pages = page["next_page_token"], pages + 1
    assert pages > 2
    assert found == whole[key]
    assert list(whole[key]) == sorted(whole[key])
    times = [row["t"] for row in whole[key][NEAR]]
    assert times == sorted(times, reverse=sort == "desc")


def test_tables_of_codes(world):
    assert world.get(f"{DATA}/meta/exchanges")["A"] == "NYSE American Options"
    assert set(world.get(f"{DATA}/meta/conditions/trade")) >= {"I"}
    assert set(world.get(f"{DATA}/meta/conditions/quote")) >= {"A"}
