"""What other bots left, stored: for a session or an account, all or nothing, and once."""

from __future__ import annotations

import json
from datetime import UTC, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gambler_ai import crashpoints
from gambler_ai.ancestors.history import History
from gambler_ai.ancestors.learned import QTable, Weights
from gambler_ai.ancestors.risk import PastRisk
from gambler_ai.app.ancestry import Reading, read_files
from gambler_ai.app.inheriting import Outcome, Target, find_target, inherited, store
from gambler_ai.clock import ManualClock
from gambler_ai.config import load
from gambler_ai.core import events as ev
from gambler_ai.core.evolution import evolve
from gambler_ai.core.risk_record import RiskRecord
from gambler_ai.core.risk_rules import RiskRules
from gambler_ai.errors import ConfigError, SessionLeased, SessionNotFound
from gambler_ai.storage import components, journal, lease, requests, sessions
from gambler_ai.storage import tables as t
from gambler_ai.storage.database import Database
from gambler_ai.trading.carrying import risk_carried
from gambler_ai.trading.recovery import restore
from gambler_ai.trading.state_manager import StateManager
from tests.unit.ancestors.make_files import q_table
from tests.unit.ancestors.test_kinds import CONFIG
from tests.unit.fakes import AT, make_plan, make_state

FILES = Path(__file__).parents[1] / "ancestors" / "files" / "numpy1"
NAMES = ("analytics_state.pkl", "risk_manager_state.pkl", "q_table.pkl", "attention_weights.npy")
WRITTEN = (t.sessions, t.journal, t.components, t.blobs, t.requests)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(AT)


def ancestors(*more: Path) -> Reading:
    return read_files([*(FILES / name for name in NAMES), *more], UTC)


def lesson(folder: Path, **state: Any) -> list[Path]:
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return [folder / "state.json", folder / "config.json"]


def rows(database: Database) -> dict[str, int]:
    with database.read() as db:
        return {table.name: db.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() for table in WRITTEN}


@pytest.fixture
def going_on(database: Database, clock: ManualClock, migrated_url: str) -> Target:
    """A session that can go on."""
    with StateManager(migrated_url, clock=clock) as manager:
        session_id = manager.create_session(["SPY"], initial_capital=1000)
    with database.read() as db:
        info = sessions.find(db, session_id)
    return Target(info.account_id, info)


# -- for an account -------------------------------------------------------------------------------


def test_what_is_stored_for_an_account_is_there_for_its_next_session(database: Database, clock: ManualClock):
    outcome = store(database, clock, Target("PA1"), ancestors())
    assert outcome.stored == ("imported.history", "imported.q_table", "imported.risk", "imported.weights")
    history, risk = inherited(database, "PA1", History), inherited(database, "PA1", PastRisk)
    table, weights = inherited(database, "PA1", QTable), inherited(database, "PA1", Weights)
    assert history is not None
    assert risk is not None
    assert table is not None
    assert weights is not None
    assert [trade.symbol for trade in history[1].trades] == ["BTC-USDT", "ETH-USDT", "SOL-USDT"]
    assert history[1].trades[0].pnl == Decimal("0.02")
    assert (risk[1].trades, risk[1].loss_streak, risk[1].peak_balance) == (25, 2, Decimal("10400.0"))
    assert (table[1].values, table[1].epsilon) == (q_table()["q_table"], 0.18)
    assert weights[1].values == (1 / 31,) * 31
    assert inherited(database, "PA2", History) is None


def test_it_is_filed_under_a_session_that_says_what_came_from_where(database: Database, clock: ManualClock):
    outcome = store(database, clock, Target("PA1"), ancestors())
    with database.read() as db:
        info = sessions.find(db, outcome.session_id)
        assert sessions.newest_open(db) is None  # nothing to resume
    assert (info.status, info.end_reason, info.broker) == ("completed", "files of another bot", sessions.SCRIPT)
    state = restore(database, info).state  # its journal verifies
    assert set(state.parameters["imported"]) == {str(FILES / name) for name in NAMES}
    assert not lease.is_held(database, "PA1")


