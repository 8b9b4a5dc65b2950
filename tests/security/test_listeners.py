"""What listens, listens on this machine only and asks who is there (protocol 4.5)."""

import pytest
import requests

from gambler_ai.errors import ConfigError
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.rest.server import ExchangeServer
from tests.recovery.harness import World, base_env
from tests.test_tidy import ROOT


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.0.1", "example.com", "127.0.0.1.evil.com"])
def test_the_exchange_binds_to_no_other_address(host: str):
    exchange = Exchange.open(None)
    with pytest.raises(ConfigError, match="loopback only"):
        ExchangeServer(exchange, host=host)
    exchange.close()


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


def test_there_is_no_option_to_bind_elsewhere(tmp_path):
    ended = World(tmp_path, base_env(tmp_path)).run("exchange", "serve", "--host", "0.0.0.0")
    assert ended.code == 2
