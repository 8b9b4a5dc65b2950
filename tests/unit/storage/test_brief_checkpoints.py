"""Brief checkpoints: the state of the whole one before them and of the journal between, or none."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from gambler_ai.core import events as ev
from gambler_ai.core import snapshot
from gambler_ai.core.evolution import evolve
from gambler_ai.core.state import SessionState
from gambler_ai.storage import checkpoints, journal
from gambler_ai.storage.database import Database
from tests.unit.fakes import AT, SESSION, D, after, make_state


class Books:
    """A session whose state is too large to be written whole each time."""

    def __init__(self, database: Database, state: SessionState) -> None:
        self.database, self.state = database, state
        self.head, self.number = journal.GENESIS, 0
        self.whole: checkpoints.CheckpointInfo | None = None
        self.mark({f"S{n:04d}": str(100 + n) for n in range(1200)})

    def mark(self, marks: dict[str, str]) -> None:
        """One more fact."""
        fact = ev.Marked(after(seconds=self.state.seq), {s: D(p) for s, p in marks.items()}, {})
        changes = evolve(self.state, [fact])
        with self.database.write() as db:
            self.head = journal.append(db, self.state, [fact], changes, self.head, 1)

    def save(self) -> checkpoints.CheckpointInfo:
        """One more checkpoint."""
        self.number += 1
        with self.database.write() as db:
            wall = after(hours=self.number)
            info = checkpoints.create(db, self.state, self.number, self.head, wall, self.whole)
        self.whole = info if info.is_whole else self.whole
        return info

    def save_after_marks(self, count: int) -> None:
        for number in range(count):
            self.mark({"S0001": str(200 + number)})
            self.save()

    def newest(self) -> checkpoints.Loaded:
        with self.database.read() as db:
            return checkpoints.newest(db, SESSION, make_state(), journal.GENESIS)

    def prune(self, keep: int, **options: object) -> int:
        with self.database.write() as db:
            return checkpoints.prune(db, SESSION, keep, **options)  # type: ignore[arg-type]

    def numbers(self) -> list[int]:
        with self.database.read() as db:
            return [info.number for info in checkpoints.listed(db, SESSION, 1000)]

    def damage(self, statement: str) -> None:
        with self.database.write() as db:
            db.execute(sa.text(statement), {"bytes": b"{}"} if ":bytes" in statement else {})


@pytest.fixture
def books(database, session) -> Books:
    return Books(database, make_state(seq=0))


def test_the_first_is_whole_and_those_that_follow_closely_are_brief(books):
    books.save()
    books.save_after_marks(3)
    with books.database.read() as db:
        infos = checkpoints.listed(db, SESSION, 10)
    assert [info.is_whole for info in infos] == [False, False, False, True]
    assert infos[-1].length >= checkpoints.SMALL
    assert [info.seq for info in infos] == [4, 3, 2, 1]


def test_a_brief_one_comes_back_as_the_state_that_was_saved(books):
    books.save()
    books.save_after_marks(3)
    found = books.newest()
    assert found.info is not None
    assert (found.info.number, found.head, found.broken) == (4, books.head, ())
    assert snapshot.dump(found.state) == snapshot.dump(books.state)


def test_after_so_many_journal_rows_a_whole_one_is_due(books):
    books.save()
    for number in range(checkpoints.WHOLE_EVERY - 1):
        books.mark({"S0001": str(number + 1)})
    assert not books.save().is_whole
    books.mark({"S0001": "7"})
    assert books.save().is_whole
    books.save_after_marks(1)
    assert not books.newest().info.is_whole
    assert snapshot.dump(books.newest().state) == snapshot.dump(books.state)


def test_a_small_state_is_always_whole(database, session):
    with database.write() as db:
        first = checkpoints.create(db, make_state(), 1, journal.GENESIS, AT)
        second = checkpoints.create(db, make_state(), 2, journal.GENESIS, AT, first)
    assert first.length < checkpoints.SMALL
    assert second.is_whole


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("UPDATE checkpoints SET payload = :bytes WHERE number = 3", "checksum"),
        ("UPDATE checkpoints SET payload = :bytes WHERE number = 4", "checksum"),
        ("UPDATE checkpoints SET journal_hash = 'x' WHERE number = 4", "another one"),
        ("UPDATE checkpoints SET journal_hash = 'x' WHERE number = 3", "another one"),
        ("UPDATE journal SET payload = replace(payload, '200', '999') WHERE seq = 3", "does not verify"),
        ("UPDATE journal SET hash = 'x' WHERE seq = 3", "does not verify"),
        ("DELETE FROM journal WHERE seq = 3", "another session or place"),
        ("UPDATE checkpoints SET seq = 9 WHERE number = 4", "another session or place"),
    ],
)
def test_one_whose_whole_or_whose_journal_does_not_verify_is_not_taken(books, damage, says):
    books.save()
    books.whole = None
    books.save()
    books.mark({"S0001": "150"})
    books.whole = None
    books.save()  # 3: the whole one
    books.mark({"S0001": "200"})
    books.save()  # 4: a brief one
    books.damage(damage)
    found = books.newest()
    assert found.broken[0].startswith("#4: ")
    assert says in found.broken[0]
    assert found.info is None or found.info.number < 4


def test_without_a_whole_one_before_it_a_brief_one_says_nothing(books):
    books.save()
    books.save_after_marks(2)
    books.damage("DELETE FROM checkpoints WHERE number = 1")
    found = books.newest()
    assert found.info is None
    assert found.broken == ("#3: there is no whole one before it", "#2: there is no whole one before it")


# -- pruning --------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [False, True], ids=["looked for", "known"])
def test_the_whole_one_that_a_kept_one_leans_on_stays(books, known):
    books.save()
    books.save_after_marks(5)
    assert books.prune(2, whole=books.whole if known else None) == 3
    assert books.numbers() == [6, 5, 1]
    assert snapshot.dump(books.newest().state) == snapshot.dump(books.state)


def test_a_whole_one_that_nothing_leans_on_any_more_goes(books):
    books.save()
    books.save_after_marks(2)
    books.whole = None
    books.save()
    books.save_after_marks(2)
    assert books.prune(4) == 1
    assert books.numbers() == [6, 5, 4, 3, 1]
    assert books.prune(3) == 2
    assert books.numbers() == [6, 5, 4]


def test_what_is_too_young_to_go_keeps_what_it_leans_on(books):
    books.save()
    books.save_after_marks(4)
    assert books.prune(1, older_than=after(hours=4)) == 2
    assert books.numbers() == [5, 4, 1]


def test_the_newest_that_verifies_stays_with_what_it_leans_on(books):
    books.save()
    books.save_after_marks(1)
    books.whole = None
    books.save()
    books.save_after_marks(2)
    books.damage("UPDATE checkpoints SET payload = :bytes WHERE number = 3")
    assert books.prune(1) == 1
    assert books.numbers() == [5, 3, 2, 1]
    assert books.newest().info.number == 2
