"""What is read of a session's history: its curve, its days, its runs, its round trips; on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core.evolution import evolve
from gambler_ai.core.model import ClosedTrade, Position
from gambler_ai.core.performance import Point
from gambler_ai.core.state import Changes, SessionState
from gambler_ai.errors import CheckpointCorrupt
from gambler_ai.storage import history, journal, sessions, views
from gambler_ai.storage.database import Database
from tests.unit.fakes import AT, MONEY, SESSION, after, bracket_of, entry, fill_of

D = Decimal


def money(minutes: float, equity: str) -> ev.AccountReported:
    return ev.AccountReported(after(minutes=minutes), replace(MONEY, equity=D(equity)))


def started(minutes: float) -> ev.RunStarted:
    return ev.RunStarted(after(minutes=minutes), 3600.0, resumed=False, token=1)


def opened(minutes: float, day: str) -> ev.DayOpened:
    return ev.DayOpened(after(minutes=minutes), day)


def marked(minutes: float, **marks: str) -> ev.Marked:
    return ev.Marked(after(minutes=minutes), {symbol: D(price) for symbol, price in marks.items()}, {})


def trade(begin: float, end: float, **changes: Any) -> ClosedTrade:
    fields: dict[str, Any] = {
        "position_id": "p", "symbol": "AAPL", "side": "long", "qty": D(10), "entry_price": D(100),
        "entry_at": after(minutes=begin), "exit_price": D(101), "exit_at": after(minutes=end), "pnl": D(10),
        "reason": "target", "strategy": "momentum",
    }  # fmt: skip
    return ClosedTrade(**fields | changes)


def store(
    database: Database, state: SessionState, facts: Sequence[ev.Fact] = (), trades: Sequence[ClosedTrade] = ()
) -> None:
    """Add to the session's journal and to its round trips; it has come as far as the last fact."""
    state.closed_trades += len(trades)
    state.last_at = max([state.last_at, *(fact.at for fact in facts)])
    with database.write() as db:
        head = sessions.place(db, SESSION)[1]
        head = journal.append(db, state, facts, Changes(closed=list(trades)), head, 1)
        sessions.update(db, state, head=head, checkpoints=0, wall=AT)


def performance(database: Database) -> history.Performance:
    with database.read() as db:
        return history.performance(db, sessions.find(db, SESSION))


def runs(database: Database) -> list[tuple[float, float]]:
    found = performance(database).runs
    return [((run.begin - AT) / timedelta(minutes=1), (run.end - AT) / timedelta(minutes=1)) for run in found]


# -- equity ---------------------------------------------------------------------------------------


def test_a_session_of_which_nothing_is_stored_yet(database, session):
    found = performance(database)
    assert (found.equity.readings, found.trades.count, found.exposure, found.turnover) == (0, 0, None, None)
    assert (found.runs, found.fills, found.foreign_seen) == ([], 0, False)
    with database.read() as db:
        assert history.equity_curve(db, SESSION) == []
        assert views.closed_trades(db, SESSION) == []
        assert history.excursions(db, SESSION, []) == []


def test_the_curve_is_what_the_broker_stated_and_no_other_session_s(database, session):
    store(database, session, [money(0, "100000"), marked(1, AAPL="100"), money(2, "100001.25"), money(3, "99999.5")])
    with database.read() as db:
        assert history.equity_curve(db, SESSION) == [
            Point(AT, D(100_000)), Point(after(minutes=2), D("100001.25")), Point(after(minutes=3), D("99999.5")),
        ]  # fmt: skip
        assert history.equity_curve(db, "s-2") == []
    assert performance(database).equity.change == D("-0.5")


def test_a_long_curve_is_thinned_and_keeps_its_extremes(database, session):
    equity = [str(100_000 + (index * 7919) % 1000) for index in range(2_500)]
    store(database, session, [money(index, value) for index, value in enumerate(equity)])
    with database.read() as db:
        points = history.equity_curve(db, SESSION, 50)
    assert len(points) <= 52
    found = [point.equity for point in points]
    assert (found[0], found[-1]) == (D(equity[0]), D(equity[-1]))
    assert (min(found), max(found)) == (D(100_000), D(100_999))
    assert performance(database).equity.readings == 2_500


