"""The exchange's file: what it keeps, who may open it, and how its time goes. ``test_desk_machine`` has the rest."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gambler_ai.clock import ManualClock
from gambler_ai.errors import ConfigError, SessionLeased, StorageError
from gambler_ai.exchange.exchange import Exchange

START = datetime(2008, 10, 7, 13, 25, tzinfo=UTC)  # five minutes before the open of a wild day
CASH = Decimal(100_000)


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
