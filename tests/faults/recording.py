"""What the program did to its files and sockets, in order, taken from a trace of its system calls."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

#: Calls to record, in front of a command; whole buffers, as hexadecimal.
RECORDED = ("pwrite64", "ftruncate", "fdatasync", "fsync", "unlink", "sendto")
WHOLE = ("-y", "-xx", "-s", "1000000")

_CALL = re.compile(r"^(\d+) +(\w+)\((?:(\d+)<([^>]*)>|\"([^\"]*)\")(.*)$", re.DOTALL)
_RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>")
_BYTES = re.compile(r'^, "((?:\\x[0-9a-f]{2})*)"')
_ORDER = re.compile(rb'"client_order_id": ?"(ga1-[a-z0-9]+)"')
_SYNCS = ("fdatasync", "fsync")


class Write(NamedTuple):
    path: str
    offset: int
    data: bytes


class Truncate(NamedTuple):
    path: str
    size: int


class Sync(NamedTuple):
    """It has returned, and said that all is well."""

    path: str


class Unlink(NamedTuple):
    path: str


class Sent(NamedTuple):
    """The bytes of an order begin to leave."""

    client_order_id: str


Event = Write | Truncate | Sync | Unlink | Sent


def events(trace: Path) -> Iterator[Event]:
    """A write counts from when it begins, a sync from when it is done: the worst that a machine may make of both."""
    syncing: dict[str, str] = {}
    for line in trace.read_text(errors="replace").splitlines():
        resumed = _RESUMED.match(line)
        if resumed is not None:
            path = syncing.pop(resumed[1], "")
            if path and line.endswith("= 0"):
                yield Sync(path)
            continue
        call = _CALL.match(line)
        if call is None:
            continue
        thread, name, path, rest = call[1], call[2], _text(call[4] or call[5] or ""), call[6]
        if name in _SYNCS and "unfinished" in rest:
            syncing[thread] = path
        elif name in _SYNCS and rest.endswith("= 0"):
            yield Sync(path)
        else:
            yield from _event(name, path, rest)


def _event(name: str, path: str, rest: str) -> Iterator[Event]:
    if name == "pwrite64":
        data = _data(rest)
        size, offset = re.findall(r", (\d+)", rest[rest.rindex('"') :])[:2]
        assert len(data) == int(size), "a write was not recorded whole"
        yield Write(path, int(offset), data)
    elif name == "ftruncate":
        (size,) = re.findall(r"^, (\d+)", rest)
        yield Truncate(path, int(size))
    elif name == "unlink":
        yield Unlink(path)
    elif name == "sendto":
        yield from (Sent(found.decode()) for found in _ORDER.findall(_data(rest)))


def _data(rest: str) -> bytes:
    found = _BYTES.match(rest)
    assert found is not None, rest[:200]
    return bytes.fromhex(found[1].replace("\\x", ""))


def _text(path: str) -> str:
    """A path, which some versions write as hexadecimal too."""
    return bytes.fromhex(path.replace("\\x", "")).decode() if path.startswith("\\x") else path
