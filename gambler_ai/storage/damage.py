"""A damaged SQLite file: found out, copied aside, and never deleted or written over."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from gambler_ai.errors import StorageError


def keep_if_damaged(path: Path | None, wall: datetime) -> str:
    """Copy the file at ``path`` aside if SQLite complains about it. Says where, and what to do; "" when it is whole."""
    if path is None or not path.is_file() or is_whole(path):
        return ""
    kept = set_aside(path, wall)
    whole = next((copy for copy in _copies(path) if is_whole(copy)), None)
    told = f"the file is damaged and was copied to {kept}; look at the disk before anything else"
    if whole is None:
        return f"{told}; no copy of it is here: restore a backup as {path}, or start on another with --database-url"
    return f"{told}; a copy that is whole: {whole} (from before an upgrade). Put it in place as {path}, then --resume"


def is_whole(path: Path) -> bool:
    """Whether SQLite's own quick check finds nothing; changes nothing."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)) as db:
            return bool(db.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)])
    except sqlite3.OperationalError:  # it cannot be looked at: that is another trouble
        return True
    except sqlite3.DatabaseError:
        return False


def set_aside(path: Path, wall: datetime) -> Path:
    """A copy of ``path`` with its log, readable by its owner only; the one that is there if it is the same.

    Raises:
        StorageError: it cannot be written.
    """
    digest = _digest(path)
    for kept in sorted(path.parent.glob(f"{path.name}.damaged-*")):
        if not kept.name.endswith("-wal") and _digest(kept) == digest:
            return kept
    kept = path.with_name(f"{path.name}.damaged-{wall:%Y%m%d-%H%M%S}")
    try:
        for suffix in ("-wal", ""):
            source = path.with_name(path.name + suffix)
            if source.exists():
                _copy(source, kept.with_name(kept.name + suffix))
    except OSError as error:
        raise StorageError(
            f"{path} is damaged, and no copy of it could be made: {error.strerror}", hint="copy it by hand, first"
        ) from error
    return kept


def _copies(path: Path) -> list[Path]:
    """What upgrades have kept, newest first."""
    found = path.parent.glob(f"{path.name}.before-*")
    return sorted(found, key=lambda copy: copy.stat().st_mtime, reverse=True)


def _copy(source: Path, target: Path) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with source.open("rb") as bytes_in, os.fdopen(descriptor, "wb") as bytes_out:
        shutil.copyfileobj(bytes_in, bytes_out)
        bytes_out.flush()
        os.fsync(bytes_out.fileno())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
