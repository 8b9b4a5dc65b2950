"""Sessions of an F&O system, archived: whole or not at all, once, and where no runner and no limit looks."""

from __future__ import annotations

import json
from datetime import UTC, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from gambler_ai import crashpoints
from gambler_ai.app import archiving
from gambler_ai.app.ancestry import Reading, read_files
from gambler_ai.app.inheriting import store_archive
from gambler_ai.app.resuming import refuse_closed
from gambler_ai.clock import ManualClock
from gambler_ai.errors import ConfigError, SessionLeased
from gambler_ai.storage import lease, sessions
from gambler_ai.storage import tables as t
from gambler_ai.storage.database import Database
from gambler_ai.storage.sessions import SessionInfo
from gambler_ai.trading.recovery import restore
from tests.unit.ancestors.fno import FILES, SYSTEM
from tests.unit.fakes import AT

LESSON = Path(__file__).parents[1] / "ancestors" / "files" / "numpy1" / "q_table.pkl"
TRADED = (t.positions, t.orders, t.intents, t.fills, t.closed_trades, t.requests)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(AT)


def written(folder: Path, files: dict[str, Any] = FILES) -> list[Path]:
    for name, document in files.items():
        (folder / name).write_text(json.dumps(document))
    return [folder / name for name in files]


def reading(folder: Path, files: dict[str, Any] = FILES, zone: str = "UTC") -> Reading:
    return read_files(written(folder, files), ZoneInfo(zone))


def rows(database: Database, *tables: sa.Table) -> dict[str, int]:
    with database.read() as db:
        return {table.name: db.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() for table in tables}


def found_as(database: Database, session_id: str) -> SessionInfo:
    with database.read() as db:
        return sessions.find(db, session_id)


def test_three_files_are_one_archived_session(database: Database, clock: ManualClock, tmp_path: Path):
    outcome = store_archive(database, clock, reading(tmp_path))
    assert outcome.stored == ("archived.day", "archived.portfolio", "archived.system")
    ((info, kept),) = archiving.all_archived(database)
    assert (info.id, info.status, info.end_reason) == (outcome.session_id, "closed", archiving.REASON)
    assert info.plan.symbols == ("NIFTY25SEP24650CE", "BANKNIFTY25SEP57200CE")
    assert [file.kind for file in kept] == [
        "fno_system_state.json",
        "current_state.json",
        "shared_portfolio_state.json",
    ]
    assert kept[0].books.cash == Decimal("914462.59")
    assert kept[2].books.positions[0].qty == -50
    assert set(restore(database, info).state.parameters["archived"]) == {str(tmp_path / name) for name in FILES}
    assert not lease.is_held(database, archiving.ACCOUNT)


def test_what_it_held_is_nowhere_that_a_runner_or_a_limit_looks(
    database: Database, clock: ManualClock, tmp_path: Path
):  # fmt: skip
    outcome = store_archive(database, clock, reading(tmp_path))
    assert rows(database, *TRADED) == {table.name: 0 for table in TRADED}
    info = found_as(database, outcome.session_id)
    assert restore(database, info).state.positions == {}
    with database.read() as db:
        assert sessions.newest_open(db, scripts=True) is None
    with pytest.raises(ConfigError, match="was closed"):
        refuse_closed(info)


def test_the_same_files_again_are_told_and_write_nothing(database: Database, clock: ManualClock, tmp_path: Path):
    first = store_archive(database, clock, reading(tmp_path))
    tables = (t.sessions, t.journal, t.components, t.blobs, t.lease)
    before = rows(database, *tables)
    clock.move_to(AT + timedelta(seconds=5))
    (tmp_path / "copy").mkdir()
    again = store_archive(database, clock, reading(tmp_path / "copy"))
    assert (again.session_id, again.stored) == ("", ())
    assert len(again.next_steps) == 3
    assert all(f"is archived already, in session {first.session_id}" in step for step in again.next_steps)
    assert rows(database, *tables) == before


def test_a_file_that_says_something_new_is_another_session(database: Database, clock: ManualClock, tmp_path: Path):
    first = store_archive(database, clock, reading(tmp_path, {"a.json": SYSTEM}))
    clock.move_to(AT + timedelta(seconds=5))
    second = store_archive(database, clock, reading(tmp_path, FILES | {"fno_system_state.json": SYSTEM}))
    assert second.stored == ("archived.day", "archived.portfolio")
    assert f"in session {first.session_id}" in second.next_steps[0]
    clock.move_to(AT + timedelta(seconds=9))
    other = store_archive(database, clock, reading(tmp_path, {"a.json": SYSTEM}, "Asia/Kolkata"))
    assert other.stored == ("archived.system",)
    assert len(archiving.all_archived(database)) == 3
    known = store_archive(database, clock, reading(tmp_path, {"a.json": SYSTEM}))
    assert f"in session {first.session_id}" in known.next_steps[0], "an older one is known as well"


def test_files_of_two_kinds_of_bots_are_given_apart(tmp_path: Path):
    both = read_files([*written(tmp_path), LESSON], UTC)
    with pytest.raises(ConfigError, match="3 of 4 files are an F&O system's"):
        archiving.check_alone(both)
    assert archiving.check_alone(reading(tmp_path))
    assert not archiving.check_alone(read_files([LESSON], UTC))


def test_one_refused_file_and_nothing_is_written(database: Database, clock: ManualClock, tmp_path: Path):
    wrong = FILES | {"current_state.json": {"trading_day": "x", "positions": []}}
    with pytest.raises(ConfigError, match="1 of 3 files refused; nothing was imported"):
        store_archive(database, clock, reading(tmp_path, wrong))
    assert archiving.all_archived(database) == []


class Died(Exception):
    """The process, at a crash point."""


@pytest.mark.parametrize("point", ["component.blob", "component.inside"])
def test_a_death_in_between_leaves_nothing(database: Database, clock: ManualClock, tmp_path: Path, point: str):
    def die() -> None:
        raise Died

    tables = (t.sessions, t.journal, t.components, t.blobs)
    before = rows(database, *tables)
    crashpoints.arm(f"{point}:2", die)
    try:
        with pytest.raises(Died):
            store_archive(database, clock, reading(tmp_path))
    finally:
        crashpoints.disarm()
    assert rows(database, *tables) == before


def test_another_import_at_work_is_not_disturbed(database: Database, clock: ManualClock, tmp_path: Path):
    held = lease.acquire(database, archiving.ACCOUNT, "20250101-000000-abcd", "an import", clock)
    try:
        with pytest.raises(SessionLeased):
            store_archive(database, clock, reading(tmp_path))
    finally:
        held.close()
    assert archiving.all_archived(database) == []


def test_what_does_not_verify_is_passed_over(database: Database, clock: ManualClock, tmp_path: Path):
    store_archive(database, clock, reading(tmp_path))
    with database.write() as db:
        row = db.execute(sa.select(t.components.c.sha256).where(t.components.c.name == "archived.day")).scalar_one()
        db.execute(t.blobs.update().where(t.blobs.c.sha256 == row).values(payload=b"nothing"))
    ((_, kept),) = archiving.all_archived(database)
    assert [file.kind for file in kept] == ["fno_system_state.json", "shared_portfolio_state.json"]
