"""Market data over loopback: a full page of bars, and a minute of a stream of 500 symbols."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from websockets.sync.client import ClientConnection, connect

from bench.rows import Row, medians
from bench.serving import exchange, served
from bench.timing import PATIENCE_S, Step, environment, interleave, probe

PAGE, SYMBOLS, MINUTES = 10_000, 500, 380
PATH = f"/v2/stocks/bars?symbols=AAPL&timeframe=1Min&start=2008-08-01&limit={PAGE}"
SUBSCRIBE = {"action": "subscribe", "bars": ["*"]}


class _Http:
    """One connection that is kept."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc)
        self._headers = headers or {}

    def call(self, method: str, path: str, body: str = "") -> bytes:
        self._connection.request(method, path, body or None, self._headers)
        reply = self._connection.getresponse()
        content = reply.read()
        assert reply.status == 200, f"{reply.status} {content[:200]!r}"
        return content


def page(folder: Path, rounds: int) -> Iterator[Row]:
    """10,000 minute bars in one reply, the same each time; against rows that are only encoded."""
    env = environment(GAMBLER_HOME=str(folder))
    with (
        exchange(folder, "--paused", "--file", str(folder / "bars-exchange.sqlite3")) as settings,
        served(probe("starlette_market"), env) as url,
    ):
        keys = settings["ALPACA_API_KEY"], settings["ALPACA_API_SECRET"]
        headers = dict(zip(("APCA-API-KEY-ID", "APCA-API-SECRET-KEY"), keys, strict=True))
        mine, floor = _Http(settings["ALPACA_DATA_URL"], headers), _Http(url)
        count = len(json.loads(mine.call("GET", PATH))["bars"]["AAPL"])
        assert count == PAGE, f"{count} bars"
        ours, theirs = interleave(
            lambda: lambda: mine.call("GET", PATH), lambda: lambda: floor.call("GET", "/bars"), rounds
        )
    yield medians("page of 10,000 bars, over encoding them", ours, theirs, "ms")


def minute(folder: Path, rounds: int) -> Iterator[Row]:
    """A minute of 500 symbols: from the request that moves the market to the last bar of its stream."""
    env = environment(GAMBLER_HOME=str(folder))
    with served(probe("serve_bars", str(folder / "bars")), env) as line, served(probe("starlette_market"), env) as url:
        told = json.loads(line)
        with _socket(told["url"], "/v2/sip") as mine, _socket(url, "/stream") as floor:
            _subscribe(mine, told)
            control = _Http(told["url"], {"X-Exchange-Token": told["token"]})
            plain = _Http(url)
            ours, theirs = interleave(
                lambda: _minute(mine, control, "/_exchange/advance", next(instants)),
                lambda: _minute(floor, plain, "/advance", "{}"),
                min(rounds, MINUTES - 20),
            )
    yield medians(f"minute of a stream of {SYMBOLS} symbols, over sending ready rows", ours, theirs, "ms")


def _instants() -> Iterator[str]:
    at = datetime(2024, 1, 3, 14, 31, tzinfo=UTC)
    while True:
        at += timedelta(minutes=1)
        yield json.dumps({"to": at.isoformat()})


instants = _instants()


def _socket(url: str, path: str) -> ClientConnection:
    return connect(url.replace("http", "ws") + path, compression=None)


def _subscribe(client: ClientConnection, told: dict[str, Any]) -> None:
    client.recv(PATIENCE_S)
    client.send(json.dumps({"action": "auth", "key": told["key"], "secret": told["secret"]}))
    client.recv(PATIENCE_S)
    client.send(json.dumps(SUBSCRIBE))
    client.recv(PATIENCE_S)


def _minute(client: ClientConnection, control: _Http, path: str, body: str) -> Step:
    def move() -> None:
        control.call("POST", path, body)
        left = SYMBOLS
        while left > 0:
            message = client.recv(PATIENCE_S)
            assert isinstance(message, str)
            left -= message.count('"T":"b"')

    return move
