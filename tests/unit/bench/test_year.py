"""A year is played as the loop would; in the night it is seen not to grow."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import books, year
from gambler_ai.storage import inspect, sessions
from gambler_ai.storage.checkpoints import WHOLE_EVERY
from gambler_ai.storage.database import Database
from gambler_ai.trading.runner import PRUNE_EVERY


def verified(path: Path) -> int:
    """Rows of the journal, all of which verify."""
    database = Database(books.sqlite_url(path))
    with database.read() as db:
        info = sessions.find(db, books.SESSION)
        inspect.check_chain(db, info)
    database.close()
    return info.seq


def test_two_days_of_it_are_as_they_are_said_to_be(tmp_path: Path):
    path = tmp_path / "year.sqlite3"
    first, last = year.play(path, 100, 2, month=1)
    assert (first.day, last.day) == (1, 2)
    assert last.of_trades - first.of_trades == year.TRIPS * 6
    held = 100 + PRUNE_EVERY + WHOLE_EVERY // 2  # minutes back to the oldest whole checkpoint: what a resume may read
    of_orders = 5 * (year.TRIPS * held // year.MINUTES + 1)
    assert last.hot < 2 * held + of_orders + 10 < 2 * year.MINUTES * 2
    assert last.segments > 60
    assert verified(path) == 2 * (2 * year.MINUTES + 5 * year.TRIPS) + 3 * year.SYMBOLS + 3


@pytest.mark.nightly
@pytest.mark.timeout(0)
def test_neither_memory_nor_hot_rows_grow_over_a_year_and_the_file_hardly_does(tmp_path: Path, count):
    """The file grows by what is compressed and by the rows of intents, orders, fills and trips, and by nothing else."""
    cleaned = year.played(tmp_path / "cleaned.sqlite3", year.LIMIT, year.DAYS)
    count("days of a simulated year", year.DAYS)
    early, last = cleaned[2], cleaned[-1]
    assert last.memory_kib < 1.1 * early.memory_kib
    trips = (last.day - early.day) * year.TRIPS
    assert last.hot - early.hot < 3 * 1_100  # a segment more or less of each file
    growth_kib = last.database_kib - early.database_kib
    compressed_kib = last.segments_kib - early.segments_kib
    assert growth_kib < 1.3 * compressed_kib + trips * 3
    assert verified(tmp_path / "cleaned.sqlite3") > 2 * year.DAYS * year.MINUTES
