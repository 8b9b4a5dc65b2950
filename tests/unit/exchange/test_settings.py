"""Account configurations: what the desk makes of them, and that they stay."""

from __future__ import annotations

import sqlite3

import msgspec
import pytest

from gambler_ai.exchange.refusal import Refusal


def configure(world, **changes):
    with world.exchange.step():
        return world.exchange.desk.configure(changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"max_margin_multiplier": "3"},
        {"max_margin_multiplier": True},
        {"no_shorting": "yes"},
        {"trade_confirm_email": "some"},
        {"max_options_trading_level": 4},
        {"dtbp_check": "never"},
    ],
    ids=str,
)
def test_a_setting_cannot_be_anything(world, changes):
    before = world.exchange.book.account.settings
    with pytest.raises(Refusal, match=f"invalid {next(iter(changes))}"):
        configure(world, **changes)
    assert world.exchange.book.account.settings == before


def test_settings_stay_through_a_restart(make_world):
    world = make_world(file=True)
    kept = configure(world, no_shorting=True, max_margin_multiplier=2, nonsense=1, suspend_trade=None)
    assert (kept.no_shorting, kept.max_margin_multiplier, kept.suspend_trade) == (True, "2", False)
    world.close()
    assert make_world(None, file=True).exchange.book.account.settings == kept


def test_a_file_without_settings_has_the_usual_ones(make_world, tmp_path):
    world = make_world(file=True)
    usual = world.exchange.book.account.settings
    world.close()
    with sqlite3.connect(tmp_path / "exchange.db") as file:
        account = msgspec.json.decode(file.execute("SELECT value FROM meta WHERE name='account'").fetchone()[0])
        del account["settings"]
        file.execute("UPDATE meta SET value=? WHERE name='account'", (msgspec.json.encode(account).decode(),))
    file.close()
    assert make_world(None, file=True).exchange.book.account.settings == usual
