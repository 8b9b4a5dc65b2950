"""What every test stands on: nothing of the developer's environment, and a home of its own."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from tests.allowance import IN_ALL, Allowance, Counts, seconds_of, workers_of
from tests.databases import BACKENDS
from tests.postgres import Server

OURS = ("ALPACA_", "APCA_", "GAMBLER_")
#: Says where documents are, and nothing of an account.
KEPT = {"ALPACA_OPENAPI_DIR"}
PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}

BEGUN_S = time.monotonic()
_has_run_one = False

# At import too: a session fixture may start a server before the first test has begun.
for _name in [name for name in os.environ if (name.startswith(OURS) and name not in KEPT) or name.lower() in PROXIES]:
    del os.environ[_name]

# A slow machine is not a fault. What hangs meets the timeout of pyproject.toml.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def pytest_configure() -> None:
    """A shell that starts this in the background has it ignore SIGINT, and all that is started here after it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all-databases", action="store_true", help="run what is slow on each kind of database, not on SQLite alone"
    )
    parser.addoption("--nightly", action="store_true", help="run what is marked `nightly` too")
    parser.addoption("--minutes", default="0", help="wall time for what is nightly; 0 is as long as it takes")
    parser.addoption("--seed", type=int, default=0, help="which samples nightly suites take")
    parser.addoption("--counts", type=Path, help="folder for what nightly suites counted")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("nightly"):
        for item in items:
            if item.get_closest_marker("nightly") is not None:
                item.add_marker(pytest.mark.skip(reason="too large for each commit; runs with --nightly"))
    elif float(config.getoption("minutes")):  # not all of them may get their turn: which, the seed says
        order = np.random.default_rng(config.getoption("seed")).permutation(len(items))
        items[:] = [items[index] for index in order]
    folder: Path | None = config.getoption("counts")
    if folder is not None and getattr(config, "workerinput", {}).get("workerid", "gw0") == "gw0":
        Counts(Counter(f"{name}{IN_ALL}" for item in items for name in counted_by(item).elements())).write(
            folder, "", 0.0
        )


def counted_by(item: pytest.Item) -> Counter[str]:
    """What one run of a nightly test adds to the report by its marks."""
    is_nightly = item.get_closest_marker("nightly") is not None
    counts: Counter[str] = Counter()
    for mark in item.iter_markers("counts") if is_nightly else ():
        counts[mark.args[0]] += mark.args[1] if len(mark.args) > 1 else 1
    return counts + Counter({"nightly tests": int(is_nightly)})


def pytest_runtest_setup(item: pytest.Item) -> None:
    minutes = float(item.config.getoption("minutes"))
    if item.get_closest_marker("nightly") is None:
        return
    global _has_run_one  # noqa: PLW0603 (however little time there is: one test of each suite runs)
    if minutes and time.monotonic() - BEGUN_S > minutes * 60 and _has_run_one:
        pytest.skip("the time for nightly tests is up")
    _has_run_one = True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    begun_s = time.monotonic()
    yield  # what raises has not counted
    folder: Path | None = item.config.getoption("counts")
    if folder is not None:
        Counts(counted_by(item)).write(folder, item.nodeid, time.monotonic() - begun_s)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "part" in metafunc.fixturenames:  # a suite's points are dealt out to all processes
        metafunc.parametrize("part", range(workers_of(metafunc.config)))


@pytest.fixture
def part() -> int:
    """Which part of a suite this is: a test that asks for it runs once in each process."""
    return 0


@pytest.fixture
def allowance(request: pytest.FixtureRequest, part: int) -> Allowance:
    """How much of a nightly suite this test does."""
    config = request.config
    return Allowance(config.getoption("seed"), part, workers_of(config), seconds_of(request.node))


@pytest.fixture
def count(request: pytest.FixtureRequest) -> Iterator[Callable[..., None]]:
    """``count("kills")`` or ``count("cuts", 2000)``: for the nightly report."""
    counts, begun_s = Counts(), time.monotonic()
    yield counts.add
    folder: Path | None = request.config.getoption("counts")
    if folder is not None:
        counts.write(folder, whole_of(request.node), time.monotonic() - begun_s)


def whole_of(item: pytest.Function) -> str:
    """The test that ``item`` is, or is a part of."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    return f"{item.path}::{item.originalname}{sorted((k, str(v)) for k, v in params.items() if k != 'part')}"


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path_factory):
    """No test sees the developer's keys, settings or sessions, and none can spoil them."""
    path = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith(OURS)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(path))
    monkeypatch.setenv("XDG_STATE_HOME", str(path / "state"))
    monkeypatch.setenv("GAMBLER_HOME", str(path / "gambler_ai"))
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A server, started by the first test that needs one: once a pytest process."""
    server = Server()
    yield server
    server.stop()


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Each kind of database in turn."""
    return str(request.param)


@pytest.fixture
def url(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database of the test's own."""
    yield from new_database(backend, tmp_path, request, migrated=False)


@pytest.fixture
def migrated_url(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """One with our schema, where that is cheap to have; `Database.prepare` makes it elsewhere."""
    yield from new_database(backend, tmp_path, request, migrated=True)


def new_database(backend: str, folder: Path, request: pytest.FixtureRequest, *, migrated: bool) -> Iterator[str]:
    if backend == "sqlite":
        yield f"sqlite:///{folder / 'state' / 'gambler.sqlite3'}"
        return
    server: Server = request.getfixturevalue("postgres")
    name = server.create(migrated=migrated)
    yield server.url(name)
    (server.clear if migrated else server.drop)(name)
