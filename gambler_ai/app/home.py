"""The state directory: ours alone, before anything is put there (RECOVERY_PROTOCOL 4.2).

A directory may be a link (to another disk, say): what counts is whose the directory behind it is and who may write
there. A file of ours may not: whoever can place a link chooses what we read and overwrite.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from gambler_ai import crashpoints
from gambler_ai.errors import ConfigError


def arm(crash_at: str) -> None:
    """Arm the points at which this process is to be killed; for tests.

    Raises:
        ConfigError: there is no such point.
    """
    try:
        for spec in filter(None, crash_at.split(",")):
            crashpoints.arm(spec)
    except ValueError as error:
        raise ConfigError(f"GAMBLER_CRASH_AT: {error}") from None


def make_private(path: Path) -> None:
    """Take write access from others if they have it; a directory that is not there is left to be made.

    One that is not ours, or that is shared on purpose (a sticky one, as /tmp is), is refused: its mode is not ours to
    change.

    Raises:
        ConfigError: it cannot be ours alone.
    """
    wrong = unsafe(path)
    if wrong is not None:
        raise ConfigError(f"state directory {path} {wrong}", hint="name one of your own: GAMBLER_HOME=PATH")
    try:
        mode = path.stat().st_mode
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            path.chmod(0o700)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"state directory {path} cannot be used: {error.strerror}") from None


def unsafe(path: Path) -> str | None:
    """Why a directory cannot be ours alone; None when it can, or is not there. Changes nothing."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return "is a link to nothing" if path.is_symlink() else None
    except OSError as error:
        return f"cannot be used: {error.strerror}"
    if not stat.S_ISDIR(found.st_mode):
        return "is not a directory"
    if os.geteuid() not in (found.st_uid, 0):  # to root everything is its own: a volume of a container's
        return "belongs to another user"
    if found.st_mode & stat.S_ISVTX and found.st_mode & stat.S_IWOTH:
        return "is shared by everybody on this machine"
    return None


def refuse_link(path: Path) -> None:
    """A file of ours is a file, not a link to one.

    Raises:
        ConfigError: it is a link.
    """
    if path.is_symlink():
        raise ConfigError(f"{path} is a symbolic link", hint="put the file itself there")
