"""SIGKILL as each system call begins that writes, syncs or sends: the program itself, with no hook in it."""

from pathlib import Path

import numpy as np
import pytest

from tests.allowance import Allowance
from tests.faults import strace
from tests.faults.strace import NETWORK, WRITES, Call
from tests.faults.worlds import check, finished, new_world, started, undisturbed_story
from tests.recovery.harness import KILLED, Surprise, World

pytestmark = pytest.mark.skipif(bool(strace.missing()), reason=strace.missing() or "-")

#: What each commit is tried with, and a number that each run passes; a night tries every point.
SAMPLE = {"pwrite64": 450, "fdatasync": 35, "sendto": 200}


@pytest.fixture(scope="module")
def calls(tmp_path_factory) -> list[Call]:
    """Every point there is, from a run that nothing happens to."""
    folder = tmp_path_factory.mktemp("calls")
    with new_world(folder / "world") as world:
        started(world, strace.tracing(folder / "trace", *WRITES, *NETWORK)).ok()
        check(world)
    found = strace.calls(folder / "trace")
    assert len(found) > 400, "the trace is not of a whole session"
    assert {call.name for call in found} >= {"pwrite64", "fdatasync", "ftruncate", "sendto", "recvfrom", "connect"}
    return found


def survive(world: World, call: Call, undisturbed=None) -> bool:
    """Kill it there, go on, audit. False when it did not come so far."""
    ended = started(world, strace.killing(call))
    assert ended.code in (KILLED, 0), ended
    finished(world).ok()
    check(world, undisturbed)
    return ended.code == KILLED


@pytest.mark.parametrize(
    "name", [name if name == "fdatasync" else pytest.param(name, marks=pytest.mark.nightly) for name in SAMPLE]
)
def test_killed_at_a_call_of_this_seed(name: str, tmp_path: Path, request):
    numbers = np.random.default_rng([request.config.getoption("--seed"), len(name)])
    call = Call(name, int(numbers.integers(1, SAMPLE[name] + 1)))
    with new_world(tmp_path / "world") as world:
        assert survive(world, call), call


@pytest.mark.nightly
@pytest.mark.timeout(0)
def test_killed_at_each_call(calls: list[Call], tmp_path: Path, allowance: Allowance, count):
    undisturbed = undisturbed_story(tmp_path / "undisturbed")
    wrong = []
    count("kills at a system call, in all", len(calls))
    for call in allowance.share(calls):
        try:
            with new_world(tmp_path / str(call)) as world:
                count("kills at a system call", survive(world, call, undisturbed))
        except (AssertionError, Surprise) as error:
            count("violations")
            wrong.append(f"{call}: {str(error)[:600]}")
    assert not wrong, "\n".join([f"{len(wrong)} of the points", *wrong[:10]])
