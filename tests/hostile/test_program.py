"""A sample of it all through the real program: one line, its exit code, no traceback, and what is stored stays."""

import hashlib
import os
from pathlib import Path

import pytest

from tests.hostile.test_configs import FILES as CONFIGS
from tests.hostile.test_strategies import FILES as STRATEGIES
from tests.recovery.harness import Ended, World, base_env

#: Wall seconds: a program that waits for a pipe or reads a device would need more than any.
PATIENCE_S = 40.0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """With a session that is stored."""
    folder = tmp_path_factory.mktemp("hostile")
    made = World(folder, base_env(folder))
    made.trade(duration=3).ok()
    return made


def digest(world: World) -> str:
    return hashlib.sha256("".join(sorted(str(world.content()))).encode()).hexdigest()


def refused(world: World, *args: str, codes: tuple[int, ...] = (2,)) -> Ended:
    before = digest(world)
    ended = world.start(*args).end(PATIENCE_S)
    assert ended.code in codes, ended
    assert ended.err.startswith("error: ")
    assert "Traceback" not in ended.out + ended.err
    assert "internal error" not in ended.err
    assert len(ended.err.splitlines()) <= 2, "a line, and what to do"
    assert digest(world) == before
    assert not (world.home / "crash.log").exists()
    return ended


@pytest.mark.parametrize("path", CONFIGS[::12], ids=lambda path: path.name)
def test_configurations(world: World, path: Path):
    assert path.name in refused(world, "--config", str(path), "--new").err


@pytest.mark.parametrize("path", STRATEGIES[::6], ids=lambda path: path.name)
def test_strategies(world: World, path: Path):
    copy = world.folder / f"{path.stem}.py"
    copy.write_bytes(path.read_bytes())
    refused(world, "--strategy", str(copy), "--new")


def test_pipes_devices_and_folders(world: World):
    pipe = world.folder / "pipe"
    os.mkfifo(pipe)
    for place in (pipe, Path("/dev/zero"), world.folder):
        refused(world, "--config", str(place))
        refused(world, "--database-url", f"sqlite:///{place}", codes=(5,))
        refused(world, "exchange", "serve", "--file", str(place), codes=(2, 5))


def test_torn_databases(world: World):
    torn = world.folder / "torn.sqlite3"
    for data in (b"x", world.database.read_bytes()[:300], b"SQLite format 3\0" + b"\xff" * 5_000, os.urandom(5_000)):
        torn.write_bytes(data)
        refused(world, "--database-url", f"sqlite:///{torn}", codes=(5,))
        assert torn.read_bytes() == data
