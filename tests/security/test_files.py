"""What is written is for its owner alone, whatever the umask, and never through a link (protocol 4.2)."""

import stat
import sys
from pathlib import Path

import pytest

from tests.recovery.harness import Ended, World, base_env

#: The program, started by a shell that takes nothing away from anybody.
OPEN = (sys.executable, "-c", "import os; os.umask(0); from gambler_ai.cli.main import main; main()")
SHORT = ("--speed", "0", "--duration", "5", "--symbols", "AAPL")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A home that is not there yet, below a directory that is not there either."""
    env = base_env(tmp_path)
    return World(tmp_path, env | {"GAMBLER_HOME": str(tmp_path / "a" / "b" / "gambler")})


def modes(folder: Path) -> dict[str, str]:
    """Path -> what others may do with it, for all that they may do anything with."""
    paths = [folder, *folder.rglob("*")]
    found = {str(p.relative_to(folder)): stat.S_IMODE(p.lstat().st_mode) for p in paths}
    return {name: f"{mode:04o}" for name, mode in found.items() if mode & 0o077}


def run(world: World, *args: str, **env: str) -> Ended:
    return world.run(*args, program=OPEN, **env)


def test_everything_is_private_under_an_open_umask(world: World):
    log = world.home.parent / "logs" / "session.log"
    log.parent.mkdir(mode=0o700, parents=True)
    for folder in (world.folder / "a", world.home.parent):
        folder.chmod(0o700)
    run(world, *SHORT, "--log-file", str(log), crash_at="checkpoint.inside:2").was_killed()
    run(world, "halt", "--reason", "a look").ok()
    run(world, "--resume", "--log-file", str(log)).ok()
    world.write("UPDATE sessions SET updated_at = 'no time'")
    assert run(world, "sessions", "list").code == 1, "and so there is a crash.log"
    names = {p.name for p in world.home.rglob("*")}
    assert {"gambler.sqlite3", "crash.log", "exchange"} <= names
    assert any(name.endswith(".lock") for name in names)
    assert log.exists()
    assert modes(world.folder / "a") == {}


def test_while_it_runs_its_write_ahead_log_is_private_too(world: World):
    running = world.start("--speed", "60", "--duration", "600", "--symbols", "AAPL", "--plain", program=OPEN)
    running.wait_for("checkpoint")
    names = {p.name for p in world.home.rglob("*")}
    found = modes(world.folder / "a")
    running.kill()
    assert {"gambler.sqlite3-wal", "gambler.sqlite3-shm"} <= names
    assert found == {}


def test_the_file_of_an_exchange_and_its_keys_are_private(world: World):
    folder = world.folder / "x"
    folder.mkdir(mode=0o700)
    command = ("exchange", "serve", "--paused", "--port", "0", "--file", str(folder / "e.sqlite3"))
    running = world.start(*command, "--env-file", str(folder / "env"), program=OPEN)
    running.wait_for("Kept in")
    found = modes(folder)
    running.kill()
    assert (folder / "env").exists()
    assert found == {}


def test_a_database_that_was_open_to_others_is_closed(world: World):
    run(world, *SHORT).ok()
    world.database.chmod(0o666)
    world.home.chmod(0o777)
    run(world, "--resume", "--duration", "1")
    assert stat.S_IMODE(world.database.stat().st_mode) == 0o600
    assert not stat.S_IMODE(world.home.stat().st_mode) & 0o022


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601, 0o777])
def test_keys_that_others_may_read_are_not_used(world: World, mode: int):
    world.home.mkdir(parents=True, mode=0o700)
    secrets = world.home / "secrets.toml"
    secrets.write_text("alpaca_api_key = 'PKX'\nalpaca_api_secret = 'hunter22'\n")
    secrets.chmod(mode)
    ended = world.run(*SHORT)
    assert ended.code == 2
    assert "is open to others" in ended.err
    assert "hunter22" not in ended.out + ended.err
    assert not world.database.exists()


LINKS = ["gambler.sqlite3", "gambler.sqlite3-wal", "gambler.sqlite3-shm", "gambler.sqlite3-journal", "secrets.toml"]


@pytest.mark.parametrize("name", LINKS)
def test_state_that_is_a_link_is_refused_and_what_it_points_to_is_left_alone(world: World, name: str):
    world.home.mkdir(parents=True, mode=0o700)
    victim = world.folder / "victim"
    victim.write_text("precious")
    (world.home / name).symlink_to(victim)
    ended = world.run(*SHORT)
    assert ended.code in (2, 5), ended
    assert f"{name} is a symbolic link" in ended.err
    assert victim.read_text() == "precious"


def test_a_lock_that_is_a_link_empties_nothing(world: World):
    run(world, *SHORT, crash_at="checkpoint.inside:2").was_killed()
    victim = world.folder / "victim"
    victim.write_text("precious")
    locks = list(world.home.glob("*.lock"))
    assert locks
    for lock in locks:
        lock.unlink()
        lock.symlink_to(victim)
    ended = world.run("--resume", "--duration", "1")
    assert ended.code == 5, ended
    assert "is a symbolic link" in ended.err
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("end", ["", ".lock"])
def test_an_exchange_file_that_is_a_link_is_refused(world: World, end: str):
    victim = world.folder / "victim"
    victim.write_text("")
    (world.folder / f"e.sqlite3{end}").symlink_to(victim)
    ended = world.run("exchange", "serve", "--paused", "--port", "0", "--file", str(world.folder / "e.sqlite3"))
    assert ended.code in (2, 5), ended
    assert "is a symbolic link" in ended.err
    assert victim.read_bytes() == b""


def test_a_crash_log_that_is_a_link_is_not_written_through(world: World):
    run(world, *SHORT).ok()
    world.write("UPDATE sessions SET updated_at = 'no time'")
    victim = world.folder / "victim"
    victim.write_text("precious")
    (world.home / "crash.log").symlink_to(victim)
    ended = world.run("sessions", "list")
    assert ended.code == 1
    assert victim.read_text() == "precious"
    assert "crash.log" not in ended.err


def test_no_child_inherits_what_is_open(world: World):
    """A program that a strategy starts gets neither the database nor the lock."""
    (world.folder / "child.py").write_text(
        "import subprocess, sys\n"
        "from gambler_ai.strategies import Strategy\n"
        "class Child(Strategy):\n"
        "    def propose(self, view):\n"
        "        code = \"import os; print([os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')"
        " if os.path.exists(f'/proc/self/fd/{n}')])\"\n"
        "        with open('held', 'w') as out:\n"
        "            subprocess.run([sys.executable, '-c', code], stdout=out, close_fds=False, check=True)\n"
        "        return []\n"
    )
    world.run(*SHORT, "--strategy", "child.py:Child").ok()
    held = (world.folder / "held").read_text()
    assert "held" in held
    assert "sqlite3" not in held
    assert ".lock" not in held
