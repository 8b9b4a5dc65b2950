"""Processes of the program without the second that its imports take: forked from one that has imported it all.

What is forked is a process like any other: its own id, its own memory, killed by the same signals, with the
arguments, environment, folder and pipes that it was given. Only the way from `exec` to `main` is left out; with
``anew`` that way is gone too. Whoever asked for them holds the other end of the zygote's line: when that one is
gone, however it went, the kernel closes the line and everything that was forked is killed.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

from gambler_ai.clock import SystemClock
from gambler_ai.config import inherited, replace_environment

HEADER = struct.Struct("!I")
#: Wall seconds to wait for an end that nothing holds up any more.
PATIENCE_S = 120.0
#: Where the package is: beside the tests in a checkout, in site-packages of an installation.
ROOT = Path(__file__).resolve().parents[2]
#: How the program is started without its script, which need not be on any path.
PROGRAM = (sys.executable, "-c", "from gambler_ai.cli.main import main; main()")
#: Imported by the program when it needs them, which a session always does.
LAZY = (
    "gambler_ai.app.verbs", "gambler_ai.app.doctor", "gambler_ai.broker.alpaca", "gambler_ai.broker.control",
    "gambler_ai.broker.market_data", "gambler_ai.broker.streams", "gambler_ai.cli.watching", "gambler_ai.cli.show",
    "gambler_ai.exchange.rest.server", "gambler_ai.storage.inspect", "gambler_ai.storage.upgrade",
    "gambler_ai.storage.migrate", "gambler_ai.strategies.momentum",
)  # fmt: skip
#: Only there with the extra.
OPTIONAL = ("psycopg", "sqlalchemy.dialects.postgresql.psycopg")


class Forked:
    """A forked process with the face of `subprocess.Popen`, as far as it is needed."""

    def __init__(self, pid: int, line: socket.socket, stdout: IO[bytes], stderr: IO[bytes]) -> None:
        """``line`` is where the zygote tells its end."""
        self.pid = pid
        self.returncode: int | None = None
        self.stdout, self.stderr = stdout, stderr
        self._line = line

    def poll(self) -> int | None:
        """How it ended, None while it runs."""
        return self._status(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """How it ended, once it has.

        Raises:
            subprocess.TimeoutExpired: it has not within ``timeout`` seconds.
        """
        status = self._status(timeout)
        if status is None:
            raise subprocess.TimeoutExpired("forked", timeout or 0.0)
        return status

    def send_signal(self, number: int) -> None:
        """Send it a signal; one that has ended gets none."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float = PATIENCE_S) -> tuple[bytes, bytes]:
        """Everything it still says, and its end.

        Raises:
            subprocess.TimeoutExpired: it is not there within ``timeout`` seconds.
        """
        clock = SystemClock()
        deadline_s = clock.monotonic() + timeout
        said: dict[IO[bytes], bytes] = {self.stdout: b"", self.stderr: b""}
        left = [pipe for pipe in said if not pipe.closed]
        while left:
            ready, _, _ = select.select(left, [], [], max(0.0, deadline_s - clock.monotonic()))
            if not ready:
                raise subprocess.TimeoutExpired("forked", timeout)
            for pipe in ready:
                more = os.read(pipe.fileno(), 65_536)
                said[pipe] += more
                if not more:
                    left.remove(pipe)
                    pipe.close()
        self.wait(max(0.0, deadline_s - clock.monotonic()))
        return said[self.stdout], said[self.stderr]

    def _status(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._line], [], [], timeout)[0]:
            (status,) = HEADER.unpack(_exactly(self._line, HEADER.size))
            self.returncode = os.waitstatus_to_exitcode(status)
            self._line.close()
        return self.returncode


