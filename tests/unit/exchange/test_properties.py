"""Whatever is asked in whatever order: money and shares are conserved, a reopened file knows all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gambler_ai.clock import ManualClock
from gambler_ai.errors import ConfigError, SessionLeased, StorageError
from gambler_ai.exchange.desk.orders import SELL, TERMINAL
from gambler_ai.exchange.exchange import Exchange
from gambler_ai.exchange.refusal import Refusal
from gambler_ai.exchange.wire.entities import order_entity
from gambler_ai.exchange.wire.views import account_entity, position_entity

START = datetime(2008, 10, 7, 13, 25, tzinfo=UTC)  # five minutes before the open of a wild day
CASH = Decimal(100_000)
PRICES = {"AAPL": Decimal("100.48"), "MSFT": Decimal("25.42")}

orders = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(["AAPL", "MSFT"]),
        "side": st.sampled_from(["buy", "sell"]),
        "qty": st.sampled_from([1, 2, 50, 333]),
        "kind": st.sampled_from(["market", "limit", "stop", "bracket", "bracket", "oco", "fraction"]),
        "offset": st.integers(-30, 30).map(lambda n: Decimal(n) / 1000),
        "time_in_force": st.sampled_from(["day", "gtc"]),
    }
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("order"), orders),
        st.tuples(st.just("wait"), st.sampled_from([1, 15, 61, 600, 3600, 30_000, 90_000])),
        st.tuples(st.just("cancel"), st.integers(0, 30)),
        st.tuples(st.just("replace"), st.tuples(st.integers(0, 30), st.integers(-20, 20), st.sampled_from([0, 0, 7]))),
        st.tuples(st.just("close"), st.sampled_from(["AAPL", "MSFT"])),
        st.tuples(st.just("cancel_all"), st.none()),
    ),
    min_size=1,
    max_size=14,
)


def body_of(spec: dict[str, Any]) -> dict[str, Any]:
    cent, kind = Decimal("0.01"), spec["kind"]
    base = PRICES[spec["symbol"]] * (1 + spec["offset"])
    up = Decimal(1 if (spec["side"] == "buy") != (kind == "oco") else -1)
    body = {name: spec[name] for name in ("symbol", "side", "qty", "time_in_force")} | {"type": "market"}
    if kind == "fraction":
        return body | {"qty": "1.5", "time_in_force": "day"}
    if kind in ("limit", "stop"):
        return body | {"type": kind, f"{kind}_price": str(base.quantize(cent))}
    if kind in ("bracket", "oco"):
        body |= {
            "order_class": kind,
            "take_profit": {"limit_price": str((base * (1 + up * Decimal("0.006"))).quantize(cent))},
            "stop_loss": {"stop_price": str((base * (1 - up * Decimal("0.006"))).quantize(cent))},
        }
        return body | ({"type": "limit"} if kind == "oco" else {})
    return body


def changes_of(order: Any, move: int, more: int) -> dict[str, Any]:
    """What a PATCH asks for: prices some cents away, and more shares."""
    old = {"limit_price": order.limit_price, "stop_price": order.stop_price}
    changes = {name: str(price + Decimal(move) / 100) for name, price in old.items() if price is not None}
    return changes | ({"qty": str(order.qty + more)} if more and order.qty is not None else {})


def do(exchange: Exchange, step: tuple[str, Any]) -> None:
    what, value = step
    try:
        if what == "wait":
            exchange.advance(exchange.now() + timedelta(seconds=value))
            return
        with exchange.step():
            desk = exchange.desk
            if what == "order":
                exchange.submit(body_of(value))
            elif what == "cancel":
                known = list(exchange.book.orders.values())
                if known:
                    desk.cancel(known[value % len(known)], exchange.now_us)
            elif what == "replace" and exchange.book.orders:
                known = list(exchange.book.orders.values())
                order = known[value[0] % len(known)]
                desk.replace(order, changes_of(order, value[1], value[2]), exchange.now_us, exchange.margins)
            elif what == "close":
                exchange.submit(desk.close_payload(value, None, None))
            else:
                desk.cancel_all(exchange.now_us)
    except Refusal:
        pass


def check(exchange: Exchange) -> None:
    book = exchange.book
    cash, shares = CASH, dict.fromkeys(PRICES, Decimal(0))
    by_order: dict[str, Decimal] = {}
    for fill in book.fills:
        cash -= fill.signed_qty * fill.price
        shares[fill.symbol] += fill.signed_qty
        by_order[fill.order_id] = by_order.get(fill.order_id, Decimal(0)) + fill.qty
    assert book.account.cash == cash
    for symbol, qty in shares.items():
        assert book.position_qty(symbol) == qty
    for order in book.orders.values():
        assert order.filled_qty == by_order.get(order.id, 0)
        assert order.qty is not None
        assert order.filled_qty <= order.qty
        assert (order.status == "filled") == (order.remaining == 0 and order.filled_qty > 0)
        assert (order.id in book.open.get(order.symbol, {})) == (order.status not in TERMINAL)
        if order.leg_ids and order.order_class == "bracket" and order.role == "entry":
            check_bracket(book, order)
    for position in book.positions.values():
        entity = position_entity(exchange, position)
        free, held = abs(Decimal(entity["qty_available"])), abs(position.qty)
        exits = [o for o in book.open_in(position.symbol) if (o.side == SELL) == (position.qty > 0) and not o.waiting]
        asked = sum(o.remaining for o in exits if not o.parent_id and not o.leg_ids and not o.reserve_price)
        assert 0 <= free <= held - asked


def check_bracket(book, entry) -> None:
    legs = book.legs(entry)
    out = sum(leg.filled_qty for leg in legs)
    filled, older = entry.filled_qty, entry
    while older.replaces:
        older = book.orders[older.replaces]
        filled += older.filled_qty
    assert out <= filled
    if entry.status == "filled":
        assert all(leg.qty == filled for leg in legs if not out)
    if entry.status != "filled":
        assert out == 0
        assert all(leg.status not in ("new", "filled") for leg in legs)
    assert sum(leg.status == "filled" for leg in legs) <= 1
    if out and out == filled:
        assert not any(leg.is_open for leg in legs)


def picture(exchange: Exchange) -> dict[str, Any]:
    book = exchange.book
    return {
        "now": exchange.now_us,
        "account": account_entity(exchange),
        "orders": [order_entity(order, book.legs(order)) for order in book.orders.values()],
        "open": [order.id for order in book.open_orders()],
        "fills": book.fills,
        "positions": [position_entity(exchange, book.positions[symbol]) for symbol in sorted(book.positions)],
        "log": exchange.log(),
        "keys": (exchange.key_id, exchange.secret_key, exchange.account_number),
    }


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=steps, seed=st.integers(0, 5))
def test_money_and_shares_are_conserved(steps, seed):
    exchange = Exchange.open(None, start=START, seed=seed, cash=CASH)
    for step in steps:
        do(exchange, step)
        check(exchange)
    exchange.close()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=steps, cut=st.integers(0, 13))
def test_a_reopen_after_any_step_changes_nothing(steps, cut):
    with tempfile.TemporaryDirectory() as folder:
        once = Exchange.open(Path(folder) / "once.db", start=START, cash=CASH)
        cuts = Exchange.open(Path(folder) / "cuts.db", start=START, cash=CASH)
        for number, step in enumerate(steps):
            do(once, step)
            do(cuts, step)
            if number >= cut % len(steps):
                before = picture(cuts)
                cuts.close()
                cuts = Exchange.open(Path(folder) / "cuts.db")
                assert picture(cuts) == before
        ends = picture(once), picture(cuts)
        once.close()
        cuts.close()
        assert {**ends[0], "keys": None} == {**ends[1], "keys": None}


def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path):
    program = f"""
