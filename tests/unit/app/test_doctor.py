"""The doctor's rows on this installation, the settings and the broker, each with its fault planted."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from datetime import timedelta
from importlib import metadata
from pathlib import Path

import pytest

from gambler_ai.app.checks.far import Far
from gambler_ai.app.checks.machine import DISK_FULL, DISK_LOW, Machine, filesystem
from gambler_ai.app.checks.row import Row
from gambler_ai.app.doctor import exit_code
from gambler_ai.broker.control import ExchangeClock
from gambler_ai.clock import ManualClock
from gambler_ai.config import Settings
from tests.unit.app.conftest import WELL, There
from tests.unit.broker.conftest import Wire, broker_on, data_on
from tests.unit.fakes import AT

ACCOUNT = {"id": "a-1", "account_number": "PA123", "status": "ACTIVE", "trading_blocked": False}
CLOCK = {
    "timestamp": "2008-10-07T10:00:00-04:00", "is_open": True, "next_open": "2008-10-08T09:30:00-04:00",
    "next_close": "2008-10-07T16:00:00-04:00",
}  # fmt: skip


def code(rows: dict[str, Row]) -> int:
    return exit_code(list(rows.values()))


def not_well(rows: dict[str, Row]) -> dict[str, str]:
    return {name: row.status for name, row in rows.items() if row.status in ("warn", "fail")}


def answers(account: dict[str, object], clock: dict[str, object]) -> Far:
    """A broker that says so much and no more."""
    wire = Wire(lambda request: (200, clock if str(request.url).endswith("/clock") else account))
    trade = {"trades": {"AAPL": {"t": "2008-10-07T14:00:00Z", "p": 100.0, "s": 1}}}
    return Far(broker_on(wire), data_on(Wire((200, trade))))


# -- well -----------------------------------------------------------------------------------------


def test_on_a_healthy_machine_without_anything_all_is_well_and_nothing_is_written(look, home, tmp_path):
    rows = look(machine=Machine(encoding="utf-8"))
    assert not_well(rows) == {}
    assert code(rows) == 0
    assert list(tmp_path.iterdir()) == []
    assert not (Path(home) / "gambler_ai").exists()
    assert "will be made" in rows["database"].found
    assert rows["embedded exchange"].status == "ok"


def test_with_keys_all_is_well_too(look, keys, state, there: There):
    rows = look()
    assert not_well(rows) == {}
    assert there.exchange.account_number in rows["account"].found
    assert rows["prices"].found.startswith("feed iex: AAPL ")
    assert rows["market"].found.startswith("open until")
    assert rows["clock"].status == "ok"


def test_no_part_of_a_secret_is_shown_and_of_a_key_four_letters(look, keys, there: There):
    text = str(look())
    secret, key = there.exchange.secret_key, there.exchange.key_id
    assert f"{key[:4]}… from ALPACA_API_KEY" in text
    assert key[:5] not in text
    assert not any(secret[i : i + 5] in text for i in range(len(secret) - 4))


def test_offline_the_broker_is_not_asked(look, keys, there: There):
    rows = look(offline=True)
    assert there.asked == []
    assert {rows[n].status for n in ("account", "prices", "market", "clock", "binding")} == {"skip"}
    assert rows["embedded exchange"].status == "ok"  # no network in it


def test_without_keys_the_broker_is_not_asked(look, there: There):
    assert look()["account"].status == "skip"
    assert there.asked == []


def test_the_first_failure_decides_the_exit_code():
    rows = [
        Row("a", "warn", "x", "y"),
        Row("b", "skip", "x"),
        Row("c", "fail", "x", "y", 3),
        Row("d", "fail", "x", "y", 5),
    ]
    assert exit_code(rows) == 3
    assert exit_code(rows[:2]) == 0


# -- this installation ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "row", "status", "words"),
    [
        ({"python": (3, 10, 9)}, "python", "fail", "3.10.9"),
        ({"sqlite": (3, 22, 0)}, "sqlite", "fail", "3.22.0"),
        ({"zone": "America/Atlantis"}, "time zones", "fail", "America/Atlantis"),
        ({"zone": "Europe/Berlin"}, "time zones", "fail", "is wrong"),
        ({"encoding": "ascii"}, "terminal", "warn", "ascii"),
        ({"free_bytes": lambda path: DISK_FULL - 1}, "disk", "fail", "100 MB free"),
        ({"free_bytes": lambda path: DISK_FULL}, "disk", "warn", "0.1 GB free"),
        ({"free_bytes": lambda path: DISK_LOW - 1}, "disk", "warn", "free"),
        ({"mounts": lambda: "1 0 0:1 / / rw - nfs4 server:/x rw"}, "file system", "warn", "nfs4"),
    ],
)
def test_a_machine_that_is_not_well(look, change, row, status, words):
    rows = look(machine=replace(WELL, **change))
    assert not_well(rows) == {row: status}
    assert words in rows[row].found
    assert code(rows) == {"python": 1, "sqlite": 1, "time zones": 1, "disk": 5}.get(row, 0) * (status == "fail")


def test_a_gigabyte_is_enough(look):
    assert look(machine=replace(WELL, free_bytes=lambda path: DISK_LOW))["disk"].status == "ok"


@pytest.mark.parametrize(
    ("requirement", "found", "says"),
    [
        ("alpaca-py<0.45,>=0.44", "0.43.9", "alpaca-py 0.43.9 is not >=0.44"),
        ("alpaca-py<0.45,>=0.44", "0.45", "alpaca-py 0.45 is not <0.45"),
        ("alpaca-py<0.45,>=0.44", "0.44", None),
        ("alpaca-py<0.45,>=0.44", "0.44.12", None),
        ("x>=2.10", "2.9.9", "x 2.9.9 is not >=2.10"),
        ("x<2", "2.0.0", "x 2.0.0 is not <2"),
        ("x<2", "1.9rc1", None),
        ("x", "0", None),
        ("x; extra == 'dev'", "", None),
    ],
)
def test_packages_are_compared_with_what_is_required(look, requirement, found, says):
    machine = replace(
        WELL, requirements=lambda: [requirement, "y"], installed=lambda name: found if name != "y" else "1"
    )
    row = look(machine=machine)["packages"]
    assert (row.status, row.found) == ("fail", says) if says else row.status == "ok"


def test_a_package_that_is_missing_is_named(look):
    def installed(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    row = look(machine=replace(WELL, requirements=lambda: ["typer<1"], installed=installed))["packages"]
    assert (row.status, row.found, row.code) == ("fail", "typer is missing", 1)


def test_without_metadata_packages_are_not_judged(look):
    assert look(machine=replace(WELL, requirements=list))["packages"].status == "skip"


MOUNTS = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:50 / /mnt/far\040away rw - cifs //server/x rw
31 22 0:51 / /mnt rw master:1 - tmpfs tmpfs rw
32 31 0:52 / /mnt/a rw - xfs /dev/b rw
33 31 0:53 / /mnt/a rw - nfs server:/a rw
broken line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/home/x", "ext4"), ("/mnt/far away/x", "cifs"), ("/mnt/b", "tmpfs"), ("/mnt/a/b", "nfs"), ("/mnt/ab", "tmpfs")],
)
def test_the_file_system_is_the_one_mounted_nearest(path, kind):
    assert filesystem(MOUNTS, Path(path)) == kind


def test_where_mounts_are_not_known_nothing_is_said(look):
    assert look(machine=replace(WELL, mounts=lambda: ""))["file system"].status == "skip"


# -- settings and the state directory -------------------------------------------------------------


def test_a_configuration_that_cannot_be_read_ends_with_two_and_the_rest_is_looked_at(look, tmp_path):
    (tmp_path / "gambler.toml").write_text("colour = 1\n")
    rows = look()
    assert not_well(rows) == {"configuration": "fail"}
    assert "no setting 'colour'" in rows["configuration"].found
    assert code(rows) == 2
    assert rows["embedded exchange"].status == "ok"


def test_an_open_secrets_file_fails(look, state):
    path = state / "secrets.toml"
    path.write_text('alpaca_api_key = "PKX"\nalpaca_api_secret = "hunter2"\n')
    path.chmod(0o644)
    rows = look()
    assert (rows["configuration"].status, rows["configuration"].fix[:9]) == ("fail", "chmod 600")
    assert "hunter2" not in str(rows)


def test_settings_that_cannot_work_together_fail(look):
    rows = look(position_size=10_000, max_order_value=1)
    assert not_well(rows) == {"configuration": "fail"}
    assert code(rows) == 2


def test_a_learner_whose_library_is_missing_fails(look, monkeypatch):
    monkeypatch.setenv("GAMBLER_LEARNERS", "attention,signal")
    assert not_well(look()) == {}
    monkeypatch.setitem(sys.modules, "sklearn", None)  # as Python marks a module that is not to be had
    row = look()["configuration"]
    assert (row.status, row.code) == ("fail", 2)
    assert row.found == "learner signal needs scikit-learn, which is not installed"
    assert "gambler-ai[ml]" in row.fix


def test_a_checkpoint_interval_beyond_the_session_is_said(look):
    assert not_well(look(checkpoint_interval=61, duration=1)) == {"configuration": "warn"}
    assert not_well(look(checkpoint_interval=60, duration=1)) == {}


def test_half_a_pair_of_keys_fails(look, monkeypatch):
    monkeypatch.setenv("ALPACA_API_KEY", "PKHALF")
    rows = look()
    assert not_well(rows) == {"configuration": "fail", "keys": "fail"}
    assert code(rows) == 2


def test_alpaca_without_keys_ends_with_three(look):
    rows = look(broker="alpaca")
    assert not_well(rows) == {"keys": "fail"}
    assert code(rows) == 3


def test_a_state_directory_that_is_open_is_said_and_left_as_it_is(look, state):
    state.chmod(0o755)
    rows = look()
    assert not_well(rows) == {"state directory": "warn"}
    assert rows["state directory"].fix == f"chmod 700 {state}"
    assert state.stat().st_mode & 0o777 == 0o755


def test_a_state_directory_that_everybody_shares_fails(look, state):
    state.chmod(0o1777)
    rows = look()
    assert not_well(rows) == {"state directory": "fail"}
    assert code(rows) == 2
    state.chmod(0o700)


def test_a_file_where_the_state_directory_should_be_fails(look, home):
    (Path(home) / "gambler_ai").write_text("")
    assert not_well(look())["state directory"] == "fail"


def test_a_link_to_a_directory_of_ours_is_no_trouble(look, home, tmp_path):
    (tmp_path / "disk").mkdir(mode=0o700)
    (Path(home) / "gambler_ai").symlink_to(tmp_path / "disk")
    assert not_well(look()) == {}


def test_a_link_to_nothing_fails(look, home):
    (Path(home) / "gambler_ai").symlink_to("/nowhere/at/all")
    assert not_well(look())["state directory"] == "fail"


@pytest.mark.parametrize("name", ["crash.log", "exchange/s.sqlite3"])
def test_a_file_that_others_may_read_is_named(look, state, name):
    path = state / name
    path.parent.mkdir(exist_ok=True, mode=0o700)
    path.write_text("")
    path.chmod(0o640)
    rows = look()
    assert not_well(rows) == {"files": "warn"}
    assert rows["files"].fix == f"chmod 600 {path}"
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["crash.log", "exchange/s.sqlite3", "HALT"])
def test_a_file_that_is_a_link_fails(look, state, name, tmp_path):
    path = state / name
    path.parent.mkdir(exist_ok=True, mode=0o700)
    (tmp_path / "elsewhere").touch(mode=0o600)
    path.symlink_to(tmp_path / "elsewhere")
    rows = look()
    assert (rows["files"].status, code(rows)) == ("fail", 2)
    assert str(path) in rows["files"].found


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
def test_a_state_directory_that_cannot_be_made_fails(look, home):
    home.chmod(0o500)
    assert not_well(look())["state directory"] == "fail"
    home.chmod(0o700)


def test_the_halt_file_is_shown_with_its_reason(look, state):
    (state / "HALT").write_text("earnings\x1b[31m today\nmore\n")
    (state / "HALT").chmod(0o600)
    rows = look()
    assert not_well(rows) == {"HALT file": "warn"}
    assert rows["HALT file"].found.endswith("HALT: earnings [31m today")


# -- the broker -----------------------------------------------------------------------------------


def test_wrong_keys_end_with_three_and_are_not_shown(look, keys, monkeypatch):
    monkeypatch.setenv("ALPACA_API_SECRET", "hunter2")
    rows = look()
    assert not_well(rows) == {"account": "fail"}
    assert "keys" in rows["account"].found
    assert code(rows) == 3
    assert {rows[n].status for n in ("prices", "market", "clock")} == {"skip"}
    assert "hunter2" not in str(rows)


def test_a_broker_that_is_down_ends_with_three(look, keys, there: There):
    there.faults.replace([{"path": "/v2/account", "kind": "reset", "times": 9}])
    rows = look()
    assert not_well(rows) == {"account": "fail"}
    assert code(rows) == 3


def test_an_address_that_is_not_ours_ends_with_two(look, keys):
    from gambler_ai.app.checks.far import connect

    rows = look(connect=connect, trading_url="https://api.alpaca.markets")
    assert (rows["account"].status, code(rows)) == ("fail", 2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"trading_blocked": True}, "trading_blocked"), ({"account_blocked": True}, "account_blocked"),
        ({"trade_suspended_by_user": True}, "trade_suspended_by_user"), ({"status": "ONBOARDING"}, "ONBOARDING"),
    ],
)  # fmt: skip
def test_an_account_that_may_not_trade_fails(look, keys, change, words):
    rows = look(connect=lambda settings: answers(ACCOUNT | change, CLOCK), clock=ManualClock(AT))
    assert not_well(rows) == {"account": "fail"}
    assert words in rows["account"].found
    assert code(rows) == 3


def test_a_live_account_fails_as_a_wrong_setting(look, keys):
    rows = look(connect=lambda settings: answers(ACCOUNT | {"account_number": "123"}, CLOCK), clock=ManualClock(AT))
    assert "not a paper account" in rows["account"].found
    assert code(rows) == 2


@pytest.mark.parametrize(
    ("ahead_s", "status"),
    [(0, "ok"), (-1.9, "ok"), (2.5, "warn"), (-2.5, "warn"), (29, "warn"), (31, "fail"), (-31, "fail")],
)
def test_a_clock_that_is_wrong(look, keys, there: There, ahead_s, status):
    rows = look(clock=ManualClock(there.exchange.now() + timedelta(seconds=ahead_s)))
    assert rows["clock"].status == status
    if ahead_s:
        assert rows["clock"].found.endswith("ahead of the broker's" if ahead_s > 0 else "behind the broker's")
    assert code(rows) == (3 if status == "fail" else 0)


def test_the_time_of_an_exchange_of_ours_is_its_own(look, keys, there: There):
    def connect(settings: Settings) -> Far:
        return replace(there.connect(settings), exchange=ExchangeClock(AT, 60.0, {}))

    rows = look(connect=connect, clock=ManualClock(AT + timedelta(days=900)))
    assert rows["clock"].status == "skip"
    assert rows["market"].status == "ok"


def test_a_market_that_stands_still_fails_without_its_token(look, keys, there: There, monkeypatch):
    def connect(settings: Settings) -> Far:
        return replace(there.connect(settings), exchange=ExchangeClock(AT, 0.0, {}))

    rows = look(connect=connect)
    assert not_well(rows) == {"market": "fail"}
    assert "stands still" in rows["market"].found
    monkeypatch.setenv("GAMBLER_EXCHANGE_TOKEN", "t")
    assert look(connect=connect)["market"].status == "ok"


def test_a_closed_market_says_when_it_opens(look, keys, there: There):
    there.exchange.advance(there.exchange.now() + timedelta(hours=9))
    row = look()["market"]
    assert (row.status, row.found) == ("ok", "closed; opens Wed 2008-10-08 13:30 UTC")


def test_a_clock_that_cannot_be_read(look, keys, there: There):
    there.faults.replace([{"path": "/v2/clock", "kind": "500", "times": 9}])
    rows = look()
    assert not_well(rows) == {"market": "fail"}
    assert rows["clock"].status == "skip"


@pytest.mark.parametrize(
    "body", [{"message": "subscription does not permit querying recent SIP data"}, {"code": 4030, "message": "no"}]
)
def test_a_plan_without_sip_says_so(look, keys, there: There, body):
    def connect(settings: Settings) -> Far:
        return replace(there.connect(settings), data=data_on(Wire((403, body))))

    rows = look(connect=connect, feed="sip", data_stream_url="wss://stream.data.alpaca.markets/v2/sip")
    assert not_well(rows) == {"prices": "fail"}
    assert rows["prices"].fix == "your plan has iex only: --feed iex"
    assert code(rows) == 3
    assert look(connect=connect)["prices"].fix == "see the plan of your account"


def test_a_symbol_without_a_trade_is_said(look, keys, there: There):
    def connect(settings: Settings) -> Far:
        return replace(there.connect(settings), data=data_on(Wire((200, {"trades": {}}))))

    assert not_well(look(connect=connect)) == {"prices": "warn"}


def test_prices_that_cannot_be_read_fail(look, keys, there: There):
    there.faults.replace([{"path": "/v2/stocks", "kind": "503_html", "times": 9}])
    assert not_well(look()) == {"prices": "fail"}


@pytest.mark.parametrize("name", ["trading_stream_url", "data_stream_url"])
def test_a_stream_elsewhere_fails(look, name):
    rows = look(**{name: "wss://example.org/stream"})
    assert not_well(rows) == {"streams": "fail"}
    assert code(rows) == 2
    assert look(streams="off", **{name: "wss://example.org/stream"})["streams"].status == "skip"


def test_a_stream_of_another_feed_than_the_prices_is_said(look):
    rows = look(feed="sip")
    assert not_well(rows) == {"streams": "warn"}
    assert rows["streams"].fix == "ALPACA_DATA_STREAM_URL=wss://stream.data.alpaca.markets/v2/sip"
