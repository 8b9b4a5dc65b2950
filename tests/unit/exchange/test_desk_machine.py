"""Whatever is asked in whatever order, at whatever prices: money and shares are conserved, and a file that is opened
after any step, as after kill -9, knows all of it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from gambler_ai.exchange.desk.book import Book
from gambler_ai.exchange.desk.orders import ENTRY, SELL, STOP_LOSS, TERMINAL, Order
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.refusal import Refusal
from gambler_ai.exchange.wire.entities import order_entity
from gambler_ai.exchange.wire.views import account_entity, position_entity
from tests.allowance import Allowance

START = datetime(2008, 10, 7, 13, 25, tzinfo=UTC)  # five minutes before the open of a wild day
CASH = Decimal(100_000)
SYMBOLS = ("AAPL", "MSFT")
CENT, ZERO = Decimal("0.01"), Decimal(0)
#: At night.
EXAMPLES, BATCHES = 20_000, 400

offsets = st.integers(-20, 20).map(lambda n: Decimal(n) / 2000)  # of the last trade
indices = st.integers(0, 40)
specs = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(SYMBOLS),
        "side": st.sampled_from(["buy", "sell"]),
        "qty": st.sampled_from([333, 50, 2, 1]),
        "kind": st.sampled_from(
            ["market", "trail_percent", "limit", "notional", "stop", "stop_limit", "trail_price", "oto", "oco",
             "bracket", "fraction"]
        ),
        "offset": offsets,
        "time_in_force": st.sampled_from(["day", "day", "gtc", "ioc", "fok", "opg", "cls"]),
        "extended_hours": st.sampled_from([False, False, True]),
    }
)  # fmt: skip


def body_of(spec: dict[str, Any], last: Decimal) -> dict[str, Any]:
    """A POST around the last trade; a mostly sensible one, which the account may still refuse."""
    kind, base = spec["kind"], (last * (1 + spec["offset"])).quantize(CENT)
    body = {name: spec[name] for name in ("symbol", "side", "qty", "time_in_force")} | {"type": "market"}
    if kind == "market":
        return body
    if kind == "limit":
        lasting = spec["time_in_force"] in ("day", "gtc")
        return body | {"type": kind, "limit_price": str(base), "extended_hours": spec["extended_hours"] and lasting}
    if kind in ("fraction", "notional"):
        amount = {"qty": "1.5"} if kind == "fraction" else {"qty": None, "notional": "250.5"}
        return body | amount | {"time_in_force": "day"}
    body["time_in_force"] = "gtc" if spec["time_in_force"] == "gtc" else "day"
    if kind in ("stop", "stop_limit"):
        return body | {f"{part}_price": str(base) for part in kind.split("_")} | {"type": kind}
    if kind.startswith("trail"):
        return body | {"type": "trailing_stop", kind: str(abs(spec["offset"]) * 40 + Decimal("0.1"))}
    up = Decimal(1 if (spec["side"] == "buy") != (kind == "oco") else -1) * Decimal("0.004")
    entry = base if spec["extended_hours"] or kind == "oco" else last
    body |= {"order_class": kind, "stop_loss": {"stop_price": str((entry * (1 - up)).quantize(CENT))}}
    if kind != "oto":
        body["take_profit"] = {"limit_price": str((entry * (1 + up)).quantize(CENT))}
    if kind != "oco" and spec["extended_hours"]:
        return body | {"type": "limit", "limit_price": str(entry)}
    return body | ({"type": "limit"} if kind == "oco" else {})


def changes_of(order: Order, move: int, more: int) -> dict[str, Any]:
    """What a PATCH asks for: prices some cents away, another trail, and more shares."""
    old = {"limit_price": order.limit_price, "stop_price": order.stop_price if order.hwm is None else None}
    changes = {name: str(price + Decimal(move) / 100) for name, price in old.items() if price is not None}
    if order.hwm is not None:
        changes["trail"] = str(abs(move) + 1)
    return changes | ({"qty": str(order.qty + more)} if more and order.qty is not None else {})


def picture(exchange: Exchange) -> dict[str, Any]:
    """Every entity there is."""
    book = exchange.book
    return {
        "account": account_entity(exchange),
        "settings": book.account.settings,
        "orders": [order_entity(order, book.legs(order)) for order in book.orders.values()],
        "bodies": list(book.orders.values()),
        "open": {symbol: list(orders) for symbol, orders in book.open.items()},
        "fills": book.fills,
        "positions": [position_entity(exchange, book.positions[symbol]) for symbol in sorted(book.positions)],
        "log": exchange.log(),
        "keys": (exchange.key_id, exchange.secret_key, exchange.account_number),
    }


class DeskMachine(RuleBasedStateMachine):
    """An account, and those who trade it."""

    #: Rules played, in all stories of this class.
    steps = 0
    prices_of = 5  # the seed of the market

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.exchange = Exchange.open(self.folder / "x.db", start=START, seed=self.prices_of, cash=CASH)

    @initialize(later=st.sampled_from([10, 30, 60, 0, 400]))
    def begin(self, later: int) -> None:
        """Before the open, in session, or in the evening."""
        self.exchange.advance(START + timedelta(minutes=later))

    def teardown(self) -> None:
        self.exchange.close()
        shutil.rmtree(self.folder)

    def try_to(self, what: Callable[[], Any]) -> Refusal | None:
        """In a step, as a request is: committed, or refused without a trace."""
        type(self).steps += 1
        book = self.exchange.book
        before = len(book.orders), len(book.fills), set(book.by_client_id)
        try:
            with self.exchange.step():
                what()
        except Refusal as refusal:
            assert (len(book.orders), len(book.fills), set(book.by_client_id)) == before
            return refusal
        return None

    def order_at(self, index: int) -> Order | None:
        known = list(self.exchange.book.orders.values())
        return known[-1 - index % len(known)] if known else None

    @rule(spec=specs)
    def submit(self, spec: dict[str, Any]) -> None:
        body = body_of(spec, self.exchange.mark(spec["symbol"]))
        self.try_to(lambda: self.exchange.submit(body))

    @rule(spec=specs)
    def enter(self, spec: dict[str, Any]) -> None:
        """A bracket at the market, which is mostly taken: legs are what goes wrong."""
        wanted = spec | {"kind": "bracket", "time_in_force": "gtc", "extended_hours": False}
        body = body_of(wanted, self.exchange.mark(spec["symbol"]))
        self.try_to(lambda: self.exchange.submit(body))

    @rule(spec=specs, wait_s=st.sampled_from([16, 46, 600]))
    def trade(self, spec: dict[str, Any], wait_s: int) -> None:
        """At the market, in the direction in which there is a position, and on with it."""
        held = self.exchange.book.position_qty(spec["symbol"])
        wanted = {"symbol": spec["symbol"], "side": "sell" if held < 0 else "buy", "qty": spec["qty"]}
        self.try_to(lambda: self.exchange.submit(wanted | {"type": "market", "time_in_force": "day"}))
        self.wait(wait_s)

    @rule(index=indices)
    def cancel(self, index: int) -> None:
        order = self.order_at(index)
        if order is not None:
            self.try_to(lambda: self.exchange.desk.cancel(order, self.exchange.now_us))

    @rule()
    def cancel_all(self) -> None:
        self.try_to(lambda: self.exchange.desk.cancel_all(self.exchange.now_us))

    @rule(index=indices, move=st.integers(-30, 30), more=st.sampled_from([0, 0, 7, -1]))
    def replace(self, index: int, move: int, more: int) -> None:
        order = self.order_at(index)
        if order is not None:
            exchange, changes = self.exchange, changes_of(order, move, more)
            self.try_to(lambda: exchange.desk.replace(order, changes, exchange.now_us, exchange.margins))

    @rule(symbol=st.sampled_from(SYMBOLS), part=st.sampled_from([None, None, 50]))
    def close(self, symbol: str, part: int | None) -> None:
        exchange = self.exchange
        self.try_to(lambda: exchange.submit(exchange.desk.close_payload(symbol, None, part)))

    @rule(symbol=st.sampled_from(SYMBOLS))
    def sell_what_is_available(self, symbol: str) -> None:
        """``qty_available`` is exact: so much can be closed, and a bit more cannot."""
        exchange = self.exchange
        position = exchange.book.positions.get(symbol)
        if position is None:
            return
        free = abs(Decimal(position_entity(exchange, position)["qty_available"]))

        def close(qty: Decimal) -> Callable[[], Any]:
            return lambda: exchange.submit(exchange.desk.close_payload(symbol, str(qty), None))

        refusal = self.try_to(close(free + Decimal("0.000000001")))
        assert refusal is not None
        assert refusal.context.get("available") == str(free)
        if free:
            refusal = self.try_to(close(free))
            assert refusal is None or "wash" in refusal.message

    @rule(wait_s=st.sampled_from([1, 15, 16, 61, 61, 600, 600, 3600, 9000, 60_000]))
    def wait(self, wait_s: int) -> None:
        type(self).steps += 1
        self.exchange.advance(self.exchange.now() + timedelta(seconds=wait_s))

    @rule(name=st.sampled_from(["no_shorting", "suspend_trade", "fractional_trading"]), value=st.booleans())
    def configure(self, name: str, value: bool) -> None:
        """Mostly back to what it was, or nothing would happen any more."""
        self.try_to(lambda: self.exchange.desk.configure({name: value}))
        self.try_to(lambda: self.exchange.desk.configure({"suspend_trade": False}))

    @rule()
    def restart(self) -> None:
        """A clean one: closed and opened."""
        before = picture(self.exchange)
        self.exchange.close()
        self.exchange = Exchange.open(self.folder / "x.db")
        assert picture(self.exchange) == before

    @invariant()
    def a_file_that_is_opened_after_a_kill_knows_all(self) -> None:
        for name in ("x.db", "x.db-wal"):
            shutil.copy(self.folder / name, self.folder / f"killed-{name}")
        (self.folder / "killed-x.db-wal").replace(self.folder / "killed.db-wal")
        (self.folder / "killed-x.db").replace(self.folder / "killed.db")
        found = Exchange.open(self.folder / "killed.db")
        found.advance(self.exchange.now())
        try:
            assert picture(found) == picture(self.exchange)
        finally:
            found.close()

    @invariant()
    def fills_are_all_there_is(self) -> None:
        """Cash and positions are what the fills make; no order fills more than it is, nothing goes through zero."""
        book = self.exchange.book
        cash, shares = CASH, dict.fromkeys(SYMBOLS, ZERO)
        by_order: dict[str, Decimal] = {}
        for fill in book.fills:
            before = shares[fill.symbol]
            cash -= fill.signed_qty * fill.price
            shares[fill.symbol] = before + fill.signed_qty
            assert before * shares[fill.symbol] >= 0, "an order flipped a position"
            assert shares[fill.symbol] >= 0 or shares[fill.symbol] % 1 == 0, "part of a share was sold short"
            by_order[fill.order_id] = by_order.get(fill.order_id, ZERO) + fill.qty
        assert book.account.cash == cash
        assert {symbol: book.position_qty(symbol) for symbol in SYMBOLS} == shares
        for order in book.orders.values():
            assert order.filled_qty == by_order.get(order.id, 0)
            assert order.qty is None or order.filled_qty <= order.qty
            assert (order.status == "filled") == (order.qty is not None and order.filled_qty == order.qty)
            assert (order.id in book.open.get(order.symbol, {})) == (order.status not in TERMINAL)

    @invariant()
    def reservations_are_the_open_orders(self) -> None:
        """Shares: the free and the held ones are the position. Money: what entries block, and no more, is gone."""
        book = self.exchange.book
        for position in book.positions.values():
            free = abs(Decimal(position_entity(self.exchange, position)["qty_available"]))
            assert free == abs(position.qty) - sum(held_by_group(book, position.symbol), ZERO)
        with_orders = self.exchange.margins().buying_power
        blocked = sum((money_of(order) for order in book.open_orders() if order.role == ENTRY), ZERO)
        orders, book.open = book.open, {}
        without = self.exchange.margins().buying_power
        book.open = orders
        assert with_orders == max(without - blocked, ZERO)

    @invariant()
    def legs_fit_their_entries(self) -> None:
        for order in self.exchange.book.orders.values():
            if order.leg_ids and order.role == ENTRY:
                check_legs(self.exchange.book, order)

    @invariant()
    def nothing_outlives_its_end(self) -> None:
        assert all(order.expires_us > self.exchange.now_us for order in self.exchange.book.open_orders())

    @invariant()
    def trailing_stops_are_where_they_belong(self) -> None:
        for order in self.exchange.book.open_orders():
            if order.hwm is not None and order.stop_price is not None:
                part = order.hwm * (order.trail_percent or 0) / 100
                away = order.trail_price if order.trail_price is not None else part
                assert abs(abs(order.hwm - order.stop_price) - away) < Decimal("0.0001")


def held_by_group(book: Book, symbol: str) -> Iterator[Decimal]:
    """What each exit, or pair of exits, holds of the position."""
    closing = [
        order for order in book.open_in(symbol)
        if (order.side == SELL) == (book.position_qty(symbol) > 0) and not order.waiting and not order.reserve_price
    ]  # fmt: skip
    for group in {order.group for order in closing}:
        yield max(order.remaining for order in closing if order.group == group)


def money_of(order: Order) -> Decimal:
    if not order.reserve_price:
        return ZERO
    return order.notional if order.notional is not None else order.remaining * order.reserve_price


def check_legs(book: Book, entry: Order) -> None:
    """Held until the entry is complete, then for what it got; one exit ends the other."""
    legs = book.legs(entry)
    filled, older = entry.filled_qty, entry
    while older.replaces:
        older = book.orders[older.replaces]
        filled += older.filled_qty
    got = [(leg.filled_qty, leg.status) for leg in legs]
    out = sum((qty for qty, _ in got), ZERO)
    assert out <= filled
    if entry.status != "filled":
        assert out == 0
        assert all(leg.status in ("held", "canceled", "expired", "pending_cancel") for leg in legs)
        return
    assert sum(status == "filled" for _, status in got) <= 1
    working = [leg for leg in legs if leg.is_open]
    assert len({leg.remaining for leg in working}) <= 1, "the exits of a pair close the same shares"
    if any(status == "filled" for _, status in got):
        assert not working
    if len(working) == 1 and len(legs) == 2:
        assert working[0].role == STOP_LOSS, "a stop that elected ends its take-profit"


def play(examples: int, steps: int, **more: Any) -> None:
    run_state_machine_as_test(
        more.pop("machine", DeskMachine),
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=tuple(HealthCheck),
            database=None, **more,
        ),
    )  # fmt: skip


def seeded(number: int) -> type[DeskMachine]:
    """Other stories in another market, counted apart."""

    class Seeded(DeskMachine):
        steps = 0
        prices_of = number % 50

    seed(number)(Seeded)
    return Seeded


def test_money_and_shares_are_conserved_and_a_kill_takes_nothing() -> None:
    play(25, 25, derandomize=True)


@pytest.mark.nightly
@pytest.mark.timeout(0)
def test_money_and_shares_are_conserved_in_twenty_thousand_stories(
    allowance: Allowance, count: Callable[..., None]
) -> None:
    """A batch at a time, each of another seed and another market, for as long as there is."""
    first = allowance.seed * BATCHES
    count("stories of the desk, in all", EXAMPLES)
    for number in allowance.share(range(first, first + BATCHES)):
        machine = seeded(number)
        play(EXAMPLES // BATCHES, 50, machine=machine)
        count("stories of the desk", EXAMPLES // BATCHES)
        count("steps of the desk", machine.steps)