def test_days_are_the_market_s_and_what_comes_before_one_opens_is_the_day_before_s(database, session):
    day = 1440
    facts: list[ev.Fact] = [
        money(0, "100000"), opened(0, "2008-10-07"), money(300, "101000"),
        money(700, "102000"),  # after the close: New York is at 21:40, in UTC it is another date
        money(day, "103000"), opened(day, "2008-10-08"), money(day + 60, "90000"),
    ]  # fmt: skip
    store(database, session, facts)
    found = performance(database).equity
    assert found.days == 2
    assert found.mean_equity == pytest.approx((100_000 + 102_000 + 90_000) / 3)


def test_a_day_on_which_nothing_was_stated_is_a_day(database, session):
    """A session that holds nothing has an account that does not change."""
    facts: list[ev.Fact] = [money(0, "100000"), opened(0, "day 0")]
    facts += [opened(1440 * index, f"day {index}") for index in range(1, 21)]
    store(database, session, [*facts, money(1440 * 20 + 5, "101000")])
    found = performance(database).equity
    assert (found.days, found.readings) == (21, 2)
    assert found.volatility is not None


def test_a_script_s_session_has_new_york_s_days(database, session):
    evening = 12.5 * 60  # 22:30 in New York, the next day in UTC
    store(database, session, [money(0, "100000"), money(evening, "110000"), money(1440, "121000")])
    assert performance(database).equity.days == 2


def test_what_was_stated_last_holds_as_long_as_the_session_has_come(database, session):
    store(database, session, [money(0, "100000"), money(5, "90000"), marked(60, AAPL="100")])
    drawdown = performance(database).equity.drawdown
    assert drawdown is not None
    assert drawdown.length == timedelta(minutes=60)


def test_shares_of_others_are_told(database, session):
    store(database, session, [ev.ForeignSeen(AT, {})])
    assert not performance(database).foreign_seen
    store(database, session, [ev.ForeignSeen(AT, {"IBM": D(5)}), ev.ForeignSeen(AT, {})])
    assert performance(database).foreign_seen


# -- time -----------------------------------------------------------------------------------------


def test_a_run_lasts_until_it_ended_paused_or_was_killed(database, session):
    facts: list[ev.Fact] = [
        started(0), marked(10, AAPL="1"), ev.RunPaused(after(minutes=20), 60.0), started(30), marked(35, AAPL="1"),
        ev.StateRestored(after(minutes=50), None, 0), started(50), ev.RunEnded(after(minutes=60), "stopped", "signal"),
        started(70), marked(75, AAPL="1"),
    ]  # fmt: skip
    store(database, session, facts)
    assert runs(database) == [(0, 20), (30, 35), (50, 60), (70, 75)]


def test_runs_never_overlap_though_a_clock_went_back(database, session):
    facts: list[ev.Fact] = [
        started(0),
        ev.RunEnded(after(minutes=20), "stopped", ""),
        started(15),
        marked(30, AAPL="1"),
    ]
    store(database, session, facts)
    assert runs(database) == [(0, 20), (20, 30)]


def test_exposure_is_of_round_trips_and_of_what_is_held_still(database, session):
    held = Position("MSFT", D(5), D(20), after(minutes=80), "p-2", "momentum")
    session.positions["MSFT"] = held
    store(database, session, [started(0), marked(100, AAPL="1")], [trade(10, 30), trade(5, 20)])
    with database.write() as db:
        journal.append(db, session, [], Changes(symbols={"MSFT"}), sessions.place(db, SESSION)[1], 1)
    found = performance(database)
    assert found.exposure == pytest.approx(0.45)
    assert found.trades.mean_held == timedelta(minutes=17, seconds=30)


def test_what_was_bought_and_sold_is_added_exactly(database, session):
    intent = entry()
    order = bracket_of(intent)
    facts: list[ev.Fact] = [ev.IntentPlanned(AT, intent), ev.OrderUpdated(AT, order)]
    facts += [ev.FillReported(AT, fill_of(order, "5", "0.1", 1)), ev.FillReported(AT, fill_of(order, "5", "0.2", 2))]
    facts += [money(1, "100000")]
    changes = evolve(session, facts)
    with database.write() as db:
        head = journal.append(db, session, facts, changes, journal.GENESIS, 1)
        sessions.update(db, session, head=head, checkpoints=0, wall=AT)
    found = performance(database)
    assert (found.bought, found.sold, found.fills, found.turnover) == (D("1.5"), D(0), 2, 0.0)


