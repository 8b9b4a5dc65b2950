"""What listens, listens on this machine only and asks who is there (protocol 4.5)."""

import asyncio
from typing import Any

import pytest
import requests

from gambler_ai.errors import ConfigError
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.faults import FaultPlan
from gambler_ai.exchange.rest.server import ExchangeServer, create_app
from tests.recovery.harness import World, base_env
from tests.test_tidy import ROOT


def test_the_exchange_is_this_machines_unless_somebody_says_otherwise():
    exchange = Exchange.open(None)
    server, wide = ExchangeServer(exchange), ExchangeServer(exchange, host="0.0.0.0")
    server.start()
    wide.start()
    try:
        assert server.is_loopback
        assert not wide.is_loopback
    finally:
        server.stop()
        wide.stop()
        exchange.close()


@pytest.mark.parametrize("host", ["", "192.0.2.1", "nobody.invalid", "127.0.0.1.evil.invalid"])
def test_an_address_that_is_not_ours_is_refused(host: str):
    exchange = Exchange.open(None)
    with pytest.raises(ConfigError, match="cannot bind"):
        ExchangeServer(exchange, host=host).start()
    exchange.close()


@pytest.mark.parametrize(
    ("client", "status"),
    [(("127.0.0.1", 1), 200), (("::1", 1), 200), (("192.168.0.9", 1), 401), (("2001:db8::1", 1), 401)],
)
@pytest.mark.parametrize("path", ["/_exchange/clock", "/_exchange/log", "/_exchange/status"])
def test_its_control_is_for_this_machine_whatever_it_listens_on(client: tuple[str, int], status: int, path: str):
    """With the right token, too: it goes over the network in the clear."""
    exchange = Exchange.open(None)
    app = create_app(exchange, "token", FaultPlan())
    scope = {
        "type": "http", "method": "GET", "path": path, "query_string": b"", "client": client, "app": app,
        "headers": [(b"x-exchange-token", b"token")],
    }  # fmt: skip
    said: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        said.append(message)

    asyncio.run(app(scope, receive, send))
    exchange.close()
    assert said[0]["status"] == status


def test_its_doors_ask_for_keys_or_for_the_token():
    exchange = Exchange.open(None)
    server = ExchangeServer(exchange)
    server.start()
    try:
        keys = {"APCA-API-KEY-ID": exchange.key_id, "APCA-API-SECRET-KEY": exchange.secret_key}
        for given in ({}, keys, {"X-Exchange-Token": exchange.secret_key}, {"X-Exchange-Token": ""}):
            for path in ("/_exchange/advance", "/_exchange/faults"):
                assert requests.post(server.url + path, json={}, headers=given, timeout=10).status_code == 401
        for given in ({}, {"X-Exchange-Token": server.token}, keys | {"APCA-API-SECRET-KEY": "x"}):
            assert requests.get(f"{server.url}/v2/account", headers=given, timeout=10).status_code == 401
        assert requests.get(f"{server.url}/v2/account", headers=keys, timeout=10).status_code == 200
    finally:
        server.stop()
        exchange.close()


def test_a_token_is_new_at_each_start():
    exchange = Exchange.open(None)
    tokens = {ExchangeServer(exchange).token for _ in range(20)}
    exchange.close()
    assert len(tokens) == 20
    assert all(len(token) >= 32 for token in tokens)


def test_nothing_else_listens():
    """A second place that binds a port needs a row in docs/SECURITY.md first."""
    found = [
        path.relative_to(ROOT).as_posix() for path in (ROOT / "gambler_ai").rglob("*.py")
        for word in (".bind(", "create_server(", "start_server(") if word in path.read_text("utf-8")
    ]  # fmt: skip
    assert set(found) <= {"gambler_ai/exchange/rest/server.py", "gambler_ai/proving/zygote.py"}


def test_who_lets_others_in_is_told(tmp_path):
    run = World(tmp_path, base_env(tmp_path)).start("exchange", "serve", "--host", "0.0.0.0")
    assert "others on the network reach it" in run.wait_for("Beware")
    run.kill()
