"""The power goes: what was not synced is torn, reordered or lost. Whatever the broker saw is in our books."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from gambler_ai.storage import journal, sessions
from gambler_ai.storage.database import Database
from gambler_ai.storage.tables import SCHEMA_HEAD
from gambler_ai.trading.recovery import restore
from tests.allowance import Allowance
from tests.faults import strace
from tests.faults.disk import Disk, put
from tests.faults.recording import RECORDED, WHOLE, Event, Sent, Sync, Write, events
from tests.faults.strace import Call
from tests.faults.worlds import ENTRIES, SESSION, check, finished, new_world
from tests.recovery.harness import KILLED, PROGRAM, Surprise, World, entries

pytestmark = pytest.mark.skipif(bool(strace.missing()), reason=strace.missing() or "-")

NAME = "gambler.sqlite3"
CUTS = 20  # each commit
CUTS_MIN, SEEDS = 2_000, 3  # each night
FRAME_HEADER = 24
#: Cuts on one way through a recording.
BATCH = 200


class Due(NamedTuple):
    """What must be in the database after a cut: orders whose bytes had begun to leave, rows that were committed."""

    sent: tuple[str, ...]
    rows: int


class Recording(NamedTuple):
    """A run: what it did, below which folder, and what was due after each event."""

    events: list[Event]
    home: Path
    due: list[Due]


def recorded(world: World, *args: str, crash_at: str = "") -> list[Event]:
    """Run the program and write down what it does to its database and what it sends."""
    trace = world.folder / "trace"
    program = (*strace.tracing(trace, *RECORDED), *WHOLE, *PROGRAM)
    ended = world.run(*args, program=program, crash_at=crash_at)
    assert ended.code == (KILLED if crash_at else 0), ended
    return list(events(trace))


@pytest.fixture(scope="module")
def short(tmp_path_factory) -> Recording:
    """Six minutes with two entries."""
    folder = tmp_path_factory.mktemp("short") / "world"
    with new_world(folder) as world:
        args = [*SESSION, "--duration", "6"]
        return with_due(recorded(world, *args), world.home, folder.parent / "whole")


@pytest.fixture(scope="module")
def long(tmp_path_factory) -> Recording:
    """Half an hour with three entries, a kill, a resume, and checkpoints every twenty seconds."""
    folder = tmp_path_factory.mktemp("long") / "world"
    with new_world(folder) as world:
        args = [*SESSION, "--duration", "30", "--checkpoint-interval", "20"]
        first = recorded(world, *args, crash_at="fill.after_commit:2")
        both = [*first, *recorded(world, "--resume")]
        return with_due(both, world.home, folder.parent / "whole")


def with_due(events: list[Event], home: Path, folder: Path) -> Recording:
    """A commit is over when its log is synced, or when the next transaction is written: no sooner."""
    folder.mkdir()
    disk, sent, rows = Disk(home), (), 0  # type: Disk, tuple[str, ...], int
    begun, ended = False, dict[str, bytes]()  # the frame that ends a transaction is being written; has been
    due = []
    for event in events:
        disk.take(event)
        if isinstance(event, Sent):
            sent = (*sent, event.client_order_id)
        elif isinstance(event, Sync | Write) and event.path.endswith(f"{NAME}-wal"):
            if ended:
                rows, ended = _rows(ended, folder), {}
            if isinstance(event, Write):
                if begun:
                    ended = disk.whole()
                begun = len(event.data) == FRAME_HEADER and any(event.data[4:8])
        due.append(Due(sent, rows))
    return Recording(events, home, due)


def _rows(image: dict[str, bytes], folder: Path) -> int:
    """Journal rows that are committed in an image."""
    put(image, folder)
    with closing(sqlite3.connect(folder / NAME)) as db:
        has_journal = db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'journal'").fetchone()[0]
        return int(db.execute("SELECT count(*) FROM journal").fetchone()[0]) if has_journal else 0


def wrong_after(image: dict[str, bytes], due: Due, folder: Path) -> str:
    """What is wrong with what a cut left; "" when nothing is."""
    put(image, folder)
    database = Database(f"sqlite:///{folder / NAME}")
    try:
        if database.revision() != SCHEMA_HEAD:
            return "the schema is gone" if due.rows or due.sent else ""
        with database.read() as db:
            found = sessions.listed(db)
            if db.exec_driver_sql("PRAGMA quick_check").scalar() != "ok":
                return "the database is damaged"
            rows = sum(1 for info in found for _ in journal.read(db, info.id, 0, journal.GENESIS))
        known = {coid for info in found for coid in restore(database, info).state.intents}
    finally:
        database.close()
    lost = [coid for coid in due.sent if coid not in known]
    if lost:
        return f"orders were sent that nobody knows of: {lost}"
    return f"{due.rows - rows} committed rows are lost" if rows < due.rows else ""


def cut(recording: Recording, cuts: Sequence[tuple[int, int]], folder: Path) -> list[str]:
    """Cut after each ``(number of event, seed)``, in order of events; what was wrong."""
    disk, found, position = Disk(recording.home), [], 0
    for number, seed in sorted(cuts):
        for event in recording.events[position : number + 1]:
            disk.take(event)
        position = number + 1
        image = disk.cut(np.random.default_rng([seed, number]))
        if says := wrong_after(image, recording.due[number], folder):
            found.append(f"cut after event {number} ({type(recording.events[number]).__name__}), seed {seed}: {says}")
    return found


def test_the_recording_is_whole(short: Recording, tmp_path: Path):
    """Without a cut the model's files are the program's own: they hold what the program says it stored."""
    disk = Disk(short.home)
    for event in short.events:
        disk.take(event)
    assert wrong_after(disk.whole(), short.due[-1], tmp_path) == ""
    assert len(set(short.due[-1].sent)) == 2
    assert short.due[-1].rows > 10
    assert {name for name, content in disk.whole().items() if content} == {NAME}


def test_power_cuts_of_this_seed(short: Recording, tmp_path: Path, request):
    seed = request.config.getoption("--seed")
    numbers = np.random.default_rng(seed).choice(len(short.events), CUTS, replace=False)
    assert not cut(short, [(int(number), seed) for number in numbers], tmp_path)


@pytest.mark.nightly
@pytest.mark.timeout(0)
def test_power_cuts_everywhere(long: Recording, tmp_path: Path, allowance: Allowance, count):
    assert len(long.events) >= CUTS_MIN
    assert len({e.client_order_id for e in long.events if isinstance(e, Sent)}) >= len(ENTRIES)
    points = [(number, allowance.seed + seed) for number in range(len(long.events)) for seed in range(SEEDS)]
    count("power cuts, in all", len(points))
    wrong, chosen = [], allowance.share(points)
    while batch := list(islice(chosen, BATCH)):
        wrong += cut(long, batch, tmp_path)
        count("power cuts", len(batch))
    count("violations", len(wrong))
    assert not wrong, "\n".join([f"{len(wrong)} cuts", *wrong[:10]])


def cut_and_go_on(world: World, call: Call, seed: int) -> None:
    """Kill it there and lose what was not synced; then the program itself goes on, and all is well."""
    trace = world.folder / "trace"
    inject = f"inject={call.name}:signal=SIGKILL:when={call.number}"
    tracing = ["strace", "-f", "-o", str(trace), "-e", f"trace={','.join(RECORDED)}", "-e", inject, *WHOLE]
    world.run(*SESSION, program=(*tracing, *PROGRAM)).was_killed()
    disk = Disk(world.home)
    for event in events(trace):
        disk.take(event)
    for old in world.home.glob(f"{NAME}*"):
        old.unlink()
    for name, content in disk.cut(np.random.default_rng(seed)).items():
        (world.home / name).write_bytes(content)
    finished(world).ok()
    check(world)


@pytest.mark.nightly
def test_a_resume_after_a_power_cut(tmp_path: Path, request):
    seed = request.config.getoption("--seed")
    with new_world(tmp_path / "world") as world:
        cut_and_go_on(world, Call("fdatasync", int(np.random.default_rng(seed).integers(12, 36))), seed)
        assert entries(world) == ENTRIES


@pytest.mark.nightly
@pytest.mark.timeout(0)
def test_resumes_after_power_cuts(tmp_path: Path, allowance: Allowance, count):
    points = [Call("fdatasync", n) for n in range(2, 38)] + [Call("pwrite64", n) for n in range(10, 560, 6)]
    count("resumes after a power cut, in all", len(points))
    wrong = []
    for call in allowance.share(points):
        try:
            with new_world(tmp_path / str(call)) as world:
                cut_and_go_on(world, call, allowance.seed)
                count("resumes after a power cut")
        except (AssertionError, Surprise) as error:
            count("violations")
            wrong.append(f"{call}: {str(error)[:600]}")
    assert not wrong, "\n".join([f"{len(wrong)} cuts", *wrong[:10]])
