"""Bytes that rot: a checkpoint is a cache and is gone around, the journal is the truth and is not."""

import json
import sqlite3
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
    ended = world.resume()
    assert ended.code == 5, ended
    first, *rest = ended.err.strip().splitlines()
    assert first.startswith("error: ")
    assert "journal" in first
    assert len(rest) <= 1, "one line and a hint"
    assert "--new" in "".join(rest)
    assert len(world.there.log()) == 1


@sqlite_only
def test_a_database_cut_short_is_named_and_left_alone(killed: World):
    for name in ("-wal", "-shm"):
        killed.database.with_name(killed.database.name + name).unlink(missing_ok=True)
    whole = killed.database.read_bytes()
    killed.database.write_bytes(whole[: len(whole) // 2] or b"x" * 5000)
    ended = killed.resume()
    assert ended.code == 5, ended
    assert ended.err.startswith("error: ")
    assert "Traceback" not in ended.err


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
