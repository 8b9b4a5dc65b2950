"""What every test stands on: nothing of the developer's environment, and a home of its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.databases import BACKENDS
from tests.postgres import Server

OURS = ("ALPACA_", "APCA_", "GAMBLER_")
PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}

# At import too: a session fixture may start a server before the first test has begun.
for _name in [name for name in os.environ if name.startswith(OURS) or name.lower() in PROXIES]:
    del os.environ[_name]

# A slow machine is not a fault. What hangs meets the timeout of pyproject.toml.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all-databases", action="store_true", help="run what is slow on each kind of database, not on SQLite alone"
    )
    parser.addoption("--nightly", action="store_true", help="run what is marked `nightly` too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("nightly"):
        return
    for item in items:
        if item.get_closest_marker("nightly") is not None:
            item.add_marker(pytest.mark.skip(reason="too large for each commit; runs with --nightly"))


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
