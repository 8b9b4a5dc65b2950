"""Memory while a session runs: stored with what it follows from, at the cost of what changed; and recalled whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec import Struct

from gambler_ai.clock import ManualClock
from gambler_ai.core import events as ev
from gambler_ai.core.components import Plain, StructComponent
from gambler_ai.core.engine import Decisions
from gambler_ai.core.evolution import evolve
from gambler_ai.core.model import Side
from gambler_ai.core.state import SessionState
from gambler_ai.errors import ConfigError, SessionLeased, StorageError
from gambler_ai.storage import components, journal, lease, rebuild, sessions
from gambler_ai.storage import tables as t
from gambler_ai.storage.components import ComponentInfo
from gambler_ai.storage.database import Database
from gambler_ai.storage.lease import Lease
from gambler_ai.trading import memory as memories
from gambler_ai.trading.ledger import Ledger
from gambler_ai.trading.memory import Memory
from gambler_ai.trading.recall import recall
from tests.databases import refuse
from tests.unit.fakes import ACCOUNT, AT, SESSION, D, bracket_of, entry, fill_of, make_state
from tests.unit.trading.conftest import insert

ENTRY = entry()
PARENT = bracket_of(ENTRY, limit="new")
STARTED = ev.RunStarted(AT, 600.0, resumed=False, token=1)


class Days(Struct, frozen=True):
    seen: tuple[str, ...] = ()


class Diary(StructComponent[Days]):
    """Counts how often it is dumped; a day called "bad" makes it fail."""

    def __init__(self, name: str = "diary", **more: Any) -> None:
        super().__init__(name, Days(), _write_down, **more)
        self.dumps = 0

    def dump(self) -> bytes:
        self.dumps += 1
        if "secret" in self.state.seen:
            raise ZeroDivisionError("secret")
        return super().dump()


def _write_down(days: Days, fact: ev.Fact) -> Days:
    if not isinstance(fact, ev.DayOpened):
        return days
    if fact.day == "bad":
        raise KeyError(fact.day)
    return Days((*days.seen, fact.day))


def day(name: str = "1") -> ev.DayOpened:
    return ev.DayOpened(AT, name)


def denied(times: int) -> list[ev.Fact]:
    return [ev.Denied(AT, "AAPL", Side.BUY, "halted", str(n)) for n in range(times)]


@pytest.fixture
def diary() -> Diary:
    return Diary()


@pytest.fixture
def held(database: Database, state: SessionState, wall: ManualClock) -> Iterator[Lease]:
    lease_ = lease.acquire(database, state.account_id, state.session_id, "pid 1", wall)
    yield lease_
    lease_.close()


@pytest.fixture
def ledger(database: Database, state: SessionState, wall: ManualClock, held: Lease, diary: Diary) -> Ledger:
    memory = recall(database, state, [diary])
    return Ledger(database, held, state, head=journal.GENESIS, created=0, wall=wall, memory=memory)


def write(ledger: Ledger, state: SessionState, *facts: ev.Fact, **how: bool) -> None:
    ledger.commit(Decisions(facts=list(facts), changes=evolve(state, facts)), **how)


def rows(database: Database, session_id: str = SESSION) -> list[ComponentInfo]:
    with database.read() as db:
        return components.listed(db, session_id)


def recalled(database: Database, session_id: str = SESSION, *parts: Any) -> tuple[Diary, Memory]:
    """A diary as the next process finds it."""
    diary = Diary()
    with database.read() as db:
        seq = sessions.find(db, session_id).seq
    state = make_state(session_id=session_id, seq=seq)
    return diary, recall(database, state, [diary, *parts])


# -- storing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["checkpoint", "remember"])
def test_it_is_stored_in_the_transaction_of_the_facts_that_it_contains(database, ledger, state, diary, how):
    write(ledger, state, STARTED, day("1"), **{how: True})
    [row] = rows(database)
    assert (row.name, row.number, row.seq, row.schema, row.format) == ("diary", 1, 2, 1, "msgpack")
    assert set(row.libraries) == {"msgspec"}
    found, _memory = recalled(database)
    assert found.state == diary.state == Days(("1",))


def test_a_closed_trade_stores_it(database, ledger, state):
    fills = [fill_of(PARENT, "10", "100")]
    write(ledger, state, STARTED, ev.IntentPlanned(AT, ENTRY), ev.OrderUpdated(AT, PARENT))
    write(ledger, state, *(ev.FillReported(AT, fill) for fill in fills))
    assert rows(database) == []
    write(ledger, state, ev.Adjusted(AT, "AAPL", D(0), D(101), "sold"))
    assert [row.seq for row in rows(database)] == [5]


def test_a_commit_that_fails_stores_nothing_of_it(database, ledger, state):
    with database.write() as db:
        refuse(db, "INSERT", "components", "disk on fire")
    with pytest.raises(StorageError, match="disk on fire"):
        write(ledger, state, STARTED, day(), checkpoint=True)
    with database.read() as db:
        for table in (t.blobs, t.components, t.journal, t.checkpoints):
            assert db.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() == 0


def test_one_that_was_replaced_stores_nothing(database, ledger, state):
    with database.write() as db:
        db.execute(sa.text("UPDATE lease SET token = token + 1, owner = 'pid 2'"))
    with pytest.raises(SessionLeased):
        write(ledger, state, day(), remember=True)
    assert rows(database) == []


def test_while_nothing_moves_nothing_is_dumped_and_nothing_is_written(database, ledger, state, diary):
    write(ledger, state, STARTED, day(), remember=True)
    for _ in range(5):
        write(ledger, state, *denied(3), checkpoint=True)
    ledger.commit(Decisions(), remember=True)
    assert diary.dumps == 1
    assert [(row.number, row.seq) for row in rows(database)] == [(1, 2)]
    with database.read() as db:
        assert sessions.find(db, SESSION).seq == 17, "the last one wrote nothing at all"


def test_what_comes_to_the_same_bytes_is_not_written_again(database, ledger, state, diary):
    write(ledger, state, STARTED, day(), remember=True)
    diary.revision += 1
    ledger.commit(Decisions(), remember=True)
    assert diary.dumps == 2
    ledger.commit(Decisions(), remember=True)
    assert diary.dumps == 2, "and not dumped again either"
    assert len(rows(database)) == 1


def test_a_journal_that_goes_on_brings_a_row_without_a_dump(database, ledger, state, diary):
    """Else a restart would give it the facts of a whole session again."""
    write(ledger, state, STARTED, day(), remember=True)
    write(ledger, state, *denied(memories.ROW_EVERY), checkpoint=True)
    first, second = reversed(rows(database))
    assert (second.seq, second.sha256, diary.dumps) == (2 + memories.ROW_EVERY, first.sha256, 1)
    found, _memory = recalled(database)
    assert found.state == diary.state


def test_a_prune_of_checkpoints_takes_old_rows_and_their_blobs_along(database, ledger, state):
    for n in range(8):
        write(ledger, state, day(str(n)), checkpoint=True)
    assert len(rows(database)) == 8
    ledger.prune(3)
    assert [row.number for row in rows(database)] == [8, 7, 6]
    with database.read() as db:
        assert db.execute(sa.select(sa.func.count()).select_from(t.blobs)).scalar_one() == 3


def test_a_database_that_was_away_is_given_the_same_row_once(database, ledger, state, wall, held):
    tries: list[int] = []

    class Retries:
        is_on = False

        def ride(self, act: Any) -> Any:
            """The commit arrives, its answer does not."""
            tries.append(1)
            act()
            return act()

        def take_passed(self) -> str:
            return ""

    riding: Any = Retries()
    again = Ledger(
        database, held, state, head=journal.GENESIS, created=0, wall=wall, outage=riding, memory=ledger.memory
    )
    write(again, state, STARTED, day(), checkpoint=True)
    assert tries == [1]
    assert [(row.number, row.seq) for row in rows(database)] == [(1, 2)]


# -- failing --------------------------------------------------------------------------------------


def test_one_that_fails_is_told_and_left_out_and_the_others_go_on(database, ledger, state, diary):
    other = Diary("other")
    ledger.memory.put(other, memories.Stored())
    write(ledger, state, STARTED, day("1"), checkpoint=True)

    def fail(days: Days, fact: ev.Fact) -> Days:
        raise KeyError("mine")

    diary._evolve = fail
    write(ledger, state, day("2"), day("3"), checkpoint=True)
    assert list(ledger.memory.view) == ["other"]
    [told] = ledger.memory.take_told()
    assert (told.name, told.number) == ("diary", 0)
    assert "failed on DayOpened: KeyError" in told.reason
    assert other.state == Days(("1", "2", "3"))
    assert [(r.name, r.seq) for r in rows(database)] == [("diary", 2), ("other", 4), ("other", 2)]
    found, _memory = recalled(database)
    assert found.state == Days(("1", "2", "3")), "mended, it knows what happened while it was left out"


def test_one_that_cannot_be_dumped_is_told_and_the_commit_stands(database, ledger, state):
    write(ledger, state, STARTED, day("secret"), checkpoint=True)
    [told] = ledger.memory.take_told()
    assert "could not be stored: ZeroDivisionError" in told.reason
    assert rows(database) == []
    with database.read() as db:
        assert sessions.find(db, SESSION).seq == 2


def test_a_fact_that_it_fails_on_is_told_at_the_next_start_too(database, ledger, state):
    write(ledger, state, STARTED, day("bad"), checkpoint=True)
    _diary, memory = recalled(database)
    assert list(memory.view) == []
    [told] = memory.take_told()
    assert "failed on DayOpened" in told.reason


def test_a_reset_lets_one_that_failed_in_again_now_and_at_the_next_start(database, ledger, state, diary):
    """It fails on the same fact at each start: without this nothing would ever bring it back."""
    reset = ev.LearnerReset(AT, "diary", "it always fails")
    write(ledger, state, STARTED, day("bad"), day("1"))
    assert list(ledger.memory.view) == []
    write(ledger, state, ev.LearnerReset(AT, "other", "not this one"), day("2"))
    assert list(ledger.memory.view) == []
    write(ledger, state, reset, day("3"))
    assert ledger.memory.view == {"diary": diary}
    assert diary.state == Days(("3",))
    found, memory = recalled(database)
    assert list(memory.view) == ["diary"]
    assert found.state == Days(("3",))
    write(ledger, state, day("4"), remember=True)
    assert rows(database)[0].seq == 8


# -- recalling ------------------------------------------------------------------------------------


def test_two_of_one_name_are_refused(database, state):
    with pytest.raises(ConfigError, match="two components are called diary"):
        recall(database, state, [Diary(), Diary()])


def test_a_first_run_is_quiet(database, state):
    diary, memory = recalled(database)
    assert (diary.state, memory.take_told(), memory.number("diary")) == (Days(), [], 0)


def test_facts_after_the_row_are_applied_and_those_before_it_are_not(database, ledger, state, diary):
    late = Plain("late")
    write(ledger, state, STARTED, day("1"), remember=True)
    write(ledger, state, day("2"))
    write(ledger, state, day("3"))
    found, memory = recalled(database, SESSION, late)
    assert found.state == Days(("1", "2", "3"))
    assert list(memory.view) == ["diary", "late"]


def test_what_is_from_beyond_the_journal_is_set_aside(database, ledger, state):
    write(ledger, state, STARTED, day("1"), remember=True)
    write(ledger, state, day("2"), remember=True)
    with database.write() as db:
        db.execute(t.components.update().where(t.components.c.number == 2).values(seq=99))
    found, memory = recalled(database)
    assert found.state == Days(("1", "2"))
    assert memory.take_told()[0].reason == "it is as of journal row 99, and the session ends at row 3"


def test_another_format_is_set_aside_by_a_start_and_refused_to_a_person(database, ledger, state):
    write(ledger, state, STARTED, day("1"), remember=True)
    with database.write() as db:
        db.execute(t.components.update().values(format="skops"))
    found, memory = recalled(database)
    assert found.state == Days(("1",)), "from the journal alone"
    assert memory.take_told()[0].reason == "it is written as skops, this component as msgpack"


def test_it_is_set_aside_in_the_transaction_that_tells_so(database, ledger, state):
    write(ledger, state, STARTED, day("1"), remember=True)
    aside = ev.ComponentSetAside(AT, "diary", "it smells", "nothing", SESSION, 1)
    write(ledger, state, aside)
    assert [row.set_aside for row in rows(database)] == ["it smells"]
    with database.read() as db:
        assert journal.newest(db, SESSION, ["ComponentSetAside"]) == (3, aside)


def test_an_earlier_session_gives_what_it_stored_and_what_happened_after(database, ledger, state):
    write(ledger, state, STARTED, day("1"), remember=True)
    write(ledger, state, day("2"))
    insert(database, make_state(session_id="s-2"))
    found, memory = recalled(database, "s-2")
    assert (found.state, memory.take_told(), memory.number("diary")) == (Days(("1", "2")), [], 0)


def test_an_earlier_session_whose_journal_is_broken_gives_what_it_stored_and_says_so(database, ledger, state):
    write(ledger, state, STARTED, day("1"), remember=True)
    write(ledger, state, day("2"))
    with database.write() as db:
        db.execute(t.journal.update().where(t.journal.c.seq == 3).values(hash="x"))
    insert(database, make_state(session_id="s-2"))
    found, memory = recalled(database, "s-2")
    assert found.state == Days(("1",))
    [told] = memory.take_told()
    assert "journal row 3" in told.reason
    assert told.number == 0


def test_books_taken_anew_from_the_broker_begin_with_what_was_remembered(database, ledger, state):
    """--accept-broker-state keeps what is stored under another id, and the session starts its journal again."""
    write(ledger, state, STARTED, day("1"), remember=True)
    with database.write() as db:
        info = sessions.find(db, SESSION)
        kept = rebuild.set_aside(db, info, "its journal does not verify")
        db.execute(t.sessions.update().where(t.sessions.c.id == SESSION).values(seq=0, journal_hash=journal.GENESIS))
    assert rows(database) == []
    assert [row.account_id for row in rows(database, kept)] == [ACCOUNT]
    found, memory = recalled(database)
    assert (found.state, memory.take_told()) == (Days(("1",)), [])


def test_what_a_row_says_it_is_as_of_decides_what_is_applied(database, ledger, state):
    write(ledger, state, STARTED, day("1"), remember=True)
    write(ledger, state, day("2"))
    with database.write() as db:
        db.execute(t.components.update().values(seq=0))
    found, _memory = recalled(database)
    assert found.state == Days(("1", "1", "2")), "as of row 0: all facts are after it"


# -- libraries ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "moved"),
    [
        ({"numpy": "2.1.0", "torch": "2.9.0"}, {}),
        ({"numpy": "2.1.7", "torch": "2.9.1"}, {}),
        ({"numpy": "2.2.0", "torch": "2.9.0"}, {"numpy": ("2.1.0", "2.2.0")}),
        ({"numpy": "3.1.0", "torch": "2.10.0"}, {"numpy": ("2.1.0", "3.1.0"), "torch": ("2.9.0", "2.10.0")}),
        ({"numpy": "2.1.0", "msgspec": "99.0", "scipy": "1.0"}, {}),
    ],
)  # fmt: skip
def test_another_release_of_a_library_is_told_and_the_memory_goes_on(database, ledger, state, diary, now, moved):
    """The third part of a version mends; what only encodes changes no number; what was not there has no before."""
    diary.libraries = {"numpy": "2.1.0", "torch": "2.9.0", "msgspec": "0.1"}
    write(ledger, state, STARTED, day("1"), remember=True)
    again = Diary()
    again.libraries = now
    memory = recall(database, make_state(seq=state.seq), [again])
    assert again.state == Days(("1",))
    told = memory.take_moved()
    assert [(fact.name, fact.versions) for fact in told] == ([("diary", moved)] if moved else [])
    assert all("goes on from the stored numbers" in fact.says for fact in told)
    assert memory.take_moved() == [], "once"


def test_a_first_run_has_nothing_to_say_of_libraries(database, state):
    diary = Diary()
    diary.libraries = {"numpy": "2.1.0"}
    assert recall(database, state, [diary]).take_moved() == []
