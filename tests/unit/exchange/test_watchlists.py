"""Watchlists: each route by id and by name, what is refused, and that they are durable."""

from __future__ import annotations

import pytest

from gambler_ai.exchange.exchange import Exchange
from tests.unit.exchange.conftest import World

URL = "/v2/watchlists"
BY_NAME = "/v2/watchlists:by_name"
TAKEN = "watchlist name must be unique"


def symbols(row):
    return [asset["symbol"] for asset in row["assets"]]


@pytest.fixture
def mine(world):
    status, row = world.call("POST", URL, {"name": "mine", "symbols": ["MSFT", None, "AAPL", "MSFT"]})
    assert status == 200, row
    return row


def test_a_list_keeps_its_order_each_asset_once(world, mine):
    assert symbols(mine) == ["MSFT", "AAPL"]
    assert mine["account_id"] == world.exchange.account_id
    assert world.get(f"{URL}/{mine['id']}") == world.get(BY_NAME, name="mine") == mine
    (listed,) = world.get(URL)
    assert listed == {name: value for name, value in mine.items() if name != "assets"}


@pytest.mark.parametrize("by_name", [False, True])
def test_an_asset_is_added_and_a_list_is_changed(world, mine, by_name):
    path, params = (BY_NAME, {"name": "mine"}) if by_name else (f"{URL}/{mine['id']}", {})
    world.pass_time(minutes=1)
    status, row = world.call("POST", path, {"symbol": "ibm"}, **params)
    assert (status, symbols(row)) == (200, ["MSFT", "AAPL", "IBM"])
    assert row["updated_at"] > row["created_at"] == mine["created_at"]
    status, row = world.call("PUT", path, {"name": "", "symbols": ["GOOG"]}, **params)
    assert (status, row["name"], symbols(row)) == (200, "mine", ["GOOG"])
    status, row = world.call("PUT", path, {"name": "other"}, **params)
    assert (status, row["name"], symbols(row)) == (200, "other", ["GOOG"])
    assert world.call("GET", BY_NAME, name="mine")[0] == 404


@pytest.mark.parametrize("by_name", [False, True])
def test_a_deleted_list_is_gone_and_its_id_does_not_come_again(world, mine, by_name):
    path, params = (BY_NAME, {"name": "mine"}) if by_name else (f"{URL}/{mine['id']}", {})
    assert world.call("DELETE", path, **params) == (204, None)
    assert world.call("DELETE", path, **params)[0] == 404
    assert world.get(URL) == []
    assert world.call("POST", URL, {"name": "mine"})[1]["id"] != mine["id"]


def test_an_asset_is_removed_by_symbol_or_id(world, mine):
    path = f"{URL}/{mine['id']}"
    assert symbols(world.call("DELETE", f"{path}/MSFT")[1]) == ["AAPL"]
    assert symbols(world.call("DELETE", f"{path}/{mine['assets'][1]['id']}")[1]) == []
    assert world.call("DELETE", f"{path}/MSFT") == (404, {"code": 40410000, "message": "asset not found for MSFT"})


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "message"),
    [
        ("POST", "", {"symbols": ["AAPL"]}, 422, 40010001, "name is required"),
        ("POST", "", {"name": 5}, 422, 40010001, "name is required"),
        ("POST", "", {"name": "mine"}, 422, 40010001, TAKEN),
        ("POST", "", {"name": "x" * 65}, 422, 40010001, "watchlist name must be no more than 64 characters"),
        ("POST", "", {"name": "new", "symbols": "AAPL"}, 422, 40010001, "invalid symbols"),
        ("POST", "", {"name": "new", "symbols": ["ZZZZ"]}, 404, 40410000, "asset not found for ZZZZ"),
        ("POST", "", [], 400, 40010000, "request body format is invalid"),
        ("POST", "/{id}", {"symbol": "AAPL"}, 422, 40010001, "asset AAPL is in the watchlist already"),
        ("POST", "/{id}", {"symbol": "ZZZZ"}, 404, 40410000, "asset not found for ZZZZ"),
        ("POST", "/{id}", {}, 422, 40010001, "symbol is required"),
        ("PUT", "/{id}", {"name": "second"}, 422, 40010001, TAKEN),
        ("PUT", "/{id}", {"symbols": ["ZZZZ"], "name": "third"}, 404, 40410000, "asset not found for ZZZZ"),
        ("GET", "/11111111-1111-4111-8111-111111111111", None, 404, 40410000, "watchlist not found"),
        ("GET", ":by_name", None, 422, 40010001, "name is required"),
        ("PUT", ":by_name?name=none", {"name": "x"}, 404, 40410000, "watchlist not found"),
    ],
)
def test_what_is_refused_leaves_no_trace(world, mine, method, path, body, status, code, message):
    world.call("POST", URL, {"name": "second"})
    before = world.get(URL)
    got, answer = world.call(method, URL + path.replace("{id}", mine["id"]), body)
    assert (got, answer) == (status, {"code": code, "message": message})
    assert world.get(URL) == before
    assert world.get(f"{URL}/{mine['id']}") == mine


def test_they_outlive_a_restart(make_world, tmp_path):
    world = make_world(file=True)
    ids = [world.call("POST", URL, {"name": name, "symbols": ["IBM"]})[1]["id"] for name in ("a", "b", "c")]
    world.call("DELETE", f"{URL}/{ids[1]}")
    world.call("PUT", f"{URL}/{ids[0]}", {"name": "first"})
    expected = [world.get(f"{URL}/{row['id']}") for row in world.get(URL)]
    world.exchange.close()
    again = World(Exchange.open(tmp_path / "exchange.db"))
    assert [again.get(f"{URL}/{row['id']}") for row in again.get(URL)] == expected
    assert [row["name"] for row in expected] == ["first", "c"]
    again.close()


def test_another_account_does_not_see_them(world, mine):
    world.exchange.deeds.do("account_reset", {"kind": "account_reset"})
    assert world.get(URL) == []
    assert world.call("GET", f"{URL}/{mine['id']}")[0] == 404
