"""One runner an account: the second is told who has it, the replaced one writes nothing more."""

from __future__ import annotations

import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta

import pytest
import sqlalchemy as sa

from gambler_ai.clock import ManualClock, SystemClock
from gambler_ai.core import events as ev
from gambler_ai.core.evolution import evolve
from gambler_ai.errors import DatabaseOutage, SessionLeased
from gambler_ai.storage import journal, lease, locks, views
from gambler_ai.storage import tables as t
from gambler_ai.storage.database import Database
from tests.databases import postgres_only, sqlite_only
from tests.unit.fakes import AT

CLOCK = ManualClock(AT)


def acquire(database: Database, owner: str = "pid 1", account: str = "acc-1") -> lease.Lease:
    return lease.acquire(database, account, "s-1", owner, CLOCK)


def test_a_second_runner_is_refused_and_told_who_has_it(database):
    held = acquire(database, "pid 42 on here")
    with pytest.raises(SessionLeased, match=r"account acc-1 is traded by pid 42 on here$"):
        acquire(database, "pid 43")
    assert lease.is_held(database, "acc-1")
    with database.read() as db:
        assert views.lease_owner(db, "acc-1") == "pid 42 on here"
    held.close()


def test_one_that_is_just_starting_is_named_before_its_row_is_there(database):
    held = acquire(database, "pid 42 on here")
    with database.write() as db:
        db.execute(t.lease.delete())
    with pytest.raises(SessionLeased, match=r"is traded by pid 42 on here$"):
        acquire(database, "pid 43")
    held.close()


class Passed(locks.HostLock):
    """A lock that nobody had when it was looked at: its owner died in the moment the wait for it was over."""

    def __init__(self, *holders: str | None) -> None:
        super().__init__(None, "a")
        self.left = list(holders)  # who has it at each try; "" nobody, None ourselves

    def take(self, owner, clock):
        return self.left[0] is None

    def owner(self):
        return self.left.pop(0)


def test_a_lock_that_was_let_go_while_it_was_waited_for_is_taken_and_another_owner_is_named():
    clock = ManualClock(AT)
    assert lease.take(Passed(None), "me", clock) is None
    assert lease.take(Passed("", "", None), "me", clock) is None
    assert lease.take(Passed("", "pid 7 on there"), "me", clock) == "pid 7 on there"
    assert lease.take(Passed(*[""] * 9), "me", clock) == ""


def test_another_account_is_another_lease(database):
    one, two = acquire(database), acquire(database, account="acc-2")
    assert (one.token, two.token) == (1, 1)
    one.close()
    two.close()


@pytest.mark.parametrize("released", [True, False], ids=["given back", "died"])
def test_the_next_owner_has_a_token_one_above(database, released):
    first = acquire(database)
    if released:
        with database.write() as db:
            first.release(db)
    first.close()
    assert not lease.is_held(database, "acc-1")
    second = acquire(database, "pid 2")
    assert (first.token, second.token) == (1, 2)
    second.close()


def age(database: Database) -> None:
    """Let the owner have said nothing for longer than a lease lasts."""
    with database.write() as db:
        db.execute(t.lease.update().values(until=AT, until_s=0.0))


def test_a_renewal_says_until_when_by_the_databases_clock(database):
    """The owner's own wall clock says 2008, and counts for nothing."""
    held = acquire(database)
    age(database)
    with held.writing(database):
        pass
    with database.read() as db:
        row = db.execute(sa.select(t.lease)).one()
    left = row.until - SystemClock().now()
    assert lease.LEASE_TTL - timedelta(seconds=20) < left <= lease.LEASE_TTL + timedelta(seconds=1)
    assert 40 < row.until_s - SystemClock().monotonic() <= lease.LEASE_TTL.total_seconds()
    held.close()