# -- round trips ----------------------------------------------------------------------------------


def test_round_trips_are_the_newest_since_an_instant_or_page_by_page(database, session):
    trades = [trade(index, index + 1, pnl=D(index)) for index in range(7)]
    store(database, session, [], trades)
    with database.read() as db:
        assert views.closed_trades(db, SESSION) == trades
        assert views.closed_trades(db, SESSION, limit=2) == trades[-2:]
        assert views.closed_trades(db, SESSION, since=after(minutes=3)) == trades[2:]
        assert views.closed_trades(db, SESSION, 3, after(minutes=3)) == trades[-3:]
        assert [len(page) for page in history.trades_in_pages(db, SESSION, 3)] == [3, 3, 1]
        assert [found for page in history.trades_in_pages(db, SESSION, 3) for found in page] == trades
    assert performance(database).trades.net == D(21)


def test_excursions_come_from_the_marks_between_entry_and_exit_and_know_splits(database, session):
    facts: list[ev.Fact] = [
        marked(0, AAPL="10", MSFT="1"), marked(5, AAPL="190", MSFT="9"),
        ev.SplitApplied(after(minutes=6), "AAPL", 2, 1, D(10), ""),
        marked(7, AAPL="103"), marked(9, MSFT="1"), marked(11, AAPL="500"), marked(30, AAPL="99"), marked(45, AAPL="1"),
    ]  # fmt: skip
    store(database, session, facts, [trade(1, 10), trade(20, 40, side="short", exit_price=D(100))])
    with database.read() as db:
        found = history.excursions(db, SESSION, views.closed_trades(db, SESSION))
    percents = [(round(e.adverse * 100, 6), round(e.favourable * 100, 6)) for e in found if e is not None]
    assert percents == [(-5.0, 3.0), (0.0, 1.0)]


def test_of_marks_of_many_symbols_only_the_held_ones_are_read(database, session):
    """The others' prices are not even numbers here."""
    store(database, session, [marked(5, AAPL="98")], [trade(1, 10)])
    with database.write() as db:
        text = '{"type":"Marked","at":"2008-10-07T14:06:00Z","marks":{"AAPL":"97","ZZZ":"?"},"bars":{}}'
        db.execute(sa.text("UPDATE journal SET payload = :text"), {"text": text})
    with database.read() as db:
        [found] = history.excursions(db, SESSION, views.closed_trades(db, SESSION))
    assert found is not None
    assert found.adverse == pytest.approx(-0.03)


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("AccountReported", "{"), ("AccountReported", '{"at":"2008-10-07T14:06:00Z","account":{"equity":"NaN"}}'),
        ("Marked", '{"type":"Marked","at":"2008-10-07T14:06:00Z","marks":{"AAPL":"Infinity"},"bars":{}}'),
        ("Marked", '{"type":"Marked","at":"2008-10-07T14:06:00Z","marks":{"AAPL":{}},"bars":{}}'),
        ("DayOpened", "[]"), ("ForeignSeen", '{"type":"ForeignSeen"}'),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_read_is_named(database, session, kind, payload):
    facts: list[ev.Fact] = [money(0, "100000"), opened(0, "2008-10-07"), ev.ForeignSeen(AT, {}), marked(5, AAPL="98")]
    store(database, session, facts, [trade(1, 10)])
    with database.write() as db:
        query = sa.text("UPDATE journal SET payload = :payload WHERE kind = :kind")
        db.execute(query, {"payload": payload, "kind": kind})
        seq = 1 + [type(fact).__name__ for fact in facts].index(kind)

    def read() -> None:
        with database.read() as db:
            history.performance(db, sessions.find(db, SESSION))
            history.excursions(db, SESSION, views.closed_trades(db, SESSION))

    with pytest.raises(CheckpointCorrupt, match=f"^journal row {seq} of session s-1 cannot be read"):
        read()


def test_one_moment_is_read(database, session):
    """What is stored while a report is made is in the next one."""
    store(database, session, [money(0, "100000")])
    with database.read() as db:
        before = history.equity_curve(db, SESSION)
        store(database, session, [money(1, "100001")])
        assert history.equity_curve(db, SESSION) == before
    with database.read() as db:
        assert len(history.equity_curve(db, SESSION)) == 2
