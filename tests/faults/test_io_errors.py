"""EIO and ENOSPC from each write and sync of the database: it stops in one line or goes on, and loses nothing."""

from pathlib import Path

import numpy as np
import pytest

from tests.allowance import Allowance
from tests.faults import strace
from tests.faults.strace import Call
from tests.faults.worlds import check, finished, new_world, started
from tests.recovery.harness import Ended, Surprise, World

pytestmark = pytest.mark.skipif(bool(strace.missing()), reason=strace.missing() or "-")

CALLS = ("pwrite64", "fdatasync", "fsync", "ftruncate")
ERRORS = ("EIO", "ENOSPC")
#: Endured; the database cannot be used; an outage outlasted patience.
ENDS = (0, 5, 75)
#: What each commit is tried with.
SAMPLE = [("pwrite64", 300, "ENOSPC"), ("fdatasync", 30, "EIO")]


def files(world: World) -> list[Path]:
    """What SQLite writes for us. Its lock file is ours, and holds nothing that anybody reads twice."""
    return [world.database.with_name(f"{world.database.name}{suffix}") for suffix in ("", "-wal", "-journal")]


def endure(world: World, call: Call, error: str) -> Ended:
    """Let that one call fail, then go on undisturbed to the end. How the first run ended."""
    trace = world.folder / "trace"
    ended = started(world, strace.failing(call, error, trace, *files(world)))
    assert "(INJECTED)" in trace.read_text(), "it did not come so far"
    said = ended.out + ended.err
    assert "Traceback" not in said, ended
    assert "internal error" not in said, ended
    assert ended.code in ENDS, ended
    if ended.code:
        assert ended.err.startswith("error: ") or "\nerror: " in ended.err, ended
        finished(world).ok()
    check(world)
    return ended


@pytest.mark.parametrize(("name", "most", "error"), [SAMPLE[0], pytest.param(*SAMPLE[1], marks=pytest.mark.nightly)])
def test_a_call_of_this_seed_fails(name: str, most: int, error: str, tmp_path: Path, request):
    number = np.random.default_rng([request.config.getoption("--seed"), most]).integers(1, most + 1)
    with new_world(tmp_path / "world") as world:
        endure(world, Call(name, int(number)), error)


@pytest.mark.nightly
@pytest.mark.timeout(0)
def test_each_call_fails(tmp_path: Path, allowance: Allowance, count):
    trace = tmp_path / "trace"
    with new_world(tmp_path / "plain") as world:
        limits = [option for path in files(world) for option in ("-P", str(path))]
        started(world, [*strace.tracing(trace, *CALLS), *limits]).ok()
    points = [(call, error) for call in strace.calls(trace) for error in ERRORS]
    count("I/O errors, in all", len(points))
    wrong = []
    for call, error in allowance.share(points):
        try:
            with new_world(tmp_path / f"{call}-{error}") as world:
                ended = endure(world, call, error)
                count("I/O errors")
                count("I/O errors that the run endured", int(ended.code == 0))
        except (AssertionError, Surprise) as failure:
            count("violations")
            wrong.append(f"{call} {error}: {str(failure)[:800]}")
    assert not wrong, "\n".join([f"{len(wrong)} of the points", *wrong[:10]])
