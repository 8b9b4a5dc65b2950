"""The facade that scripts use: what it refuses, and what it leaves to be resumed."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from gambler_ai.clock import ManualClock
from gambler_ai.core import events as ev
from gambler_ai.core.evolution import evolve
from gambler_ai.core.risk_record import RiskRecord
from gambler_ai.errors import ConfigError, NoActiveSession, SessionLeased, SessionNotFound
from gambler_ai.storage import journal, sessions
from gambler_ai.storage import tables as t
from gambler_ai.storage.database import Database
from gambler_ai.trading.carrying import risk_carried
from gambler_ai.trading.state_manager import StateManager
from tests.unit.fakes import ACCOUNT, AT, D, after, make_state


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(AT)


@pytest.fixture
def manager(database, clock):
    with StateManager(database, clock=clock) as opened:
        yield opened


def begun(manager: StateManager, **more: Any) -> str:
    return manager.create_session(["AAPL"], **({"initial_capital": 1000} | more))


NEEDS_ONE: dict[str, Callable[[StateManager], object]] = {
    "create_checkpoint": lambda m: m.create_checkpoint(),
    "restore": lambda m: m.restore_from_latest_checkpoint(),
    "list": lambda m: m.list_checkpoints(),
    "stats": lambda m: m.get_checkpoint_stats(),
    "cleanup": lambda m: m.cleanup_old_checkpoints(),
    "end": lambda m: m.end_session(),
}


@pytest.mark.parametrize("call", NEEDS_ONE)
def test_without_a_session_it_says_so(manager, call):
    with pytest.raises(NoActiveSession, match="no session is active"):
        NEEDS_ONE[call](manager)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"symbols": []}, "symbols must be"),
        ({"symbols": "AAPL"}, "symbols must be"),
        ({"symbols": ["AAPL", ""]}, "symbols must be"),
        ({"initial_capital": "many"}, "initial_capital must be an amount"),
        ({"initial_capital": -1}, "initial_capital must be an amount"),
        ({"initial_capital": float("nan")}, "initial_capital must be an amount"),
        ({"initial_capital": float("inf")}, "initial_capital must be an amount"),
        ({"duration_minutes": 0}, "must be above zero"),
        ({"duration_minutes": float("nan")}, "must be above zero"),
        ({"scan_interval_seconds": -1}, "must be above zero"),
        ({"parameters": {"f": object()}}, "parameters must be plain values"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_no_session(manager, database, changes, says):
    with pytest.raises(ConfigError, match=says):
        manager.create_session(**({"symbols": ["AAPL"], "initial_capital": 1000} | changes))
    assert manager.session_id is None
    with database.read() as db:
        assert sessions.listed(db) == []


def test_accounts_and_parameters_are_kept_exactly(manager):
    begun(manager, parameters={"a": 1})
    manager.create_checkpoint({"portfolio_value": "0.1", "unknown": 1}, {"b": [1, 2.5, None]})
    restored = manager.restore_from_latest_checkpoint()
    assert (restored["portfolio_value"], restored["account"]["equity"]) == (Decimal("0.1"), Decimal("0.1"))
    assert restored["account"]["cash"] == Decimal(1000)
    assert restored["strategy_params"] == {"b": [1, 2.5, None]}
    with pytest.raises(ConfigError, match="cash must be an amount"):
        manager.create_checkpoint({"cash": "lots"})
    with pytest.raises(ConfigError, match="plain values"):
        manager.create_checkpoint(strategy_params={"x": object()})
    assert manager.get_checkpoint_stats()["total_checkpoints"] == 1


def test_a_session_without_a_checkpoint_has_none_to_restore(manager):
    begun(manager)
    with pytest.raises(SessionNotFound, match="has no checkpoint yet"):
        manager.restore_from_latest_checkpoint()
    assert manager.get_checkpoint_stats()["latest_checkpoint"] is None


def test_a_session_is_active_for_one_at_a_time(database, manager, clock):
    session_id = begun(manager)
    with pytest.raises(SessionLeased, match="script, pid "):
        StateManager(database, clock=clock).resume_session(session_id)


def test_beginning_another_leaves_the_first_to_be_resumed(manager, clock):
    first = begun(manager)
    clock.move_to(after(minutes=1))
    second = begun(manager)
    assert manager.resume_session(first) == first
    assert manager.resume_session() == second
    manager.end_session()
    assert manager.session_id is None
    assert manager.resume_session() == first


def test_it_ends_completed_or_stopped(manager, database):
    session_id = begun(manager)
    with pytest.raises(ConfigError, match="completed or stopped"):
        manager.end_session("crashed")
    manager.end_session(reason="enough")
    with database.read() as db:
        found = sessions.find(db, session_id)
    assert (found.status, found.end_reason) == ("completed", "enough")
    with pytest.raises(SessionNotFound, match="no session to resume"):
        manager.resume_session()


def test_a_script_that_looks_after_an_older_session_forgets_nothing_of_the_account(database, clock, manager):
    """It is the last to write, so the next session asks it what the account remembers."""
    with database.write() as db:
        for number, session_id in enumerate(("s-1", "s-2")):
            state = make_state(session_id=session_id)
            deep = RiskRecord(equity=D(90), peak=D(100 + number), worst_pct=D(10), streak=-number)
            facts: list[ev.Fact] = [ev.RiskCarried(AT, "s-0", deep)]
            if number:
                facts.append(ev.TradingHalted(AT, ev.DRAWDOWN, "deep"))
            wall = after(minutes=number)
            sessions.insert(db, state, broker="embedded", trading_url="", genesis=journal.GENESIS, wall=wall)
            head = journal.append(db, state, facts, evolve(state, facts), journal.GENESIS, token=0)
            sessions.update(db, state, head=head, checkpoints=0, wall=wall)
    clock.move_to(after(minutes=9))
    manager.resume_session("s-1")
    manager.end_session("stopped")
    carried, halted = risk_carried(database, ACCOUNT, "s-3", AT)
    assert isinstance(carried, ev.RiskCarried)
    assert (carried.session_id, carried.record.peak, carried.record.streak) == ("s-1", D(101), -1)
    assert halted == ev.TradingHalted(AT, ev.DRAWDOWN, "deep")


def test_leaving_the_block_stops_the_session_and_gives_the_database_back(tmp_path, clock):
    url = f"sqlite:///{tmp_path / 'scripts.sqlite3'}"
    with StateManager(url, clock=clock) as manager:
        session_id = begun(manager)
    with StateManager(Database(url), clock=clock) as again:
        assert again.resume_session() == session_id
        assert again.create_checkpoint() == 1
        assert again.cleanup_old_checkpoints(1, older_than_hours=1) == 0


def test_a_commit_that_fails_drops_the_session_which_is_resumed_as_it_was_stored(manager, database):
    session_id = begun(manager, parameters={"a": 1})
    manager.create_checkpoint()

    with database.write() as db:  # another owner, as after a take-over
        db.execute(t.lease.update().values(token=99))
    with pytest.raises(SessionLeased):
        manager.create_checkpoint(strategy_params={"a": 2})
    assert manager.session_id is None
    with pytest.raises(NoActiveSession):
        manager.create_checkpoint()
    assert manager.resume_session() == session_id  # the lock is free
    assert manager.restore_from_latest_checkpoint()["strategy_params"] == {"a": 1}
