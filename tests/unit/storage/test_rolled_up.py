"""A day as it was written, and the same day rolled up: whoever reads it is told the same."""

from __future__ import annotations

from collections.abc import Iterator
from shutil import copyfile
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec.structs import asdict

from bench import books, year
from gambler_ai.cli.analysis.gathering import gather
from gambler_ai.cli.show import session_document
from gambler_ai.clock import SystemClock
from gambler_ai.core import snapshot
from gambler_ai.core.components import StructComponent, dumped
from gambler_ai.core.events import FillReported
from gambler_ai.proving.remembering import Chain, follow
from gambler_ai.storage import archive, components, inspect, journal, limits, rebuild, sessions, views
from gambler_ai.storage import tables as t
from gambler_ai.storage.database import Database
from gambler_ai.storage.segments import ORDER_FACTS
from gambler_ai.trading.recall import recall
from gambler_ai.trading.recovery import restore

LIMIT = 20
#: Under which the day was written.
TOKEN = 2


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Database]]:
    """As it was written, and a copy of it that is rolled up."""
    path = tmp_path_factory.mktemp("day") / "books.sqlite3"
    assert len(list(year.play(path, year.NO_LIMIT, 1))) == 1
    again = path.with_name("again.sqlite3")
    copyfile(path, again)
    whole, rolled_up = Database(books.sqlite_url(path)), Database(books.sqlite_url(again))
    with rolled_up.write() as db:
        while archive.roll_up(db, books.SESSION, LIMIT, TOKEN).rows:
            pass
    yield whole, rolled_up
    whole.close()
    rolled_up.close()


def info_of(db: Any) -> sessions.SessionInfo:
    return sessions.find(db, books.SESSION)


def report(db: Any) -> Any:
    found = gather(db, info_of(db), "paused", 1_000)
    return found.performance, found.curve, found.trades


def document(db: Any) -> Any:
    return {name: value for name, value in session_document(db, info_of(db)).items() if name != "rolled_up"}


def every_row(db: Any) -> Any:
    inspect.check_chain(db, info_of(db))
    return list(journal.read(db, books.SESSION, 0, journal.GENESIS))


READERS = {
    "the journal": every_row,
    "the report": report,
    "what sessions show tells": document,
    "orders": lambda db: views.intents(db, books.SESSION, 1_000),
    "orders that are open": lambda db: views.intents(db, books.SESSION, 1_000, only_open=True),
    "what limits count": lambda db: asdict(limits.elsewhere(db, books.ACCOUNT, "another", books.AT)),
    "orders that were sent": lambda db: rebuild.intents_of(db, books.SESSION),
    "the newest fill": lambda db: journal.newest(db, books.SESSION, [FillReported.__name__]),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_whoever_reads_it_is_told_the_same(days, read):
    told = []
    for database in days:
        with database.read() as db:
            told.append(read(db))
    assert told[0] == told[1]
    assert told[0]


def test_facts_of_orders_are_among_what_was_rolled_up(days):
    with days[1].read() as db:
        found = {kept.kind: kept.rows for kept in archive.rolled_up(db, books.SESSION)}
        kinds = {row.kind for row in archive.facts(db, books.SESSION)}
        fills = list(archive.facts(db, books.SESSION, [FillReported.__name__]))
    assert found[ORDER_FACTS] > 30
    assert min(found.values()) > 30
    assert kinds == {"Marked", "AccountReported", "IntentPlanned", "OrderUpdated", "FillReported"}
    assert {row.kind for row in fills} == {"FillReported"}


def test_what_is_resumed_is_the_same_from_a_checkpoint_and_from_the_first_row(days):
    states = []
    for database in days:
        with database.read() as db:
            states.append(snapshot.dump(restore(database, info_of(db)).state))
        with database.write() as db:
            sums = db.execute(sa.select(t.checkpoints.c.number, t.checkpoints.c.sha256)).all()
            db.execute(t.checkpoints.update().values(sha256="x"))
        with database.read() as db:
            found = restore(database, info_of(db))
        states.append(snapshot.dump(found.state))
        assert found.replayed == found.state.seq > 800
        with database.write() as db:
            for number, sha256 in sums:
                db.execute(t.checkpoints.update().where(t.checkpoints.c.number == number).values(sha256=sha256))
    assert len(set(states)) == 1


def test_each_row_has_the_hash_that_it_had(days):
    heads = []
    for database in days:
        with database.read() as db:
            last = info_of(db).seq
            heads.append([journal.hash_at(db, books.SESSION, seq) for seq in range(0, last + 2, 13)])
    assert heads[0] == heads[1]
    assert heads[0][0] is None
    assert None not in heads[0][1:-1]


def remembered(days: tuple[Database, Database], which: int, seq: int) -> Any:
    """What a component comes to that was stored as of a row, and what is told of it; the database stays as it was."""
    component = StructComponent("chain", Chain(), follow)
    with days[0].read() as db:
        state = restore(days[0], info_of(db)).state
        for fact, _head in journal.read(db, books.SESSION, 0, journal.GENESIS, seq):
            component.apply(fact)
    database = days[which]
    with database.write() as db:
        components.save(
            db, books.SESSION, books.ACCOUNT, "chain", payload=dumped(component), schema=1, format=component.format,
            libraries={}, seq=seq, at=state.last_at, wall=SystemClock().now(), token=TOKEN,
        )  # fmt: skip
    again = StructComponent("chain", Chain(), follow)
    told = recall(database, state, [again]).take_told()
    with database.write() as db:
        db.execute(t.components.delete())
    return again.state, told


@pytest.mark.parametrize("seq", [1, 400])
def test_what_a_component_remembers_is_the_same(days, seq):
    one, other = (remembered(days, which, seq) for which in (0, 1))
    assert one == other
    assert (one[0].facts > 800, one[1]) == (True, [])


def test_what_lies_long_before_it_is_not_read_for_it(days):
    """The first hour is damaged; whoever was stored after it goes on from a row close by."""
    database, early = days[1], t.archive.c.last < 150
    whole = remembered(days, 1, 400)
    with database.write() as db:
        kept = db.execute(sa.select(t.archive).where(early)).mappings().all()
        db.execute(t.archive.delete().where(early))
    assert len(kept) > 20
    assert remembered(days, 1, 400) == whole
    with database.write() as db:
        db.execute(t.archive.insert(), [dict(row) for row in kept])
