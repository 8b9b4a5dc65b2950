"""Worlds: each test gets an exchange process and a home of its own, and both are gone afterwards."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.recovery.harness import Exchange, World, base_env

MakeWorld = Callable[..., World]


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[MakeWorld]:
    """``make_world(*options of exchange serve)``; ``make_world(exchange=False)`` has no keys."""
    made: list[World] = []

    def make(*options: str, exchange: bool = True) -> World:
        folder = tmp_path / f"world{len(made)}"
        folder.mkdir()
        env = base_env(folder)
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
