"""A year of a session that trades a little: what it holds in memory and on the disk, month by month.

252 days of 390 minutes, written the way the loop writes them: each minute the account and the marks of ten symbols with
a checkpoint, nineteen round trips a day with their orders and fills, a prune when one is due, and every half hour the
clean-up of history. Played in a process of its own, so that nothing else is in its memory.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np
import sqlalchemy as sa
from msgspec import Struct
from msgspec.structs import replace

from bench import books
from bench.books import PRICE, QTY, STOP, Books
from bench.memory import resident_kib
from bench.rows import Row, row
from bench.timing import environment
from gambler_ai.core import events as ev
from gambler_ai.core.model import Account, Fill
from gambler_ai.storage import tables as t

DAYS, MINUTES, MONTH = 252, 390, 21
SYMBOLS, TRIPS = 10, 19
SEED = 1
LIMIT, NO_LIMIT = 10_000, 100_000_000
MEMORY_GOAL, SIZE_GOAL = 1.1, 0.35


class Sample(Struct):
    """As it is after so many days; sizes in KiB, the database with its log."""

    day: int
    memory_kib: int
    database_kib: int
    hot: int
    segments: int
    segments_kib: int
    of_trades: int  # rows of intents, orders and fills, which stay


def growth(folder: Path, rounds: int) -> Iterator[Row]:
    """A year with the clean-up, against its own second month, and against a year without."""
    days = max(3 * MONTH, min(rounds, DAYS))
    kept, cleaned = (played(folder / f"year-{limit}.sqlite3", limit, days) for limit in (NO_LIMIT, LIMIT))
    early, last = cleaned[1], cleaned[-1]
    memory = last.memory_kib / 1024, early.memory_kib / 1024
    yield row(f"memory after {last.day} days, over {early.day}", *memory, "MiB", MEMORY_GOAL)
    size = last.database_kib / 1024, kept[-1].database_kib / 1024
    yield row(f"database after {last.day} days, over one without clean-up", *size, "MiB", SIZE_GOAL)


def played(path: Path, limit: int, days: int) -> list[Sample]:
    """A sample after each month, from a process of its own."""
    command = [sys.executable, "-m", "bench.year", str(path), str(limit), str(days)]
    said = subprocess.run(command, check=True, capture_output=True, text=True, env=environment())
    return [msgspec.json.decode(line, type=Sample) for line in said.stdout.splitlines()]


def play(path: Path, limit: int, days: int, month: int = MONTH, a_day: int = TRIPS) -> Iterator[Sample]:
    """Live through ``days`` with ``a_day`` round trips, and tell how it stands after each ``month`` of them."""
    with books.session(books.sqlite_url(path), SYMBOLS) as mine:
        begin, walk = mine.now, Walk()
        trips = 0
        for day in range(days):
            for minute in range(MINUTES):
                mine.now = begin + timedelta(days=day, minutes=minute)
                if minute * a_day // MINUTES != (minute + 1) * a_day // MINUTES:
                    trips += 1
                    mine.commit(_trip(mine, trips))
                mine.save(walk.minute(mine.now))
                if minute % 30 == 29:
                    while mine.ledger.roll_up(limit):
                        pass
            if (day + 1) % month == 0 or day + 1 == days:
                yield _sample(mine, path, day + 1)


class Walk:
    """Ten prices and the account, each a step further a minute: nothing in them repeats, as in a market."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(SEED)
        self._cents = [int(PRICE * 100)] * SYMBOLS
        self._equity_cents = 100_000_000

    def minute(self, now: datetime) -> list[ev.Fact]:
        """What a reading of the broker comes to."""
        self._cents = [max(1_000, cents + round(self._random.normal(0, 5))) for cents in self._cents]
        self._equity_cents += round(self._random.normal(0, 2_000))
        marks = {books.name_of(s): Decimal(cents) / 100 for s, cents in enumerate(self._cents)}
        equity = Decimal(self._equity_cents) / 100
        money = Account(cash=equity, equity=equity, portfolio_value=equity, buying_power=2 * equity)
        return [ev.AccountReported(now, money), ev.Marked(now, marks, dict.fromkeys(marks, now))]


def _trip(mine: Books, number: int) -> list[ev.Fact]:
    """In and out of a symbol of its own: an entry, its bracket, the fill, and the stop's."""
    intent = replace(books.entry(mine.state, f"T{number % 50}", number * 60 + 10_000), decided_at=mine.now)
    new = books.answer(intent)
    target, stop = new.legs
    sold = replace(stop, status="filled", filled_qty=QTY, filled_avg_price=STOP)
    done = replace(new, legs=(replace(target, status="canceled"), sold))
    out = Fill(f"out-{number:09d}", stop.order_id, intent.symbol, stop.side, QTY, STOP, mine.now)
    return [
        ev.IntentPlanned(mine.now, intent), ev.OrderUpdated(mine.now, new), books.fill(new, 10_000 + number, QTY),
        ev.OrderUpdated(mine.now, done), ev.FillReported(mine.now, out),
    ]  # fmt: skip


def _sample(mine: Books, path: Path, day: int) -> Sample:
    def count(db: sa.Connection, *tables: sa.Table) -> int:
        return sum(db.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() for table in tables)

    with mine.database.read() as db:
        size = db.execute(sa.select(sa.func.coalesce(sa.func.sum(sa.func.length(t.archive.c.payload)), 0))).scalar_one()
        hot, kept, stay = count(db, t.journal), count(db, t.archive), count(db, t.intents, t.orders, t.fills)
    files = (path, path.with_name(f"{path.name}-wal"))
    bytes_ = sum(file.stat().st_size for file in files if file.exists())
    return Sample(day, resident_kib(os.getpid()) or 0, bytes_ // 1024, hot, kept, size // 1024, stay)


def main() -> None:
    """`python -m bench.year PATH LIMIT DAYS [TRIPS]`: a line of JSON for each month, so many round trips a day."""
    path, limit, days, *trips = sys.argv[1:]
    for found in play(Path(path), int(limit), int(days), a_day=int(trips[0]) if trips else TRIPS):
        sys.stdout.write(f"{msgspec.json.encode(found).decode()}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
