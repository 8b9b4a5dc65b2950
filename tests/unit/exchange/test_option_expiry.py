"""How contracts end: exercised, assigned, worthless, split; each once, whatever happens in between."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gambler_ai.exchange.exchange import Exchange
from tests.unit.exchange.conftest import World
from tests.unit.exchange.test_multileg import CONDOR, SPREAD, post
from tests.unit.exchange.test_option_orders import held, money, option

CLOSE = datetime(2007, 12, 21, 21, tzinfo=UTC)  # AAPL closed at 193.91
CALL, PUT, FAR = "AAPL071221C00160000", "AAPL071221P00150000", "AAPL071221C00200000"
OPTION_TYPES = "OPEXC,OPASN,OPEXP,OPTRD,OPCA"


def activities(world: World) -> list[dict[str, Any]]:
    """Oldest first."""
    found: list[dict[str, Any]] = world.get("/v2/account/activities", activity_types=OPTION_TYPES)
    return found[::-1]


def told(world: World) -> list[tuple[str, ...]]:
    names = ("activity_type", "symbol", "qty", "net_amount")
    return [tuple(row[name] for name in names) for row in activities(world)]


def to_expiry(world: World, **later: float) -> None:
    world.exchange.advance(CLOSE + timedelta(**later))


def test_a_call_in_the_money_becomes_shares(world):
    world.filled(**option(CALL, qty=2))
    cash = money(world)
    to_expiry(world)
    assert held(world) == {"AAPL": 200}
    assert money(world) == cash - 32_000
    assert told(world) == [("OPEXC", CALL, "-2", "0"), ("OPTRD", "AAPL", "200", "-32000")]
    exercise, trade = activities(world)
    assert exercise["group_id"] == trade["group_id"]
    assert (trade["price"], trade["date"], trade["status"]) == ("160", "2007-12-21", "executed")
    assert world.get("/v2/positions/AAPL")["avg_entry_price"] == "160"


def test_not_a_moment_before_the_close(world):
    world.filled(**option(CALL))
    to_expiry(world, seconds=-1)
    assert held(world) == {CALL: 1}
    to_expiry(world)
    assert held(world) == {"AAPL": 100}


def test_what_is_worthless_is_gone(world):
    world.filled(**option(PUT))
    world.filled(**option(FAR))
    cash = money(world)
    to_expiry(world)
    assert held(world) == {}
    assert money(world) == cash == money(world, "equity")
    assert told(world) == [("OPEXP", FAR, "-1", "0"), ("OPEXP", PUT, "-1", "0")]


def test_a_covered_call_is_assigned_its_shares(world):
    world.filled(qty=150)
    world.filled(**option(CALL, side="sell"))
    cash = money(world)
    to_expiry(world)
    assert held(world) == {"AAPL": 50}
    assert money(world) == cash + 16_000
    assert told(world) == [("OPASN", CALL, "1", "0"), ("OPTRD", "AAPL", "-100", "16000")]


def test_a_put_is_exercised_and_assigned(world):
    """AAPL will be under 200: its puts are in the money."""
    put = "AAPL071221P00200000"
    world.filled(**option(put, side="sell"))
    cash = money(world)
    to_expiry(world)
    assert held(world) == {"AAPL": 100}
    assert money(world) == cash - 20_000
    assert told(world) == [("OPASN", put, "1", "0"), ("OPTRD", "AAPL", "100", "-20000")]


def test_a_long_put_sells_shares(world):
    put = "AAPL071221P00200000"
    world.filled(qty=100)
    world.filled(**option(put))
    cash = money(world)
    to_expiry(world)
    assert held(world) == {}
    assert money(world) == cash + 20_000


def test_a_spread_ends_at_its_width(world):
    post(world, SPREAD, qty=3)
    paid = 100_000 - money(world)
    to_expiry(world)
    assert held(world) == {}
    assert money(world) == 100_000 - paid + 3 * 1000


def test_who_does_not_want_it_does_not_get_it(world):
    world.filled(**option(CALL))
    cash = money(world)
    assert world.call("POST", f"/v2/positions/{CALL}/do-not-exercise") == (200, None)
    to_expiry(world)
    assert held(world) == {}
    assert money(world) == cash
    assert told(world) == [("OPEXP", CALL, "-1", "0")]


def test_exercise_is_at_once(world):
    world.filled(**option(CALL, qty=2))
    cash, contract = money(world), world.get(f"/v2/options/contracts/{CALL}")["id"]
    assert world.call("POST", f"/v2/positions/{contract}/exercise") == (200, None)
    assert held(world) == {"AAPL": 200}
    assert money(world) == cash - 32_000
    assert world.call("POST", f"/v2/positions/{CALL}/exercise")[0] == 403
    assert len(activities(world)) == 2


def test_exercise_leaves_what_an_order_holds(world):
    world.filled(**option(CALL, qty=3))
    world.order(**option(CALL, side="sell", type="limit", limit_price="90"))
    assert world.call("POST", f"/v2/positions/{CALL}/exercise")[0] == 200
    assert held(world) == {"AAPL": 200, CALL: 1}


@pytest.mark.parametrize(
    ("what", "name", "answer"),
    [
        ("exercise", CALL, (403, 40310000, "no available position for the specified contract")),
        ("exercise", "AAPL", (422, 42210000, "invalid symbol")),
        ("exercise", PUT, (403, 40310001, "cannot exercise short position")),
        ("do-not-exercise", CALL, (403, 40310000, "no available position for the specified contract")),
        ("do-not-exercise", "nothing", (422, 42210000, "invalid symbol")),
        ("do-not-exercise", PUT, (403, 40310001, "cannot submit DNE for short position")),
    ],
)
def test_what_cannot_be_exercised(world, what, name, answer):
    world.filled(**option(PUT, side="sell"))
    status, body = world.call("POST", f"/v2/positions/{name}/{what}")
    assert (status, body["code"], body["message"]) == answer
    assert activities(world) == []


def test_a_call_that_cannot_be_paid_for_is_not_exercised(world):
    world.filled(**option("AAPL071221C00210000", qty=60))
    status, body = world.call("POST", "/v2/positions/AAPL071221C00210000/exercise")
    assert (status, body["message"]) == (403, "insufficient buying power")


def test_between_the_close_and_midnight_nothing_is_exercised(world):
    world.filled(**option(CALL))
    world.pass_time(hours=7)
    assert world.call("POST", f"/v2/positions/{CALL}/exercise")[0] == 422
    world.pass_time(hours=9)
    assert world.call("POST", f"/v2/positions/{CALL}/exercise")[0] == 200


def test_an_expired_contract_is_inactive_and_has_no_quote_of_today(world):
    to_expiry(world, days=3)
    contract = world.get(f"/v2/options/contracts/{CALL}")
    assert (contract["status"], contract["tradable"]) == ("inactive", False)
    assert world.call("POST", "/v2/orders", option(CALL))[1]["message"] == f'asset "{CALL}" is not tradable'
    snapshot = world.get("/v1beta1/options/snapshots", symbols=CALL)["snapshots"][CALL]
    assert snapshot["latestQuote"]["t"] == "2007-12-21T20:59:59Z"
    assert "greeks" not in snapshot


@pytest.mark.parametrize("stop", [-3600.0, -1.0, 0.0, 1.0, 3600.0])
def test_a_restart_before_at_or_after_expiry_changes_nothing(make_world, stop):
    """Closed and opened again at that moment, or not at all: the same account to the byte."""

    def look(world: World) -> tuple[Any, Any, Any]:
        return world.get("/v2/positions"), activities(world), money(world)

    straight, halted = make_world(account="one"), make_world(account="one", file=True)
    for world in (straight, halted):
        post(world, CONDOR)
        world.filled(**option(FAR, qty=2))
    path = halted.exchange.path
    to_expiry(halted, seconds=stop)
    halted.exchange.close()
    again = World(Exchange.open(path))
    to_expiry(straight, days=1)
    to_expiry(again, days=1)
    assert look(again) == look(straight)
    again.close()


def test_a_kill_in_the_middle_of_expiry_settles_once(tmp_path):
    """The process dies at the first commit after the close; the next one does the same again, and it counts once."""
    path, script = tmp_path / "exchange.db", tmp_path / "run.py"
    script.write_text(_KILLED)
    root = Path(__file__).parents[3]
    ran = subprocess.run(
        [sys.executable, str(script), str(path)], cwd=root, env=os.environ | {"PYTHONPATH": str(root)}, check=False
    )
    assert ran.returncode == 9
    world = World(Exchange.open(path))
    before = held(world)
    to_expiry(world, minutes=1)
    assert held(world) == {"AAPL": 100}
    assert [row[:3] for row in told(world)] == [("OPEXC", CALL, "-1"), ("OPTRD", "AAPL", "100")]
    assert before == {CALL: 1}
    world.close()


_KILLED = f"""
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from gambler_ai.exchange.exchange import Exchange

