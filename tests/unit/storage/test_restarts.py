"""Restarts, as the journal tells them."""

from __future__ import annotations

from gambler_ai.core import events as ev
from gambler_ai.core.evolution import evolve
from gambler_ai.storage import journal, restarts
from tests.unit.fakes import AT, SESSION, after


class Book:
    """A journal written by one owner after another."""

    def __init__(self, database, session) -> None:
        self.database, self.session, self.head = database, session, journal.GENESIS

    def write(self, token: int, *facts: ev.Fact) -> None:
        changes = evolve(self.session, facts)
        with self.database.write() as db:
            self.head = journal.append(db, self.session, facts, changes, self.head, token)

    def read(self) -> list[restarts.Restart]:
        with self.database.read() as db:
            return restarts.of_session(db, SESSION)


def start(token: int, *, resumed: bool = True) -> ev.RunStarted:
    return ev.RunStarted(AT, 600.0, resumed, token)


def test_a_first_start_and_a_morning_after_are_no_restarts(database, session):
    book = Book(database, session)
    book.write(1, start(1, resumed=False))
    book.write(1, ev.RunPaused(AT, 300.0), start(1))
    assert book.read() == []


def test_each_owner_that_took_it_up_is_one_with_what_it_came_to(database, session):
    book, base, note = Book(database, session), ev.StateRestored(AT, 7, 3, ("#8",)), ev.DayOpened(AT, "2026-11-20")
    end = ev.Recovered(after(minutes=1), AT, 4, more=False)
    book.write(1, start(1, resumed=False))
    book.write(2, base, ev.PlanChanged(AT, {}), start(2))
    book.write(2, note)  # killed here
    book.write(3, base, start(3))
    book.write(3, note, end)
    book.write(3, ev.TradingHalted(AT, ev.PERSON, "later"))
    killed, whole = book.read()
    assert (killed.token, killed.base, killed.facts, killed.ended) == (2, base, (note,), None)
    assert (whole.token, whole.facts, whole.ended, whole.more) == (3, (note,), end, False)


def test_what_an_earlier_program_wrote_tells_only_that_it_began(database, session):
    book = Book(database, session)
    book.write(1, start(1, resumed=False))
    book.write(2, start(2), ev.DayOpened(AT, "2026-11-20"))
    (old,) = book.read()
    assert (old.base, old.ended, old.facts) == (None, None, ())


def test_of_a_long_story_the_beginning_is_read(database, session):
    book, day = Book(database, session), ev.DayOpened(AT, "2026-11-20")
    book.write(2, ev.StateRestored(AT, None, 0), start(2), *[day] * (restarts.FACTS_MAX + 1))
    (long,) = book.read()
    assert (len(long.facts), long.more) == (restarts.FACTS_MAX, True)
