"""Scripted faults, in process and over a socket."""

from __future__ import annotations

import pytest
import requests

from gambler_ai.errors import ConfigError
from gambler_ai.exchange.faults import FaultPlan
from gambler_ai.exchange.rest.server import ExchangeServer
from tests.unit.exchange.conftest import order_body
from tests.unit.exchange.test_lines import watcher


def post(world, **fields):
    return world.session.post(world.session.url + "/v2/orders", json=order_body(**fields))


@pytest.mark.parametrize("kind", ["lost_reply", "504_after"])
def test_the_order_is_taken_and_the_answer_lost(world, kind):
    world.faults.replace([{"kind": kind, "method": "POST", "path": "/v2/orders"}])
    if kind == "lost_reply":
        with pytest.raises(requests.ConnectionError):
            post(world, client_order_id="mine")
    else:
        assert post(world, client_order_id="mine").status_code == 504
    assert world.get("/v2/orders:by_client_order_id", client_order_id="mine")["status"] == "filled"
    assert post(world, client_order_id="mine").status_code == 422
    assert [row["status"] for row in world.exchange.log()] == [200, 422]


@pytest.mark.parametrize(
    ("kind", "status"), [("500", 500), ("503_html", 503), ("429", 429), ("garbage", 200), ("reset", None)]
)
def test_nothing_is_done(world, kind, status):
    world.faults.replace([{"kind": kind, "method": "POST", "client_order_id": "mine"}])
    assert post(world, client_order_id="other").status_code == 200
    if status is None:
        with pytest.raises(requests.ConnectionError):
            post(world, client_order_id="mine")
    else:
        reply = post(world, client_order_id="mine")
        assert reply.status_code == status
        if kind in ("503_html", "garbage"):
            with pytest.raises(requests.JSONDecodeError):
                reply.json()
    assert world.call("GET", "/v2/orders:by_client_order_id?client_order_id=mine")[0] == 404
    last = world.exchange.log()[-1]
    assert (last["client_order_id"], last["outcome"], last["order_id"]) == ("mine", f"fault {kind}", None)
    assert post(world, client_order_id="mine").status_code == 200  # once only


def test_look_ups_miss(world):
    world.faults.replace([{"kind": "not_found_for", "times": 2}])
    order = world.order(client_order_id="mine")
    assert world.call("GET", f"/v2/orders/{order['id']}")[0] == 404
    assert world.get("/v2/orders", status="all") == []
    assert world.look(order["id"])["id"] == order["id"]


def test_a_position_appears_late(world):
    world.faults.replace([{"kind": "position_late", "seconds": 30, "times": "always"}])
    world.filled()
    assert world.get("/v2/positions") == []
    assert world.call("GET", "/v2/positions/AAPL")[0] == 404
    world.pass_time(seconds=60)
    assert [row["qty"] for row in world.get("/v2/positions")] == ["10"]


def test_an_order_stays_accepted(world):
    world.faults.replace([{"kind": "accepted_only", "seconds": 600}])
    order = world.order()
    assert order["status"] == "accepted"
    world.pass_time(seconds=599)
    assert world.look(order["id"])["status"] == "accepted"
    world.pass_time(seconds=60)
    assert world.look(order["id"])["status"] in ("filled", "partially_filled")


@pytest.mark.parametrize(
    ("row", "error", "done"),
    [
        ({"kind": "reset"}, requests.ConnectionError, False),
        ({"kind": "lost_reply"}, requests.ConnectionError, True),
        ({"kind": "hang", "seconds": 10.0}, requests.ReadTimeout, True),
        ({"kind": "hang", "seconds": 9.9}, None, True),
        ({"kind": "hang_unhandled", "seconds": 60}, requests.ReadTimeout, False),
        ({"kind": "hang_unhandled", "seconds": 5}, requests.ConnectionError, False),
        ({"kind": "slow", "seconds": 79}, None, True),
        ({"kind": "slow", "seconds": 80}, requests.ReadTimeout, True),
        ({"kind": "truncated"}, requests.exceptions.ChunkedEncodingError, True),
        ({"kind": "truncated_chunk"}, requests.exceptions.ChunkedEncodingError, True),
    ],
    ids=str,
)
def test_in_process_a_client_sees_what_a_socket_shows_and_nothing_waits(world, row, error, done):
    """By a timeout of ten seconds; the test's own is far longer than it takes."""
    world.faults.replace([row | {"method": "POST", "path": "/v2/orders"}])
    body = order_body(client_order_id="mine")
    if error is None:
        assert world.session.post(world.session.url + "/v2/orders", json=body, timeout=(3, 10)).status_code == 200
    else:
        with pytest.raises(error) as caught:
            world.session.post(world.session.url + "/v2/orders", json=body, timeout=(3, 10))
        assert caught.type is error
        assert caught.value.request.method == "POST"
    assert (world.call("GET", "/v2/orders:by_client_order_id?client_order_id=mine")[0] == 200) is done


