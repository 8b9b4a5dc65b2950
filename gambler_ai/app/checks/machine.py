"""This machine and this installation: versions, time zones, the terminal, the state directory and its disk."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gambler_ai.app.checks.row import CONFIG, PROGRAM, STORAGE, Row, fail, ok, skip, warn
from gambler_ai.app.home import unsafe

#: A database that cannot grow stops every entry: a session's journal is some megabytes a day.
DISK_LOW = 1 << 30
DISK_FULL = 100 << 20
#: What the storage room's statements need (upsert).
SQLITE_MIN = (3, 24)
PYTHON_MIN = (3, 11)
#: Their locks and their fsync are promises of another machine.
NETWORK = frozenset({
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "glusterfs", "fuse.sshfs", "fuse.s3fs",
    "fuse.glusterfs", "fuse.rclone", "davfs", "ncpfs",
})  # fmt: skip
#: Files looked at; more are not ours.
FILES_MAX = 10_000


def _mounts() -> str:
    try:
        return Path("/proc/self/mountinfo").read_text("utf-8", "replace")
    except OSError:
        return ""


def _requirements() -> list[str]:
    try:
        return metadata.requires("gambler-ai") or []
    except metadata.PackageNotFoundError:
        return []


@dataclass(frozen=True)
class Machine:
    """What the checks ask of the machine; a test puts another in its place."""

    python: tuple[int, ...] = field(default_factory=lambda: sys.version_info[:3])
    sqlite: tuple[int, ...] = sqlite3.sqlite_version_info
    requirements: Callable[[], list[str]] = _requirements
    installed: Callable[[str], str] = metadata.version
    zone: str = "America/New_York"
    encoding: str = field(default_factory=lambda: getattr(sys.stdout, "encoding", None) or "unknown")
    free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
    mounts: Callable[[], str] = _mounts


def installation(machine: Machine) -> Iterator[Row]:
    """Rows that need no settings."""
    yield _python(machine)
    yield _packages(machine)
    shown = ".".join(map(str, machine.sqlite))
    if machine.sqlite < SQLITE_MIN:
        yield fail("sqlite", f"library {shown}", "use a Python with SQLite 3.24 or newer", PROGRAM)
    else:
        yield ok("sqlite", f"library {shown}")
    yield _zone(machine)
    if machine.encoding.lower().replace("-", "") == "utf8":
        yield ok("terminal", machine.encoding)
    else:
        yield warn("terminal", f"{machine.encoding}: some characters cannot be shown", "export PYTHONUTF8=1")


def _python(machine: Machine) -> Row:
    shown = ".".join(map(str, machine.python))
    if machine.python < PYTHON_MIN:
        return fail("python", shown, "Python 3.11 or newer is needed", PROGRAM)
    return ok("python", shown)


def _packages(machine: Machine) -> Row:
    wanted = [r for r in machine.requirements() if ";" not in r]
    if not wanted:
        return skip("packages", "not installed as a package: what it needs is not written down here")
    wrong = [text for requirement in wanted if (text := _misfit(requirement, machine)) is not None]
    if wrong:
        return fail("packages", "; ".join(wrong), "install what it needs: scripts/run does, or pip install -U", PROGRAM)
    alpaca = machine.installed("alpaca-py")
    return ok("packages", f"{len(wanted)} as they should be, alpaca-py {alpaca}")


def _misfit(requirement: str, machine: Machine) -> str | None:
    """Why an installed package is not the one that is required; None when it is."""
    name = re.split(r"[<>=!~ \[]", requirement, maxsplit=1)[0]
    try:
        found = machine.installed(name)
    except metadata.PackageNotFoundError:
        return f"{name} is missing"
    for sign, bound in re.findall(r"(>=|<)\s*([0-9.]+)", requirement):
        if (_version(found) < _version(bound)) != (sign == "<"):
            return f"{name} {found} is not {sign}{bound}"
    return None


def _version(text: str) -> tuple[int, ...]:
    """2.10.1rc1 -> (2, 10, 1). Zeros at the end say nothing: 3.0 is 3."""
    numbers = [int(part) for part in re.findall(r"\d+", re.split(r"[a-z+]", text)[0])]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _zone(machine: Machine) -> Row:
    """New York is five hours behind in winter and four in summer; data that says otherwise is none."""
    fix = "install tzdata: pip install tzdata, or the system's package"
    try:
        zone = ZoneInfo(machine.zone)
    except (ZoneInfoNotFoundError, OSError):
        return fail("time zones", f"no data for {machine.zone}", fix, PROGRAM)
    offsets = [datetime(2024, month, 15, 12, tzinfo=UTC).astimezone(zone).utcoffset() for month in (1, 7)]
    if offsets != [timedelta(hours=-5), timedelta(hours=-4)]:
        return fail("time zones", f"the data for {machine.zone} is wrong", fix, PROGRAM)
    return ok("time zones", machine.zone)


# -- the state directory --------------------------------------------------------------------------


def state(path: Path, database: Path | None, machine: Machine) -> Iterator[Row]:
    """The state directory, its files, and the disk that the database (if it is a file) is on."""
    yield _directory(path)
    yield _files(path, database)
    place = _existing(database if database is not None else path)
    yield _disk(place, machine)
    yield _filesystem(place, machine)


def _directory(path: Path) -> Row:
    wrong = unsafe(path)
    if wrong is not None:
        return fail("state directory", f"{path} {wrong}", "name one of your own: GAMBLER_HOME=PATH", CONFIG)
    if not path.exists():
        parent = _existing(path)
        if not os.access(parent, os.W_OK | os.X_OK):
            return fail("state directory", f"{path} cannot be made in {parent}", "GAMBLER_HOME=PATH", CONFIG)
        return ok("state directory", f"{path} will be made")
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return fail("state directory", f"{path} is not writable", f"chmod 700 {path}", CONFIG)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return warn("state directory", f"{path} is open to others (mode {mode:04o})", f"chmod 700 {path}")
    return ok("state directory", f"{path}, mode {mode:04o}")


def _files(path: Path, database: Path | None) -> Row:
    beside = [] if database is None else [database, *(Path(f"{database}{end}") for end in ("-wal", "-shm"))]
    files = {p for p in (*_inside(path), *_inside(path / "exchange"), *beside) if os.path.lexists(p)}
    links = sorted(p for p in files if p.is_symlink())
    if links:
        return fail("files", f"{links[0]} is a symbolic link", "put the file itself there", CONFIG)
    foreign = sorted(p for p in files if p.stat().st_uid != os.geteuid())
    if foreign and os.geteuid() != 0:
        return fail("files", f"{foreign[0]} belongs to another user", f"chown $(id -un) {foreign[0]}", CONFIG)
    open_ = sorted(p for p in files if stat.S_IMODE(p.stat().st_mode) & 0o077)
    if open_:
        others = f" and {len(open_) - 1} more" if len(open_) > 1 else ""
        return warn("files", f"{open_[0]}{others}: open to others", f"chmod 600 {' '.join(map(str, open_[:5]))}")
    return ok("files", f"{len(files)}, private" if files else "none yet")


def _inside(path: Path) -> list[Path]:
    """Files and links in a directory; none where there is no directory or it cannot be read (that has a row)."""
    try:
        return [p for p, _ in zip(path.iterdir(), range(FILES_MAX), strict=False) if p.is_symlink() or p.is_file()]
    except OSError:
        return []


def _existing(path: Path) -> Path:
    """The path itself, or the nearest directory above it that is there."""
    path = path.absolute()
    return next(p for p in (path, *path.parents) if p.exists())


def _disk(place: Path, machine: Machine) -> Row:
    free = machine.free_bytes(place)
    shown = f"{free / (1 << 30):,.1f} GB free at {place}"
    if free < DISK_FULL:
        return fail("disk", f"{free / (1 << 20):,.0f} MB free at {place}", "free some space", STORAGE)
    return warn("disk", shown, "free some space before the next session") if free < DISK_LOW else ok("disk", shown)


def _filesystem(place: Path, machine: Machine) -> Row:
    kind = filesystem(machine.mounts(), place.resolve())
    if kind is None:
        return skip("file system", "this system does not say what it is")
    if kind in NETWORK:
        return warn("file system", f"{place} is on {kind}, a network file system", "keep the database on a local disk")
    return ok("file system", kind)


def filesystem(mounts: str, path: Path) -> str | None:
    """The kind of file system ``path`` is on, by the text of /proc/self/mountinfo; None if it does not tell."""
    best, kind = -1, None
    for line in mounts.splitlines():
        head, _, tail = line.partition(" - ")
        fields, kinds = head.split(), tail.split()
        if len(fields) < 5 or not kinds:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), fields[4]))
        if path.is_relative_to(point) and len(point.parts) >= best:  # of two mounts on one point the later counts
            best, kind = len(point.parts), kinds[0]
    return kind
