"""Several sessions of one account as one history, be they one after the other or in turns; on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core.performance import Span
from gambler_ai.core.state import Changes
from gambler_ai.errors import SessionNotFound
from gambler_ai.storage import archive, checkpoints, history, journal, sessions
from gambler_ai.storage.database import Database
from gambler_ai.storage.sessions import SessionInfo
from tests.unit.fakes import AT, D, after, make_state
from tests.unit.storage.conftest import add
from tests.unit.storage.test_history import money, opened, started, trade

DAY = 1440


def store(database: Database, session_id: str, begin: float, facts: Sequence[ev.Fact], trades=()) -> None:
    """A session that begins at so many minutes, with a whole checkpoint at its end."""
    state = replace(make_state(), session_id=session_id, started_at=after(minutes=begin))
    add(database, state)
    state.closed_trades = len(trades)
    state.last_at = max(fact.at for fact in facts)
    with database.write() as db:
        head = journal.append(db, state, facts, Changes(closed=list(trades)), journal.GENESIS, 1)
        sessions.update(db, state, head=head, checkpoints=0, wall=AT)
        checkpoints.create(db, state, 1, head, AT, token=1)


@pytest.fixture
def chain(database: Database) -> list[SessionInfo]:
    """One that pauses, another in between, a third a day later."""
    paused, ended = ev.RunEnded(after(minutes=10), "stopped", "signal"), ev.RunEnded(after(minutes=40), "finished", "")
    morning: list[ev.Fact] = [started(0), opened(0, "2008-10-07"), money(1, "100"), money(9, "110"), paused]
    trades = [trade(1, 5, pnl=D(10)), trade(61, 69, pnl=D(-40))]
    store(database, "s-1", 0, [*morning, started(60), money(61, "130"), money(69, "90")], trades)
    between: list[ev.Fact] = [started(20), opened(20, "2008-10-07"), money(21, "115"), money(39, "120"), ended]
    store(database, "s-2", 20, between, [trade(22, 38, pnl=D(5), symbol="IBM")])
    store(database, "s-3", DAY, [started(DAY), opened(DAY, "2008-10-08"), money(DAY + 5, "99")])
    return found(database)


def found(database: Database) -> list[SessionInfo]:
    with database.read() as db:
        return sessions.chain_of(db, "acc")


def minutes(span: Span) -> tuple[float, float]:
    return (span.begin - AT) / timedelta(minutes=1), (span.end - AT) / timedelta(minutes=1)


def test_the_curve_is_that_of_the_account_in_time(database, chain):
    with database.read() as db:
        curve = history.account_curve(db, chain)
    assert [point.equity for point in curve] == [100, 110, 115, 120, 130, 90, 99]
    assert curve == sorted(curve)


def test_figures_are_over_all_of_them(database, chain):
    with database.read() as db:
        figures = history.performance(db, *chain)
    assert (figures.equity.readings, figures.equity.days, figures.equity.change) == (7, 2, D(-1))
    assert figures.equity.drawdown is not None
    assert (figures.equity.drawdown.peak.equity, figures.equity.drawdown.trough.equity) == (D(130), D(90))
    assert figures.equity.mean_equity == pytest.approx((100 + 90 + 99) / 3)
    assert (figures.trades.count, figures.trades.net, figures.trades.longest_wins) == (3, D(-25), 2)
    assert [minutes(run) for run in figures.runs] == [(0, 10), (20, 40), (60, 69), (DAY, DAY + 5)]
    held, ran = 4 + 16 + 8, 10 + 20 + 9 + 5
    assert figures.exposure == pytest.approx(held / ran)


def test_round_trips_come_as_they_ended_each_with_its_session(database, chain):
    with database.read() as db:
        trades = [(name, closed.pnl) for name, closed in history.account_trades(db, chain)]
    assert trades == [("s-1", D(10)), ("s-2", D(5)), ("s-1", D(-40))]


def test_it_is_the_same_when_it_was_rolled_up(database, chain):
    def told():
        with database.read() as db:
            trades = list(history.account_trades(db, chain))
            return history.account_curve(db, chain), history.performance(db, *chain), trades

    before = told()
    with database.write() as db:
        moved = [archive.roll_up(db, info.id, 1, 1).rows for info in chain for _ in range(9)]
        assert sum(moved) == db.execute(sa.text("SELECT sum(rows) FROM archive")).scalar_one() >= 4
    assert told() == before


def test_an_account_is_found_by_the_beginning_of_its_id(database, chain):
    assert [info.id for info in chain] == ["s-1", "s-2", "s-3"]
    add(database, replace(make_state(), session_id="s-9", account_id="acc-12"))
    with database.read() as db:
        assert [info.id for info in sessions.chain_of(db, "acc-12")] == ["s-9"]
        assert len(sessions.chain_of(db, "acc-1")) == 3  # all of an id before the beginning of another
        with pytest.raises(SessionNotFound, match="more than one account begins with 'acc'"):
            sessions.chain_of(db, "acc")
        for name in ("nobody", "", "ACC-12"):
            with pytest.raises(SessionNotFound):
                sessions.chain_of(db, name)
