"""Processes that are forked: like any other, and gone when whoever asked for them is."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gambler_ai.clock import SystemClock
from gambler_ai.proving.processes import Running, Surprise
from gambler_ai.proving.world import bare_env
from gambler_ai.proving.zygote import ROOT, Zygote

SERVE = ("exchange", "serve", "--paused", "--json")
#: Starts an exchange, says its process id, and waits to be killed.
ASKER = f"""
import sys
from pathlib import Path
from gambler_ai.proving.processes import Running
from gambler_ai.proving.world import bare_env
from gambler_ai.proving.zygote import Zygote
folder = Path(sys.argv[1])
zygote = Zygote()
run = Running(zygote.start({SERVE!r}, bare_env(folder), folder))
run.wait_for("{{")
print(run.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def zygote():
    made = Zygote()
    yield made
    made.close()


def test_output_exit_code_folder_and_environment_are_its_own(zygote: Zygote, tmp_path: Path):
    env = bare_env(tmp_path)
    ended = Running(zygote.start(["sessions", "list"], env, tmp_path)).end().ok()
    assert ended.out
    assert (tmp_path / "gambler").exists()
    failed = Running(zygote.start(["--symbols", "7"], env, tmp_path)).end()
    assert failed.code == 2
    with pytest.raises(Surprise, match="it ended with 2, not 0"):
        failed.ok()


def test_one_that_is_killed_says_so(zygote: Zygote, tmp_path: Path):
    run = Running(zygote.start(SERVE, bare_env(tmp_path), tmp_path))
    run.wait_for("{")
    assert run.process.poll() is None
    assert run.kill().was_killed().code == -signal.SIGKILL


def test_a_line_that_does_not_come_is_a_surprise(zygote: Zygote, tmp_path: Path):
    run = Running(zygote.start(SERVE, bare_env(tmp_path), tmp_path))
    with pytest.raises(Surprise, match="time is up before 'never'"):
        run.wait_for("never", patience_s=0.05)
    assert run.process.poll() is not None


def test_started_anew_it_is_the_same_program(zygote: Zygote, tmp_path: Path):
    forked = Running(zygote.start(["--version"], bare_env(tmp_path), tmp_path)).end().ok()
    anew = Running(zygote.start(["--version"], bare_env(tmp_path), tmp_path, anew=True)).end().ok()
    assert forked.out == anew.out != ""


def test_what_was_forked_is_killed_when_whoever_asked_is_killed(tmp_path: Path):
    asker = subprocess.Popen(
        [sys.executable, "-c", ASKER, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    with asker:
        assert asker.stdout is not None
        pid = int(asker.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        asker.kill()
    wait_until_gone(pid)


def wait_until_gone(pid: int) -> None:
    """A zygote that is gone leaves its children to init, which takes a moment."""
    clock = SystemClock()
    deadline_s = clock.monotonic() + 30
    while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
        assert clock.monotonic() < deadline_s, f"process {pid} still runs"
        clock.sleep(0.02)