def test_a_replaced_owner_is_told_and_writes_nothing(database, session):
    old = acquire(database, "pid 1")
    old.close()  # frozen: the machine's lock is gone, the process goes on
    new = acquire(database, "pid 2")

    def write() -> None:
        with database.write() as db:
            db.execute(sa.text("UPDATE sessions SET status = 'mine'"))
            old.renew(db)

    with pytest.raises(SessionLeased, match="this runner was replaced: the account is now held by pid 2"):
        write()
    with database.read() as db:
        assert db.execute(sa.text("SELECT status FROM sessions")).scalar() == "created"
    with database.write() as db:
        old.release(db)  # frees nothing of the new owner's
        new.renew(db)
        assert db.execute(sa.select(t.lease.c.released)).scalar() is False
    new.close()


def test_an_owner_whose_row_is_gone_is_told(database):
    held = acquire(database)
    with database.write() as db:
        db.execute(t.lease.delete())
    with pytest.raises(SessionLeased, match="held by nobody"), database.write() as db:
        held.renew(db)
    held.close()


@sqlite_only
def test_the_lock_is_private_and_freed_when_acquiring_fails(database, tmp_path):
    held = acquire(database)
    [lock] = (tmp_path / "state").glob("*.lock")
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600
    held.close()
    held.close()
    with database.write() as db:
        db.execute(sa.text("ALTER TABLE lease RENAME TO elsewhere"))
    with pytest.raises(Exception, match="no such table"):
        acquire(database)
    with database.write() as db:
        db.execute(sa.text("ALTER TABLE elsewhere RENAME TO lease"))
    acquire(database).close()


def test_without_a_file_the_row_decides():
    database = Database("sqlite://")
    database.prepare()
    held = acquire(database)
    assert lease.is_held(database, "acc-1")
    with pytest.raises(SessionLeased, match="traded by pid 1"):
        acquire(database, "pid 2")
    with database.write() as db:
        held.release(db)
    assert not lease.is_held(database, "acc-1")
    assert acquire(database, "pid 2").token == 2
    age(database)
    assert not lease.is_held(database, "acc-1")
    assert acquire(database, "pid 3").token == 3
    assert not lease.is_held(database, "acc-9")
    database.close()


class Sleeps(ManualClock):
    """Counts its pauses; in the pause given it does something."""

    def __init__(self, then: int = -1, act: Callable[[], None] = lambda: None) -> None:
        super().__init__(AT)
        self.pauses: list[float] = []
        self._then, self._act = then, act

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if len(self.pauses) == self._then:
            self._act()


@sqlite_only
def test_one_that_only_looked_is_waited_for_and_one_that_stays_for_half_a_second(database):
    held = acquire(database)
    stays = Sleeps()
    with pytest.raises(SessionLeased):
        lease.acquire(database, "acc-1", "s-1", "pid 2", stays)
    assert stays.pauses == [locks.TAKE_PAUSE_S] * (locks.TAKE_TRIES - 1)
    assert 0.4 <= sum(stays.pauses) <= 0.5
    goes = Sleeps(locks.TAKE_TRIES - 1, held.close)
    second = lease.acquire(database, "acc-1", "s-1", "pid 2", goes)
    assert (second.token, len(goes.pauses)) == (2, locks.TAKE_TRIES - 1)
    second.close()


# -- silence --------------------------------------------------------------------------------------


def test_an_owner_that_has_been_silent_for_too_long_is_replaced_and_told(database, session):
    old = acquire(database, "pid 1")
    age(database)
    assert not lease.is_held(database, "acc-1")
    new = acquire(database, "pid 2")
    assert new.token == 2
    assert lease.is_held(database, "acc-1")
    assert not old.is_sure()
    with pytest.raises(SessionLeased, match=r"replaced: the account is now held by pid 2$"), old.writing(database):
        pass
    with pytest.raises(SessionLeased, match=r"is traded by pid 2$"):
        acquire(database, "pid 3")
    old.close()
    assert lease.is_held(database, "acc-1"), "the old owner took the new one's lock along"
    with new.writing(database):
        pass
    new.close()
    assert not lease.is_held(database, "acc-1")
    third = acquire(database, "pid 3")
    assert third.token == 3
    third.close()


