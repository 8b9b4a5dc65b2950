"""A session's files for other people's dashboards: whole or as they were, private, and read without disturbing it."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gambler_ai.app import fno_files
from gambler_ai.app.ancestry import read_files
from gambler_ai.app.fno_files import Snapshot, snapshot, write
from gambler_ai.app.inheriting import store_archive
from gambler_ai.clock import ManualClock
from gambler_ai.core import events as ev
from gambler_ai.errors import ConfigError, SessionNotFound
from gambler_ai.storage import lease, sessions
from gambler_ai.storage import tables as t
from gambler_ai.storage.database import Database
from tests.unit.ancestors.fno import SYSTEM
from tests.unit.app.moved import Home, commit, write_session
from tests.unit.fakes import ACCOUNT, AT, SESSION, after

NAMES = ["fno_system_state.json", "shared_portfolio_state.json", "current_state.json"]


@pytest.fixture
def moved(tmp_path: Path) -> Home:
    return Home(tmp_path / "moved")


@pytest.fixture
def running(moved: Home) -> Iterator[Database]:
    """A database whose one session holds ten AAPL and is somebody's at this moment."""
    with moved.database() as database:
        write_session(database)
        held = lease.acquire(database, ACCOUNT, SESSION, "a runner", moved.clock)
        yield database
        held.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where they go."""
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


@pytest.fixture
def made() -> Snapshot:
    return Snapshot(SESSION, dict.fromkeys(NAMES, b'{"made": 1}\n'))


# -- what is in them ------------------------------------------------------------------------------


def test_a_session_that_runs_is_read_and_nothing_of_it_is_written(moved: Home, running: Database):
    before = moved.content()
    found = snapshot(running, None)
    assert moved.content() == before
    assert list(found.files) == NAMES
    system, portfolio, day = (json.loads(data) for data in found.files.values())
    assert system["portfolio"]["positions"]["AAPL"]["shares"] == 10
    assert portfolio["positions"].keys() == day["portfolio"]["positions"].keys() == {"AAPL"}
    assert system["timestamp"] == portfolio["timestamp"] == day["last_update"] == after(minutes=1).isoformat()


def test_the_session_is_the_one_that_is_named_or_the_one_to_go_on_with(moved: Home, running: Database):
    write_session(running, "s-2", "acc-2", held=False)
    assert snapshot(running, SESSION).session_id == SESSION
    assert snapshot(running, "s-2").session_id == "s-2"
    with pytest.raises(SessionNotFound):
        snapshot(running, "s-3")


def test_without_a_session_it_says_so(moved: Home):
    with moved.database() as database, pytest.raises(SessionNotFound, match="no session to write out"):
        snapshot(database, None)


def test_an_archived_session_has_no_files_of_ours(moved: Home, running: Database, tmp_path: Path):
    (tmp_path / "x.json").write_text(json.dumps(SYSTEM))
    reading = read_files([tmp_path / "x.json"], AT.tzinfo)  # type: ignore[arg-type]
    outcome = store_archive(running, ManualClock(after(days=1)), reading)
    with pytest.raises(ConfigError, match="is another bot's, archived"):
        snapshot(running, outcome.session_id)
    assert snapshot(running, None).session_id == SESSION
    with running.write() as db:
        db.execute(t.sessions.update().where(t.sessions.c.id == SESSION).values(status="completed"))
    assert snapshot(running, None).session_id == SESSION, "the newest of ours, not the newest of all"


# -- where they go --------------------------------------------------------------------------------


def test_a_directory_gets_all_three_and_a_file_the_first(place: Path, made: Snapshot):
    assert write(made, f"{place}/a/b/") == [place / "a/b" / name for name in NAMES]
    assert write(made, str(place / "a/b")) == [place / "a/b" / name for name in NAMES]
    assert write(made, str(place / "one.json")) == [place / "one.json"]
    assert sorted(path.name for path in place.rglob("*")) == sorted(["a", "b", "one.json", *NAMES])


def test_what_is_not_there_is_a_directory_unless_it_is_named_as_a_file(place: Path, made: Snapshot):
    assert len(write(made, f"{place}/state")) == 3
    assert [path.name for path in write(made, f"{place}/state.json")] == ["state.json"]
    (place / "plain").write_bytes(b"{}")
    assert write(made, f"{place}/plain") == [place / "plain"]


def test_files_and_directories_are_private(place: Path, made: Snapshot):
    old = os.umask(0)
    try:
        paths = write(made, f"{place}/a/")
    finally:
        os.umask(old)
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
    assert stat.S_IMODE((place / "a").stat().st_mode) == 0o700


def test_an_older_file_is_replaced_and_its_readers_see_one_or_the_other(place: Path, made: Snapshot):
    path = place / "one.json"
    path.write_bytes(b'{"older": 1}')
    with path.open("rb") as reader:
        write(made, str(path))
        assert reader.read() == b'{"older": 1}'
    assert path.read_bytes() == b'{"made": 1}\n'
    assert list(place.iterdir()) == [path]


@pytest.mark.parametrize("what", ["link", "pipe", "database", "text"])
def test_what_is_something_else_is_never_replaced(place: Path, made: Snapshot, what: str):
    path, victim = place / NAMES[2], place / "victim.json"
    victim.write_bytes(b"{}")
    if what == "link":
        path.symlink_to(victim)
    elif what == "pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(b"SQLite format 3\0" if what == "database" else b"my notes")
    before = path.lstat()
    with pytest.raises(ConfigError, match=r"cannot be written|is no file of this kind"):
        write(made, str(place))
    assert path.lstat() == before
    assert victim.read_bytes() == b"{}"
    assert not (place / NAMES[0]).exists(), "it looks at all before it writes one"


@pytest.mark.parametrize("out", ["no/such/x.json", "file/x.json", "file/", "a\0b", "n" * 300])
def test_a_place_that_cannot_be_is_one_clear_line(place: Path, made: Snapshot, out: str):
    (place / "file").write_bytes(b"{}")
    with pytest.raises(ConfigError, match=r"--out: .* cannot be (written|made)") as raised:
        write(made, f"{place}/{out}")
    assert "\n" not in raised.value.message
    assert [path.name for path in place.iterdir()] == ["file"]


def test_round_trips_closed_after_the_state_was_read_are_left_to_the_next_time(moved: Home):
    with moved.database() as database:
        state = write_session(database)  # two round trips in the table, none in the state
        with database.read() as db:
            head = sessions.find(db, SESSION).journal_hash
        state.closed_trades = 2
        commit(database, state, head, 3, ev.Marked(after(minutes=2), {}, {}))
        for known in (0, 1, 2):
            state.closed_trades = known
            assert len(fno_files._trades(database, state)) == known
