"""Clocks and calendars, each an execution of its own: jumps, both changes of the clocks, half day, holiday, sleep."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from gambler_ai.core import events as ev
from gambler_ai.core.orders import Purpose
from gambler_ai.simulation.scenario import Deed, Scenario, draw
from gambler_ai.simulation.world import Outcome, World, close_of
from gambler_ai.storage import journal
from gambler_ai.storage.database import Database

NEW_YORK = ZoneInfo("America/New_York")
BUSY = {"class": "dice", "seed": 4, "enter": 900, "leave": 500}


def at(day: str, clock: str) -> datetime:
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=NEW_YORK).astimezone(UTC)


def quiet(start: datetime, minutes: float, *, rate: float = 0.0, deeds: tuple[Deed, ...] = ()) -> Scenario:
    """A busy strategy in two symbols, and nothing that goes wrong but ``deeds``."""
    drawn = draw(0, 60)
    plan = replace(
        drawn.plan, symbols=("AAPL", "MSFT"), duration_s=minutes * 60.0, interval_s=60.0, timeframe_s=60,
        checkpoint_interval_s=300.0, max_positions=None, max_orders_per_day=None, max_order_value=None,
        max_daily_loss=None, on_exit="keep", speed=rate,
    )  # fmt: skip
    return replace(
        drawn, start=start, minutes=minutes, rate=rate, plan=plan, strategy=BUSY, slow=0, latency_s=0.01, broker=(),
        disk=(), crashes=(), deeds=deeds,
    )  # fmt: skip


def run(scenario: Scenario, folder: Path, place: Path) -> tuple[Outcome, list[ev.Fact]]:
    """The outcome of an execution, and its journal."""
    place.mkdir()
    shutil.copy(folder / "empty.sqlite3", place / "gambler.sqlite3")
    world = World(scenario, place)
    outcome = world.run()
    database = Database(f"sqlite:///{place / 'gambler.sqlite3'}")
    with database.read() as db:
        facts = [fact for fact, _hash in journal.read(db, world.session_id, 0, journal.GENESIS)]
    database.close()
    assert not outcome.violations
    return outcome, facts


def entries(facts: list[ev.Fact]) -> list[datetime]:
    return [f.at for f in facts if isinstance(f, ev.IntentPlanned) and f.intent.purpose is Purpose.ENTRY]


@pytest.mark.parametrize("rate", [0.0, 60.0])
def test_setting_the_machines_clock_changes_no_decision(rate: float, folder: Path, tmp_path: Path) -> None:
    calm = quiet(at("2008-10-07", "10:00"), 20, rate=rate)
    spans = (3_600.0, -86_400.0, 86_400.0, -3_600.0)
    jumps = tuple(Deed(120.0 * (n + 1), "jump", number=span) for n, span in enumerate(spans))
    still, _facts = run(calm, folder, tmp_path / "still")
    jumped, facts = run(replace(calm, deeds=jumps), folder, tmp_path / "jumped")
    assert len(entries(facts)) > 5
    assert jumped.journal_hash == still.journal_hash


@pytest.mark.parametrize("rate", [0.0, 60.0])
def test_on_a_half_day_entries_stop_before_its_real_close(rate: float, folder: Path, tmp_path: Path) -> None:
    scenario = quiet(at("2003-07-03", "12:25"), 35, rate=rate)  # the next day is Independence Day
    _outcome, facts = run(scenario, folder, tmp_path / "half")
    close = close_of("2003-07-03")
    assert close == at("2003-07-03", "13:00")
    assert close - timedelta(minutes=20) < max(entries(facts)) < close - timedelta(minutes=5)


def test_a_lid_closed_over_the_close_opens_on_a_closed_market(folder: Path, tmp_path: Path) -> None:
    """The monotonic clock stood still, so the session's own clock says it is still open."""
    lid = Deed(10 * 60.0, "asleep", number=3_600.0)
    scenario = quiet(at("2003-07-03", "12:30"), 35, rate=60.0, deeds=(lid,))
    outcome, facts = run(scenario, folder, tmp_path / "lid")
    slept = at("2003-07-03", "12:40")
    assert [moment for moment in entries(facts) if moment < slept]
    assert not [moment for moment in entries(facts) if slept + timedelta(minutes=1) < moment < at("2003-07-07", "9:30")]
    assert isinstance(facts[-1], ev.RunEnded)
    assert facts[-1].at > at("2003-07-03", "13:30")
    assert outcome.lives == 1


def test_a_machine_asleep_for_an_hour_goes_on_by_the_markets_clock(folder: Path, tmp_path: Path) -> None:
    lid = Deed(600.0, "asleep", number=3_600.0)
    _outcome, facts = run(quiet(at("2008-10-07", "10:00"), 90, rate=60.0, deeds=(lid,)), folder, tmp_path / "lid")
    awake = at("2008-10-07", "11:10")
    assert not [moment for moment in entries(facts) if awake - timedelta(minutes=58) < moment < awake]
    assert [moment for moment in entries(facts) if moment > awake]


DAYS = [
    pytest.param("2008-10-31", "2008-11-03", id="clocks go back"),
    pytest.param("2009-03-06", "2009-03-09", id="clocks go forward"),
    pytest.param("2008-07-03", "2008-07-07", id="a half day and a holiday"),
    pytest.param("2008-11-26", "2008-11-28", id="Thanksgiving"),
]


@pytest.mark.parametrize("rate", [0.0, pytest.param(60.0, marks=pytest.mark.nightly)])
@pytest.mark.parametrize(("first", "second"), DAYS)
def test_a_night_is_waited_through_to_the_real_open(
    first: str, second: str, rate: float, folder: Path, tmp_path: Path
) -> None:
    start = close_of(first) - timedelta(minutes=8)
    _outcome, facts = run(quiet(start, 18, rate=rate), folder, tmp_path / "night")
    assert [fact.day for fact in facts if isinstance(fact, ev.DayOpened)] == [first, second]
    close, opening = close_of(first), at(second, "09:30")
    awake = [moment for moment in entries(facts) if moment >= close - timedelta(minutes=5)]
    assert opening <= min(awake) < opening + timedelta(minutes=10)
    assert facts[-1].at - opening == pytest.approx(timedelta(minutes=10), abs=timedelta(minutes=2))


def test_the_sample_of_days_has_those_that_are_not_like_others() -> None:
    days = [draw(seed).start.astimezone(NEW_YORK).date() for seed in range(400)]
    assert len(set(days)) > 200
    assert sum(close_of(day.isoformat()) == at(day.isoformat(), "13:00") for day in days) > 20
    assert sum(_changes(day) for day in days) > 20


def _changes(day: date) -> bool:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=NEW_YORK)
    return noon.utcoffset() != (noon + timedelta(days=4)).utcoffset()
