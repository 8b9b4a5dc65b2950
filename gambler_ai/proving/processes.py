"""A process of the program, read line by line until it ends or a deadline is missed."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple, Protocol

from gambler_ai.clock import SystemClock

KILLED = -signal.SIGKILL
#: Wall seconds until a process that has not ended, or a line that has not come, is a failure.
PATIENCE_S = 120.0


class Surprise(Exception):
    """A process or an exchange did what it must not; the text says what, and what it printed."""


class Ended(NamedTuple):
    """A process that is no more."""

    code: int
    out: str
    err: str

    def ok(self) -> Ended:
        """Raises Surprise unless it ended well."""
        return self._that(0)

    def was_killed(self) -> Ended:
        """Raises Surprise unless SIGKILL ended it."""
        return self._that(KILLED)

    def _that(self, code: int) -> Ended:
        if self.code != code:
            raise Surprise(f"it ended with {self.code}, not {code}\n{self.out}\n{self.err}")
        return self


class Process(Protocol):
    """What is needed of `subprocess.Popen`."""

    @property
    def stdout(self) -> IO[bytes] | None: ...

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    def poll(self) -> int | None: ...

    def send_signal(self, number: int, /) -> None: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def communicate(self, *, timeout: float) -> tuple[bytes, bytes]: ...


class Running:
    """A process under way."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._out = b""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def wait_for(self, text: str, patience_s: float = PATIENCE_S) -> str:
        """The first line with ``text`` in it.

        Raises:
            Surprise: it ended without, or time is up; it is killed then.
        """
        clock = SystemClock()
        deadline_s = clock.monotonic() + patience_s
        pipe = self._stdout().fileno()
        while True:
            whole = self._out.rpartition(b"\n")[0].decode()
            found = next((line for line in whole.splitlines() if text in line), None)
            if found is not None:
                return found
            ready, _, _ = select.select([pipe], [], [], max(0.0, deadline_s - clock.monotonic()))
            more = os.read(pipe, 65_536) if ready else b""
            if not more:
                raise Surprise(f"{'it ended' if ready else 'time is up'} before {text!r}: {self.kill()}")
            self._out += more

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self, patience_s: float = PATIENCE_S) -> Ended:
        """Wait until it ends by itself.

        Raises:
            Surprise: it did not; it is killed then.
        """
        try:
            out, err = self.process.communicate(timeout=patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate(timeout=PATIENCE_S)
            text = f"{(self._out + out).decode()}\n{err.decode()}"
            raise Surprise(f"it did not end within {patience_s} s\n{text}") from None
        return Ended(self.process.returncode or 0, (self._out + out).decode(), err.decode())

    def kill(self) -> Ended:
        """End it as `kill -9` does."""
        self.process.kill()
        return self.end()

    def _stdout(self) -> IO[bytes]:
        if self.process.stdout is None:
            raise Surprise("nobody reads what it says")
        return self.process.stdout


#: Starts the program: arguments, environment, folder.
Start = Callable[[Sequence[str], Mapping[str, str], Path], Running]
