"""One runner an account: the second is told who has it, the replaced one writes nothing more."""

from __future__ import annotations

import stat
from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from gambler_ai.clock import ManualClock
from gambler_ai.errors import SessionLeased
from gambler_ai.storage import lease, locks, views
from gambler_ai.storage import tables as t
from gambler_ai.storage.database import Database
from tests.databases import sqlite_only
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


def test_a_renewal_says_until_when(database):
    held = acquire(database)
    CLOCK.move_to(AT + timedelta(hours=1))
    with database.write() as db:
        held.renew(db)
        until = db.execute(sa.select(t.lease.c.until)).scalar()
    assert until == AT + timedelta(hours=1) + lease.LEASE_TTL
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
    future = ManualClock(AT + timedelta(days=365 * 60))
    held = lease.acquire(database, "acc-1", "s-1", "pid 1", future)
    assert lease.is_held(database, "acc-1")
    with pytest.raises(SessionLeased, match="traded by pid 1"):
        lease.acquire(database, "acc-1", "s-1", "pid 2", future)
    with database.write() as db:
        held.release(db)
    assert not lease.is_held(database, "acc-1")
    assert lease.acquire(database, "acc-1", "s-1", "pid 2", CLOCK).token == 2
    # Sixty seconds of the owner's silence on the database's clock, and the account is free.
    assert not lease.is_held(database, "acc-1")
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