exchange = Exchange.open(Path(sys.argv[1]), start=datetime(2007, 11, 13, 15, tzinfo=UTC), seed=7)
with exchange.step():
    exchange.submit({{"symbol": "{CALL}", "qty": 1, "side": "buy", "type": "market", "time_in_force": "day"}})

class Dies:
    def __init__(self, journal):
        self.journal = journal
    def commit(self, book, meta, *rest, **more):
        if "{CALL}" not in book.positions:
            os._exit(9)  # expiry is in memory, and not in the file
        return self.journal.commit(book, meta, *rest, **more)
    def __getattr__(self, name):
        return getattr(self.journal, name)

exchange._journal = Dies(exchange._journal)
exchange.advance(datetime(2007, 12, 21, 21, tzinfo=UTC))
"""


def test_a_split_makes_more_contracts_at_a_lower_strike(make_world):
    """AAPL was split two for one before the open of 2005-02-28."""
    world = make_world(datetime(2005, 2, 25, 16, tzinfo=UTC))
    old, new = "AAPL050318C00090000", "AAPL050318C00045000"
    world.filled(**option(old, qty=3))
    resting = world.order(**option(old, type="limit", limit_price="0.05"))
    cost = world.get(f"/v2/positions/{old}")["cost_basis"]
    world.exchange.advance(datetime(2005, 2, 28, 15, tzinfo=UTC))
    assert held(world) == {new: 6}
    assert Decimal(world.get(f"/v2/positions/{new}")["cost_basis"]) == Decimal(cost)
    assert world.look(resting["id"])["status"] in ("canceled", "expired")
    assert told(world) == [("OPCA", old, "-3", "0"), ("OPCA", new, "6", "0")]
    assert world.filled(**option(new, side="sell", qty=6))["status"] == "filled"


def test_a_reverse_split_closes_contracts_in_cash(world):
    world.filled(**option(CALL, qty=2))
    world.faults.replace([{"kind": "split", "symbol": "AAPL", "ratio": "1:4", "on": "2007-11-15"}])
    world.pass_time(days=2)
    assert held(world) == {}
    kind, symbol, qty, amount = told(world)[0]
    assert (kind, symbol, qty) == ("OPCA", CALL, "-2")
    assert Decimal(amount) > 0
    assert money(world) == money(world, "equity")


def test_positions_of_a_moment_ago_know_what_expired(world):
    world.filled(**option(CALL))
    to_expiry(world, seconds=10)
    world.faults.replace([{"kind": "position_late", "seconds": 60, "times": 1}])
    assert held(world) == {CALL: 1}
    assert held(world) == {"AAPL": 100}
    world.faults.replace([{"kind": "position_late", "seconds": 1, "times": 1}])
    assert held(world) == {"AAPL": 100}


def test_the_history_of_the_account_counts_contracts(world):
    world.filled(**option(CALL, qty=2))
    world.filled(**option(PUT, side="sell"))
    for later in ({"days": -20}, {"hours": -2}, {"days": 3}):
        to_expiry(world, **later)
        history = world.get("/v2/account/portfolio/history", period="1M", timeframe="1D")
        assert history["equity"][-1] == pytest.approx(float(money(world, "equity")))
    first = world.get("/v2/account/portfolio/history", start="2007-11-13", end="2007-11-14", timeframe="1D")
    assert first["equity"][0] != 100_000
