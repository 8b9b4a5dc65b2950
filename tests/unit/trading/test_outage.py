"""A database that goes away under a running session: nothing is lost, nothing is taken for stored that is not."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from gambler_ai.clock import ManualClock
from gambler_ai.core import events as ev
from gambler_ai.core.engine import Decisions
from gambler_ai.core.evolution import evolve
from gambler_ai.core.state import SessionState
from gambler_ai.errors import DatabaseOutage, SessionLeased, StorageError, TryAgainLater
from gambler_ai.storage import inspect, journal, lease, sessions
from gambler_ai.storage.database import Database, on_begin, on_connect
from gambler_ai.trading.ledger import Ledger
from gambler_ai.trading.outage import LOCK_TRIES, PATIENCE_S, Outage
from gambler_ai.trading.recovery import restore
from tests.databases import postgres_only, sqlite_only
from tests.unit.fakes import AT, SESSION, D, after
from tests.unit.trading.conftest import Notes


class Waiting(ManualClock):
    """Wall time that passes only while the database is waited for; what happens meanwhile is up to the test."""

    def __init__(self) -> None:
        super().__init__(AT)
        self.waits = 0
        self.pauses: list[float] = []
        self.each: Callable[[int], bool | None] = lambda _: None
        self._later_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self._later_s

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.each(-len(self.pauses))

    def stop_asked(self, timeout_s: float) -> bool:
        self.waits += 1
        self._later_s += timeout_s
        return bool(self.each(self.waits))


@pytest.fixture
def clock() -> Waiting:
    return Waiting()


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def ledger(database: Database, state: SessionState, clock: Waiting, notes: Notes) -> Iterator[Ledger]:
    held = lease.acquire(database, state.account_id, state.session_id, "pid 1", clock)
    outage = Outage(database, clock, clock.stop_asked, notes, seed=1)
    yield Ledger(database, held, state, head=journal.GENESIS, created=0, wall=clock, outage=outage)
    held.close()


def write(ledger: Ledger, state: SessionState, second: int = 0, *, checkpoint: bool = False) -> None:
    facts: list[ev.Fact] = [ev.TradingHalted(after(seconds=second), ev.PERSON, "x")]
    ledger.commit(Decisions(facts=facts, changes=evolve(state, facts)), checkpoint=checkpoint)


def check_stored(database: Database, ledger: Ledger, rows: int, checkpoints: int = 0) -> None:
    """The journal has these rows, each once, and they verify."""
    with database.read() as db:
        info = sessions.find(db, SESSION)
        inspect.check_chain(db, info)
        assert db.execute(sa.text("SELECT count(*) FROM checkpoints")).scalar() == checkpoints
    assert (info.seq, info.checkpoints) == (rows, checkpoints)
    assert restore(database, info).state.seq == rows


def broken(database: Database, *, stored: bool, act: Callable[[], None] = lambda: None, times: int = 1) -> None:
    """The next commits fail with the driver's own error; with ``stored`` they have happened all the same."""
    left = times
    error: BaseException
    if database.path is not None:
        import sqlite3

        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = 1034  # an fsync
    else:
        import psycopg

        error = psycopg.OperationalError("consuming input failed: server closed the connection unexpectedly")

    def on_commit(db: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            return
        raw = db.connection.dbapi_connection
        raw.commit() if stored else raw.rollback()
        act()
        raise DBAPIError(None, None, error)

    event.listen(database.engine, "commit", on_commit)


@pytest.mark.parametrize("stored", [True, False], ids=["it had happened", "it had not"])
@pytest.mark.parametrize("checkpoint", [True, False], ids=["checkpoint", "facts"])
def test_a_commit_whose_outcome_is_unknown_is_looked_for_and_stored_once(
    database, ledger, state, notes, stored, checkpoint
):
    write(ledger, state)
    broken(database, stored=stored)
    write(ledger, state, 1, checkpoint=checkpoint)
    check_stored(database, ledger, 2, int(checkpoint))
    write(ledger, state, 2)
    check_stored(database, ledger, 3, int(checkpoint))
    lost, back = notes.words
    assert lost.startswith(f"lost: database {database.name}: ")
    assert back == "back"
    assert "away for 1 s" in ledger.take_passed_outage()
    assert ledger.take_passed_outage() == ""


@pytest.mark.parametrize("stored", [True, False])
def test_a_checkpoint_alone_is_looked_for_too(database, ledger, state, stored):
    write(ledger, state)
    broken(database, stored=stored)
    assert ledger.checkpoint().number == 1
    assert ledger.checkpoint().number == 2
    check_stored(database, ledger, 1, 2)


@pytest.mark.parametrize("stored", [True, False], ids=["it had happened", "it had not"])
def test_history_of_which_nobody_knows_whether_it_was_rolled_up_is_counted_anew(database, ledger, state, stored):
    facts: list[ev.Fact] = [ev.Marked(after(minutes=minute), {"AAPL": D(100)}, {}) for minute in range(23)]
    ledger.commit(Decisions(facts=facts, changes=evolve(state, facts)), checkpoint=True)
    assert not ledger.roll_up(100)  # all of them are counted
    broken(database, stored=stored)
    while ledger.roll_up(20):
        pass
    with database.read() as db:
        info = sessions.find(db, SESSION)
        inspect.check_chain(db, info)
        assert db.execute(sa.text("SELECT count(*) FROM journal WHERE kind = 'Marked'")).scalar() in (20, 21)


def test_a_database_that_is_another_one_afterwards_is_not_written(database, ledger, state):
    write(ledger, state)
    write(ledger, state, 1)

    other = Database(database.url.render_as_string(hide_password=False))

    def go_back() -> None:
        with other.write() as db:
            db.execute(sa.text("UPDATE sessions SET seq = 1"))

    broken(database, stored=False, act=go_back)
    with pytest.raises(StorageError, match="another database than before the outage"):
        write(ledger, state, 2)
    other.close()


def test_an_outage_that_outlasts_patience_ends_the_session_and_nothing_is_lost(database, ledger, state, clock):
    write(ledger, state)

    broken(database, stored=False, times=1_000)
    with pytest.raises(TryAgainLater, match=f"away for {PATIENCE_S:.0f} s") as caught:
        write(ledger, state, 1)
    assert caught.value.exit_code == 75
    assert "nothing was lost" in caught.value.hint
    assert 60 <= clock.waits <= PATIENCE_S + 1
    with pytest.raises(DatabaseOutage):
        ledger.before_send()
    ledger.release()  # asks the database nothing
    other = Database(database.url.render_as_string(hide_password=False))
    assert not lease.is_locked(other, "acc-1")
    other.close()


def test_a_stop_during_an_outage_ends_it_at_once(database, ledger, state, clock):
    broken(database, stored=False)
    clock.each = lambda _: True
    with pytest.raises(TryAgainLater, match="stopped while the database was away") as caught:
        write(ledger, state)
    assert (clock.waits, caught.value.exit_code) == (1, 75)


def test_reading_what_is_asked_and_pruning_are_carried_over_it_as_well(database, ledger, state, notes):
    for _ in range(3):
        ledger.checkpoint()
    broken(database, stored=False)
    assert ledger.prune(1) == 2
    broken(database, stored=True)
    assert ledger.requests() == []
    assert notes.words.count("back") == 2


def test_nothing_is_sent_while_the_database_is_away(database, ledger, state, clock):
    ledger.before_send()
    seen = []

    def look(_: int) -> None:
        with pytest.raises(DatabaseOutage, match="away"):
            ledger.before_send()
        seen.append(True)

    clock.each = look
    broken(database, stored=False)
    write(ledger, state)
    assert seen
    ledger.before_send()


def test_what_is_sent_after_a_long_silence_renews_the_lease_first(database, ledger, clock):
    clock.stop_asked(50.0)
    with database.write() as db:
        db.execute(sa.text("UPDATE lease SET until_s = 0"))
    ledger.before_send()
    with database.read() as db:
        assert db.execute(sa.text("SELECT until_s FROM lease")).scalar_one() > 0


def test_what_is_sent_after_another_has_taken_over_is_not_sent(database, ledger, clock):
    with database.write() as db:
        db.execute(sa.text("UPDATE lease SET token = 2, owner = 'pid 2'"))
    clock.stop_asked(50.0)
    with pytest.raises(SessionLeased, match="now held by pid 2"):
        ledger.before_send()


def test_a_quiet_market_is_not_a_dead_owner(database, ledger, clock):
    def until_s() -> float:
        with database.read() as db:
            return float(db.execute(sa.text("SELECT until_s FROM lease")).scalar_one())

    first = until_s()
    ledger.keep_lease()
    assert until_s() == first
    clock.stop_asked(lease.RENEW_EVERY_S)
    ledger.keep_lease()
    assert until_s() >= first + lease.RENEW_EVERY_S


# -- the real thing, of each kind -------------------------------------------------------------------


@sqlite_only
def test_a_lock_of_somebody_elses_is_waited_for_and_is_no_outage_at_first(database, ledger, state, clock, notes):
    other = Database(database.url.render_as_string(hide_password=False))
    connection = other.engine.connect()
    holding = connection.begin()
    clock.each = lambda n: holding.rollback() if n == 1 - LOCK_TRIES else None
    write(ledger, state)
    assert (len(clock.pauses), notes.words) == (LOCK_TRIES - 1, [])
    assert all(0 <= pause <= 0.5 for pause in clock.pauses)
    check_stored(database, ledger, 1)
    connection.close()
    other.close()


@sqlite_only
def test_a_file_that_is_gone_is_not_made_anew_and_is_found_again(database, ledger, state, clock, notes):
    write(ledger, state)
    away = database.path.with_name("elsewhere")
    database.path.rename(away)

    def back(waits: int) -> None:
        assert not database.path.exists()
        if waits == 3:
            away.rename(database.path)

    clock.each = back
    write(ledger, state, 1)
    assert notes.words[0].endswith("the file was moved or deleted")
    check_stored(database, ledger, 2)


@sqlite_only
def test_a_full_database_is_an_outage(database, ledger, state, clock, notes):
    """SQLite's own limit of pages gives the error of a disk that is full."""
    write(ledger, state)

    def limited(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")

    event.listen(database.engine, "connect", limited)
    database.engine.dispose()
    clock.each = lambda _: event.remove(database.engine, "connect", limited) if clock.waits == 2 else None
    state.parameters["long"] = "x" * 100_000
    write(ledger, state, 1, checkpoint=True)
    assert "database or disk is full" in notes.words[0]
    check_stored(database, ledger, 2, 1)


@sqlite_only
def test_a_disk_too_full_for_copying_the_log_is_an_outage_as_well(database, ledger, state, clock, notes):
    """Opening it anew copies the log into the file, by the driver's own cursor."""
    write(ledger, state)

    class Full(sqlite3.Cursor):
        def execute(self, statement: str, *args: Any) -> Any:
            if "wal_checkpoint" in statement and clock.waits < 3:
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise error
            return super().execute(statement, *args)

    class Driver(sqlite3.Connection):
        def cursor(self, factory: Any = Full) -> Any:
            return super().cursor(factory)

    database.engine.dispose()
    database.engine = sa.create_engine(database.url, connect_args={"factory": Driver})
    event.listen(database.engine, "connect", on_connect)
    event.listen(database.engine, "begin", on_begin)
    with pytest.raises(DatabaseOutage, match="disk is full"):
        database.reopen()
    clock.waits = 3
    database.reopen()
    write(ledger, state, 1)
    check_stored(database, ledger, 2)
    assert notes.words == []


@sqlite_only
def test_what_rots_is_no_outage(database, ledger, state, notes):
    with database.write() as db:
        db.execute(sa.text("DROP TABLE journal"))
    with pytest.raises(StorageError, match="no such table") as caught:
        write(ledger, state)
    assert not isinstance(caught.value, DatabaseOutage)
    assert notes.words == []


@postgres_only
def test_a_server_that_ends_our_connections_is_asked_again(database, ledger, state, postgres, notes):
    write(ledger, state)

    killed: list[bool] = []

    def kill(_: Any) -> None:
        if not killed:
            killed.append(True)
            ours = f"datname = '{database.url.database}'"
            postgres.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {ours}")

    event.listen(database.engine, "commit", kill)
    write(ledger, state, 1)
    assert notes.words[-1] == "back"
    check_stored(database, ledger, 2)


@postgres_only
def test_a_server_that_admits_nobody_for_a_while(database, ledger, state, postgres, clock, notes):
    write(ledger, state)
    name = database.url.database
    ours = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'"
    postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false", ours)

    def admit(waits: int) -> None:
        if waits == 2:
            postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    clock.each = admit
    write(ledger, state, 1)
    assert notes.words[-1] == "back"
    check_stored(database, ledger, 2)
