"""Virtual time: three clocks that agree as long as nobody sets one or closes a lid."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

from gambler_ai.simulation.universe import RunningClock, Universe, WallClock

START = datetime(2008, 10, 7, 14, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_what_is_to_happen_happens_at_its_instant_and_in_order() -> None:
    universe, seen = Universe(START, 60.0), list[tuple[str, datetime]]()

    def note(name: str) -> None:
        seen.append((name, universe.now))

    for name, minutes in (("late", 20), ("early", 5)):
        universe.at(START + timedelta(minutes=minutes), partial(note, name))
    universe.wait(30)
    assert seen == [("early", START + timedelta(minutes=5)), ("late", START + timedelta(minutes=20))]
    assert (universe.now, universe.monotonic_s) == (START + timedelta(minutes=30), 30.0)


def test_waiting_ends_when_somebody_is_woken() -> None:
    universe, seen = Universe(START, 60.0), list[int]()
    universe.at(START + timedelta(minutes=5), lambda: seen.append(1))
    universe.wait(30, lambda: bool(seen))
    assert universe.monotonic_s == 5.0


def test_a_market_that_is_moved_stands_while_wall_time_passes() -> None:
    universe = Universe(START, 0.0)
    universe.wait(30)
    assert (universe.now, universe.monotonic_s) == (START, 30.0)


def test_a_clock_that_is_set_moves_nothing_else() -> None:
    universe = Universe(START, 1.0)
    session, wall = RunningClock(universe, START), WallClock(universe)
    universe.jump(-HOUR)
    assert wall.now() == START - HOUR
    assert (session.now(), universe.now, wall.monotonic()) == (START, START, 0.0)


def test_a_lid_that_is_closed_stops_the_monotonic_clock_only() -> None:
    universe = Universe(START, 1.0)
    session, wall = RunningClock(universe, START), WallClock(universe)
    universe.sleep_through(HOUR)
    assert (session.now(), universe.now, wall.now()) == (START, START + HOUR, START + HOUR)
