"""The network between program and broker is cut, swallows, or ends in the middle of a reply: nothing is sent twice."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from tests.allowance import Allowance
from tests.faults import namespace
from tests.faults.proxy import Cut, Fault, Proxy
from tests.faults.worlds import ENTRIES, SESSION, finished, has_session, new_world
from tests.recovery.harness import ROOT, Ended, Surprise, World, audit, entries

#: Requests of a session that nothing happens to: more than so many.
REQUESTS = 120
#: How it may end: done; or the broker could not be reached, before there was a session or for too long.
ENDS = (0, 3, 75)
#: Those that do not make the program wait for its timeouts.
SWIFT = (Cut.REFUSED, Cut.LOST_REPLY, Cut.HALF_A_REPLY)
SLOW = (Cut.BLACK_HOLE, Cut.MUTE)


@contextmanager
def network(world: World, faults: Sequence[Fault]) -> Iterator[tuple[Proxy, dict[str, str]]]:
    """A way to the exchange with ``faults`` in it, and the environment that takes it."""
    port = urlsplit(world.there.url).port
    assert port is not None
    proxy = Proxy(port, faults)
    try:
        yield proxy, {name: v.replace(f":{port}", f":{proxy.port}") for name, v in world.there.env.items()}
    finally:
        proxy.close()


def trade_through(world: World, *faults: Fault) -> Ended:
    """The session over that network, resumed over the same way until its end; both sides audited."""
    with network(world, faults) as (proxy, env):
        ended = world.run(*SESSION, **env)
        assert ended.code in ENDS, ended
        assert "Traceback" not in ended.out + ended.err, ended
        assert proxy.cuts, f"only {proxy.requests} requests came"
        again, cuts = ended, 0
        while again.code or not has_session(world):
            assert proxy.cuts > cuts, f"it gave up on a good network: {again}"
            cuts, again = proxy.cuts, finished(world, **env)
            assert again.code in ENDS, again
    audit(world)
    assert set(entries(world)) <= set(ENTRIES)
    return ended


@pytest.mark.nightly
def test_without_faults_it_is_a_network(world_at):
    world = world_at("world")
    with network(world, ()) as (proxy, env):
        world.run(*SESSION, **env).ok()
        assert proxy.requests > REQUESTS
    audit(world)
    assert entries(world) == ENTRIES


@pytest.mark.nightly
def test_cut_swallowed_and_broken_off_in_one_run(world_at, request):
    """At requests of the seed's choice, past those of the start."""
    numbers = np.random.default_rng(request.config.getoption("--seed")).integers(0, 10, 5)
    faults = [
        Fault(24 + int(number) + 20 * index, cut, 1 + 2 * (cut is Cut.REFUSED))
        for index, (number, cut) in enumerate(zip(numbers, [*SWIFT, *SWIFT[1:]], strict=True))
    ]
    assert trade_through(world_at("world"), *faults).code == 0


@pytest.mark.nightly
@pytest.mark.timeout(0)
def test_cut_at_each_request(tmp_path: Path, allowance: Allowance, count):
    points = [Fault(at, cut, times) for at in range(1, REQUESTS) for cut in SWIFT for times in (1, 4)]
    count("network cuts, in all", len(points))
    wrong = []
    for fault in allowance.share(points):
        try:
            with new_world(tmp_path / f"{fault.at}-{fault.cut}-{fault.times}") as world:
                trade_through(world, fault)
            count("network cuts")
        except (AssertionError, Surprise) as error:
            count("violations")
            wrong.append(f"{fault}: {str(error)[:800]}")
    assert not wrong, "\n".join([f"{len(wrong)} cuts", *wrong[:10]])


@pytest.mark.nightly
@pytest.mark.timeout(0)
def test_swallowed_requests_and_replies(tmp_path: Path, allowance: Allowance, count):
    """Each costs the program its timeout of ten seconds."""
    points = [Fault(at, cut) for at in range(1, REQUESTS, 4) for cut in SLOW]
    count("network cuts, in all", len(points))
    for fault in allowance.share(points):
        with new_world(tmp_path / f"{fault.at}-{fault.cut}") as world:
            trade_through(world, fault)
        count("network cuts")


@pytest.mark.nightly
@pytest.mark.skipif(bool(namespace.missing()), reason=namespace.missing() or "-")
def test_the_link_goes_down_and_comes_back(tmp_path: Path, count):
    command = [*namespace.UNSHARED, sys.executable, "-m", "tests.faults.namespace", str(tmp_path / "world")]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    count("network cuts")
