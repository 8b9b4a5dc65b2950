"""What the loop makes of scans: what is asked for in an options session, and a checkpoint every so many of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gambler_ai.core import events as ev
from gambler_ai.core import snapshot
from gambler_ai.core.structures import ChainQuery
from gambler_ai.storage import checkpoints, journal, sessions
from gambler_ai.trading.executor import Scan
from gambler_ai.trading.option_reader import Wanted
from gambler_ai.trading.recovery import restore
from gambler_ai.trading.requesting import scanning
from tests.unit.fakes import AT, FIVE, SESSION, D, Desk, make_plan, make_state
from tests.unit.trading.test_runner import Session

NEVER: dict[str, Any] = {"checkpoint_interval_s": 86_400.0, "symbols": ("AAPL",)}


@pytest.fixture
def session_of(tmp_path) -> Iterator[Callable[..., Session]]:
    made: list[Session] = []

    def make(minutes: float, **plan: Any) -> Session:
        made.append(Session(tmp_path, minutes, **NEVER, **plan))
        return made[-1]

    yield make
    for session in made:
        session.close()


def rows(session: Session) -> tuple[dict[int, int], set[int]]:
    """Journal rows of scans by the scan's number, and rows up to which a checkpoint goes."""
    with session.database.read() as db:
        facts = [(seq, fact) for seq, (fact, _hash) in enumerate(journal.read(db, SESSION, 0, journal.GENESIS), 1)]
        saved = {info.seq for info in checkpoints.listed(db, SESSION, 1000)}
    marks = [(seq, fact) for seq, fact in facts if isinstance(fact, ev.Marked)]
    return {fact.iteration: seq for seq, fact in marks if fact.iteration is not None}, saved


@pytest.mark.parametrize(("every", "scans"), [(2, [2, 4]), (1, [*range(1, 7)]), (None, [])])
def test_so_many_scans_make_a_checkpoint_in_the_commit_of_the_last_of_them(session_of, every, scans):
    session = session_of(4 if every else 2, autosave_iterations=every)
    runner = session.begun()
    assert runner.trade() == "duration"
    runner.abandon()
    marked, saved = rows(session)
    assert sorted(marked) == [*range(1, session.state.iteration + 1)]
    assert saved == {marked[number] for number in scans if number in marked}
    assert len(saved) == len([n for n in scans if n <= session.state.iteration])


def test_a_resume_counts_on_and_keeps_the_beat(session_of):
    session = session_of(5, autosave_iterations=2)
    runner = session.begun()
    session.notes.on("Marked", lambda: session.feed.put(ev.StopRequested(session.feed.clock.now(), "SIGTERM")))
    runner.trade()
    runner.abandon()
    with session.database.read() as db:
        session.state = restore(session.database, sessions.find(db, SESSION)).state
    assert session.state.iteration == 1
    resumed = session.begun(resumed=True)
    resumed.trade()
    resumed.abandon()
    marked, saved = rows(session)
    assert session.state.iteration > 4
    assert saved == {seq for number, seq in marked.items() if number % 2 == 0}
    with session.database.read() as db:
        found = restore(session.database, sessions.find(db, SESSION)).state
    assert snapshot.dump(found) == snapshot.dump(session.state)


def test_an_options_session_scans_what_its_strategy_wants_and_another_nothing_of_it():
    query = ChainQuery("AAPL", AT.date(), AT.date(), D(10))
    for plan, wanted in ((make_plan(universe="options"), Wanted((query,), (), 0)), (make_plan(), None)):
        desk = Desk(state=make_state(plan=plan))
        desk.strategy.queries = [query]
        assert scanning(desk.engine, AT) == Scan(("AAPL", "MSFT"), FIVE, 1, wanted)