def test_an_owner_that_spoke_while_it_was_looked_at_keeps_its_account(database):
    """It was silent when looked at; it renews before the other has the row."""
    held = acquire(database, "pid 1")
    age(database)

    class Wakes(ManualClock):
        looks = 0

        def monotonic(self) -> float:
            self.looks += 1
            if self.looks == (1 if database.path is None else 2):  # between the look and the transaction
                with held.writing(database):
                    pass
            return super().monotonic()

    clock = Wakes(AT)
    with pytest.raises(SessionLeased, match="is traded by pid 1"):
        lease.acquire(database, "acc-1", "s-1", "pid 2", clock)
    assert clock.looks
    with held.writing(database):
        pass
    held.close()


def test_a_lock_is_not_seized_whose_row_was_given_back_while_it_was_looked_at(database):
    """The silent owner's row says nothing any more of who has the lock: a restore that keeps everybody out, say."""
    held = acquire(database, "pid 1")
    age(database)

    class GivesBack(ManualClock):
        looks = 0

        def monotonic(self) -> float:
            self.looks += 1
            if self.looks == (1 if database.path is None else 2):  # between the look and the transaction
                with database.write() as db:
                    held.release(db)
            return super().monotonic()

    with pytest.raises(SessionLeased, match="is traded by pid 1"):
        lease.acquire(database, "acc-1", "s-1", "pid 2", GivesBack(AT))
    held.close()


@sqlite_only
def test_setting_the_wall_clock_frees_no_lease_of_this_machine(database):
    held = acquire(database)
    with database.write() as db:
        db.execute(t.lease.update().values(until=AT))
    assert lease.is_held(database, "acc-1")
    with pytest.raises(SessionLeased, match="traded by pid 1"):
        acquire(database, "pid 2")
    held.close()


@sqlite_only
def test_a_lock_whose_file_was_deleted_is_made_again(database, tmp_path):
    held = acquire(database, "pid 42 on here")
    [path] = (tmp_path / "state").glob("*.lock")
    path.unlink()
    with held.writing(database):
        pass
    with pytest.raises(SessionLeased, match="traded by pid 42 on here"):
        acquire(database, "pid 2")
    held.close()


@sqlite_only
def test_who_has_locked_the_database_is_named(database):
    held = acquire(database, "pid 42 on here", account="acc-2")
    other = Database(database.url.render_as_string(hide_password=False))
    with database.write(), pytest.raises(DatabaseOutage, match=r"database is locked by pid 42 on here$") as caught:
        acquire(other, lease.signature(AT))
    assert caught.value.is_lock
    other.close()
    held.close()


@sqlite_only
def test_a_silent_owner_inside_a_write_is_named_and_not_waited_for(database):
    held = acquire(database, "pid 42 on here")
    age(database)
    other = Database(database.url.render_as_string(hide_password=False))
    began_s = CLOCK.monotonic()
    with (
        held.writing(database),
        pytest.raises(SessionLeased, match="stuck inside a write: database is locked by pid 42") as caught,
    ):
        acquire(other, "pid 2")
    assert CLOCK.monotonic() - began_s < 5
    assert "kill -CONT" in caught.value.hint
    other.close()
    held.close()


# -- before something is sent -----------------------------------------------------------------------


class Later(ManualClock):
    """Wall time that a test moves."""

    def __init__(self) -> None:
        super().__init__(AT)
        self.later_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.later_s


def test_a_lease_is_sure_until_a_request_could_outlast_it(database):
    clock = Later()
    held = lease.acquire(database, "acc-1", "s-1", "pid 1", clock)
    assert held.is_sure()
    clock.later_s = 40.0
    assert held.is_sure()
    clock.later_s = 45.1
    assert not held.is_sure()
    with held.writing(database):
        pass
    assert held.is_sure()
    held.close()


def test_a_renewal_that_was_rolled_back_makes_nothing_sure(database):
    clock = Later()
    held = lease.acquire(database, "acc-1", "s-1", "pid 1", clock)
    clock.later_s = 45.1
    with pytest.raises(ValueError, match="no"), held.writing(database):
        raise ValueError("no")
    assert not held.is_sure()
    held.close()


