"""A wall clock that can be set while a program runs: `wall_shift.c`, compiled here and preloaded there."""

import shutil
import struct
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

SOURCE = Path(__file__).with_name("wall_shift.c")


def missing() -> str:
    """Why no clock can be moved here; "" when one can."""
    if sys.platform != "linux":
        return "the preloaded library is for Linux"
    return "" if shutil.which("gcc") else "gcc is not installed"


def compiled(folder: Path) -> Path:
    """The library."""
    library = folder / "wall_shift.so"
    command = ["gcc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return library


class WallClock:
    """The clock of every program that gets ``env``."""

    def __init__(self, library: Path, folder: Path) -> None:
        self._file = folder / "wall-shift"
        self.set(timedelta())
        self.env = {"LD_PRELOAD": str(library), "WALL_SHIFT": str(self._file)}

    def set(self, ahead: timedelta) -> None:
        """How far it is ahead of the machine's, from now on."""
        data = struct.pack("=q", int(ahead.total_seconds()) * 1_000_000_000)
        with open(self._file, "r+b" if self._file.exists() else "wb", buffering=0) as file:
            file.write(data)
