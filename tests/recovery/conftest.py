"""Worlds: each test gets an exchange process and a home of its own, and both are gone afterwards."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.databases import BACKENDS
from tests.postgres import installed
from tests.recovery.harness import Exchange, World, base_env

MakeWorld = Callable[..., World]

#: Files whose tests always run on each kind of database; the others do with --all-databases.
EVERYWHERE = {"test_two_starts"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marks = [*metafunc.definition.iter_markers("parametrize")]
    if "backend" not in metafunc.fixturenames or any(mark.args[0] == "backend" for mark in marks):
        return
    everywhere = metafunc.config.getoption("all_databases") or metafunc.module.__name__.split(".")[-1] in EVERYWHERE
    metafunc.parametrize("backend", BACKENDS if everywhere else BACKENDS[:1])


@pytest.fixture
def backend() -> str:
    """Each kind of database in turn, as said above."""
    return "sqlite"


@pytest.fixture
def make_world(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MakeWorld]:
    """``make_world(*options of exchange serve)``; ``make_world(exchange=False)`` has no keys.

    On Postgres the database has our schema already, unless ``migrated=False``.
    """
    made: list[World] = []

    def make(*options: str, exchange: bool = True, migrated: bool = True) -> World:
        url = request.getfixturevalue("migrated_url" if migrated else "url") if backend == "postgres" else ""
        folder = tmp_path / f"world{len(made)}"
        folder.mkdir()
        env = base_env(folder, url)
        if url:  # the client programs of the server's own version
            env["PATH"] = f"{installed()}{os.pathsep}{env['PATH']}"
        there = Exchange(env, folder, "--file", str(folder / "account.sqlite3"), *options) if exchange else None
        made.append(World(folder, env, there))
        return made[-1]

    yield make
    for world in made:
        if world.exchange is not None:
            world.exchange.stop()


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world()
