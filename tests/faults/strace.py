"""System calls of the program counted, killed at, or made to fail: strace does it to the program as it is."""

import functools
import re
import shutil
import subprocess
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

#: What makes bytes durable or sends them.
WRITES = ("pwrite64", "write", "fdatasync", "fsync", "ftruncate", "rename", "unlink")
NETWORK = ("connect", "sendto", "sendmsg", "recvfrom")
_CALL = re.compile(r"^(\d+) +(\w+)\(")


class Call(NamedTuple):
    """The ``number``-th call of ``name`` that a thread makes, from 1."""

    name: str
    number: int

    def __str__(self) -> str:
        return f"{self.name}:{self.number}"


@functools.cache
def missing() -> str:
    """Why calls cannot be traced here; "" when they can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    done = subprocess.run(
        [*tracing(Path("/dev/null"), "getpid"), "true"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    return "" if done.returncode == 0 else f"strace may not trace here: {done.stderr.strip()[:120]}"


def tracing(out: Path, *names: str) -> list[str]:
    """In front of a command: its calls of these names into a file. Others are not even stopped at."""
    return ["strace", "-f", "--seccomp-bpf", "-o", str(out), "-e", f"trace={','.join(names)}"]


def killing(call: Call) -> list[str]:
    """In front of a command: SIGKILL as soon as one of its threads begins this call. The call does not happen."""
    inject = f"inject={call.name}:signal=SIGKILL:when={call.number}"
    # Without --seccomp-bpf, with which a signal is not delivered (strace 6.1).
    return ["strace", "-f", "-o", "/dev/null", "-e", f"trace={call.name}", "-e", inject]


def failing(call: Call, error: str, out: Path, *paths: Path) -> list[str]:
    """In front of a command: this call fails with ``error``, and does nothing. Only calls on ``paths`` count."""
    limits = [option for path in paths for option in ("-P", str(path))]
    inject = f"inject={call.name}:error={error}:when={call.number}"
    return [*tracing(out, call.name), *limits, "-e", inject]


def calls(trace: Path) -> list[Call]:
    """Each call that can be named: as many of a name as the busiest thread made."""
    by_thread: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for line in trace.read_text(errors="replace").splitlines():
        found = _CALL.match(line)
        if found is not None:
            by_thread[found[2]][found[1]] += 1
    return [Call(name, n) for name, counts in sorted(by_thread.items()) for n in range(1, max(counts.values()) + 1)]
