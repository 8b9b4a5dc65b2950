"""Bytes that rot: a checkpoint is a cache and is gone around, the journal is the truth and is not."""

import json
import sqlite3
import stat
import sys
from pathlib import Path

import pytest

from tests.databases import sqlite_only
from tests.recovery.harness import World, audit, entries

ENTRIES = [("AAPL", "buy"), ("MSFT", "sell")]
KILL = "checkpoint.after:13"  # AAPL is held since 9:35, it is 9:36:30 in New York


@pytest.fixture
def killed(world: World) -> World:
    world.trade(duration=14, crash_at=KILL).was_killed()
    assert world.positions() == {"AAPL": 99}
    return world


def spoil(world: World, number: int, place: int = 200) -> None:
    """Flip one bit of a checkpoint's payload."""
    (row,) = world.rows("SELECT payload FROM checkpoints WHERE number = ?", number)
    payload = bytearray(row["payload"])
    payload[place % len(payload)] ^= 1
    assert world.write("UPDATE checkpoints SET payload = ? WHERE number = ?", bytes(payload), number) == 1


def test_a_flipped_bit_in_the_newest_checkpoint(killed: World):
    spoil(killed, 13)
    ended = killed.resume().ok()
    assert "Checkpoint #13" in ended.out
    assert "the one before it is used" in ended.out
    assert "Checkpoint: #12" in ended.out
    audit(killed)
    assert entries(killed) == ENTRIES


@pytest.mark.parametrize("change", ["state_version = 99", "payload = substr(payload, 1, 0)", "journal_hash = 'x'"])
def test_a_newest_checkpoint_that_is_odd_in_another_way(killed: World, change: str):
    assert killed.write(f"UPDATE checkpoints SET {change} WHERE number = 13") == 1
    ended = killed.resume().ok()
    assert "Checkpoint: #12" in ended.out
    audit(killed)


def test_all_checkpoints_broken_and_the_journal_is_enough(killed: World):
    for number in range(1, 14):
        spoil(killed, number)
    ended = killed.resume().ok()
    assert "No checkpoint yet: restored from" in ended.out
    audit(killed)
    assert entries(killed) == ENTRIES


def test_no_checkpoint_left_at_all(killed: World):
    assert killed.write("DELETE FROM checkpoints") == 13
    killed.resume().ok()
    audit(killed)
    assert entries(killed) == ENTRIES
    numbers = [r["number"] for r in killed.rows("SELECT number FROM checkpoints ORDER BY number")]
    assert numbers[0] == 14, "a number is not used twice"


PRUNES = """
import sys
from gambler_ai.trading.state_manager import StateManager
with StateManager(sys.argv[1]) as state_manager:
    state_manager.resume_session(sys.argv[2])
    state_manager.cleanup_old_checkpoints(keep_count=2)
"""


def test_the_good_one_below_broken_ones_is_never_pruned(killed: World):
    for number in range(5, 14):
        spoil(killed, number)
    session = killed.session()["id"]
    killed.run(killed.database_url, session, program=(sys.executable, "-c", PRUNES)).ok()
    assert [r["number"] for r in killed.rows("SELECT number FROM checkpoints ORDER BY number")] == [4, 12, 13]


SHOWS = """
import json, sys
from gambler_ai.trading.state_manager import StateManager
with StateManager(sys.argv[1]) as state_manager:
    state_manager.resume_session(sys.argv[2])
    print(json.dumps(state_manager.restore_from_latest_checkpoint()["positions"], default=str))
"""


def test_a_script_sees_each_position_with_side_stop_target_and_the_orders_that_rest_for_it(killed: World):
    where = killed.database_url
    shown = killed.run(where, killed.session()["id"], program=(sys.executable, "-c", SHOWS)).ok().out
    [position] = json.loads(shown)
    assert (position["symbol"], position["side"], position["qty"]) == ("AAPL", "long", "99")
    assert (position["stop_price"], position["target_price"]) == ("98.98", "105.04")
    [entry] = killed.there.orders()
    assert sorted(position["order_ids"]) == sorted(leg["id"] for leg in entry["legs"])


