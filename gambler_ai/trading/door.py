"""What people want of a running session: requests in the database, and the HALT file."""

from __future__ import annotations

import os
from pathlib import Path

from gambler_ai.clock import Clock
from gambler_ai.core.events import HaltFileSeen, Input, Requested
from gambler_ai.core.text import one_line
from gambler_ai.trading.ledger import Ledger

#: Of the HALT file this much is read for its reason.
REASON_MAX = 200


class Door:
    """Looked at between two inputs; what is found enters as inputs like everything else."""

    def __init__(self, ledger: Ledger, halt_file: Path, clock: Clock) -> None:
        self._ledger = ledger
        self._halt_file = halt_file
        self._clock = clock

    def look(self) -> list[Input]:
        """The HALT file first, then what was asked, oldest first."""
        now = self._clock.now()
        asked = [Requested(now, request) for request in self._ledger.requests()]
        return [HaltFileSeen(now, halt_reason(self._halt_file)), *asked]


def halt_reason(path: Path) -> str | None:
    """Why trading is halted by the file: its first line. None when it is not there.

    Whatever is there by that name and cannot be read halts all the same.
    """
    try:
        with open(path, encoding="utf-8", errors="replace", opener=_open) as file:
            line = file.readline(REASON_MAX)
    except FileNotFoundError:
        if not path.is_symlink():
            return None
        line = ""
    except OSError as error:
        return f"{path} cannot be read ({error.strerror})"
    return one_line(line, REASON_MAX).strip() or f"{path} is there"


def _open(path: str, flags: int) -> int:
    """A pipe that nobody writes to must not hold up the session."""
    return os.open(path, flags | os.O_NONBLOCK)