def test_the_same_files_again_write_nothing(database: Database, clock: ManualClock):
    store(database, clock, Target("PA1"), ancestors())
    before = rows(database)
    clock.move_to(AT + timedelta(seconds=5))
    again = store(database, clock, Target("PA1"), ancestors())
    assert (again.session_id, again.stored) == ("", ())
    assert rows(database) == before


def test_another_table_is_stored_beside_the_old_one(database: Database, clock: ManualClock):
    store(database, clock, Target("PA1"), ancestors())
    clock.move_to(AT + timedelta(seconds=5))
    outcome = store(database, clock, Target("PA1"), read_files([FILES / "q_array.pkl"], UTC))
    assert outcome.stored == ("imported.q_table",)
    found = inherited(database, "PA1", QTable)
    assert found is not None
    assert (found[0].session_id, set(found[1].values)) == (outcome.session_id, {"0", "1", "2"})


def test_what_does_not_verify_is_passed_over(database: Database, clock: ManualClock):
    store(database, clock, Target("PA1"), ancestors())
    clock.move_to(AT + timedelta(seconds=5))
    store(database, clock, Target("PA1"), read_files([FILES / "q_array.pkl"], UTC))
    with database.write() as db:
        newest = components.elsewhere(db, "PA1", "", "imported.q_table")[0]
        db.execute(t.blobs.update().where(t.blobs.c.sha256 == newest.sha256).values(payload=b"nothing"))
    found = inherited(database, "PA1", QTable)
    assert found is not None
    assert set(found[1].values) == set(q_table()["q_table"])


# -- for a session --------------------------------------------------------------------------------


def test_a_session_gets_it_as_of_where_it_stands(database: Database, clock: ManualClock, going_on: Target):
    target = going_on
    outcome = store(database, clock, target, ancestors())
    assert target.session is not None
    assert outcome.session_id == target.session.id
    with database.read() as db:
        found = components.listed(db, outcome.session_id)
        info = sessions.find(db, outcome.session_id)
    assert {row.name for row in found} == set(outcome.stored)
    assert {(row.seq, row.account_id) for row in found} == {(info.seq, info.account_id)}
    assert (info.status, info.seq) == (target.session.status, target.session.seq + 1)  # what it knows of risk is new
    assert restore(database, info).state.risk.peak == Decimal("10400.0")


@pytest.mark.parametrize("of_session", [False, True])
def test_limits_of_the_next_session_know_the_other_bots_peak_and_streak(
    database: Database, clock: ManualClock, going_on: Target, of_session: bool
):
    target = going_on if of_session else Target("PA1")
    store(database, clock, target, ancestors())
    (fact,) = risk_carried(database, target.account_id, "20990101-000000-ffff", AT)
    assert isinstance(fact, ev.RiskCarried)
    assert (fact.record.peak, fact.record.streak, fact.record.worst_pct) == (Decimal("10400.0"), -2, Decimal("0.48"))


def test_an_import_ends_no_pause_and_no_halt_of_the_account(database: Database, clock: ManualClock):
    plan = make_plan(risk=RiskRules(max_loss_streak=1, loss_pause_min=Decimal(90)))
    state = make_state(plan=plan)
    lost = RiskRecord(peak=Decimal(9), losses=1, streak=-1, lost_at=AT)
    facts: list[ev.Fact] = [ev.RiskCarried(AT, "s-0", lost), ev.TradingHalted(AT, ev.DRAWDOWN, "deep")]
    with database.write() as db:
        sessions.insert(db, state, broker="embedded", trading_url="", genesis=journal.GENESIS, wall=AT)
        head = journal.append(db, state, facts, evolve(state, facts), journal.GENESIS, token=0)
        sessions.update(db, state, head=head, checkpoints=0, wall=AT)
    clock.move_to(AT + timedelta(seconds=5))
    store(database, clock, Target(state.account_id), ancestors())
    carried, halted = risk_carried(database, state.account_id, "20990101-000000-ffff", AT)
    assert isinstance(carried, ev.RiskCarried)
    assert (carried.record.peak, carried.record.streak) == (Decimal("10400.0"), -2)
    assert carried.record.paused_until == AT + timedelta(minutes=90)
    assert halted == ev.TradingHalted(AT, ev.DRAWDOWN, "deep")