def test_a_session_a_script_has_looked_after_still_resumes(killed: World):
    """A script keeps wall time, the session keeps the market's: neither may move the other's."""
    killed.run(killed.database_url, killed.session()["id"], program=(sys.executable, "-c", PRUNES)).ok()
    killed.resume().ok()
    audit(killed)
    assert entries(killed) == ENTRIES


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE journal SET payload = replace(payload, '99', '98') WHERE kind = 'IntentPlanned'",
        "UPDATE journal SET hash = 'x' WHERE seq = (SELECT max(seq) FROM journal)",
        "DELETE FROM journal WHERE seq = (SELECT max(seq) FROM journal)",
        "DELETE FROM journal WHERE kind = 'IntentPlanned'",
    ],
)
def test_a_journal_that_was_changed_is_not_traded_on(world: World, change: str):
    world.trade(duration=14, crash_at="fill.after_commit:1").was_killed()  # these rows are after the newest checkpoint
    assert world.write(change) >= 1
    before = world.content()
    for command in (("--resume",), ("--reconcile-only",)):
        ended = world.run(*command)
        assert ended.code == 6, ended
        first, *rest = ended.err.strip().splitlines()
        assert first.startswith("error: ")
        assert "journal" in first
        assert len(rest) <= 1, "one line and a hint"
        assert "--accept-broker-state" in "".join(rest)
    assert len(world.there.log()) == 1
    assert {name: rows for name, rows in world.content().items() if name != "lease"} == {
        name: rows for name, rows in before.items() if name != "lease"
    }


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE journal SET payload = replace(payload, '99', '98') WHERE kind = 'IntentPlanned'",
        "DELETE FROM journal WHERE kind <> 'RunStarted'",
    ],
)
def test_a_person_may_take_the_brokers_word_for_a_journal_that_was_changed(killed: World, change: str):
    """Books, stops and targets come from the orders of ours that the broker holds; what was stored is kept."""
    spoiled = killed.session()
    peak = json.loads(killed.run("risk", "show", "--json").ok().out)["peak"]
    assert killed.write(change) >= 1
    assert killed.write("DELETE FROM checkpoints") == 13
    assert killed.resume().code == 6
    rows = killed.rows("SELECT count(*) AS n FROM journal")[0]["n"]
    ended = killed.resume("--accept-broker-state").ok()
    assert "journal broken" in ended.out
    assert "portfolio value: $0" not in ended.out
    (carried,) = killed.facts("RiskCarried")
    assert (carried["session_id"], carried["record"]["peak"]) == (f"{spoiled['id']}-broken-1", peak)
    kept = killed.rows("SELECT * FROM sessions WHERE id <> ?", spoiled["id"])
    assert [(row["status"], row["id"]) for row in kept] == [("closed", f"{spoiled['id']}-broken-1")]
    stored = killed.rows("SELECT count(*) AS n FROM journal WHERE session_id = ?", kept[0]["id"])
    assert stored[0]["n"] == rows, "a row was lost"
    for table in (
        "journal",
        "fills",
        "closed_trades",
        "discrepancies",
        "requests",
        "positions",
        "checkpoints",
        "orders",
    ):
        killed.write(f"DELETE FROM {table} WHERE session_id = ?", kept[0]["id"])
    killed.write("DELETE FROM sessions WHERE id = ?", kept[0]["id"])  # an audit knows one session
    audit(killed)
    assert entries(killed) == ENTRIES


def test_the_brokers_word_is_for_a_resume_only_and_changes_nothing_where_all_verifies(killed: World):
    refused = killed.run("--accept-broker-state", "--symbols", "AAPL")
    assert refused.code == 2
    assert "Nothing needed accepting: the journal of session" in killed.resume("--accept-broker-state").ok().out
    audit(killed)
    assert entries(killed) == ENTRIES


def damaged(world: World) -> bytes:
    """Cut the database in half; its bytes as they then are."""
    fold(world)
    whole = world.database.read_bytes()
    assert len(whole) > 100_000
    world.database.write_bytes(whole[: len(whole) // 2])
    return world.database.read_bytes()


def copies(world: World) -> list[Path]:
    """Damaged databases that were kept, without the logs that go with them."""
    return [path for path in world.home.glob("gambler.sqlite3.damaged-*") if not path.name.endswith("-wal")]


def fold(world: World) -> None:
    """Everything into the one file, as the last one to close it does."""
    file = sqlite3.connect(world.database)
    assert file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    file.close()


@sqlite_only
def test_a_database_cut_short_is_copied_aside_and_left_alone(killed: World):
    bytes_ = damaged(killed)
    for _ in range(2):
        ended = killed.resume()
        assert ended.code == 5, ended
        assert ended.err.startswith("error: ")
        assert "Traceback" not in ended.err
        [kept] = copies(killed)  # once, however often it is tried
        assert f"was copied to {kept}" in ended.err
        assert kept.read_bytes() == bytes_
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert len(killed.there.log()) == 1


@sqlite_only
def test_a_copy_that_an_upgrade_has_kept_is_named_if_it_is_whole(killed: World):
    for name, spoilt in (("gambler.sqlite3.before-0002-20081007-100000", False), ("gambler.sqlite3.before-0001", True)):
        backup(killed, killed.home / name)
        if spoilt:
            (killed.home / name).write_bytes(b"x" * 5_000)
    damaged(killed)
    ended = killed.resume()
    assert ended.code == 5, ended
    assert f"a copy that is whole: {killed.home / 'gambler.sqlite3.before-0002-20081007-100000'}" in ended.err


@sqlite_only
def test_damage_that_shows_only_when_a_checkpoint_is_read_stops_the_resume_as_well(killed: World):
    """A page of an index is overwritten: everything that is read on the way is still there."""
    spoil(killed, 13)
    fold(killed)
    [row] = killed.rows("SELECT rootpage FROM sqlite_master WHERE name = 'ix_requests_open'")
    page = row["rootpage"]
    bytes_ = bytearray(killed.database.read_bytes())
    bytes_[(page - 1) * 4096 : page * 4096] = b"\x0a" + b"\xff" * 4095
    killed.database.write_bytes(bytes_)
    ended = killed.resume()
    assert ended.code == 5, ended
    assert "was copied to" in ended.err
    assert len(copies(killed)) == 1


def backup(world: World, copy: Path) -> None:
    """A copy of the database by SQLite's own means."""
    source, target = sqlite3.connect(world.database), sqlite3.connect(copy)
    source.backup(target)
    source.close()
    target.close()


@sqlite_only
def test_a_copy_of_the_database_is_enough(killed: World):
    copy = killed.folder / "copy.sqlite3"
    backup(killed, copy)
    killed.run("--database-url", f"sqlite:///{copy}", "--resume").ok()
    assert [r["symbol"] for r in killed.there.accepted()] == ["AAPL", "MSFT"]
