"""Session rows: found by the beginning of their id, and by nothing that is no id."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from gambler_ai.errors import ConfigError, SessionNotFound, StorageError
from gambler_ai.storage import sessions
from tests.unit.fakes import AT, D, after, make_plan, make_state
from tests.unit.storage.conftest import add


def insert(database, session_id: str, hour: int = 0, status: str = "running", broker: str = "embedded") -> None:
    state = make_state(session_id=session_id, status=status)
    with database.write() as db:
        sessions.insert(db, state, broker=broker, trading_url="u", genesis="g", wall=after(hours=hour))


def find(database, prefix: str) -> sessions.SessionInfo:
    with database.read() as db:
        return sessions.find(db, prefix)


def test_a_row_says_what_the_session_is_bound_to(database):
    state = make_state(parameters={"lookback": 5})
    add(database, state)
    info = find(database, state.session_id)
    assert (info.plan, info.parameters, info.account_id, info.broker) == (
        make_plan(), {"lookback": 5}, "acc-1", "embedded",
    )  # fmt: skip
    assert (info.seq, info.checkpoints, info.initial_capital, info.status) == (0, 0, D(100_000), "created")


def test_an_update_writes_what_moved_and_nothing_else(database):
    state = make_state()
    add(database, state)
    state.seq, state.status, state.end_reason, state.last_at = 9, "stopped", "signal", after(hours=1)
    state.realized_pnl, state.closed_trades = D("-1.5"), 2
    with database.write() as db:
        sessions.update(db, state, head="h", checkpoints=4, wall=after(hours=2))
    info = find(database, state.session_id)
    assert (info.seq, info.status, info.end_reason, info.journal_hash, info.checkpoints) == (
        9,
        "stopped",
        "signal",
        "h",
        4,
    )
    assert (info.realized_pnl, info.closed_trades, info.last_at, info.updated_at) == (
        D("-1.5"), 2, after(hours=1), after(hours=2),
    )  # fmt: skip
    assert (info.started_at, info.created_at) == (AT, AT)


@pytest.mark.parametrize(
    ("prefix", "found"),
    [("20081007-a", "20081007-a"), ("20081007-ab", "20081007-abc1"), ("2009", "20090101-zz"), ("x_y", "x_y")],
)
def test_it_is_found_by_its_id_or_the_beginning_of_it(database, prefix, found):
    for session_id in ("20081007-a", "20081007-abc1", "20090101-zz", "x_y", "xzy"):
        insert(database, session_id)
    assert find(database, prefix).id == found


@pytest.mark.parametrize(("prefix", "says"), [("2008", "more than one session"), ("3", "no session")])
def test_none_or_several_are_told_with_what_there_is(database, prefix, says):
    insert(database, "20081007-a")
    insert(database, "20081007-b")
    with pytest.raises(SessionNotFound, match=says) as caught:
        find(database, prefix)
    assert "20081007-a (running)" in caught.value.hint


def test_letters_count_as_they_are_written(database):
    insert(database, "run-abc")
    insert(database, "run-ABD")
    assert find(database, "run-ab").id == "run-abc"


@pytest.mark.parametrize("prefix", ["", "a%", "a b", "../x", "a;DROP TABLE sessions", "a" * 65, "é", "a\n", "*"])
def test_what_is_no_id_is_refused(database, prefix):
    with pytest.raises(ConfigError, match="is not a session id"):
        find(database, prefix)


def test_the_newest_that_is_not_completed_is_open(database):
    with database.read() as db:
        assert sessions.newest_open(db) is None
    insert(database, "one", 1, "stopped")
    insert(database, "two", 2, "running", broker="alpaca")
    insert(database, "three", 3, "completed")
    with database.read() as db:
        assert [s.id for s in sessions.listed(db)] == ["three", "two", "one"]
        assert [s.id for s in sessions.listed(db, 1)] == ["three"]
        found = sessions.newest_open(db), sessions.newest_open(db, "embedded"), sessions.newest_open(db, "other")
    assert [s and s.id for s in found] == ["two", "one", None]


def test_nothing_to_resume_says_what_there_is(database):
    with database.read() as db:
        assert sessions.nothing_to_resume(db).hint == "this database holds no session yet"
    insert(database, "one", status="completed")
    with database.read() as db:
        assert sessions.nothing_to_resume(db).hint == "there is: one (completed)"


@pytest.mark.parametrize("column", ["plan", "parameters"])
def test_a_stored_plan_that_cannot_be_read_is_told_in_one_line(database, column):
    insert(database, "one")
    with database.write() as db:
        db.execute(sa.text(f"UPDATE sessions SET {column} = '{{'"))
    with pytest.raises(StorageError, match="the stored plan of session one cannot be read"):
        find(database, "one")


def test_sessions_of_scripts_are_open_to_scripts_only(database):
    insert(database, "one", 1)
    insert(database, "two", 2, broker=sessions.SCRIPT)
    with database.read() as db:
        found = sessions.newest_open(db), sessions.newest_open(db, scripts=True)
    assert [s and s.id for s in found] == ["one", "two"]


def test_a_session_is_open_at_the_address_it_was_begun_at(database):
    insert(database, "one", 1, broker="alpaca")
    with database.read() as db:
        found = [sessions.newest_open(db, "alpaca", url) for url in ("u", None, "v")]
    assert [s and s.id for s in found] == ["one", "one", None]