def test_the_memory_of_risk_is_carried_once(database: Database, clock: ManualClock, going_on: Target):
    """A second import of the same file says nothing new, and takes back no reset."""
    store(database, clock, going_on, ancestors())
    before = rows(database)
    store(database, clock, going_on, ancestors())
    assert rows(database) == before


def test_a_position_is_asked_for_once_and_the_broker_is_to_decide(
    database: Database, clock: ManualClock, tmp_path: Path, going_on: Target
):
    target = going_on
    reading = read_files(lesson(tmp_path, is_in_position=True, entry_price=440.12), UTC)
    outcome = store(database, clock, target, reading)
    assert outcome.asked == ("SPY",)
    assert store(database, clock, target, reading).session_id == ""
    with database.read() as db:
        (request,) = requests.waiting(db, outcome.session_id)
    assert (request.kind, request.argument) == (ev.ADOPT, "SPY")
    assert request.reason == "imported: 10 SPY at 440.12"
    assert "takes what is really held there" in outcome.next_steps[0]


def test_a_position_for_an_account_names_the_command_that_takes_it_over(
    database: Database, clock: ManualClock, tmp_path: Path
):
    outcome = store(database, clock, Target("PA1"), read_files(lesson(tmp_path, is_in_position=True), UTC))
    assert "gambler-ai reconcile --adopt SPY" in outcome.next_steps[1]
    assert rows(database) == dict.fromkeys(rows(database), 0)  # nobody is there yet to be asked


# -- all or nothing -------------------------------------------------------------------------------


def test_one_refused_file_and_nothing_is_written(database: Database, clock: ManualClock):
    before = rows(database)
    with pytest.raises(ConfigError, match="1 of 5 files refused; nothing was imported"):
        store(database, clock, Target("PA1"), ancestors(FILES / "signal_model.pkl"))
    assert rows(database) == before


class Died(Exception):
    """The process, at a crash point."""


@pytest.mark.parametrize("point", ["component.blob", "component.inside"])
@pytest.mark.parametrize("of_session", [False, True])
def test_a_death_in_between_leaves_nothing(
    database: Database, clock: ManualClock, point: str, of_session: bool, tmp_path: Path, going_on: Target
):
    target = going_on if of_session else Target("PA1")
    before = rows(database)

    def die() -> None:
        raise Died

    crashpoints.arm(f"{point}:3", die)
    try:
        with pytest.raises(Died):
            store(database, clock, target, ancestors(*lesson(tmp_path, is_in_position=True)))
    finally:
        crashpoints.disarm()
    assert rows(database) == before


def test_a_runner_that_has_the_account_is_not_disturbed(database: Database, clock: ManualClock):
    before = rows(database)
    held = lease.acquire(database, "PA1", "20250101-000000-abcd", "a runner", clock)
    try:
        with pytest.raises(SessionLeased, match="PA1"):
            store(database, clock, Target("PA1"), ancestors())
    finally:
        held.close()
    assert rows(database) == before


# -- whom it is for -------------------------------------------------------------------------------


def target_of(database: Database, session: str | None = None, account: str | None = None) -> Target:
    return find_target(database, load({"broker": "embedded"}), session, account)


def test_whom_it_is_for_is_named_by_session_or_account(database: Database, going_on: Target):
    session = going_on.session
    assert session is not None
    assert target_of(database, session.id).session == session
    assert target_of(database, account="PA7") == Target("PA7")


def test_with_nobody_to_be_for_it_says_how_to_name_one(database: Database):
    with pytest.raises(ConfigError, match="no session is there that this could be for"):
        target_of(database)
    with pytest.raises(ConfigError, match="not both"):
        target_of(database, "a", "b")
    with pytest.raises(ConfigError, match="is no account's id"):
        target_of(database, account="PA7; DROP")
    with pytest.raises(SessionNotFound):
        target_of(database, "nothing")


def test_a_report_of_nothing_to_store_says_so(database: Database, clock: ManualClock, tmp_path: Path):
    outcome = store(database, clock, Target("PA1"), read_files(lesson(tmp_path, is_in_position=False), UTC))
    assert isinstance(outcome, Outcome)
    assert (outcome.session_id, outcome.stored, outcome.asked) == ("", (), ())
    assert rows(database)["sessions"] == 0
