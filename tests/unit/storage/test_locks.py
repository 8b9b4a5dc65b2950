"""The server's lock: it dies with its connection, its owner finds that out, and two writers wait for each other."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, closing
from typing import Any

import pytest
import sqlalchemy as sa

from gambler_ai.clock import ManualClock
from gambler_ai.core import events as ev
from gambler_ai.core.evolution import evolve
from gambler_ai.errors import DatabaseOutage, SessionLeased, StorageError
from gambler_ai.storage import journal, lease
from gambler_ai.storage import tables as t
from gambler_ai.storage.database import Database
from tests.databases import postgres_only
from tests.pooler import Pooler
from tests.postgres import Server
from tests.unit.fakes import AT, SESSION, make_state

pytestmark = postgres_only
CLOCK = ManualClock(AT)
#: Wall seconds in which whoever does not wait for a lock is long done.
A_MOMENT_S = 0.3
MARK = ev.HaltRequested(AT, "x")


def acquire(database: Database, owner: str = "pid 1") -> lease.Lease:
    return lease.acquire(database, "acc-1", "s-1", owner, CLOCK)


def renew(database: Database, held: lease.Lease) -> None:
    with database.write() as db:
        held.renew(db)


def kill_locks(postgres: Server, database: Database) -> None:
    """End the connections that hold a lock, and wait until the server has."""
    of_ours = f"datname = '{database.url.database}' AND application_name LIKE 'pid%'"
    assert postgres.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {of_ours}")


def owner_of(database: Database) -> str | None:
    with database.read() as db:
        return db.execute(sa.select(t.lease.c.owner)).scalar()


def test_an_owner_whose_lock_was_lost_takes_it_again_before_it_writes(database, postgres):
    held = acquire(database)
    kill_locks(postgres, database)
    assert not lease.is_held(database, "acc-1")
    renew(database, held)
    assert lease.is_held(database, "acc-1")
    with pytest.raises(SessionLeased, match=r"traded by pid 1$"):
        acquire(database, "pid 2")
    held.close()


def test_a_server_that_was_restarted_is_gone_on_with(database, postgres):
    held = acquire(database)
    postgres.restart()
    renew(database, held)
    assert lease.is_held(database, "acc-1")
    held.close()


def test_an_owner_whose_lock_another_has_taken_writes_nothing_more(database, postgres, session):
    old = acquire(database, "pid 1")
    kill_locks(postgres, database)
    new = acquire(database, "pid 2")
    assert new.token == 2

    def write() -> None:
        with database.write() as db:
            old.renew(db)
            db.execute(sa.text("UPDATE sessions SET status = 'mine'"))

    with pytest.raises(SessionLeased, match="this runner was replaced: the account is now held by pid 2"):
        write()
    with database.read() as db:
        assert db.execute(sa.text("SELECT status FROM sessions")).scalar() == "created"
    new.close()
    old.close()


def test_an_owner_that_was_replaced_by_one_that_has_ended_is_told_too(database, postgres):
    old = acquire(database, "pid 1")
    kill_locks(postgres, database)
    acquire(database, "pid 2").close()
    with pytest.raises(SessionLeased, match="this runner was replaced: the account is now held by pid 2"):
        renew(database, old)
    old.close()


def test_an_owner_that_cannot_reach_the_server_writes_nothing(database, postgres):
    """The lock's connection ended, and no other can be had."""
    held = acquire(database)
    name = database.url.database
    with database.write() as db:
        postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        kill_locks(postgres, database)
        with pytest.raises(StorageError, match="not currently accepting connections"):
            held.renew(db)
    postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    held.close()


def test_an_owner_that_could_not_reach_the_server_has_its_lock_again_before_it_writes(database, postgres):
    """Without it the next start would take a living owner for dead."""
    held = acquire(database)
    name = database.url.database
    with database.write() as db:
        postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        kill_locks(postgres, database)
        with pytest.raises(DatabaseOutage):
            held.renew(db)
    postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    renew(database, held)
    assert lease.is_held(database, "acc-1")
    with pytest.raises(SessionLeased, match=r"traded by pid 1$"):
        acquire(database, "pid 2")
    held.close()


def test_an_owner_that_gave_its_lock_back_writes_nothing_more(database):
    """The broker's thread may be about to send when the session ends."""
    held = acquire(database)
    held.close()
    with pytest.raises(SessionLeased):
        renew(database, held)
    assert not lease.is_held(database, "acc-1")


