"""Scripted faults, in process and over a socket."""

from __future__ import annotations

import pytest
import requests

from gambler_ai.errors import ConfigError
from gambler_ai.exchange.faults import FaultPlan
from gambler_ai.exchange.server import ExchangeServer
from tests.unit.exchange.conftest import order_body


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


def test_a_hang_is_a_timeout_for_the_client(world):
    world.faults.replace([{"kind": "hang", "seconds": 0.3}])
    with pytest.raises(requests.ReadTimeout):
        world.session.get(world.session.url + "/v2/account", timeout=0.05)
    assert world.call("GET", "/v2/account")[0] == 200


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


def test_only_loopback():
    with pytest.raises(ConfigError):
        ExchangeServer(None, host="0.0.0.0")  # type: ignore[arg-type]