import os, sys
from pathlib import Path
from datetime import timedelta
from gambler_ai.exchange.exchange import Exchange
exchange = Exchange.open(Path({str(tmp_path / "x.db")!r}))
with exchange.step():
    exchange.submit({{"symbol": "AAPL", "qty": 3, "side": "buy", "type": "market", "time_in_force": "day",
                     "client_order_id": "mine"}})
exchange.advance(exchange.now() + timedelta(minutes=2))
print(exchange.secret_key, exchange.book.account.cash, flush=True)
os.kill(os.getpid(), 9)
"""
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == -9, done.stderr
    secret, cash = done.stdout.split()
    exchange = Exchange.open(tmp_path / "x.db")
    assert exchange.secret_key == secret
    assert exchange.book.account.cash == Decimal(cash) < CASH
    assert exchange.book.position_qty("AAPL") == 3
    assert exchange.log()[0]["client_order_id"] == "mine"
    exchange.close()


def test_one_server_a_file_and_nobody_else_reads_it(tmp_path):
    path = tmp_path / "x.db"
    exchange = Exchange.open(path)
    with pytest.raises(SessionLeased):
        Exchange.open(path)
    modes = {name: stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in os.listdir(tmp_path)}
    assert modes == dict.fromkeys(["x.db", "x.db-wal", "x.db-shm", "x.db.lock"], 0o600)
    exchange.close()
    Exchange.open(path).close()


def test_what_cannot_be_opened_says_so(tmp_path):
    (tmp_path / "junk.db").write_bytes(b"not a database, but long enough to be looked at" * 50)
    for path in (tmp_path / "junk.db", tmp_path / "nowhere" / "x.db"):
        with pytest.raises(StorageError):
            Exchange.open(path)


def test_time_never_goes_back(tmp_path):
    path, later = tmp_path / "x.db", START + timedelta(hours=3)
    exchange = Exchange.open(path, start=START)
    assert exchange.advance(later) == later
    assert exchange.advance(START) == later
    exchange.close()
    exchange = Exchange.open(path, start=START)
    assert exchange.now() == later
    exchange.close()
    shared = ManualClock(START)
    exchange = Exchange.open(path, start=later + timedelta(hours=1), clock=shared)
    assert exchange.now() <= shared.now() == later + timedelta(hours=1)
    with exchange.step():
        assert exchange.now() == shared.now()
    exchange.close()


def test_a_market_that_runs_by_itself_cannot_be_advanced():
    exchange = Exchange.open(None, start=START, speed=60.0)
    with pytest.raises(ConfigError, match="runs by itself"):
        exchange.advance(START + timedelta(hours=1))
    with exchange.step():
        assert exchange.now() > START
    exchange.close()


def test_ids_follow_from_seed_and_account():
    def ids(**more: Any) -> tuple[str, str]:
        exchange = Exchange.open(None, start=START, **more)
        exchange.close()
        return exchange.account_id, exchange.key_id

    assert ids(seed=1) == ids(seed=1)
    assert len({ids(seed=1), ids(seed=2), ids(seed=1, account="other")}) == 3
    assert ids(seed=1)[0][14] == "4"
    assert ids(seed=1)[1].startswith("PK")


def test_a_step_that_fails_stops_the_exchange_and_the_file_stays_right(tmp_path):
    exchange = Exchange.open(tmp_path / "x.db", start=START)

    def go_wrong() -> None:
        with exchange.step():
            exchange.book.account.cash += 1
            exchange.book.account_changed = True
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        go_wrong()
    with pytest.raises(StorageError, match="ZeroDivisionError"):
        go_wrong()
    exchange.close()
    exchange = Exchange.open(tmp_path / "x.db")
    assert exchange.book.account.cash == CASH
    exchange.close()


def test_a_closed_position_stays_closed_after_a_reopen(tmp_path):
    exchange = Exchange.open(tmp_path / "x.db", start=START + timedelta(hours=1))
    order = {"symbol": "AAPL", "qty": 1, "type": "market", "time_in_force": "day"}
    for side in ("buy", "sell"):
        with exchange.step():
            exchange.submit(order | {"side": side})
    assert exchange.book.positions == {}
    exchange.close()
    exchange = Exchange.open(tmp_path / "x.db")
    assert exchange.book.positions == {}
    assert len(exchange.book.fills) == 2
    exchange.close()