def test_an_owner_is_named_by_the_lock_whatever_the_row_says(database):
    first = acquire(database, "pid 41 on there")
    first.close()
    second = acquire(database, "pid 42 on here since 2008-10-07 14:00:00 UTC" + "!" * 40)
    with database.write() as db:
        db.execute(t.lease.update().values(owner="pid 41 on there"))
    with pytest.raises(SessionLeased, match=r"is traded by pid 42 on here since 2008-10-07 14:00:00 UTC!+$"):
        acquire(database, "pid 43")
    second.close()


def test_whoever_only_asks_takes_nothing(database):
    """A second program that looks must not make a start fail."""
    assert not lease.is_held(database, "acc-1")
    held = acquire(database)
    assert [lease.is_held(database, a) for a in ("acc-1", "acc-2")] == [True, False]
    held.close()
    assert not lease.is_held(database, "acc-1")


def test_an_owner_that_is_just_dying_is_waited_for(database):
    held = acquire(database)
    with ThreadPoolExecutor(1) as pool:
        taking = pool.submit(acquire, database, "pid 2")
        assert still_waits(taking)
        held.close()
        assert taking.result(timeout=10).token == 2
    taking.result().close()


def test_a_pooler_that_deals_connections_out_is_refused_and_nothing_stays_locked(database, postgres):
    name = database.url.database
    pooler = Pooler(postgres.folder / f".s.PGSQL.{postgres.port}", name)
    with closing(pooler), closing(Database(f"postgresql://postgres@127.0.0.1:{pooler.port}/{name}")) as pooled:
        assert pooled.prepare() == ""
        with pytest.raises(StorageError, match="through a pooler that shares connections between transactions") as said:
            acquire(pooled)
        assert "session mode" in said.value.hint
        acquire(database).close()


# -- two writers ----------------------------------------------------------------------------------


def still_waits(future: Future[Any]) -> bool:
    return bool(wait([future], A_MOMENT_S).not_done)


def write_fact(db: sa.Connection, head: str, token: int) -> None:
    state = make_state()
    journal.append(db, state, [MARK], evolve(state, [MARK]), head, token)


def open_write(database: Database) -> tuple[AbstractContextManager[sa.Connection], sa.Connection]:
    opened = database.write()
    return opened, opened.__enter__()


def test_a_new_owner_waits_for_the_transaction_of_the_old_one_and_sees_what_it_wrote(database, session):
    old = acquire(database, "pid 1")
    opened, db = open_write(database)
    old.renew(db)
    write_fact(db, journal.GENESIS, old.token)
    old.close()  # its lock is gone, its transaction is not
    with ThreadPoolExecutor(1) as pool:
        taking = pool.submit(acquire, database, "pid 2")
        assert still_waits(taking)
        opened.__exit__(None, None, None)
        new = taking.result(timeout=10)
    assert new.token == 2
    with database.read() as reader:
        assert len(list(journal.read(reader, SESSION, 0, journal.GENESIS))) == 1
    new.close()


def test_an_old_owner_waits_for_the_new_one_and_then_writes_nothing(database, session):
    old = acquire(database, "pid 1")
    opened, db = open_write(database)
    db.execute(t.lease.update().values(token=2, owner="pid 2"))  # taken over, and not committed

    def write() -> None:
        with database.write() as mine:
            old.renew(mine)
            write_fact(mine, journal.GENESIS, old.token)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        assert still_waits(writing)
        opened.__exit__(None, None, None)
        with pytest.raises(SessionLeased, match="now held by pid 2"):
            writing.result(timeout=10)
    with database.read() as reader:
        assert reader.execute(sa.select(sa.func.count()).select_from(t.journal)).scalar() == 0
    old.close()


def test_two_that_write_the_same_place_of_the_journal_are_told_apart(database, session):
    """Without any lease: the chain has room for one row at a place."""
    one, first = open_write(database)
    write_fact(first, journal.GENESIS, 1)

    def second() -> None:
        with database.write() as db:
            write_fact(db, journal.GENESIS, 1)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(second)
        assert still_waits(writing)
        one.__exit__(None, None, None)
        with pytest.raises(StorageError, match="duplicate key"):
            writing.result(timeout=10)


def test_a_writer_that_waits_too_long_gives_up_and_says_who_to_ask(database):
    held = acquire(database)
    opened, db = open_write(database)
    held.renew(db)
    with pytest.raises(StorageError, match="lock timeout") as caught:
        renew(database, held)
    assert "sessions list" in caught.value.hint
    opened.__exit__(None, None, None)
    held.close()
