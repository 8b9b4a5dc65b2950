"""A private folder for what is half done, on the disk where the whole will be. What a kill leaves, the next clears."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gambler_ai.errors import StorageError

_MARK = ".gambler-work-"


@contextmanager
def workspace(parent: Path) -> Iterator[Path]:
    """A folder in ``parent`` that is gone afterwards.

    Raises:
        StorageError: it cannot be made.
    """
    try:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _clear(parent)
        folder = Path(tempfile.mkdtemp(prefix=_MARK, dir=parent))
        descriptor = _locked(folder)
    except OSError as error:
        raise StorageError(f"{parent} cannot be written: {error.strerror}", hint="see that it is writable") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)


def _clear(parent: Path) -> None:
    """What kills have left: nobody has it locked any more."""
    for left in parent.glob(f"{_MARK}*"):
        descriptor = _locked(left)
        if descriptor is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(descriptor)


def _locked(folder: Path) -> int | None:
    """A descriptor that holds the folder's lock; None when somebody has it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
