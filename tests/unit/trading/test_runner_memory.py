"""When a running session stores what components remember, and who sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import pytest
from msgspec import Struct

from gambler_ai.core import events as ev
from gambler_ai.core.components import StructComponent
from gambler_ai.core.model import MarketView, Proposal
from gambler_ai.storage import components
from gambler_ai.storage import tables as t
from gambler_ai.storage.components import ComponentInfo
from gambler_ai.strategies.momentum import Momentum
from tests.unit.fakes import SESSION
from tests.unit.trading.test_runner import Session, whole_run

RARELY_S = 7_200.0


class Told(Struct, frozen=True):
    facts: int = 0


def more(told: Told, fact: ev.Fact) -> Told:
    return Told(told.facts + 1)


def counting() -> StructComponent[Told]:
    return StructComponent("counting", Told(), more)


class Watching(Momentum, frozen=True, kw_only=True):
    """Writes down what it sees of its memory, and enters nothing."""

    seen: list[int]

    def propose(self, view: MarketView) -> Sequence[Proposal]:
        self.seen.append(view.memory["counting"].state.facts)
        return ()


@pytest.fixture
def session_of(tmp_path) -> Iterator[Callable[..., Session]]:
    made: list[Session] = []

    def make(minutes: float, **plan) -> Session:
        made.append(Session(tmp_path, minutes, **plan))
        made[-1].components = [counting()]
        return made[-1]

    yield make
    for session in made:
        session.close()


def rows(session: Session) -> list[ComponentInfo]:
    """Oldest first."""
    with session.database.read() as db:
        return components.listed(db, SESSION)[::-1]


def minutes(session: Session) -> list[int]:
    begun = session.state.started_at
    return [round((row.at - begun) / timedelta(minutes=1)) for row in rows(session)]


def test_it_is_stored_at_the_start_every_five_minutes_and_at_the_end(session_of):
    session = session_of(17, checkpoint_interval_s=RARELY_S)
    session.strategy = Watching(seen=[])
    runner = session.begun()
    assert [row.seq for row in rows(session)] == [1], "with the first fact"
    runner.end("finished", runner.trade())
    assert minutes(session) == [9, 14, 17], "the newest three; as of the last fact before the beat"
    assert rows(session)[-1].seq == session.state.seq


def test_with_a_checkpoint_and_right_after_a_closed_trade(session_of):
    session = session_of(60, checkpoint_interval_s=600.0)
    whole_run(session)
    with session.database.read() as db:
        closed = list(db.execute(t.closed_trades.select()).mappings())
        checkpoints = [row.seq for row in db.execute(t.checkpoints.select())]
    kept = rows(session)
    assert len(closed) == 2
    assert {row.seq for row in kept} & set(checkpoints), "some with a checkpoint"
    assert len(kept) < components.KEPT + components.PRUNE_EVERY


def test_a_closed_trade_is_stored_with_what_it_teaches(session_of):
    """Killed in the moment after it, a blob has it already."""
    session = session_of(60, checkpoint_interval_s=RARELY_S)
    stored: list[tuple[int, int]] = []

    def look() -> None:
        stored.append((session.state.closed_trades, rows(session)[-1].seq))
        session.notes.on("FillReported", look)

    session.notes.on("FillReported", look)
    whole_run(session)
    after_close = [seq for closed, seq in stored if closed == 1]
    before_close = [seq for closed, seq in stored if closed == 0]
    assert after_close
    assert after_close[0] > max(before_close)


def test_a_strategy_sees_what_was_committed_before(session_of):
    session = session_of(3, checkpoint_interval_s=RARELY_S)
    session.strategy = Watching(seen=[])
    whole_run(session)
    seen = session.strategy.seen
    assert seen == sorted(seen)
    assert 0 < seen[0] < seen[-1] < session.state.seq


def test_what_fails_is_told_as_a_fact_and_the_session_goes_on(session_of):
    session = session_of(3)

    def fail(told: Told, fact: ev.Fact) -> Told:
        if isinstance(fact, ev.DayOpened):
            raise KeyError("mine")
        return told

    session.components = [StructComponent("counting", Told(), fail)]
    whole_run(session)
    assert session.notes.words.count("ComponentSetAside") == 1
    assert session.notes.words[-1].startswith("ended")


def test_another_release_of_a_library_is_told_at_the_start_and_not_once_it_is_stored(session_of):
    def by(version: str) -> StructComponent[Told]:
        made = counting()
        made.libraries = {"numpy": version}
        return made

    session = session_of(2, checkpoint_interval_s=RARELY_S)
    session.components = [by("1.26.4")]
    whole_run(session)
    assert "LibraryChanged" not in session.notes.words
    for count in (1, 1):
        session.components = [by("2.1.0")]
        session.state.status = "stopped"
        runner = session.begun(resumed=True)
        runner.end("stopped", "looked")
        assert session.notes.words.count("LibraryChanged") == count
