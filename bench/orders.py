"""One order from the decision to its durable answer, and what the exchange takes to answer it."""

from __future__ import annotations

import http.client
import itertools
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderClass, OrderSide, TimeInForce
from alpaca.trading.requests import MarketOrderRequest, StopLossRequest, TakeProfitRequest
from msgspec.structs import replace

from bench import books, floors
from bench.books import Books
from bench.rows import Row, medians
from bench.serving import exchange, served
from bench.timing import Step, environment, interleave, probe
from gambler_ai.broker.alpaca import AlpacaBroker
from gambler_ai.broker.market_data import AlpacaMarketData
from gambler_ai.core import events as ev
from gambler_ai.core.model import Side, round_price
from gambler_ai.core.orders import OrderReport, bracket_body
from gambler_ai.exchange.exchange import Exchange

STEP_GOAL, ANSWER_GOAL = 1.3, 2.0
SYMBOL, QTY = "AAPL", Decimal(1)


def step(folder: Path, rounds: int) -> Iterator[Row]:
    """Durable intent, submit over loopback, durable answer; against a bare submit and two tiny commits."""
    path = folder / "orders.sqlite3"
    with (
        exchange(folder, "--paused", "--file", str(folder / "orders-exchange.sqlite3")) as settings,
        books.session(books.sqlite_url(path), 3) as mine,
        floors.tiny_commit(path.with_suffix(".floor")) as tiny,
    ):
        desk = _Desk(settings, mine)
        ours, floor = interleave(desk.ours, lambda: desk.bare(tiny), rounds, desk.clear)
    yield medians("order step, over alpaca-py's submit and two tiny commits", ours, floor, "ms", STEP_GOAL)


def answer(folder: Path, rounds: int) -> Iterator[Row]:
    """The exchange's answer to an order; against a handler that only commits and answers. One connection each."""
    env = environment(GAMBLER_HOME=str(folder))
    with (
        exchange(folder, "--paused", "--file", str(folder / "answer-exchange.sqlite3")) as settings,
        served(probe("starlette_order", str(folder / "answer.floor")), env) as url,
    ):
        desk = _Wire(settings, url)
        ours, floor = interleave(desk.ours, desk.bare, rounds, desk.clear)
    yield medians("exchange answers an order, over Starlette and one durable commit", ours, floor, "ms", ANSWER_GOAL)


def taken(folder: Path, rounds: int) -> Iterator[Row]:
    """The same order without a network: checked, laid to rest and committed; against one tiny commit."""
    there = Exchange.open(folder / "taken.sqlite3", cash=Decimal(10) ** 12)
    mark = there.mark(SYMBOL)
    prices = round_price(mark * Decimal("1.04")), round_price(mark * Decimal("0.98"))
    count = itertools.count()

    def ours() -> Step:
        body = bracket_body(f"bench-{next(count)}", SYMBOL, Side.BUY, QTY, *prices)

        def take() -> None:
            with there.step():
                there.submit(json.loads(body))

        return take

    def clear() -> None:
        with there.step():
            there.desk.cancel_all(there.now_us)

    with floors.tiny_commit(folder / "taken.floor") as tiny:
        found, floor = interleave(ours, lambda: tiny, rounds, clear)
    there.close()
    row = medians("exchange takes an order in process, over one tiny commit", found, floor, "ms")
    assert row.ours is not None
    yield replace(row, note=f"{1_000 / row.ours:,.0f} orders a second; {row.note}")


def last_price(settings: dict[str, str]) -> Decimal:
    """The price that brackets are laid around."""
    key, secret, url = (settings[f"ALPACA_{name}"] for name in ("API_KEY", "API_SECRET", "DATA_URL"))
    return AlpacaMarketData(key, secret, url, "iex").trades([SYMBOL])[SYMBOL].price


class _Desk:
    """Orders through our own broker and ledger, and the same through alpaca-py alone."""

    def __init__(self, settings: dict[str, str], mine: Books) -> None:
        key, secret, url = (settings[f"ALPACA_{name}"] for name in ("API_KEY", "API_SECRET", "TRADING_URL"))
        self._mine = mine
        self._broker = AlpacaBroker(key, secret, url)
        self._client = TradingClient(key, secret, paper=True, url_override=url)
        price = last_price(settings)
        self._target, self._stop = round_price(price * Decimal("1.04")), round_price(price * Decimal("0.98"))
        self._count = 0
        self._last: OrderReport | None = None

    def ours(self) -> Step:
        """The next decision, to be stored, sent and its answer stored."""
        self._count += 1
        intent = books.entry(self._mine.state, SYMBOL, self._count)
        body = bracket_body(intent.client_order_id, SYMBOL, Side.BUY, QTY, self._target, self._stop)
        intent = replace(intent, qty=QTY, stop_price=self._stop, target_price=self._target, body=body)

        def place() -> None:
            self._mine.commit([ev.IntentPlanned(intent.decided_at, intent)])
            self._last = self._broker.submit(intent.body)
            self._mine.commit([ev.OrderUpdated(intent.decided_at, self._last)])

        return place

    def bare(self, tiny: Step) -> Step:
        """The same order as a script would send it."""
        order = MarketOrderRequest(
            symbol=SYMBOL, qty=float(QTY), side=OrderSide.BUY, time_in_force=TimeInForce.GTC,
            order_class=OrderClass.BRACKET, take_profit=TakeProfitRequest(limit_price=float(self._target)),
            stop_loss=StopLossRequest(stop_price=float(self._stop)),
        )  # fmt: skip

        def place() -> None:
            tiny()
            self._client.submit_order(order)
            tiny()

        return place

    def clear(self) -> None:
        """Nothing rests when the next round begins, at the exchange and in our books."""
        self._client.cancel_orders()
        assert self._last is not None
        now = self._broker.order(self._last.order_id)
        assert now is not None
        self._mine.commit([ev.OrderUpdated(now.updated_at, now)])


class _Wire:
    """Bare HTTP to both servers, each over a connection that is kept."""

    def __init__(self, settings: dict[str, str], floor_url: str) -> None:
        self._headers = {
            "APCA-API-KEY-ID": settings["ALPACA_API_KEY"], "APCA-API-SECRET-KEY": settings["ALPACA_API_SECRET"],
            "Content-Type": "application/json",
        }  # fmt: skip
        self._exchange = http.client.HTTPConnection(urlsplit(settings["ALPACA_TRADING_URL"]).netloc)
        self._floor = http.client.HTTPConnection(urlsplit(floor_url).netloc)
        price = last_price(settings)
        self._target, self._stop = round_price(price * Decimal("1.04")), round_price(price * Decimal("0.98"))
        self._count = 0

    def ours(self) -> Step:
        body = self._body()
        return lambda: self._call(self._exchange, "POST", body)

    def bare(self) -> Step:
        body = self._body()
        return lambda: self._call(self._floor, "POST", body)

    def clear(self) -> None:
        """Nothing rests when the next round begins."""
        self._call(self._exchange, "DELETE", "")

    def _body(self) -> str:
        self._count += 1
        return bracket_body(f"bench-{self._count}", SYMBOL, Side.BUY, QTY, self._target, self._stop)

    def _call(self, connection: http.client.HTTPConnection, method: str, body: str) -> Any:
        connection.request(method, "/v2/orders", body, self._headers)
        reply = connection.getresponse()
        text = reply.read()
        assert reply.status < 300, f"{reply.status} {text[:200]!r}"
        return json.loads(text)
