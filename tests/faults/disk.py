"""A disk that may lose, tear and reorder what was not synced: what a power cut leaves of an SQLite database.

The model is that of SQLite's own tests. What was synced is there. Of the writes since, each may have landed, or not, or
some of its sectors may have: in any order. Names are kept in order (as ext4 and xfs do), and a sync of any file makes
all names durable that were made or removed before it. A write changes no byte outside of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.faults.recording import Event, Sync, Truncate, Unlink, Write

SECTOR = 512
#: What is no database, or is made anew from it.
FORGOTTEN = ("-shm", ".lock")


@dataclass
class File:
    """Durable bytes, and what was done since the last sync."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Write | Truncate] = field(default_factory=list)

    def sync(self) -> None:
        for change in self.pending:
            _apply(self.durable, change)
        self.pending.clear()

    def whole(self) -> bytes:
        """As everybody sees it while the power is on."""
        content = bytearray(self.durable)
        for change in self.pending:
            _apply(content, change)
        return bytes(content)

    def cut(self, chance: np.random.Generator) -> bytes:
        """As it may be after a power cut."""
        content = bytearray(self.durable)
        keep = chance.choice([0.0, 0.1, 0.5, 0.9, 1.0])  # how much of it had landed
        for change in self.pending:
            fate = chance.random()
            if fate < keep * 0.7:
                _apply(content, change)
            elif fate < keep and isinstance(change, Write):
                for piece in sectors(change):
                    if chance.random() < 0.5:
                        _apply(content, piece)
        return bytes(content)


class Disk:
    """The files of one folder, by the events of a recording."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._names: dict[str, File] = {}
        self._durable_names: dict[str, File] = {}
        self._since: list[dict[str, File]] = []  # the names after each change that no sync has followed

    def take(self, event: Event) -> bool:
        """Do what the program did. False when it is about no file of ours."""
        path = getattr(event, "path", "")
        if path == self._folder and isinstance(event, Sync):
            self._sync_names()
            return True
        if not path.startswith(f"{self._folder}/") or path.endswith(FORGOTTEN):
            return False
        name = path[len(self._folder) + 1 :]
        if isinstance(event, Unlink):
            if self._names.pop(name, None) is not None:
                self._since.append(dict(self._names))
            return True
        if name not in self._names:
            self._names[name] = File()
            self._since.append(dict(self._names))
        if isinstance(event, Sync):
            self._names[name].sync()
            self._sync_names()
        else:
            assert isinstance(event, Write | Truncate)
            self._names[name].pending.append(event)
        return True

    def whole(self) -> dict[str, bytes]:
        """Name -> content, as a kill leaves it."""
        return {name: file.whole() for name, file in self._names.items()}

    def cut(self, chance: np.random.Generator) -> dict[str, bytes]:
        """Name -> content, as a power cut may leave it."""
        states = [self._durable_names, *self._since]
        names = states[int(chance.integers(len(states)))]
        return {name: file.cut(chance) for name, file in names.items()}

    def _sync_names(self) -> None:
        self._durable_names = dict(self._names)
        self._since.clear()


def sectors(write: Write) -> Sequence[Write]:
    """The parts of a write that land or do not land by themselves."""
    first = write.offset - write.offset % SECTOR
    end = write.offset + len(write.data)
    pieces = []
    for start in range(first, end, SECTOR):
        low, high = max(start, write.offset), min(start + SECTOR, end)
        pieces.append(Write(write.path, low, write.data[low - write.offset : high - write.offset]))
    return pieces


def put(image: dict[str, bytes], folder: Path) -> None:
    """Write an image into a folder that holds nothing else."""
    for old in folder.iterdir():
        old.unlink()
    for name, content in image.items():
        (folder / name).write_bytes(content)


def _apply(content: bytearray, change: Write | Truncate) -> None:
    if isinstance(change, Truncate):
        if change.size < len(content):
            del content[change.size :]
        content.extend(bytes(change.size - len(content)))
        return
    end = change.offset + len(change.data)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    content[change.offset : end] = change.data
