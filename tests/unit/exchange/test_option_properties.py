"""Whatever is traded: a structure earns what its legs earn, money is conserved, and what is short is covered."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gambler_ai.exchange.desk import expiry
from gambler_ai.exchange.desk.collateral import Cover, cover_of
from gambler_ai.exchange.desk.orders import BUY, TERMINAL
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.options.contracts import CALL, PUT, Contract, multiplier
from gambler_ai.exchange.refusal import Refusal
from gambler_ai.exchange.wire.entities import order_entity
from gambler_ai.exchange.wire.views import account_entity, position_entity

START = datetime(2007, 11, 14, 15, tzinfo=UTC)  # two days before an expiry
EXPIRIES, STRIKES = ("071116", "071123"), (155, 160, 165, 170)
CASH = Decimal(100_000)
EXPIRY = date(2007, 11, 23)

symbols = st.builds(
    lambda day, kind, strike: f"AAPL{day}{kind}{strike * 1000:08d}",
    st.sampled_from(EXPIRIES), st.sampled_from("CP"), st.sampled_from(STRIKES),
)  # fmt: skip
legs = st.lists(st.tuples(symbols, st.sampled_from(["buy", "sell"]), st.integers(1, 2)), min_size=2, max_size=4)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("single"), st.tuples(symbols, st.sampled_from(["buy", "sell"]), st.integers(1, 3))),
        st.tuples(st.just("multi"), st.tuples(legs, st.integers(1, 2), st.sampled_from([None, "1.00", "-1.00"]))),
        st.tuples(st.just("stock"), st.tuples(st.sampled_from(["buy", "sell"]), st.sampled_from([50, 100, 200]))),
        st.tuples(st.just("wait"), st.sampled_from([15, 3600, 90_000])),
        st.tuples(st.just("exercise"), st.integers(0, 5)),
        st.tuples(st.just("cancel"), st.integers(0, 10)),
    ),
    min_size=2,
    max_size=8,
)


def body_of(exchange: Exchange, kind: str, what: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"type": "market", "time_in_force": "day"}
    if kind == "single":
        return body | {"symbol": what[0], "side": what[1], "qty": what[2]}
    if kind == "stock":
        return body | {"symbol": "AAPL", "side": what[0], "qty": what[1]}
    rows, qty, limit = what
    opening = {"buy": lambda held: held >= 0, "sell": lambda held: held <= 0}
    body |= {"order_class": "mleg", "qty": qty, "legs": [
        {"symbol": symbol, "ratio_qty": ratio,
         "position_intent": f"{side}_to_{'open' if opening[side](exchange.book.position_qty(symbol)) else 'close'}"}
        for symbol, side, ratio in rows
    ]}  # fmt: skip
    return body if limit is None else body | {"type": "limit", "limit_price": limit}


def do(exchange: Exchange, kind: str, what: Any) -> None:
    if kind == "wait":
        exchange.advance(exchange.now() + timedelta(seconds=what))
        return
    with exchange.step():
        if kind == "cancel":
            orders = sorted(exchange.book.open_orders(), key=lambda order: order.seq)
            if orders:
                exchange.desk.cancel(orders[what % len(orders)], exchange.now_us)
        elif kind == "exercise":
            held = sorted(exchange.book.positions)
            if held:
                symbol = held[what % len(held)]
                expiry.exercise(
                    exchange.book, exchange.annals, exchange.account_id, symbol, exchange.now_us, exchange.margins
                )
        else:
            exchange.submit(body_of(exchange, kind, what))


def check(exchange: Exchange) -> None:
    book = exchange.book
    flows = sum((-fill.signed_qty * fill.price * multiplier(fill.symbol) for fill in book.fills), Decimal(0)) + sum(
        (activity.net_amount for activity in exchange.annals.activities), Decimal(0)
    )
    assert book.account.cash == CASH + flows
    amounts: dict[str, Decimal] = {}
    for fill in book.fills:
        amounts[fill.symbol] = amounts.get(fill.symbol, Decimal(0)) + fill.signed_qty
    for activity in exchange.annals.activities:
        amounts[activity.symbol] = amounts.get(activity.symbol, Decimal(0)) + activity.qty
    assert {name: qty for name, qty in amounts.items() if qty} == {
        position.symbol: position.qty for position in book.positions.values()
    }
    for order in book.orders.values():
        members = book.legs(order)
        if order.order_class == "mleg" and not order.parent_id:
            assert all(leg.filled_qty == order.filled_qty * (leg.ratio_qty or 0) for leg in members)
            assert all((leg.status in TERMINAL) == (order.status in TERMINAL) for leg in members)
            signs = [(1 if leg.side == BUY else -1) * leg.filled_value for leg in members]
            assert sum(signs, Decimal(0)) == order.filled_value
        assert order.qty is None or 0 <= order.filled_qty <= order.qty
        order_entity(order, members)
    figures = account_entity(exchange)
    worth = sum((Decimal(position_entity(exchange, p)["market_value"]) for p in book.positions.values()), Decimal(0))
    assert Decimal(figures["equity"]) == (book.account.cash + worth).quantize(Decimal("0.000001"))
    assert Decimal(figures["options_buying_power"]) >= 0


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_legs_add_up_and_money_is_conserved(story):
    exchange = Exchange.open(None, start=START, seed=7, cash=CASH)
    try:
        for kind, what in (*story, ("wait", 700_000)):
            with suppress(Refusal):
                do(exchange, kind, what)
            check(exchange)
    finally:
        exchange.close()


contracts = st.builds(
    lambda kind, strike: Contract("AAPL", EXPIRY, kind, Decimal(strike)),
    st.sampled_from([CALL, PUT]), st.sampled_from(STRIKES),
)  # fmt: skip
holdings = st.dictionaries(contracts, st.integers(-3, 3).map(Decimal), max_size=6)


@given(holdings, st.integers(0, 400))
def test_nothing_loses_more_at_expiry_than_it_ties_up(quantities, spot):
    """With the shares that it asks for, bought at the lowest strike."""
    cover = cover_of(quantities)
    worth = sum((qty * contract.intrinsic(Decimal(spot)) * 100 for contract, qty in quantities.items()), Decimal(0))
    shares = cover.shares * max(Decimal(spot) - min(STRIKES), Decimal(0))
    assert worth + shares + cover.amount >= 0


@given(holdings)
def test_it_ties_up_no_more_than_it_can_lose(quantities):
    cover = cover_of(quantities)
    if not cover.shares:
        prices = [Decimal(0), *map(Decimal, STRIKES), Decimal(10_000)]
        worst = min(sum((q * c.intrinsic(price) for c, q in quantities.items()), Decimal(0)) for price in prices)
        assert cover.amount == (max(-worst * 100, Decimal(0)) if any(q < 0 for q in quantities.values()) else 0)


def test_a_long_call_covers_one_short_call_and_none_that_outlives_it():
    def call(month: int) -> Contract:
        return Contract("AAPL", date(2007, month, 16), CALL, Decimal(160))

    one, two = Decimal(1), Decimal(2)
    assert cover_of({call(12): one, call(11): -one}) == Cover(Decimal(0), Decimal(0))
    assert cover_of({call(12): one, call(11): -one, call(10): -one}) == Cover(Decimal(0), Decimal(100))
    assert cover_of({call(12): two, call(11): -two}) == Cover(Decimal(0), Decimal(0))
    assert cover_of({call(11): one, call(12): -one}) == Cover(Decimal(0), Decimal(100))
