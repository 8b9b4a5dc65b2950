"""What one save costs: a tick's journal rows and the checkpoint that is due, against one tiny durable commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench import books, floors, history
from bench.books import Books
from bench.rows import Row, medians, row, skipped, tails
from bench.timing import Step, interleave
from gambler_ai.core import events as ev
from gambler_ai.core import snapshot

POSITIONS = (3, 100, 1_000)
CHANGED = 10
P50_GOAL, P99_GOAL, GROWTH_GOAL, HISTORY_GOAL, POSTGRES_GOAL = 2.0, 2.0, 1.3, 1.1, 2.5
BYTES_GOAL = 0.05


def checkpoints(folder: Path, rounds: int) -> Iterator[Row]:
    """SQLite at three sizes, and how the cost grows between them."""
    ratios = {}
    for count in POSITIONS:
        rows = list(_at_size(folder / f"saving-{count}.sqlite3", count, rounds))
        ratios[count] = rows[0].ratio or 0.0
        yield from rows
    first, last = POSITIONS[0], POSITIONS[-1]
    name = f"save: ratio at {last:,} positions over that at {first}"
    yield row(name, ratios[last], ratios[first], "x floor", GROWTH_GOAL)


def _at_size(path: Path, count: int, rounds: int) -> Iterator[Row]:
    what = f"save, {count:,} positions, {min(CHANGED, count)} changed"
    with books.session(books.sqlite_url(path), count) as mine, floors.tiny_commit(path.with_suffix(".floor")) as tiny:
        ours, floor = interleave(lambda: saving(mine), lambda: tiny, rounds)
        yield medians(f"{what}: p50", ours, floor, "ms", P50_GOAL)
        yield tails(f"{what}: p99", ours, floor, "ms", P99_GOAL, f"{rounds} rounds")
        ours, floor = interleave(lambda: saving(mine, busy=True), lambda: tiny, rounds)
        yield medians(f"{what} and their rows: p50", ours, floor, "ms", P50_GOAL)
        yield written(f"{what}: bytes", mine, path, BYTES_GOAL if count == POSITIONS[-1] else None)


def with_history(folder: Path, rounds: int) -> Iterator[Row]:
    """The same session with and without a long past, in turns."""
    plain, old = folder / "plain.sqlite3", history.database(folder)
    books.create(books.sqlite_url(plain), history.POSITIONS)
    with books.reopened(books.sqlite_url(plain)) as young, books.reopened(books.sqlite_url(old)) as mine:
        ours, floor = interleave(lambda: saving(mine), lambda: saving(young), rounds)
    yield medians(f"save with {history.SAID} over none: p50", ours, floor, "ms", HISTORY_GOAL)


def on_postgres(folder: Path, rounds: int) -> Iterator[Row]:
    """The same on Postgres, against a tiny commit through psycopg."""
    name = "save on Postgres, {:,} positions, {} changed: p50"
    try:
        from bench import postgres
    except ModuleNotFoundError as error:
        yield skipped(name.format(POSITIONS[1], CHANGED), f"{error.name} is not installed", POSTGRES_GOAL)
        return
    with postgres.server(folder) as fresh_url:
        for count in POSITIONS:
            url = fresh_url()
            with books.session(url, count) as mine, postgres.tiny_commit(url) as tiny:
                ours, floor = interleave(lambda: saving(mine), lambda: tiny, rounds)
            yield medians(name.format(count, min(CHANGED, count)), ours, floor, "ms", POSTGRES_GOAL)


def saving(mine: Books, *, busy: bool = False) -> Step:
    """The next save, its facts drawn beforehand: deciding is not saving."""
    facts: list[ev.Fact] = mine.adjusted(CHANGED) if busy else mine.marked(CHANGED)
    return lambda: mine.save(facts)


def written(name: str, mine: Books, path: Path, goal: float | None) -> Row:
    """Bytes that one save puts into the write-ahead log, over those of the whole state. Median of ten."""
    log, sizes = path.with_name(f"{path.name}-wal"), []
    for _ in range(10):
        db = sqlite3.connect(path)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        saving(mine)()
        sizes.append(log.stat().st_size / 1024)
    return row(name, median(sizes), len(snapshot.dump(mine.state)) / 1024, "KiB", goal, "log, over the whole state")