def test_a_reply_without_a_body_cannot_be_cut_and_is_lost(world):
    order = world.order(type="limit", limit_price="1")
    world.faults.replace([{"kind": "truncated", "method": "DELETE"}])
    with pytest.raises(requests.ConnectionError):
        world.session.delete(f"{world.session.url}/v2/orders/{order['id']}")
    assert world.look(order["id"])["status"] == "canceled"


@pytest.mark.parametrize(
    ("price", "text"),
    [
        ("nan", "NaN"), ("infinity", "Infinity"), ("huge", "1e+300"), ("null", "null"), ("text", '"n/a"'),
        ("zero", " 0,"), ("negative", ": -"), ("string", '"p": "1'), ("x10", '"p": 1'), ("x0.1", '"p": 1'),
    ],
)  # fmt: skip
def test_bad_prices_are_literally_in_the_answer(world, price, text):
    last = world.last()
    world.faults.replace([{"kind": "bad_price", "price": price, "symbol": "AAPL"}])
    reply = world.session.get(world.session.url + "/v2/stocks/trades/latest?symbols=AAPL")
    assert text in reply.text, reply.text
    assert str(last) not in reply.text or price in ("string", "negative")
    assert world.last() == last


def test_a_bad_price_on_a_stream(world):
    line = watcher(world, quotes=["AAPL"])
    world.faults.replace([{"kind": "bad_price", "price": "zero", "stream": "data", "times": 1}])
    assert world.last() > 0, "requests are left alone"
    world.pass_time(minutes=1)
    world.pass_time(minutes=1)
    first, second = (rows[0] for rows in line.heard())
    assert (first["bp"], first["ap"]) == (0, 0)
    assert second["bp"] > 0


def test_what_is_no_row_of_prices_is_left_alone(world):
    world.faults.replace([{"kind": "bad_price", "price": "nan", "path": "/v2/", "times": "always"}])
    assert world.get("/v2/account")["cash"] == "100000"
    assert world.get("/v2/positions") == []
    assert world.call("GET", "/v2/positions/AAPL")[0] == 404


@pytest.mark.parametrize("row", [{"kind": "explode"}, {"kind": "500", "tims": 2}, {"kind": "500", "times": "often"}])
def test_a_plan_that_makes_no_sense_is_refused_and_the_old_one_stays(row):
    plan = FaultPlan([{"kind": "500"}])
    with pytest.raises(ConfigError):
        plan.replace([row])
    assert plan.take("GET", "/v2/clock", "") is not None
    assert plan.take("GET", "/v2/clock", "") is None


def test_the_plan_is_set_over_the_control_route(world):
    url, token = world.session.url + "/_exchange/faults", {"X-Exchange-Token": "token"}
    assert world.session.post(url, json=[{"kind": "429", "times": "always"}], headers=token).json() == {"faults": 1}
    assert [world.call("GET", "/v2/clock")[0] for _ in range(3)] == [429, 429, 429]
    assert world.session.post(url, json=[{"kind": "?"}], headers=token).status_code == 400
    assert world.session.post(url, json=[], headers=token).json() == {"faults": 0}
    assert world.call("GET", "/v2/clock")[0] == 200


@pytest.mark.parametrize("kind", ["lost_reply", "reset"])
def test_over_a_socket_the_connection_really_drops(world, kind):
    server = ExchangeServer(world.exchange, faults=world.faults)
    server.start()
    try:
        world.faults.replace([{"kind": kind, "method": "POST"}])
        with requests.Session() as session:
            session.trust_env = False
            session.headers.update(world.session.headers)
            with pytest.raises(requests.ConnectionError):
                session.post(server.url + "/v2/orders", json=order_body(client_order_id="mine"), timeout=5)
            found = session.get(server.url + "/v2/orders:by_client_order_id?client_order_id=mine", timeout=5)
            assert found.status_code == (200 if kind == "lost_reply" else 404)
    finally:
        server.stop()