# -- the database's own fence -----------------------------------------------------------------------

#: An intent, a checkpoint and a journal row as anybody could write them who has got past our code.
ROWS = {
    "journal": "INSERT INTO journal (session_id, seq, at, kind, payload, hash, token)"
    " VALUES ('{session}', 1, '2008-10-07T14:00:00+00:00', 'x', '{{}}', 'h', {token})",
    "checkpoints": "INSERT INTO checkpoints (session_id, number, at, created_at, seq, journal_hash, state_version,"
    " length, sha256, payload, portfolio_value, equity, buying_power, cash, active_positions, closed_trades, token)"
    " VALUES ('{session}', 1, '2008-10-07T14:00:00+00:00', '2008-10-07T14:00:00+00:00', 0, '', 1, 0, '', '', 0, 0, 0,"
    " 0, 0, 0, {token})",
    "intents": "INSERT INTO intents (client_order_id, session_id, account_id, decision_id, attempt, purpose, strategy,"
    " symbol, side, qty, status, reason, note, decided_at, body, body_sha256, token)"
    " VALUES ('c', '{session}', 'acc-1', 'd', 0, 'exit', 's', 'AAPL', 'buy', '1', 'planned', '', '',"
    " '2008-10-07T14:00:00+00:00', '', '', {token})",
    "structures": "INSERT INTO structures (session_id, structure_id, strategy, underlying, sector, legs, units,"
    " entry_price, exits, greeks, reason, cash, filled, settled, opened_at, end_reason, token)"
    " VALUES ('{session}', 'c', 's', 'AAPL', '', '[]', 1, '-1', '{{}}', '{{}}', '', '0', false, false,"
    " '2008-10-07T14:00:00+00:00', '', {token})",
}


@pytest.mark.parametrize("table", ROWS)
def test_the_database_refuses_a_row_under_an_old_token(database, session, table):
    acquire(database).close()
    held = acquire(database, "pid 2")

    def write(token: int) -> None:
        with database.write() as db:
            db.execute(sa.text(ROWS[table].format(session=session.session_id, token=token)))

    with pytest.raises(SessionLeased, match="replaced by another one; nothing was written"):
        write(1)
    with database.read() as db:
        assert db.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar() == 0
    write(held.token)
    held.close()


@pytest.mark.parametrize("change", ["intents SET status = 'working'", "structures SET cash = '9'"])
def test_the_database_refuses_to_change_a_row_under_an_old_token(database, session, change):
    held, table = acquire(database), change.split()[0]
    with database.write() as db:
        db.execute(sa.text(ROWS[table].format(session=session.session_id, token=1)))
    held.close()
    acquire(database, "pid 2").close()
    with pytest.raises(SessionLeased), database.write() as db:
        db.execute(sa.text(f"UPDATE {change}, token = 1"))


def test_the_fence_holds_where_our_own_check_does_not_and_the_new_owner_is_named(database, session):
    """The old owner's row was not looked at: it is as if `renew` had found it."""
    old = acquire(database, "pid 1")
    old.close()
    new = acquire(database, "pid 2")
    blind = lease.Lease("acc-1", new.token, new._lock, CLOCK, CLOCK.monotonic())
    facts = [ev.HaltRequested(AT, "x")]
    with (
        pytest.raises(SessionLeased, match=r"this runner was replaced: the account is now held by pid 2$"),
        blind.writing(database) as db,
    ):
        journal.append(db, session, facts, evolve(session, facts), journal.GENESIS, old.token)
    new.close()


@postgres_only
def test_a_take_over_waits_for_a_writer_that_has_passed_the_fence(database, session):
    """Without that, a row under the old token could be committed after the new owner has read the journal."""
    old = acquire(database)
    old.close()  # the server has its lock back; the writer goes on
    with ThreadPoolExecutor(1) as pool:
        with database.write() as db:
            db.execute(sa.text(ROWS["journal"].format(session=session.session_id, token=1)))
            taking = pool.submit(acquire, database, "pid 2")
            assert not wait([taking], timeout=0.3).done
        taking.result().close()
