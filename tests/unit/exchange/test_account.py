"""The account and its configurations; that they outlive a restart, and that old files are readable."""

from __future__ import annotations

import json
import sqlite3
from decimal import Decimal

import pytest

from gambler_ai.exchange.exchange import Exchange
from tests.unit.exchange.conftest import World

URL = "/v2/account/configurations"
STRINGS = (
    "cash", "equity", "last_equity", "portfolio_value", "long_market_value", "short_market_value", "initial_margin",
    "maintenance_margin", "last_maintenance_margin", "buying_power", "regt_buying_power", "non_marginable_buying_power",
    "options_buying_power", "sma", "multiplier", "accrued_fees", "pending_reg_taf_fees", "intraday_adjustments",
)  # fmt: skip
FLAGS = ("trading_blocked", "transfers_blocked", "account_blocked", "trade_suspended_by_user", "shorting_enabled")


def test_each_figure_of_the_account_is_of_its_kind(world):
    world.filled(symbol="AAPL", qty=10)
    account = world.get("/v2/account")
    assert all(isinstance(account[name], str) and Decimal(account[name]) is not None for name in STRINGS)
    assert all(isinstance(account[name], bool) for name in FLAGS)
    assert account["equity"] == account["portfolio_value"]
    assert Decimal(account["equity"]) == Decimal(account["cash"]) + Decimal(account["long_market_value"])
    assert (account["pattern_day_trader"], account["daytrade_count"]) == (False, 0)  # retired, read by old clients


def test_a_change_of_one_setting_leaves_the_others(world):
    before = world.get(URL)
    assert {"fractional_trading", "max_margin_multiplier", "no_shorting", "suspend_trade"} < set(before)
    status, after = world.call(
        "PATCH", URL, {"no_shorting": True, "trade_confirm_email": None, "dtbp_check": "", "x": 1}
    )
    assert (status, after) == (200, before | {"no_shorting": True})
    assert world.get(URL) == after
    assert world.get("/v2/account")["shorting_enabled"] is False
    world.call("PATCH", URL, {"suspend_trade": "true"})
    assert world.get("/v2/account")["trade_suspended_by_user"] is True


@pytest.mark.parametrize(
    "change",
    [
        {"no_shorting": "perhaps"}, {"no_shorting": 1}, {"max_margin_multiplier": "3"}, {"max_margin_multiplier": True},
        {"trade_confirm_email": "some"}, {"dtbp_check": "never"}, {"pdt_check": 5}, {"max_options_trading_level": 4},
    ],
)  # fmt: skip
def test_a_bad_value_changes_nothing(world, change):
    before = world.get(URL)
    status, body = world.call("PATCH", URL, {"suspend_trade": True} | change)
    assert (status, body) == (422, {"code": 40010001, "message": f"invalid {next(iter(change))}"})
    assert world.get(URL) == before


def test_settings_that_are_no_object_are_refused(world):
    assert world.call("PATCH", URL, [1])[1]["code"] == 40010000


@pytest.mark.parametrize(("multiplier", "power"), [("1", "100000"), ("2", "200000"), ("4", "400000")])
def test_the_multiplier_bounds_the_buying_power(world, multiplier, power):
    world.call("PATCH", URL, {"max_margin_multiplier": multiplier})
    account = world.get("/v2/account")
    assert (account["multiplier"], account["buying_power"]) == (multiplier, power)
    assert account["shorting_enabled"] is (multiplier != "1")


def test_settings_outlive_a_restart(make_world, tmp_path):
    world = make_world(file=True)
    world.call("PATCH", URL, {"max_margin_multiplier": 2, "no_shorting": True})
    expected = world.get(URL)
    world.exchange.close()
    again = World(Exchange.open(tmp_path / "exchange.db"))
    assert again.get(URL) == expected
    again.close()


def test_a_file_without_settings_and_watchlists_is_readable(make_world, tmp_path):
    world = make_world(file=True)
    fresh = world.get(URL)
    world.filled(symbol="AAPL", qty=1)
    world.exchange.close()
    db = sqlite3.connect(tmp_path / "exchange.db")
    (account,) = db.execute("SELECT value FROM meta WHERE name='account'").fetchone()
    old = {name: value for name, value in json.loads(account).items() if name != "settings"}
    assert old != json.loads(account)
    db.execute("UPDATE meta SET value=? WHERE name='account'", (json.dumps(old),))
    db.execute("UPDATE meta SET value='2' WHERE name='schema'")
    db.execute("DROP TABLE watchlists")
    db.commit()
    db.close()
    again = World(Exchange.open(tmp_path / "exchange.db"))
    assert again.get(URL) == fresh
    assert again.get("/v2/watchlists") == []
    assert again.get("/v2/positions/AAPL")["qty"] == "1"
    again.close()
