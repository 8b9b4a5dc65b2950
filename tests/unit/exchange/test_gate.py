"""What stands before the routes: keys in each form, the rate limit, request ids, and paths that lead nowhere."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest
import requests

from gambler_ai.clock import ManualClock
from gambler_ai.errors import ConfigError
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.faults import FaultPlan
from gambler_ai.exchange.rest.limiting import RateLimit
from gambler_ai.exchange.rest.server import ExchangeServer, create_app
from gambler_ai.exchange.rest.transport import ExchangeSession
from tests.unit.exchange.conftest import IN_SESSION, order_body

UNAUTHORIZED = {"code": 40110000, "message": "request is not authorized"}
LIMITED = {"code": 42910000, "message": "rate limit exceeded"}
KEYS = ("APCA-API-KEY-ID", "APCA-API-SECRET-KEY")


class Wall(ManualClock):
    """A machine whose time the test moves."""

    def monotonic(self) -> float:
        return self.now().timestamp() - 1_000_000_000


def ask(world, headers, path="/v2/account"):
    world.session.headers = headers
    return world.session.get(world.session.url + path)


def basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def test_each_form_of_the_right_keys(world):
    key, secret = world.exchange.key_id, world.exchange.secret_key
    for headers in (
        dict(zip(KEYS, (key, secret), strict=True)),
        basic(f"{key}:{secret}"),
        {"authorization": f"bearer {secret}"},
    ):
        assert ask(world, headers).status_code == 200, headers


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"APCA-API-KEY-ID": "KEY"}, {"APCA-API-SECRET-KEY": "SECRET"},
        {"APCA-API-KEY-ID": "KEY", "APCA-API-SECRET-KEY": "bad"},
        {"APCA-API-KEY-ID": "", "Authorization": "Bearer SECRET"},
        {"Authorization": "Basic"}, {"Authorization": "Basic !!!"}, {"Authorization": "Basic S0VZ"},
        {"Authorization": "Bearer KEY"}, {"Authorization": "SECRET"}, {"Authorization": "Digest SECRET"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/v2/account", "/v2/stocks/bars", "/v2/nowhere"])
def test_missing_and_bad_keys(world, headers, path):
    names = {"KEY": world.exchange.key_id, "SECRET": world.exchange.secret_key}
    for name, value in names.items():
        headers = {key: text.replace(name, value) for key, text in headers.items()}
    reply = ask(world, headers, path)
    assert (reply.status_code, reply.json()) == (401, UNAUTHORIZED)
    assert reply.headers["X-Request-ID"]


@pytest.mark.parametrize(
    ("kind", "status", "text"),
    [
        ("401_bare", 401, '{"message":"unauthorized."}'), ("403_bare", 403, '{"message":"forbidden."}'),
        ("401_html", 401, "<html>"),
    ],
)  # fmt: skip
def test_the_other_shapes_of_a_401_are_faults(world, kind, status, text):
    world.faults.replace([{"kind": kind}])
    reply = world.session.get(world.session.url + "/v2/account")
    assert (reply.status_code, reply.text[: len(text)]) == (status, text)
    assert "code" not in reply.text


def test_each_reply_has_an_id_of_its_own(world):
    paths = ("/v2/account", "/v2/orders/none", "/v2/nowhere", "/_exchange/clock", "/v2/clock")
    ids = [world.session.get(world.session.url + path).headers["X-Request-ID"] for path in paths]
    assert len(set(ids)) == len(paths)


@pytest.mark.parametrize(
    "path", ["/", "/v2", "/v2/nowhere", "/v2/account/", "/v2/orders/", "/v2/stocks/AAPL/none/latest"]
)
def test_an_unknown_path_is_no_endpoint(world, path):
    assert world.call("GET", path) == (404, {"code": 40410000, "message": "endpoint not found"})


@pytest.mark.parametrize(("method", "path"), [("PUT", "/v2/account"), ("POST", "/v2/clock"), ("PATCH", "/v2/orders")])
def test_a_method_that_a_path_does_not_have(world, method, path):
    assert world.call(method, path) == (405, {"code": 40510000, "message": "method not allowed"})


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "junk"])
def test_the_content_type_is_not_looked_at(world, kind):
    """The JavaScript client sends an empty one with a DELETE."""
    url, headers = world.session.url, {"content-type": kind}
    sent = world.session.post(
        url + "/v2/orders", data=json.dumps(order_body(type="limit", limit_price=1)), headers=headers
    )
    assert sent.status_code == 200
    assert world.session.delete(f"{url}/v2/orders/{sent.json()['id']}", headers=headers).status_code == 204


def limited(world, per_minute):
    clock = Wall(IN_SESSION)
    app = create_app(world.exchange, "token", FaultPlan(), rate_limit=RateLimit(per_minute, clock))
    session = ExchangeSession(app)
    session.headers.update(zip(KEYS, (world.exchange.key_id, world.exchange.secret_key), strict=True))
    return session, clock


def test_the_limit_counts_down_and_begins_anew(world):
    session, clock = limited(world, 3)
    replies = [session.get(session.url + "/v2/account") for _ in range(4)]
    counted = [(reply.status_code, reply.headers["X-RateLimit-Remaining"]) for reply in replies]
    assert counted == [(200, "2"), (200, "1"), (200, "0"), (429, "0")]
    assert {reply.headers["X-RateLimit-Limit"] for reply in replies} == {"3"}
    assert {float(reply.headers["X-RateLimit-Reset"]) for reply in replies} == {IN_SESSION.timestamp() + 60}
    assert replies[3].json() == LIMITED
    clock.move_to(IN_SESSION + timedelta(seconds=59))
    assert session.get(session.url + "/v2/account").status_code == 429
    clock.move_to(IN_SESSION + timedelta(seconds=60))
    assert session.get(session.url + "/v2/account").status_code == 200
    session.close()


def test_market_data_is_counted_apart_and_control_is_not(world):
    session, _ = limited(world, 1)
    bars = "/v2/stocks/AAPL/trades/latest"
    found = [session.get(session.url + path).status_code for path in ("/v2/clock", bars, "/v2/clock", bars)]
    assert found == [200, 200, 429, 429]
    replies = [session.get(session.url + "/_exchange/log", headers={"X-Exchange-Token": "token"}) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200, 200, 200]
    assert "X-RateLimit-Limit" not in replies[0].headers
    session.close()


def test_an_order_over_the_limit_is_not_taken_and_is_in_the_log(world):
    session, _ = limited(world, 1)
    session.get(session.url + "/v2/clock")
    assert session.post(session.url + "/v2/orders", json=order_body(client_order_id="x")).status_code == 429
    assert world.get("/v2/orders", status="all") == []
    (row,) = world.exchange.log()
    assert (row["client_order_id"], row["status"], row["outcome"]) == ("x", 429, "rate limit exceeded")
    session.close()


def test_without_keys_nothing_is_counted(world):
    session, _ = limited(world, 1)
    for _ in range(3):
        assert (
            requests.Session.get(session, session.url + "/v2/clock", headers=dict.fromkeys(KEYS, "bad")).status_code
            == 401
        )
    assert session.get(session.url + "/v2/clock").status_code == 200
    session.close()


def test_a_server_has_no_limit_unless_it_is_given_one():
    exchange = Exchange.open(None, start=IN_SESSION)
    for rate_limit, expected in ((None, None), (200, "199")):
        server = ExchangeServer(exchange, rate_limit=rate_limit, wall=Wall(IN_SESSION))
        server.start()
        headers = dict(zip(KEYS, (exchange.key_id, exchange.secret_key), strict=True))
        reply = requests.get(server.url + "/v2/clock", headers=headers, timeout=10)
        assert reply.headers.get("X-RateLimit-Remaining") == expected
        server.stop()
    with pytest.raises(ConfigError, match="1 request a minute or more"):
        ExchangeServer(exchange, rate_limit=0)
    exchange.close()