class Zygote:
    """The process that others are forked from. Any thread may ask it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        env = inherited("PATH") | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"from gambler_ai.proving.zygote import main; main({theirs.fileno()})"],
            pass_fds=[theirs.fileno()], env=env, cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        theirs.close()
        self._line = ours
        self._lock = threading.Lock()

    def start(self, args: Sequence[str], env: Mapping[str, str], cwd: Path, *, anew: bool = False) -> Forked:
        """The program with ``args``; ``anew``: by `exec`, with its imports, as a person starts it."""
        ours, theirs = socket.socketpair()
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        null = os.open(os.devnull, os.O_RDONLY)
        body = json.dumps({"args": list(args), "env": dict(env), "cwd": str(cwd), "anew": anew}).encode()
        given = [null, out_write, err_write, theirs.fileno()]
        with self._lock:
            socket.send_fds(self._line, [HEADER.pack(len(body))], given)
            self._line.sendall(body)
        for descriptor in given[:3]:
            os.close(descriptor)
        theirs.close()
        (pid,) = HEADER.unpack(_exactly(ours, HEADER.size))
        return Forked(pid, ours, os.fdopen(out_read, "rb"), os.fdopen(err_read, "rb"))

    def close(self) -> None:
        """End it, and whatever of it still runs."""
        self._line.close()
        self._process.wait()


# -- in the process that is forked from --------------------------------------------------------------


def main(control: int) -> None:
    """Import what the program needs, then fork at each request; a child leaves here for the program's own main."""
    import importlib

    from gambler_ai.exchange.exchange import Exchange

    run = importlib.import_module("gambler_ai.cli.main").main  # as PROGRAM names it: it is started, not called
    for name in LAZY:
        importlib.import_module(name)
    for name in OPTIONAL:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    Exchange.open(None).close()  # its calendar and prices
    gc.collect()
    gc.freeze()  # a child's collector need not touch, and so copy, what all of them share
    request = _serve(socket.socket(fileno=control))
    sys.argv = ["gambler-ai", *request["args"]]
    run()


def _serve(control: socket.socket) -> dict[str, Any]:
    """Fork and report ends for ever; returns in each child."""
    rings, ring = socket.socketpair()
    ring.setblocking(False)
    signal.set_wakeup_fd(ring.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    lines: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([control, rings], [], [])
        if rings in ready:
            rings.recv(4_096)
            _report(lines)
        if control in ready:
            header, descriptors, _, _ = socket.recv_fds(control, HEADER.size, 4)
            if not header:
                _end(lines)
            request = json.loads(_exactly(control, HEADER.unpack(header)[0]))
            pid = os.fork()
            if not pid:
                for other in (control, rings, ring, *lines.values()):
                    other.close()
                _become(request, descriptors)
                return dict(request)
            line = socket.socket(fileno=descriptors[3])
            for descriptor in descriptors[:3]:
                os.close(descriptor)
            line.sendall(HEADER.pack(pid))
            lines[pid] = line


def _report(lines: dict[int, socket.socket]) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            with lines.pop(pid) as line, contextlib.suppress(OSError):  # who has ended asks no more
                line.sendall(HEADER.pack(status))


def _become(request: dict[str, Any], descriptors: list[int]) -> None:
    """The child is what was asked for: its pipes, signals, environment and folder."""
    os.setsid()  # a session of its own, as if from a terminal of its own: it is scheduled beside us and not within
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, number)
    for descriptor in descriptors:
        os.close(descriptor)
    replace_environment(request["env"])
    os.chdir(request["cwd"])
    if request["anew"]:
        os.execv(PROGRAM[0], [*PROGRAM, *request["args"]])  # noqa: S606 (no shell is the point)
    sys.path[1:1] = [p for p in request["env"].get("PYTHONPATH", "").split(os.pathsep) if p and p not in sys.path]


def _end(lines: dict[int, socket.socket]) -> NoReturn:
    """Nobody is left who could stop them."""
    for pid in lines:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    os._exit(0)


def _exactly(line: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = line.recv(count - len(data))
        if not more:
            raise ConnectionError("the other end is gone")
        data += more
    return data
